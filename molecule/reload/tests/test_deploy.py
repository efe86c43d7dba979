"""Deploys by the publish role itself, under load: good code goes live, broken code never does, no request is lost."""

import shutil
import time

import pytest
import yaml
from load import Load
from publishing import CHECKOUT, WHOAMI, deploy

BROKEN = {
    "syntax error": ("def (", "SyntaxError"),
    "missing module": ("import no_such_module", "no_such_module"),
    "missing callable": ("del app", "callable not found"),
    "import that hangs": ("import time; time.sleep(600)", "within the time limit"),
    "import that exits": ("import os; os._exit(0)", "ended before it accepted"),
    "import that leaves": ("sys.exit('no settings')", "no settings"),
    "import that raises": ("raise ValueError('no database')", "no database"),
    "exception after fork": ("import uwsgi\nif uwsgi.worker_id(): raise ValueError('no worker')", "no worker"),
    "exit after fork": ("import uwsgi\nif uwsgi.worker_id(): os._exit(1)", "ended before it accepted"),
    "answers with an error": ("app.view_functions['whoami'] = lambda path: 1 / 0", "the new code answered 500"),
}


@pytest.fixture
def load(host):
    address = next(found for found in host.interface("eth0").addresses if ":" not in found)
    with Load(address, host="shop.test", clients=4, rate=100, reopen=True) as running:
        yield running


