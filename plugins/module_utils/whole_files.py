# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Files of root's that are read, written and replaced as a whole."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import errno
import hashlib
import os
import stat

from ansible_collections.graceful.wsgi.plugins.module_utils import safe_path


def lstat(path):
    """os.lstat, or None where nothing is there."""
    try:
        return os.lstat(path)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            return None
        raise


def read_bytes(path):
    """The content of a regular file; a symlink put there meanwhile is not followed."""
    with os.fdopen(safe_path.open_regular(path), "rb") as source:
        return source.read()


def content_of(path):
    """The content of a regular file, or None where there is none."""
    found = lstat(path)
    return read_bytes(path) if found is not None and stat.S_ISREG(found.st_mode) else None


def write_bytes(path, content, mode=0o600, settle=None):
    """Write a new file and bring it to the disk; fails where the name is taken. ``settle(descriptor)`` comes last."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    try:
        with os.fdopen(handle, "wb") as target:
            target.write(content)
            target.flush()
            os.fsync(target.fileno())
            if settle is not None:
                settle(target.fileno())
    except (IOError, OSError) as error:
        # A full disk is short enough without what was begun, and the error itself does not say whose.
        os.unlink(path)
        raise IOError(error.errno, error.strerror, path)


def replace_bytes(path, content, mode=0o600, owner=None):
    """Put a file of our own in place in one step; ``owner``: (uid, gid) of somebody else."""
    temporary = path + ".new"
    unlink(temporary)
    write_bytes(temporary, content)
    if owner is not None:
        os.lchown(temporary, *owner)
    os.chmod(temporary, mode)
    os.rename(temporary, path)


def untrusted_folder(path):
    """Why another account can change what is at a path, or None."""
    return safe_path.untrusted(os.path.dirname(path))


def unlink(path):
    """Remove a file if it is there."""
    if lstat(path) is not None:
        os.unlink(path)


def digest_of(path, links=False):
    """The sha256 of a regular file; None where there is none, and a symlink is none unless ``links`` lead to one."""
    try:
        handle = safe_path.open_regular(path, links=links)
    except safe_path.UnsafePath:
        return None
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            return None
        raise
    with os.fdopen(handle, "rb") as source:
        digest = hashlib.sha256()
        for block in iter(lambda: source.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def digest_through_links(path):
    """The sha256 of the regular file that a path leads to; None where it cannot be read."""
    try:
        return digest_of(path, links=True)
    except (IOError, OSError):
        return None


def sha256(content):
    return hashlib.sha256(content).hexdigest()
