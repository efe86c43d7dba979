# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What of a uWSGI instance is no worker: mules, spoolers, attached daemons, crons.

A chain reload replaces workers only. What else runs an application's code is told here by the options of its
configuration, watched until it stands, and given the time to finish what it is at before its master ends it: uWSGI
(2.0.31) itself kills spoolers in their task and mules in whatever they do.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import errno
import fcntl
import numbers
import os
import re
import select
import signal
import socket
import stat
import struct
import time

from ansible_collections.graceful.wsgi.plugins.module_utils import procfs, safe_path
from ansible_collections.graceful.wsgi.plugins.module_utils.disk import encoded, native
from ansible_collections.graceful.wsgi.plugins.module_utils.log_files import holds, said_since
from ansible_collections.graceful.wsgi.plugins.module_utils.uwsgi_client import statistics

# Options of which a chain reload leaves something as it was: processes, commands of the master's, code of the master's.
WHOLE = re.compile(
    r"""^(
        mules? | farm | spooler | (smart-)?attach-daemon2? | attach-control-daemon | (unique-)?(legion-)?cron2?
        | legion-(smart-)?attach-daemon2? | (unique-)?legion-cron | shared-(py-?|python-)?import | pymodule-alias
    )$""",
    re.VERBOSE,
)
# Daemons may hold a port or a file that two generations cannot both have, and requests may count on them.
DAEMONS = re.compile(r"^((legion-)?(smart-)?attach-daemon2?|attach-control-daemon)$")
# A process that has stood so many seconds did not die of its start.
STEADY = 4
# One that ended so often is not worth waiting for.
DEATHS = 3
# All that is waited for it to stand.
LIMIT = 20
PAUSE = 0.05
# What JSON gives, which Python 2.7 calls unicode.
TEXT = type(b"".decode("ascii"))
REQUEST = re.compile(r"\[pid: \d+\|app: ")
# A mule without a message that has used no processor for so many seconds waits for its next.
AT_REST = 0.5
# What a process waits in for a program that it has started, or for an answer.
AT_WORK = re.compile(r"do_wait|pipe_|wait_woken|sk_wait|unix_stream|tcp_|inet_")
NETLINK_SOCK_DIAG, SOCK_DIAG_BY_FAMILY, NLMSG_DONE, NLMSG_ERROR = 4, 20, 3, 2
UDIAG_SHOW_RQLEN, UNIX_DIAG_RQLEN = 0x10, 4


def normal(name):
    """An option's name as uWSGI lists it."""
    return name.replace("_", "-")


def needs_new_master(options):
    """The names of those options, [(name, value), ...], of which a chain reload leaves something as it was."""
    return [name for name, _value in options if WHOLE.match(normal(name))]


def signals(stats, log):
    """Whether the code has signals of uWSGI's: timers, crons and file monitors that it registers when it is loaded.

    A new worker registers them once more, beside those of the one before it, whose functions are gone with it: the
    master goes on sending their signals, to whatever is at that place now. Only a new master forgets them.
    """
    said = statistics(stats) if stats else None
    workers = said.get("workers") if isinstance(said, dict) else None
    for item in workers if isinstance(workers, list) else []:
        if isinstance(item, dict) and isinstance(item.get("signals"), numbers.Integral) and item["signals"] > 0:
            return True
    return holds(log, b"[uwsgi-signal] signum ")


def has_daemons(options):
    """Whether the master keeps programs beside it."""
    return any(DAEMONS.match(normal(name)) for name, _value in options)


def mules(options):
    """How many mules these options ask for."""
    values = [(normal(name), value) for name, value in options]
    asked = sum(int(value) for name, value in values if name == "mules" and value.isdigit())
    return asked + sum(1 for name, _value in values if name == "mule")


def _told(said, name, key):
    """[(text, pid, item), ...] of a list that a stats server tells; a pid that is none is 0."""
    found = said.get(name) if said else None
    told = []
    for item in found if isinstance(found, list) else []:
        if isinstance(item, dict):
            pid = item.get("pid")
            pid = pid if isinstance(pid, numbers.Integral) and not isinstance(pid, bool) and 1 < pid < 1 << 22 else 0
            text = item.get(key)
            told.append((native(text) if isinstance(text, (TEXT, str)) else "", pid, item))
    return told