def live(host):
    return host.check_output("readlink /srv/wsgi/shop/current")


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "shop"
    shutil.copytree(WHOAMI, folder, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def change(source, text):
    with (source / "manage.py").open("a") as code:
        code.write(f"\n{text}\n")


def test_a_deploy_loses_no_request(host, source, load):
    before = live(host)
    change(source, "# another release")
    status, said = deploy(source)
    assert status == 0, said
    after = live(host)
    assert after != before
    assert any(f'"file":"/srv/wsgi/shop/{after}/manage.py' in body for body in load.bodies)
    assert load.failures == []
    assert len(load.requests) > 100


def test_new_requirements_come_along_with_the_code(host, source, load):
    venv = host.check_output("readlink /srv/wsgi/shop/current/.venv")
    for file in source.glob("requirements*.txt"):
        file.write_text(file.read_text() + "six==1.17.0\n")
    status, said = deploy(source)
    assert status == 0, said
    assert host.check_output("readlink /srv/wsgi/shop/current/.venv") != venv
    assert load.failures == []


@pytest.mark.parametrize(("text", "cause"), BROKEN.values(), ids=BROKEN)
def test_broken_code_never_goes_live(host, source, load, text, cause):
    before = live(host)
    workers = host.check_output("cat /proc/$(cat /run/uwsgi-shop/pid)/task/*/children")
    change(source, text)
    status, said = deploy(source, publish_timeout=12)
    assert status == 2, said
    assert cause in said, said
    assert live(host) == before
    assert host.check_output("cat /proc/$(cat /run/uwsgi-shop/pid)/task/*/children") == workers
    assert load.failures == []
    assert len(load.requests) > 100


def test_code_that_is_not_there_touches_nothing(host, load):
    before = host.file("/etc/uwsgi/shop.ini").sha256sum
    status, said = deploy(WHOAMI / "no-such-folder")
    assert status == 2, said
    assert "no-such-folder" in said
    assert host.file("/etc/uwsgi/shop.ini").sha256sum == before
    assert load.failures == []


def take_off(names):
    """The variables of a play that publishes all but these."""
    hosts = {f"{name}.test" for name in names}
    published = yaml.safe_load((CHECKOUT / "molecule/reload/inventory/group_vars/all.yml").read_text())
    return {
        "publish_apps": [app for app in published["publish_apps"] if app["name"] not in names],
        "publish_sites": [site for site in published["publish_sites"] if not hosts & set(site["server_name"])],
    }


def test_what_is_no_longer_published_is_taken_off_and_nothing_else(host, load):
    own = [
        "/etc/uwsgi/other.ini",
        "/etc/systemd/system/uwsgi@other.service.d/10-publish.conf",
        "/etc/nginx/conf.d/other.test.conf",
        "/run/wsgi/other.sock",
    ]
    assert [path for path in own if not host.file(path).exists] == []
    pid = host.check_output("cat /run/uwsgi-other/pid")
    status, said = deploy(WHOAMI, **take_off(["other"]))
    try:
        assert status == 0, said
        assert [path for path in own if host.file(path).exists] == []
        assert not host.file(f"/proc/{pid}").exists
        assert host.run("systemctl is-enabled uwsgi@other").stdout.strip() != "enabled"
        # What may be wanted again stays.
        assert host.file("/srv/code/other/manage.py").exists
        assert host.file("/srv/wsgi/other/venv").exists
        assert host.file("/var/log/uwsgi/other/server.log").exists
        assert {host.run(f"systemctl is-active uwsgi@{name}").stdout.strip() for name in ("live", "shop")} == {"active"}
        assert load.failures == []
        assert len(load.requests) > 100
    finally:
        status, said = deploy(WHOAMI)
    assert status == 0, said
    assert host.service("uwsgi@other").is_running


def master(host):
    return host.check_output("systemctl show -p MainPID uwsgi@shop")


def at_home(host):
    """Whether nginx is led to the instance itself, and no second generation is left."""
    link = host.check_output("readlink /run/wsgi/shop.sock")
    second = host.run("systemctl is-active uwsgi@shop@next").stdout.strip()
    return (link, second, host.file("/run/systemd/system/uwsgi@shop@next.service.d").exists)


HOME = ("/run/wsgi/shop.d/sock", "inactive", False)


def test_a_changed_unit_restarts_without_a_lost_request(host, load):
    before = master(host)
    status, said = deploy(WHOAMI, shop_service_options={"LimitNOFILE": "4321"})
    assert status == 0, said
    after = master(host)
    assert after != before
    assert "4321" in host.check_output(f"grep 'open files' /proc/{after.partition('=')[2]}/limits")
    assert at_home(host) == HOME
    assert load.failures == []
    assert len(load.requests) > 100


def test_a_unit_that_cannot_start_leaves_the_old_one_running(host, load):
    before, unit = master(host), "/etc/systemd/system/uwsgi@shop.service.d/10-publish.conf"
    text = host.file(unit).content_string
    # One that never starts is found out before anything is written, one that does not start live where it is tried.
    for command, told in (
        ("/bin/false", "uWSGI ended with"),
        ("/bin/sh -c 'case %i in *@next) exit 1;; esac'", "no start with the new settings of shop"),
    ):
        status, said = deploy(WHOAMI, shop_service_options={"ExecStartPre": command})
        assert status == 2, said
        assert told in said, said
        assert master(host) == before
        assert host.file(unit).content_string == text
        assert at_home(host) == HOME
    assert load.failures == []


def test_an_ini_that_fails_live_is_put_back(host, source, load):
    """The preflight cannot see it: this code objects to something that only the live instance has."""
    # The unit stays as it is, else a second generation would be the one to fail.
    assert deploy(WHOAMI)[0] == 0
    before, ini = live(host), "/etc/uwsgi/shop.ini"
    text = host.file(ini).content_string
    condition = "{'stats', b'stats'} & set(uwsgi.opt)"
    change(source, f"import uwsgi\nif {condition}: raise ValueError('not beside a stats server')")
    status, said = deploy(source, shop_options={"harakiri": 33}, publish_timeout=12)
    assert status == 2, said
    assert "not beside a stats server" in said
    assert "Live again as it was: " in said
    assert host.file(ini).content_string == text
    assert live(host) == before
    with Load(load.address, host="shop.test", clients=4, rate=100, reopen=True) as again:
        time.sleep(2)
    assert again.failures == []
    assert len(again.requests) > 10
