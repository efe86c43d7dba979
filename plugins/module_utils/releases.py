# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Releases of an application's code: HOME/releases/<id>, HOME/current -> one of them, HOME/venvs/<digest>."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import fnmatch
import grp
import hashlib
import os
import re
import shutil
import stat
import struct
import tarfile
import tempfile
import zlib

from ansible_collections.graceful.wsgi.plugins.module_utils.disk import encoded, make_folders, native, switch_link

RELEASE_ID = re.compile(r"[0-9A-Za-z][0-9A-Za-z_.-]{0,79}\Z")
VENV_ID = "[0-9a-f]" * 12
COMPLETE = ".complete"
# An application as the modules take it.
SPEC = {
    "name": {"type": "str", "required": True},
    "home": {"type": "path", "required": True},
    "group": {"type": "str", "default": "root"},
    "source": {"type": "str"},
    "archive": {"type": "str"},
    "repo": {"type": "str"},
    "version": {"type": "str"},
    "path": {"type": "path"},
    "exclude": {"type": "list", "elements": "str", "default": []},
    "requirements": {"type": "raw"},
    "id": {"type": "str"},
    "sent": {"type": "path"},
}


class ReleaseError(Exception):
    """A release cannot be made or switched; what is live is as it was."""


def requirements_digest(python, text):
    """Names the virtualenv of these requirements under this Python."""
    return hashlib.sha256(b"\n".join(encoded(part) for part in (python, text))).hexdigest()[:12]


def read_requirements(path, seen=None):
    """The text of a requirements file with the files that it includes (-r, -c) behind it."""
    seen = set() if seen is None else seen
    path = os.path.realpath(path)
    if path in seen:
        return ""
    seen.add(path)
    with open(path, "rb") as source:
        text = source.read().decode("utf-8", "replace")
    for line in text.splitlines():
        found = re.match(r"\s*(?:-[rc][ =]*|--(?:requirement|constraint)[ =]+)(\S+)", line)
        if found and "://" not in found.group(1):
            other = os.path.join(os.path.dirname(path), native(found.group(1)))
            if os.path.isfile(other):
                text += "\n" + read_requirements(other, seen)
    return text


def _inside(member, root):
    """Where a tar member goes; refuses one that would land outside, be it through a symlink unpacked before it."""
    target = os.path.normpath(os.path.join(root, member.name))
    if target != root and not target.startswith(root + "/"):
        raise ReleaseError("the archive's member %r would land outside the release" % member.name)
    if not (member.isfile() or member.isdir() or member.issym() or member.islnk()):
        raise ReleaseError("the archive's member %r is neither file, folder nor link" % member.name)
    parent = os.path.dirname(target)
    if target != root and os.path.realpath(parent) != os.path.realpath(root) + parent[len(root):]:
        raise ReleaseError("the archive's member %r would land in what another member is a symlink to" % member.name)
    if target != root:
        make_folders(parent)
    return target


def unpack(archive, folder):
    """Unpack a tar archive into an empty folder, or say what is wrong with it."""
    try:
        _unpack(archive, folder)
    except (EOFError, struct.error, tarfile.TarError, zlib.error) as error:
        raise ReleaseError("the archive %s is broken: %s" % (archive, error))


def _unpack(archive, folder):
    """Symlinks come last, so that nothing is written through one."""
    packed = tarfile.open(archive, "r:*")
    try:
        made = []
        for member in sorted(packed.getmembers(), key=lambda member: member.issym()):
            target = _inside(member, folder)
            if member.issym():
                os.symlink(member.linkname, target)
            elif member.isdir():
                make_folders(target)
                made.append((target, member.mode))
            else:
                with open(target, "wb") as out:
                    shutil.copyfileobj(packed.extractfile(_content(packed, member)), out)
                os.chmod(target, stat.S_IMODE(member.mode) & 0o755)
        # Folders last, since one may not be writable.
        for target, mode in made:
            os.chmod(target, stat.S_IMODE(mode) & 0o755)
        # A compressed archive tells at its very end whether it is whole.
        while packed.fileobj.read(1 << 16):
            pass
    finally:
        packed.close()


def _content(packed, member):
    """The member that holds a file's content: for a hard link another one of the archive, never a file of this host."""
    if not member.islnk():
        return member
    try:
        other = packed.getmember(member.linkname)
    except KeyError:
        other = None
    if other is None or not other.isreg():
        raise ReleaseError("the archive's member %r is a link to no file of the archive" % member.name)
    return other


def copy_checkout(checkout, folder, exclude):
    """Copy a checked-out tree without what is excluded, by name or by path, and without what is no code."""

    def left_out(base, names):
        prefix = "" if base == checkout else os.path.relpath(base, checkout) + "/"
        return [
            name
            for name in names
            if any(fnmatch.fnmatch(name, pattern) or fnmatch.fnmatch(prefix + name, pattern) for pattern in exclude)
            or stat.S_IFMT(os.lstat(os.path.join(base, name)).st_mode) not in (stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK)
        ]

    shutil.rmtree(folder)
    shutil.copytree(checkout, folder, symlinks=True, ignore=left_out)


