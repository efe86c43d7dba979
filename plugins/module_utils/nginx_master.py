# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Finds nginx's master process and moves a running nginx over to another binary without dropping a request."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import errno
import os
import re
import shutil
import signal
import tempfile
import time

from ansible_collections.graceful.wsgi.plugins.module_utils.procfs import parent

MASTER = "nginx: master process"
WORKER = "nginx: worker process"
LEAVING = WORKER + " is shutting down"


class MasterError(Exception):
    """The upgrade did not happen; the message tells the state things are in."""


def _read(path):
    try:
        with open(path, "rb") as source:
            return source.read().decode("utf-8", "replace")
    except (IOError, OSError) as error:
        if error.errno in (errno.ENOENT, errno.ESRCH, errno.ENOTDIR):
            return None
        raise


def title(pid):
    """A process's title (its arguments, which nginx rewrites); empty for a zombie, None where there is none."""
    text = _read("/proc/%d/cmdline" % pid)
    return None if text is None else text.replace("\0", " ").strip()


def same_file(pid, path):
    """Whether a process runs the very file that ``path`` names now (not one that a rename has replaced)."""
    try:
        running, there = os.stat("/proc/%d/exe" % pid), os.stat(path)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ESRCH):
            return False
        raise
    return (running.st_dev, running.st_ino) == (there.st_dev, there.st_ino)


def children(pid):
    """Pids and titles of a process's children."""
    found = [int(name) for name in os.listdir("/proc") if name.isdigit() and parent(int(name)) == pid]
    return [(child, title(child) or "") for child in sorted(found)]


def workers(master):
    """Pids of a master's workers that take requests."""
    return [pid for pid, text in children(master) if text.startswith(WORKER) and not text.startswith(LEAVING)]


def read_master(pid_file):
    """The pid of the nginx master that ``pid_file`` names, or None where none runs.

    Anything but one number is refused: atoi() of garbage is 0, and a signal to 0 goes to the caller's own group.
    A number of a process that is no nginx master is a stale one.
    """
    text = _read(pid_file)
    # nginx -t leaves an empty file where nginx does not run.
    if text is None or not text.strip():
        return None
    if not re.match(r"^[1-9][0-9]*\n?$", text):
        raise MasterError(
            "%s holds %r and not one number, so no process was signalled; remove it if nginx does not run"
            % (pid_file, text[:40])
        )
    pid = int(text)
    if pid > 1 and (title(pid) or "").startswith(MASTER):
        return pid
    return None


def send(pid, number):
    """Signal one master, looked at right before: its number may be another's by now."""
    if pid <= 1 or not (title(pid) or "").startswith(MASTER):
        raise MasterError("process %d is no nginx master any more" % pid)
    os.kill(pid, number)


def wait(condition, timeout, pause=0.05):
    """Wait until ``condition()`` is true; the last answer."""
    end = time.time() + timeout
    while True:
        answer = condition()
        if answer or time.time() >= end:
            return answer
        time.sleep(pause)


def size(path):
    """Where a log ends now."""
    try:
        return os.path.getsize(path)
    except OSError:
        return 0


def tail(path, start, lines=10):
    """What a log got since ``start``, its last lines."""
    try:
        with open(path, "rb") as source:
            source.seek(start)
            text = source.read()[-8192:].decode("utf-8", "replace")
    except (IOError, OSError):
        return ""
    return "\n".join(text.splitlines()[-lines:])


