# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Releases of an application's code: HOME/releases/<id>, HOME/current -> one of them, HOME/venvs/<digest>."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import grp
import hashlib
import os
import re
import shutil
import stat
import tarfile
import tempfile

RELEASE_ID = re.compile(r"[0-9A-Za-z][0-9A-Za-z_.-]{0,79}\Z")
COMPLETE = ".complete"


class ReleaseError(Exception):
    """A release cannot be made or switched; what is live is as it was."""


def switch_link(link, target):
    """Point a symlink at a target in one step; returns whether it pointed elsewhere."""
    try:
        if os.readlink(link) == target:
            return False
    except OSError:
        if os.path.lexists(link):
            raise ReleaseError("%s: is not a symlink; move it away, a release is to stand there" % link)
    folder = os.path.dirname(link)
    temporary = tempfile.mktemp(prefix=".link-", dir=folder)
    os.symlink(target, temporary)
    os.rename(temporary, link)
    return True


def requirements_digest(python, text):
    """Names the virtualenv of these requirements under this Python."""
    return hashlib.sha256(("%s\n%s" % (python, text)).encode("utf-8")).hexdigest()[:12]


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
        found = re.match(r"\s*(?:-r|-c|--requirement|--constraint)[ =]+(\S+)", line)
        if found and "://" not in found.group(1):
            other = os.path.join(os.path.dirname(path), found.group(1))
            if os.path.isfile(other):
                text += "\n" + read_requirements(other, seen)
    return text


def _inside(member, root):
    """Refuse a tar member that would land or point outside; the archive is ours, its symlinks are the user's."""
    target = os.path.normpath(os.path.join(root, member.name))
    if target != root and not target.startswith(root + "/"):
        raise ReleaseError("the archive's member %r would land outside the release" % member.name)
    if not (member.isfile() or member.isdir() or member.issym()):
        raise ReleaseError("the archive's member %r is neither file, folder nor symlink" % member.name)


def unpack(archive, folder):
    """Unpack a tar archive into an empty folder, symlinks last, so that nothing is written through one."""
    with_links = tarfile.open(archive, "r:*")
    try:
        links = []
        for member in with_links:
            _inside(member, folder)
            if member.issym():
                links.append(member)
                continue
            target = os.path.join(folder, member.name)
            if member.isdir():
                if not os.path.isdir(target):
                    os.makedirs(target)
            else:
                if not os.path.isdir(os.path.dirname(target)):
                    os.makedirs(os.path.dirname(target))
                source = with_links.extractfile(member)
                with open(target, "wb") as out:
                    shutil.copyfileobj(source, out)
            os.chmod(target, stat.S_IMODE(member.mode) & 0o755)
        for member in links:
            os.symlink(member.linkname, os.path.join(folder, member.name))
    finally:
        with_links.close()


def copy_checkout(checkout, folder, exclude):
    """Copy a checked-out tree without what is excluded."""
    shutil.rmtree(folder)
    shutil.copytree(checkout, folder, symlinks=True, ignore=shutil.ignore_patterns(*exclude))


def give(folder, group):
    """Root owns the code, the application's group may read it."""
    gid = grp.getgrnam(group).gr_gid
    os.chmod(folder, 0o755)
    os.lchown(folder, 0, gid)
    for base, folders, files in os.walk(folder):
        for name in folders + files:
            os.lchown(os.path.join(base, name), 0, gid)


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

    def make(self, archive=None, checkout=None):
        """Make the release from an archive or a checkout on this host."""
        for folder in (self.home, self.releases, self.venvs):
            if not os.path.isdir(folder):
                os.makedirs(folder, 0o755)
        for leftover in os.listdir(self.releases):
            if leftover.startswith(".new-"):
                shutil.rmtree(os.path.join(self.releases, leftover))
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
            text, source = "\n".join(wanted), None
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

    def fill(self, venv_command, pip, pip_args):
        """Make the virtualenv that the code needs; one that an interrupted run left is made anew.

        ``venv_command``: words that make a virtualenv when its path is appended; ``pip``: the pip that it gets, as a
        requirement; ``pip_args``: further words for `pip install`.
        """
        venv = self.venv()
        if venv is None or venv["complete"]:
            return False
        for folder in (self.home, self.venvs):
            if not os.path.isdir(folder):
                os.makedirs(folder, 0o755)
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
        if self.missing:
            raise ReleaseError("%s: there is no release %s on the host; send it first" % (self.name, self.id))
        venv = self.venv()
        if venv:
            if not venv["complete"]:
                raise ReleaseError("%s: its virtualenv %s is not complete; make it first" % (self.name, venv["path"]))
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

    def prune(self, keep):
        """Remove all but the newest releases (the live one stays) and virtualenvs that none of them uses."""
        if not os.path.isdir(self.releases):
            return []
        found = [name for name in os.listdir(self.releases) if not name.startswith(".")]
        found.sort(key=lambda name: os.stat(os.path.join(self.releases, name)).st_mtime, reverse=True)
        found.sort(key=lambda name: name != self.current)
        removed = found[max(keep, 1):]
        for name in removed:
            shutil.rmtree(os.path.join(self.releases, name))
        used = set()
        for link in [os.path.join(self.releases, name, ".venv") for name in found] + [os.path.join(self.home, "venv")]:
            if os.path.islink(link):
                used.add(os.path.basename(os.readlink(link)))
        if os.path.isdir(self.venvs):
            for name in os.listdir(self.venvs):
                if name not in used:
                    shutil.rmtree(os.path.join(self.venvs, name))
        return removed
