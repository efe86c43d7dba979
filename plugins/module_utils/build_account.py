# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Commands that run other people's code (pip's build backends, git) run as accounts that own nothing else.

An account builds for one application at a time: before and after, every process of it is killed and its home is wiped,
so that nothing which a build left meets the next one.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import contextlib
import ctypes
import errno
import fcntl
import glob
import grp
import io
import os
import pwd
import re
import signal
import subprocess
import tempfile
import time

from ansible_collections.graceful.wsgi.plugins.module_utils.disk import STATE_DIR, encoded, make_folders, native
from ansible_collections.graceful.wsgi.plugins.module_utils.safe_path import (
    O_CLOEXEC,
    Folder,
    UnsafePath,
    account_name,
    as_account,
    drop_to,
    open_regular,
    remove_tree,
    split,
    untrusted_target,
)

# Homes of the accounts that build, one folder each.
HOMES = "/var/lib/graceful-wsgi/build"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# What a build may know of the surroundings in which Ansible runs: how to reach an index, and how to compile.
_KEPT = re.compile(
    r"(?:(?:https?|ftp|all|no)_proxy|PIP_\w+|SSL_CERT_(?:FILE|DIR)|(?:REQUESTS|CURL)_CA_BUNDLE|GIT_SSL_CAINFO"
    r"|LANG|LC_\w+|TZ|SOURCE_DATE_EPOCH|CC|CXX|(?:C|CXX|CPP|LD)FLAGS|PKG_CONFIG_PATH)\Z",
    re.I,
)
# Of what a command says, as much as its end tells.
_SAID = 1 << 16
# Nobody waits longer for a build that never ends; the same as uwsgi_build_timeout.
TIMEOUT = 3600
# How long processes may take to die once they are killed; one in the kernel (a dead network mount) may never.
_DYING = 30

_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38
_CLONE_NEWNS = 0x00020000
_MS_RDONLY, _MS_NOSUID, _MS_NODEV, _MS_NOEXEC, _MS_REMOUNT, _MS_NOATIME, _MS_NODIRATIME = 1, 2, 4, 8, 32, 1024, 2048
_MS_BIND, _MS_REC, _MS_PRIVATE, _MS_RELATIME = 4096, 16384, 1 << 18, 1 << 21
_MOUNT_FLAGS = {
    "nosuid": _MS_NOSUID,
    "nodev": _MS_NODEV,
    "noexec": _MS_NOEXEC,
    "noatime": _MS_NOATIME,
    "nodiratime": _MS_NODIRATIME,
    "relatime": _MS_RELATIME,
}
# Folders that every account can write: a build gets empty ones of its own.
_SHARED = ("/tmp", "/var/tmp", "/dev/shm")
_LIBC = ctypes.CDLL(None, use_errno=True)


# Python 2.7 raises what the child met as it was.
_NOT_STARTED = (OSError, getattr(subprocess, "SubprocessError", OSError))


class BuildError(Exception):
    """A command could not be run as its account."""


# -- processes ------------------------------------------------------------------------------------------------------


def processes(uid):
    """Pids of all processes that run as this account, by any of their four uids; the dead that wait are none."""
    found = []
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open("/proc/%s/status" % name) as source:
                text = source.read()
        except (IOError, OSError):
            continue
        uids = re.search(r"^Uid:\s+(.*)$", text, re.M)
        if uids and str(uid) in uids.group(1).split() and not re.search(r"^State:\s+[ZX]", text, re.M):
            found.append(int(name))
    return found


def kill_all(uid, timeout=_DYING):
    """Kill every process of an account and wait until none is left.

    A child with that account's rights does it: the kernel then signals all that the account may signal at once, however
    fast they fork, and nothing else.
    """
    if uid == 0 or os.geteuid() != 0:
        return
    end = time.time() + timeout
    while True:
        left = processes(uid)
        if not left:
            return
        child = os.fork()
        if child == 0:
            try:
                # The group does not matter to a signal.
                os.setgroups([])
                os.setgid(65534)
                os.setuid(uid)
                os.kill(-1, signal.SIGKILL)
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        if not processes(uid):
            return
        if time.time() > end:
            raise BuildError(
                "processes of the account %s do not end though they were killed: %s; end them, then run again"
                % (account_name(uid), ", ".join(str(pid) for pid in left))
            )
        time.sleep(0.05)


# -- what a command sees --------------------------------------------------------------------------------------------


