"""SIGHUP comes when nothing that was accepted is lost; with real processes, signals and sockets (Python 2.7 too)."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import errno
import os
import signal
import socket
import subprocess
import sys
import time

import pytest

from ansible_collections.graceful.wsgi.plugins.module_utils import procfs
from ansible_collections.graceful.wsgi.plugins.module_utils import quiet as code

ME = {"uid": os.getuid(), "gid": os.getgid()}
# Accepts one connection, which it counts (the file busy) only after a while. SIGHUP writes down whether it was counted.
WORKER = """
import os, signal, socket, sys, time
address, folder, accepts, late = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
busy = os.path.join(folder, "busy")
def hang_up(number, frame):
    with open(os.path.join(folder, "heard"), "w") as out:
        out.write("counted" if os.path.exists(busy) else "not counted")
    os._exit(17)
signal.signal(signal.SIGHUP, hang_up)
# Which uWSGI does once the code is loaded.
signal.signal(signal.SIGUSR2, lambda number, frame: None)
if address.startswith("/"):
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(address)
else:
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
listener.listen(5)
with open(os.path.join(folder, "port.new"), "w") as out:
    out.write(address if address.startswith("/") else "127.0.0.1:%d" % listener.getsockname()[1])
os.rename(os.path.join(folder, "port.new"), os.path.join(folder, "port"))
if accepts:
    link = listener.accept()[0]
    until = time.time() + late
    while time.time() < until:
        pass
    open(busy, "w").close()
while True:
    time.sleep(0.1)
"""


def awaited(call, limit=10):
    until = time.time() + limit
    while time.time() < until:
        found = call()
        if found:
            return found
        time.sleep(0.01)
    raise AssertionError("not within %d s" % limit)


def text(path):
    if not os.path.exists(path):
        return ""
    with open(path) as source:
        return source.read()


class Fake:
    """A process that listens, and what became of it."""

    def __init__(self, folder, unix=True, accepts=1, late=0.0):
        self.folder = folder
        words = [os.path.join(folder, "s") if unix else "tcp", folder, str(accepts), str(late)]
        self.process = subprocess.Popen([sys.executable, "-c", WORKER] + words)
        self.pid = self.process.pid
        self.address = awaited(lambda: text(os.path.join(folder, "port")))

    def connect(self):
        if self.address.startswith("/"):
            link = socket.socket(socket.AF_UNIX)
            link.connect(self.address)
        else:
            link = socket.socket()
            link.connect(("127.0.0.1", int(self.address.partition(":")[2])))
        return link

    def connect_and_await(self):
        """A connection that it has accepted."""
        link = self.connect()
        awaited(lambda: code.held(self.pid, [self.address]))
        return link

    @property
    def heard(self):
        return awaited(lambda: text(os.path.join(self.folder, "heard")))


@pytest.fixture
def fake(tmpdir, monkeypatch):
    """A function that starts one; its count of requests takes the place of the stats server's."""
    started = []

    def make(stats=True, **about):
        one = Fake(str(tmpdir), **about)
        started.append(one)
        busy = os.path.join(one.folder, "busy")
        monkeypatch.setattr(code, "counted", lambda _stats: {one.pid: int(os.path.exists(busy))} if stats else None)
        return one

    yield make
    for one in started:
        if one.process.poll() is None:
            one.process.kill()
        one.process.wait()


def safe_sighup(one, patience=5.0):
    return code.safe_sighup(one.pid, [one.pid], [one.address], "stats", ME, patience)


def test_one_at_rest_is_signalled_at_once(fake):
    one = fake()
    started = time.time()
    assert safe_sighup(one) is True
    assert time.time() - started < 2
    assert one.heard == "not counted"


@pytest.mark.parametrize("unix", [True, False])
def test_a_connection_that_is_not_counted_yet_is_waited_for(fake, unix):
    one = fake(unix=unix, late=0.5)
    link = one.connect_and_await()
    assert safe_sighup(one, patience=2.0) is True
    assert one.heard == "counted"
    link.close()


def test_without_a_stats_server_what_is_held_for_a_while_is_a_request(fake):
    one = fake(stats=False)
    link = one.connect_and_await()
    started = time.time()
    assert safe_sighup(one, patience=1.0) is True
    assert time.time() - started >= 0.5 + code.STEADY
    link.close()


