# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What outlives a release: HOME/shared, the application's own, and links to it in each release, which are root's work.

Whatever is made below HOME/shared is made with the application's rights: what it has put there, a link to /etc say,
leads to nothing that it could not change itself.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os
import shutil
import stat
import tempfile

from ansible_collections.graceful.wsgi.plugins.module_utils import layout
from ansible_collections.graceful.wsgi.plugins.module_utils.disk import native
from ansible_collections.graceful.wsgi.plugins.module_utils.safe_path import Folder, account, account_name, as_account

# Nobody but the application and its group, of which nginx is one where it serves files of it.
MODE = 0o750
_NEW = ".new-"


class SharedError(Exception):
    """What is to outlive a release cannot be put in its place; the text says why, and what to do."""


def is_folder(name):
    """Whether a name that neither a release nor the host has is a folder: by its slash, or since it has no ending."""
    last = os.path.basename(name.rstrip("/"))
    return name.endswith("/") or "." not in last[1:]


class SharedData:
    """The shared data of one application. ``names``: as the variable ``shared`` has them."""

    def __init__(self, home, names, user, group):
        self.home = home
        self.names = [native(name) for name in names]
        self.user = user
        self.group = group
        self.folder = os.path.join(home, layout.SHARED)
        for name in self.names:
            if name.startswith("/") or ".." in name.split("/") or not name.strip("/."):
                raise SharedError("shared: %r is no path in the code" % name)

    @property
    def _who(self):
        try:
            return account(self.user, self.group)
        except (KeyError, TypeError):
            raise SharedError("shared: there is no account %s on the host; create it first" % self.user)

    def lacking(self):
        """Whether something is not there that is made; one without an account is yet to be made altogether."""
        if not self.names:
            return False
        try:
            return as_account(self._who, self._is_lacking)
        except SharedError:
            return True

    def _is_lacking(self):
        return any(not os.path.lexists(self._made(name)) for name in self.names)

    def _made(self, name):
        """What is there of a name at least: of a file that the application makes itself, the folder."""
        path = os.path.join(self.folder, name.rstrip("/"))
        return path if is_folder(name) else os.path.dirname(path)

    def keep(self):
        """Make what is missing; what is there already stays as it is, whatever it is."""
        self._fill({})

    def place(self, release):
        """Have a new release, which is root's, lead to what is shared; what it brings of it is its first content."""
        if not self.names:
            return
        brought = {}
        for name in self.names:
            kind = self._brought(release, name)
            if kind:
                brought[name] = os.path.join(release, name.rstrip("/"))
            if kind == "file" and name.endswith("/"):
                raise SharedError("shared: %s is a file in the code, and the slash says folder; leave it out" % name)
        self._fill(brought)
        for name in self.names:
            self._link(release, name.rstrip("/"))

    # -- by root --------------------------------------------------------------------------------------------------

    def _brought(self, release, name):
        """What a release brings under a name: folder, file, or None, which a link into what is shared is too."""
        path, parts = os.path.join(release, name.rstrip("/")), name.rstrip("/").split("/")
        for length in range(1, len(parts)):
            above = os.path.join(release, *parts[:length])
            if os.path.lexists(above) and (os.path.islink(above) or not os.path.isdir(above)):
                lies = "/".join(parts[:length])
                raise SharedError("shared: %s lies in %s, which is no folder in the code; leave it out" % (name, lies))
        try:
            found = os.lstat(path)
        except OSError:
            return None
        if stat.S_ISLNK(found.st_mode):
            target = os.path.normpath(os.path.join(os.path.dirname(path), os.readlink(path)))
            if target == os.path.join(self.folder, name.rstrip("/")):
                return None
            raise SharedError(
                "shared: %s is a link in the code, to %s; share what it leads to, or leave the link out (exclude)"
                % (name, os.readlink(path))
            )
        return "folder" if stat.S_ISDIR(found.st_mode) else "file"

    def _prepare(self):
        """Make the folder itself, whole or not at all."""
        who = self._who
        with Folder(self.home) as home:
            if not home.trusted:
                raise SharedError(
                    "shared: %s is not root's alone (%s), so that another account could lead root elsewhere; give it "
                    "back to root" % (self.home, home.why)
                )
            if home.lstat(layout.SHARED) is not None:
                return
            new = _NEW + layout.SHARED
            home.remove(new)
            os.mkdir(home.at(new), 0o700)
            os.lchown(home.at(new), who["uid"], who["gid"])
            os.chmod(home.at(new), MODE)
            os.rename(home.at(new), home.at(layout.SHARED))

    def _fill(self, brought):
        self._prepare()
        try:
            as_account(self._who, lambda: self._make(brought), (SharedError,))
        except (IOError, OSError) as error:
            raise SharedError(
                "shared: %s as %s: %s; let this account write in %s"
                % (error.filename or self.folder, account_name(self._who["uid"]), error.strerror, self.folder)
            )

    def _link(self, release, name):
        """Put a link in the place of what a release has under a name.

        It is the application's, as what it leads to is: nginx follows no other.
        """
        who, parts = self._who, name.split("/")
        folder = Folder(release)
        try:
            for part in parts[:-1]:
                found = folder.lstat(part)
                if found is None:
                    os.mkdir(folder.at(part), 0o755)
                    os.chmod(folder.at(part), 0o755)
                    os.lchown(folder.at(part), os.geteuid(), who["gid"])
                inner = folder.open_folder(part)
                folder.close()
                folder = inner
            folder.remove(parts[-1])
            # From HOME/releases/ID two steps lead to HOME; so it does while the release has another name.
            os.symlink("/".join([".."] * (len(parts) + 1) + [layout.SHARED, name]), folder.at(parts[-1]))
            os.lchown(folder.at(parts[-1]), who["uid"], who["gid"])
        finally:
            folder.close()

    # -- by the application's account -----------------------------------------------------------------------------

    def _make(self, brought):
        for name in os.listdir(self.folder):
            if name.startswith(_NEW):
                # A run was killed on the way.
                shutil.rmtree(os.path.join(self.folder, name), ignore_errors=True)
        for name in self.names:
            target = os.path.join(self.folder, name.rstrip("/"))
            if os.path.lexists(target):
                continue
            if not os.path.isdir(os.path.dirname(target)):
                os.makedirs(os.path.dirname(target), 0o755)
            if name in brought:
                self._copy_whole(brought[name], target, name)
            elif is_folder(name):
                os.mkdir(target, 0o755)

    def _copy_whole(self, source, target, name):
        """Copy a first content; a name is there with all of it or not at all."""
        scratch = tempfile.mkdtemp(prefix=_NEW, dir=self.folder)
        try:
            copy = os.path.join(scratch, "copy")
            _copy(source, copy, name, "")
            os.rename(copy, target)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)


def _copy(source, target, name, inside):
    found = os.lstat(source)
    if stat.S_ISLNK(found.st_mode):
        leads = os.readlink(source)
        if leads.startswith("/") or _climbs(inside, leads):
            raise SharedError(
                "shared: %s/%s is a link to %s, which leads out of what is shared; copy what it leads to, or leave it "
                "out (exclude)" % (name.rstrip("/"), inside, leads)
            )
        os.symlink(leads, target)
    elif stat.S_ISDIR(found.st_mode):
        os.mkdir(target, 0o755)
        for entry in sorted(os.listdir(source)):
            _copy(os.path.join(source, entry), os.path.join(target, entry), name, os.path.join(inside, entry))
    else:
        shutil.copyfile(source, target)
        os.chmod(target, stat.S_IMODE(found.st_mode) & 0o755 | 0o600)
        os.utime(target, (int(found.st_mtime), int(found.st_mtime)))


def _climbs(inside, leads):
    """Whether a relative link, which lies at this path in what is shared, leads above that on its way."""
    depth = inside.count("/")
    for part in leads.split("/"):
        depth += -1 if part == ".." else 1 if part not in ("", ".") else 0
        if depth < 0:
            return True
    return False
