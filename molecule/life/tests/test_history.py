"""Releases and their history, the way back to one of them under requests, and who may work on a set at a time."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time

import publishing
import pytest
from one_host import HOST, get, play, put, sh, site

CODE = """\
RELEASE = {release!r}
def app(environ, start):
    start("200 OK", [("Content-Type", "text/plain")])
    return [RELEASE.encode()]
"""
FAIL = """\
- name: Find it wanting
  ansible.builtin.fail:
    msg: not as it was agreed, canary-77
"""
# Asks again and again until its own file is gone, and tells how many answers were none.
LOAD = """\
import http.client, json, os, threading, time
good, bad, lock = {}, [], threading.Lock()
def ask():
    while os.path.exists("/var/tmp/load.py"):
        try:
            c = http.client.HTTPConnection("127.0.0.1", 80, timeout=20)
            c.request("GET", "/", headers={"Host": "history.test"})
            a = c.getresponse()
            text = a.read().decode()
            with lock:
                if a.status == 200:
                    good[text] = good.get(text, 0) + 1
                else:
                    bad.append(a.status)
        except Exception as error:
            with lock:
                bad.append(repr(error))
        time.sleep(0.01)
threads = [threading.Thread(target=ask) for _ in range(4)]
[t.start() for t in threads]
[t.join() for t in threads]
open("/var/tmp/load.json", "w").write(json.dumps([good, bad]))
"""
RECORDS = "/srv/wsgi/history/releases/.records"
LOCKS = "/run/graceful-wsgi/plays"


class Trial:
    """An application whose code says which release it is."""

    def __init__(self, folder):
        self.folder = folder
        (folder / "code").mkdir()
        (folder / "fail.yml").write_text(FAIL)
        app = {"name": "history", "source": str(folder / "code"), "module": "manage", "requirements": ["bottle"]}
        self.apps, self.sites = [app], [site("history.test", "history")]

    def publish(self, code, words=(), **variables):
        text = code if "\n" in code else CODE.format(release=code)
        (self.folder / "code/manage.py").write_text(text)
        return play(self.apps, self.sites, words, **variables)

    def book(self, name, *words, **variables):
        extra = [word for one in words for word in ("-e", one)]
        return play(self.apps, self.sites, extra, playbook=f"playbooks/{name}.yml", **variables)


@pytest.fixture(scope="module")
def trial(tmp_path_factory):
    made = Trial(tmp_path_factory.mktemp("history"))
    yield made
    play(playbook="playbooks/remove.yml", remove_apps=["history"], remove_data=True)


def current():
    return sh("readlink /srv/wsgi/history/current").strip().rpartition("/")[2]


def unchanged(said):
    return "changed=0" in said and "failed=0" in said


@pytest.fixture(scope="module")
def three(trial):
    """Three releases that were live, in their order, and the words of the history after one more that was not."""
    ids = []
    for release in ("one", "two", "three"):
        status, said = trial.publish(release)
        assert status == 0, said
        ids.append(current())
    assert len(set(ids)) == 3
    status, said = trial.publish("import nowhere_to_be_found\n")
    assert status == 2 and current() == ids[2], said
    return ids


def test_history_tells_what_is_live_what_was_and_what_failed_and_why(trial, three):
    status, said = trial.book("history", "app=history")
    assert status == 0 and unchanged(said), said
    lines = [line.split() for line in said.splitlines()]
    found = {words[0]: words for words in lines if len(words) > 4 and words[1] in ("live", "earlier", "failed")}
    one, two, three_ = (name[:12] for name in three)
    assert [found[name][1] for name in (one, two, three_)] == ["earlier", "earlier", "live"], said
    assert sorted(words[1] for words in found.values()) == ["earlier", "earlier", "failed", "live"]
    by = found[three_][4]
    assert by.endswith(f"@{socket.gethostname()}") and found[three_][5] == str(trial.folder / "code")
    assert "failed (verify):" in said and "nowhere_to_be_found" in said
    # Root's alone.
    assert sh(f"stat -c '%a %U' {RECORDS} {RECORDS}/*.json | sort -u").split("\n")[:2] == ["600 root", "700 root"]
    assert trial.book("history", "app=none")[0] == 2


def test_a_release_that_failed_after_the_switch_says_at_which_task(trial, three):
    hooks = {"publish_after_reload": [str(trial.folder / "fail.yml")]}
    status, said = trial.publish("four", **hooks)
    assert status == 2 and current() == three[2], said
    said = trial.book("history")[1]
    assert "failed (Report the task that failed): publish_after_reload: the task Find it wanting failed" in said, said
    # Of those that never were live two are kept, whatever is kept of the others.
    for release in ("five", "six"):
        assert trial.publish(release, **hooks)[0] == 2
    told = trial.book("history")[1]
    # The first one had to go for them.
    assert told.count(" failed  ") == 3 and told.count(" removed ") == 1, told
    assert trial.publish("three", publish_keep_releases=3)[0] == 0
    names = sh("ls /srv/wsgi/history/releases").split()
    assert set(three) <= set(names) and len(names) == 5, names
    assert trial.book("history")[1].count(" removed ") == 2


def test_the_way_back_loses_no_request_and_site_yml_goes_forward_again(trial, three):
    put("/var/tmp/load.py", LOAD)
    subprocess.run(["docker", "exec", "-d", HOST, "python3", "/var/tmp/load.py"], check=True)
    time.sleep(1)
    # By whatever code there is now: the way back is on the host.
    (trial.folder / "code/manage.py").write_text("this is no Python\n")
    status, said = trial.book("rollback", "app=history")
    assert status == 0 and current() == three[1], said
    assert "The next run of site.yml publishes what the inventory says again" in said
    assert get("history.test") == (200, "two")
    status, said = trial.book("rollback", "app=history", f"to={three[0]}")
    assert status == 0 and get("history.test") == (200, "one"), said
    status, said = trial.publish("three")
    assert status == 0 and current() == three[2] and get("history.test") == (200, "three"), said
    time.sleep(1)
    sh("rm /var/tmp/load.py; for i in $(seq 100); do [ -e /var/tmp/load.json ] && break; sleep 0.2; done")
    good, bad = json.loads(sh("cat /var/tmp/load.json; rm /var/tmp/load.json"))
    assert not bad and set(good) == {"one", "two", "three"} and sum(good.values()) > 100, (good, bad)
    status, said = trial.publish("three")
    assert status == 0 and unchanged(said), said


def test_no_way_leads_to_what_is_not_there_or_never_was_live(trial, three):
    failed = next(
        line.split()[0] for line in trial.book("history")[1].splitlines() if " failed  " in line and "(" not in line
    )
    for word, why in (
        ("to=f00f00f00", "there is no such release; there to go back to: "),
        (f"to={three[2]}", "is live already"),
        (f"to={failed}", "has failed and was never live"),
    ):
        status, said = trial.book("rollback", "app=history", word)
        assert status == 2 and why in said and "Nothing was changed" in said, said
        assert three[0] in said and three[1] in said and "changed=0" in said
    status, said = trial.book("rollback", "app=nobody")
    told = "app=nobody: there is no such application on any host of this play; name one of history."
    assert status == 2 and told in " ".join(said.split()), said
    status, said = trial.book("rollback")
    assert status == 2 and "app is missing" in said, said
    assert current() == three[2]


def test_releases_of_before_there_were_records_are_told_as_far_as_they_are_known(trial, three):
    sh(f"rm -r {RECORDS}")
    said = trial.book("history")[1]
    assert said.count("not recorded") >= 2 and f"{three[2][:12]}  live " in said, said
    status, said = trial.book("rollback", "app=history")
    assert status == 2 and "not known which release was live before; name one by -e to=ID" in said, said
    status, said = trial.publish("three")
    assert status == 0 and "changed=1" in said, said
    assert unchanged(trial.publish("three")[1])
    status, said = trial.book("rollback", "app=history", f"to={three[0]}")
    assert status == 0 and get("history.test") == (200, "one"), said
    # What was live when the records began is what one goes back to now.
    assert trial.book("rollback", "app=history")[0] == 0
    assert get("history.test") == (200, "three")


def hold(**more):
    """Note that another run works on the set; a path."""
    note = {"machine": "elsewhere", "pid": 4711, "started": "1", "by": "eve@elsewhere", "set": "trial"}
    note |= {"since": time.time() - 60, "renewed": time.time(), **more}
    put(f"{LOCKS}/set-trial.json", json.dumps(note))
    return f"{LOCKS}/set-trial.json"


@pytest.mark.parametrize("name", ["site", "rollback", "reload", "remove"])
def test_who_works_on_the_set_is_told_and_nothing_is_changed(trial, three, name):
    path, before = hold(), current()
    words = {"rollback": ["app=history"], "remove": ["remove_apps=history"]}.get(name, [])
    status, said = trial.book(name, *words)
    assert status == 2 and "another run works on the set trial of this host: eve@elsewhere" in said, said
    assert "changed=0" in said and current() == before
    # Another's stays.
    assert "eve" in sh(f"cat {path}")
    sh(f"rm {path}")


def test_a_run_waits_for_another_one_as_long_as_it_may(trial, three):
    path = hold()
    began = time.time()
    subprocess.Popen(["docker", "exec", HOST, "sh", "-c", f"sleep 12; rm {path}"])
    status, said = trial.publish("three", publish_lock_timeout=120)
    assert status == 0 and time.time() - began > 12, said
    assert "set-trial" not in sh(f"ls {LOCKS}")


def test_a_dead_holder_is_none(trial, three):
    # One elsewhere that was not heard of for a quarter of an hour.
    hold(renewed=time.time() - 901)
    assert unchanged(trial.publish("three")[1])


def test_the_run_after_one_that_was_killed_goes_through_at_once(trial, three):
    (trial.folder / "wait.yml").write_text("- name: Wait\n  ansible.builtin.command: sleep 300\n")
    (trial.folder / "code/manage.py").write_text(CODE.format(release="killed"))
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        given = {"publish_set": "trial", "publish_apps": trial.apps, "publish_sites": trial.sites}
        json.dump({**given, "publish_before_switch": [str(trial.folder / "wait.yml")]}, file)
        file.flush()
        book = str(publishing.CHECKOUT / "playbooks/site.yml")
        words = [f"--inventory={publishing.inventory()}", f"--extra-vars=@{file.name}", book]
        run = subprocess.Popen(
            [os.path.join(os.path.dirname(sys.executable), "ansible-playbook"), *words],
            env=publishing.environment(),
            cwd=publishing.CHECKOUT,
            start_new_session=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for _try in range(120):
            if "sleep 300" in sh("cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' ' || true"):
                break
            time.sleep(1)
        assert f'"pid": {run.pid}' in sh(f"cat {LOCKS}/set-trial.json")
        status, said = trial.publish("three")
        assert status == 2 and f"process {run.pid} there" in said, said
        os.killpg(run.pid, signal.SIGKILL)
        run.wait()
    status, said = trial.publish("three")
    assert status == 0 and current() == three[2] and get("history.test") == (200, "three"), said
    said = trial.book("history")[1]
    assert " never live  " in said, said
