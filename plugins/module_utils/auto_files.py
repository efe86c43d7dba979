# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The files by which an application says what it needs, as ``requirements: auto`` looks for them in its code.

They are only read here, on whichever machine the code lies; the controller makes sense of them.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import errno
import fnmatch
import os

from ansible_collections.graceful.wsgi.plugins.module_utils.safe_path import (
    NOBODY,
    UnsafePath,
    as_account,
    open_regular,
    untrusted,
)

PROJECT = "pyproject.toml"
# The first that is there counts. A lock comes before what it was made from, and what knows more of its packages first.
ORDER = ("uv.lock", "poetry.lock", "pylock.toml", "pdm.lock", "Pipfile.lock", "requirements.txt", PROJECT)
# What is asked for by its name only: a file with requirements is read where it lies, with all that it includes.
UNREAD = ("requirements.txt",)
# Whoever owns the code may have mounted what never answers.
SECONDS = 60
# No lock of a real application comes near that.
LARGEST = 16 << 20


class AutoFileError(Exception):
    """A file cannot be read for what it is."""


def excluded(name, patterns):
    """Whether a file of this name at the top of the code does not belong to it."""
    return any(fnmatch.fnmatch(name, pattern) for pattern in patterns)


def _keep_in(root, path, real):
    """Refuse what a link of the code leads to outside of it: who reads here may read what is another application's."""
    if not (real + "/").startswith(os.path.realpath(root).rstrip("/") + "/"):
        raise AutoFileError(
            "%s is a link that leads out of the code, to %s; copy what it leads to into the code, or say with "
            "requirements what is to be installed" % (path, real)
        )


def _content(root, name):
    """The text of a regular file of the code; whoever wrote that may have put anything there."""
    path = os.path.join(root, name)
    _keep_in(root, path, os.path.realpath(path))
    try:
        handle = open_regular(path, links=True)
    except UnsafePath:
        raise AutoFileError("%s is no file" % path)
    with os.fdopen(handle, "rb") as source:
        opened = "/proc/self/fd/%d" % source.fileno()
        if os.path.exists(opened):
            # Another link may have come in its place; a controller without /proc reads its own user's code only.
            _keep_in(root, path, os.readlink(opened))
        found = os.fstat(source.fileno())
        if found.st_size > LARGEST:
            raise AutoFileError("%s has %d bytes, and %d are the most" % (path, found.st_size, LARGEST))
        return source.read(LARGEST).decode("utf-8", "replace")


def names(root, exclude=()):
    """Files and folders at the top of the code and in its ``src``, the latter as src/NAME."""
    found = []
    for folder, prefix in ((root, ""), (os.path.join(root, "src"), "src/")):
        try:
            found += [prefix + name for name in sorted(os.listdir(folder)) if not excluded(name, exclude)]
        except OSError as error:
            if prefix and error.errno in (errno.ENOENT, errno.ENOTDIR, errno.EACCES):
                continue
            raise
    return found


def read(root, exclude=()):
    """{names, texts} of the code in a folder: the first of ORDER that is there, and pyproject.toml beside it."""
    listed = names(root, exclude)
    chosen = [name for name in ORDER if name in listed][:1]
    wanted = [name for name in listed if name in chosen + [PROJECT] and name not in UNREAD]
    return {"names": listed, "texts": dict((name, _content(root, name)) for name in wanted)}


def _as_account(who, root, exclude):
    """read() with the rights of an account, which may not keep root waiting."""
    try:
        return as_account(who, lambda: read(root, exclude), (AutoFileError,), SECONDS)
    except RuntimeError as error:
        raise AutoFileError("%s cannot be read: %s" % (root, error))


def of_clone(clone, commit, exclude=()):
    """The same of a commit of a repository (git_checkout.Clone), read as git's account; None where it is not there."""
    with clone.git.alone():
        if not commit or not clone.holds(commit):
            return None
        clone.check_out(commit)
        return _as_account(clone.git.account.who, clone.path, exclude)


def of_home(home):
    """The same of code that is on the host already (releases.Home), with its account's rights; None without it."""
    try:
        if home.who is None:
            owner = os.stat(home.code)
            who = {"uid": owner.st_uid, "gid": owner.st_gid, "groups": []}
            if owner.st_uid == 0 and untrusted(home.code):
                # Another account puts files there, which are not to be looked at with root's rights.
                who = NOBODY
        else:
            who = home.who
        return _as_account(who, home.code, home.wanted["exclude"])
    except (IOError, OSError) as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            return None
        raise