class Seen:
    """One look at what runs beside a master's workers; ``known`` is false where its stats server does not answer."""

    def __init__(self, master, stats):
        said = statistics(stats) if stats else None
        self.known = said is not None
        # One without a process belongs to another instance.
        spoolers = [(text, pid, item) for text, pid, item in _told(said, "spoolers", "dir") if pid]
        self.spoolers = [pid for _folder, pid, _item in spoolers]
        self.folders = sorted(set(folder for folder, _pid, _item in spoolers))
        self.busy = ["the spooler of %s" % folder for folder, _pid, item in spoolers if item.get("running")]
        self.daemons = [("the attached daemon '%s'" % text, pid) for text, pid, _item in _told(said, "daemons", "cmd")]
        own = procfs.words(master)
        # One that has died too often sleeps before it becomes its command: uWSGI waits longer each time.
        up = [(label, 0 if pid and procfs.words(pid) == own else pid) for label, pid in self.daemons]
        self.slots = [("the spooler of %s" % folder, pid) for folder, pid, _item in spoolers] + up
        self.crons = [("the cron '%s'" % text, pid) for text, pid, _item in _told(said, "crons", "command") if pid]
        workers = [pid for _text, pid, _item in _told(said, "workers", "status")]
        others = set(workers + [pid for _label, pid in self.slots + self.daemons + self.crons])
        self.forks = set()
        if self.known:
            for pid in procfs.children(master) - others:
                words = procfs.words(pid)
                if words == own or "uWSGI mule" in " ".join(words):
                    self.forks.add(pid)


def own_words(log, offset):
    """What a log says from this byte on, without the requests that were served meanwhile."""
    lines = [line for line in said_since(log, offset, 400).splitlines() if not REQUEST.match(line)]
    return "\n".join(lines[-30:])


def _identity(pid):
    return (pid, procfs.process_start(pid)) if pid and procfs.alive(pid) else None


class Watched:
    """What runs beside the workers of one master, watched until it has stood for a while."""

    def __init__(self, name, master, stats, options):
        self.name, self.master, self.stats = name, master, stats
        self.mules = mules(options)
        self.fork = "a mule"
        self.before, self.forks, self.deaths, self.since = {}, set(), {}, None
        self.began = self.why = None

    def _died(self, label):
        self.deaths[label] = self.deaths.get(label, 0) + 1
        return label

    def look(self, now):
        """Whether it stands; raises nothing, and ``why`` tells what does not."""
        if self.began is None:
            self.began = self.since = now
        seen = Seen(self.master, self.stats)
        missing = []
        if not seen.known:
            missing.append("the stats server")
            self.since = now
        found = {}
        for number, (label, pid) in enumerate(seen.slots):
            found[number, label] = identity = _identity(pid)
            if identity is None:
                missing.append(label)
            before = self.before.get((number, label))
            if before is not None and identity != before:
                self._died(label)
                self.since = now
        # A daemon that is being started anew may look like one for a moment.
        forks = set(identity for identity in map(_identity, seen.forks) if identity) if self.mules else set()
        if seen.known:
            # Between two looks one may have ended and another one begun.
            for _one in self.forks - forks:
                self._died(self.fork)
            if forks != self.forks:
                self.since = now
            self.forks = forks
            # One that is gone is counted once, and what comes after it not again.
            self.before = found
        if len(forks) < self.mules:
            missing.append(self.fork)
        if missing:
            self.since = now
        self.why = self._why(missing, now - self.began)
        return now - self.since >= STEADY

    @property
    def hopeless(self):
        return any(count >= DEATHS for count in self.deaths.values())

    def _why(self, missing, seconds):
        often = sorted(self.deaths, key=lambda label: -self.deaths[label])
        if often and (self.deaths[often[0]] >= DEATHS - 1 or not missing):
            label = often[0]
            return "%s: %s dies again and again (%d times in %d s)" % (
                self.name, label, self.deaths[label], max(1, seconds)
            )
        return "%s: %s does not stay up" % (self.name, missing[0]) if missing else None