def give(folder, group):
    """Root owns the code and the application's group may read it, whatever umask it was made under."""
    try:
        gid = grp.getgrnam(group).gr_gid
    except KeyError:
        raise ReleaseError("there is no group %s on the host; create it first" % group)
    os.lchown(folder, 0, gid)
    os.chmod(folder, 0o755)
    for base, folders, files in os.walk(folder):
        for name in folders + files:
            path = os.path.join(base, name)
            os.lchown(path, 0, gid)
            if not os.path.islink(path):
                mode = stat.S_IMODE(os.lstat(path).st_mode) & 0o755
                os.chmod(path, mode | (mode & 0o500) >> 3)


def discard(path):
    """Remove a folder; its name goes first and at once, so that no half of it is ever taken for the whole."""
    doomed = os.path.join(os.path.dirname(path), ".old-" + os.path.basename(path))
    if os.path.isdir(doomed):
        shutil.rmtree(doomed)
    os.rename(path, doomed)
    shutil.rmtree(doomed)


def sweep(folder):
    """Remove what killed runs left."""
    for name in os.listdir(folder) if os.path.isdir(folder) else []:
        if name.startswith((".new-", ".old-")):
            shutil.rmtree(os.path.join(folder, name))


def _gate(path, group):
    """Let nobody but root and this group pass through a folder of root's."""
    try:
        gid = grp.getgrnam(group).gr_gid
    except KeyError:
        raise ReleaseError("there is no group %s on the host; create it first" % group)
    os.lchown(path, 0, gid)
    os.chmod(path, 0o750)


def _is_open(path, group):
    """Whether a folder of root's lets others than this group through."""
    try:
        found = os.lstat(path)
    except OSError:
        return False
    try:
        gid = grp.getgrnam(group).gr_gid
    except KeyError:
        # It is made by this very run.
        gid = None
    # Another account's is its own matter.
    return stat.S_ISDIR(found.st_mode) and found.st_uid == 0 and (bool(found.st_mode & 0o007) or found.st_gid != gid)