def _mounts():
    """(path, flags) of all mounts of this host on which a build has nothing to write."""
    found = []
    with open("/proc/self/mountinfo") as source:
        for line in source:
            words = line.split()
            kind = words[words.index("-") + 1]
            # Whoever looks at these may wait for another machine.
            if kind.startswith(("autofs", "nfs", "cifs", "fuse.sshfs")):
                continue
            path = re.sub(r"\\(\d{3})", lambda match: chr(int(match.group(1), 8)), words[4])
            found.append((path, sum(_MOUNT_FLAGS.get(option, 0) for option in words[5].split(","))))
    return found


def _prctl(option, value):
    _LIBC.prctl(option, *[ctypes.c_ulong(number) for number in (value, 0, 0, 0)])


def _mount(source, target, kind, flags, data=None):
    words = [None if word is None else encoded(word) for word in (source, target, kind, data)]
    return _LIBC.mount(words[0], words[1], words[2], ctypes.c_ulong(flags), words[3]) == 0


def _own_view(mounts, writable, visible):
    """In a child, as root: all but these folders becomes read-only for it, and /tmp and the like its own.

    A file with a setuid bit that a build could leave anywhere would let another account act as the build's. Best
    effort: a container may not let its root do it, and the rights of the account hold in any case.
    """
    if _LIBC.unshare(_CLONE_NEWNS) != 0 or not _mount(None, "/", None, _MS_REC | _MS_PRIVATE):
        return
    for path in writable:
        _mount(path, path, None, _MS_BIND)
    for path, flags in mounts:
        _mount(None, path, None, _MS_REMOUNT | _MS_BIND | _MS_RDONLY | flags)
    for path in writable:
        _mount(None, path, None, _MS_REMOUNT | _MS_BIND | _MS_NOSUID | _MS_NODEV)
    for path in _SHARED:
        if not any((one + "/").startswith(path + "/") for one in list(writable) + list(visible)):
            _mount("tmpfs", path, "tmpfs", _MS_NOSUID | _MS_NODEV, "mode=1777")


def _utf8_locale():
    """A locale of this host in which files may hold more than ASCII: an old pip reads requirements by it; else None."""
    _LIBC.newlocale.restype = ctypes.c_void_p
    for name in ("C.UTF-8", "en_US.UTF-8"):
        # Of LC_CTYPE only, and of no thread's own.
        if _LIBC.newlocale(1, encoded(name), None):
            return name
    return None


def surroundings(home, more=None):
    """The environment of a command: where things are, how to reach the network, and nothing else of root's."""
    found = dict((name, value) for name, value in os.environ.items() if _KEPT.match(name))
    found.update({"PATH": PATH if os.geteuid() == 0 else os.environ.get("PATH", PATH), "HOME": home})
    found.update({"TMPDIR": os.path.join(home, "tmp"), "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1"})
    if not any("utf" in found.get(name, "").lower() for name in ("LC_ALL", "LC_CTYPE", "LANG")):
        found.update((name, value) for name, value in (("LC_ALL", _utf8_locale()),) if value)
    found.update(("yes" if value is True else native(value) for value in pair) for pair in (more or {}).items())
    return found


# -- accounts -------------------------------------------------------------------------------------------------------


def make_account(name, home, run_command):
    """A system account that nobody logs in to. ``run_command``: AnsibleModule's.

    One that is there must be for this: all of its processes are going to be killed, and its home emptied.
    """
    try:
        found = pwd.getpwnam(name)
    except KeyError:
        try:
            grp.getgrnam(name)
            group = ["--gid", name]
        except KeyError:
            group = ["--user-group"]
        words = ["useradd", "--system", "--no-create-home", "--home-dir", home, "--shell", "/usr/sbin/nologin"]
        status, out, err = run_command(words + group + [name])
        try:
            found = pwd.getpwnam(name)
        except KeyError:
            said = (out + err).strip()
            raise BuildError("the account %s cannot be created (useradd: status %d: %s)" % (name, status, said))
    if found.pw_uid == 0 or os.path.normpath(found.pw_dir) != home:
        raise BuildError(
            "the account %s is somebody's already (its home is %s, not %s); name one that nobody else uses "
            "(publish_build_user, publish_git_user, uwsgi_build_user)" % (name, found.pw_dir, home)
        )
    return found


