# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Sends SIGHUP at a moment when it cuts off no request.

uWSGI (2.0.31) ends a worker on SIGHUP at once unless it is in a request, and a request begins to count only after its
connection was accepted: one that arrives in between is cut off. In a request the signal interrupts whatever waits:
uWSGI's own writing of a large answer, and in Python 2.7 all that the application does. So the workers are stopped
first, and one that is not at rest goes on for a moment before it is stopped and looked at again.

A worker that still loads its code (lazy-apps) is not told by SIGHUP. Until it has loaded it has what it was forked
with: the master's handler, by which it has all other workers end at once, requests or not, or the order to ignore the
signal. Then it comes to serve, and is killed at worker-reload-mercy in the middle of a request. It has accepted nothing
so far, and is killed at once.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import errno
import os
import re
import signal
import struct
import time

from ansible_collections.graceful.wsgi.plugins.module_utils import procfs
from ansible_collections.graceful.wsgi.plugins.module_utils.disk import native
from ansible_collections.graceful.wsgi.plugins.module_utils.uwsgi_client import statistics

# Seconds between two looks at a worker, at first and at the most.
PAUSE, PAUSES = 0.002, 0.02
# How long a worker that nothing more is known of must have held the same connections to be taken for in a request.
STEADY = 0.05
LISTENING = "00010000"
# Connected, be it that the other side has nothing more to say.
CONNECTED = ("01", "08")


def accepted_ends(address):
    """The inodes of all connections accepted at this address: host:port, or a unix socket as it was bound."""
    found = set()
    port = re.match(r"[^/@].*:([0-9]{1,5})$|:([0-9]{1,5})$", address)
    if port:
        number = "%04X" % int(port.group(1) or port.group(2))
        for table in ("/proc/net/tcp", "/proc/net/tcp6"):
            for line in native(procfs.read(table)).splitlines()[1:]:
                fields = line.split()
                if fields[1].rpartition(":")[2] == number and fields[3] in CONNECTED and fields[9] != "0":
                    found.add(fields[9])
        return found
    # uWSGI counts the byte behind an abstract name as part of it, and /proc shows it as another @.
    names = (address, address + "@") if address.startswith("@") else (address,)
    for line in native(procfs.read("/proc/net/unix")).splitlines():
        fields = line.split(None, 7)
        # One that nobody has accepted yet has no inode.
        if len(fields) == 8 and fields[7] in names and fields[3] != LISTENING and fields[6] != "0":
            found.add(fields[6])
    return found


def held(pid, addresses):
    """The inodes of the connections that a process has accepted at these addresses; None where it may not be seen."""
    found = procfs.sockets(pid)
    if found is None:
        return None
    ends = set()
    for address in addresses:
        ends |= accepted_ends(address)
    return found & ends


def counted(stats):
    """How many requests each worker counts, by pid, as a stats server says; None where none does."""
    said = statistics(stats, 1) if stats else None
    if said is None:
        return None
    return dict(
        (worker.get("pid"), sum(1 for core in worker.get("cores", []) if core.get("in_request")))
        for worker in said.get("workers", [])
    )


def loads(pid, stats):
    """Whether a worker still loads its code: it has accepted nothing, and has no handler of its own for SIGHUP."""
    # uWSGI handles this signal in workers only, from right after it has set their handler for SIGHUP.
    if procfs.catches(pid, signal.SIGUSR2):
        return False
    said = statistics(stats, 1) if stats else None
    workers = said.get("workers", []) if said else []
    return not any(worker.get("accepting") for worker in workers if worker.get("pid") == pid)


