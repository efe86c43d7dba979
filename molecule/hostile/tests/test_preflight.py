"""S8 and S10: new code is tried where it will run and leaves nothing; a configuration is read with its own rights."""

import json
import shlex
import time

import publishing
from one_host import app, get, play, put, sh, site

# Two forks and a session of its own: a daemon that no signal to a group or a session reaches, and that ignores most.
DAEMON = """
import os, signal
def daemon(name):
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        return
    os.setsid()
    if os.fork():
        os._exit(0)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    os.closerange(0, 256)
    os.execv("/bin/sleep", [name, "600"])
daemon("{marker}")
daemon("{marker}")
"""
# What the unit gives, read while the code is imported.
LOOKS = """
status = dict(line.split(":", 1) for line in open("/proc/self/status") if ":" in line)
assert status["NoNewPrivs"].strip() == "1", "no sandbox"
assert not os.path.exists("/tmp/preflight-seen"), "no /tmp of its own"
assert not os.access("/etc/preflight-hidden", os.R_OK), "InaccessiblePaths"
assert os.environ["FROM_FILE"] == "from the file"
assert os.environ["FROM_UNIT"] == "from the unit"
open("/var/lib/tried/state", "a").close()
assert os.path.exists(os.environ["RUN"] + "/made")
"""
ANSWERS = """
def app(environ, start_response):
    start_response("200 OK", [])
    return [b"{text}"]
"""
UNIT = {
    "EnvironmentFile": "/etc/preflight.env",
    "Environment": ["FROM_UNIT='from the unit'", "RUN=/run/uwsgi-%i"],
    "StateDirectory": "tried",
    "InaccessiblePaths": "/etc/preflight-hidden",
    "ExecStartPre": "/bin/touch /run/uwsgi-%i/made",
}


def daemons(marker):
    """{pid: cgroup} of the processes of this name."""
    look = (
        "import glob\n"
        "for path in glob.glob('/proc/[0-9]*/cmdline'):\n"
        "    try:\n"
        f"        if open(path, 'rb').read().startswith(b'{marker}\\0'):\n"
        "            print(path.split('/')[2], open(path[:-7] + 'cgroup').read().strip().replace('\\n', ' '))\n"
        "    except OSError: pass\n"
    )
    return dict(line.split(" ", 1) for line in sh(f"python3 -c {shlex.quote(look)}").splitlines())


def survivors(marker, unit="no unit"):
    """Those that are not in this unit, which may have started its own."""
    return {pid: group for pid, group in daemons(marker).items() if unit not in group}


def left():
    return sh("ls -d /run/systemd/system/uwsgi-try-* /run/uwsgi-try-* /run/graceful-wsgi/try/*/ 2>/dev/null || true")


def code(folder, *parts, marker="none", text="none"):
    folder.mkdir(exist_ok=True)
    (folder / "manage.py").write_text("".join(parts).replace("{marker}", marker).replace("{text}", text))
    return str(folder)


def tried(folder, **more):
    given = {"source": folder, "requirements": None, "service_options": UNIT, **more}
    return play([app("tried", **given)], [site("tried.test", "tried")], publish_set="tried")


def test_new_code_is_tried_in_its_own_units_settings_and_leaves_nothing(tmp_path):
    put("/etc/preflight.env", "FROM_FILE='from the file'\n", mode="0600")
    put("/etc/preflight-hidden", "x")
    put("/tmp/preflight-seen", "x")
    folder = tmp_path / "code"
    status, said = tried(code(folder, DAEMON, LOOKS, ANSWERS, marker="wakes-one", text="one"))
    assert status == 0, said
    assert get("tried.test") == (200, "one")
    assert survivors("wakes-one", "uwsgi@tried.service") == {}
    assert left() == ""

    # What comes up only to fail leaves no more, and its traceback is told.
    status, said = tried(code(folder, DAEMON, LOOKS, "raise RuntimeError('not today')\n", marker="wakes-two"))
    assert status != 0
    assert "RuntimeError: not today" in said
    assert survivors("wakes-two") == {}
    assert left() == ""
    assert get("tried.test") == (200, "one")

    # The sandbox alone decides: what it forbids does not load, whatever its code.
    code(folder, DAEMON, LOOKS, ANSWERS, marker="wakes-one", text="one")
    status, said = tried(str(folder), service_options={**UNIT, "EnvironmentFile": "/etc/preflight.none"})
    assert status != 0
    assert "Failed to load environment files" in said
    assert get("tried.test") == (200, "one")


