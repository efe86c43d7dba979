"""Commands before and after a release goes live, by hand, and what becomes of a site when they fail."""

import json
import subprocess
import textwrap
import time

import publishing
import pytest
from one_host import HOST, app, get, play, put, sh, site
from visiting import visitors

CANARY = "canary-4f1c9ab2"
# Also on a host on which this ran before, each release is new.
SEED = str(time.time())
APP = """
# {seed}
import os, sqlite3
from flask import Flask
app = Flask(__name__)
VERSION = {version!r}

@app.route("/")
def ledger():
    db = sqlite3.connect(os.environ["LEDGER"], timeout=20)
    rows = db.execute("SELECT {column} FROM notes").fetchall()
    db.close()
    return "version %s: %s" % (VERSION, rows)
"""
# What the old code reads stays until the new one is live: a migration under load only adds.
MIGRATE = """
import os, sqlite3, sys
db = sqlite3.connect(os.environ["LEDGER"], timeout=20)
db.execute("CREATE TABLE IF NOT EXISTS notes (text TEXT)")
if "more" not in [row[1] for row in db.execute("PRAGMA table_info(notes)")] and sys.argv[1:] == ["more"]:
    db.execute("ALTER TABLE notes ADD COLUMN more TEXT DEFAULT 'none'")
db.execute("INSERT INTO notes (text) VALUES ('migrated')")
db.commit()
print("migrated with", os.path.basename(sys.executable), "in", os.getcwd(), "as", os.getuid())
"""


def code(folder, version, column="text", migrate=MIGRATE, **files):
    (folder / "app.py").write_text(APP.format(version=version, column=column, seed=SEED))
    (folder / "migrate.py").write_text(migrate)
    (folder / "requirements.txt").write_text("Flask\n")
    for name, text in files.items():
        (folder / name).write_text(textwrap.dedent(text))
    return folder


def ledger(folder, before=("python migrate.py",), **more):
    environment = {"LEDGER": "/var/lib/ledger/notes.sqlite3", "TOKEN": CANARY}
    wanted = {"source": str(folder), "module": "app", "env": environment, "before_live": list(before)}
    return app("ledger", **{**wanted, **more})


def deploy(one, *words, **variables):
    made = [{"path": "/built/", "app": "ledger", "static": "built"}] if "built" in one.get("writable", ()) else []
    sites = [site("ledger.test", "ledger", locations=[{"path": "/", "app": "ledger"}, *made])]
    status, said = play([one], sites, words, **variables)
    assert CANARY not in said
    return status, said


def ran(said):
    return [line.strip() for line in said.splitlines()]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("ledger")


@pytest.fixture(scope="module", autouse=True)
def published(folder):
    sh("rm -rf /var/lib/ledger && mkdir -m 0777 /var/lib/ledger")
    status, said = deploy(ledger(code(folder, "1")))
    assert status == 0, said
    yield
    assert not sh("ls -d /run/systemd/system/uwsgi-try-* /run/systemd/system/wsgi-run-* 2>/dev/null", check=False)


def runs(words):
    """Whether any process of the host has these words in its command."""
    return words in sh("cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' '", check=False)


def current():
    return sh("readlink /srv/wsgi/ledger/current").strip()


def test_a_migration_runs_before_the_switch_and_no_request_is_lost(folder):
    assert "migrated" in get("ledger.test")[1]
    release = current()
    with visitors("ledger.test"):
        status, said = deploy(ledger(code(folder, "2", "more"), ["python migrate.py more"]))
        assert status == 0, said
    assert get("ledger.test") == (200, "version 2: [('none',), ('none',)]")
    assert current() != release
    user = sh("id -u wsgi-ledger").strip()
    assert f"migrated with python in /srv/wsgi/ledger/{current()} as {user}" in ran(said)
    status, said = deploy(ledger(folder, ["python migrate.py more"]))
    assert status == 0 and "changed=0" in said and "migrated" not in said, said


def test_configuration_or_the_list_alone_run_no_command(folder):
    one = ledger(folder, ["python migrate.py more", "false"], env={"LEDGER": "/var/lib/ledger/notes.sqlite3", "A": "b"})
    status, said = deploy(one)
    assert status == 0 and "migrated" not in said, said
    status, said = deploy(one)
    assert status == 0 and "changed=0" in said, said