def stand(watched, clock=time):
    """Watch until all of these have stood; {name: why not}."""
    failed, waiting, began = {}, list(watched), clock.time()
    while waiting:
        now = clock.time()
        for item in list(waiting):
            if item.look(now):
                waiting.remove(item)
            elif item.hopeless or procfs.process_start(item.master) is None or now - began > LIMIT:
                failed[item.name] = item.why or "%s: its background processes do not stay up" % item.name
                waiting.remove(item)
        if waiting:
            clock.sleep(0.1)
    return failed


# -- giving it time -------------------------------------------------------------------------------------------------


def queued(inodes):
    """How many of these unix sockets hold something that nobody has read yet; None where the kernel does not tell."""
    try:
        asking = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_SOCK_DIAG)
    except (socket.error, AttributeError):
        return None
    try:
        asking.settimeout(2)
        # All unix sockets in any state, with the length of what waits.
        body = struct.pack("=BBHIIIII", socket.AF_UNIX, 0, 0, 0xFFFFFFFF, 0, UDIAG_SHOW_RQLEN, 0, 0)
        head = struct.pack("=IHHII", 16 + len(body), SOCK_DIAG_BY_FAMILY, 0x301, 1, 0)
        asking.send(head + body)
        count = 0
        while True:
            data = asking.recv(1 << 16)
            while len(data) >= 16:
                length, kind = struct.unpack("=IH", data[:6])
                if kind == NLMSG_DONE:
                    return count
                if kind == NLMSG_ERROR or length < 16:
                    return None
                # A listening socket tells by it who waits to be accepted; a mule has none.
                if _waits(data[16:length], inodes):
                    count += 1
                data = data[(length + 3) & ~3:]
    except (socket.error, struct.error):
        return None
    finally:
        asking.close()


def _waits(message, inodes):
    if len(message) < 16 or struct.unpack("=I", message[4:8])[0] not in inodes:
        return False
    rest = message[16:]
    while len(rest) >= 4:
        length, kind = struct.unpack("=HH", rest[:4])
        if kind == UNIX_DIAG_RQLEN and length >= 8:
            return struct.unpack("=I", rest[4:8])[0] > 0
        if length < 4:
            return False
        rest = rest[(length + 3) & ~3:]
    return False


def _sockets(pid):
    """The inodes of a process's sockets, as numbers; none where it may not be seen."""
    return set(int(inode) for inode in procfs.sockets(pid) or ())


class Tasks:
    """The tasks of spool folders, locked so that no spooler begins another one; runs with the account's rights."""

    def __init__(self):
        self.held = {}

    def hold(self, folders):
        """Lock what can be locked; returns whether somebody else holds one, as a spooler does that works on it."""
        others = False
        for folder in folders:
            for path in self._files(folder):
                others = self._lock(path) or others
        return others

    def _files(self, folder, depth=2):
        try:
            names = os.listdir(folder)
        except OSError:
            return
        for name in names:
            path = os.path.join(folder, name)
            try:
                mode = os.lstat(path).st_mode
            except OSError:
                continue
            if stat.S_ISREG(mode):
                yield path
            elif stat.S_ISDIR(mode) and name.isdigit() and depth:
                # A priority of spooler-ordered.
                for more in self._files(path, depth - 1):
                    yield more

    def _lock(self, path):
        try:
            found = os.lstat(path)
            if (found.st_dev, found.st_ino) in self.held:
                return False
            handle = safe_path.open_regular(path, os.O_RDWR)
        except (safe_path.UnsafePath, OSError):
            # Done with meanwhile, or none of the account's.
            return False
        try:
            fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (IOError, OSError):
            os.close(handle)
            return True
        found = os.fstat(handle)
        self.held[found.st_dev, found.st_ino] = handle
        return False


