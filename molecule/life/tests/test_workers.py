"""Workers and timers: what they do beside an application, and what becomes of them and of visitors in each deploy."""

import hashlib
import re
import time

import publishing
import pytest
import yaml
from one_host import HOST, app, get, play, put, sh, site
from visiting import visitors

CANARY = "canary-9b71d0aa"
SEED = str(time.time())
QUEUE = "/srv/wsgi/ledger/shared/queue"
APP = """
# {seed}
from flask import Flask
app = Flask(__name__)
VERSION = {version!r}

@app.route("/")
def home():
    return "version " + VERSION
"""
# Takes one job after the other, and finishes the one that it is at when it is told to end.
WORKER = """
import hashlib, os, signal, sys, time
from app import VERSION

ending, number = [], sys.argv[1]
signal.signal(signal.SIGTERM, lambda *_: ending.append(True))
print("worker", number, "begins with version", VERSION, "and", os.environ["TOKEN"])
while not ending:
    for name in sorted(os.listdir("queue")):
        mine = "queue/%s.%s" % (name, number)
        if not name.endswith(".job"):
            continue
        try:
            os.rename("queue/" + name, mine)
        except OSError:
            continue
        with open(mine) as job:
            time.sleep(float(job.read() or 0))
        token = hashlib.sha256(os.environ["TOKEN"].encode()).hexdigest()
        told = [VERSION, number, token, os.getcwd(), str(os.getuid())]
        with open(mine + ".part", "w") as target:
            target.write(" ".join(told))
        os.rename(mine + ".part", "queue/%s.done" % name[:-4])
        os.unlink(mine)
        break
    time.sleep(0.05)
print("worker", number, "has finished")
"""
DYING = "import os, sys, time\ntime.sleep(1)\nsys.exit('no broker for ' + os.environ['TOKEN'])\n"
TICK = """
import re
found = re.search("VERSION = '(.*)'", open("app.py").read())
open("queue/ticked", "a").write(found.group(1) + " ")
"""


def code(folder, version, worker=WORKER):
    (folder / "app.py").write_text(APP.format(version=version, seed=SEED))
    (folder / "worker.py").write_text(worker)
    (folder / "tick.py").write_text(TICK)
    (folder / "requirements.txt").write_text("Flask\n")
    return folder


def ledger(folder, count=2, **more):
    worker = {"name": "jobs", "command": "python worker.py {number}", "count": count, "stop_timeout": 30}
    timer = {"name": "tick", "command": "python tick.py", "schedule": "*:*:0/5", "time_limit": 20}
    wanted = {"source": str(folder), "module": "app", "shared": ["queue/"], "secrets": {"TOKEN": CANARY}}
    return app("ledger", **{**wanted, "workers": [worker], "timers": [timer], **more})


def deploy(one, *words, **variables):
    status, said = play([one], [site("ledger.test", "ledger")], words, **variables)
    assert CANARY not in said
    return status, said


def do(name, seconds=""):
    """Have a job done; what is told of it."""
    put(f"{QUEUE}/{name}.part", str(seconds), mode="0666")
    sh(f"chmod 0777 {QUEUE}; mv {QUEUE}/{name}.part {QUEUE}/{name}.job")


def told(name, limit=20):
    end = time.time() + limit
    while time.time() < end:
        said = sh(f"cat {QUEUE}/{name}.done 2>/dev/null", check=False).split()
        if said:
            return said
        time.sleep(0.2)
    raise AssertionError(f"nobody has done {name}: " + sh("journalctl -u 'wsgi-ledger-jobs@*' -n 40", check=False))


def shown(unit, *names):
    return [sh(f"systemctl show -p {name} {unit}").strip().partition("=")[2] for name in names]


def processes():
    """{pid: folder} of what runs worker.py, as its account sees it: root may not look there in a container."""
    command = "for p in /proc/[0-9]*; do grep -qsa '[w]orker.py' $p/cmdline && echo ${p##*/} $(readlink $p/cwd); done"
    found = sh(command + "; true", user="wsgi-ledger").splitlines()
    return dict(line.split() for line in found if len(line.split()) == 2)


def ticked(times):
    """What the timer's job has written, once it has done so this often."""
    sh(f"rm -f {QUEUE}/ticked")
    end, found = time.time() + 30, []
    while len(found) < times and time.time() < end:
        time.sleep(0.5)
        found = sh(f"cat {QUEUE}/ticked 2>/dev/null", check=False).split()
    return found[:times]


def current():
    return sh("readlink -f /srv/wsgi/ledger/current").strip()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("ledger")


@pytest.fixture(scope="module", autouse=True)
def published(folder):
    status, said = deploy(ledger(code(folder, "1")))
    assert status == 0, said
    assert "wsgi-ledger-jobs@2" in sh("systemctl list-units --plain 'wsgi-ledger-*'")


