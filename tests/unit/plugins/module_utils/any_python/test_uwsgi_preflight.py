"""What the throw-away instance is told: all that decides how code loads, and nothing that binds, writes or ends."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os

import pytest

from ansible_collections.graceful.wsgi.plugins.module_utils import procfs, uwsgi_preflight
from ansible_collections.graceful.wsgi.plugins.module_utils.disk import native
from ansible_collections.graceful.wsgi.plugins.module_utils.uwsgi_preflight import Note, neutral, render, unknown

ACTS = (
    "socket uwsgi-socket http-socket http11-socket https-socket fastcgi-socket scgi-socket raw-socket map-socket"
    " shared-socket undeferred-shared-socket abstract-socket suwsgi-socket ssl-socket puwsgi-socket zmq zeromq-socket"
    " protocol socket-protocol http https https2 http-to httprouter fastrouter rawrouter sslrouter tuntap-device udp"
    " stats stats-server stats-http stats-push snmp carbon metric metrics-dir rrdtool alarm"
    " pidfile pidfile2 safe-pidfile safe-pidfile2 master master-fifo vacuum unlink chmod-socket chown-socket"
    " logto logto2 log-master log-syslog logger req-logger threaded-logger daemonize daemonize2 logfile-chown"
    " touch-reload touch-chain-reload touch-exec fs-reload py-autoreload py-auto-reload python-autoreload"
    " py-tracebacker reload-on-rss reload-mercy worker-reload-mercy lazy lazy-apps processes workers p cheap cheaper"
    " cheaper-initial idle die-on-term harakiri max-requests max-worker-lifetime exit-on-reload evil-reload-on-rss"
    " attach-daemon smart-attach-daemon legion emperor vassal-sos zerg zerg-server subscribe-to subscribe2 spooler"
    " spooler-processes mule mules farm cron cron2 unique-cron legion-cron multicast"
    " exec-asap exec-as-user hook-asap hook-post-app hook-master-start hook-as-user-atexit call-asap mount-asap"
    " uid gid immediate-uid immediate-gid add-gid chroot pivot-root unshare cgroup ns setns cap drop-after-init"
    " flock flock-wait cpu-affinity procname procname-prefix auto-procname notify-socket"
    " cache-store cache-udp-server cache-sync queue-store"
    " strict no-server show-config need-app reload stop pause pty-socket pty-exec"
    " worker-exec worker-exec2 so-keepalive reuse-port freebind listen upload-progress print"
).split()
LOADS = (
    "module wsgi wsgi-file file callable mount pythonpath python-path home venv virtualenv env envdir plugin plugins"
    " plugin-dir chdir2 set set-placeholder set-ph import pyimport shared-import gevent gevent-monkey-patch async loop"
    " threads enable-threads pyargv paste ini-paste eval no-site single-interpreter declare-option binary-path"
    " manage-script-name if-env endif buffer-size route static-map rpc-max optimize limit-as memory-report"
    " py-call-osafterfork cache cache2 locks sharedarea queue"
).split()


@pytest.mark.parametrize("name", ACTS)
def test_what_acts_is_left_out(name):
    assert neutral([(name, "/run/live")], {}) == []


@pytest.mark.parametrize("name", LOADS)
def test_what_decides_how_code_loads_stays(name):
    assert neutral([(name, "x")], {}) == [(name, "x")]


@pytest.mark.parametrize(
    ("value", "seen"),
    [
        ("name=a,items=10,store=/srv/a,store_sync=5,blocksize=1", "name=a,items=10,blocksize=1"),
        ("name=a,udpservers=10.0.0.1:4001,udp=:4001,nodes=b:1,sync=b:1", "name=a"),
    ],
)
def test_what_code_keeps_in_memory_is_there_without_its_files_and_hosts(value, seen):
    assert neutral([("cache2", value)], {}) == [("cache2", seen)]


def test_order_and_repetition_stay():
    options = [("env", "A=1"), ("socket", "/s"), ("module", "m"), ("env", "A=2")]
    assert neutral(options, {}) == [("env", "A=1"), ("module", "m"), ("env", "A=2")]


def test_only_the_throw_away_instances_own_socket_is_in_the_file():
    kept = neutral([(name, "/run/live") for name in ACTS] + [("module", "m")], {})
    text = render(kept, "/run/own/sock", "/run/own/accepts")
    assert "/run/live" not in text
    assert text.splitlines()[:2] == ["[uwsgi]", "module = m"]
    assert "socket = /run/own/sock" in text
    assert "chmod-socket = 600" in text
    assert "hook-accepting1 = creat:/run/own/accepts" in text
    assert "need-app = true" in text


@pytest.mark.parametrize(
    ("value", "seen"),
    [
        ("/srv/a", "/new"),
        ("/srv/a/", "/new/"),
        ("/srv/a/manage.py", "/new/manage.py"),
        ("/srv/ab", "/srv/ab"),
        ("/srv/a.bak/x", "/srv/a.bak/x"),
        ("/srv/a-b", "/srv/a-b"),
        ("/x/srv/a", "/x/srv/a"),
        ("/=/srv/a/x.py", "/=/new/x.py"),
        ("PATH=/srv/a:/srv/a/bin", "PATH=/new:/new/bin"),
        ("^/x static:/srv/a/y", "^/x static:/new/y"),
    ],
)
def test_paths_are_replaced_whole(value, seen):
    assert neutral([("env", value)], {"/srv/a": "/new"}) == [("env", seen)]


def test_the_longest_path_is_replaced_and_what_was_put_in_stays():
    replace = {"/srv/a/current": "/srv/b/x", "/srv/a/current/venv": "/venvs/1", "/srv/b": "/wrong"}
    options = [("home", "/srv/a/current/venv"), ("chdir2", "/srv/a/current")]
    assert neutral(options, replace) == [("home", "/venvs/1"), ("chdir2", "/srv/b/x")]


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("hook", ["chdir:/srv/a/current", "call:chdir /srv/a/current"])
def test_the_folder_of_the_hook_holds_wherever_it_stands(order, hook):
    options = [("chdir", "/"), ("hook-post-fork", hook)][::order]
    kept = neutral(options, {"/srv/a/current": "/srv/a/releases/2"})
    assert kept[-1] == ("chdir", "/srv/a/releases/2")
    assert [name for name, _value in kept] == ["chdir", "chdir"]


def test_other_hooks_are_left_out():
    assert neutral([("hook-post-fork", "exec:rm -rf /srv"), ("hook-post-fork2", "unlink:/x")], {}) == []


WANTED = {"name": "shop", "options": [["module", "manage"]], "template": None, "vars": {}, "text": None}


@pytest.fixture
def state(tmp_path, monkeypatch):
    monkeypatch.setattr(uwsgi_preflight, "STATE_DIR", str(tmp_path / "state"))


def test_what_has_loaded_is_known_until_something_of_it_is_another(state):
    note = Note(WANTED, {"/srv/a": "/srv/1"}, "/opt/uwsgi")
    assert not note.holds
    note.write()
    assert Note(dict(WANTED), {"/srv/a": "/srv/1"}, "/opt/uwsgi").holds
    for wanted, replace, binary in (
        (WANTED, {"/srv/a": "/srv/2"}, "/opt/uwsgi"),
        (WANTED, {"/srv/a": "/srv/1"}, "/opt/uwsgi2"),
        (dict(WANTED, options=[["module", "other"]]), {"/srv/a": "/srv/1"}, "/opt/uwsgi"),
        (dict(WANTED, text="[uwsgi]"), {"/srv/a": "/srv/1"}, "/opt/uwsgi"),
        (dict(WANTED, name="other"), {"/srv/a": "/srv/1"}, "/opt/uwsgi"),
    ):
        assert not Note(wanted, replace, binary).holds


def test_what_a_template_will_make_is_not_known(state):
    Note(WANTED, {}, "/opt/uwsgi").write()
    assert Note(WANTED, {}, "/opt/uwsgi").holds
    assert not Note(dict(WANTED, template="app.ini.j2"), {}, "/opt/uwsgi").holds


KNOWN = set("strict module log-master plugin set-placeholder".split())


@pytest.mark.parametrize(
    "options, found",
    [
        ([("strict", "true"), ("module", "m"), ("set-placeholder", "a=1")], []),
        # One that the throw-away instance would leave out counts too.
        ([("strict", "true"), ("log-mastr", "true"), ("modul", "m")], ["log-mastr", "modul"]),
        ([("modul", "m"), ("strict", "true")], ["modul"]),
        ([("strict", "false"), ("modul", "m")], []),
        ([("modul", "m")], []),
        # What plugins bring is among what the binary lists once it has loaded them.
        ([("strict", "true"), ("plugin", "python3"), ("modul", "m")], ["modul"]),
        ([("strict", "true"), ("autoload", "true"), ("modul", "m")], []),
        ([("strict", "true"), ("declare-option", "modul=module=$1"), ("modul", "m")], []),
        ([("strict", "true"), ("X", "true")], []),
    ],
)
def test_options_at_which_strict_would_end_the_instance(options, found):
    assert unknown(options, KNOWN) == found


def test_a_note_is_a_digest_of_secrets_and_roots_own(state):
    note = Note(dict(WANTED, environment={"TOKEN": "1"}), {}, "/opt/uwsgi")
    note.write()
    assert os.stat(note.path).st_mode & 0o777 == 0o600
    assert not Note(dict(WANTED, environment={"TOKEN": "2"}), {}, "/opt/uwsgi").holds


def test_the_new_environment_is_text_of_this_python():
    found = uwsgi_preflight.new_environment({"environment": {u"A": u"z\u017c", "B": "1"}})
    assert found == {"A": native(u"z\u017c".encode("utf-8")), "B": "1"}


# As much of uWSGI as a preflight sees: it knows two options, and what it loads becomes a daemon that heeds no signal.
UWSGI = """#!/bin/sh
if [ "$1" = --dump-options ]; then echo strict; echo module; exit; fi
(trap '' INT TERM HUP; setsid sh -c '(exec -a left sleep {seconds}; :) & :' & exec sleep {seconds} & ) &
sleep {seconds} &
echo "said by $1"
[ {good} = 1 ] || exit 3
touch "$(sed -n 's/^hook-accepting1 = creat://p' "$2")"
wait
"""


def sleepers(seconds):
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            words = procfs.words(int(name))
            if seconds in words:
                found.append((int(name), words))
    return found


def who():
    return {"uid": os.getuid(), "gid": os.getgid(), "groups": []}


def test_a_child_leaves_nothing_that_it_has_started(tmpdir):
    for good, seconds in ((1, "61.25"), (0, "61.5")):
        binary = tmpdir / "uwsgi"
        binary.write(UWSGI.format(good=good, seconds=seconds))
        binary.chmod(0o755)
        options = [("strict", "true"), ("module", "m")]
        if good:
            assert uwsgi_preflight.preflight(str(binary), options, who(), {"A": "1"}, str(tmpdir), 10) < 10
        else:
            with pytest.raises(uwsgi_preflight.PreflightError, match="status 3|said by --ini"):
                uwsgi_preflight.preflight(str(binary), options, who(), {}, str(tmpdir), 10)
        assert sleepers(seconds) == []


def test_an_option_that_it_does_not_know_is_told_before_what_came_of_it(tmpdir):
    binary = tmpdir / "uwsgi"
    binary.write(UWSGI.format(good=0, seconds="61.75"))
    binary.chmod(0o755)
    with pytest.raises(uwsgi_preflight.PreflightError, match="no option modul,"):
        options = [("strict", "true"), ("modul", "m"), ("log-master", "true")]
        uwsgi_preflight.preflight(str(binary), options, who(), {}, str(tmpdir), 10)


class Trial(object):
    """A throw-away uWSGI whose master has these children, and has said so much, at each look."""

    pid = 100

    def __init__(self, *looks):
        self.looks = list(looks)

    def accepts(self):
        return self.looks[0] == "accepts"

    def ended(self):
        return None

    def said(self):
        return self.looks[0][0]

    def children(self, _pid):
        return set(self.looks.pop(0)[1])


SPAWNED = "spawned uWSGI master process (pid: 100)\nspawned uWSGI worker 1 (pid: 102, cores: 1000)\nTraceback: x\n"


def test_a_program_that_the_master_starts_is_no_worker(monkeypatch):
    # What Python 2.7 asks of `uname` while gevent patches in the master.
    asked = [("*** Operational MODE: async ***\n", [101]), ("*** Operational MODE: async ***\n", [])]
    trial = Trial(*(asked + [(SPAWNED, [102]), "accepts"]))

    def sleep(_seconds):
        # Nobody has looked where nothing was said of a worker.
        if trial.looks[0] in asked:
            trial.looks.pop(0)

    monkeypatch.setattr(uwsgi_preflight.procfs, "children", trial.children)
    monkeypatch.setattr(uwsgi_preflight.time, "sleep", sleep)
    uwsgi_preflight._await(trial, uwsgi_preflight.time.time() + 60)
    assert trial.looks == ["accepts"]


def test_a_worker_that_ended_or_was_replaced_is_refused_with_what_was_said_since(monkeypatch):
    for children in ([], [103]):
        trial = Trial((SPAWNED, [102]), (SPAWNED, children), (SPAWNED, children))
        monkeypatch.setattr(uwsgi_preflight.procfs, "children", trial.children)
        monkeypatch.setattr(uwsgi_preflight.time, "sleep", lambda _seconds: None)
        with pytest.raises(uwsgi_preflight.PreflightError) as caught:
            uwsgi_preflight._await(trial, uwsgi_preflight.time.time() + 60)
        assert str(caught.value) == "the worker ended before it accepted a request:\nTraceback: x"


def test_what_a_worker_said_is_awaited_where_a_journal_has_it_later(monkeypatch):
    whole = SPAWNED + "ImportError: No module named x\n"
    trial = Trial((SPAWNED, []), (SPAWNED, []), (whole, []))
    sleeps = []

    def sleep(seconds):
        sleeps.append(seconds)
        if len(sleeps) == 3:
            del trial.looks[0]

    monkeypatch.setattr(uwsgi_preflight.procfs, "children", trial.children)
    monkeypatch.setattr(uwsgi_preflight.time, "sleep", sleep)
    with pytest.raises(uwsgi_preflight.PreflightError, match="ImportError: No module named x"):
        uwsgi_preflight._await(trial, uwsgi_preflight.time.time() + 60)
    assert sum(sleeps) < 5
