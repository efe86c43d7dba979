"""One graceful reload with a master of our own making: what is chosen, sent, waited for and said."""

from __future__ import absolute_import, division, print_function

import os
import signal
import subprocess
import threading
import time

import pytest

from ansible_collections.graceful.wsgi.plugins.module_utils import uwsgi_reloading as code
from ansible_collections.graceful.wsgi.plugins.module_utils.uwsgi_client import ClientError
from ansible_collections.graceful.wsgi.plugins.module_utils.uwsgi_config import Config
from ansible_collections.graceful.wsgi.plugins.module_utils.uwsgi_master import Master
from ansible_collections.graceful.wsgi.plugins.module_utils.uwsgi_preflight import PreflightError


class FakeMaster(Master):
    """A master whose workers are what a test says; it notes each signal and what is read from its fifo."""

    pid = 4242

    def __init__(self, folder, options):
        self.folder = self.started_in = folder
        self.config = Config(options)
        self.config_path = os.path.join(folder, "app.ini")
        self.who = {"uid": os.getuid(), "gid": os.getgid(), "groups": []}
        self.environment = {"PWD": folder}
        self.executable = "/bin/true"
        self.signals = []
        self.standing = [set([1, 2])]
        self.alive = True

    def workers(self):
        """The next of the listed sets, the last one for ever."""
        return self.standing.pop(0) if len(self.standing) > 1 else self.standing[0]

    def still(self):
        return self.alive

    def signal(self, number):
        self.signals.append(number)


@pytest.fixture
def instance(tmp_path, monkeypatch):
    """A function that makes a Reload of a fake master; keys of DEFAULTS as keywords."""
    folder = str(tmp_path)
    fifo = os.path.join(folder, "fifo")
    os.mkfifo(fifo)
    with open(os.path.join(folder, "app.ini"), "w") as target:
        target.write("[uwsgi]\n")
    monkeypatch.setattr(code, "STATE_DIR", os.path.join(folder, "state"))
    monkeypatch.setattr(code, "SETTLED", 0.1)
    monkeypatch.setattr(code, "PAUSE", 0.01)
    monkeypatch.setattr(code.procfs, "started_at", lambda pid: time.time() + 100)
    monkeypatch.setattr(code, "preflight", lambda *_words: 0.25)

    def make(options=(("master-fifo", fifo), ("lazy-apps", "true")), check_mode=False, fetch=None, **wanted):
        wanted = dict(dict(code.DEFAULTS, pidfile=os.path.join(folder, "pid"), timeout=20), **wanted)
        reload = code.Reload(wanted, fetch, check_mode)
        reload.master = FakeMaster(folder, list(options))
        reload.worker_ids = reload.master.who
        reload.reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
        reload.hung_up = []

        def safe_sighup(target, workers, _addresses, _stats, _who, _patience):
            # The pids are made up: whoever has them here must not be signalled.
            reload.hung_up.append((target, list(workers)))
            if target == reload.master.pid:
                reload.master.signal(signal.SIGHUP)

        monkeypatch.setattr(code.quiet, "safe_sighup", safe_sighup)
        return reload

    return make


def sent(reload):
    return os.read(reload.reader, 10)


def renewed(reload):
    reload.master.standing = [set([1, 2]), set([1, 3]), set([3, 4])]


LAZY = ("lazy-apps", "true")


@pytest.mark.parametrize(
    ("fifo", "lazy", "newer", "wanted", "taken"),
    [
        (True, True, False, "auto", "chain"),
        (True, False, False, "auto", "hup"),
        (False, True, False, "auto", "hup"),
        (True, True, True, "auto", "hup"),
        (True, True, True, "chain", "chain"),
        (True, True, False, "hup", "hup"),
        (True, False, False, "chain", None),
    ],
)
def test_strategy(instance, monkeypatch, fifo, lazy, newer, wanted, taken):
    one = instance(strategy=wanted)
    options = [pair for pair in one.master.config.options if pair[0] != "master-fifo" or fifo]
    one.master.config = Config([pair for pair in options if pair != LAZY or lazy])
    if newer:
        monkeypatch.setattr(code.procfs, "started_at", lambda pid: 0.0)
    renewed(one)
    result = one.run()
    if taken is None:
        assert result["failed"] and "chain needs lazy-apps" in result["msg"]
        assert (one.master.signals, sent(one)) == ([], b"")
    else:
        assert not result["failed"], result
        assert (result["strategy"], result["changed"]) == (taken, True)
        assert one.master.signals == ([signal.SIGHUP] if taken == "hup" else [])
        assert sent(one) == (b"c" if taken == "chain" else b"")
        assert (result["workers_before"], result["workers_after"]) == ([1, 2], [3, 4])