class Worker:
    """A worker that is to be stopped where SIGHUP does no harm. ``stats``: the address of its stats server."""

    def __init__(self, pid, addresses, stats):
        self.pid = pid
        self.start = procfs.process_start(pid)
        self.addresses = addresses
        self.stats = stats
        self.holds, self.since = None, 0
        self.loads = False

    def send(self, number):
        """Signal it if it is still this very process; returns whether it was."""
        if self.start is None or procfs.process_start(self.pid) != self.start:
            return False
        try:
            os.kill(self.pid, number)
        except OSError as error:
            if error.errno != errno.ESRCH:
                raise
            return False
        return True

    def freeze(self, patience):
        """Stop it at a good moment; returns whether one came in so many seconds. It is not stopped otherwise.

        For half of the time only one at which it is at rest is good enough, then one in a request that it counts too.
        """
        began, pause = time.time(), PAUSE
        while self.send(signal.SIGSTOP):
            waited, good = time.time() - began, None
            try:
                good = self._is_good(waited > patience / 2.0)
            finally:
                # Whatever happens in between, it does not stand still for good.
                if not good:
                    self.send(signal.SIGCONT)
            if good:
                return True
            # What may not be seen now will not be seen later.
            if good is None or waited > patience:
                return False
            time.sleep(pause)
            pause = min(PAUSES, pause * 1.2)
        return False

    def _is_good(self, late):
        """Whether SIGHUP would do no harm now; None where nobody can tell."""
        if not self._stopped():
            self.loads = loads(self.pid, self.stats)
            return False
        holds = held(self.pid, self.addresses)
        # A worker of a plugin's own accepts without ever being an ordinary one; what it holds is a request.
        self.loads = not holds and loads(self.pid, self.stats)
        if self.loads:
            return True
        if holds is None:
            return None
        return not holds or (late and self._counts(holds))

    def _stopped(self):
        limit = time.time() + STEADY
        while procfs.state(self.pid) != "T":
            if time.time() > limit:
                return False
            time.sleep(PAUSE / 10)
        return True

    def _counts(self, holds):
        """Whether each connection that it holds is a request that it counts."""
        counts = counted(self.stats)
        if counts is not None:
            return counts.get(self.pid, 0) >= len(holds)
        # Without a stats server: what it has held for so long it has begun to read.
        if holds != self.holds:
            self.holds, self.since = holds, time.time()
        return time.time() - self.since >= STEADY

    @property
    def pending(self):
        """Whether a SIGHUP waits for it, or it is gone."""
        return procfs.process_start(self.pid) != self.start or procfs.pends(self.pid, signal.SIGHUP)


def _send(workers, target, patience, grace):
    """Freeze the workers, signal the target (a Worker too) and let them go on once each has a SIGHUP before it.

    Those that still load are killed.
    """
    frozen, until = [], time.time() + patience
    try:
        for worker in workers:
            # Those that stand still already answer nobody, so that all have one patience.
            if worker.freeze(max(0.1, until - time.time())):
                frozen.append(worker)
        ending = [worker for worker in workers if worker.loads]
        number = signal.SIGKILL if target.pid in [worker.pid for worker in ending] else signal.SIGHUP
        if not target.send(number):
            raise OSError(errno.ESRCH, os.strerror(errno.ESRCH))
        limit = time.time() + grace
        while number == signal.SIGHUP and time.time() < limit and not all(worker.pending for worker in frozen):
            time.sleep(PAUSE / 10)
        # By now the master starts no other in its place.
        for worker in ending:
            worker.send(signal.SIGKILL)
    finally:
        for worker in frozen:
            worker.send(signal.SIGCONT)
    return len(frozen) == len(workers)


def _look_as(pid, who):
    """Look with the eyes of the workers' user where root's see nothing, as in a container."""
    if os.geteuid() != 0 or held(pid, []) is not None:
        return
    os.setgroups([])
    os.setegid(who["gid"])
    os.seteuid(who["uid"])
    if held(pid, []) is None:
        os.seteuid(0)


def safe_sighup(target, pids, addresses, stats, who, patience=3.0, grace=1.0):
    """Send SIGHUP to the process ``target``, a master or a worker, when none of the workers ``pids`` loses a request.

    ``who``: uid and gid of the workers. Returns whether it was so: where no such moment comes in ``patience``
    seconds, or a worker may not be looked at, the signal is sent all the same. Raises OSError where it cannot be sent.
    A worker that still loads its code is killed instead.
    ``grace``: seconds that a master may take until it has told its workers.
    """
    # A child does it: it may become another user, and it lets the workers go on should this process be killed.
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        answer = errno.EIO
        try:
            os.setsid()
            os.close(reader)
            if pids:
                _look_as(pids[0], who)
            workers = [Worker(pid, addresses, stats) for pid in pids]
            answer = 0 if _send(workers, Worker(target, addresses, stats), patience, grace) else -1
        except (IOError, OSError) as error:
            answer = error.errno or errno.EIO
        finally:
            try:
                os.write(writer, struct.pack("i", answer))
            finally:
                os._exit(0)
    os.close(writer)
    try:
        said = os.read(reader, 4)
    finally:
        os.close(reader)
        os.waitpid(child, 0)
    answer = struct.unpack("i", said)[0] if len(said) == 4 else errno.EIO
    if answer > 0:
        raise OSError(answer, os.strerror(answer))
    return answer == 0
