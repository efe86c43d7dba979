"""What uwsgi_info tells, held against the host itself, before and after each kind of reload."""

import base64
import http.client
import json
import time
from pathlib import Path

import pytest

GOOD = (Path(__file__).resolve().parents[3] / "tests/apps/whoami/manage.py").read_text()
COUNTED = ["version", "listen_queue", "requests", "exceptions", "busy", "idle", "cheap"]


def run(host, module, **wanted):
    return host.ansible(f"graceful.wsgi.{module}", json.dumps(wanted), check=False, become=False)


def look(host, **wanted):
    answer = run(host, "uwsgi_info", **wanted)
    assert not answer["changed"]
    return answer["instances"]


def write(host, name):
    """Put the code there anew; returns the moment in the host's own time."""
    packed = base64.b64encode(GOOD.encode()).decode()
    path = f"/srv/code/{name}/manage.py"
    host.check_output(f"echo {packed} | base64 -d > {path}.new && mv {path}.new {path}")
    return float(host.check_output(f"stat -c %.Y {path}"))


def reload(host, name, **wanted):
    return run(host, "uwsgi_reload", pidfile=f"/run/uwsgi-{name}/pid", **wanted)


def processes(host):
    """[(pid, parent, start)] of every uWSGI."""
    lines = host.run("cat /proc/[0-9]*/stat 2>/dev/null").stdout.splitlines()
    found = [line.partition(" (uwsgi) ") for line in lines if " (uwsgi) " in line]
    fields = [(pid, rest.split()) for pid, _name, rest in found]
    return sorted((int(pid), int(rest[1]), int(rest[19])) for pid, rest in fields)


def test_what_is_told_is_so(host):
    pid = int(host.file("/run/uwsgi-live/pid").content_string)
    before = processes(host)
    [found] = look(host, pidfile="/run/uwsgi-live/pid")
    assert (found["running"], found["why"]) == (True, None)
    assert found["master_pid"] == pid
    assert found["version"] == host.check_output(f"{found['executable']} --version")
    assert found["user"]["name"] == host.check_output(f"stat -c %U /proc/{pid}")
    assert found["folder"] == "/srv/code/live"
    assert (found["config"], found["config_changed"]) == ("/etc/uwsgi/live.ini", False)
    assert found["sockets"] == [{"protocol": "uwsgi", "address": "/run/wsgi/live.d/sock"}]
    assert (found["stats"], found["stats_answered"]) == ("/run/uwsgi-live/stats", True)
    assert found["busy"] + found["idle"] + found["cheap"] == 4
    assert {worker["pid"] for worker in found["workers"]} == {child for child, parent, _ in before if parent == pid}
    assert [worker["id"] for worker in found["workers"]] == [1, 2, 3, 4]
    assert all(worker["accepting"] and worker["rss"] > 1 << 20 for worker in found["workers"])
    assert processes(host) == before


def test_requests_are_counted(host):
    address = next(address for address in host.interface("eth0").addresses if ":" not in address)
    before = look(host, pidfile="/run/uwsgi-live/pid")[0]["requests"]
    for _number in range(5):
        link = http.client.HTTPConnection(address, timeout=15)
        link.request("GET", "/", headers={"Host": "live.test"})
        assert link.getresponse().status == 200
        link.close()
    assert look(host, pidfile="/run/uwsgi-live/pid")[0]["requests"] == before + 5


@pytest.mark.parametrize("strategy", ["chain", "hup"])
def test_the_code_is_told_to_be_new_once_it_is(host, strategy):
    [before] = look(host, pidfile="/run/uwsgi-live/pid")
    written = write(host, "live")
    [between] = look(host, pidfile="/run/uwsgi-live/pid")
    assert between["code_loaded"] == pytest.approx(before["code_loaded"], abs=0.1)
    assert between["code_loaded"] < written
    result = reload(host, "live", strategy=strategy)
    [after] = look(host, pidfile="/run/uwsgi-live/pid")
    assert after["code_loaded"] >= written
    assert sorted(worker["pid"] for worker in after["workers"]) == result["workers_after"]
    assert after["master_pid"] == before["master_pid"]
    assert after["master_started"] == pytest.approx(before["master_started"], abs=0.1)


