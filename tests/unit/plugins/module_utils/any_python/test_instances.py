# -*- coding: utf-8 -*-
"""What an instance needs, and how it is given it (runs under Python 2.7 too)."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import json
import os
import socket
import subprocess
import sys
import time

import pytest

from ansible_collections.graceful.wsgi.plugins.module_utils import generations
from ansible_collections.graceful.wsgi.plugins.module_utils import instances as code
from ansible_collections.graceful.wsgi.plugins.module_utils.instances import (
    Instance,
    InstanceError,
    Instances,
    accepts,
    parse_show,
    said_since,
    tail,
)


def put(path, text, mtime=None):
    with open(path, "wb") as target:
        target.write(text.encode("utf-8"))
    if mtime is not None:
        os.utime(path, (mtime, mtime))


class Host:
    """systemd, /proc, sockets and a clock, all made up. A master is pid -> [start, workers]."""

    def __init__(self, root, monkeypatch):
        self.root = root
        self.now = 1000.0
        self.slept = 0
        self.masters = {}
        self.units = {}
        self.calls = []
        self.reloaded = []
        self.fail = {}
        self.on = {}
        self.open = True
        self.next_pid = 100
        monkeypatch.setattr(code, "STATE_DIR", os.path.join(root, "run"))
        monkeypatch.setattr(code, "process_start", lambda pid: self.masters[pid][0] if pid in self.masters else None)
        monkeypatch.setattr(code, "started_at", lambda pid: self.masters[pid][0] if pid in self.masters else 0.0)
        monkeypatch.setattr(code, "children", lambda pid: set(self.masters[pid][1]) if pid in self.masters else set())
        monkeypatch.setattr(code, "accepts", lambda address: self.open)

    # -- clock --

    def time(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds
        self.slept += seconds
        assert self.slept < 1000, "waits for ever"
        if "tick" in self.on:
            self.on["tick"]()

    # -- systemd --

    def boot(self, unit, workers=2):
        pid = self.next_pid
        self.next_pid += 100
        self.masters[pid] = [self.now, set(range(pid + 1, pid + 1 + workers))]
        self.units[unit].update(ActiveState="active", MainPID=str(pid))
        with open(os.path.join(self.root, unit + ".pid"), "w") as target:
            target.write("%d\n" % pid)
        return pid

    def end(self, unit, state="failed"):
        self.masters.pop(int(self.units[unit]["MainPID"]), None)
        self.units[unit].update(ActiveState=state, MainPID="0")

    def reload(self, instances, timeout):
        """In the place of a real graceful reload."""
        self.reloaded += [(one.name, one.strategy) for one in instances]
        if not self.open:
            raise InstanceError("not up within %d s" % timeout)
        if "reload" in self.on:
            self.on["reload"]()

    def systemctl(self, *words):
        verb, units = words[0], [word for word in words[1:] if not word.startswith("--")]
        if verb == "show":
            text = "\n\n".join(
                "\n".join("%s=%s" % pair for pair in sorted(dict(self.units[unit], Id=unit).items())) for unit in units
            )
            return self.fail.get("show", (0, text + "\n", ""))
        self.calls.append((verb,) + tuple(units))
        if verb in self.fail:
            return self.fail[verb]
        if verb == "daemon-reload":
            for unit in self.units.values():
                unit["NeedDaemonReload"] = "no"
        for unit in units:
            if verb == "enable":
                self.units[unit]["UnitFileState"] = "enabled"
            elif verb == "disable":
                self.units[unit]["UnitFileState"] = "disabled"
            elif verb == "stop":
                self.end(unit, "inactive")
            elif verb in ("start", "restart"):
                self.end(unit)
                self.boot(unit)
        if verb in self.on:
            self.on[verb]()
        return 0, "", ""

    # -- instances --

    def path(self, name):
        return os.path.join(self.root, name)

    def instance(self, name="a", up=True, pending=(), **more):
        """An instance whose files are older than its master."""
        unit = name + ".service"
        for kind in ("unit", "config", "code1", "code2"):
            if not os.path.exists(self.path(name + "." + kind)):
                put(self.path(name + "." + kind), kind, mtime=10)
        link = self.path(name + ".link")
        if not os.path.islink(link):
            os.symlink("code1", link)
        if unit not in self.units:
            self.units[unit] = {"ActiveState": "inactive", "UnitFileState": "enabled", "MainPID": "0"}
            self.units[unit]["NeedDaemonReload"] = "no"
            if up:
                # The link's own time cannot be set on every Python; its master is younger all the same.
                self.now = max(self.now, time.time() + 100)
                self.boot(unit)
        wanted = {
            "name": name,
            "unit": unit,
            "unit_files": [self.path(name + ".unit"), self.path(name + ".dropin")],
            "config": self.path(name + ".config"),
            "links": [link],
            "pidfile": self.path(unit + ".pid"),
            "socket": "/sock",
            "processes": 2,
            "log_file": self.path(name + ".log"),
        }
        wanted.update(more)
        return Instance(wanted, pending)

    def work(self, *found):
        return Instances(list(found), self.systemctl, self.reload, clock=self)

    def needs(self, one):
        self.work(one).look()
        return one.needs()

    def later(self):
        return self.now + 1000


@pytest.fixture
def host(tmp_path, monkeypatch):
    return Host(str(tmp_path), monkeypatch)


# -- reading ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text, expected",
    [
        ("", {}),
        ("ActiveState=active\n", {}),
        ("Id=a\nX=1\n", {"a": {"Id": "a", "X": "1"}}),
        ("X=1\nId=a\n\nId=b\nX=\n", {"a": {"Id": "a", "X": "1"}, "b": {"Id": "b", "X": ""}}),
        ("Id=a\nX=b=c\nnonsense\n", {"a": {"Id": "a", "X": "b=c"}}),
    ],
)
def test_parse_show(text, expected):
    assert parse_show(text) == expected


def test_tail(tmp_path):
    path = str(tmp_path / "log")
    assert tail(None) == tail("") == tail(path) == ""
    assert tail(str(tmp_path)) == "(not read: %s: is no regular file)" % tmp_path
    put(path, u"".join(u"zeile %d \u00e4\n" % number for number in range(20000)))
    found = tail(path, 2)
    assert type(found) is str and found.split()[1::3] == ["19998", "19999"]


def test_processes_as_proc_tells():
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        assert child.pid in code.children(os.getpid()) and code.children(child.pid) == set()
        assert abs(code.started_at(child.pid) - time.time()) < 10
        assert code.process_start(child.pid) >= code.process_start(os.getpid())
    finally:
        child.kill()
        child.wait()
    assert code.process_start(child.pid) is None and code.started_at(child.pid) == 0.0


@pytest.mark.parametrize("host_name", ["127.0.0.1", "", "*", "0.0.0.0"])
def test_accepts_a_port(host_name):
    server = socket.socket()
    server.bind(("127.0.0.1", 0))
    address = "%s:%d" % (host_name, server.getsockname()[1])
    assert accepts(address) is False
    server.listen(1)
    assert accepts(address) is True
    server.close()


def test_accepts_a_path(tmp_path, monkeypatch):
    # A socket's path may have 107 bytes, pytest's may be longer.
    monkeypatch.chdir(tmp_path)
    path = "/proc/self/cwd/s"
    assert accepts(path) is False
    server = socket.socket(socket.AF_UNIX)
    server.bind("s")
    assert accepts(path) is False
    server.listen(1)
    assert accepts(path) is True
    server.close()


# -- what it needs ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "state, expected",
    [
        ("active", "nothing"),
        ("reloading", "nothing"),
        ("inactive", "start"),
        ("failed", "start"),
        ("activating", "start"),
    ],
)
def test_needs_by_state(host, state, expected):
    one = host.instance()
    host.units[one.unit]["ActiveState"] = state
    assert host.needs(one) == expected


def change(host, kind, name="a"):
    if kind == "link":
        os.unlink(host.path(name + ".link"))
        os.symlink("code2", host.path(name + ".link"))
    elif kind != "nothing":
        put(host.path("%s.%s" % (name, kind)), "changed", mtime=host.later())


TABLE = [("nothing", "nothing"), ("unit", "restart"), ("dropin", "restart"), ("config", "reload"), ("link", "reload")]


@pytest.mark.parametrize("kind, expected", TABLE)
def test_needs_by_what_changed_since_it_was_noted(host, kind, expected):
    one = host.instance()
    host.work(one).apply(10)
    change(host, kind)
    assert host.needs(one) == expected
    assert host.needs(host.instance()) == expected


@pytest.mark.parametrize("kind, expected", [pair for pair in TABLE if pair[0] != "link"])
def test_needs_by_age_where_somebody_else_started_it(host, kind, expected):
    one = host.instance()
    change(host, kind)
    assert host.needs(one) == expected


def test_a_symlink_counts_by_its_own_age_not_by_that_of_what_it_leads_to(host):
    one = host.instance()
    put(host.path("code1"), "x", mtime=host.later())
    assert host.needs(one) == "nothing"
    host.masters[100][0] = 5
    assert host.needs(host.instance(unit_files=[], config="/nonexistent")) == "reload"


def test_what_is_written_in_the_same_moment_counts_as_newer(host):
    one = host.instance()
    put(host.path("a.config"), "x", mtime=int(host.masters[100][0]))
    host.masters[100][0] = int(host.masters[100][0])
    assert host.needs(one) == "reload"


@pytest.mark.parametrize("noted", [True, False])
@pytest.mark.parametrize("kind, expected", TABLE)
def test_needs_in_check_mode_by_what_would_have_changed(host, noted, kind, expected):
    one = host.instance()
    if noted:
        host.work(one).apply(10)
    pending = [] if kind == "nothing" else [host.path("a." + kind)]
    assert host.needs(host.instance(pending=pending + ["/some/other/file"])) == expected
    assert host.reloaded == []


def test_a_note_of_another_master_does_not_count(host):
    one = host.instance()
    host.work(one).apply(10)
    change(host, "config")
    host.now = host.later() + 1000
    host.end(one.unit)
    host.boot(one.unit)
    # systemd started it after the change.
    assert host.needs(one) == "nothing"
    # The same pid again, but another process.
    host.units[one.unit]["MainPID"] = "100"
    host.masters[100] = [host.now, set([101, 102])]
    host.work(one).look()
    assert one.pid == 100 and one.applied() is None


def test_a_master_that_is_gone_already_crashes_nothing(host):
    one = host.instance()
    host.masters.clear()
    assert host.needs(one) == "restart"


def test_a_unit_that_systemd_does_not_know(host):
    one = host.instance()
    host.units[one.unit] = {}
    assert host.needs(one) == "start" and (one.pid, one.enabled) == (0, False)


def test_non_ascii_links(host):
    os.unlink(host.instance().wanted["links"][0])
    name = u"sch\u00f6n"
    os.symlink(name.encode("utf-8") if str is bytes else name, host.path("a.link"))
    assert len(host.instance().desired()["code"]) == 64


def test_a_virtualenv_that_is_not_there_says_nothing_until_it_is(host):
    # Reloading by hand plans without the host, and names one that a deploy does not make.
    link, venv = host.path("a.link"), host.path("a.venv")
    host.work(host.instance(links=[link, venv])).apply(5)
    assert host.needs(host.instance(links=[link])) == "nothing"
    assert host.needs(host.instance(links=[link, venv], pending=[venv])) == "reload"
    os.symlink("code1", venv)
    assert host.needs(host.instance(links=[link, venv])) == "reload"
    host.work(host.instance(links=[link, venv])).apply(5)
    assert host.needs(host.instance(links=[link])) == "reload"


# -- giving it -------------------------------------------------------------------------------------------------------


def test_nothing_to_do_is_noted_and_done_by_no_verb(host):
    one = host.instance()
    before = host.now
    assert host.work(one).apply(10) == {"a": "nothing"}
    assert (host.calls, host.reloaded, host.now) == ([], [], before)
    with open(os.path.join(host.root, "run", "a.json")) as source:
        noted = json.load(source)
    assert noted["process"][0] == 100 and noted["has"] == one.desired()
    assert sorted(os.listdir(os.path.join(host.root, "run"))) == ["a.json"]


def test_no_instances(host):
    assert host.work().apply(10) == {} and host.calls == []


def test_the_order_of_verbs_with_all_instances_in_one_call_each(host):
    found = [
        host.instance("new1", up=False),
        host.instance("new2", up=False),
        host.instance("unit"),
        host.instance("config"),
        host.instance("same"),
    ]
    for name in ("new1.service", "new2.service", "same.service"):
        host.units[name]["UnitFileState"] = "disabled"
    host.units["unit.service"]["NeedDaemonReload"] = "yes"
    host.work(*found[2:])
    change(host, "unit", "unit")
    change(host, "config", "config")
    done = host.work(*found).apply(10)
    assert done == {"new1": "start", "new2": "start", "unit": "restart", "config": "reload", "same": "nothing"}
    assert host.calls == [
        ("daemon-reload",),
        ("enable", "new1.service", "new2.service", "same.service"),
        ("start", "new1.service", "new2.service"),
        ("restart", "unit.service"),
    ]
    assert host.reloaded == [("config", "hup")]
    again = [host.instance(one.name) for one in found]
    assert set(host.work(*again).apply(10).values()) == set(["nothing"])


def test_no_daemon_reload_unless_systemd_asks(host):
    host.work(host.instance(up=False)).apply(10)
    assert host.calls == [("start", "a.service")]


@pytest.mark.parametrize("verb", ["show", "daemon-reload", "enable", "start"])
def test_what_systemctl_refuses_is_told(host, verb):
    one = host.instance(up=False)
    host.units[one.unit].update(NeedDaemonReload="yes", UnitFileState="disabled")
    said = u"\u25cf no".encode("utf-8") if str is bytes else u"\u25cf no"
    host.fail[verb] = (1, "", said + "\n")
    put(one.wanted["log_file"], u"first\nlast \u00f6\n")
    with pytest.raises(InstanceError) as caught:
        host.work(one).apply(10)
    # str() is what the module does with it.
    assert "systemctl %s" % verb in str(caught.value) and said in str(caught.value)
    assert ("last" in str(caught.value)) == (verb in ("enable", "start"))
    assert not os.path.exists(one.stamp)


def test_with_best_effort_one_that_fails_holds_up_no_other(host):
    names = ("a", "b", "c")
    found = [host.instance(name, up=False) for name in names]
    usual = host.systemctl

    def systemctl(*words):
        if words[0] in ("start", "stop") and "b.service" in words:
            return 1, "", "Unit b.service is masked."
        return usual(*words)

    work = Instances(found, systemctl, host.reload, clock=host)
    done, failed = work.each(lambda some: some.apply(10))
    assert done == {"a": "start", "c": "start"}
    assert list(failed) == ["b"] and "masked" in failed["b"]
    assert [host.units[name + ".service"]["ActiveState"] for name in names] == ["active", "inactive", "active"]
    host.boot("b.service")
    done, failed = work.each(lambda some: some.end())
    assert done == {"a": "stop", "c": "stop"}
    assert list(failed) == ["b"]


def test_what_changes_after_the_signal_is_not_noted_as_taken_up(host):
    one = host.instance()
    change(host, "config")
    host.on["reload"] = lambda: put(host.path("a.config"), "and again", mtime=host.later())
    assert host.work(one).apply(10) == {"a": "reload"}
    assert host.needs(host.instance()) == "reload"


def test_a_reload_that_failed_is_still_owed(host):
    one = host.instance()
    host.work(one).apply(10)
    change(host, "config")
    host.open = False
    with pytest.raises(InstanceError):
        host.work(one).apply(10)
    host.open = True
    assert host.work(host.instance()).apply(10) == {"a": "reload"}
    assert host.work(host.instance()).apply(10) == {"a": "nothing"}


# -- waiting ---------------------------------------------------------------------------------------------------------


def started(host, **more):
    one = host.instance(up=False, **more)
    return one, host.work(one)


def test_up_means_for_a_second(host):
    _one, work = started(host)
    before = host.now
    work.apply(10)
    assert 1 <= host.now - before < 1.5


def test_waits_for_all_workers(host):
    one, work = started(host, processes=3)
    before = host.now

    def tick():
        if host.now - before > 4:
            host.masters[100][1].add(103)

    host.on["tick"] = tick
    work.apply(10)
    assert host.now - before > 5


def not_up(host, case):
    """Something that keeps an instance from being up, at every tick."""

    def tick():
        pid = int(host.units["a.service"]["MainPID"])
        if case == "no socket":
            host.open = False
        elif case == "a worker missing":
            host.masters[pid][1] = set([pid + 1])
        elif case == "workers come and go":
            host.masters[pid][1] = set(worker + 1 for worker in host.masters[pid][1])
        elif case == "no workers":
            host.masters[pid][1] = set()

    return tick


@pytest.mark.parametrize("case", ["no socket", "a worker missing", "workers come and go", "no workers"])
def test_not_up_in_time(host, case):
    one, work = started(host)
    put(one.wanted["log_file"], "ImportError: no module named x\n")
    before = host.now
    host.on["tick"] = not_up(host, case)
    host.on["start"] = host.on["tick"]
    with pytest.raises(InstanceError) as caught:
        work.apply(7)
    assert 7 <= host.now - before < 8
    assert "a not up within 7 s" in str(caught.value) and "ImportError" in str(caught.value)
    assert not os.path.exists(one.stamp)


def test_no_workers_is_not_up_even_if_none_are_counted(host):
    one, work = started(host, processes=0)
    host.on["start"] = not_up(host, "no workers")
    with pytest.raises(InstanceError):
        work.apply(3)


@pytest.mark.parametrize("period", [0.3, 0.95, 1.5, 3.0])
def test_a_crash_loop_never_is_up(host, period):
    """systemd makes a new master each time the last one ends; the last state seen may well be active."""
    one, work = started(host)
    other = host.instance("slow", up=False, processes=3)
    work = host.work(one, other)
    last = [host.now]

    def tick():
        if host.now - last[0] >= period:
            last[0] = host.now
            host.end(one.unit)
            host.boot(one.unit)
        if host.now > start + 6:
            pid = int(host.units[other.unit]["MainPID"])
            host.masters[pid][1].add(pid + 3)

    start = host.now
    host.on["tick"] = tick
    with pytest.raises(InstanceError) as caught:
        work.apply(20)
    assert "ended" in str(caught.value) and not os.path.exists(one.stamp)


def test_a_master_that_fails_for_good_is_told_at_once(host):
    one, work = started(host)
    put(one.wanted["log_file"], "no app loaded\n")
    before = host.now
    host.on["start"] = lambda: host.end(one.unit)
    with pytest.raises(InstanceError) as caught:
        work.apply(60)
    assert host.now - before < 1
    assert "no app loaded" in str(caught.value) and "a.service is failed" in str(caught.value)


def test_one_of_many_is_named(host):
    good, bad = host.instance("good", up=False), host.instance("bad", up=False)
    host.on["start"] = lambda: host.masters[int(host.units["bad.service"]["MainPID"])][1].clear()
    with pytest.raises(InstanceError) as caught:
        host.work(good, bad).apply(5)
    assert "bad not up" in str(caught.value) and "good" not in str(caught.value)


@pytest.mark.parametrize(("what", "strategy"), [("link", "auto"), ("config", "hup")])
def test_a_configuration_that_changed_is_not_left_to_a_chain_reload(host, what, strategy):
    host.work(host.instance()).apply(10)
    change(host, what)
    assert host.work(host.instance()).apply(10) == {"a": "reload"}
    assert host.reloaded == [("a", strategy)]


# -- crossing over to a second generation ----------------------------------------------------------------------------


class Crossing:
    """An instance that nginx reaches through a link, and what happened to it in order."""

    def __init__(self, host, monkeypatch):
        self.host = host
        self.order = []
        self.accepting = {"a": 2, "a@next": 2}
        self.connected = {}
        self.link = host.path("links/a.sock")
        monkeypatch.setattr(generations, "CONFIG_DIR", host.path("next"))
        monkeypatch.setattr(generations, "UNIT_DIR", host.path("units"))
        monkeypatch.setattr(code, "accepting", lambda stats: self.accepting[stats.split("/")[-2].partition("-")[2]])
        monkeypatch.setattr(code, "connections", self.connections)
        put(host.path("a.config.ini"), "[uwsgi]\nsocket = %s\n" % host.path("run-a/sock"), mtime=10)
        os.mkdir(host.path("a.service.d"))
        put(host.path("a.service.d/x.conf"), "ExecStart=uwsgi --ini %s\n" % host.path("a.config.ini"), mtime=10)

    def connections(self, path, waiting):
        self.order.append(("accept " if waiting else "drain ") + path.split("/")[-2])
        return self.connected.get(path.split("/")[-2], 0)

    def systemctl(self, *words):
        verb = words[0]
        for unit in words[1:]:
            if unit == "a@next.service":
                self.host.units.setdefault(unit, {"MainPID": "0"})
        answer = self.host.systemctl(*words)
        if verb != "show":
            self.order.append(" ".join(words).replace(".service", ""))
        leads = os.readlink(self.link).split("/")[-2] if os.path.islink(self.link) else "nowhere"
        self.order.append("-> " + leads)
        return answer

    def instance(self, **more):
        one = self.host.instance(
            "a",
            config=self.host.path("a.config.ini"),
            run_dir=self.host.path("run-a"),
            socket=self.host.path("run-a/sock"),
            link=self.link,
            **more
        )
        self.host.units["a.service"]["DropInPaths"] = "/etc/x.conf " + self.host.path("a.service.d/x.conf")
        return one

    def apply(self, renew=False, **more):
        one = self.instance(**more)
        one.renew = renew
        work = Instances([one], self.systemctl, self.host.reload, clock=self.host)
        return work.apply(10)

    @property
    def leads_to(self):
        return os.readlink(self.link).split("/")[-2]

    def story(self):
        """What happened, each state of the link once."""
        told = []
        for item in self.order:
            if not item.startswith("-> ") or item not in [word for word in told if word.startswith("-> ")][-1:]:
                told.append(item)
        return told


@pytest.fixture
def crossing(host, monkeypatch):
    made = Crossing(host, monkeypatch)
    assert made.apply() == {"a": "link"}
    assert made.apply() == {"a": "nothing"}
    made.order[:] = []
    change(host, "unit")
    return made


def test_a_restart_is_crossed_over(crossing):
    assert crossing.apply() == {"a": "restart"}
    assert crossing.story() == [
        "-> run-a",
        "daemon-reload",
        "start a@next",
        "drain run-a",
        "restart a",
        "-> run-a@next",
        "drain run-a@next",
        "stop a@next",
        "-> run-a",
        "daemon-reload",
        "reset-failed a@next",
    ]
    assert crossing.apply() == {"a": "nothing"}
    assert not os.path.exists(crossing.instance().standby.dropin)


def test_a_changed_configuration_is_crossed_over_too(host, monkeypatch):
    made = Crossing(host, monkeypatch)
    made.apply()
    made.apply()
    made.order[:] = []
    put(host.path("a.config.ini"), "[uwsgi]\nsocket = %s\nharakiri = 30\n" % host.path("run-a/sock"))
    assert made.apply() == {"a": "restart"}
    assert "start a@next" in made.order and host.reloaded == []
    assert made.apply() == {"a": "nothing"}


def test_what_a_second_cannot_stand_in_for_gets_a_sighup(host, monkeypatch):
    made = Crossing(host, monkeypatch)
    text = "[uwsgi]\nsocket = %s\nattach-daemon = ./redis\n" % host.path("run-a/sock")
    put(host.path("a.config.ini"), text, mtime=10)
    made.apply()
    made.apply()
    made.order[:] = []
    put(host.path("a.config.ini"), text + "harakiri = 30\n")
    assert made.apply() == {"a": "reload"}
    assert host.reloaded == [("a", "hup")] and "start a@next" not in made.order


@pytest.mark.parametrize("why", ["code", "renewal"])
def test_sockets_that_stay_open_are_crossed_over_too_and_told_at_once(host, monkeypatch, why):
    made = Crossing(host, monkeypatch)
    made.apply(mercy=10)
    assert made.apply(mercy=10) == {"a": "nothing"}
    made.order[:] = []
    made.connected["run-a"] = 0
    if why == "code":
        change(host, "link")
    assert made.apply(mercy=10, renew=why == "renewal") == {"a": "restart"}
    assert host.reloaded == []
    told = made.story()
    assert told.index("start a@next") < told.index("accept run-a") < told.index("restart a")
    assert told.index("-> run-a@next") < told.index("accept run-a@next") < told.index("stop a@next")
    assert "drain run-a" not in told
    assert made.apply(mercy=10) == {"a": "nothing"}


def test_what_is_asked_to_be_renewed_is_reloaded_or_started(host):
    one, other = host.instance(), host.instance("b", up=False)
    one.renew = other.renew = True
    assert host.work(one, other).apply(10) == {"a": "reload", "b": "start"}
    assert host.reloaded == [("a", "auto")]


def test_clients_of_one_instance_are_back_before_the_next_ones_have_to_leave(host, monkeypatch):
    made = Crossing(host, monkeypatch)
    steps = []
    work = Instances([], made.systemctl, host.reload, clock=host)
    work.instances = [made.instance(mercy=mercy) for mercy in (None, 10, 10, None)]
    for number, one in enumerate(work.instances):
        one.name = "a%d" % number
    monkeypatch.setattr(Instances, "_cross", lambda _s, chosen, _t: steps.append("away " + chosen[0].name))
    monkeypatch.setattr(Instances, "_home", lambda _s, chosen, _t: steps.extend("home " + one.name for one in chosen))
    monkeypatch.setattr(Instance, "needs", lambda self: "restart")
    monkeypatch.setattr(Instance, "away", property(lambda self: False))
    work.apply(10)
    assert steps == ["away a1", "home a1", "away a2", "home a2", "away a0"]


def test_due_is_what_apply_would_do_something_for(host, monkeypatch):
    made = Crossing(host, monkeypatch)
    instances = Instances([made.instance()], made.systemctl, None)
    assert instances.due() == ["a"]
    made.apply()
    made.apply()
    assert Instances([made.instance()], made.systemctl, None).due() == []
    host.units["a.service"]["UnitFileState"] = "disabled"
    assert Instances([made.instance()], made.systemctl, None).due() == ["a"]
    made.apply()
    # What its master has taken up is not known: apply() notes it.
    one = made.instance()
    os.unlink(one.stamp)
    assert Instances([one], made.systemctl, None).due() == ["a"]
    made.apply()
    change(host, "unit")
    assert Instances([made.instance()], made.systemctl, None).due() == ["a"]


def test_a_second_that_ends_at_its_start_is_told_at_once(crossing, host):
    crossing.accepting["a@next"] = 0
    host.on["tick"] = lambda: host.end("a@next.service")
    before = host.now
    with pytest.raises(InstanceError) as caught:
        crossing.apply()
    assert "the master of a@next.service ended" in str(caught.value)
    assert host.now - before < 5 and crossing.leads_to == "run-a"


def test_who_is_connected_is_waited_for_as_long_as_the_timeout(crossing, host):
    crossing.connected["run-a"] = 1
    before = host.now
    crossing.apply()
    assert 10 <= host.now - before < 15


def test_a_second_that_does_not_start_leaves_the_first_alone(crossing, host):
    host.fail["start"] = (1, "", "it failed")
    with pytest.raises(InstanceError) as caught:
        crossing.apply()
    assert "it failed" in str(caught.value) and "were not touched" in str(caught.value)
    assert "restart a" not in crossing.order and "stop a@next" in crossing.order
    assert crossing.leads_to == "run-a" and not crossing.instance().standby.left


def test_a_second_that_does_not_accept_leaves_the_first_alone(crossing):
    crossing.accepting["a@next"] = 1
    with pytest.raises(InstanceError) as caught:
        crossing.apply()
    assert "does not accept requests within 10 s" in str(caught.value)
    assert "restart a" not in crossing.order and crossing.leads_to == "run-a"


def test_a_first_that_does_not_come_back_is_served_by_the_second(crossing, host):
    host.fail["restart"] = (1, "", "it failed")
    with pytest.raises(InstanceError) as caught:
        crossing.apply()
    assert "served by: a@next.service" in str(caught.value)
    assert crossing.leads_to == "run-a@next" and "stop a@next" not in crossing.order
    # The next run goes on from there.
    del host.fail["restart"]
    crossing.order[:] = []
    assert crossing.apply() == {"a": "restart"}
    assert "start a@next" not in crossing.order
    assert crossing.leads_to == "run-a" and not crossing.instance().standby.left


def test_a_second_that_a_cut_off_run_left_is_ended(crossing, host):
    host.fail["restart"] = (1, "", "it failed")
    with pytest.raises(InstanceError):
        crossing.apply()
    # What was wrong was put back, and the first runs as it did.
    put(host.path("a.unit"), "unit", mtime=10)
    crossing.order[:] = []
    assert crossing.apply() == {"a": "link"}
    assert crossing.story() == ["-> run-a@next", "drain run-a@next", "stop a@next", "-> run-a"] + [
        "daemon-reload",
        "reset-failed a@next",
    ]
    assert crossing.apply() == {"a": "nothing"}


def test_no_more_than_a_few_at_a_time(host, monkeypatch):
    monkeypatch.setattr(code, "AT_A_TIME", 2)
    made = Crossing(host, monkeypatch)
    crossed = []
    work = Instances([], made.systemctl, host.reload, clock=host)
    work.instances = [made.instance() for _number in range(5)]
    monkeypatch.setattr(Instances, "_cross", lambda self, chosen, timeout: crossed.append(len(chosen)))
    monkeypatch.setattr(Instance, "needs", lambda self: "restart")
    for number, one in enumerate(work.instances):
        one.name = "a%d" % number
    work.apply(10)
    assert crossed == [2, 2, 1]


# -- ending ----------------------------------------------------------------------------------------------------------


def test_ended_and_disabled_and_nothing_left(host):
    one, gone = host.instance("one"), host.instance("gone", up=False)
    host.units["gone.service"]["UnitFileState"] = "disabled"
    host.work(one).apply(10)
    host.calls[:] = []
    assert host.work(one, gone).end() == {"one": "stop", "gone": "nothing"}
    assert host.calls == [("stop", "one.service"), ("disable", "one.service"), ("reset-failed", "one.service")]
    assert not os.path.exists(one.stamp)
    assert host.work(one).end() == {"one": "nothing"}


def test_what_cannot_be_stopped_is_told(host):
    host.fail["stop"] = (1, "", "no")
    with pytest.raises(InstanceError) as caught:
        host.work(host.instance()).end()
    assert "systemctl stop: no" in str(caught.value)


# -- logs ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "before, after, expected",
    [
        (["old", "Traceback (old"], ["one"], ["one"]),
        ([], ["%d" % number for number in range(50)], ["%d" % number for number in range(30, 50)]),
        (
            ["old"],
            ["start"] * 30 + ["Traceback (most", "cause"] + ["again"] * 100 + ["end"],
            ["Traceback (most", "cause"] + ["again"] * 18 + ["[...]"] + ["again"] * 19 + ["end"],
        ),
        ([], ["start"] * 30 + ["Traceback (most", "cause"], ["start"] * 18 + ["Traceback (most", "cause"]),
        ([], [], []),
    ],
)
def test_what_a_log_says_since(tmp_path, before, after, expected):
    path = str(tmp_path / "log")
    put(path, "".join(line + "\n" for line in before))
    offset = os.path.getsize(path)
    put(path, "".join(line + "\n" for line in before + after))
    assert said_since(path, offset).splitlines() == expected


def test_a_log_that_was_rotated_or_is_not_there(tmp_path):
    path = str(tmp_path / "log")
    assert said_since(path, 10) == said_since(None, 0) == ""
    put(path, "new\n")
    assert said_since(path, 10) == "new"


# What `systemctl` of systemd 219-67 (CentOS 7.7) answered where base was enabled and shop was not, each an instance of
# the same template.
SHOWN_BY_219 = """\
MainPID=1267
User=wsgi-base
Group=wsgi-base
Id=uwsgi@base.service
ActiveState=active
DropInPaths=/etc/systemd/system/uwsgi@base.service.d/10-publish.conf
UnitFileState=enabled
NeedDaemonReload=no

