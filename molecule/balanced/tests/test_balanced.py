"""Rolling deploys behind two balancers under visitors: good ones, broken ones in the second batch, and what is next.

BALANCED_ROLLS=10, as `make bench-balanced` has it, is the whole size: so many deploys, all three ways to break one, and
another nginx and another uWSGI built. Each takes the hosts one by one; without it the tests take what CI has time for.
"""

import json
import os
import subprocess
import time
from contextlib import contextmanager

import publishing
import pytest
from one_host import sh
from visiting import LOAD

NAME = os.environ.get("TRIAL_FLEET", "graceful-balanced")
ROLLS = int(os.environ.get("BALANCED_ROLLS", "1"))
WEB = [f"{NAME}-web{number}" for number in (1, 2, 3)]
BALANCERS = [f"{NAME}-lb{number}" for number in (1, 2)]
CODE = publishing.CHECKOUT / "molecule/balanced/files/shop/app.py"
UPSTREAMS = "/etc/nginx/conf.d/publish-main.conf"
SETTINGS = {"shop_processes": 3, "nginx_conf_options": {"keepalive_timeout": 70}}
UPGRADES = [{"nginx_build_options": ["--with-http_dav_module"]}, {"uwsgi_version": "2.0.30"}]


@contextmanager
def visitors():
    """Visitors of both balancers for as long as the block lasts; none of their requests may fail."""
    load = LOAD.replace("sleep(0.01)", "sleep(0.03)")
    words = [["docker", "exec", "-i", one, "python3", "-c", load, "shop.test"] for one in BALANCERS]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    running = [subprocess.Popen(one, **pipes) for one in words]
    time.sleep(0.5)
    try:
        yield
    finally:
        told = [json.loads(one.communicate(input="")[0]) for one in running]
        print("visitors:", [(one["sent"], len(one["failed"])) for one in told])
    for one in told:
        assert one["sent"] > 50 and not one["failed"], told


class Fleet:
    def __init__(self, folder):
        self.folder, self.deploys = folder, 0

    def run(self, *words, playbook="site", **variables):
        given = {"shop_source": str(self.folder), **variables}
        book = f"playbooks/{playbook}.yml"
        status, said = publishing.ansible("ansible-playbook", f"--extra-vars={json.dumps(given)}", *words, book)
        return status, " ".join(said.split())

    def deploy(self, *words, more="", **variables):
        """Version, status and words of a rolling deploy of new code."""
        self.deploys += 1
        code = CODE.read_text().replace('VERSION = "0"', f'VERSION = "{self.deploys}"')
        (self.folder / "app.py").write_text(code + more)
        return str(self.deploys), *self.run(*(words or ["--limit=web"]), **variables)


@pytest.fixture(scope="module")
def fleet(tmp_path_factory):
    return Fleet(tmp_path_factory.mktemp("shop"))


def versions():
    """The version that each host answers by itself."""
    ask = "import urllib.request as r; q = r.Request('http://127.0.0.1/', headers={'Host': 'shop.test'})"
    return [sh(f'python3 -c "{ask}; print(r.urlopen(q).read().decode())"', host=one).split()[0] for one in WEB]


def out():
    """How many servers are out of the upstreams of each balancer."""
    ask = f"grep -c 'down; # drained' {UPSTREAMS} || true"
    return [int(sh(ask, host=one)) for one in BALANCERS]


@pytest.mark.parametrize("_number", range(ROLLS))
def test_a_rolling_deploy_loses_no_request_and_all_hosts_are_back(fleet, _number):
    with visitors():
        version, status, said = fleet.deploy()
    assert status == 0, said
    assert versions() == [version] * 3 and out() == [0, 0]
    # One by one without a word, since there are balancers.
    assert said.count("PLAY [Publish WSGI applications]") == 3
    assert said.count("TASK [graceful.wsgi.publish : Take the host out of each balancer]") == 3
    assert "are open after" not in said