def test_two_processes_do_the_jobs_as_the_application_does(folder):
    do("slow", 2)
    do("quick")
    version, number, token, where, user = told("quick", 5)
    first = told("slow")
    assert (version, where) == ("1", current()) and user == sh("id -u wsgi-ledger").strip()
    assert token == hashlib.sha256(CANARY.encode()).hexdigest()
    assert {number, first[1]} == {"1", "2"}
    for unit in ("wsgi-ledger-jobs@1.service", "wsgi-ledger-jobs@2.service", "wsgi-ledger-tick.timer"):
        assert sh(f"systemctl is-enabled {unit}").strip() == "enabled"
    # Its sandbox is the application's.
    names = ("NoNewPrivileges", "ProtectSystem", "PrivateTmp", "LimitNOFILE", "User", "PrivateDevices")
    web = shown("uwsgi@ledger.service", *names)
    assert shown("wsgi-ledger-jobs@1.service", *names) == web == shown("wsgi-ledger-tick.service", *names)
    assert CANARY not in sh("cat /proc/[0-9]*/cmdline | tr '\\0' ' '", check=False)
    assert CANARY not in sh("cat /etc/systemd/system/wsgi-ledger-* /var/lib/graceful-wsgi/background/*")


def test_a_second_run_changes_nothing_and_leaves_them_alone(folder):
    before = processes()
    assert len(before) == 2
    status, said = deploy(ledger(folder))
    assert status == 0 and "changed=0" in said, said
    assert processes() == before


def test_the_timer_runs_and_runs_again():
    assert ticked(2) == ["1", "1"]


def test_check_mode_says_what_would_be_done(folder):
    before = processes()
    status, said = deploy(ledger(code(folder, "2"), count=1), "--check", "--diff")
    assert status == 0, said
    assert "wsgi-ledger-jobs@1: restart" in said and "wsgi-ledger-jobs@2: stop" in said, said
    assert processes() == before


def test_a_new_release_restarts_them_once_they_have_finished_and_no_request_fails(folder):
    do("begun", 8)
    time.sleep(1)
    with visitors("ledger.test"):
        status, said = deploy(ledger(code(folder, "2")))
    assert status == 0, said
    # What was begun with the old code was brought to its end with it.
    assert told("begun")[0] == "1"
    do("next")
    assert told("next")[0] == "2"
    assert set(processes().values()) == {current()} and len(processes()) == 2
    assert ticked(1) == ["2"]


def test_a_changed_secret_reaches_them_with_no_new_code(folder):
    before = processes()
    status, said = deploy(ledger(folder, secrets={"TOKEN": CANARY + "2"}))
    assert status == 0, said
    do("secret")
    assert told("secret")[2] == hashlib.sha256((CANARY + "2").encode()).hexdigest()
    assert not set(before) & set(processes())


def test_a_worker_that_dies_fails_the_deploy_and_all_goes_back_with_no_request_lost(folder):
    release, before = current(), get("ledger.test")
    with visitors("ledger.test"):
        status, said = deploy(ledger(code(folder, "3", DYING), secrets={"TOKEN": CANARY + "2"}))
    assert status == 2, said
    assert re.search(r"ledger: the worker jobs does not stay up: wsgi-ledger-jobs@\d\.service ended after", said), said
    assert "no broker for (hidden)" in said and "Live again as it was: ledger" in said, said
    assert "NOT as it was" not in said, said
    assert (current(), get("ledger.test")) == (release, before)
    do("back")
    assert told("back")[0] == "2"
    assert set(processes().values()) == {release} and len(processes()) == 2
    # The next run has nothing left to mend.
    status, said = deploy(ledger(code(folder, "2"), secrets={"TOKEN": CANARY + "2"}))
    assert status == 0 and "changed=0" in said, said


def test_a_run_that_fails_once_all_is_up_gives_back_the_workers_of_before(folder, tmp_path):
    secrets, release = {"TOKEN": CANARY + "2"}, current()
    before = processes()
    hook = tmp_path / "after_reload.yml"
    hook.write_text("- name: Say no\n  ansible.builtin.fail:\n    msg: not today\n")
    others = [{"name": "others", "command": "python worker.py {number}", "count": 2, "stop_timeout": 30}]
    with visitors("ledger.test"):
        status, said = deploy(
            ledger(code(folder, "5"), secrets=secrets, workers=others), publish_after_reload=[str(hook)]
        )
    assert status == 2 and "Live again as it was: ledger" in said and "NOT as it was" not in said, said
    assert "publish_after_reload: the task Say no failed" in said, said
    assert current() == release
    # Those of the other name had been up, and the former ones had ended.
    units = sh("systemctl list-units --plain --no-legend 'wsgi-ledger-*@*'")
    assert "wsgi-ledger-jobs@1.service" in units and "wsgi-ledger-jobs@2.service" in units, units
    assert "others" not in units + sh("ls /etc/systemd/system /etc/systemd/system/*.wants")
    assert set(processes().values()) == {release} and len(processes()) == 2 and not set(before) & set(processes())
    do("after_all")
    assert told("after_all")[0] == "2"
    status, said = deploy(ledger(code(folder, "2"), secrets=secrets))
    assert status == 0 and "changed=0" in said, said


