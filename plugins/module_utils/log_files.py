# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Logs, which mostly lie in a folder of the account that writes them: whether one can stand there, and what it says."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import errno
import os
import stat

from ansible_collections.graceful.wsgi.plugins.module_utils import safe_path
from ansible_collections.graceful.wsgi.plugins.module_utils.disk import native


def _account(user, group):
    """The account, or None where there is none yet: then nothing on the host is its own."""
    try:
        return safe_path.account(user, group)
    except KeyError:
        return None


def _may_write(who, path, found, folder):
    if who is not None:
        return safe_path.may_write(who, path, folder)
    wanted = 3 if folder else 2
    return found.st_mode & wanted == wanted


def _cure(user, folder):
    text = "make it %s's (chown %s %s), or name a folder that is %s's or not there yet, or write log: system"
    return text % (user, user, folder, user)


def problem(path, user, group, by_root=False):
    """Why this account's uWSGI cannot write a log at this path: (what is wrong, how to mend it), or None.

    ``by_root``: the folder is shared or one of this collection's, so that root makes that one file in it.
    """
    path = os.path.normpath(path)
    folder, name = os.path.dirname(path), os.path.basename(path)
    who = _account(user, group)
    elsewhere = "name a path without such links, or write log: system"
    try:
        with safe_path.nearest(folder) as near:
            found, is_there = near.stat(), near.path == folder
            if not is_there:
                # Root makes what is missing where only root can put anything, and else the account itself does.
                own = who is not None and found.st_uid == who["uid"] and _may_write(who, near.path, found, True)
                if near.trusted or own:
                    return None
                message = "%s is to be made in %s, which is neither root's alone nor writable for %s as its owner (%s)"
                return message % (folder, near.path, user, near.why), "make it yourself and " + _cure(user, folder)
            if by_root:
                if found.st_uid != 0 or found.st_mode & stat.S_IWOTH:
                    cure = "give it back to root (chown root:root %s), or write log: system" % folder
                    return "%s is not root's (%s)" % (folder, near.why), cure
            elif not _may_write(who, folder, found, True):
                message = "the folder %s is not writable for %s, which is to write there" % (folder, user)
                return message, _cure(user, folder)
            found = near.lstat(name)
    except safe_path.UnsafePath as error:
        return str(error), elsewhere
    except OSError as error:
        if error.errno not in (errno.ENOTDIR, errno.ELOOP):
            raise
        return "%s is no folder" % folder, "name another one"
    if found is None:
        return None
    if stat.S_ISLNK(found.st_mode):
        return "%s is a link" % path, "name the file itself, or remove the link"
    if not stat.S_ISREG(found.st_mode):
        return "%s is no regular file" % path, "move it away, or name another file"
    if not _may_write(who, path, found, False):
        return "the file %s is not writable for %s" % (path, user), "chown it to %s, or name another file" % user
    return None


def site_problem(path):
    """Why nginx, which opens its logs as root and follows links, cannot have a log at this path, or None."""
    why = safe_path.untrusted(os.path.dirname(os.path.normpath(path)))
    if why is None:
        return None
    return (
        "nginx opens its logs as root and follows links there, and another account can put one in the way (%s)" % why,
        "write system, or name a folder that only root can change, such as one below /var/log",
    )


def _open(path):
    """A log, open for reading; raises UnsafePath where it is not for root to read."""
    folder, name = safe_path.split(path)
    with folder:
        handle = folder.open_file(name)
        # A second name for somebody else's file would show what that says.
        if os.fstat(handle).st_nlink > 1 and not folder.trusted:
            os.close(handle)
            raise safe_path.UnsafePath("%s: has a second name" % path)
    return os.fdopen(handle, "rb")


def _read(path, call):
    if not path:
        return b""
    try:
        with _open(path) as source:
            return call(source, os.fstat(source.fileno()).st_size)
    except safe_path.UnsafePath as error:
        return ("(not read: %s)" % error).encode("utf-8")
    except (IOError, OSError) as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.EISDIR):
            return b""
        raise


def tail(path, lines=20):
    """The last lines of a log, which may be large."""

    def call(source, length):
        source.seek(max(0, length - (1 << 16)))
        return b"\n".join(source.read(1 << 16).splitlines()[-lines:])

    return native(_read(path, call))


def holds(path, text):
    """Whether a log has this text, bytes, in its last 64 MB."""

    def call(source, length):
        source.seek(max(0, length - (1 << 26)))
        before = b""
        while True:
            read = source.read(1 << 20)
            if text in before + read:
                return b"x"
            if not read:
                return b""
            before = read[-len(text):]

    return _read(path, call) == b"x"


def size(path):
    """How long a log is, 0 where there is none."""
    return safe_path.size(path) if path else 0


def said_after(path, offset):
    """What a log says from this byte on; all of it where it was rotated meanwhile."""

    def call(source, length):
        source.seek(offset if offset <= length else 0)
        return source.read(1 << 20)

    return native(_read(path, call))


def said_since(path, offset, lines=20):
    """What a log says from this byte on: its first traceback, and its last lines.

    What dies at its start is started again and again, which pushes the cause far up.
    """

    found = said_after(path, offset).splitlines()
    first = next((number for number, line in enumerate(found) if line.startswith("Traceback ")), len(found))
    if first + lines < len(found) - lines:
        return "\n".join(found[first:first + lines] + ["[...]"] + found[-lines:])
    return "\n".join(found[min(first, max(0, len(found) - lines)):])
