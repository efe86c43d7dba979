# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""uWSGI instances under systemd: what each needs to run what is on the disk, and giving it to them."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import contextlib
import glob
import hashlib
import json
import os
import time

from ansible_collections.graceful.wsgi.plugins.module_utils import background, journal, layout, secret_values
from ansible_collections.graceful.wsgi.plugins.module_utils.disk import STATE_DIR, encoded, make_folders
from ansible_collections.graceful.wsgi.plugins.module_utils.generations import Standby, accepting, connections
from ansible_collections.graceful.wsgi.plugins.module_utils.log_files import said_since, size, tail
from ansible_collections.graceful.wsgi.plugins.module_utils.procfs import children, process_start, read, started_at
from ansible_collections.graceful.wsgi.plugins.module_utils.safe_path import account, remove_tree
from ansible_collections.graceful.wsgi.plugins.module_utils.uwsgi_client import ClientError, connect
from ansible_collections.graceful.wsgi.plugins.module_utils.uwsgi_config import ConfigError, load, load_as
from ansible_collections.graceful.wsgi.plugins.module_utils.whole_files import replace_bytes

VERBS = ("start", "restart", "reload")
PROPERTIES = ("Id", "ActiveState", "UnitFileState", "MainPID", "NeedDaemonReload", "DropInPaths", "User", "Group")
# Where a unit that is enabled has a link, in the folder of each unit that wants it.
ENABLED = "/etc/systemd/system"
# Instances as the modules take them.
SPEC = {
    "type": "list",
    "elements": "dict",
    "default": [],
    "options": {
        "name": {"type": "str", "required": True},
        "unit": {"type": "str", "required": True},
        "unit_files": {"type": "list", "elements": "path", "default": []},
        "config": {"type": "path", "required": True},
        "pidfile": {"type": "path", "required": True},
        "socket": {"type": "str", "required": True},
        "run_dir": {"type": "path"},
        "link": {"type": "path"},
        "standby": {"type": "path"},
        "processes": {"type": "int", "default": 1},
        "links": {"type": "list", "elements": "path", "default": []},
        "mercy": {"type": "int"},
        "needs_new_master": {"type": "bool", "default": False},
        "probe": {"type": "dict", "default": {}},
        "log_file": {"type": "path"},
    },
    "required_by": {"link": ["run_dir"]},
}
# A second generation takes as much memory as the first: not all instances have one at a time.
AT_A_TIME = 4


class InstanceError(Exception):
    """An instance is not what it should be; the text names it and says what was seen."""


def parse_show(text):
    """What `systemctl show -p X unit unit` prints: {unit: {property: value}}."""
    units = {}
    for block in text.strip().split("\n\n"):
        found = dict(line.partition("=")[::2] for line in block.splitlines() if "=" in line)
        if "Id" in found:
            units[found["Id"]] = found
    return units


def linked(unit):
    """Whether a link starts this unit at boot."""
    kinds = ("wants", "requires")
    return any(glob.glob(os.path.join(ENABLED, "*.%s" % kind, unit)) for kind in kinds)


def accepts(address):
    """Whether somebody accepts connections at a unix socket's path or host:port."""
    try:
        connect(address, 1).close()
        return True
    except ClientError:
        return False


