# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What runs behind a pidfile: told by /proc and the stats server, and None for what neither tells."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import numbers
import os
import pwd
import time

from ansible_collections.graceful.wsgi.plugins.module_utils import procfs
from ansible_collections.graceful.wsgi.plugins.module_utils.uwsgi_client import statistics
from ansible_collections.graceful.wsgi.plugins.module_utils.uwsgi_master import Master, MasterError

# What is told of each instance, running or not.
KEYS = """
    name pidfile running why master_pid master_started uptime version executable user folder config config_changed
    sockets stats stats_answered listen_queue listen_queue_errors requests exceptions busy idle cheap workers
    code_loaded
""".split()
COUNTERS = ("requests", "exceptions", "harakiri_count", "last_spawn", "respawn_count")
# uWSGI prints what it counts as an unsigned number of 64 bits.
LARGEST = 1 << 64
# What JSON gives, which Python 2.7 calls unicode.
TEXT = type(b"".decode("ascii"))


def look(wanted):
    """What is told of one instance. ``wanted``: its pidfile, and name and config, which may be None."""
    result = dict.fromkeys(KEYS)
    result.update(
        name=wanted["name"],
        pidfile=wanted["pidfile"],
        running=False,
        stats_answered=False,
        sockets=[],
        workers=[],
    )
    try:
        master = Master(wanted["pidfile"], wanted["config"], at_rest=True)
        found = Look(master).found()
        if not master.still():
            raise MasterError("%s: process %d ended while it was looked at" % (master.pidfile, master.pid))
        result.update(found, running=True)
    except MasterError as error:
        result["why"] = str(error)
    except Exception as error:
        # A process may end in the middle of any look at it; one instance's trouble is not its neighbours'.
        result["why"] = "%s: could not be looked at: %r" % (wanted["pidfile"], error)
    return result


class Look:
    """One look at a proven master."""

    def __init__(self, master):
        self.master = master
        self.stats = master.address(master.config.stats) if master.config.stats else None
        self.said = self._ask()
        self.listed = _items(self.said, "workers")
        self.alive = master.workers()
        self.started = procfs.started_at(master.pid)
        self.changed = master.config_changed()

    def _ask(self):
        """What the stats server says; another master's words, at an address that was changed since, are none."""
        said = statistics(self.stats) if self.stats else None
        return said if said and said.get("pid") == self.master.pid else None

    def found(self):
        """All that is told, by name."""
        workers = self.workers()
        living = [worker["loaded"] for worker in workers if worker["pid"]]
        states = [worker["status"] for worker in workers]
        found = {
            "master_pid": self.master.pid,
            "master_started": round(self.started, 2),
            "uptime": round(max(0, time.time() - self.started), 2),
            "version": _text(self.said, "version"),
            "executable": self.master.executable,
            "user": _user(self.master.who["uid"]),
            "folder": self.master.folder,
            "config": self.master.config_path and os.path.abspath(self.master.config_path),
            "config_changed": self.changed,
            "sockets": self.sockets(),
            "stats": self.stats,
            "stats_answered": self.said is not None,
            "listen_queue": self.listen_queue(),
            "listen_queue_errors": _number(self.said, "listen_queue_errors"),
            "workers": workers,
            "code_loaded": min(living) if living and None not in living else None,
        }
        for name in ("requests", "exceptions"):
            found[name] = self.total([worker[name] for worker in workers])
        for name in ("busy", "idle", "cheap"):
            found[name] = states.count(name) if self.said else None
        return found

    def total(self, counted):
        """The sum of what all workers counted."""
        return sum(counted) if self.said and None not in counted else None

    def sockets(self):
        """The sockets that the master has, or else those that its configuration names."""
        pairs = [(_text(item, "proto"), _text(item, "name")) for item in _items(self.said, "sockets")]
        if not self.said:
            pairs = self.master.config.sockets
        return [{"protocol": protocol, "address": self.master.address(name)} for protocol, name in pairs if name]

    def listen_queue(self):
        """The longest queue; of a unix socket uWSGI cannot see it, says 0, and leaves max_queue at 0."""
        measured = any(_number(item, "max_queue") for item in _items(self.said, "sockets"))
        return _number(self.said, "listen_queue") if measured else None

    # -- workers ------------------------------------------------------------------------------------------------

    def workers(self):
        """Each worker that uWSGI lists, or each fork of the master where it lists none."""
        if self.said:
            # One that was never started has the id 0; they are listed in the order of their ids.
            return [self._worker(item, number) for number, item in enumerate(self.listed, 1)]
        return [self._worker({"pid": pid}) for pid in sorted(self.alive)]

    def _worker(self, item, number=None):
        pid = _number(item, "pid")
        pid = pid if pid in self.alive else None
        micros, accepting = _number(item, "avg_rt"), _number(item, "accepting")
        rss, vsz = (procfs.memory(pid) if pid else None) or (None, None)
        worker = dict((name, _number(item, name)) for name in COUNTERS)
        worker.update(
            id=number,
            pid=pid,
            status=_text(item, "status"),
            accepting=None if accepting is None else bool(accepting),
            avg_rt=None if micros is None else micros / 1000.0,
            # uWSGI measures them only under memory-report.
            rss=rss,
            vsz=vsz,
            loaded=self.loaded(pid) if pid else None,
        )
        return worker

    # -- code ---------------------------------------------------------------------------------------------------

    def loaded(self, pid):
        """When the code in a worker began to be loaded; None where nothing tells."""
        if self.changed is not False:
            # Whether it runs lazily is said by the configuration that it read, which is not the one on the disk.
            return None
        seconds = procfs.started_at(pid) if self.master.config.lazy else self._loaded_by_master()
        return round(seconds, 2) if seconds else None

    def _loaded_by_master(self):
        """When the master began to load the code that its workers are forks with."""
        if not self.master.reexecuted:
            return self.started
        done = (self.said and self.master.stats_bound_at()) or self._first_spawn()
        return max(self.started, done - self._took()) if done else None

    def _first_spawn(self):
        """When the first workers were forked, right after the code was loaded; the counts begin anew at each time."""
        if self.master.config.all("cheap", "cheaper", "idle"):
            return None
        first = [_number(item, "last_spawn") for item in self.listed if _number(item, "respawn_count") == 1]
        return min(first) if first and None not in first else None

    def _took(self):
        """How many seconds the code took to load, app after app."""
        times = [[_number(app, "startup_time") or 0 for app in _items(item, "apps")] for item in self.listed]
        return max([sum(each) for each in times] or [0])


def _items(said, name):
    """A list of mappings out of what was said, which may be anything."""
    found = said.get(name) if said else None
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def _number(said, name):
    found = said.get(name) if said else None
    fine = isinstance(found, numbers.Integral) and not isinstance(found, bool) and 0 <= found < LARGEST
    return found if fine else None


def _text(said, name):
    found = said.get(name) if said else None
    return found if isinstance(found, TEXT) else None


def _user(uid):
    try:
        return {"uid": uid, "name": pwd.getpwuid(uid).pw_name}
    except KeyError:
        return {"uid": uid, "name": None}
