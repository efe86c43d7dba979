# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Workers and timers of applications: what each needs to run what is on the disk, giving it to them, and the way back.

What each application has, and what a run has begun to give it, is noted (background_notes.py). So a failed run's
processes are found, a worker that nobody names any more is ended, and a run that was killed is made up for by the next
one.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import glob
import os
import time

from ansible_collections.graceful.wsgi.plugins.module_utils import causes, journal, layout, procfs, secret_values
from ansible_collections.graceful.wsgi.plugins.module_utils.background_notes import apps_noted, live, note, noted
from ansible_collections.graceful.wsgi.plugins.module_utils.instances import (
    ENABLED,
    Instance,
    InstanceError,
    Instances,
    parse_show,
)
from ansible_collections.graceful.wsgi.plugins.module_utils.whole_files import unlink

__all__ = ["Background", "Process", "SPEC", "apps_noted", "live", "note", "noted"]

# Workers and timers as the modules take them.
SPEC = {
    "type": "list",
    "elements": "dict",
    "default": [],
    "options": {
        "name": {"type": "str", "required": True},
        "app": {"type": "str", "required": True},
        "said": {"type": "str", "required": True},
        "unit": {"type": "str", "required": True},
        "job": {"type": "str"},
        "unit_files": {"type": "list", "elements": "path", "default": []},
        "links": {"type": "list", "elements": "path", "default": []},
        "stop_timeout": {"type": "int", "default": 0},
    },
}
# Seconds for which a worker must have been up; what does not load has ended by then.
STAND = 5
# A busy host takes longer to load it: it is watched on until it has been at rest for a while, such as in the wait for
# its first job, yet no longer than this. One that has jobs to do at once is never at rest.
REST, LONGEST = 2, 30


def _by_name(*lists):
    return dict((item["name"], item) for items in lists for item in items)


class Process(Instance):
    """A process of a worker, or a timer. ``begun``: whether a run has begun to give it something and did not end."""

    def __init__(self, wanted, pending=(), renew=False, begun=False):
        Instance.__init__(self, wanted, pending, renew)
        self.begun = begun

    def desired(self):
        """What is on the disk, for comparison with what it has begun with."""
        return {"unit": self._print(self.wanted["unit_files"]), "code": self._code()}

    def needs(self):
        """start, restart or nothing."""
        desired = self.desired_before = self.desired()
        if not self.active:
            return "start"
        has = self.applied()
        if has is not None and not self.begun:
            return "nothing" if has == desired and not (self.renew and not self.wanted["job"]) else "restart"
        if self.wanted["job"] and not self.begun:
            # A reboot has taken the note of it; systemd itself tells of a file that it has not read.
            return "restart" if self.shown.get("NeedDaemonReload") == "yes" else "nothing"
        if self.begun or self.renew:
            return "restart"
        # Somebody else, or systemd, has started it: it has read what was there then.
        newer = self._newer_than_master(self.wanted["unit_files"] + self.wanted["links"])
        return "restart" if newer else "nothing"

    @property
    def in_order(self):
        """Whether there is nothing to do for it, be it only to note what it has begun with."""
        due = self.needs() != "nothing" or not self.enabled or self.shown.get("NeedDaemonReload") == "yes"
        return not due and self.applied() is not None


