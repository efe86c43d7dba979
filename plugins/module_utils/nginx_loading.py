# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whether a running nginx has read its files as they stand, and reloads whose outcome is looked at.

A reload that fails says nothing: the master keeps its workers, writes to its log and goes on. nginx -t tries neither
whether an address is free nor whether a zone in shared memory still has the key that it had.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import json
import os
import re
import shutil
import signal
import stat
import tempfile
import time

from ansible_collections.graceful.wsgi.plugins.module_utils import disk, layout, nginx_files, nginx_master, procfs
from ansible_collections.graceful.wsgi.plugins.module_utils.disk import native

CONF, PID_FILE, BINARY = layout.NGINX_CONF, layout.NGINX_PIDFILE, layout.NGINX_BINARY
# What is true of a process that runs; gone after a reboot, as that is.
RECORD = os.path.join(disk.STATE_DIR, "nginx-loaded.json")
# Clocks of files and of processes differ by this much.
SLACK = 0.05
# A master reads its files within this time; a failure shows in its log much sooner.
TIMEOUT = 60
_FATAL = re.compile(r"^.*\[(?:emerg|alert)\].*$", re.MULTILINE)


class LoadError(Exception):
    """nginx did not take its files up; the message says why, and what it runs with."""


def _record(path):
    try:
        with open(path, "rb") as source:
            return json.loads(source.read().decode("utf-8"))
    except (IOError, OSError, ValueError):
        return {}


def _named(pid_file):
    """The master that a pid file names, or None."""
    try:
        return nginx_master.read_master(pid_file)
    except nginx_master.MasterError as error:
        raise LoadError(str(error))


class _Log:
    """Where the main error log of a running master ends now: its standard error leads there."""

    def __init__(self, master):
        self.path = "/proc/%d/fd/2" % master
        try:
            found = os.stat(self.path)
            self.start = found.st_size if stat.S_ISREG(found.st_mode) else None
            self.name = native(os.readlink(self.path))
        except OSError:
            self.start, self.name = None, ""

    def fatal(self):
        """What was written since that ends a reload."""
        if self.start is None:
            return []
        return _FATAL.findall(nginx_master.tail(self.path, self.start, 200))


class Watch:
    """A reload that is about to be asked for: ``outcome()`` then waits until it is seen what became of it."""

    def __init__(self, pid_file=PID_FILE, timeout=TIMEOUT):
        self.pid_file, self.timeout = pid_file, timeout
        self.master = _named(pid_file)
        self.before = set(nginx_master.workers(self.master)) if self.master else set()
        self.log = _Log(self.master) if self.master else None

    def _decided(self):
        now = _named(self.pid_file)
        if now != self.master:
            # Started, restarted or moved over to another binary.
            return ["up"] if now and nginx_master.workers(now) else None
        if set(nginx_master.workers(now)) - self.before:
            return ["up"]
        said = self.log.fatal()
        # What comes with it, on a line of its own, comes right after.
        return ["failed"] + said if said else None

    def outcome(self):
        """Raise LoadError where the master goes on with the workers that it had."""
        if self.master is None:
            nginx_master.wait(self._decided, self.timeout)
            return
        found = nginx_master.wait(self._decided, self.timeout)
        if found and found[0] == "up":
            return
        message = "nginx was told to reload and did not: process %d serves on with what it had read before"
        message %= self.master
        if not found:
            raise LoadError("%s. No new worker came within %d s; see %s" % (message, self.timeout, self.log.name))
        time.sleep(0.2)
        lines = self.log.fatal()
        text = "\n".join(lines[-8:])
        raise LoadError("%s. %s says:\n%s%s" % (message, self.log.name, text, _hint(text)))


def _hint(text):
    if "Address already in use" in text or "Address in use" in text:
        return "\nAnother program listens there: end it, or let the site listen elsewhere."
    if "previously" in text:
        return "\nShared memory keeps the key or path of a zone: give the zone a new name, or restart nginx."
    return ""


