# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Virtualenvs that applications of one host have in common: ROOT/.venvs/NAME, for what does not lie in their own code.

Applications run as accounts that are in no group together, and are to find nothing of each other's. So the folder lets
everybody pass and nobody but root list it, and the name of each virtualenv in it is made from its requirements with a
key of root's: who has the same requirements is told the name by a link in a folder of its own, and nobody guesses it.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import contextlib
import errno
import fcntl
import hashlib
import hmac
import os
import re
import stat
import tempfile
import time

from ansible_collections.graceful.wsgi.plugins.module_utils.disk import encoded, make_folders
from ansible_collections.graceful.wsgi.plugins.module_utils.safe_path import O_CLOEXEC, Folder, remove_tree

FOLDER = ".venvs"
NAME = re.compile(r"[0-9a-f]{32}\Z")
KEY = ".key"
PASSED = 0o711
# Seconds that one stays which no application has a link to: another run may have filled it just now.
KEPT = 24 * 3600
_LOCK = ".lock-"


def folder_of(home):
    """Where those lie that an application with this folder shares."""
    return os.path.join(os.path.dirname(home), FOLDER)


def _key(folder):
    try:
        with open(os.path.join(folder, KEY), "rb") as source:
            return source.read()
    except (IOError, OSError) as error:
        if error.errno != errno.ENOENT:
            raise
        return b""


def name(folder, python, text):
    """Of the virtualenv of these requirements under this Python; None on a host that has had none yet."""
    key = _key(folder)
    if not key:
        return None
    return hmac.new(key, b"\n".join(encoded(part) for part in (python, text)), hashlib.sha256).hexdigest()[:32]


def prepare(folder):
    """Make the folder and its key where they are missing."""
    make_folders(folder)
    with Folder(folder) as opened:
        os.fchmod(opened.handle, PASSED)
    path = os.path.join(folder, KEY)
    if not _key(folder):
        # Whole under its name, whichever of two runs, or of two threads, is first.
        handle, partial = tempfile.mkstemp(prefix=".new-", dir=folder)
        with os.fdopen(handle, "wb") as target:
            target.write(os.urandom(32))
        try:
            os.link(partial, path)
        except OSError as error:
            if error.errno != errno.EEXIST:
                raise
        os.unlink(partial)


@contextlib.contextmanager
def claimed(path):
    """Nobody else fills this virtualenv; whoever waited for it finds it filled."""
    lock = os.path.join(os.path.dirname(path), _LOCK + os.path.basename(path))
    handle = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def let_in(path):
    """Let everybody read a virtualenv of root's who knows its name, as far as its group may.

    Nothing of it stays the group's that had it filled: it may outlive that application, whose account then can go.
    """
    os.lchown(path, 0, 0)
    os.chmod(path, 0o755)
    for base, folders, files in os.walk(path):
        for one in folders + files:
            inner = os.path.join(base, one)
            os.lchown(inner, 0, 0)
            if not os.path.islink(inner):
                mode = stat.S_IMODE(os.lstat(inner).st_mode)
                os.chmod(inner, mode | (mode & 0o050) >> 3)


def used(root, gone=()):
    """Names that links of any application lead to, but for those in folders that are ``gone``, or will be."""
    found = set()
    for app in os.listdir(root) if os.path.isdir(root) else []:
        home = os.path.join(root, app)
        if home in gone:
            continue
        releases = os.path.join(home, "releases")
        links = [os.path.join(home, "venv")]
        if os.path.isdir(releases) and not os.path.islink(home):
            links += [os.path.join(releases, one, ".venv") for one in os.listdir(releases)]
        for link in links:
            if os.path.islink(link):
                target = os.readlink(link)
                if os.path.dirname(target) == os.path.join(root, FOLDER):
                    found.add(os.path.basename(target))
    return found


def prune(root, kept=()):
    """Remove what no application uses any more, but for ``kept``; returns the names."""
    folder, removed = os.path.join(root, FOLDER), []
    there = os.listdir(folder) if os.path.isdir(folder) else []
    needed = used(root) | set(kept) if there else set()
    for name in there:
        path = os.path.join(folder, name)
        left = name.startswith((".new-", ".old-", _LOCK))
        if not (left or NAME.match(name) and name not in needed) or time.time() - os.lstat(path).st_mtime < KEPT:
            continue
        if name.startswith(_LOCK):
            # Whoever waits for it holds it open, and looks for what it has waited for.
            if not os.path.isdir(os.path.join(folder, name[len(_LOCK) :])):
                os.unlink(path)
            continue
        doomed = os.path.join(folder, ".old-" + name)
        if not left:
            os.rename(path, doomed)
            removed.append(name)
        remove_tree(path if left else doomed)
    return removed