class Upgrade:
    """One on-the-fly upgrade: USR2, then WINCH, then QUIT; and the way back."""

    def __init__(self, pid_file, dest, error_log, timeout=30, drain=30, settle=0.3):
        self.pid_file = pid_file
        self.old_file = pid_file + ".oldbin"
        self.dest = dest
        self.error_log = error_log
        self.timeout = timeout
        self.drain = drain
        self.settle = settle
        self.old = None
        self.new = None

    def find(self):
        """Look at what runs; refuse while an earlier upgrade still drains, since nginx would ignore USR2 then."""
        self.old = read_master(self.pid_file)
        earlier = read_master(self.old_file)
        if self.old and earlier and earlier != self.old:
            if not wait(lambda: read_master(self.old_file) is None, self.drain):
                raise MasterError(
                    "the master of an earlier upgrade (process %d) still serves its last requests; run again when it"
                    " has ended, or set worker_shutdown_timeout in nginx_main_options. The nginx that runs is as it was"
                    % earlier
                )
        return self.old

    def needed(self):
        """Whether the running master runs another file than the one in place."""
        return self.old is not None and not same_file(self.old, self.dest)

    def _arrived(self):
        """The new master, once it and a worker of it are there; False once it is clear that it will not be."""
        new = read_master(self.pid_file)
        if new and new != self.old:
            self.new = new
            return same_file(new, self.dest) and bool(workers(new))
        return False

    def _fail(self, message, start):
        logged = tail(self.error_log, start)
        raise MasterError(
            "%s; the running nginx (process %d) serves on as it was.%s"
            % (message, self.old, "\n%s says:\n%s" % (self.error_log, logged) if logged else "")
        )

    def _stands(self):
        return bool(self.new and read_master(self.pid_file) == self.new and workers(self.new))

    def run(self):
        """Move over; returns whether the old master has ended, its requests served. On failure the old one serves."""
        start = size(self.error_log)
        send(self.old, signal.SIGUSR2)
        seen = []

        def decided():
            if self._arrived():
                return "up"
            if read_master(self.old_file) == self.old:
                seen.append(True)
            elif seen and read_master(self.pid_file) == self.old:
                # nginx names its file back once the new master has died.
                return "died"
            return None

        outcome = wait(decided, self.timeout)
        if outcome == "up":
            time.sleep(self.settle)
            if not self._stands():
                outcome = "died"
        if outcome != "up":
            self._back()
            how = "ended at once" if outcome == "died" else "did not come up within %d s" % self.timeout
            self._fail("the new master %s" % how, start)
        send(self.old, signal.SIGWINCH)
        time.sleep(self.settle)
        if not self._stands():
            # HUP gives the old master workers again.
            send(self.old, signal.SIGHUP)
            self._back()
            self._fail("the new master ended when it was to take over", start)
        send(self.old, signal.SIGQUIT)
        return bool(wait(self._ended, self.drain))

    def _ended(self):
        return not (title(self.old) or "").startswith(MASTER)

    def _back(self):
        """Send a new master away, if there is one, and wait until the pid file names the old one again."""
        new = read_master(self.pid_file)
        if new and new != self.old:
            send(new, signal.SIGQUIT)
        if not wait(lambda: read_master(self.pid_file) == self.old, min(self.timeout, 5)):
            # What hangs before it is a master has no title of nginx's yet, or does not listen to QUIT.
            for pid, text in children(self.old):
                if text and (pid == new or not text.startswith("nginx: ")):
                    os.kill(pid, signal.SIGKILL)
            wait(lambda: read_master(self.pid_file) == self.old, self.timeout)


class Place:
    """The binary's place, filled by rename, with the way back kept until it is not needed any more."""

    def __init__(self, dest, relabel=lambda path, like: None):
        self.dest = dest
        self.relabel = relabel
        self.kept = None

    def put(self, source):
        """Put a copy of ``source`` in place; the file that was there stays under another name."""
        folder, name = os.path.split(self.dest)
        handle, fresh = tempfile.mkstemp(prefix=".%s." % name, suffix=".new", dir=folder)
        try:
            with os.fdopen(handle, "wb") as target:
                with open(source, "rb") as origin:
                    shutil.copyfileobj(origin, target, 1 << 20)
                target.flush()
                os.fsync(target.fileno())
            os.chmod(fresh, 0o755)
            self.relabel(fresh, self.dest)
            if os.path.lexists(self.dest):
                self.kept = fresh[: -len(".new")] + ".old"
                os.link(self.dest, self.kept)
            os.rename(fresh, self.dest)
        finally:
            if os.path.lexists(fresh):
                os.unlink(fresh)

    def back(self):
        """Put back what was there."""
        if self.kept:
            os.rename(self.kept, self.dest)
            self.kept = None

    def forget(self):
        """Remove what was there."""
        if self.kept:
            os.unlink(self.kept)
            self.kept = None