class Account:
    """An account that runs commands; ``home`` is the one folder that is its own."""

    def __init__(self, name, uid, gid, home):
        self.name, self.uid, self.gid, self.home = name, uid, gid, home

    @classmethod
    def made(cls, name, home, run_command):
        """The account of this name with its home, made where missing; whoever is not root stays who he is."""
        if os.geteuid() != 0:
            return cls(name, os.getuid(), os.getgid(), home)
        found = make_account(name, home, run_command)
        account = cls(name, found.pw_uid, found.pw_gid, home)
        account.own(home)
        return account

    @property
    def who(self):
        """As safe_path.as_account takes it: without any further group."""
        return {"uid": self.uid, "gid": self.gid, "groups": []}

    def own(self, path):
        """Make a folder where it is missing, which only this account can enter; its parents are root's."""
        if os.geteuid() != 0:
            make_folders(os.path.dirname(path))
            if not os.path.isdir(path):
                os.mkdir(path, 0o700)
            return
        with Folder(os.path.dirname(path), create=not path.startswith(self.home + "/")) as parent:
            if not parent.trusted and not path.startswith(self.home + "/"):
                raise UnsafePath("%s: is to belong to %s, and %s" % (path, self.name, parent.why))
            name = os.path.basename(path)
            if parent.lstat(name) is None:
                os.mkdir(parent.at(name), 0o700)
            with parent.open_folder(name) as folder:
                os.fchown(folder.handle, self.uid, self.gid)
                os.fchmod(folder.handle, 0o700)

    def kill(self):
        """End whatever of it still runs."""
        kill_all(self.uid)

    def clear(self, path):
        """Empty a folder of this account's, with its own rights, so that no depth and no link in it concerns root."""
        with Folder(path) as folder:
            if not folder.names():
                return
        self.run(["find", path, "-mindepth", "1", "-delete"], path, writable=[path])
        with Folder(path) as folder:
            for name in folder.names():
                folder.remove(name)

    def run(self, words, cwd, environment=None, writable=(), visible=(), timeout=TIMEOUT, log=None):
        """(status, what it said) of a command; after it no process of the account is left.

        ``writable``: folders of the account's besides its home; ``visible``: what it reads below /tmp; ``log``: a path
        of root's own that takes all that it says. The status is 124 where it took too long.
        """
        words = [native(word) for word in words]
        environment = surroundings(self.home) if environment is None else environment
        root = os.geteuid() == 0 and self.uid != 0
        mounts, writable = (_mounts() if root else []), [self.home] + list(writable)

        def enter():
            os.setsid()
            os.umask(0o022)
            if root:
                _own_view(mounts, writable, visible)
            # No setuid or setgid program (crontab, at, sudo) has any effect from here on.
            _prctl(_PR_SET_NO_NEW_PRIVS, 1)
            if root:
                drop_to(self.who)
            # What began it may be killed, and nobody would be there to end this.
            _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            os.chdir(cwd)

        # Not a pipe: a daemon that the command leaves would hold it open for ever.
        out = open(log, "ab+") if log else tempfile.TemporaryFile()
        nothing = open(os.devnull, "rb")
        try:
            try:
                process = subprocess.Popen(
                    words,
                    cwd="/",
                    env=environment,
                    stdin=nothing,
                    stdout=out,
                    stderr=subprocess.STDOUT,
                    close_fds=True,
                    preexec_fn=enter,
                )
            except _NOT_STARTED as error:
                return 127, "%s cannot be run as %s: %s" % (words[0], self.name, error)
            status = _wait(process, timeout)
            self.kill()
            out.seek(0, os.SEEK_END)
            out.seek(max(0, out.tell() - _SAID))
            said = native(out.read())
        finally:
            nothing.close()
            out.close()
        return status, said + ("\nIt was ended after %d s." % timeout if status == 124 else "")


def _wait(process, timeout):
    """The status of a process, which is killed once the time is up; Python 2.7 has no wait with a limit."""
    end, pause = time.time() + timeout, 0.005
    while process.poll() is None:
        if time.time() > end:
            process.kill()
            process.wait()
            return 124
        time.sleep(pause)
        pause = min(pause * 2, 0.1)
    return process.returncode


class Pool:
    """Accounts BASE-1, BASE-2, ... of which each build leases one; other runs on this host lease out of the same.

    Without a ``size`` it is BASE alone; without a name whoever runs this, as a builder in the place of a host does.
    """

    def __init__(self, base, size, run_command):
        self.names = ["%s-%d" % (base, number + 1) for number in range(size)] or [base]
        self.run_command = run_command

    @contextlib.contextmanager
    def lease(self):
        """An account whose home is empty and of which nothing runs, for as long as the block lasts."""
        if os.geteuid() != 0 or self.names == [""]:
            home = tempfile.mkdtemp(prefix="graceful-wsgi-build-")
            os.mkdir(os.path.join(home, "tmp"))
            try:
                yield Account(account_name(os.getuid()), os.getuid(), os.getgid(), home)
            finally:
                remove_tree(home)
            return
        name, lock = self._free()
        try:
            account = Account.made(name, os.path.join(HOMES, name), self.run_command)
            account.kill()
            account.clear(account.home)
            account.own(os.path.join(account.home, "tmp"))
            try:
                yield account
            finally:
                account.kill()
                account.clear(account.home)
        finally:
            os.close(lock)

    def _free(self):
        """The name of an account that nobody builds with, and the descriptor of its lock."""
        while True:
            for name in self.names:
                lock = _lock(name)
                if lock is not None:
                    return name, lock
            time.sleep(0.1)