STATS = ("stats", "/run/x/stats")


def telling(monkeypatch, master, *ids):
    """Have the stats server name these workers, and all that come later as accepting ones."""
    before = master.workers()

    def said(_address):
        fresh = sorted(set().union(*master.standing) - before)
        return {"workers": [{"id": number, "pid": pid, "accepting": 1} for number, pid in enumerate(list(ids) + fresh)]}

    monkeypatch.setattr(code, "statistics", said)


def test_a_chain_goes_from_worker_to_worker(instance, monkeypatch):
    """By the order of their ids, the next one once the last one's place is taken; what is no worker is left alone."""
    one = instance(options=[LAZY, STATS, ("http", ":80"), ("processes", "2")])
    one.master.standing = [set([1, 2, 9])] * 3 + [set([1, 9]), set([1, 3, 9]), set([3, 9]), set([3, 4, 9])]
    telling(monkeypatch, one.master, 2, 1)
    seen = []
    plain = one.master.workers
    one.master.workers = lambda: seen.append((len(one.hung_up), plain())) or seen[-1][1]
    result = one.run()
    assert not result["failed"], (result["msg"], seen[-3:])
    assert (result["strategy"], result["changed"]) == ("chain", True)
    assert one.hung_up == [(2, [2]), (1, [1])]
    assert (1, set([1, 9])) in seen and (2, set([1, 9])) not in seen
    assert sent(one) == b""


def told(monkeypatch, one, respawn):
    """What stands changes as soon as one is told to go: {pid: accepting} that ``respawn(pid)`` says."""
    world = {}

    def safe_sighup(_target, workers, *_more):
        one.hung_up.append(list(workers))
        for pid in workers:
            del world[pid]
            world.update(respawn(pid))

    monkeypatch.setattr(code.quiet, "safe_sighup", safe_sighup)
    monkeypatch.setattr(code.procfs, "process_start", lambda pid: pid)
    one.master.workers = lambda: set(world)
    monkeypatch.setattr(
        code,
        "statistics",
        lambda _address: {"workers": [{"pid": pid, "accepting": world[pid]} for pid in sorted(world)]},
    )
    return world


def test_those_that_still_load_go_first_and_at_once(instance, monkeypatch):
    one = instance(options=[LAZY, STATS])
    world = told(monkeypatch, one, lambda pid: {pid + 10: 1})
    world.update({1: 1, 2: 0, 3: 1, 4: 0})
    result = one.run()
    assert not result["failed"], result
    assert one.hung_up == [[2], [4], [1], [3]]


def test_what_has_just_taken_anothers_place_is_waited_for(instance, monkeypatch):
    """Or nobody might serve: it came up by itself and loads, and the other one would be told to go."""
    one = instance(options=[LAZY, STATS])
    world = told(monkeypatch, one, lambda pid: {pid + 10: 1})
    world.update({1: 1, 2: 1})
    chain, went = one._chain, []

    def late(before, renewal):
        del world[2]
        world[5] = 0
        timer = threading.Timer(0.3, lambda: went.append(list(one.hung_up)) or world.update({5: 1}))
        timer.start()
        chain(before, renewal)

    one._chain = late
    result = one.run()
    assert not result["failed"], result
    assert (went, one.hung_up) == ([[]], [[1]])


def test_the_time_limit_is_each_workers(instance, monkeypatch):
    one = instance(options=[LAZY, STATS], timeout=1)

    def respawn(pid):
        threading.Timer(0.7, lambda: world.update({pid + 10: 1})).start()
        return {pid + 10: 0}

    world = told(monkeypatch, one, respawn)
    world.update({1: 1, 2: 1, 3: 1})
    started = time.time()
    result = one.run()
    assert not result["failed"], result
    assert time.time() - started > 2


def test_a_load_that_takes_too_long_is_told_with_what_to_set(instance, monkeypatch):
    one = instance(options=[LAZY, STATS], timeout=1)
    world = told(monkeypatch, one, lambda pid: {pid + 10: int(pid == 1)})
    world.update({1: 1, 2: 1, 3: 1})
    result = one.run()
    assert result["failed"] and one.hung_up == [[1], [2]]
    message = "within 1 s after the last one that was (1 of 3); still from before: 3; still loading the code: 12 ("
    assert message in result["msg"]
    assert "publish_timeout" in result["msg"]