class Background(Instances):
    """The workers and timers of these applications. ``wanted``: items of SPEC; ``systemctl``: as Instances has it.

    ``back``: they had these before the run that has failed, and are given back as many of them as can be.
    ``kept``: they keep what they have, whatever is wanted.
    """

    def __init__(self, apps, wanted, systemctl, pending=(), renew=(), back=False, kept=False, clock=time):
        self.apps, self.back = list(apps), back
        self.notes = dict((app, noted(app)) for app in self.apps)
        if kept:
            wanted = live(self.apps)
        begun = set(item["name"] for app in self.apps for item in self.notes[app]["begun"])
        self.wanted = [item for item in wanted if item["app"] in self.notes]
        chosen = [
            Process(item, pending, item["app"] in renew, begun=item["name"] in begun) for item in self.wanted
        ]
        Instances.__init__(self, chosen, systemctl, None, clock)
        names = set(item["name"] for item in self.wanted)
        known = _by_name(*[items for app in self.apps for items in self.notes[app].values()])
        others = [known[name] for name in sorted(known) if name not in names]
        # What a run that was killed has begun is for the next deploy to end.
        self.gone, self.left = ([], others) if kept else (others, [])

    def due(self):
        """Names of the applications for which apply() has something to do."""
        self.look()
        found = set(item.wanted["app"] for item in self.instances if not item.in_order)
        found.update(item["app"] for item in self.gone)
        found.update(app for app in self.apps if self.notes[app]["begun"])
        return sorted(found)

    def would_do(self):
        """What there is to do for each."""
        self.look()
        done = dict((item.name, item.needs()) for item in self.instances)
        done.update((item["name"], "stop") for item in self.gone)
        return done

    def apply(self):
        """Start, restart and enable, see that all stay up, and end what is wanted no more. Returns what was done.

        Raises InstanceError; what it has begun is noted by then.
        """
        self.began = self.clock.time()
        done = self.would_do()
        chosen = [item for item in self.instances if done[item.name] != "nothing"]
        self._note(chosen)
        if self.back:
            self._restore(chosen)
            return done
        if chosen or any(item.shown.get("NeedDaemonReload") == "yes" for item in self.instances):
            self._systemctl("daemon-reload")
        self._all("enable", [item for item in self.instances if not item.enabled])
        for item in chosen:
            item.forget()
        # Those that run are told to finish, all at once, and have the time that their units say.
        self._all("restart", chosen)
        self._stay(chosen)
        self.finish(self.gone)
        for item in self.instances:
            item.note()
        self._note_live(self.left)
        return done

    def _note_live(self, begun):
        for app in self.apps:
            note(app, *[[item for item in items if item["app"] == app] for items in (self.wanted, begun)])

    def _restore(self, chosen):
        """What apply() does, as far as it can be done: one that fails holds up no other. Raises InstanceError."""
        failed = {}
        # First, since the failed run's code goes with it.
        try:
            self.finish(self.gone)
        except InstanceError:
            for item in self.gone:
                try:
                    self.finish([item])
                except InstanceError as error:
                    failed[item["name"]] = str(error)
        if chosen or any(item.shown.get("NeedDaemonReload") == "yes" for item in self.instances):
            self.systemctl("daemon-reload")
        failed.update(self._each("enable", [item for item in self.instances if not item.enabled]))
        for item in chosen:
            item.forget()
        # One that starts at no boot serves until then.
        failed.update(self._each("restart", chosen))
        ended, after = self._ended([item for item in chosen if item.name not in failed])
        failed.update((item.name, "") for item in ended)
        for item in self.instances:
            if item.name not in failed:
                item.note()
        known = _by_name(self.gone, self.wanted)
        self._note_live([known[name] for name in sorted(failed)])
        told = sorted(set(text for text in failed.values() if text))
        if ended:
            told.append(self._why(ended, after))
        if told:
            raise InstanceError("\n".join(told))

    def _each(self, verb, chosen):
        """systemctl for all of these at once or, where that fails, for each; returns {name: why} of those that fail."""
        if not chosen or self.systemctl(verb, *[item.unit for item in chosen])[0] == 0:
            return {}
        failed = {}
        for item in chosen:
            status, out, err = self.systemctl(verb, item.unit)
            if status != 0:
                failed[item.name] = "systemctl %s %s: %s" % (verb, item.unit, (err or out).strip())
        return failed

    def _note(self, chosen):
        for app in self.apps:
            mine = [item.wanted for item in chosen if item.wanted["app"] == app]
            if mine:
                begun = _by_name(self.notes[app]["begun"], mine)
                note(app, self.notes[app]["live"], [begun[name] for name in sorted(begun)])

    def _stay(self, chosen):
        """Until all of these have been up for a while, without having been started again. Raises InstanceError."""
        ended, after = self._ended(chosen)
        if ended:
            raise InstanceError(self._why(ended, after))

    def _ended(self, chosen):
        """(those of these that do not stay up, after so many seconds), once the others have been up for a while."""
        if not chosen:
            return [], 0
        self.look()
        since = self.clock.time()
        workers = [item for item in chosen if not item.wanted["job"]]
        failed = dict((item.name, item) for item in chosen if item.wanted["job"] and not item.active)
        pids = dict((item.name, (item.pid, procfs.process_start(item.pid))) for item in workers)
        busy = since
        while workers and not failed:
            now = self.clock.time()
            for item in workers:
                pid, start = pids[item.name]
                if not pid or start is None or procfs.process_start(pid) != start:
                    failed[item.name] = item
                elif procfs.is_at_work(pid):
                    busy = now
            if now - since > LONGEST or now - since > STAND and now - busy > REST:
                break
            self.clock.sleep(0.1)
        return [failed[name] for name in sorted(failed)], self.clock.time() - since

    def _why(self, failed, after):
        """Say how each has ended, once for each worker or timer. ``after``: so many seconds."""
        words = ["show"] + ["--property=" + name for name in ("Id", "Result", "ExecMainStatus", "ActiveState")]
        shown = parse_show(self._systemctl(*words + [item.unit for item in failed]))
        told = {}
        for item in failed:
            how = shown.get(item.unit, {})
            why = "%s does not stay up: %s ended after %.1f s (%s, status %s)" % (
                item.wanted["said"],
                item.unit,
                after,
                how.get("Result") or how.get("ActiveState"),
                how.get("ExecMainStatus"),
            )
            if item.wanted["job"]:
                why = "%s cannot be started: %s is %s" % (item.wanted["said"], item.unit, how.get("ActiveState"))
            told.setdefault((item.wanted["app"], item.wanted["said"]), why + self._journal(item))
        return causes.message([(app, told[app, said]) for app, said in sorted(told)])

    def _journal(self, item):
        """What it has said, without any secret of its application's."""
        said = journal.said(item.unit, self.began)
        paths = [path for path in item.wanted["unit_files"] if not path.endswith(".timer")]
        return "\n" + secret_values.mask(said, secret_values.of_units(paths)) if said else ", and said nothing"

    def _story(self, verb, chosen, said):
        return "systemctl %s: %s" % (verb, said)

    def finish(self, items):
        """Stop and disable these, each after what it is at, as far as its unit gives it time."""
        if not items:
            return
        timers = [item["unit"] for item in items if item.get("job")]
        units = [item["unit"] for item in items] + [item["job"] for item in items if item.get("job")]
        if timers:
            # Or it would start its job again, which is told to end.
            self.systemctl("stop", *timers)
        if self.systemctl("stop", *units)[0] != 0:
            # A unit that systemd does not know runs nothing, but hides nothing of the others either.
            told = [self.systemctl("stop", unit) for unit in units]
            said = [(err or out).strip() for status, out, err in told if status != 0]
            wrong = [text for text in said if "not loaded" not in text]
            if wrong:
                raise InstanceError("systemctl stop: %s" % "\n".join(wrong))
        for item in items:
            self.systemctl("disable", item["unit"])
            # systemd disables none whose file is gone.
            for kind in ("wants", "requires"):
                for path in glob.glob(os.path.join(ENABLED, "*." + kind, item["unit"])):
                    unlink(path)
            gone = Process(item)
            gone.forget()
            stamp = os.path.join(layout.TIMER_STAMPS, "stamp-" + item["unit"])
            if os.path.exists(stamp):
                unlink(stamp)
        self._forgive(units)

    def end(self):
        """Stop and disable all that these applications have, and forget them. Returns {name: stop}."""
        known = _by_name(*[items for app in self.apps for items in self.notes[app].values()])
        self.finish([known[name] for name in sorted(known)])
        for app in self.apps:
            note(app, [])
        return dict((name, "stop") for name in known)