def _lock(name):
    """The descriptor of the lock of an account, or None where another run builds with it."""
    make_folders(STATE_DIR)
    lock = os.open(os.path.join(STATE_DIR, name + ".lock"), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (IOError, OSError) as error:
        os.close(lock)
        if error.errno not in (errno.EAGAIN, errno.EACCES, errno.EWOULDBLOCK):
            raise
        return None
    return lock


def readable(account, path):
    """A file of the administrator's, such as a CA bundle, where the account reads it: a copy in its home.

    To be called before anything ran in that home. None stays None.
    """
    if not path:
        return None
    if untrusted_target(path):
        # Somebody else could have put a link there.
        folder, name = split(path)
        with folder:
            handle = folder.open_file(name)
    else:
        handle = os.open(path, os.O_RDONLY)
    with os.fdopen(handle, "rb") as source:
        content = source.read()
    target = os.path.join(account.home, "ca.pem")
    with os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644), "wb") as out:
        out.write(content)
        os.fchmod(out.fileno(), 0o644)
    return target


def forget_origins(account, venv):
    """Take out of a virtualenv, still the account's own, what names the copy of the code that it was built from.

    What is installed out of a folder has its path beside it (direct_url.json, PEP 610), and that one goes.
    """

    place = encoded("file://%s/" % account.home)

    def opened(path, flags, mode):
        # lib64 is a link to lib: what is gone from the one is gone from the other.
        if not os.path.lexists(path):
            return io.BytesIO()
        # Whoever wrote the code may have put anything there, also what never ends.
        try:
            return os.fdopen(open_regular(path, flags), mode)
        except UnsafePath:
            return io.BytesIO()

    def forget():
        for path in glob.glob(os.path.join(venv, "lib*", "python*", "site-packages", "*.dist-info", "direct_url.json")):
            with opened(path, os.O_RDONLY, "rb") as source:
                if place not in source.read(_SAID):
                    continue
            os.unlink(path)
            folder = os.path.dirname(path)
            record, entry = os.path.join(folder, "RECORD"), encoded(os.path.basename(folder) + "/direct_url.json,")
            if os.path.lexists(record):
                with opened(record, os.O_RDONLY, "rb") as source:
                    lines = [line for line in source if not line.startswith(entry)]
                with opened(record, os.O_WRONLY | os.O_TRUNC, "wb") as target:
                    target.writelines(lines)

    as_account(account.who, forget)


def run_built(words, user, run_command, cwd="/"):
    """(status, stdout, stderr) of a program that a build made, run as the account that built it, as far as it is there.

    For looks at it, which change nothing: nobody's rights are enough. Whoever is not root runs it as he is.
    """
    if os.geteuid() != 0 or not user:
        return run_command(words, environ_update={"LC_ALL": "C"}, cwd=cwd)
    try:
        found = pwd.getpwnam(user)
        account, lock = Account(user, found.pw_uid, found.pw_gid, "/"), _lock(user)
    except KeyError:
        account, lock = Account("nobody", 65534, 65534, "/"), None

    def enter():
        os.setsid()
        _prctl(_PR_SET_NO_NEW_PRIVS, 1)
        drop_to(account.who)
        os.chdir(cwd)

    streams = [tempfile.TemporaryFile(), tempfile.TemporaryFile()]
    nothing = open(os.devnull, "rb")
    try:
        environment = {"PATH": PATH, "HOME": "/", "LC_ALL": "C"}
        try:
            process = subprocess.Popen(
                [native(word) for word in words],
                cwd="/",
                env=environment,
                stdin=nothing,
                stdout=streams[0],
                stderr=streams[1],
                close_fds=True,
                preexec_fn=enter,
            )
        except _NOT_STARTED as error:
            return 127, "", str(error)
        status = _wait(process, 60)
        # Where another run builds, what it started must live.
        if lock is not None:
            account.kill()
        said = []
        for stream in streams:
            stream.seek(0)
            said.append(native(stream.read()))
        return status, said[0], said[1]
    finally:
        for stream in streams + [nothing]:
            stream.close()
        if lock is not None:
            os.close(lock)