def test_one_at_rest_is_better_than_one_in_a_request(fake, monkeypatch):
    """A request that ends soon is waited for, though it is counted: the signal would interrupt its system calls."""
    one = fake()
    link, ends = one.connect(), time.time() + 0.5
    real = awaited(lambda: code.held(one.pid, [one.address]))
    monkeypatch.setattr(code, "held", lambda _pid, _addresses: real if time.time() < ends else set())
    assert safe_sighup(one, patience=10.0) is True
    assert time.time() >= ends
    assert one.heard == "counted"
    link.close()


def test_what_nobody_has_accepted_is_not_lost(fake):
    one = fake(accepts=0)
    link = one.connect()
    assert safe_sighup(one) is True
    link.close()


def test_the_patience_ends(fake):
    one = fake(late=60)
    link = one.connect_and_await()
    assert safe_sighup(one, patience=0.3) is False
    assert one.heard == "not counted"
    link.close()


def test_other_sockets_of_a_worker_do_not_matter(fake):
    one = fake()
    link = one.connect_and_await()
    assert code.held(one.pid, [one.address + "-other" if one.address.startswith("/") else "127.0.0.1:1"]) == set()
    link.close()


def test_one_whose_sockets_may_not_be_seen_is_signalled_all_the_same(fake, monkeypatch):
    one = fake()
    monkeypatch.setattr(code, "held", lambda _pid, _addresses: None)
    monkeypatch.setattr(code, "_look_as", lambda _pid, _who: None)
    assert safe_sighup(one) is False
    assert one.heard == "not counted"


MASTER = """
import os, signal, sys, time
def hang_up(number, frame):
    os.kill(int(sys.argv[1]), signal.SIGHUP)
signal.signal(signal.SIGHUP, hang_up)
open(sys.argv[2], "w").close()
while True:
    time.sleep(0.1)
"""


def test_the_master_is_signalled_while_its_workers_stand_still(fake, tmpdir):
    one, ready = fake(late=0.5), str(tmpdir / "ready")
    link = one.connect_and_await()
    master = subprocess.Popen([sys.executable, "-c", MASTER, str(one.pid), ready])
    try:
        awaited(lambda: os.path.exists(ready))
        assert code.safe_sighup(master.pid, [one.pid], [one.address], "stats", ME, 2.0) is True
        assert one.heard == "counted"
    finally:
        master.kill()
        master.wait()
        link.close()


def test_a_worker_goes_on_though_its_master_does_not_signal_it(fake):
    one = fake(accepts=0)
    target = subprocess.Popen(["sleep", "60"])
    code.safe_sighup(target.pid, [one.pid], [one.address], "stats", ME, 5.0)
    target.wait()
    assert awaited(lambda: procfs.state(one.pid) in ("S", "R"))


def test_whatever_goes_wrong_a_worker_goes_on(fake, monkeypatch):
    one = fake(accepts=0)

    def breaks(_pid, addresses):
        # The question whether it may be seen has no addresses.
        if addresses:
            raise ValueError("odd")
        return set()

    monkeypatch.setattr(code, "held", breaks)
    with pytest.raises(OSError):
        safe_sighup(one)
    assert awaited(lambda: procfs.state(one.pid) in ("S", "R"))


@pytest.mark.parametrize("address", ["fd://0", "=0", "host:http", "sock", "@name", "", ":99999999"])
def test_an_address_that_nobody_listens_at_has_no_connections(address):
    assert code.accepted_ends(address) == set()


def test_an_abstract_socket_is_seen(fake, tmpdir):
    listener = socket.socket(socket.AF_UNIX)
    name = "graceful-%d" % os.getpid()
    # As uWSGI does, with the byte behind the name.
    listener.bind("\0" + name + "\0")
    listener.listen(1)
    link = socket.socket(socket.AF_UNIX)
    link.connect("\0" + name + "\0")
    assert code.accepted_ends("@" + name) == set()
    other = listener.accept()[0]
    assert len(code.accepted_ends("@" + name)) == 1
    for one in (other, link, listener):
        one.close()


def test_a_process_that_is_gone_is_told():
    process = subprocess.Popen(["true"])
    process.wait()
    with pytest.raises(OSError) as error:
        code.safe_sighup(process.pid, [process.pid], ["/x"], None, ME)
    assert error.value.errno == errno.ESRCH