class Instance:
    """One uWSGI master under systemd. ``wanted`` is an item of graceful.wsgi.uwsgi_instances."""

    def __init__(self, wanted, pending=(), renew=False):
        self.wanted = wanted
        self.renew = renew
        self.name = wanted["name"]
        self.unit = wanted["unit"]
        self.pending = set(pending)
        self.stamp = os.path.join(STATE_DIR, self.name + ".json")
        self.shown = {}
        self.desired_before = None
        self.strategy = "auto"
        self.standby = Standby(wanted) if wanted.get("link") else None

    # -- what it needs ------------------------------------------------------------------------------------------

    def _print(self, paths):
        """A digest of files and of where symlinks lead, marked where check mode would have changed one of them."""
        total = hashlib.sha256()
        for path in paths:
            content = os.readlink(path) if os.path.islink(path) else read(path)
            if not isinstance(content, bytes):
                content = content.encode("utf-8", "surrogateescape")
            total.update(hashlib.sha256(content).digest())
        pending = "+" if self.pending.intersection(paths) else ""
        return total.hexdigest() + pending

    def _code(self):
        """A digest of which code is live. What is not there says nothing: who plans without the host may name a link to
        a virtualenv that the release has not, and who deploys does not."""
        links = self.wanted["links"]
        return self._print([path for path in links if os.path.islink(path) or path in self.pending])

    def desired(self):
        """What is on the disk, for comparison with what the master has taken up."""
        return {
            "unit": self._print(self.wanted["unit_files"]),
            "config": self._print([self.wanted["config"]]),
            "code": self._code(),
        }

    @property
    def pid(self):
        return int(self.shown.get("MainPID") or 0)

    @property
    def active(self):
        return self.shown.get("ActiveState") in ("active", "reloading")

    @property
    def enabled(self):
        return self.shown.get("UnitFileState") == "enabled"

    @property
    def who(self):
        """uid, gid and groups of the account that its unit names; None where there is none."""
        try:
            return account(self.shown["User"], self.shown.get("Group") or None)
        except KeyError:
            return None

    def _identity(self):
        return [self.pid, process_start(self.pid)]

    def applied(self):
        """What the running master has read, from our note of it; None where we do not know."""
        noted = read(self.stamp)
        if not noted:
            return None
        noted = json.loads(noted.decode("utf-8"))
        return noted["has"] if noted["process"] == self._identity() else None

    def _newer_than_master(self, paths):
        if self.pending.intersection(paths):
            return True
        start = started_at(self.pid)
        return any(os.path.lexists(path) and os.lstat(path).st_mtime >= start for path in paths)

    @property
    def socket(self):
        """Where it is reached, with a link to it: as its configuration stands."""
        return self.standby.home if self.standby else self.wanted["socket"]

    @property
    def away(self):
        """Whether nginx is not, or not only, led to this one."""
        link = self.wanted.get("link")
        if not link:
            return False
        return self.standby.left or not os.path.islink(link) or os.readlink(link) != self.socket

    @property
    def options(self):
        """What its configuration says, [(name, value), ...]; nothing where it cannot be read."""
        try:
            return load_as(self.who, self.wanted["config"]) if self.who else load(self.wanted["config"])
        except ConfigError:
            # What is wrong with it is told by whoever tries to take it up.
            return []

    @property
    def needs_new_master(self):
        """Whether its code is taken up by more than its workers; the plan does not know what a file includes."""
        return bool(self.wanted.get("needs_new_master") or background.needs_new_master(self.options))

    @property
    def stats(self):
        """The address of its stats server."""
        return os.path.join(os.path.dirname(self.wanted["pidfile"]), "stats")

    def needs(self):
        """start, restart (the unit changed), reload (configuration or code changed), link, or nothing."""
        what = self._needs()
        if what == "nothing" and self.renew:
            what = "reload"
        # A SIGHUP ends all workers before it loads the code; behind a second generation nobody waits for that. Nor
        # does a worker whose sockets stay open ever become quiet.
        if what == "reload" and (self.needs_new_master or background.signals(self.stats, self.wanted["log_file"])):
            self.strategy = "hup"
        crosses = self.strategy == "hup" or self.wanted.get("mercy")
        if what == "reload" and crosses and self.standby and self._standby_can_replace():
            return "restart"
        return "link" if what == "nothing" and self.away else what

    def _standby_can_replace(self):
        try:
            return self.standby.can_replace(self.who)
        except ConfigError:
            # What is wrong with it is told by whoever tries to take it up.
            return False

    def _needs(self):
        # What changes from here on, while it is being started or reloaded, may not be taken up: it is not noted.
        desired = self.desired_before = self.desired()
        if not self.active:
            return "start"
        has = self.applied()
        if has is None:
            # Somebody else started it: it has read what was there then.
            if self._newer_than_master(self.wanted["unit_files"]):
                return "restart"
            if self._newer_than_master([self.wanted["config"]]):
                self.strategy = "hup"
                return "reload"
            return "reload" if self._newer_than_master(self.wanted["links"]) else "nothing"
        if has["unit"] != desired["unit"]:
            return "restart"
        # A chain reload does not read the configuration again.
        self.strategy = "hup" if has["config"] != desired["config"] else "auto"
        return "reload" if has != desired else "nothing"

    # -- giving it ----------------------------------------------------------------------------------------------

    def settled(self):
        """The master and its workers if all are there and the socket is open; else None."""
        workers = children(self.pid) if self.pid else set()
        if len(workers) < self.wanted["processes"]:
            return None
        return [self.pid] + sorted(workers) if workers and accepts(self.socket) else None

    def forget(self):
        """What it has taken up is not known from here on."""
        if os.path.exists(self.stamp):
            os.unlink(self.stamp)

    @property
    def _traces(self):
        standby = self.wanted.get("standby")
        paths = (self.stamp, self.wanted.get("link"), os.path.dirname(standby) if standby else None)
        return [path for path in paths if path and os.path.lexists(path)]

    @property
    def is_there(self):
        """Whether it runs, will run at the next boot, or has left something."""
        return self.shown.get("ActiveState", "inactive") != "inactive" or self.enabled or bool(self._traces)

    def clear(self):
        """Remove what an ended instance leaves under /run."""
        for path in self._traces:
            # The folder of the sockets is the application's.
            remove_tree(path)

    def note(self):
        """Remember what the master has taken up; lost at a reboot, as the master is."""
        make_folders(STATE_DIR)
        # Digests of what holds secrets: whoever reads them could try what they are.
        replace_bytes(self.stamp, encoded(json.dumps({"process": self._identity(), "has": self.desired_before})))


