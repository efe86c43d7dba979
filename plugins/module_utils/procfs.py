# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What /proc tells of processes. A process that is gone gives None or nothing, never an error."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import contextlib
import errno
import os
import time

from ansible_collections.graceful.wsgi.plugins.module_utils.disk import native

GONE = (errno.ENOENT, errno.ENOTDIR, errno.ESRCH)
# Linux's number; Python 2.7 has no clock_gettime.
CLOCK_BOOTTIME = 7


def read(path):
    """The bytes of a file, empty where there is none."""
    try:
        with open(path, "rb") as source:
            return source.read()
    except (IOError, OSError) as error:
        if error.errno in GONE:
            return b""
        raise


def _stat(pid):
    """The fields of /proc/PID/stat behind the name, which may hold anything, parentheses too."""
    text = read("/proc/%d/stat" % pid).decode("ascii", "replace")
    return text.rpartition(")")[2].split() if text else None


def parent(pid):
    """The parent of a process."""
    fields = _stat(pid)
    return int(fields[1]) if fields else None


def alive(pid):
    """Whether there is such a process; a zombie is none."""
    fields = _stat(pid)
    return bool(fields) and fields[0] not in ("Z", "X")


def state(pid):
    """The letter of a process's state (R, S, D, T, Z), or None."""
    fields = _stat(pid)
    return fields[0] if fields else None


def _signals(pid, *fields):
    """The signals that these fields of a process's status hold, as one mask."""
    found = 0
    for line in read("/proc/%d/status" % pid).splitlines():
        if line.startswith(fields):
            found |= int(line.split()[1], 16)
    return found


def pends(pid, number):
    """Whether a signal has been sent to a process that it has not yet received."""
    return bool(_signals(pid, b"SigPnd:", b"ShdPnd:") >> (number - 1) & 1)


def catches(pid, number):
    """Whether a process has a handler of its own for a signal."""
    return bool(_signals(pid, b"SigCgt:") >> (number - 1) & 1)


def process_start(pid):
    """Start of a process in clock ticks since boot; with the pid it names a process for ever."""
    fields = _stat(pid)
    return int(fields[19]) if fields else None


def is_at_work(pid):
    """Whether a process runs, would like to, or waits for a disk."""
    fields = _stat(pid)
    return bool(fields) and fields[0] in ("R", "D")


def booted_at():
    """Start of the host in seconds since the epoch, never later than it was."""
    if hasattr(time, "clock_gettime"):
        # btime has lost its fraction, so that a file written right before a start would seem newer than it.
        return time.time() - time.clock_gettime(CLOCK_BOOTTIME)
    # It counts hundredths and drops the rest.
    uptime = read("/proc/uptime").split()
    return time.time() - float(uptime[0]) - 0.01 if uptime else 0.0


def started_at(pid):
    """Start of a process in seconds since the epoch; 0 where it is gone."""
    start = process_start(pid)
    return booted_at() + start / float(os.sysconf("SC_CLK_TCK")) if start is not None else 0.0


def memory(pid):
    """Bytes that a process holds in memory and of address space, (rss, vsz), or None."""
    fields = _stat(pid)
    return (int(fields[21]) * os.sysconf("SC_PAGE_SIZE"), int(fields[20])) if fields else None


def waits_in(pid):
    """The kernel's name of what a process waits in; empty where it may not be seen, as from another account."""
    try:
        found = native(read("/proc/%d/wchan" % pid))
    except (IOError, OSError):
        return ""
    return "" if found == "0" else found


def processor(pid):
    """The clock ticks of processor time that a process has used, or None."""
    fields = _stat(pid)
    return int(fields[11]) + int(fields[12]) if fields else None


def children(pid):
    """The pids of a process's children that are alive."""
    found = set()
    for name in os.listdir("/proc"):
        if name.isdigit():
            fields = _stat(int(name))
            if fields and int(fields[1]) == pid and fields[0] not in ("Z", "X"):
                found.add(int(name))
    return found


def ids(pid):
    """Effective uid, gid and the supplementary groups of a process, or None."""
    found = {}
    for line in read("/proc/%d/status" % pid).decode("utf-8", "replace").splitlines():
        name, _colon, rest = line.partition(":")
        if name in ("Uid", "Gid", "Groups"):
            found[name] = [int(word) for word in rest.split()]
    if "Uid" not in found or "Gid" not in found:
        return None
    return {"uid": found["Uid"][1], "gid": found["Gid"][1], "groups": found.get("Groups", [])}


@contextlib.contextmanager
def seen_as(pid):
    """Look with the eyes of a process's own user: root in a container may not look into another's process."""
    who = ids(pid)
    if who is None or os.geteuid() != 0 or who["uid"] == 0:
        yield
        return
    groups = os.getgroups()
    os.setgroups([])
    os.setegid(who["gid"])
    os.seteuid(who["uid"])
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(groups)


def _link(pid, name):
    try:
        with seen_as(pid):
            return os.readlink("/proc/%d/%s" % (pid, name))
    except OSError as error:
        if error.errno in GONE + (errno.EACCES, errno.EPERM):
            return None
        raise


def executable(pid):
    """Path of the program that a process runs, as it was when it started; None where it cannot be told."""
    path = _link(pid, "exe")
    return path[: -len(" (deleted)")] if path and path.endswith(" (deleted)") else path


def folder(pid):
    """Working folder of a process."""
    return _link(pid, "cwd")


def folders():
    """Working folders of all processes, as far as they may be seen."""
    found = set(folder(int(name)) for name in os.listdir("/proc") if name.isdigit())
    return found - set([None])


def sockets(pid):
    """The inodes of a process's sockets, as text; None where it may not be seen, or is gone."""
    where, found = "/proc/%d/fd" % pid, set()
    try:
        names = os.listdir(where)
    except OSError:
        return None
    for name in names:
        try:
            leads = os.readlink(os.path.join(where, name))
        except OSError as error:
            if error.errno == errno.ENOENT:
                # It was closed since the list was made.
                continue
            return None
        if leads.startswith("socket:["):
            found.add(leads[len("socket:["):-1])
    return found


def words(pid):
    """The command line of a process, or what it has put in its place."""
    return [native(word) for word in read("/proc/%d/cmdline" % pid).split(b"\0") if word]


def environment(pid):
    """The environment that a process was started with."""
    try:
        with seen_as(pid):
            text = read("/proc/%d/environ" % pid)
    except (IOError, OSError) as error:
        if error.errno in (errno.EACCES, errno.EPERM):
            return {}
        raise
    return dict(native(item).partition("=")[::2] for item in text.split(b"\0") if b"=" in item)