def test_the_release_of_a_job_that_takes_its_time_stays(folder):
    secrets, release = {"TOKEN": CANARY + "2"}, current()
    # As a timer's job stands in it.
    where = "-p WorkingDirectory=/srv/wsgi/ledger/current"
    sh(f"systemd-run --unit=long-job --uid=wsgi-ledger {where} /bin/sleep 600")
    try:
        for version in ("2.1", "2.2"):
            status, said = deploy(ledger(code(folder, version), secrets=secrets), publish_keep_releases=2)
            assert status == 0, said
        sh(f"test -x {release}/.venv/bin/python")
    finally:
        sh("systemctl stop long-job")
    status, said = deploy(ledger(code(folder, "2"), secrets=secrets))
    assert status == 0, said


def test_a_killed_worker_is_back_by_itself():
    sh("systemctl kill -s KILL wsgi-ledger-jobs@1.service")
    time.sleep(6)
    assert len(processes()) == 2


def test_what_is_named_no_more_is_stopped_disabled_and_removed(folder):
    status, said = deploy(ledger(code(folder, "4"), count=1, timers=[]))
    assert status == 0, said
    assert len(processes()) == 1
    assert "wsgi-ledger-jobs@2" not in sh("ls /etc/systemd/system/*.wants; systemctl list-units --all 'wsgi-ledger*'")
    assert not sh("ls /etc/systemd/system/*tick* /etc/systemd/system/*.wants/*tick* 2>/dev/null", check=False)
    assert sh("systemctl is-active wsgi-ledger-tick.timer", check=False).strip() == "inactive"
    status, said = deploy(ledger(folder, count=1, timers=[]))
    assert status == 0 and "changed=0" in said, said


def test_the_status_lists_them():
    status, said = play(playbook="playbooks/status.yml")
    assert status == 0 and re.search(r"wsgi-ledger-jobs@1\.service: active since", said), said


def test_reloading_by_hand_restarts_them(folder):
    before = processes()
    one = ledger(folder, count=1, timers=[])
    status, said = play([one], [site("ledger.test", "ledger")], playbook="playbooks/reload.yml")
    assert status == 0, said
    assert len(processes()) == 1 and not set(before) & set(processes())


def test_the_way_back_takes_them_too(folder):
    with visitors("ledger.test"):
        status, said = play(
            [ledger(folder, count=1, timers=[])],
            [site("ledger.test", "ledger")],
            ["-e", "app=ledger"],
            playbook="playbooks/rollback.yml",
        )
    assert status == 0, said
    do("earlier")
    assert told("earlier")[0] == "2"
    assert set(processes().values()) == {current()}


def test_the_recipe_of_the_guide_runs_as_it_stands(tmp_path):
    text = (publishing.CHECKOUT / "docs/guide/workers.md").read_text()
    given = re.search(r"(?s)```yaml\n(.*?)```", text)[1].replace("{{ inventory_dir }}", str(tmp_path))
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop/requirements.txt").write_text("Flask\n")
    for name, code_of in re.findall(r"(?s)`shop/(\w+\.py)` .*?```python\n(.*?)```", text):
        (tmp_path / "shop" / name).write_text(code_of)
    assert len(list((tmp_path / "shop").iterdir())) == 4
    recipe = yaml.safe_load(given)
    for _run in range(2):
        status, said = play([], [], publish_set="recipe", **recipe)
        assert status == 0, said
    assert "changed=0" in said, said
    assert get("shop.example.com") == (200, "0 orders are done")
    name = get("shop.example.com", "/order")[1]
    end = time.time() + 20
    while get("shop.example.com") != (200, "1 orders are done"):
        assert time.time() < end, sh("journalctl -n 40 -u 'wsgi-shop-orders@*'", check=False)
    assert f"does {name}" in sh("journalctl -n 40 -u 'wsgi-shop-orders@*'")
    sh("systemctl start wsgi-shop-tidy")
    assert "tidied up" in sh("journalctl -n 40 -u wsgi-shop-tidy")
    status, said = play(playbook="playbooks/remove.yml", remove_apps=["shop"])
    assert status == 0 and "wsgi-shop" not in sh("systemctl list-units --all 'wsgi-shop*'"), said


def test_they_go_with_the_application(folder):
    status, said = play(playbook="playbooks/remove.yml", remove_apps=["ledger"])
    assert status == 0, said
    assert not processes()
    left = "ls -d /etc/systemd/system/wsgi-ledger* /etc/systemd/system/*.wants/wsgi-ledger* 2>/dev/null"
    assert not sh(left + " /var/lib/graceful-wsgi/background/ledger.json", check=False)
    assert HOST and "wsgi-ledger" not in sh("systemctl list-units --all 'wsgi-ledger*'")