def test_check_mode_says_what_would_run_and_runs_nothing(folder):
    before = sh("sha256sum /var/lib/ledger/notes.sqlite3")
    code(folder, "3")
    status, said = deploy(ledger(folder, ["python migrate.py more"], after_live=["true"]), "--check")
    assert status == 0, said
    assert f"[{HOST}] would run ledger: before_live: python migrate.py more" in said
    assert f"[{HOST}] would run ledger: after_live: true" in said
    assert sh("sha256sum /var/lib/ledger/notes.sqlite3") == before


def test_a_failing_migration_leaves_the_old_release_live(folder):
    release, text = current(), get("ledger.test")
    broken = "import os, sys\nprint('step one')\nprint(os.environ['TOKEN'])\nsys.exit('no such table: accounts')\n"
    code(folder, "4", migrate=broken)
    with visitors("ledger.test"):
        status, said = deploy(ledger(folder, ["true", {"command": "python migrate.py", "name": "migrate"}, "touch /x"]))
    assert status == 2, said
    head = "ledger: before_live: migrate failed (status 1); nothing is live of what this run brings"
    assert head in said and "no such table: accounts" in said and "step one" in said, said
    assert (current(), get("ledger.test")) == (release, text)
    # The next run tries again, though the release is there.
    status, said = deploy(ledger(folder, ["python migrate.py"]))
    assert status == 2 and "no such table: accounts" in said, said
    status, said = deploy(ledger(folder, ["true"]))
    assert status == 0 and get("ledger.test")[1].startswith("version 4"), said


def test_a_command_that_takes_too_long_is_ended_with_all_that_it_started(folder):
    code(folder, "5")
    release = current()
    started = time.time()
    command = "sh -c 'setsid sleep 7123 & sleep 7123 & echo begun; exec sleep 7123'"
    status, said = deploy(ledger(folder, [{"command": command, "timeout": 2, "name": "sleeper"}]))
    assert status == 2 and "sleeper was ended after its time limit of 2 s" in said and "begun" in said, said
    assert time.time() - started < 60
    assert not runs("sleep 7123")
    assert current() == release


def test_a_daemon_that_a_command_leaves_ends_with_it(folder):
    code(folder, "6")
    status, said = deploy(ledger(folder, ["sh -c 'setsid sleep 7124 >/dev/null 2>&1 & exit 0'"]))
    assert status == 0, said
    assert not runs("sleep 7124")


def test_a_writable_folder_is_the_accounts_for_a_while_and_roots_again(folder):
    (folder / "static").mkdir(exist_ok=True)
    (folder / "static/brought.css").write_text("a {}")
    code(folder, "7")
    writes = "sh -c 'echo b >static/made.css && echo c >static/brought.css && mkdir built/deep && echo d >built/deep/e'"
    refused = "sh -c 'if touch app.py 2>/dev/null; then exit 9; fi'"
    status, said = deploy(ledger(folder, [writes, refused], writable=["static", "built"]))
    assert status == 0, said
    live = f"/srv/wsgi/ledger/{current()}"
    assert sh(f"cat {live}/static/made.css {live}/static/brought.css {live}/built/deep/e").split() == ["b", "c", "d"]
    assert sh(f"find {live} ! -user root").strip() == ""
    assert not {".new-static", ".old-static", ".new-built"} & set(sh(f"ls -A {live}").split())
    assert get("ledger.test", "/built/deep/e") == (200, "d\n")
    code(folder, "8")
    link = "ln -s /etc/passwd static/passwd"
    status, said = deploy(ledger(folder, [link], writable=["static"]))
    assert status == 0, said
    code(folder, "9")
    status, said = deploy(ledger(folder, ["sh -c 'ln -s /var/lib/ledger/x static/out'"], writable=["static"]))
    assert status == 2 and "writable: out: is a link to /var/lib/ledger/x" in said, said
    assert get("ledger.test")[1].startswith("version 8")


