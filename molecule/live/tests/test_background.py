"""What runs beside the workers is part of what a play claims: it is new after a deploy, loses nothing, or fails it."""

import json
import re
import time

import pytest
from one_host import get, play, put, sh, site

# Each process says which release it is of and where it stands.
WEB = """
import os, uwsgi
from flask import Flask
import shared
app = Flask(__name__)

if os.environ.get("TIMERS"):
    # As uwsgidecorators does it.
    number = [n for n in range(256) if not uwsgi.signal_registered(n)][0]
    def tick(_number):
        with open("/var/lib/back/timer", "a") as out:
            out.write("timer {release}\\n")
    uwsgi.register_signal(number, "", tick)
    uwsgi.add_timer(number, 1)

@app.route("/")
def index():
    return "{release} " + shared.RELEASE

@app.route("/mule/<name>")
def mule(name):
    uwsgi.mule_msg(name.encode())
    return "{release}"

@app.route("/spool/<name>")
def spool(name):
    uwsgi.spool({{b"name": name.encode()}})
    return "{release}"
"""
SHARED = "RELEASE = '{release}'\n"
NOTE = """#!/usr/bin/python3
import os, time
def note(text):
    with open("/var/lib/back/" + text.split()[0], "a") as out:
        out.write(text + "\\n")
"""
MULE = NOTE + """
import uwsgi
note("mule {release} " + os.getcwd())
while True:
    message = uwsgi.mule_get_msg()
    time.sleep(0.1)
    note("heard {release} " + message.decode())
"""
TASKS = NOTE + """
import uwsgi
def work(args):
    name = args[b"name"].decode()
    note("begun {release} " + name)
    time.sleep(2 if name.startswith("long") else 0.05)
    note("spooled {release} " + name)
    return uwsgi.SPOOL_OK
uwsgi.spooler = work
"""
DAEMON = NOTE + """
import socket
note("daemon {release} " + os.getcwd())
server = socket.socket()
server.bind(("127.0.0.1", 7411))
time.sleep(100000)
"""
SMART = NOTE + 'note("smart {release} " + os.getcwd())\ntime.sleep(100000)\n'
TICK = NOTE + 'note("tick {release} " + os.getcwd())\n'
DYING = "#!/bin/sh\necho the queue cannot be reached; exit 3\n"
# Asks for pages of all applications until it is told to stop, and counts what was no answer of theirs.
LOAD = """
import http.client, json, os, threading, time
wrong, sent = [], {"mule": [], "spool": []}
def ask(host, path):
    try:
        link = http.client.HTTPConnection("127.0.0.1", 80, timeout=30)
        link.request("GET", path, headers={"Host": host})
        answer = link.getresponse()
        text = answer.read().decode("utf-8", "replace")
        if answer.status != 200:
            wrong.append([host, path, answer.status])
        return answer.status == 200
    except OSError as error:
        wrong.append([host, path, repr(error)])
def client(host):
    number = 0
    while not os.path.exists("/tmp/stop"):
        number += 1
        ask(host, "/")
        if host == "cross.test" and number % 8 == 0:
            kind = ("mule", "spool")[number // 8 % 2]
            name = "%s%d" % ("long" if number % 400 == 8 else "short", number)
            if ask(host, "/%s/%s" % (kind, name)):
                sent[kind].append(name)
        time.sleep(0.01)
hosts = ("cross.test", "daemons.test", "eager.test", "timers.test")
threads = [threading.Thread(target=client, args=(host,)) for host in hosts]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
json.dump({"wrong": wrong, "sent": sent}, open("/tmp/load.json", "w"))
"""
OPTIONS = {
    "cross": {
        "mule": "mule.py",
        "spooler": "/var/lib/back/spool",
        "spooler-frequency": 1,
        "spooler-import": "tasks",
        "cron": "-1 -1 -1 -1 -1 ./tick.py",
        "shared-import": "shared",
    },
    "daemons": {"attach-daemon": "./daemon.py", "smart-attach-daemon2": "/run/uwsgi-daemons/smart.pid ./smart.py"},
    "eager": {"lazy-apps": False},
    "timers": {},
}

# What was published last.
LAST = {}


def publish(folder, release, options=None, **files):
    """Publish this release of all applications; ``files``: what is otherwise in it."""
    found = {"web.py": WEB, "shared.py": SHARED, "mule.py": MULE, "tasks.py": TASKS}
    found.update({"daemon.py": DAEMON, "smart.py": SMART, "tick.py": TICK, "dying.py": ""})
    folder = folder / release
    folder.mkdir()
    for name, text in found.items():
        text = files.get(name.partition(".")[0]) or text
        text = text.replace("{release}", release).replace("{{", "{").replace("}}", "}")
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    code = {"source": str(folder), "module": "web", "requirements": ["flask"], "user": "back"}
    apps = [{"name": name, "options": given, **code} for name, given in (options or OPTIONS).items()]
    apps[-1]["env"] = {"TIMERS": "1"}
    LAST.update(apps=apps, sites=[site(f"{name}.test", name) for name in OPTIONS])
    return play(**LAST)