def test_a_worker_that_outlives_its_mercy_is_killed(instance, monkeypatch):
    process = subprocess.Popen(["sleep", "60"])
    one = instance(options=[LAZY, STATS, ("worker-reload-mercy", "1")])
    one.master.standing = [set([process.pid]), set([process.pid]), set([3])]
    telling(monkeypatch, one.master, process.pid)
    one.master.workers = lambda: set([process.pid]) if process.poll() is None else set([3])
    started = time.time()
    result = one.run()
    assert not result["failed"], result
    assert process.wait() == -signal.SIGKILL and time.time() - started >= 1


def test_a_chain_needs_no_fifo_where_the_stats_server_answers(instance, monkeypatch):
    one = instance(options=[LAZY, STATS], strategy="chain")
    monkeypatch.setattr(code, "statistics", lambda _address: None)
    assert "chain needs lazy-apps" in one.run()["msg"]
    other = instance(options=[LAZY, STATS])
    renewed(other)
    assert other.run()["strategy"] == "hup"


def test_a_router_is_no_worker_where_the_stats_server_tells(instance, monkeypatch):
    """It has the master's words, and a new one after a SIGHUP; no stats server knows it."""
    one = instance(options=[STATS, ("http", ":80")], strategy="hup")
    one.master.standing = [set([1, 2, 8]), set([1, 2, 8]), set([1, 2, 8]), set([3, 4, 9])]
    known = [{"pid": pid, "accepting": 1} for pid in (1, 2, 3, 4)]
    monkeypatch.setattr(code, "statistics", lambda _address: {"workers": known})
    result = one.run()
    assert not result["failed"], result
    assert (result["workers_before"], result["workers_after"]) == ([1, 2], [3, 4])


def test_a_stats_server_that_answered_before_is_waited_for(instance, monkeypatch):
    one = instance(options=[STATS], strategy="hup", timeout=1)
    one.master.standing = [set([1, 2]), set([1, 2]), set([3, 4])]
    known = {"workers": [{"pid": pid, "accepting": 1} for pid in (1, 2)]}
    monkeypatch.setattr(code, "statistics", lambda _address: known if 1 in one.master.standing[0] else None)
    assert "new and accepting" in one.run()["msg"]


def test_where_nobody_tells_the_workers_the_master_is_asked(instance, monkeypatch):
    monkeypatch.setattr(code, "statistics", lambda _address: None)
    one = instance()
    one.master.config = Config(one.master.config.options + [STATS])
    renewed(one)
    assert not one.run()["failed"]
    assert (one.hung_up, sent(one)) == ([], b"c")


def test_all_workers_stand_still_for_a_sighup_of_the_master(instance):
    one = instance(strategy="hup")
    renewed(one)
    assert not one.run()["failed"]
    assert one.hung_up == [(one.master.pid, [1, 2])]


def test_code_that_does_not_load_is_told_and_nothing_is_sent(instance, monkeypatch):
    def fails(*_words):
        raise PreflightError("Traceback: no")

    monkeypatch.setattr(code, "preflight", fails)
    one = instance()
    result = one.run()
    assert result["failed"] and not result["changed"] and "Traceback: no" in result["msg"]
    assert (one.master.signals, sent(one)) == ([], b"")


def test_check_mode_loads_the_code_and_sends_nothing(instance):
    one = instance(check_mode=True)
    result = one.run()
    assert (result["changed"], result["failed"]) == (True, False)
    assert result["preflight"] == "loaded in 0.25 s"
    assert (one.master.signals, sent(one)) == ([], b"")


def test_workers_that_stay_are_named(instance):
    one = instance(timeout=1)
    one.master.standing = [set([1, 2]), set([2, 3])]
    result = one.run()
    assert result["failed"] and result["changed"]
    assert "still from before: 2 " in result["msg"]


def test_a_crash_loop_is_told_before_the_time_is_up(instance):
    one = instance()
    one.master.standing = [set([1, 2])] + [set([1, pid]) for pid in range(10, 16)]
    started = time.time()
    result = one.run()
    assert result["failed"] and "die at their start" in result["msg"]
    assert time.time() - started < 10


def test_a_master_that_ends_is_told(instance):
    one = instance()

    def workers():
        if one.result["changed"]:
            one.master.alive = False
        return set([1, 2])

    one.master.workers = workers
    result = one.run()
    assert result["failed"] and "the master ended during the reload" in result["msg"]


def test_a_second_reload_waits_and_then_gives_up(instance):
    one = instance(timeout=1)
    with code.Lock(one.wanted["pidfile"], time.time() + 20):
        result = one.run()
    assert result["failed"] and "another reload of this instance is under way" in result["msg"]
    assert (one.master.signals, sent(one)) == ([], b"")