class Rest:
    """Has what runs beside a master's workers come to rest, before the master is told to end it.

    No spooler begins another task, and each is stopped once it has none; mules are waited for until they have read and
    done what they were sent; so are commands of crons where ``crons`` says that they would not outlive it. A child
    process with the account's own rights does it, which lets them go on if this one ends. ``who``: as ids() of procfs.
    """

    def __init__(self, master, stats, who, patience, crons=True):
        self.master, self.stats, self.who = master, stats, who
        self.patience, self.crons = patience, crons
        self.child = None

    def __enter__(self):
        """Begin; the answer comes by wait()."""
        self.reading, there = os.pipe()
        here, self.writing = os.pipe()
        self.child = os.fork()
        if self.child == 0:
            try:
                os.close(self.reading)
                os.close(self.writing)
                if os.geteuid() == 0 and self.who and self.who["uid"] != 0:
                    safe_path.drop_to(self.who)
                self._work(here, there)
            finally:
                os._exit(0)
        os.close(there)
        os.close(here)
        return self

    def wait(self):
        """Until all is at rest, or the patience ends; returns what was not by then."""
        with os.fdopen(self.reading, "rb") as source:
            text = source.readline()
        self.reading = None
        return [native(word) for word in text.strip().split(b"\0") if word]

    def __exit__(self, *_exc):
        try:
            os.write(self.writing, b"x")
        except OSError as error:
            if error.errno != errno.EPIPE:
                raise
        os.close(self.writing)
        if self.reading is not None:
            os.close(self.reading)
        os.waitpid(self.child, 0)

    def _work(self, told, tell):
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        tasks, stopped = Tasks(), []
        try:
            late = self._settle(tasks, stopped)
            os.write(tell, b"\0".join(encoded(item) for item in late) + b"\n")
            starts = dict((pid, procfs.process_start(pid)) for pid in stopped)
            # The next spooler begins with them at once: what the one before it left is not locked when it comes.
            while not select.select([told], [], [], 0.02)[0]:
                if stopped and all(procfs.process_start(pid) != starts[pid] for pid in stopped):
                    return
        finally:
            for pid in stopped:
                _send(pid, signal.SIGCONT)

    def _settle(self, tasks, stopped):
        until, quiet, used, ended = time.time() + self.patience, {}, {}, set()
        while True:
            seen, now = Seen(self.master, self.stats), time.time()
            if not seen.known:
                return []
            busy = self._spoolers(seen, tasks, stopped)
            if self.crons:
                busy += [label for label, pid in seen.crons if procfs.alive(pid)]
            ended |= set(used) - seen.forks
            # One that dies at its start, on and on, never reads what it was sent.
            for pid in sorted(seen.forks) if len(ended) < DEATHS else ():
                ticks = procfs.processor(pid)
                if ticks is None:
                    continue
                works = procfs.state(pid) in ("R", "D") or AT_WORK.search(procfs.waits_in(pid))
                if used.get(pid) != ticks or works or queued(_sockets(pid)):
                    quiet[pid] = now
                used[pid] = ticks
                if now - quiet[pid] < AT_REST:
                    busy.append("a mule (pid %d)" % pid)
            if not busy or now > until:
                return busy
            time.sleep(PAUSE)

    def _spoolers(self, seen, tasks, stopped):
        folders = seen.folders
        others = tasks.hold(folders)
        if not seen.spoolers or (stopped and set(seen.spoolers) <= set(stopped)):
            return []
        if others or seen.busy:
            return seen.busy or ["a spooler"]
        for pid in seen.spoolers:
            if _send(pid, signal.SIGSTOP):
                stopped.append(pid)
        limit = time.time() + 1
        while any(procfs.state(pid) in ("R", "S", "D") for pid in stopped) and time.time() < limit:
            time.sleep(0.002)
        # One may have begun with a task before it was stopped: it holds it then.
        if not tasks.hold(folders) and not Seen(self.master, self.stats).busy:
            return []
        for pid in stopped:
            _send(pid, signal.SIGCONT)
        del stopped[:]
        return ["a spooler"]


def _send(pid, number):
    try:
        os.kill(pid, number)
        return True
    except OSError:
        return False


def end(pids):
    """Ask processes to end, each with whoever is of its group."""
    return [_send(-pid, signal.SIGTERM) or _send(pid, signal.SIGTERM) for pid in pids]


def wake(master, stats, who):
    """Have spoolers look for what another instance has put into their folders."""
    pids = Seen(master, stats).spoolers
    if pids:
        safe_path.as_account(who, lambda: [_send(pid, signal.SIGUSR1) for pid in pids])
