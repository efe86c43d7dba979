# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Finds the uWSGI master that a pidfile names, and believes it only once /proc has borne it out."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import errno
import os
import re
import stat

from ansible_collections.graceful.wsgi.plugins.module_utils import procfs, safe_path
from ansible_collections.graceful.wsgi.plugins.module_utils.uwsgi_config import (
    Config,
    ConfigError,
    command_line,
    from_environment,
    load_as,
)

# What an emperor hands to its vassals, and they to their workers.
VASSAL = "UWSGI_EMPEROR_FD"
# btime is a whole second, and a pidfile is written right after the start.
CLOCK_SLACK = 2.0


class MasterError(Exception):
    """The pidfile does not lead to a master that is its own; no signal was sent."""


def read_pidfile(path):
    """The number in a pidfile, and the pidfile's lstat.

    uWSGI itself does kill(atoi(text)): an empty file, garbage or 0 signals the caller's own process group and -1
    everybody. Here anything but one number greater than 1 is refused.
    """
    try:
        folder, name = safe_path.split(path)
        with folder:
            found = folder.lstat(name)
            if found is None:
                raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))
            if stat.S_ISLNK(found.st_mode):
                raise MasterError("%s: is a symlink; name the pidfile itself" % path)
            if not stat.S_ISREG(found.st_mode):
                kind = "a folder" if stat.S_ISDIR(found.st_mode) else "not a regular file"
                raise MasterError("%s: is %s; name the pidfile itself" % (path, kind))
            with os.fdopen(folder.open_file(name), "rb") as source:
                # Of the very file that is read, whatever was put at its path meanwhile.
                found = os.fstat(source.fileno())
                text = source.read(64)
    except safe_path.UnsafePath as error:
        raise MasterError(str(error))
    except (IOError, OSError) as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            raise MasterError("%s: there is no such pidfile; is the instance running, and is this its pidfile?" % path)
        raise MasterError("%s: %s" % (path, error.strerror))
    if not text.strip():
        raise MasterError("%s: is empty; the instance is starting or has ended" % path)
    if not re.match(br"[0-9]{1,20}\n?\Z", text):
        # What it says instead is not shown: it may be a second name for a file that only root can read.
        raise MasterError("%s: holds something that is not one number" % path)
    pid = int(text)
    if pid <= 1:
        raise MasterError("%s: holds %d, which is no process that may be signalled" % (path, pid))
    if pid > _largest_pid():
        raise MasterError("%s: holds %d, which is larger than any pid of this host" % (path, pid))
    return pid, found


def _largest_pid():
    text = procfs.read("/proc/sys/kernel/pid_max").strip()
    return int(text) if text else 1 << 22


def _is_uwsgi(pid):
    """Whether a process runs uWSGI, by its program, or by its name where the program may not be seen."""
    path = procfs.executable(pid)
    if path is not None:
        return os.path.basename(path).startswith(("uwsgi", "pyuwsgi"))
    return procfs.read("/proc/%d/comm" % pid).startswith(b"uwsgi")


def describe(pid):
    """A process for a message: `pid 7 (sleep 60, uid 0)`."""
    who = procfs.ids(pid) or {"uid": "?"}
    return "pid %d (%s, uid %s)" % (pid, " ".join(procfs.words(pid))[:120] or "no command line", who["uid"])