def noted(name):
    return [line.split()[1:] for line in sh(f"cat /var/lib/back/{name} 2>/dev/null || true").splitlines()]


def running(word):
    """The folders in which processes with this word in their command line stand."""
    command = (
        "for p in /proc/[0-9]*; do tr '\\0' ' ' < $p/cmdline | grep -q '^[^ ]*python3 .*%s'"
        " && setpriv --reuid back --regid back --clear-groups readlink $p/cwd; done 2>/dev/null; true"
    )
    return sh(command % word).split()


@pytest.fixture(scope="module")
def load(tmp_path_factory):
    sh("id back >/dev/null 2>&1 || useradd --system back")
    sh("install -d -o back -g back /var/lib/back; find /var/lib/back -type f -delete")
    put("/tmp/load.py", LOAD)
    return tmp_path_factory.mktemp("back")


def under_load(call):
    """What a call returns, and what went wrong for clients meanwhile."""
    sh("rm -f /tmp/stop /tmp/load.json; nohup python3 /tmp/load.py >/tmp/load.out 2>&1 &")
    try:
        time.sleep(2)
        told = call()
        time.sleep(1)
    finally:
        sh("touch /tmp/stop; while [ ! -e /tmp/load.json ]; do sleep 0.2; done")
    return told, json.loads(sh("cat /tmp/load.json"))


def test_a_deploy_renews_all_and_loses_nothing(load):
    status, said = publish(load, "one")
    assert status == 0, said
    assert get("eager.test")[1] == get("cross.test")[1] == get("daemons.test")[1] == "one one"
    (status, said), counted = under_load(lambda: publish(load, "two"))
    assert status == 0, said
    assert counted["wrong"] == []
    assert get("eager.test")[1] == get("cross.test")[1] == get("daemons.test")[1] == "two two"
    # What the code was asked to do is done, once each, whichever release did it.
    time.sleep(5)
    for kind, name in (("mule", "heard"), ("spool", "spooled")):
        done = [what for _release, what in noted(name)]
        assert sorted(done) == sorted(counted["sent"][kind]), kind
        assert len(done) > 10
    assert sorted(noted("begun")) == sorted(noted("spooled"))
    current = sh("readlink -f /srv/wsgi/cross/current").strip()
    assert noted("mule")[-1] == ["two", current]
    current = sh("readlink -f /srv/wsgi/daemons/current").strip()
    assert noted("daemon")[-1] == noted("smart")[-1] == ["two", current]
    assert running("daemon.py") == running("smart.py") == [current]
    # Nothing of the first release ticks on, and no timer twice.
    sh("rm /var/lib/back/timer; sleep 3.5")
    assert {release for release, in noted("timer")} == {"two"}
    assert len(noted("timer")) <= 2 * 5


def test_what_dies_again_and_again_goes_back(load):
    """Both ways to take new code up: one instance beside another, and one SIGHUP for all of it."""
    status, said = publish(load, "three", daemon=DYING)
    assert status != 0
    assert re.search(r"daemons: the attached daemon './daemon.py' (dies again and again|does not stay up)", said), said
    assert "the queue cannot be reached" in said
    assert get("eager.test")[1] == get("cross.test")[1] == get("daemons.test")[1] == "two two"
    current = sh("readlink -f /srv/wsgi/daemons/current").strip()
    assert noted("daemon")[-1] == ["two", current] and running("daemon.py") == [current]
    # A mule that is new in the configuration; no request of the others is lost on the way there and back.
    more = dict(OPTIONS, cross=dict(OPTIONS["cross"], mule=["mule.py", "dying.py"]))
    (status, said), counted = under_load(lambda: publish(load, "four", more, dying="raise SystemError('no broker')\n"))
    assert status != 0 and counted["wrong"] == []
    assert "cross: a mule dies again and again" in said and "no broker" in said, said
    assert get("eager.test")[1] == get("cross.test")[1] == get("daemons.test")[1] == "two two"
    assert noted("mule")[-1] == ["two", sh("readlink -f /srv/wsgi/cross/current").strip()]
    count = "grep -c 'no broker' /var/log/uwsgi/cross/server.log"
    before = sh(count)
    time.sleep(2)
    assert sh(count) == before


def test_a_reload_by_name_renews_them_too(load):
    before = {name: noted(name) for name in ("mule", "daemon", "smart")}
    (status, said), counted = under_load(lambda: play(playbook="playbooks/reload.yml", **LAST))
    assert status == 0, said
    assert counted["wrong"] == []
    for name, lines in before.items():
        assert len(noted(name)) > len(lines), name
    assert len(running("daemon.py")) == len(running("smart.py")) == 1


def test_a_master_that_is_killed_is_started_at_once(load):
    killed = float(sh("cut -d' ' -f1 /proc/uptime; kill -9 $(systemctl show -p MainPID --value uwsgi@eager.service)"))
    began = time.time()
    while get("eager.test")[0] != 200:
        assert time.time() - began < 20
    started = sh("systemctl show -p ExecMainStartTimestampMonotonic --value uwsgi@eager.service")
    # It was 2 s, before the code was even loaded.
    assert 0 <= int(started) / 1e6 - killed < 1.5
