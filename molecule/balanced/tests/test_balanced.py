"""Rolling deploys behind two balancers under visitors: good ones, broken ones in the second batch, and what is next."""

import json
import os
import re
import subprocess
import time
from contextlib import contextmanager

import publishing
import pytest
from one_host import sh
from visiting import LOAD

NAME = os.environ.get("TRIAL_FLEET", "graceful-balanced")
WEB = [f"{NAME}-web{number}" for number in (1, 2, 3)]
BALANCERS = [f"{NAME}-lb{number}" for number in (1, 2)]
CODE = publishing.CHECKOUT / "molecule/balanced/files/shop/app.py"
UPSTREAMS = "/etc/nginx/conf.d/publish-main.conf"


@contextmanager
def visitors():
    """Visitors of both balancers for as long as the block lasts; none of their requests may fail."""
    words = [["docker", "exec", "-i", one, "python3", "-c", LOAD, "shop.test"] for one in BALANCERS]
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
        self.folder = folder

    def run(self, *words, playbook="site", **variables):
        given = {"shop_source": str(self.folder), **variables}
        book = f"playbooks/{playbook}.yml"
        return publishing.ansible("ansible-playbook", f"--extra-vars={json.dumps(given)}", *words, book)

    def deploy(self, version, *words, more="", **variables):
        """Status and words of a rolling deploy of this version."""
        code = CODE.read_text().replace('VERSION = "0"', f'VERSION = "{version}"\n{more}')
        (self.folder / "app.py").write_text(code)
        return self.run("--limit=web", *words, **variables)


@pytest.fixture(scope="module")
def fleet(tmp_path_factory):
    return Fleet(tmp_path_factory.mktemp("shop"))


def versions():
    """The version that each host answers by itself."""
    ask = "import urllib.request as r; q = r.Request('http://127.0.0.1/', headers={'Host': 'shop.test'})"
    return [sh(f'python3 -c "{ask}; print(r.urlopen(q).read().decode())"', host=one).split()[0] for one in WEB]


def out(balancer):
    """How many servers are out of the upstreams of a balancer."""
    return sh(f"grep -c 'down; # drained' {UPSTREAMS} || true", host=balancer).strip()


def test_a_rolling_deploy_loses_no_request_and_all_hosts_are_back(fleet):
    for version in ("1", "2"):
        with visitors():
            status, said = fleet.deploy(version)
        assert status == 0, said
        assert versions() == [version] * 3 and [out(one) for one in BALANCERS] == ["0", "0"]
        # One by one without a word, since there are balancers.
        assert said.count("PLAY [Publish WSGI applications]") == 3
        assert len(re.findall(r"Take the host out of each balancer", said)) == 3


def test_a_run_that_changes_nothing_takes_no_host_out(fleet):
    before = [sh("cat /run/nginx.pid; pgrep -P $(cat /run/nginx.pid)", host=one) for one in BALANCERS]
    status, said = fleet.run("--limit=web")
    assert status == 0 and "Take the host out of each balancer" not in said, said
    assert [sh("cat /run/nginx.pid; pgrep -P $(cat /run/nginx.pid)", host=one) for one in BALANCERS] == before
    assert len(re.findall(r"changed=0 ", said)) == 3, said


def test_code_that_does_not_load_on_the_second_host_leaves_it_among_those_that_serve(fleet):
    more = f"if socket.gethostname() == {WEB[1]!r}:\n    raise SystemExit('not here')\n"
    with visitors():
        status, said = fleet.deploy("3", more=more)
    assert status == 2 and versions() == ["3", "2", "2"], said
    assert [out(one) for one in BALANCERS] == ["0", "0"]


def test_one_that_fails_once_it_is_live_stays_out_until_a_run_ends_well(fleet):
    hook = fleet.folder / "fail.yml"
    hook.write_text(
        f"- name: Say no\n  ansible.builtin.fail:\n    msg: not today\n  when: inventory_hostname == '{WEB[1]}'\n"
    )
    with visitors():
        status, said = fleet.deploy("4", publish_after_reload=[str(hook)])
        assert status == 2 and versions() == ["4", "2", "2"], said
        assert f"{WEB[1]} was taken out of {', '.join(BALANCERS)} and stays out" in " ".join(said.split()), said
        assert [out(one) for one in BALANCERS] == ["1", "1"]
        # A run on the balancers keeps it out, and their status says so.
        status, said = fleet.run("--limit=balancers")
        assert status == 0 and [out(one) for one in BALANCERS] == ["1", "1"], said
        status, said = fleet.run("--limit=balancers", playbook="status")
        assert f"LOOK: {WEB[1]}" in said and "edited by hand" not in said, said


def test_what_went_live_before_goes_back_wherever_it_is_live(fleet):
    release = sh("basename $(readlink /srv/wsgi/shop/current)", host=WEB[0]).strip()
    with visitors():
        words = ["--limit=web", "-e", "app=shop", "-e", f"live={release}"]
        status, said = fleet.run(*words, playbook="rollback", publish_serial=1)
    assert status == 0 and versions() == ["3", "2", "2"], said
    assert "has another release of shop live; it is left as it is" in " ".join(said.split())
    status, said = fleet.run("--limit=web", "-e", "app=shop", "-e", "live=012345678901", playbook="rollback")
    assert status == 2 and "is live on no host of this play" in " ".join(said.split()), said


def test_the_next_run_that_ends_well_puts_the_host_back_with_another_uwsgi_configuration(fleet):
    with visitors():
        status, said = fleet.deploy("5", shop_processes=3)
    assert status == 0 and versions() == ["5"] * 3, said
    assert [out(one) for one in BALANCERS] == ["0", "0"]
    assert sh("ls /etc/nginx/drained 2>/dev/null || true", host=BALANCERS[0]).strip() == ""