def test_after_live_runs_in_the_live_release_and_is_owed_until_it_has(folder):
    code(folder, "10")
    after = ["sh -c 'pwd -P; test -e /var/lib/ledger/go'"]
    status, said = deploy(ledger(folder, ["true"], after_live=after))
    assert status == 2 and "failed (status 1); the release is live and stays so" in said, said
    assert get("ledger.test")[1].startswith("version 10")
    put("/var/lib/ledger/go", "")
    status, said = deploy(ledger(folder, ["true"], after_live=after))
    assert status == 0 and f"/srv/wsgi/ledger/{current()}" in ran(said), said
    status, said = deploy(ledger(folder, ["true"], after_live=after))
    assert status == 0 and "changed=0" in said, said


def run(command, name="ledger"):
    words = [f"--extra-vars={json.dumps({'app': name, 'command': command})}", "playbooks/run.yml"]
    return publishing.ansible("ansible-playbook", *words)


def test_a_command_by_hand_has_all_that_the_application_has():
    status, said = run("sh -c 'pwd -P; id -un; echo token $TOKEN; echo $VIRTUAL_ENV; command -v python'")
    lines = ran(said)
    assert status == 0 and f"/srv/wsgi/ledger/{current()}" in lines and "wsgi-ledger" in lines, said
    assert f"token {CANARY}" in lines and any(line.endswith("/bin/python") for line in lines), said
    status, said = run("python -c 'import sys; print(\"gone wrong\"); sys.exit(7)'")
    assert status == 2 and "gone wrong" in said and "failed (status 7)" in said, said
    status, said = run("true", "ledgr")
    assert status == 2 and "has no application ledgr; it is left out" in said, said
    assert "app=ledgr: there is no such application on any host of this play; name one of base, ledger." in said, said
    status, said = run("python 'x")
    assert status == 2 and "No closing quotation" in said, said


@pytest.mark.parametrize("program", ["/usr/local/bin/wsgi", "/usr/local/bin/wsgi-old"])
def test_the_hosts_own_command(program):
    if program.endswith("old"):
        # As on a systemd that has neither --pipe nor --wait.
        sh(f"sed 's/-lt 236/-lt 999/' /usr/local/bin/wsgi >{program} && chmod 0755 {program}")
    assert "ledger" in sh(program).split()
    told = sh(f"{program} ledger sh -c 'pwd -P; id -un; echo \"$0 $1 $TOKEN\"' '${{HOME}} $x' \"it's\"").splitlines()
    assert told == [f"/srv/wsgi/ledger/{current()}", "wsgi-ledger", f"${{HOME}} $x it's {CANARY}"]
    assert sh(f"{program} ledger sh -c 'exit 5'; echo $?", check=False).split() == ["5"]
    assert "status 1" in sh(f"{program} ledger touch app.py; echo status $?", check=False)
    assert "there are: base ledger" in sh(f"{program} nope true", check=False)
    sh(f"{program} ledger sh -c 'setsid sleep 7125 >/dev/null 2>&1 & exit 0'")
    assert not runs("sleep 7125")
    if program.endswith("wsgi"):
        assert sh(f"echo through | {program} ledger cat") == "through\n"
        terminal = f"script -qec \"{program} ledger sh -c 'test -t 0 && echo terminal'\" /dev/null"
        assert "terminal" in sh(terminal).split("\0")[-1]
    assert sh("ls -d /run/graceful-wsgi/run.* 2>/dev/null", check=False) == ""


def test_no_secret_is_in_the_process_list_or_the_journal():
    look = "while test -e /var/tmp/look; do cat /proc/[0-9]*/cmdline; done 2>/dev/null | tr '\\0' ' ' >/var/tmp/seen"
    sh("touch /var/tmp/look")
    with subprocess.Popen(["docker", "exec", HOST, "sh", "-c", look]) as watching:
        try:
            sh("wsgi ledger sleep 1.25")
        finally:
            sh("rm /var/tmp/look")
            watching.wait()
    seen = sh("cat /var/tmp/seen; rm /var/tmp/seen")
    assert "sleep 1.25" in seen and CANARY not in seen
    assert CANARY not in sh("journalctl --no-pager --output=export")
