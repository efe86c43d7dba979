# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The files and folders that a bundle wants: how each is there, and how it is made."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import errno
import grp
import os
import pwd
import re
import stat

from ansible_collections.graceful.wsgi.plugins.module_utils import safe_path
from ansible_collections.graceful.wsgi.plugins.module_utils.disk import make_folders
from ansible_collections.graceful.wsgi.plugins.module_utils.whole_files import read_bytes


class BundleError(Exception):
    """The set cannot be written; the live files are as they were."""


def octal(text):
    """A mode as a number; 0644 without quotes arrives as the decimal 420, which must not pass for octal."""
    if text is None:
        return None
    if not re.match(r"0[0-7]{3,4}\Z", text):
        raise BundleError("mode %s: write it as quoted octal digits with a leading zero, such as '0644'" % text)
    return int(text, 8)


def _id(name, look_up, missing_is_fine, kind):
    """A numeric id for a name or number; -2 for a name that check mode cannot know yet."""
    if name is None:
        return None
    if str(name).isdigit():
        return int(name)
    try:
        return look_up(name)
    except KeyError:
        if missing_is_fine:
            return -2
        raise BundleError("there is no %s %r on this host; create it first" % (kind, name))


class Entry:
    """A file or folder that is wanted. ``mode`` is an int, ``owner`` and ``group`` names, numbers or None.

    ``force``: whether one that is there already is made as wanted. Without it nothing is set on what was there before,
    which may be somebody's; it may then lie in a folder of its owner's, who makes it with rights of his own.
    """

    def __init__(self, path, mode=None, owner=None, group=None, check_mode=False, force=True):
        self.path = os.path.normpath(path)
        self.mode = mode
        self.force = force
        self.found = None
        self.names = [owner, group]
        self.uid = _id(owner, lambda name: pwd.getpwnam(name).pw_uid, check_mode, "user")
        self.gid = _id(group, lambda name: grp.getgrnam(name).gr_gid, check_mode, "group")
        if not os.path.isabs(path):
            raise BundleError("%s: a path must be absolute" % path)

    def differs(self, found):
        """Whether mode or owner of what lstat found are not as wanted."""
        return (
            (self.mode is not None and stat.S_IMODE(found.st_mode) != self.mode)
            or (self.uid is not None and found.st_uid != self.uid)
            or (self.gid is not None and found.st_gid != self.gid)
        )

    def settle(self, handle):
        """Give an open file or folder the wanted owner and mode, or those found; chown first, it clears setuid bits."""
        found = self.found or os.fstat(handle)
        uid = found.st_uid if self.uid is None else self.uid
        gid = found.st_gid if self.gid is None else self.gid
        os.fchown(handle, uid, gid)
        os.fchmod(handle, stat.S_IMODE(found.st_mode) if self.mode is None else self.mode)

    def look(self):
        """What lstat tells of it, None where nothing is there; the way to it leads through no other account's link."""
        try:
            folder, name = safe_path.split(self.path)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENOTDIR):
                raise
            if self.force:
                self._trust(safe_path.untrusted(os.path.dirname(self.path)))
            return None
        with folder:
            if self.force:
                self._trust(folder.why)
            return folder.lstat(name)

    def _trust(self, why):
        if why is not None:
            text = "%s: %s; root writes only where nobody else can change anything: make it root's or name another path"
            raise BundleError(text % (self.path, why))

    def owner(self):
        """The account that it is to belong to, as safe_path takes it."""
        user = safe_path.account_name(self.uid)
        groups = [item.gr_gid for item in grp.getgrall() if user in item.gr_mem]
        return {"uid": self.uid, "gid": self.gid, "groups": groups}

    def owned_above(self, folder):
        """Whether its owner makes it, since the folder is not root's alone; refuses another account's folder."""
        if folder.trusted:
            return False
        found = folder.stat()
        if self.uid and self.gid is not None and (found.st_uid == self.uid or self._lets_in(folder)):
            return True
        if found.st_uid == 0 and not found.st_mode & stat.S_IWOTH:
            return False
        text = "%s: %s; make it there yourself, or name a folder of %s's"
        raise BundleError(text % (self.path, folder.why, safe_path.account_name(self.uid)))

    def _lets_in(self, folder):
        return safe_path.may_write(self.owner(), folder.path, True)