class Nginx:
    """The nginx of a pid file, and the configuration that it is started with."""

    def __init__(self, run_command, pid_file=PID_FILE, conf=CONF, binary=BINARY, record=RECORD, timeout=TIMEOUT):
        self.run_command = run_command
        self.pid_file, self.conf, self.binary, self.record = pid_file, conf, binary, record
        self.timeout = timeout
        self._files = None

    @property
    def files(self):
        """What nginx would read now, looked at once."""
        if self._files is None:
            self._files = nginx_files.state(self.conf)
        return self._files

    def look(self):
        """Look at the files now."""
        return self.files

    def _master(self):
        """The running master and its start, which name it for ever; None where none runs."""
        master = _named(self.pid_file)
        return [master, procfs.process_start(master)] if master else None

    def running(self):
        """Whether it runs."""
        return self._master() is not None

    def unread(self):
        """Paths of the files that are not as the running nginx has read them; none where it does not run."""
        master = self._master()
        if master is None:
            return []
        record = _record(self.record)
        workers = nginx_master.workers(master[0])
        if record.get("master") == master:
            before = dict((native(path), digest) for path, digest in record["files"].items())
            changed = [path for path in self.files if before.get(path, 0) != self.files[path].digest]
            # One worker alone may have ended and been started anew by a master that read nothing.
            again = len(workers) > 1 and not set(workers).intersection(record["workers"])
            if not changed or not again:
                return sorted(changed)
        since = min([procfs.started_at(pid) for pid in workers] or [procfs.started_at(master[0])])
        return sorted(path for path, found in self.files.items() if found.when > since - SLACK)

    def noted(self):
        """Whether it is written down what the running master has read."""
        master = self._master()
        return master is None or _record(self.record).get("master") == master

    def note(self):
        """Write down what a master that has just read everything has read."""
        master = self._master()
        if master is None:
            return
        files = dict((path, found.digest) for path, found in self.files.items())
        text = json.dumps({"master": master, "workers": nginx_master.workers(master[0]), "files": files})
        disk.make_folders(os.path.dirname(self.record))
        handle, fresh = tempfile.mkstemp(dir=os.path.dirname(self.record), prefix=".nginx-loaded-")
        with os.fdopen(handle, "wb") as target:
            target.write(text.encode("utf-8"))
        os.rename(fresh, self.record)

    def test(self):
        """What nginx -t has against the configuration as it stands; empty where it takes it."""
        # nginx -t makes the pid file where nginx does not run; a private one is taken away again.
        folder = tempfile.mkdtemp(prefix="graceful-wsgi-")
        try:
            status, out, err = self.run_command(
                [self.binary, "-t", "-q", "-c", self.conf, "-g", "pid %s/nginx.pid;" % folder]
            )
        finally:
            shutil.rmtree(folder)
        return "" if status == 0 else (out + err).strip() or "status %d" % status

    def reload(self):
        """Have the master read everything anew, and see that it did."""
        master = self._master()
        watch = Watch(self.pid_file, self.timeout)
        # Before: what changes from here on is found by the next run.
        self.look()
        try:
            nginx_master.send(master[0], signal.SIGHUP)
        except nginx_master.MasterError as error:
            raise LoadError(str(error))
        watch.outcome()
        self.note()

    def told(self, paths):
        """The changed files for a message, none of their content."""
        found = [(path, self.files.get(path)) for path in paths]
        return [path if item is None or item.why is None else "%s, which %s" % (path, item.why) for path, item in found]

    def diff(self, paths):
        """Material for a diff: a file's size and time of change, since many of these files are keys."""
        told = []
        for path in paths:
            found = self.files[path]
            after = found.why or "%d bytes, changed %s" % (
                found.size, time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(found.when))
            )
            told.append(
                {
                    "before_header": path,
                    "after_header": path,
                    "before": "as nginx has read it\n",
                    "after": "changed since nginx has read it: %s\n" % after,
                }
            )
        return told


class Reload:
    """A reload by a command of somebody else's: made before it, and told when the command has ended."""

    def __init__(self, pid_file=PID_FILE):
        self.watch = Watch(pid_file)
        self.nginx = Nginx(None, pid_file)
        # Before the command, so that what changes meanwhile is found by the next run.
        self.nginx.look()

    def finish(self):
        """Wait until nginx is seen to run what there is; raises LoadError where it does not."""
        self.watch.outcome()
        self.nginx.note()
