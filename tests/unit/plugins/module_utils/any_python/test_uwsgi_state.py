"""What is told of an instance by /proc and a stats server of our own making (runs under Python 2.7 too)."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import json
import os
import time

import pytest

from ansible_collections.graceful.wsgi.plugins.module_utils import uwsgi_state as code
from ansible_collections.graceful.wsgi.plugins.module_utils.uwsgi_config import Config
from ansible_collections.graceful.wsgi.plugins.module_utils.uwsgi_master import Master, MasterError

PID = 4242
# The master's start, and that of its workers 1 and 2, in seconds since the epoch.
STARTED = 1700000000.25
STARTS = {PID: STARTED, 1: STARTED + 100, 2: STARTED + 200}


class FakeMaster(Master):
    """A proven master that was never re-executed, whose configuration is what a test says."""

    pid, pidfile, folder, executable, config_path = PID, "/run/app/pid", "/srv", "/opt/uwsgi", "/etc/app.ini"

    def __init__(self, *options):
        self.config = Config(list(options))
        self.who = {"uid": os.getuid(), "gid": 0, "groups": []}
        self.environment = {"PWD": "/"}
        self.changed, self.bound, self.alive = False, None, set([1, 2])

    def workers(self):
        return self.alive

    def config_changed(self):
        return self.changed

    def stats_bound_at(self):
        return self.bound

    def still(self):
        return True


def worker(pid=1, **said):
    found = {
        "id": pid,
        "pid": pid,
        "accepting": 1,
        "requests": 10,
        "exceptions": 1,
        "harakiri_count": 0,
        "status": "idle",
        "rss": 0,
        "vsz": 0,
        "last_spawn": int(STARTED) + 130,
        "respawn_count": 1,
        "avg_rt": 1500,
        "apps": [{"startup_time": 20}, {"startup_time": 3}],
    }
    return dict(found, **said)


def answer(*workers, **said):
    """What a stats server says, through JSON, so that text is what it is in life."""
    found = {
        "version": "2.0.31",
        "pid": PID,
        "listen_queue": 3,
        "listen_queue_errors": 0,
        "sockets": [{"name": "127.0.0.1:5051", "proto": "uwsgi", "queue": 3, "max_queue": 100}],
        "workers": list(workers) or [worker(1), worker(2)],
    }
    return json.loads(json.dumps(dict(found, **said)))


STATS = ("stats", "run/stats")
LAZY = ("lazy-apps", "true")


@pytest.fixture
def look(monkeypatch):
    """A function that looks at a FakeMaster whose stats server gives this answer."""
    monkeypatch.setattr(code.procfs, "started_at", lambda pid: STARTS.get(pid, 0.0))
    monkeypatch.setattr(code.procfs, "memory", lambda pid: (pid * 1000, pid * 2000))

    def run(master, said=None):
        monkeypatch.setattr(code, "Master", lambda pidfile, config, at_rest: master)
        monkeypatch.setattr(code, "statistics", lambda address: said)
        return code.look({"name": "app", "pidfile": "/run/app/pid", "config": None})

    return run


def test_all_that_is_told(look):
    found = look(FakeMaster(STATS), answer(worker(1, status="busy"), worker(2)))
    workers = found.pop("workers")
    assert found.pop("uptime") == pytest.approx(time.time() - STARTED, abs=5)
    assert found.pop("user")["uid"] == os.getuid()
    assert found == {
        "name": "app",
        "pidfile": "/run/app/pid",
        "running": True,
        "why": None,
        "master_pid": PID,
        "master_started": STARTED,
        "version": "2.0.31",
        "executable": "/opt/uwsgi",
        "folder": "/srv",
        "config": "/etc/app.ini",
        "config_changed": False,
        "sockets": [{"protocol": "uwsgi", "address": "127.0.0.1:5051"}],
        "stats": "/srv/run/stats",
        "stats_answered": True,
        "listen_queue": 3,
        "listen_queue_errors": 0,
        "requests": 20,
        "exceptions": 2,
        "busy": 1,
        "idle": 1,
        "cheap": 0,
        "code_loaded": STARTED,
    }
    assert workers[0] == {
        "id": 1,
        "pid": 1,
        "status": "busy",
        "accepting": True,
        "requests": 10,
        "exceptions": 1,
        "harakiri_count": 0,
        "avg_rt": 1.5,
        "last_spawn": int(STARTED) + 130,
        "respawn_count": 1,
        "rss": 1000,
        "vsz": 2000,
        "loaded": STARTED,
    }


COUNTED = "version listen_queue listen_queue_errors requests exceptions busy idle cheap".split()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), None),
        ((STATS,), None),
        ((STATS,), {}),
        ((STATS,), answer(pid=PID + 1)),
        ((STATS,), answer(pid=str(PID))),
    ],
)
def test_without_a_stats_server_only_proc_tells(look, options, said):
    found = look(FakeMaster(("http-socket", "sock"), LAZY, *options), said)
    assert (found["running"], found["stats_answered"]) == (True, False)
    assert found["stats"] == ("/srv/run/stats" if options else None)
    assert [found[name] for name in COUNTED] == [None] * len(COUNTED)
    assert found["sockets"] == [{"protocol": "http", "address": "/srv/sock"}]
    assert [one["pid"] for one in found["workers"]] == [1, 2]
    assert [one["loaded"] for one in found["workers"]] == [STARTED + 100, STARTED + 200]
    assert found["code_loaded"] == STARTED + 100
    told = [set(name for name, value in one.items() if value is not None) for one in found["workers"]]
    assert told == [set(["pid", "rss", "vsz", "loaded"])] * 2


SPAWN = int(STARTED) + 130


@pytest.mark.parametrize(
    ("options", "reexecuted", "bound", "said", "loaded"),
    [
        # Lazy: whenever the master read its configuration, each worker loads at its start.
        ([STATS, LAZY], False, None, answer(), [STARTED + 100, STARTED + 200]),
        ([STATS, LAZY], True, STARTED + 99, answer(), [STARTED + 100, STARTED + 200]),
        ([LAZY], True, None, None, [STARTED + 100, STARTED + 200]),
        # Not lazy: a worker that died since has the code of the others.
        ([STATS], False, STARTED + 25, answer(), [STARTED] * 2),
        ([], False, None, None, [STARTED] * 2),
        # A re-executed one binds its stats socket when the code is loaded, which took 23 s.
        ([STATS], True, STARTED + 90, answer(), [STARTED + 67] * 2),
        ([STATS], True, STARTED + 10, answer(), [STARTED] * 2),
        ([STATS], True, STARTED + 90, answer(worker(1, apps=7), worker(2, apps=[])), [STARTED + 90] * 2),
        # Its first workers are forked then too.
        ([STATS], True, None, answer(), [SPAWN - 23] * 2),
        ([STATS], True, None, answer(worker(1), worker(2, respawn_count=2, last_spawn=SPAWN + 9)), [SPAWN - 23] * 2),
        ([STATS], True, None, answer(worker(1, respawn_count=2), worker(2, respawn_count=3)), [None] * 2),
        ([STATS, ("cheaper", "1")], True, None, answer(), [None] * 2),
        ([STATS, ("idle", "60")], True, None, answer(), [None] * 2),
        ([], True, None, None, [None] * 2),
        ([STATS], True, STARTED + 90, None, [None] * 2),
    ],
)
def test_loaded(look, options, reexecuted, bound, said, loaded):
    master = FakeMaster(*options)
    master.bound = bound
    if reexecuted:
        master.environment["UWSGI_RELOADS"] = "0"
    found = look(master, said)
    assert [one["loaded"] for one in found["workers"]] == loaded
    assert found["code_loaded"] == loaded[0]


@pytest.mark.parametrize("changed", [True, None])
def test_a_changed_configuration_does_not_say_whether_the_master_is_lazy(look, changed):
    master = FakeMaster(STATS, LAZY)
    master.changed = changed
    found = look(master, answer())
    assert (found["config_changed"], found["code_loaded"]) == (changed, None)


def test_a_worker_that_does_not_run_has_no_code(look):
    cheap = worker(0, status="cheap", accepting=0, last_spawn=0, respawn_count=0)
    found = look(FakeMaster(STATS, LAZY), answer(worker(1), cheap, worker(99), worker(2)))
    assert [one["id"] for one in found["workers"]] == [1, 2, 3, 4]
    assert [one["pid"] for one in found["workers"]] == [1, None, None, 2]
    assert [one["rss"] for one in found["workers"]] == [1000, None, None, 2000]
    assert (found["idle"], found["cheap"], found["code_loaded"]) == (3, 1, STARTED + 100)


def test_a_master_without_workers_has_loaded_nothing_yet(look):
    master = FakeMaster(STATS)
    master.alive = set()
    found = look(master)
    assert (found["running"], found["workers"], found["code_loaded"]) == (True, [], None)


def test_a_unix_sockets_queue_is_not_known(look):
    sockets = [{"name": "sock", "proto": "uwsgi", "queue": 0, "max_queue": 0}]
    found = look(FakeMaster(STATS), answer(listen_queue=0, sockets=sockets))
    assert found["listen_queue"] is None
    assert found["sockets"] == [{"protocol": "uwsgi", "address": "/srv/sock"}]


ODD = [None, "x", "7", -1, 1.5, True, 10**30, [], [7], {}, {"a": 1}]


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("where", ["workers", "sockets", "version", "listen_queue"])
def test_odd_answers(look, where, odd):
    found = look(FakeMaster(STATS, LAZY), answer(**{where: odd}))
    assert (found["running"], found["why"]) == (True, None)
    json.dumps(found, allow_nan=False)


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("where", sorted(worker()))
def test_odd_workers(look, where, odd):
    found = look(FakeMaster(STATS), answer(dict(worker(1), **{where: odd}), worker(2)))
    assert (found["running"], found["why"], len(found["workers"])) == (True, None, 2)
    if where in ("requests", "exceptions"):
        assert (found["workers"][0][where], found[where]) == (None, None)


def nothing(found):
    return dict(found, running=False, why=None, name=None) == dict(
        dict.fromkeys(code.KEYS), running=False, stats_answered=False, pidfile=found["pidfile"], sockets=[], workers=[]
    )


NOWHERE = [None, "", "garbage", "0", "1", "-1", "99999999", str(os.getpid())]


# A test is called alike in every process that runs some of them.
@pytest.mark.parametrize("text", NOWHERE, ids=[str(text) for text in NOWHERE[:-1]] + ["this process"])
def test_a_pidfile_that_leads_nowhere_is_an_answer(tmpdir, text):
    path = tmpdir / "pid"
    if text is not None:
        path.write(text)
    found = code.look({"name": "app", "pidfile": str(path), "config": None})
    assert str(path) in found["why"]
    assert found["name"] == "app"
    assert nothing(found)


@pytest.mark.parametrize("error", [MasterError("gone"), OSError(13, "no"), ValueError("odd")])
def test_trouble_in_the_middle_is_an_answer(look, error):
    master = FakeMaster(STATS)

    def fails():
        raise error

    master.workers = fails
    found = look(master, answer())
    assert str(error) in found["why"] or repr(error) in found["why"]
    assert nothing(found)


def test_a_master_that_ends_meanwhile(look):
    master = FakeMaster(STATS)
    master.still = lambda: False
    found = look(master, answer())
    assert "ended while it was looked at" in found["why"]
    assert nothing(found)


def test_a_user_without_a_name():
    assert code._user(3999999999) == {"uid": 3999999999, "name": None}
