"""What runs beside an instance's workers (runs under Python 2.7 too); the real stack is molecule/live's."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import fcntl
import os
import signal
import socket
import subprocess
import sys
import time

import pytest

from ansible_collections.graceful.wsgi.plugins.module_utils import background as code
from ansible_collections.graceful.wsgi.plugins.module_utils.background import Rest, Seen, Tasks, Watched, stand


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("mule", True),
        ("mules", True),
        ("farm", True),
        ("spooler", True),
        ("attach-daemon", True),
        ("attach_daemon2", True),
        ("smart-attach-daemon", True),
        ("legion-attach-daemon", True),
        ("attach-control-daemon", True),
        ("cron", True),
        ("cron2", True),
        ("unique-cron", True),
        ("legion-cron", True),
        ("shared-import", True),
        # Another instance's spooler, and what has no process.
        ("spooler-external", False),
        ("spooler-frequency", False),
        ("mule-reload-mercy", False),
        ("harakiri", False),
        ("import", False),
    ],
)
def test_what_a_chain_reload_leaves_as_it_was(name, counts):
    assert bool(code.needs_new_master([("processes", "2"), (name, "2")])) is counts


def test_mules_are_counted():
    assert code.mules([("mule", "a.py"), ("mules", "2"), ("mule", "true"), ("mules", "x")]) == 4


class Clock:
    def __init__(self):
        self.now = 100.0

    def time(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


@pytest.fixture
def told(monkeypatch):
    """What a stats server says, and which processes there are: {pid: start}."""
    said = {"spoolers": [], "daemons": [], "crons": [], "workers": [{"pid": 11, "status": "idle"}]}
    starts = {10: 1, 11: 1}
    monkeypatch.setattr(code, "statistics", lambda _address: said)
    monkeypatch.setattr(code.procfs, "process_start", starts.get)
    monkeypatch.setattr(code.procfs, "alive", lambda pid: pid in starts)
    monkeypatch.setattr(code.procfs, "children", lambda _pid: set(starts) - set([10]))
    commands = set(item for item in (13, 99) + tuple(range(20, 60)))
    monkeypatch.setattr(code.procfs, "words", lambda pid: ["sh"] if pid in commands else ["uwsgi"])
    return said, starts


def test_what_stands_is_seen(told):
    said, starts = told
    said["spoolers"] = [{"dir": "/spool", "pid": 12, "running": 1}, {"dir": "/other", "pid": 0, "running": 0}]
    said["daemons"] = [{"cmd": "./x", "pid": 13}]
    said["crons"] = [{"command": "./c", "pid": -1}, {"command": "./d", "pid": 14}]
    starts.update({12: 1, 13: 1, 14: 1, 15: 1})
    seen = Seen(10, "/stats")
    assert seen.slots == [("the spooler of /spool", 12), ("the attached daemon './x'", 13)]
    assert (seen.crons, seen.forks, seen.folders) == ([("the cron './d'", 14)], set([15]), ["/spool"])
    assert seen.busy == ["the spooler of /spool"]
    clock = Clock()
    assert stand([Watched("shop", 10, "/stats", [("mule", "x.py"), ("spooler", "/spool")])], clock) == {}
    assert code.STEADY <= clock.now - 100 < code.STEADY + 1


@pytest.mark.parametrize("odd", [None, [], {"daemons": 7}, {"daemons": [3, {"cmd": 5, "pid": "x"}, {"pid": 1 << 70}]}])
def test_a_stats_server_may_say_anything(monkeypatch, odd):
    monkeypatch.setattr(code, "statistics", lambda _address: odd)
    assert Seen(1 << 30, "/stats").forks == set()


def test_a_daemon_that_dies_again_and_again_is_told_by_name(told, monkeypatch):
    said, starts = told
    clock = Clock()
    said["daemons"] = [{"cmd": "./x", "pid": 20}]

    def respawn(seconds):
        Clock.sleep(clock, seconds)
        pid = 20 + int(clock.now - 100)
        starts.update({pid: 1})
        starts.pop(said["daemons"][0]["pid"], None) if pid != said["daemons"][0]["pid"] else None
        said["daemons"][0]["pid"] = pid

    monkeypatch.setattr(clock, "sleep", respawn)
    starts[20] = 1
    failed = stand([Watched("shop", 10, "/stats", [("attach-daemon", "./x")])], clock)
    assert failed["shop"].startswith("shop: the attached daemon './x' dies again and again (3 times")


def test_a_daemon_that_uwsgi_lets_sleep_before_it_begins_does_not_stand(told):
    said, starts = told
    said["daemons"] = [{"cmd": "./x", "pid": 70}]
    starts[70] = 1
    failed = stand([Watched("shop", 10, "/stats", [("attach-daemon", "./x")])], Clock())
    assert "the attached daemon './x' does not stay up" in failed["shop"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([("mule", "x.py")], "a mule does not stay up"),
        ([("attach-daemon", "./x")], "the attached daemon './x' does not stay up"),
    ],
)
def test_what_is_not_there_is_missed(told, options, message):
    said, _starts = told
    said["daemons"] = [{"cmd": "./x", "pid": 99}] if options[0][0] == "attach-daemon" else []
    assert message in stand([Watched("shop", 10, "/stats", options)], Clock())["shop"]


def test_one_restart_at_the_start_is_no_loop(told, monkeypatch):
    said, starts = told
    clock = Clock()
    said["daemons"] = [{"cmd": "./x", "pid": 20}]
    starts[20] = 1

    def daemonize(seconds):
        Clock.sleep(clock, seconds)
        if clock.now > 101 and 20 in starts:
            # Its first process has made another one and ended; the master finds that later.
            del starts[20]
        if clock.now > 102:
            starts[21] = 1
            said["daemons"][0]["pid"] = 21

    monkeypatch.setattr(clock, "sleep", daemonize)
    assert stand([Watched("shop", 10, "/stats", [("smart-attach-daemon", "/p ./x")])], clock) == {}


def test_tasks_are_locked_but_for_the_one_at_work(tmp_path):
    (tmp_path / "uwsgi_spoolfile_on_a").write_bytes(b"x")
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "uwsgi_spoolfile_on_b").write_bytes(b"x")
    os.symlink("/etc/passwd", str(tmp_path / "link"))
    # As a spooler locks the task that it works on.
    lock = (
        "import fcntl, sys, time; f = open(%r, 'r+'); fcntl.lockf(f, fcntl.LOCK_EX);"
        " sys.stdout.write('x'); sys.stdout.flush(); time.sleep(60)" % str(tmp_path / "uwsgi_spoolfile_on_a")
    )
    holder = subprocess.Popen([sys.executable, "-c", lock], stdout=subprocess.PIPE)
    try:
        holder.stdout.read(1)
        tasks = Tasks()
        assert tasks.hold([str(tmp_path)]) is True and len(tasks.held) == 1
    finally:
        holder.kill()
        holder.wait()
    assert tasks.hold([str(tmp_path), str(tmp_path / "none")]) is False and len(tasks.held) == 2
    for handle in tasks.held.values():
        os.close(handle)


def test_a_spooler_is_stopped_between_two_tasks_and_goes_on_afterwards(told, monkeypatch, tmp_path):
    said, _starts = told
    monkeypatch.undo()
    process = subprocess.Popen(["sleep", "60"])
    said["spoolers"] = [{"dir": str(tmp_path), "pid": process.pid, "running": 0}]
    monkeypatch.setattr(code, "statistics", lambda _address: said)
    try:
        with Rest(1 << 21, "/stats", None, 5) as rest:
            assert rest.wait() == []
            assert code.procfs.state(process.pid) == "T"
        assert code.procfs.state(process.pid) != "T"
        # One that goes on working is not stopped, and told of.
        said["spoolers"][0]["running"] = 1
        with Rest(1 << 21, "/stats", None, 0.3) as rest:
            assert rest.wait() == ["the spooler of %s" % tmp_path]
            assert code.procfs.state(process.pid) != "T"
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


def test_crons_that_would_be_cut_off_are_waited_for(told, monkeypatch):
    said, _starts = told
    monkeypatch.undo()
    monkeypatch.setattr(code, "statistics", lambda _address: said)
    said["crons"] = [{"command": "./c", "pid": os.getpid()}]
    for crons, late in ((True, ["the cron './c'"]), (False, [])):
        began = time.time()
        with Rest(1 << 21, "/stats", None, 0.3, crons) as rest:
            assert rest.wait() == late
        assert time.time() - began < 5


def test_messages_that_wait_are_seen():
    one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    inode = os.fstat(other.fileno()).st_ino
    if code.queued(set([inode])) is None:
        pytest.skip("this kernel does not tell")
    assert code.queued(set([inode])) == 0
    one.send(b"work")
    assert code.queued(set([inode])) == 1
    assert inode in code._sockets(os.getpid())
    assert fcntl.fcntl(other.fileno(), fcntl.F_GETFD) is not None