def test_a_run_that_changes_nothing_takes_no_host_out(fleet):
    ask = "cat /run/nginx.pid /proc/$(cat /run/nginx.pid)/task/*/children"
    before = [sh(ask, host=one) for one in BALANCERS]
    status, said = fleet.run("--limit=web")
    assert status == 0 and "Take the host out of each balancer" not in said, said
    assert [sh(ask, host=one) for one in BALANCERS] == before
    assert said.count("changed=0 ") == 3, said


HERE = f"if socket.gethostname() == {WEB[1]!r}:\n"
# What is broken in the second host, and whether it was live by then: code that does not load, code that
# answers 500, and tasks of one's own that fail.
BROKEN = [
    (f"{HERE}    raise SystemExit('not here')\n", "", False),
    (f"{HERE}    application = lambda *_given: 1 / 0\n", "", False),
    ("", "after_reload", True),
][-1 if ROLLS == 1 else 0 :]


@pytest.mark.parametrize(("more", "hook", "live"), BROKEN)
def test_a_deploy_that_breaks_in_the_second_batch_ends_there_and_loses_no_request(fleet, more, hook, live):
    before, hooks = versions(), {}
    if hook:
        tasks = fleet.folder.parent / "fail.yml"
        fails = {"ansible.builtin.fail": {"msg": "not today"}, "name": "Say no"}
        tasks.write_text(json.dumps([{**fails, "when": f"inventory_hostname == '{WEB[1]}'"}]))
        hooks = {f"publish_{hook}": [str(tasks)]}
    with visitors():
        version, status, said = fleet.deploy(more=more, **hooks)
    assert status == 2 and versions() == [version, *before[1:]], said
    stays = f"{WEB[1]} was taken out of {', '.join(BALANCERS)} and stays out"
    assert (stays in said) == live and out() == [live, live], said


def test_a_run_on_the_balancers_keeps_a_host_out_that_has_failed_and_their_status_tells_it(fleet):
    with visitors():
        status, said = fleet.run("--limit=balancers")
    assert status == 0 and out() == [1, 1] and said.count("changed=0 ") == 2, said
    status, said = fleet.run("--limit=balancers", playbook="status")
    assert f"LOOK: {WEB[1]}" in said and "edited by hand" not in said, said


def test_what_went_live_before_goes_back_wherever_it_is_live(fleet):
    release = sh("basename $(readlink /srv/wsgi/shop/current)", host=WEB[0]).strip()
    before = versions()
    words = ["--limit=web", "-e", "app=shop", "-e", f"live={release}"]
    with visitors():
        status, said = fleet.run(*words, playbook="rollback")
    assert status == 0 and versions()[0] != before[0] and versions()[1:] == before[1:], said
    assert said.count("has another release of shop live; it is left as it is") == 2, said
    words = [f"--limit={WEB[2]}", "-e", "app=shop", "-e", "live=012345678901"]
    status, said = fleet.run(*words, playbook="rollback")
    assert status == 2 and "is live on no host of this play" in said, said


def test_a_balancer_that_is_not_reached_ends_the_deploy_before_anything_is_live(fleet, tmp_path):
    before = versions()
    dead = {"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": 9}
    more = tmp_path / "dead.yml"
    more.write_text(json.dumps({"balancers": {"hosts": {"dead": dead}}}))
    with visitors():
        _version, status, said = fleet.deploy(f"--inventory={more}", f"--limit={WEB[2]}")
    assert status == 2 and "dead: " in said and f"Nothing of {WEB[2]} was made live" in said, said
    assert versions() == before and out() == [1, 1], said


@pytest.mark.parametrize("change", [SETTINGS] if ROLLS == 1 else [SETTINGS, *UPGRADES])
def test_the_next_run_that_ends_well_puts_the_host_back_with_other_settings_and_programs(fleet, change):
    with visitors():
        version, status, said = fleet.deploy(**change)
    assert status == 0 and versions() == [version] * 3, said
    assert out() == [0, 0] and sh("ls /etc/nginx/drained", host=BALANCERS[0]).strip() == ""