class Folder(Entry):
    """A folder that must be there."""

    def state(self):
        found = self.found = self.look()
        if found is not None and stat.S_ISLNK(found.st_mode) and not self.force:
            # One that root made leads to the folder that is meant; through another one nothing is opened.
            with safe_path.Folder(self.path) as folder:
                found = self.found = folder.stat()
        if found is None:
            return "created"
        if not stat.S_ISDIR(found.st_mode):
            kind = "a symlink" if stat.S_ISLNK(found.st_mode) else "not a folder"
            raise BundleError("%s: is %s; move it away or name another folder" % (self.path, kind))
        return "changed" if self.force and self.differs(found) else "unchanged"

    def write(self, state):
        """Make it, or settle it; returns whether its path may be used by root."""
        with safe_path.nearest(os.path.dirname(self.path)) as near:
            if not self.force and self.owned_above(near):
                safe_path.as_account(self.owner(), self._make)
                return False
            if not near.trusted and near.path != os.path.dirname(self.path):
                # In root's folder that a group may write only the last step can be made by a descriptor.
                self._trust(near.why)
        with safe_path.Folder(os.path.dirname(self.path), create=True) as above:
            name = os.path.basename(self.path)
            # It may be there by now as the parent of another one.
            if state == "created" and above.lstat(name) is None:
                os.mkdir(above.at(name), 0o700)
            with above.open_folder(name) as folder:
                if not above.trusted and folder.stat().st_uid != os.geteuid():
                    raise safe_path.UnsafePath("%s: became another account's while it was made" % self.path)
                self.settle(folder.handle)
            return above.trusted

    def _make(self):
        make_folders(os.path.dirname(self.path))
        os.mkdir(self.path, 0o700)
        os.chmod(self.path, self.mode)


class File(Entry):
    """A file that must be there with this content (bytes); without ``force`` one that is there stays as it is.

    ``secret``: it holds NAME=value lines whose values no diff shows. ``belongs_to``: a name that the manifest notes.
    """

    def __init__(self, path, content, validate=None, force=True, secret=False, belongs_to=None, **entry):
        Entry.__init__(self, path, force=force, **entry)
        self.secret = secret
        self.belongs_to = belongs_to
        self.content = content
        self.validate = validate
        self.before = None

    def state(self):
        found = self.found = self.look()
        if found is None:
            return "created"
        if not stat.S_ISREG(found.st_mode):
            kind = "a symlink" if stat.S_ISLNK(found.st_mode) else "not a regular file"
            raise BundleError("%s: is %s; move it away, it would not be replaced but followed" % (self.path, kind))
        if not self.force:
            return "unchanged"
        self.before = read_bytes(self.path)
        return "changed" if self.before != self.content or self.differs(found) else "unchanged"

    def make(self):
        """Make what is only made where nothing is there; returns whether its path may be used by root."""
        folder, name = safe_path.split(self.path)
        with folder:
            if self.owned_above(folder):
                safe_path.as_account(self.owner(), lambda: self._make(self.path))
                return False
            self._make(folder.at(name))
            return folder.trusted

    def _make(self, path):
        try:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            if error.errno == errno.EEXIST:
                # The application was first; what it made is its own.
                return
            raise OSError(error.errno, error.strerror, self.path)
        with os.fdopen(handle, "wb") as target:
            target.write(self.content)
            target.flush()
            if os.geteuid() == 0:
                self.settle(handle)
            elif self.mode is not None:
                os.fchmod(handle, self.mode)


def owned(entry):
    """Mode, owner and group of what was written; names as they were wanted, since their numbers may change."""
    found = os.lstat(entry.path)
    owner, group = entry.names
    return [
        stat.S_IMODE(found.st_mode),
        found.st_uid if owner is None else owner,
        found.st_gid if group is None else group,
    ]


def still_owned(path, owned):
    try:
        entry = Entry(path, *owned)
    except BundleError:
        return False
    return not entry.differs(os.lstat(path))