def test_a_descriptor_that_is_closed_while_the_process_is_looked_at_hides_nothing(fake, monkeypatch):
    one = fake(accepts=1)
    link = one.connect_and_await()
    names = os.listdir
    # One that the list still has, and that is closed by the time it is read.
    monkeypatch.setattr(code.os, "listdir", lambda path: ["987654"] + names(path))
    assert len(code.held(one.pid, [one.address])) == 1
    link.close()


def test_a_descriptor_that_may_not_be_read_hides_what_the_process_holds(monkeypatch):
    def refuses(path):
        raise OSError(errno.EACCES, "refused", path)

    monkeypatch.setattr(code.os, "readlink", refuses)
    assert code.held(os.getpid(), []) is None


def test_pending_signals_are_seen():
    # Whatever started the tests, nohup say, may have had SIGHUP ignored, and then it is never pending.
    process = subprocess.Popen(["sleep", "60"], preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL))
    try:
        os.kill(process.pid, signal.SIGSTOP)
        awaited(lambda: procfs.state(process.pid) == "T")
        assert not procfs.pends(process.pid, signal.SIGHUP)
        os.kill(process.pid, signal.SIGHUP)
        assert procfs.pends(process.pid, signal.SIGHUP)
    finally:
        os.kill(process.pid, signal.SIGCONT)
        process.wait()


@pytest.fixture
def loader(tmpdir):
    """A function that starts a worker which still loads its code."""
    started = []

    def make():
        started.append(subprocess.Popen([sys.executable, "-c", LOADER, str(tmpdir)]))
        awaited(lambda: (tmpdir / "ready").check())
        return started[-1]

    yield make
    for one in started:
        if one.poll() is None:
            one.kill()
        one.wait()


# As a worker that uWSGI's master has forked anew: SIGHUP does what it does to the master.
LOADER = """
import os, signal, sys, time
signal.signal(signal.SIGHUP, lambda number, frame: open(os.path.join(sys.argv[1], "loader-heard"), "w").close())
open(os.path.join(sys.argv[1], "ready"), "w").close()
while True:
    time.sleep(0.1)
"""


def test_a_worker_that_still_loads_is_killed_and_never_told(loader, tmpdir, monkeypatch):
    one = loader()
    monkeypatch.setattr(code, "statistics", lambda _address, _timeout: {"workers": [{"pid": one.pid, "accepting": 0}]})
    started = time.time()
    assert code.safe_sighup(one.pid, [one.pid], ["/nowhere"], "stats", ME, 5.0) is True
    assert one.wait() == -signal.SIGKILL
    assert time.time() - started < 2 and not (tmpdir / "loader-heard").check()


def test_with_a_master_those_that_load_are_killed_once_it_has_told_all(loader, fake, tmpdir):
    one, other, ready = fake(accepts=0), loader(), str(tmpdir / "master-ready")
    master = subprocess.Popen([sys.executable, "-c", MASTER, str(one.pid), ready])
    try:
        awaited(lambda: os.path.exists(ready))
        pids = [one.pid, other.pid]
        assert code.safe_sighup(master.pid, pids, [one.address], None, ME, 2.0, grace=0.5) is True
        assert one.heard == "not counted"
        assert other.wait() == -signal.SIGKILL and not (tmpdir / "loader-heard").check()
    finally:
        master.kill()
        master.wait()


@pytest.mark.parametrize(
    ("accepting", "address", "loads"), [(0, "stats", True), (1, "stats", False), (0, None, True), (None, "stats", True)]
)
def test_whether_one_loads_is_told_by_its_signals_and_its_stats(loader, monkeypatch, accepting, address, loads):
    one = loader()
    workers = [{"pid": 1, "accepting": 1}, {"pid": one.pid, "accepting": accepting}]
    said = None if accepting is None else {"workers": workers}
    monkeypatch.setattr(code, "statistics", lambda _address, _timeout: said)
    assert code.loads(one.pid, address) is loads


def test_one_that_holds_a_connection_does_not_load(fake, monkeypatch):
    """A plugin may serve by a loop of its own, which uWSGI never calls accepting."""
    one = fake(late=0.2)
    monkeypatch.setattr(code.procfs, "catches", lambda _pid, _number: False)
    link = one.connect_and_await()
    assert safe_sighup(one, patience=2.0) is True
    assert one.heard == "counted"
    link.close()
