# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Workers and timers of applications: what each needs to run what is on the disk, giving it to them, and the way back.

A note of each application holds what it has (``live``) and what a run has begun to give it and did not bring to its end
(``begun``). So a failed run's processes are found, a worker that nobody names any more is ended, and a run that was
killed is made up for by the next one.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import glob
import json
import os
import time

from ansible_collections.graceful.wsgi.plugins.module_utils import causes, journal, layout, procfs, secret_values
from ansible_collections.graceful.wsgi.plugins.module_utils.disk import encoded, make_folders
from ansible_collections.graceful.wsgi.plugins.module_utils.instances import (
    ENABLED,
    Instance,
    InstanceError,
    Instances,
    parse_show,
)
from ansible_collections.graceful.wsgi.plugins.module_utils.whole_files import replace_bytes, unlink

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
    },
}
# Seconds for which a worker must have been up; what does not load has ended by then.
STAND = 5
# A busy host takes longer to load it: it is watched on until it has been at rest for a while, such as in the wait for
# its first job, yet no longer than this. One that has jobs to do at once is never at rest.
REST, LONGEST = 2, 30


def noted(app):
    """What is known of an application's workers and timers: {live: [items], begun: [items]}."""
    try:
        found = json.loads(procfs.read(layout.background_note(app)).decode("utf-8"))
    except ValueError:
        return {"live": [], "begun": []}
    return found


def apps_noted():
    """Names of the applications of which something is noted."""
    found = glob.glob(layout.background_note("*"))
    return sorted(os.path.basename(path)[: -len(".json")] for path in found)


def note(app, live, begun=()):
    """Note what it has; nothing is left of one that has none."""
    path = layout.background_note(app)
    if live or begun:
        make_folders(os.path.dirname(path))
        text = json.dumps({"live": list(live), "begun": list(begun)}, sort_keys=True)
        if procfs.read(path) != encoded(text):
            replace_bytes(path, encoded(text))
    elif os.path.exists(path):
        unlink(path)


def _by_name(*lists):
    return dict((item["name"], item) for items in lists for item in items)


class Process(Instance):
    """A process of a worker, or a timer. ``begun``: whether a run has begun to give it something and did not end."""

    def __init__(self, wanted, pending=(), renew=False, begun=False):
        Instance.__init__(self, wanted, pending, renew)
        self.begun = begun

    def desired(self):
        """What is on the disk, for comparison with what it has begun with."""
        return {"unit": self._print(self.wanted["unit_files"]), "code": self._print(self.wanted["links"])}

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

    ``back``: whether they are to be as they were before the run that has failed, whatever is wanted.
    """

    def __init__(self, apps, wanted, systemctl, pending=(), renew=(), back=False, clock=time):
        self.apps = list(apps)
        self.notes = dict((app, noted(app)) for app in self.apps)
        if back:
            wanted = [item for app in self.apps for item in self.notes[app]["live"]]
        begun = set(item["name"] for app in self.apps for item in self.notes[app]["begun"])
        self.wanted = [item for item in wanted if item["app"] in self.notes]
        chosen = [
            Process(item, pending, item["app"] in renew, begun=item["name"] in begun) for item in self.wanted
        ]
        Instances.__init__(self, chosen, systemctl, None, clock)
        names = set(item["name"] for item in self.wanted)
        known = _by_name(*[items for app in self.apps for items in self.notes[app].values()])
        self.gone = [known[name] for name in sorted(known) if name not in names]

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
        for app in self.apps:
            note(app, [item for item in self.wanted if item["app"] == app])
        return done

    def _note(self, chosen):
        for app in self.apps:
            mine = [item.wanted for item in chosen if item.wanted["app"] == app]
            if mine:
                begun = _by_name(self.notes[app]["begun"], mine)
                note(app, self.notes[app]["live"], [begun[name] for name in sorted(begun)])

    def _stay(self, chosen):
        """Until all of these have been up for a while, without having been started again."""
        if not chosen:
            return
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
        if failed:
            self._raise([failed[name] for name in sorted(failed)], self.clock.time() - since)

    def _raise(self, failed, after):
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
        raise InstanceError(causes.message([(app, told[app, said]) for app, said in sorted(told)]))

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
        status, out, err = self.systemctl("stop", *units)
        if status != 0 and "not loaded" not in out + err:
            raise InstanceError("systemctl stop: %s" % (err or out).strip())
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