def test_nobody_looks_at_a_master_in_the_middle_of_a_reload(instance, monkeypatch):
    """It may have no workers then, and would be taken for none."""
    monkeypatch.setattr(code.os, "geteuid", lambda: 0)
    one, looked = instance(timeout=20), []
    fake = one.master
    monkeypatch.setattr(code, "Master", lambda *_words: looked.append(1) or fake)
    lock = code.Lock(one.wanted["pidfile"], time.time() + 20)
    lock.__enter__()
    timer = threading.Timer(0.3, lambda: (looked.append(0), lock.__exit__(None, None, None)))
    timer.start()
    monkeypatch.setattr(code.procfs, "ids", lambda pid: fake.who)
    one.prove()
    timer.join()
    assert looked == [0, 1] and not one.result["failed"], one.result
    one = instance(timeout=0.2)
    with code.Lock(one.wanted["pidfile"], time.time() + 20):
        one.prove()
    assert "another reload of this instance is under way" in one.result["msg"]


def test_a_second_reload_goes_on_after_the_first(instance):
    one = instance()
    renewed(one)
    lock = code.Lock(one.wanted["pidfile"], time.time() + 20)
    lock.__enter__()
    timer = threading.Timer(0.3, lambda: lock.__exit__(None, None, None))
    timer.start()
    result = one.run()
    timer.join()
    assert not result["failed"], result


def test_the_probe_is_asked_until_it_holds(instance):
    answers = [(503, "wait"), ClientError("refused"), (200, "other"), (200, "it is up")]

    def fetch(_url, host, _timeout):
        assert host == "shop.test"
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    one = instance(fetch=fetch, probe={"url": "http://x/", "host": "shop.test", "text": "it is up"})
    renewed(one)
    result = one.run()
    assert not result["failed"], result
    assert (result["probe"], answers) == ("answered 200", [])


def test_a_probe_that_never_holds_fails(instance):
    one = instance(timeout=1, fetch=lambda *_words: (500, ""), probe={"url": "http://x/"})
    renewed(one)
    result = one.run()
    assert result["failed"] and result["changed"]
    assert "the probe does not hold: answered 500" in result["msg"]


def test_what_nobody_foresaw_is_a_failure_too(instance, monkeypatch):
    def breaks(*_words):
        raise RuntimeError("odd")

    monkeypatch.setattr(code, "preflight", breaks)
    result = instance().run()
    assert result["failed"] and "odd" in result["msg"]


def test_so_many_at_a_time_and_all_of_them():
    most, now, done, lock = [0], [0], [], threading.Lock()

    def work(number):
        def call():
            with lock:
                now[0] += 1
                most[0] = max(most[0], now[0])
            time.sleep(0.02)
            with lock:
                now[0] -= 1
                done.append(number)

        return call

    code.run_all([work(number) for number in range(9)], 3)
    assert sorted(done) == list(range(9))
    assert 1 < most[0] <= 3


HOOK = ("hook-master-start", "unix_signal:15 gracefully_kill_them_all")


@pytest.mark.parametrize(
    ("options", "told", "signals"),
    [
        (["fifo", HOOK], b"q", []),
        ([HOOK], b"", [signal.SIGTERM]),
        ([("hook-master-start", "unix_signal:15 reload")], b"", [signal.SIGINT]),
        ([], b"", [signal.SIGINT]),
    ],
)
def test_stop_is_as_gentle_as_the_instance_can(instance, options, told, signals):
    one = instance(strategy="stop")
    fifo = [pair for pair in one.master.config.options if pair[0] == "master-fifo"][0]
    one.master.config = Config([fifo if option == "fifo" else option for option in options])
    one.master.standing = [set()]
    one.master.still = lambda: not (one.result["changed"])
    result = one.run()
    assert not result["failed"], result
    assert (sent(one), one.master.signals) == (told, signals)
    assert result["workers_after"] == []


def test_a_plain_user_locks_the_pidfile_itself(instance, monkeypatch):
    one = instance(timeout=1)
    with open(one.wanted["pidfile"], "w") as target:
        target.write("4242\n")
    monkeypatch.setattr(code.os, "geteuid", lambda: 1000)
    with code.Lock(one.wanted["pidfile"], time.time() + 20):
        assert "another reload" in one.run()["msg"]
    assert not os.path.exists(code.STATE_DIR)
    renewed(one)
    again = instance()
    renewed(again)
    assert not again.run()["failed"]