def former(name):
    """What is known of an instance that nobody wants any more, as an item of graceful.wsgi.uwsgi_instances."""
    return {
        "name": name,
        "unit": layout.unit(name),
        "run_dir": layout.run_dir(name),
        "link": layout.link(name),
        "standby": layout.standby_socket(layout.socket_dir(name)),
    }


class Instances:
    """All instances of a task. ``systemctl(*words)`` returns (status, stdout, stderr).

    ``reloader(instances, timeout)`` reloads these gracefully, waits until they are up, and raises InstanceError. What
    it returns, texts or nothing, is told as warnings.
    ``visits``: asks what leads to those that have become others, see visits.py.
    """

    def __init__(self, instances, systemctl, reloader, clock=time, visits=None):
        self.instances = instances
        self.systemctl = systemctl
        self.reloader = reloader
        self.clock = clock
        self.visits = visits
        # When this began, and how long the logs were then: what is older is no news of it.
        self.began = clock.time()
        self.logs = {}
        # What was done otherwise than it should be, for a warning.
        self.told = []

    def _visit(self, chosen, since):
        """Ask what leads to these, which have served since then as they are now."""
        for item in chosen if self.visits else ():
            self.visits.see(item.name, since)

    def look(self):
        """Read the state of all units in one call."""
        if not self.instances:
            return
        words = ["show"] + ["--property=" + name for name in PROPERTIES] + [item.unit for item in self.instances]
        shown = parse_show(self._systemctl(*words))
        for item in self.instances:
            item.shown = shown.get(item.unit, {})
            # systemd 219's `show` calls every instance enabled as soon as one of its template is.
            if item.enabled and "@" in item.unit and not linked(item.unit):
                item.shown["UnitFileState"] = self.systemctl("is-enabled", item.unit)[1].strip()

    def due(self):
        """Names of those that apply() has something to do for, be it only to note what their master has taken up."""
        self.look()
        return [
            item.name
            for item in self.instances
            if item.needs() != "nothing"
            or not item.enabled
            or item.shown.get("NeedDaemonReload") == "yes"
            or item.applied() is None
        ]

    def _all(self, verb, chosen):
        if not chosen:
            return
        status, out, err = self.systemctl(verb, *[item.unit for item in chosen])
        if status != 0:
            self.look()
            raise InstanceError(self._story(verb, chosen, (err or out).strip()))

    def _story(self, verb, chosen, said):
        lines = [said if verb == "wait" else "systemctl %s: %s" % (verb, said)]
        for item in chosen:
            if not item.active or verb == "wait":
                lines.append("%s is %s" % (item.unit, item.shown.get("ActiveState", "unknown")))
                lines += self.said(item, item.unit)
        return "\n".join(lines)

    def said(self, item, unit):
        """What an instance has said since this began: in its log, or before it had opened one."""
        path, found = item.wanted["log_file"], []
        log = said_since(path, self.logs.get(item.name, 0))
        if log.strip():
            found.append("%s says:\n%s" % (path, log))
        # What a unit prints before it opens its log, and how systemd has ended it, only the journal has.
        told = journal.said(unit, self.began, by_systemd=bool(found), wait=0 if found else 1)
        if told:
            found.append("%s says:\n%s" % ("systemd" if found else "the journal of %s" % unit, told))
        older = "" if found else tail(path)
        if older.strip():
            found.append("the end of %s, which is older than this run:\n%s" % (path, older))
        if not found:
            found.append("neither its log nor the journal says anything; see `systemctl status %s`" % unit)
        values = secret_values.of_units(item.wanted["unit_files"] + item.shown.get("DropInPaths", "").split())
        return [secret_values.mask(text, values) for text in found]

    def apply(self, timeout):
        """Enable, start, restart and reload as needed and wait until all are up. Returns {name: what was done}."""
        self.began = self.clock.time()
        self.logs = dict((item.name, size(item.wanted["log_file"])) for item in self.instances)
        self.look()
        if any(item.shown.get("NeedDaemonReload") == "yes" for item in self.instances):
            self._systemctl("daemon-reload")
            # Drop-ins are told as systemd has read them.
            self.look()
        done = dict((item.name, item.needs()) for item in self.instances)
        chosen = dict((verb, [item for item in self.instances if done[item.name] == verb]) for verb in VERBS)
        self._all("enable", [item for item in self.instances if not item.enabled])
        crossing = [item for item in chosen["restart"] if item.standby and (item.pid or item.standby.serves)]
        since = self.clock.time()
        self._all("start", chosen["start"])
        plain = [item for item in chosen["restart"] if item not in crossing]
        with self._at_rest([(item, item.pid, item.stats) for item in plain], timeout):
            self._all("restart", plain)
        for item in chosen["reload"]:
            item.forget()
        if chosen["reload"]:
            self.told += self.reloader(chosen["reload"], timeout) or []
        begun = [item for item in chosen["start"] + chosen["restart"] if item not in crossing]
        self._wait(begun, timeout)
        # Only with its link is one that was not there before reached.
        self._visit([item for item in begun if not item.away], since)
        # Their clients all have to connect again: those of one instance are back before the next one's have to.
        for item in [item for item in crossing if item.wanted.get("mercy")]:
            self._cross([item], timeout)
            self._home([item], timeout)
        crossing = [item for item in crossing if not item.wanted.get("mercy")]
        for first in range(0, len(crossing), AT_A_TIME):
            self._cross(crossing[first:first + AT_A_TIME], timeout)
        led = [item for item in begun if item.away]
        self._home([item for item in self.instances if item.away], timeout)
        self._stand(chosen["start"] + chosen["restart"])
        self._visit(led, since)
        for item in self.instances:
            item.note()
        return done

    def end(self):
        """Stop and disable all; each ends its requests first. Returns {name: stop or nothing}."""
        self.look()
        there = [item for item in self.instances if item.is_there]
        units = [item.unit for item in there]
        if units:
            self._systemctl("stop", *units)
            self._systemctl("disable", *units)
            self._forgive(units)
        standby = [item for item in there if item.standby and item.standby.left]
        if standby:
            self._dismiss(standby)
        for item in there:
            item.clear()
        return dict((item.name, "stop" if item in there else "nothing") for item in self.instances)

    def each(self, work, errors=()):
        """Do ``work``, apply or end, and where that fails for one, for each by itself, so that it holds up no other.

        ``work(instances)`` takes an Instances, and may raise ``errors`` too. Returns what was done, as it does, and
        {name: why it failed}.
        """
        caught = (InstanceError, IOError, OSError) + tuple(errors)
        try:
            return work(self), {}
        except caught as error:
            if len(self.instances) == 1:
                return {}, {self.instances[0].name: str(error)}
        done, failed = {}, {}
        for item in self.instances:
            one = Instances([item], self.systemctl, self.reloader, self.clock)
            told, why = one.each(work, errors)
            self.told += one.told
            done.update(told)
            failed.update(why)
        return done, failed

    # -- a restart that nobody waits for ------------------------------------------------------------------------

    def _cross(self, chosen, timeout):
        """Restart these while a second generation of each, with the new settings already, serves in its place."""
        self._start_standbys([item for item in chosen if not item.standby.serves], timeout)
        # The first may have its socket where it is not wanted any more. One that was led away from is drained already.
        before = [(item, item.socket if item.standby.serves else item.standby.leads_to) for item in chosen]
        since = self.clock.time()
        for item in chosen:
            item.standby.route_here()
        self._visit(chosen, since)
        self._drain(before, timeout)
        try:
            with self._at_rest([(item, item.pid, item.stats) for item in chosen], timeout):
                self._all("restart", chosen)
            self.look()
            self._wait(chosen, timeout)
            self._ready([(item, item.wanted["run_dir"]) for item in chosen], timeout)
        except InstanceError as error:
            names = ", ".join(item.standby.unit for item in chosen)
            raise InstanceError("%s\nuntil the next run they are served by: %s" % (error, names))

    def _start_standbys(self, chosen, timeout):
        """Start the second generation of each; if one does not come up, none stays and the first goes on serving."""
        units = [item.standby.unit for item in chosen]
        if not units:
            return
        # The first goes on writing to the same log.
        self.began = self.clock.time()
        self.logs.update((item.name, size(item.wanted["log_file"])) for item in chosen)
        try:
            for item in chosen:
                folder = item.unit + ".d"
                paths = item.shown.get("DropInPaths", "").split()
                dropins = [path for path in paths if os.path.basename(os.path.dirname(path)) == folder]
                item.standby.write(dropins, item.who)
            self._systemctl("daemon-reload")
            self._systemctl("start", *units)
            self._ready([(item, item.standby.run_dir) for item in chosen], timeout, self._masters(chosen))
        except (InstanceError, ConfigError, IOError, OSError) as error:
            self._dismiss(chosen)
            names = ", ".join(item.name for item in chosen)
            lines = ["no start with the new settings of %s, and those that run were not touched: %s" % (names, error)]
            for item in chosen:
                lines += self.said(item, item.standby.unit)
            raise InstanceError("\n".join(lines))

    def _masters(self, chosen):
        """{name: pid} of the second generations' masters."""
        if not chosen:
            return {}
        units = [item.standby.unit for item in chosen]
        shown = parse_show(self._systemctl("show", "--property=Id", "--property=MainPID", *units))
        return dict((item.name, int(shown.get(item.standby.unit, {}).get("MainPID") or 0)) for item in chosen)

    @contextlib.contextmanager
    def _at_rest(self, masters, timeout):
        """While spoolers, mules and crons of these are at rest, [(instance, pid, address of its stats server), ...].

        Who is not within the time limit is ended all the same, and told of.
        """
        rests = []
        try:
            for item, pid, stats in masters:
                if pid and item.who and background.needs_new_master(item.options):
                    rest = background.Rest(pid, stats, item.who, timeout)
                    rest.__enter__()
                    rests.append((item, rest))
            for item, rest in rests:
                for label in rest.wait():
                    self.told.append("%s: %s was not done within %d s and was ended" % (item.name, label, timeout))
            yield
        finally:
            for _item, rest in rests:
                rest.__exit__()

    def _stand(self, chosen):
        """Until what runs beside the workers of these has stood for a while."""
        self.look()
        watched = []
        for item in chosen:
            options = item.options
            beside = background.needs_new_master(options)
            if beside and not any(name in ("stats", "stats-server") for name, _value in options):
                self.told.append("%s: without stats nothing tells whether %s stands" % (
                    item.name, beside[0]
                ))
            elif beside:
                watched.append(background.Watched(item.name, item.pid, item.stats, options))
        failed = background.stand(watched, self.clock)
        lines = []
        for item in chosen:
            if item.name in failed:
                item.forget()
                log = item.wanted["log_file"]
                said = background.own_words(log, self.logs.get(item.name, 0)) if log else ""
                said = said or journal.said(item.unit, self.began)
                values = secret_values.of_units(item.wanted["unit_files"] + item.shown.get("DropInPaths", "").split())
                text = "%s\n%s says:\n%s" % (failed[item.name], log or "its journal", said)
                lines.append(secret_values.mask(text, values))
        if lines:
            raise InstanceError("\n".join(lines))

    def _dismiss(self, chosen):
        """Stop second generations and remove their files."""
        self.systemctl("stop", *[item.standby.unit for item in chosen])
        for item in chosen:
            item.standby.remove()
        self.systemctl("daemon-reload")
        self._forgive([item.standby.unit for item in chosen])

    def _home(self, chosen, timeout):
        """Lead nginx to the first generations, which are up, and end the second ones that there are."""
        for item in chosen:
            try:
                item.standby.route_back()
            except (IOError, OSError) as error:
                raise InstanceError(str(error))
        left = [item for item in chosen if item.standby.left]
        if left:
            self._drain([(item, item.standby.socket) for item in left], timeout)
            seconds = [item for item in left if background.mules(item.options)]
            masters = self._masters(seconds)
            stats = [(item, masters[item.name], os.path.join(item.standby.run_dir, "stats")) for item in seconds]
            with self._at_rest(stats, timeout):
                self._dismiss(left)
            for item in left:
                # What the second has spooled nobody has told them of.
                if background.needs_new_master(item.options) and item.who:
                    background.wake(item.pid, item.stats, item.who)

    def _ready(self, pairs, timeout, masters=None):
        """Until all workers of these accept requests, as their stats servers say. ``masters``: {name: pid}."""
        limit = self.clock.time() + timeout
        for item, run_dir in pairs:
            while (accepting(os.path.join(run_dir, "stats")) or 0) < item.wanted["processes"]:
                if masters and process_start(masters[item.name]) is None:
                    raise InstanceError("the master of %s ended" % item.standby.unit)
                if self.clock.time() > limit:
                    raise InstanceError("%s does not accept requests within %d s" % (item.name, timeout))
                self.clock.sleep(0.1)

    def _drain(self, pairs, timeout):
        """Until nobody is connected any more. Who stays longer gets what a graceful stop grants.

        Sockets that stay open are left to it at once: it is what tells the application to close them.
        """
        limit = self.clock.time() + timeout
        for item, path in pairs:
            waiting = bool(item.wanted.get("mercy"))
            while connections(path, waiting) and self.clock.time() < limit:
                self.clock.sleep(0.05)

    def _forgive(self, units):
        """Have systemd forget that these failed."""
        for unit in units:
            # One that never failed cannot be reset, and systemd 219 then resets none that stands behind it.
            self.systemctl("reset-failed", unit)

    def _systemctl(self, verb, *words):
        status, out, err = self.systemctl(verb, *words)
        if status != 0:
            raise InstanceError("systemctl %s: %s" % (verb, (err or out).strip()))
        return out

    def _wait(self, touched, timeout):
        """Until all workers of the touched instances have been up for a second; a crash loop never is."""
        if not touched:
            return
        self.look()
        limit = self.clock.time() + timeout
        seen, since = {}, {}
        waiting = list(touched)
        while waiting:
            for item in list(waiting):
                if not item.pid or process_start(item.pid) is None:
                    # systemd may make another one, and another one after that.
                    self.look()
                    raise InstanceError(self._story("wait", [item], "the master of %s ended" % item.name))
                workers = item.settled()
                if not workers or seen.get(item.name) != workers:
                    seen[item.name], since[item.name] = workers, self.clock.time()
                elif self.clock.time() - since[item.name] >= 1:
                    waiting.remove(item)
            if waiting and self.clock.time() > limit:
                self.look()
                names = ", ".join(item.name for item in waiting)
                raise InstanceError(self._story("wait", waiting, "%s not up within %d s" % (names, timeout)))
            if waiting:
                self.clock.sleep(0.1)
        self.look()
        # The first may have ended while the last was waited for; another master in its place is no better.
        ended = [item for item in touched if not item.active or item.pid != seen[item.name][0]]
        if ended:
            names = ", ".join(item.name for item in ended)
            raise InstanceError(self._story("wait", ended, "up at first, but then ended: %s" % names))