MainPID=2213
User=wsgi-shop
Group=wsgi-shop
Id=uwsgi@shop.service
ActiveState=active
DropInPaths=/etc/systemd/system/uwsgi@shop.service.d/10-publish.conf
UnitFileState=enabled
NeedDaemonReload=no
"""
IS_ENABLED_BY_219 = {"uwsgi@base.service": (0, "enabled\n", ""), "uwsgi@shop.service": (1, "disabled\n", "")}


@pytest.mark.parametrize("kind", ["multi-user.target.wants", "our.target.requires"])
def test_an_instance_that_starts_at_no_boot_is_enabled_though_219_shows_its_template_enabled(
    host, tmp_path, monkeypatch, kind
):
    wants = tmp_path / kind
    wants.mkdir()
    (wants / "uwsgi@base.service").symlink_to("/etc/systemd/system/uwsgi@.service")
    monkeypatch.setattr(code, "ENABLED", str(tmp_path))
    calls = []

    def systemctl(*words):
        calls.append(words)
        if words[0] == "show":
            return 0, SHOWN_BY_219, ""
        if words[0] == "is-enabled":
            return IS_ENABLED_BY_219[words[1]]
        assert words == ("enable", "uwsgi@shop.service")
        (wants / "uwsgi@shop.service").symlink_to("/etc/systemd/system/uwsgi@.service")
        return 0, "", ""

    found = [host.instance(name, up=False, unit="uwsgi@%s.service" % name) for name in ("base", "shop")]
    work = Instances(found, systemctl, host.reload, clock=host)
    work.look()
    assert [one.enabled for one in found] == [True, False]
    assert ("is-enabled", "uwsgi@base.service") not in calls, "whose link is there need not be asked for"
    work._all("enable", [one for one in found if not one.enabled])
    work.look()
    assert all(one.enabled for one in found) and work.due() is not None
    assert [words for words in calls if words[0] == "is-enabled"] == [("is-enabled", "uwsgi@shop.service")]


def test_an_instance_that_an_alias_enables_stays_as_it_is(host, tmp_path, monkeypatch):
    monkeypatch.setattr(code, "ENABLED", str(tmp_path))
    one = host.instance("base", up=False, unit="uwsgi@base.service")

    def systemctl(*words):
        if words[0] == "is-enabled":
            return IS_ENABLED_BY_219["uwsgi@base.service"]
        return 0, SHOWN_BY_219, ""

    Instances([one], systemctl, host.reload, clock=host).look()
    assert one.enabled