def test_a_configuration_that_was_changed(host):
    host.check_output("touch /etc/uwsgi/live.ini")
    [found] = look(host, pidfile="/run/uwsgi-live/pid")
    assert (found["config_changed"], found["code_loaded"]) == (True, None)
    assert reload(host, "live")["strategy"] == "hup"
    [found] = look(host, pidfile="/run/uwsgi-live/pid")
    assert found["config_changed"] is False
    assert found["code_loaded"] is not None


NOWHERE = {
    "empty": (": > {path}", "is empty"),
    "zero": ("echo 0 > {path}", "holds 0"),
    "anothers": ("cat /run/uwsgi-other/pid > {path}", "another user|whose own pidfile is"),
    "symlink": ("ln -s /run/uwsgi-live/pid {path}", "is a symlink"),
    "fifo": ("mkfifo {path}", "not a regular file"),
    "missing": ("true", "no such pidfile"),
}


def test_pidfiles_that_lead_nowhere_are_answers_among_others(host):
    host.check_output("rm -rf /tmp/nowhere && mkdir /tmp/nowhere")
    for name, (command, _why) in NOWHERE.items():
        host.check_output(command.format(path=f"/tmp/nowhere/{name}"))
    before = processes(host)
    named = [{"name": name, "pidfile": f"/tmp/nowhere/{name}"} for name in NOWHERE]
    running = [{"name": name, "pidfile": f"/run/uwsgi-{name}/pid"} for name in ("live", "other")]
    found = look(host, instances=[running[0], *named, running[1]])
    assert [one["name"] for one in found] == ["live", *NOWHERE, "other"]
    assert [one["running"] for one in found] == [True, *[False] * len(NOWHERE), True]
    assert found[-1]["user"]["name"] == "wyz"
    for one in found[1:-1]:
        assert any(part in one["why"] for part in NOWHERE[one["name"]][1].split("|")), one
    assert processes(host) == before


PLAIN = """[uwsgi]
master = true
processes = 2
chdir = /tmp/plain
wsgi-file = app.py
socket = /tmp/plain/socket
pidfile = /tmp/plain/pid
"""


def test_one_that_nobody_of_ours_deployed(host):
    """Started by hand, not lazy, without a stats server."""
    binary = look(host, pidfile="/run/uwsgi-live/pid")[0]["executable"]
    code = "def application(environ, start):\n    start('200 OK', [])\n    return [b'ok']\n"
    for name, text in {"app.py": code, "app.ini": PLAIN}.items():
        packed = base64.b64encode(text.encode()).decode()
        host.check_output(f"mkdir -p /tmp/plain && echo {packed} | base64 -d > /tmp/plain/{name}")
    host.check_output(f"{binary} --ini /tmp/plain/app.ini --daemonize /tmp/plain/log")
    try:
        [found] = awaited(host, lambda found: len(found["workers"]) == 2)
        assert (found["running"], found["stats"], found["stats_answered"]) == (True, None, False)
        assert [found[name] for name in COUNTED] == [None] * len(COUNTED)
        assert found["code_loaded"] == pytest.approx(found["master_started"], abs=0.1)
        assert all(worker["rss"] for worker in found["workers"])
        old = {worker["pid"] for worker in found["workers"]}
        host.check_output(f"kill -HUP {found['master_pid']}")
        [after] = awaited(host, lambda found: len({one["pid"] for one in found["workers"]} - old) == 2)
        assert after["master_pid"] == found["master_pid"]
        # Nothing tells when a master that is not lazy loaded its code anew.
        assert after["code_loaded"] is None
    finally:
        host.run("kill -INT $(cat /tmp/plain/pid)")
    [ended] = awaited(host, lambda found: not found["running"])
    assert "is stale" in ended["why"] or "no such pidfile" in ended["why"]


def awaited(host, holds):
    """The plain instance once this holds of it."""
    for _number in range(50):
        found = look(host, pidfile="/tmp/plain/pid")
        if holds(found[0]):
            return found
        time.sleep(0.2)
    raise AssertionError(found)
