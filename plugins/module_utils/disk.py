# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Paths, folders and links, for Python 2.7 and 3 alike."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import errno
import os

from ansible_collections.graceful.wsgi.plugins.module_utils import layout

# What is true only of what runs now; gone after a reboot, as that is.
STATE_DIR = layout.RUN_STATE_DIR


def encoded(text):
    """Text as bytes; bytes stay bytes."""
    return text if isinstance(text, bytes) else text.encode("utf-8")


def native(text):
    """Text as the ``str`` of this Python, in which Ansible hands paths to modules; None stays None."""
    if text is None or isinstance(text, str):
        return text
    return text.encode("utf-8") if str is bytes else text.decode("utf-8", "replace")


def lock_file(path):
    """A file of root's for flock(), which anybody could hold who can open it, be it for reading."""
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | getattr(os, "O_CLOEXEC", 0o2000000)
    handle = os.open(path, flags, 0o600)
    # One that an earlier version has made can be opened by all.
    os.fchmod(handle, 0o600)
    return os.fdopen(handle, "w")


# What a full disk, a used-up quota and a disk that may not be written say, here and in what pip and git print.
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)

# Bytes that no virtualenv, archive or page of code would fit into.
NEXT_TO_NOTHING = 1 << 18


def mount_of(path):
    """The folder at which the file system of a path is mounted."""
    while not os.path.exists(path) and path != "/":
        path = os.path.dirname(path)
    path = os.path.realpath(path)
    while not os.path.ismount(path):
        path = os.path.dirname(path)
    return path


def _is_full(mount):
    """Whether nothing worth mentioning fits into a file system any more."""
    found = os.statvfs(mount)
    return found.f_bavail * found.f_frsize < NEXT_TO_NOTHING or (found.f_files > 0 and found.f_favail == 0)


def no_room(error, path=None, releases=False):
    """What to add to a message where a file system has no room: which one it is, and what to free; else nothing.

    ``error``: an exception, or what a program printed; ``path``: what was written, where the exception has no filename;
    ``releases``: whether older releases of applications lie there too.
    """
    number, text = getattr(error, "errno", None), native(str(error))
    told = [code for code in NO_ROOM if number == code or os.strerror(code).lower() in text.lower()]
    path = path or getattr(error, "filename", None)
    where = mount_of(os.path.abspath(native(path))) if path else None
    # A program that fails at it does not always say so: `python -m venv` keeps it to itself.
    if not told and where and number is None and _is_full(where):
        told = [errno.ENOSPC]
    if not told:
        return ""
    if told[0] == errno.EROFS:
        return "; the file system %s cannot be written: mount it for writing" % (where or "there")
    message = "; there is no room left on the file system %s: free some of it (df -h, df -i)" % (where or "there")
    return message + (", e.g. keep fewer releases (publish_keep_releases)" if releases else "")


def make_folders(path):
    """Make a folder and what is missing above it, 0755 whatever the umask is."""
    if os.path.isdir(path):
        return
    make_folders(os.path.dirname(path))
    try:
        os.mkdir(path, 0o755)
    except OSError as error:
        # Another thread or process was first.
        if error.errno != errno.EEXIST or not os.path.isdir(path):
            raise
        return
    os.chmod(path, 0o755)


def switch_link(link, target):
    """Point a symlink at a target in one step; returns whether it pointed elsewhere."""
    try:
        if os.readlink(link) == target:
            return False
    except OSError:
        if os.path.lexists(link):
            raise IOError("%s: is not a symlink; move it away, one is to stand there" % link)
    # Its name is known, so that one that a killed run left goes.
    temporary = os.path.join(os.path.dirname(link), ".%s.new" % os.path.basename(link))
    if os.path.lexists(temporary):
        os.unlink(temporary)
    os.symlink(target, temporary)
    os.rename(temporary, link)
    return True
