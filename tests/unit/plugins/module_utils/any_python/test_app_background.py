# -*- coding: utf-8 -*-
"""What workers and timers need, how they are given it, and the way back (runs under Python 2.7 too)."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os

import pytest

from ansible_collections.graceful.wsgi.plugins.module_utils import app_background as code
from ansible_collections.graceful.wsgi.plugins.module_utils import background_notes, instances, layout
from ansible_collections.graceful.wsgi.plugins.module_utils.instances import InstanceError

# Later than any link that a test makes.
BEGAN = 4e9


def put(path, text):
    with open(path, "wb") as target:
        target.write(text.encode("utf-8"))
    os.utime(path, (500, 500))


class Host:
    """systemd, /proc and a clock, all made up."""

    def __init__(self, root, monkeypatch):
        self.root, self.now, self.next_pid = root, BEGAN, 100
        self.processes, self.units, self.calls, self.dying = {}, {}, [], set()
        self.killed = False
        # Units that have no file, and those that do not end.
        self.unknown, self.stuck = set(), set()
        monkeypatch.setattr(instances, "STATE_DIR", os.path.join(root, "run"))
        monkeypatch.setattr(instances, "ENABLED", os.path.join(root, "etc"))
        monkeypatch.setattr(code, "ENABLED", os.path.join(root, "etc"))
        monkeypatch.setattr(layout, "BACKGROUND_DIR", os.path.join(root, "notes"))
        monkeypatch.setattr(layout, "TIMER_STAMPS", os.path.join(root, "stamps"))
        for module in (instances, code.procfs):
            monkeypatch.setattr(module, "process_start", self.processes.get)
            monkeypatch.setattr(module, "started_at", lambda pid: self.processes.get(pid, 0.0))
        # As long as one is at work after its start.
        self.loads = 0
        monkeypatch.setattr(code.procfs, "is_at_work", lambda pid: self.now < self.processes[pid] + self.loads)
        monkeypatch.setattr(code.journal, "said", lambda unit, since: "no broker at s3cret-word")
        self.wants = os.path.join(root, "etc", "multi-user.target.wants")
        for folder in (self.wants, os.path.join(root, "stamps"), os.path.join(root, "releases")):
            os.makedirs(folder)
        self.release("one")
        put(self.path("jobs.service"), "[Service]\nEnvironmentFile=%s\n" % self.path("shop.env"))
        put(self.path("shop.env"), 'TOKEN="s3cret-word"\n')
        put(self.path("tick.timer"), "daily\n")

    def path(self, name):
        return os.path.join(self.root, name)

    def release(self, name):
        link = self.path("current")
        if os.path.lexists(link):
            os.unlink(link)
        os.symlink("releases/" + name, link)

    def time(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds
        if self.killed:
            raise KeyboardInterrupt
        for unit, found in self.units.items():
            if unit in self.dying and found["MainPID"] != "0":
                self.processes.pop(int(found["MainPID"]), None)
                found.update(ActiveState="activating", MainPID="0")

    def _begin(self, unit):
        found = self.units.setdefault(unit, {})
        self.processes.pop(int(found.get("MainPID", 0)), None)
        pid = 0
        if not unit.endswith(".timer"):
            pid, self.next_pid = self.next_pid, self.next_pid + 1
            self.processes[pid] = self.now
        found.update(ActiveState="active", MainPID=str(pid))

    def systemctl(self, *words):
        verb, units = words[0], [word for word in words[1:] if not word.startswith("-")]
        if verb == "show":
            blocks = []
            for unit in units:
                there = os.path.lexists(os.path.join(self.wants, unit))
                lines = {"Id": unit, "UnitFileState": "enabled" if there else "disabled", "MainPID": "0"}
                lines.update(self.units.get(unit, {"ActiveState": "inactive"}))
                blocks.append("\n".join("%s=%s" % pair for pair in sorted(lines.items())))
            return 0, "\n\n".join(blocks), ""
        self.calls.append(" ".join(words))
        if verb in ("enable", "restart") and self.unknown.intersection(units):
            return 1, "", "Failed to %s unit: Unit not found." % verb
        said = ""
        for unit in units:
            if verb == "stop" and unit in self.stuck:
                said += "Job for %s failed.\n" % unit
                continue
            if verb == "stop" and unit in self.unknown and unit not in self.units:
                said += "Failed to stop %s: Unit %s not loaded.\n" % (unit, unit)
                continue
            link = os.path.join(self.wants, unit)
            if verb == "restart":
                self._begin(unit)
            elif verb == "stop" and unit in self.units:
                self.processes.pop(int(self.units[unit]["MainPID"]), None)
                del self.units[unit]
            elif verb == "enable":
                os.symlink("x", link)
            elif verb == "disable" and unit != "wsgi-shop-jobs@3.service":
                os.unlink(link)
        return (5, "", said) if said else (0, "", "")

    def did(self):
        """What systemctl was told since, less what changes nothing by itself."""
        calls, self.calls = self.calls, []
        return [call for call in calls if not call.startswith(("daemon-reload", "reset-failed"))]


@pytest.fixture
def host(tmp_path, monkeypatch):
    return Host(str(tmp_path), monkeypatch)


def item(host, number):
    return {
        "name": "wsgi-shop-jobs@%d" % number,
        "app": "shop",
        "said": "the worker jobs",
        "unit": "wsgi-shop-jobs@%d.service" % number,
        "job": None,
        "unit_files": [host.path("jobs.service"), host.path("shop.env")],
        "links": [host.path("current")],
        "stop_timeout": 60,
    }


def tick(host):
    units = {"name": "wsgi-shop-tick", "unit": "wsgi-shop-tick.timer", "job": "wsgi-shop-tick.service"}
    more = {"app": "shop", "said": "the timer tick", "links": [], "stop_timeout": 30}
    return dict(units, unit_files=[host.path("tick.timer")], **more)


def named(host, name, app="shop"):
    """A worker of another name, or of another application."""
    full = "wsgi-%s-%s@1" % (app, name)
    return dict(item(host, 1), name=full, app=app, said="the worker " + name, unit=full + ".service")


def background(host, items, **more):
    return code.Background(["shop", "blog"], items, host.systemctl, clock=host, **more)


def both(host):
    return [item(host, 1), item(host, 2), tick(host)]


def test_what_is_not_there_is_enabled_and_started_and_then_left_alone(host):
    work = background(host, both(host))
    assert work.due() == ["shop"]
    assert sorted(work.apply().values()) == ["start"] * 3
    units = "wsgi-shop-jobs@1.service wsgi-shop-jobs@2.service wsgi-shop-tick.timer"
    assert host.did() == ["enable " + units, "restart " + units]
    assert host.now >= BEGAN + code.STAND
    work = background(host, both(host))
    assert work.due() == [] and sorted(work.apply().values()) == ["nothing"] * 3 and host.did() == []


@pytest.mark.parametrize("what", ["code", "unit", "secret"])
def test_what_changes_restarts_the_workers_and_no_timer(host, what):
    background(host, both(host)).apply()
    host.did()
    if what == "code":
        host.release("two")
    else:
        put(host.path("jobs.service" if what == "unit" else "shop.env"), "TOKEN=other\n")
    work = background(host, both(host))
    assert work.due() == ["shop"]
    work.apply()
    assert host.did() == ["restart wsgi-shop-jobs@1.service wsgi-shop-jobs@2.service"]
    assert background(host, both(host)).due() == []


def test_a_changed_timer_is_begun_anew(host):
    background(host, both(host)).apply()
    host.did()
    put(host.path("tick.timer"), "hourly\n")
    background(host, both(host)).apply()
    assert host.did() == ["restart wsgi-shop-tick.timer"]


def test_one_that_systemd_has_started_again_is_as_it_is_wanted(host):
    background(host, both(host)).apply()
    host.now += 10
    host.systemctl("restart", "wsgi-shop-jobs@1.service")
    host.did()
    work = background(host, both(host))
    # It has read what is there; only that is noted.
    assert work.due() == ["shop"]
    assert sorted(work.apply().values()) == ["nothing"] * 3 and host.did() == []
    assert background(host, both(host)).due() == []


def test_what_a_boot_has_started_is_as_it_is_wanted(host):
    background(host, both(host)).apply()
    for name in os.listdir(host.path("run")):
        os.unlink(os.path.join(host.path("run"), name))
    host.now += 100
    host.systemctl("restart", "wsgi-shop-jobs@1.service", "wsgi-shop-jobs@2.service", "wsgi-shop-tick.timer")
    host.did()
    assert sorted(background(host, both(host)).apply().values()) == ["nothing"] * 3 and host.did() == []
    assert background(host, both(host)).due() == []


def test_fewer_are_stopped_and_disabled_once_the_rest_is_up(host):
    background(host, [item(host, 1), item(host, 2), item(host, 3), tick(host)]).apply()
    host.did()
    put(os.path.join(host.root, "stamps", "stamp-wsgi-shop-tick.timer"), "")
    host.release("two")
    done = background(host, [item(host, 1)]).apply()
    assert done["wsgi-shop-jobs@3"] == done["wsgi-shop-tick"] == "stop"
    restart, stop_timer, stop, disabled = [call.split() for call in host.did() if "disable" not in call] + [
        os.listdir(host.wants)
    ]
    assert restart == ["restart", "wsgi-shop-jobs@1.service"] and stop_timer == ["stop", "wsgi-shop-tick.timer"]
    assert set(stop[1:]) == {
        "wsgi-shop-jobs@2.service",
        "wsgi-shop-jobs@3.service",
        "wsgi-shop-tick.timer",
        "wsgi-shop-tick.service",
    }
    # Of the third, systemd has not removed the link.
    assert disabled == ["wsgi-shop-jobs@1.service"]
    assert os.listdir(os.path.join(host.root, "stamps")) == []
    assert background(host, [item(host, 1)]).due() == []


def test_one_that_dies_is_told_without_its_secrets_and_the_way_back_starts_what_was_there(host):
    background(host, [item(host, 1)]).apply()
    host.release("two")
    host.dying = {"wsgi-shop-jobs@1.service"}
    with pytest.raises(InstanceError) as caught:
        background(host, both(host)).apply()
    said = str(caught.value)
    assert said.startswith("shop: the worker jobs does not stay up: wsgi-shop-jobs@1.service ended after")
    assert "no broker at (hidden)" in said and "s3cret" not in said
    # The run goes back: the code is the former one, and nothing of the new one stays.
    host.dying = set()
    host.release("one")
    host.did()
    work = background(host, [item(host, 1)], back=True)
    done = work.apply()
    assert done == {"wsgi-shop-jobs@1": "start", "wsgi-shop-jobs@2": "stop", "wsgi-shop-tick": "stop"}
    assert set(host.units) == {"wsgi-shop-jobs@1.service"} == set(os.listdir(host.wants))
    assert background(host, [item(host, 1)]).due() == []


def test_a_run_that_fails_after_it_has_given_them_all_goes_back_to_what_was_there_before(host):
    background(host, [named(host, "old"), named(host, "feed", "blog")]).apply()
    before = code.live(["shop", "blog"])
    feed = host.units["wsgi-blog-feed@1.service"]["MainPID"]
    host.release("two")
    # To its end: what it has is noted as what is live. Then a task of the user's own fails.
    background(host, [named(host, "new"), named(host, "feed", "blog")]).apply()
    assert "wsgi-shop-old@1.service" not in host.units
    host.release("one")
    # The template of the new one went with the configuration.
    host.unknown = {"wsgi-shop-new@1.service"}
    done = background(host, before, back=True).apply()
    assert done == {"wsgi-shop-old@1": "start", "wsgi-shop-new@1": "stop", "wsgi-blog-feed@1": "restart"}
    assert set(host.units) == {"wsgi-shop-old@1.service", "wsgi-blog-feed@1.service"} == set(os.listdir(host.wants))
    assert host.units["wsgi-blog-feed@1.service"]["MainPID"] != feed
    assert background(host, [named(host, "old"), named(host, "feed", "blog")]).due() == []


def test_of_an_application_that_was_not_there_before_nothing_stays(host):
    background(host, [named(host, "feed", "blog")]).apply()
    background(host, both(host) + [named(host, "feed", "blog")]).apply()
    background(host, [named(host, "feed", "blog")], back=True).apply()
    assert set(host.units) == {"wsgi-blog-feed@1.service"} and code.apps_noted() == ["blog"]


@pytest.mark.parametrize("how", ["enable", "restart", "dies"])
def test_one_that_cannot_be_brought_back_holds_up_no_other(host, how):
    before = [named(host, "old"), named(host, "feed", "blog")]
    background(host, before).apply()
    host.release("two")
    background(host, [named(host, "new"), named(host, "feed", "blog")]).apply()
    host.release("one")
    feed = host.units["wsgi-blog-feed@1.service"]["MainPID"]
    (host.dying if how == "dies" else host.unknown).add("wsgi-shop-old@1.service")
    if how == "restart":
        os.symlink("x", os.path.join(host.wants, "wsgi-shop-old@1.service"))
    with pytest.raises(InstanceError) as caught:
        background(host, before, back=True).apply()
    said = str(caught.value)
    wanted = "the worker old does not stay up" if how == "dies" else "systemctl restart wsgi-shop-old@1.service: Failed"
    assert wanted in said and "feed" not in said
    assert host.units["wsgi-blog-feed@1.service"]["MainPID"] != feed
    # The failed run's own goes in any case: its code does, too.
    assert "wsgi-shop-new@1.service" not in host.units
    host.dying, host.unknown = set(), set()
    assert background(host, before).due() == ["shop"]
    background(host, before).apply()
    assert set(host.units) == {"wsgi-shop-old@1.service", "wsgi-blog-feed@1.service"}
    assert background(host, before).due() == []


def test_one_that_does_not_end_is_told_and_the_next_run_ends_it(host):
    background(host, [named(host, "old")]).apply()
    background(host, [named(host, "new"), named(host, "more")]).apply()
    host.stuck = {"wsgi-shop-new@1.service"}
    with pytest.raises(InstanceError) as caught:
        background(host, [named(host, "old")], back=True).apply()
    assert str(caught.value) == "systemctl stop: Job for wsgi-shop-new@1.service failed."
    assert set(host.units) == {"wsgi-shop-old@1.service", "wsgi-shop-new@1.service"}
    host.stuck = set()
    assert background(host, [named(host, "old")]).apply()["wsgi-shop-new@1"] == "stop"


def test_one_that_systemd_does_not_know_hides_nothing_of_another(host):
    background(host, [named(host, "old"), named(host, "new")]).apply()
    host.unknown = {"wsgi-shop-old@1.service"}
    host.systemctl("stop", "wsgi-shop-old@1.service")
    host.stuck = {"wsgi-shop-new@1.service"}
    with pytest.raises(InstanceError) as caught:
        background(host, []).end()
    assert "wsgi-shop-new@1.service failed" in str(caught.value) and "not loaded" not in str(caught.value)
    host.stuck = set()
    assert len(background(host, []).end()) == 2 and not host.units


@pytest.mark.parametrize(("loads", "until"), [(0, 5), (12, 14), (1000, 30)])
def test_one_that_takes_its_time_to_load_is_watched_for_longer(host, loads, until):
    host.loads = loads
    background(host, [item(host, 1)]).apply()
    assert until <= host.now - BEGAN < until + 1


def test_the_way_back_restarts_one_that_took_the_new_code_and_touches_nothing_else(host):
    background(host, both(host)).apply()
    pid = host.units["wsgi-shop-jobs@1.service"]["MainPID"]
    host.did()
    assert sorted(background(host, both(host), back=True).apply().values()) == ["nothing"] * 3 and host.did() == []
    host.release("two")
    host.dying = {"wsgi-shop-jobs@2.service"}
    with pytest.raises(InstanceError):
        background(host, both(host)).apply()
    host.dying = set()
    host.release("one")
    background(host, both(host), back=True).apply()
    assert host.units["wsgi-shop-jobs@1.service"]["MainPID"] != pid
    assert len(host.processes) == 2


def test_a_run_that_was_killed_is_made_up_for(host):
    background(host, [item(host, 1)]).apply()
    host.killed = True
    host.release("two")
    with pytest.raises(KeyboardInterrupt):
        background(host, [item(host, 1), item(host, 2)]).apply()
    host.killed = False
    host.did()
    # It is not known with what they have begun, and the second is wanted no more by now.
    work = background(host, [item(host, 1)])
    assert work.due() == ["shop"]
    assert work.apply() == {"wsgi-shop-jobs@1": "restart", "wsgi-shop-jobs@2": "stop"}
    assert background(host, [item(host, 1)]).due() == [] and len(host.processes) == 1


def test_what_an_application_had_goes_with_it(host):
    background(host, both(host)).apply()
    work = background(host, [])
    assert sorted(work.end()) == ["wsgi-shop-jobs@1", "wsgi-shop-jobs@2", "wsgi-shop-tick"]
    assert not host.units and not host.processes and not os.listdir(host.wants)
    assert code.apps_noted() == [] and not os.listdir(os.path.join(host.root, "notes"))
    assert background(host, []).end() == {}


def test_renewed_workers_are_restarted_and_timers_are_not(host):
    background(host, both(host)).apply()
    host.did()
    background(host, both(host), renew=["shop"]).apply()
    assert host.did() == ["restart wsgi-shop-jobs@1.service wsgi-shop-jobs@2.service"]


def test_reloading_by_hand_is_about_what_is_there_whatever_is_wanted(host):
    background(host, both(host)).apply()
    noted = code.noted("shop")
    host.did()
    work = background(host, [named(host, "new")], renew=["shop"], kept=True)
    done = work.apply()
    assert done == {"wsgi-shop-jobs@1": "restart", "wsgi-shop-jobs@2": "restart", "wsgi-shop-tick": "nothing"}
    assert host.did() == ["restart wsgi-shop-jobs@1.service wsgi-shop-jobs@2.service"]
    assert code.noted("shop") == noted


def test_reloading_by_hand_leaves_what_a_killed_run_has_begun_to_the_next_deploy(host):
    background(host, [item(host, 1)]).apply()
    host.killed = True
    with pytest.raises(KeyboardInterrupt):
        background(host, [item(host, 1), item(host, 2)]).apply()
    host.killed = False
    background(host, [], renew=["shop"], kept=True).apply()
    assert "wsgi-shop-jobs@2.service" in host.units
    assert background(host, [item(host, 1)]).apply()["wsgi-shop-jobs@2"] == "stop"


def test_check_mode_tells_what_a_file_that_would_change_restarts(host):
    background(host, both(host)).apply()
    work = background(host, [item(host, 1)], pending=[host.path("current")])
    assert work.would_do() == {"wsgi-shop-jobs@1": "restart", "wsgi-shop-jobs@2": "stop", "wsgi-shop-tick": "stop"}


def test_the_slowest_to_finish_of_what_is_there_is_known_and_not_only_of_what_is_wanted(host):
    background(host, [item(host, 1), dict(item(host, 2), stop_timeout=3600), tick(host)]).apply()
    assert background_notes.longest_stop(["blog", "shop"]) == 3600
    background(host, [item(host, 1), tick(host)]).apply()
    assert background_notes.longest_stop(["shop"]) == 60 and background_notes.longest_stop(["blog"]) == 0


def test_a_note_that_is_cut_off_is_none(host):
    background(host, both(host)).apply()
    assert code.apps_noted() == ["shop"]
    put(layout.background_note("shop"), '{"live": [')
    assert code.noted("shop") == {"live": [], "begun": []}