MALLORY = """
[uwsgi]
master = true
processes = 1
socket = /home/mallory/u.sock
pidfile = /home/mallory/u.pid
daemonize = /home/mallory/u.log
wsgi-file = /home/mallory/wsgi.py
"""
CANARY = "canary-3f1c9a"
INI = "/home/mallory/u.ini"


def mallory(command, **more):
    return sh(command, user="mallory", **more)


def reload(**more):
    given = json.dumps({"pidfile": "/home/mallory/u.pid", "timeout": 20, **more})
    return publishing.ansible("ansible", "all", "-vvv", "--module-name=graceful.wsgi.uwsgi_reload", f"--args={given}")


def test_what_an_account_cannot_read_its_configuration_does_not_show(tmp_path):
    put("/root/.my.cnf", f"[client]\npassword = {CANARY}\n[uwsgi]\nset = secret={CANARY}\n", mode="0600")
    put("/root/secret.json", json.dumps({"uwsgi": {"set": CANARY}}) + CANARY, mode="0600")
    put("/home/mallory/wsgi.py", ANSWERS.replace("def app", "def application"), "mallory:mallory")
    put(INI, MALLORY, "mallory:mallory")
    mallory(f"/opt/uwsgi/current/bin/uwsgi --ini {INI}")
    loot = "while :; do cat /tmp/graceful-wsgi-*/* /run/graceful-wsgi/try/*/*/* 2>/dev/null; done >> /home/mallory/loot"
    mallory(f"nohup sh -c {shlex.quote(loot)} >/dev/null 2>&1 & echo $! > /home/mallory/looter")
    time.sleep(1)
    try:
        for lines in (
            "ini = /root/.my.cnf:client\n",
            "ini = /home/mallory/link.ini:client\n",
            "ini = /home/mallory/folder/.my.cnf\n",
            "json = /root/secret.json\n",
            None,
        ):
            mallory("ln -sfn /root/.my.cnf /home/mallory/link.ini; ln -sfn /root /home/mallory/folder")
            if lines is None:
                mallory(f"ln -sfn /root/.my.cnf {INI}")
            else:
                put(INI, MALLORY + lines, "mallory:mallory")
            status, said = reload()
            assert status != 0, (lines, said)
            assert "Permission denied" in said, (lines, said)
            assert CANARY not in said, lines
            mallory(f"rm {INI}")
        # No more do the words of a program that only calls itself uWSGI.
        words = "--pidfile=/home/mallory/fake.pid --ini=/root/.my.cnf:client --wsgi-file=/home/mallory/wsgi.py"
        mallory("cp /bin/bash /home/mallory/uwsgi-fake")
        fake = "echo $$ > /home/mallory/fake.pid; (sleep 60; :); :"
        mallory(f"nohup /home/mallory/uwsgi-fake -c {shlex.quote(fake)} {words} >/dev/null 2>&1 &")
        time.sleep(1)
        status, said = reload(pidfile="/home/mallory/fake.pid")
        assert status != 0
        assert "Permission denied" in said, said
        assert CANARY not in said
        # With a good one it goes on as ever; its code leaves no daemon, though no unit is there to end it with.
        put(INI, MALLORY, "mallory:mallory")
        daemon = DAEMON.replace("{marker}", "wakes-by-hand")
        put("/home/mallory/wsgi.py", daemon + ANSWERS.replace("def app", "def application"))
        status, said = reload()
        assert status == 0, said
        assert "loaded in" in said
        # The live one's own two, and no more.
        assert len(daemons("wakes-by-hand")) == 2
        status, said = reload(preflight_config="/home/mallory/link.ini")
        assert status != 0
        assert CANARY not in said
        assert CANARY not in sh("cat /home/mallory/loot")
    finally:
        mallory("kill $(cat /home/mallory/looter); kill -9 $(cat /home/mallory/u.pid)", check=False)
        sh("".join(f"kill -9 {pid};" for pid in daemons("wakes-by-hand")) + "true")
