# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Trees that another account made: packed with its rights, or taken over by root without following a link."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import fnmatch
import os
import stat
import tarfile
import tempfile

from ansible_collections.graceful.wsgi.plugins.module_utils.safe_path import (
    O_CLOEXEC,
    Folder,
    UnsafePath,
    as_account,
    remove_tree,
    untrusted_target,
)

# Deeper than any package, and so shallow that neither Python's stack nor its open files end there.
DEEPEST = 100
# So many bytes that are not there may a file have: another account could fill the disk by a copy of it.
SPARSE = 1 << 30


class TreeError(Exception):
    """A tree holds what root does not take; the text names it."""


def settled_mode(mode):
    """The bits of what root took over: nobody but root writes, no setuid, and the group reads what the owner may."""
    mode = stat.S_IMODE(mode) & 0o755
    return mode | (mode & 0o500) >> 3


def left_out(name, relative, exclude):
    """Whether a pattern names this file, by its name or by its path."""
    return any(fnmatch.fnmatch(name, pattern) or fnmatch.fnmatch(relative, pattern) for pattern in exclude)


def pack(root, exclude, handle):
    """Write a tree as a tar archive to a descriptor, but for what is excluded or neither file, folder nor link."""
    with os.fdopen(os.dup(handle), "wb") as target:
        archive = tarfile.open(fileobj=target, mode="w", format=tarfile.GNU_FORMAT)
        with Folder(root) as folder:
            _pack(folder, "", exclude, archive)
        archive.close()


def _pack(folder, prefix, exclude, archive):
    if prefix.count("/") > DEEPEST:
        raise TreeError("%s: is nested too deeply" % folder.path)
    for name in folder.names():
        relative = prefix + name
        found = folder.lstat(name)
        if found is None or left_out(name, relative, exclude):
            continue
        member = tarfile.TarInfo(relative)
        member.mode, member.mtime = stat.S_IMODE(found.st_mode), int(found.st_mtime)
        if stat.S_ISLNK(found.st_mode):
            member.type, member.linkname = tarfile.SYMTYPE, os.readlink(folder.at(name))
            archive.addfile(member)
        elif stat.S_ISDIR(found.st_mode):
            member.type = tarfile.DIRTYPE
            archive.addfile(member)
            with folder.open_folder(name) as inner:
                _pack(inner, relative + "/", exclude, archive)
        elif stat.S_ISREG(found.st_mode):
            with os.fdopen(folder.open_file(name), "rb") as source:
                # One that grows meanwhile gives what it held.
                member.size = os.fstat(source.fileno()).st_size
                archive.addfile(member, source)


def packed(who, root, exclude, place):
    """A temporary file with the tree, read with the rights of an account (None: the own ones) and no others.

    ``place``: a folder of root's for the file, which has no name there.
    """
    target = tempfile.TemporaryFile(dir=place)
    try:
        if who is None:
            pack(root, exclude, target.fileno())
        else:
            as_account(who, lambda: pack(root, exclude, target.fileno()), (TreeError, UnsafePath))
        target.seek(0)
    except BaseException:
        target.close()
        raise
    return target


def take_over(source, target, uid, gid):
    """Copy a tree of the account ``uid`` into a new folder of root's; returns the links in it, as relative paths.

    Everything gets an inode of its own, so that no descriptor, hard link or mapping of the other account leads to it;
    what belongs to somebody else (a hard link to another's file) or is neither file, folder nor link is refused. Times
    stay, by which Python tells whether a .pyc is up to date.
    """
    os.mkdir(target, 0o700)
    links = []
    with Folder(source) as folder:
        _take(folder, target, "", uid, gid, links)
    return links


def _take(folder, target, prefix, uid, gid, links):
    if prefix.count("/") > DEEPEST:
        raise TreeError("%s: is nested too deeply" % prefix)
    about = folder.stat()
    if about.st_uid != uid:
        raise TreeError("%s: belongs to another account" % (prefix or "."))
    for name in folder.names():
        relative, path = prefix + name, os.path.join(target, name)
        found = folder.lstat(name)
        if found is None or found.st_uid != uid:
            raise TreeError("%s: belongs to another account" % relative)
        if stat.S_ISLNK(found.st_mode):
            os.symlink(os.readlink(folder.at(name)), path)
            os.lchown(path, 0, gid)
            links.append(relative)
        elif stat.S_ISDIR(found.st_mode):
            os.mkdir(path, 0o700)
            with folder.open_folder(name) as inner:
                _take(inner, path, relative + "/", uid, gid, links)
        elif stat.S_ISREG(found.st_mode):
            with os.fdopen(folder.open_file(name), "rb") as content:
                about_file = os.fstat(content.fileno())
                if about_file.st_uid != uid:
                    raise TreeError("%s: belongs to another account" % relative)
                handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | O_CLOEXEC, 0o600)
                with os.fdopen(handle, "wb") as out:
                    _copy(content, out, about_file, relative)
            _settle(path, about_file, gid)
        else:
            raise TreeError("%s: is neither file, folder nor link" % relative)
    _settle(target, about, gid)


def _copy(content, out, found, relative):
    """The bytes that a file had when it was looked at: whoever goes on writing does not have root go on reading."""
    if found.st_size > SPARSE and found.st_size > 2 * found.st_blocks * 512:
        raise TreeError("%s: is sparse, and would take %d bytes as a copy" % (relative, found.st_size))
    left = found.st_size
    while left > 0:
        block = content.read(min(left, 1 << 20))
        if not block:
            break
        out.write(block)
        left -= len(block)


def _settle(path, found, gid):
    os.lchown(path, 0, gid)
    os.chmod(path, settled_mode(found.st_mode))
    # Whole seconds, which no rounding changes.
    os.utime(path, (int(found.st_mtime), int(found.st_mtime)))


def check_links(root, links, named=()):
    """Refuse links in a tree of root's, at its final place, of which another account could change the target.

    ``named``: paths that the administrator named, the interpreter's for one; whose they are is theirs to know.
    """
    for relative in links:
        path = os.path.join(root, relative)
        target = os.readlink(path)
        why = None if target in named else untrusted_target(path, inside=root)
        if why:
            raise TreeError("%s: is a link to %s, which is not root's alone (%s)" % (relative, target, why))


def settle(path, builder, gid, named=()):
    """Have root own a folder of a builder's (build_account.Account): a copy takes its place, under the same path.

    It stands whole or not at all; ``named`` as check_links() takes it.
    """
    new, old = [os.path.join(os.path.dirname(path), prefix + os.path.basename(path)) for prefix in (".new-", ".old-")]
    remove_tree(new)
    remove_tree(old)
    try:
        links = take_over(path, new, builder.uid, gid)
        # Like a release's own folder.
        os.chmod(new, 0o755)
        os.rename(path, old)
        os.rename(new, path)
        check_links(path, links, named)
    except (TreeError, UnsafePath):
        remove_tree(new)
        remove_tree(path)
        raise
    finally:
        # With the builder's own rights, since its depth is the builder's.
        if os.path.lexists(old):
            builder.clear(old)
            remove_tree(old)
