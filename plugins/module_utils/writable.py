# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Folders of a release that an application's account may write for a while, and that are root's again after it."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import errno
import os
import stat

from ansible_collections.graceful.wsgi.plugins.module_utils import safe_path, tree
from ansible_collections.graceful.wsgi.plugins.module_utils.safe_path import Folder, UnsafePath

# What stands beside such a folder while it is taken back; a run that was killed may leave it.
_NEW, _OLD = ".new-", ".old-"


def _parent(release, name, gid, create=False):
    """The folder that a folder of a release lies in, held open; never through a link."""
    folder = Folder(release)
    try:
        if not folder.trusted:
            raise UnsafePath("%s: %s" % (release, folder.why))
        for part in name.split("/")[:-1]:
            if create and folder.lstat(part) is None:
                _make(folder, part, 0, gid)
            inner = folder.open_folder(part)
            folder.close()
            folder = inner
            if not folder.trusted:
                raise UnsafePath("%s: %s" % (folder.path, folder.why))
    except BaseException:
        folder.close()
        raise
    return folder


def _make(folder, name, uid, gid):
    os.mkdir(folder.at(name), 0o755)
    with folder.open_folder(name) as inner:
        os.fchown(inner.handle, uid, gid)
        os.fchmod(inner.handle, 0o755)


def give(release, name, who, gid):
    """Let an account write a folder of a release, which is made where it is missing. ``who``: its uid, gid, groups.

    What is in it goes first and the folder last: while root looks into a folder, nobody else can change it.
    """
    if who["uid"] == 0:
        return
    last = name.split("/")[-1]
    with _parent(release, name, gid, create=True) as parent:
        for prefix in (_NEW, _OLD):
            parent.remove(prefix + last)
        if parent.lstat(last) is None:
            _make(parent, last, who["uid"], who["gid"])
            return
        with parent.open_folder(last) as folder:
            _give(folder, who, 0)


def _give(folder, who, depth):
    # A run that was killed has given it already, and the account may be at work in it.
    if folder.stat().st_uid == who["uid"]:
        return
    if depth > tree.DEEPEST:
        raise tree.TreeError("%s: is nested too deeply" % folder.path)
    for name in folder.names():
        found = folder.lstat(name)
        if stat.S_ISDIR(found.st_mode):
            with folder.open_folder(name) as inner:
                _give(inner, who, depth + 1)
        else:
            os.lchown(folder.at(name), who["uid"], who["gid"])
    os.fchmod(folder.handle, stat.S_IMODE(folder.stat().st_mode) | 0o700)
    os.fchown(folder.handle, who["uid"], who["gid"])


def take_back(release, name, who, gid):
    """Have root own it again: a copy takes its place, so that nothing which the account has open leads there.

    Raises TreeError or UnsafePath for what no release may hold; the folder is then as it was.
    """
    if who["uid"] == 0:
        return
    last = name.split("/")[-1]
    with _parent(release, name, gid) as parent:
        if parent.lstat(last) is None:
            return
        with parent.open_folder(last) as folder:
            if folder.stat().st_uid != who["uid"]:
                return
        for prefix in (_NEW, _OLD):
            parent.remove(prefix + last)
        path, new = [os.path.join(parent.path, prefix + last) for prefix in ("", _NEW)]
        try:
            links = tree.take_over(path, new, who["uid"], gid)
            # Like a release's own folder.
            os.chmod(new, 0o755)
            tree.check_links(new, links)
        except (tree.TreeError, UnsafePath, EnvironmentError):
            parent.remove(_NEW + last)
            raise
        os.rename(parent.at(last), parent.at(_OLD + last))
        os.rename(parent.at(_NEW + last), parent.at(last))
        _remove(parent, _OLD + last)


def _remove(parent, name):
    """Remove what is the account's yet; what it makes meanwhile goes with the next look."""
    for _again in range(3):
        try:
            parent.remove(name)
            return
        except (OSError, safe_path.UnsafePath) as error:
            if getattr(error, "errno", None) not in (None, errno.ENOTEMPTY):
                raise
    parent.remove(name)