class Master:
    """A proven master. ``config_path``: its configuration where its command line does not name it.

    ``at_rest``: whether a master may be without workers, as one is that is cheap, or that loads its code just now.
    """

    def __init__(self, pidfile, config_path=None, at_rest=False):
        self.pidfile = os.path.abspath(pidfile)
        self.pid, found = read_pidfile(self.pidfile)
        if not procfs.alive(self.pid):
            raise MasterError("%s: is stale, there is no process %d" % (self.pidfile, self.pid))
        self.start = procfs.process_start(self.pid)
        self.who = procfs.ids(self.pid)
        self.executable = procfs.executable(self.pid)
        self.folder = procfs.folder(self.pid) or "/"
        self.environment = procfs.environment(self.pid)
        # Where it was started, as far as it can be told: chdir moves it, but relative paths were read before.
        begun = self.environment.get("PWD", "")
        self.started_in = begun if begun.startswith("/") and os.path.isdir(begun) else self.folder
        self._prove_program()
        self._prove_no_emperor()
        self._prove_rank()
        self._prove_owner(found)
        self._prove_age(found)
        self.config_path, self.config = self._read_config(config_path)
        if self.config.all("emperor", "early-emperor"):
            self._refuse_emperor()
        self._prove_name()
        self._prove_workers(at_rest)
        if procfs.process_start(self.pid) != self.start:
            raise MasterError("%s: process %d ended while it was looked at" % (self.pidfile, self.pid))

    def _refuse(self, why):
        raise MasterError("%s: names %s, %s; no signal was sent" % (self.pidfile, describe(self.pid), why))

    def _prove_program(self):
        if not _is_uwsgi(self.pid):
            self._refuse("which is no uWSGI: the pidfile is stale")

    def _prove_no_emperor(self):
        """Refuse an emperor that has vassals, be it in a child of its own master; a SIGHUP would end all of them."""
        if VASSAL in self.environment:
            return
        own = procfs.words(self.pid)
        reigning = [self.pid] + [pid for pid in procfs.children(self.pid) if _same_kind(procfs.words(pid), own)]
        vassals = [
            pid
            for above in reigning
            for pid in procfs.children(above)
            if _is_uwsgi(pid) and not _same_kind(procfs.words(pid), own) and VASSAL in procfs.environment(pid)
        ]
        if vassals:
            self._refuse_emperor(vassals)

    def _refuse_emperor(self, vassals=()):
        named = "; its vassals: %s" % ", ".join(describe(pid) for pid in sorted(vassals)) if vassals else ""
        self._refuse(
            "which is an emperor%s: a reload of it would end and start every vassal, and their requests with them. Name"
            " the pidfile of the vassal that is to be reloaded, or touch its configuration" % named
        )

    def _vassals_folder(self, names):
        """Where its emperor has found these configuration files, which it has named relative to that folder."""
        emperor = procfs.parent(self.pid)
        if not emperor or emperor <= 1 or not _is_uwsgi(emperor):
            return None
        begun = procfs.environment(emperor).get("PWD") or "/"
        options, files = command_line(procfs.words(emperor)[1:], begun)
        for address, kind in files:
            try:
                options = options + load_as(procfs.ids(emperor), address, kind, begun)
            except ConfigError:
                # Its own folder tells as well where it looked last.
                continue
        folders = [procfs.folder(emperor)]
        folders += [os.path.join(begun, path) for path in Config(options).all("emperor") if "://" not in path]
        found = []
        for folder in folders:
            real = os.path.realpath(folder) if folder else ""
            if real and real not in found and all(os.path.isfile(os.path.join(real, name)) for name in names):
                found.append(real)
        if len(found) > 1:
            self._refuse(
                "a vassal of %s, which has %s in %s; give config"
                % (describe(emperor), ", ".join(sorted(names)), " and ".join(sorted(found)))
            )
        return found[0] if found else None

    def _settle_vassal(self):
        """Take a vassal's relative paths as it does: it is started in the folder where its emperor found it."""
        _options, files = command_line(procfs.words(self.pid)[1:], "")
        paths = [address.partition(":")[0] for address, _kind in files]
        handed = [address for address, _kind in files if "://" in address]
        if handed:
            self._refuse(
                "a vassal whose configuration its emperor has handed over (%s) and no file holds; touch or change it"
                " where the emperor reads it, or give config" % ", ".join(handed)
            )
        names = set(path for path in paths if not path.startswith("/"))
        if names:
            self.started_in = self._vassals_folder(names) or self.started_in

    def _prove_rank(self):
        above = procfs.parent(self.pid)
        # A worker is a fork of its master and has its words; a vassal of an emperor was started with words of its own.
        if above and above > 1 and _is_uwsgi(above) and _same_kind(procfs.words(self.pid), procfs.words(above)):
            self._refuse("which is a worker of %s" % describe(above))

    def _prove_owner(self, found):
        # A master that dropped its rights wrote the file as root before.
        if found.st_uid not in (0, self.who["uid"]):
            self._refuse("which belongs to another user than the pidfile (uid %d)" % found.st_uid)

    def _prove_age(self, found):
        if procfs.started_at(self.pid) > found.st_mtime + CLOCK_SLACK:
            self._refuse(
                "which started after the pidfile was written: the pid was given to another process; if the"
                " host's clock was set forward since, restart the instance once"
            )

    def _read_config(self, config_path):
        if VASSAL in self.environment and not config_path:
            self._settle_vassal()
        options, files = command_line(procfs.words(self.pid)[1:], self.started_in)
        options = self.given = from_environment(self.environment) + options
        if config_path:
            files = [(config_path, None)]
        try:
            for address, kind in files:
                options = options + load_as(self.who, address, kind, self.started_in, bool(config_path))
        except ConfigError as error:
            why = "%s: process %d's configuration cannot be read: %s" % (self.pidfile, self.pid, error)
            # Its words are its account's, who could name any file there; the play's are root's.
            more = "" if config_path or os.geteuid() != 0 else " (read as uid %d; config names one of root's)"
            raise MasterError(why + (more % self.who["uid"] if more else ""))
        return (files[0][0].partition(":")[0] if files else None), Config(options, self.environment)

    def _prove_name(self):
        # uWSGI writes pidfile before its chdir, and safe-pidfile after it.
        named = [
            os.path.realpath(os.path.join(folder, path))
            for path in self.config.pidfiles
            for folder in sorted(set((self.started_in, self.folder)))
        ]
        if os.path.realpath(self.pidfile) in named:
            return
        if named:
            self._refuse("whose own pidfile is %s" % ", ".join(sorted(set(named))))
        self._refuse("whose command line and configuration name no pidfile; give config")

    def _prove_workers(self, at_rest):
        if not self.workers() and not (at_rest and self.config.on("master")):
            self._refuse("which has no workers: it is no master (uWSGI reloads gracefully only with master = true)")

    def address(self, address):
        """A socket's address; a relative path lies in the master's folder."""
        relative = ":" not in address and address[:1] not in ("@", "/")
        return os.path.join(self.folder, address) if relative else address

    @property
    def reexecuted(self):
        """Whether it may have executed itself anew: then /proc still tells of its first start."""
        return not self.environment or "UWSGI_RELOADS" in self.environment

    def stats_bound_at(self):
        """When the master bound its stats socket, or None: it binds it anew each time, once the code is loaded."""
        try:
            # A later chmod changes ctime.
            found = os.lstat(self.address(self.config.stats or ""))
        except OSError:
            return None
        return max(found.st_mtime, procfs.started_at(self.pid)) if stat.S_ISSOCK(found.st_mode) else None

    def config_changed(self):
        """Whether the configuration file is newer than the master's last reading of it; None where nothing tells."""
        if not self.config_path:
            return False
        try:
            changed = os.stat(self.config_path).st_mtime
        except OSError:
            return None
        bound, started = self.stats_bound_at(), procfs.started_at(self.pid)
        if changed <= (bound or started):
            return False
        # The workers were started after the last reading, so what is newer than one of them is newer than that.
        if bound or not self.reexecuted or any(0 < procfs.started_at(pid) < changed for pid in self.workers()):
            return True
        return None

    def workers(self):
        """The pids of the workers: children that are forks of the master."""
        own = procfs.words(self.pid)
        return set(pid for pid in procfs.children(self.pid) if _same_kind(procfs.words(pid), own))

    def still(self):
        """Whether the pid is still this very process."""
        return procfs.process_start(self.pid) == self.start and procfs.alive(self.pid)

    def signal(self, number):
        """Signal the master, looked at right before: its number may be another's by now."""
        if not self.still():
            raise MasterError("%s: process %d has ended; no signal was sent" % (self.pidfile, self.pid))
        os.kill(self.pid, number)


def _same_kind(words, master_words):
    """Whether a child is a worker: it has the master's words, or both have put titles of uWSGI's own in their place."""
    if words == master_words:
        return True
    return re.search(r"uWSGI worker [0-9]", " ".join(words)) is not None