class Home:
    """One application's folder. ``wanted`` is an item of graceful.wsgi.releases with its id."""

    def __init__(self, wanted, python, run_command=None):
        self.wanted = wanted
        self.run_command = run_command
        self.name = wanted["name"]
        self.home = wanted["home"]
        self.python = python
        self.releases = os.path.join(self.home, "releases")
        self.venvs = os.path.join(self.home, "venvs")
        self.id = wanted.get("id")
        # What was live before a switch; processes run on it until they are reloaded.
        self.before = None
        self.venv_before = None
        if self.id is not None and not RELEASE_ID.match(self.id):
            raise ReleaseError("%s: %r is no name of a release" % (self.name, self.id))

    @property
    def release(self):
        return os.path.join(self.releases, self.id)

    @property
    def code(self):
        return self.wanted["path"] or self.release

    @property
    def link(self):
        """The symlink that is moved last: the one to the release, or to the virtualenv of code that is not ours."""
        return os.path.join(self.home, "venv" if self.wanted["path"] else "current")

    @property
    def open_gates(self):
        """The folders of code through which others than the application's group pass."""
        folders = [os.path.join(self.home, name) for name in ("releases", "venvs", "repo")]
        return [path for path in folders if _is_open(path, self.wanted["group"])]

    def close(self):
        """Let only the application's group through to the code; returns whether others could pass."""
        found = self.open_gates
        for path in found:
            _gate(path, self.wanted["group"])
        return bool(found)

    def _gated(self, path):
        """Make a folder of code; one that is there stays as it is, since processes of another account may use it."""
        if not os.path.isdir(path):
            make_folders(path)
            _gate(path, self.wanted["group"])

    @property
    def current(self):
        """The id of the live release, or None."""
        try:
            return os.path.basename(os.readlink(os.path.join(self.home, "current")))
        except OSError:
            return None

    @property
    def missing(self):
        """Whether the release is yet to be made; one is put in place by a single rename, so a name means all of it."""
        return self.wanted["path"] is None and not os.path.isdir(self.release)

    @property
    def incomplete(self):
        """Whether the release or its virtualenv is yet to be made."""
        venv = self.venv()
        return self.missing or bool(venv and not venv["complete"])

    def make(self, archive=None, checkout=None):
        """Make the release from an archive or a checkout on this host."""
        self._gated(self.releases)
        sweep(self.releases)
        folder = tempfile.mkdtemp(prefix=".new-", dir=self.releases)
        try:
            if archive:
                unpack(archive, folder)
            else:
                copy_checkout(checkout, folder, self.wanted["exclude"])
            give(folder, self.wanted["group"])
            os.rename(folder, self.release)
        finally:
            if os.path.isdir(folder):
                shutil.rmtree(folder)

    def venv(self):
        """What virtualenv the code needs: {path, complete, requirements (file) or None, lines}; None for no venv.

        The path is None where the code is not here yet (check mode).
        """
        wanted = self.wanted["requirements"]
        if not wanted:
            return None
        if isinstance(wanted, list):
            text, source = "\n".join(native(line) for line in wanted), None
        else:
            source = os.path.join(self.code, wanted)
            if not os.path.isdir(self.code):
                return {"name": self.name, "path": None, "complete": False, "requirements": source, "lines": []}
            if not os.path.isfile(source):
                raise ReleaseError(
                    "%s: there is no %s in %s; mend requirements of this application" % (self.name, wanted, self.code)
                )
            text = read_requirements(source)
        path = os.path.join(self.venvs, requirements_digest(self.python, text))
        return {
            "name": self.name,
            "path": path,
            "complete": os.path.isfile(os.path.join(path, COMPLETE)),
            "requirements": source,
            "lines": wanted if source is None else [],
        }

    @property
    def replace(self):
        """Where the live paths will lead once this is live: {path: path}; a virtualenv not known yet leads nowhere."""
        venv, found = self.venv(), {}
        if venv:
            live = self.link if self.wanted["path"] else os.path.join(self.link, ".venv")
            found[live] = venv["path"] or os.path.join(self.venvs, "unknown")
        if not self.wanted["path"]:
            found[self.link] = self.release
        return found

    def fill(self, venv_command, pip, pip_args):
        """Make the virtualenv that the code needs; one that an interrupted run left is made anew.

        ``venv_command``: words that make a virtualenv when its path is appended; ``pip``: the pip that it gets, as a
        requirement; ``pip_args``: further words for `pip install`.
        """
        venv = self.venv()
        if venv is None or venv["complete"]:
            return False
        if venv["path"] is None:
            raise ReleaseError("%s: there is no folder %s on the host; put the code there" % (self.name, self.code))
        self._gated(self.venvs)
        if os.path.isdir(venv["path"]):
            shutil.rmtree(venv["path"])
        install = [os.path.join(venv["path"], "bin", "python"), "-m", "pip", "install"] + list(pip_args)
        wanted = ["-r", venv["requirements"]] if venv["requirements"] else venv["lines"]
        for words in (list(venv_command) + [venv["path"]], install + [pip] if pip else None, install + wanted):
            if words:
                status, out, err = self.run_command(words)
                if status != 0:
                    said = "\n".join((out + err).strip().splitlines()[-25:])
                    raise ReleaseError("%s: `%s` failed (status %d):\n%s" % (self.name, " ".join(words), status, said))
        with open(os.path.join(venv["path"], COMPLETE), "w"):
            pass
        return True

    @property
    def _venv_link(self):
        return self.link if self.wanted["path"] else os.path.join(self.release, ".venv")

    def switch(self):
        """Point the release at its virtualenv and current at the release; returns whether anything moved."""
        moved = False
        self.before = self.current
        if self.missing:
            raise ReleaseError("%s: there is no release %s on the host; send it first" % (self.name, self.id))
        venv = self.venv()
        if venv:
            if not venv["complete"]:
                raise ReleaseError("%s: its virtualenv %s is not complete; make it first" % (self.name, venv["path"]))
            if os.path.islink(self._venv_link):
                self.venv_before = os.path.basename(os.readlink(self._venv_link))
            moved = switch_link(self._venv_link, venv["path"])
        if not self.wanted["path"]:
            moved = switch_link(self.link, os.path.join("releases", self.id)) or moved
            os.utime(self.release, None)
        return moved

    def would_switch(self):
        """What switch() would return."""
        venv = self.venv()
        if venv and (not os.path.islink(self._venv_link) or os.readlink(self._venv_link) != venv["path"]):
            return True
        return not self.wanted["path"] and self.current != self.id

    def surplus(self, keep):
        """The releases that are too many once ours is live. The one that was live before stays in any case: processes
        run on it until they are reloaded, and it is the way back."""
        live = self.id or self.current
        before = self.before or self.current
        found = []
        for name in os.listdir(self.releases) if os.path.isdir(self.releases) else []:
            path = os.path.join(self.releases, name)
            # Whatever else a person put there is not ours.
            if RELEASE_ID.match(name) and os.path.isdir(path) and not os.path.islink(path):
                found.append((name != live, name != before, -os.stat(path).st_mtime, name))
        here = any(name == live for _live, _before, _age, name in found)
        return [name for _live, _before, _age, name in sorted(found)[max(keep, 2) - (0 if here else 1):]]

    def prune(self, keep):
        """Remove the releases that are too many, and virtualenvs that none uses any more; returns the former."""
        sweep(self.releases)
        sweep(self.venvs)
        removed = self.surplus(keep)
        for name in removed:
            discard(os.path.join(self.releases, name))
        used = set([self.venv_before])
        links = [os.path.join(self.home, "venv")]
        if os.path.isdir(self.releases):
            links += [os.path.join(self.releases, name, ".venv") for name in os.listdir(self.releases)]
        for link in links:
            if os.path.islink(link):
                used.add(os.path.basename(os.readlink(link)))
        for name in os.listdir(self.venvs) if os.path.isdir(self.venvs) else []:
            if fnmatch.fnmatch(name, VENV_ID) and name not in used:
                discard(os.path.join(self.venvs, name))
        return removed
