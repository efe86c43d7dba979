# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Releases of an application's code: HOME/releases/<id>, HOME/current -> one of them, HOME/venvs/<digest>."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import errno
import fnmatch
import grp
import hashlib
import io
import os
import pwd
import re
import shutil
import stat
import struct
import tarfile
import tempfile
import zlib

from ansible_collections.graceful.wsgi.plugins.module_utils import (
    build_failure,
    constraints,
    layout,
    procfs,
    release_records,
    requirements_alone,
    shared_data,
    shared_venvs,
    tree,
)
from ansible_collections.graceful.wsgi.plugins.module_utils.build_account import forget_origins, readable, surroundings
from ansible_collections.graceful.wsgi.plugins.module_utils.disk import encoded, make_folders, native, switch_link
from ansible_collections.graceful.wsgi.plugins.module_utils.safe_path import (
    NOBODY,
    Folder,
    UnsafePath,
    account,
    as_account,
    read_file,
    remove_tree,
)

RELEASE_ID = release_records.RELEASE_ID
VENV_ID = "[0-9a-f]" * 12
COMPLETE = ".complete"
# The Python whose pips have the legacy resolver only, for which the first that is said of a version counts.
LEGACY = "2.7"
# The folder of virtualenvs: whoever builds one passes through it, and nobody else finds out what is there.
PASSED = 0o711
# An application as the modules take it.
SPEC = {
    "name": {"type": "str", "required": True},
    "home": {"type": "path", "required": True},
    "group": {"type": "str", "default": "root"},
    "user": {"type": "str"},
    "source": {"type": "str"},
    "archive": {"type": "str"},
    "repo": {"type": "str"},
    "version": {"type": "str"},
    "path": {"type": "path"},
    "exclude": {"type": "list", "elements": "str", "default": []},
    "requirements": {"type": "raw"},
    "auto": {"type": "dict"},
    "bounds": {"type": "list", "elements": "str", "default": []},
    "constraints": {"type": "list", "elements": "str", "default": []},
    "id": {"type": "str"},
    "pinned": {"type": "bool"},
    "had": {"type": "path"},
    "bare": {"type": "bool"},
    "sent": {"type": "path"},
    "shared": {"type": "list", "elements": "str", "default": []},
    "writable": {"type": "list", "elements": "str", "default": []},
    "own_python": {
        "type": "dict",
        "options": {
            "python": {"type": "str", "required": True},
            "venv_command": {"type": "list", "elements": "str", "required": True},
            "pip": {"type": "str", "required": True},
        },
    },
}


class ReleaseError(Exception):
    """A release cannot be made or switched; what is live is as it was."""


def requirements_digest(python, text):
    """Names the virtualenv of these requirements under this Python."""
    return hashlib.sha256(b"\n".join(encoded(part) for part in (python, text))).hexdigest()[:12]


# A line of requirements that names another file of them.
_INCLUDE = re.compile(r"(\s*(?:-[rc][ =]*|--(?:requirement|constraint)[ =]+))(\S+)")
# What pip installs from an index, whatever folder it runs in; and options that have nothing to do with folders.
_PLAIN = re.compile(
    r"""\s*(?:\#.*)?\Z
    |\s*[A-Za-z0-9][\w.-]*\s*(?:\[[^\]]*\])?\s*(?:@\s*[\w+]+(?<!file)://.*|[<>=!~;(\\\#].*|\ --.*)?\Z
    |\s*[\w+]+(?<!file)://
    |\s*(?:-e|--editable)[ =]*[\w+]+(?<!file)://
    |\s*(?:-f|--find-links)[ =]*\w+(?<!file)://
    |\s*(?:-[irc]|--(?:requirement|constraint|index-url|extra-index-url|no-index|no-binary|only-binary|prefer-binary|pre
        |trusted-host|require-hashes|hash|use-feature|use-pep517|global-option|config-settings?))(?![\w-])""",
    re.X,
)
_ARCHIVE = re.compile(r"\.(?:zip|whl|tar(?:\.\w+)?|tgz|tbz|txz|tlz)\s*(?:[;\[\#].*)?\Z", re.I)
_EDITABLE = re.compile(r"\s*(?:-e(?=[ =.]|\Z)|--editable(?=[ =]|\Z))(?![ =]*[\w+]+://)[ =]*")
# An index, which the pips of Python 2.7 and 3.6 ask by such a line whatever PIP_NO_INDEX says.
_INDEX = re.compile(r"\s*(?:-i|--(?:extra-)?index-url(?=[ =]|\Z))")
# Options that stand before a value, which a list may have as its next item.
_VALUED = set(["-e", "-r", "-c", "-f", "-i", "--editable", "--requirement", "--constraint", "--find-links"])
_VALUED |= set(["--index-url", "--extra-index-url", "--trusted-host", "--no-binary", "--only-binary"])
_OPTION = re.compile(r"(--?[\w-]+)[\s=]+(.*)", re.DOTALL)


def requirement_files(path, read=None, seen=None):
    """[[path, text]] of a requirements file and of those that it includes (-r, -c), each followed by its own."""
    seen = set() if seen is None else seen
    path = os.path.realpath(path)
    if path in seen:
        return []
    seen.add(path)
    text = (read or _read)(path).decode("utf-8", "replace")
    found = [[path, text]]
    for line in text.splitlines():
        include = _INCLUDE.match(line)
        if include and "://" not in include.group(2):
            other = os.path.join(os.path.dirname(path), native(include.group(2)))
            if os.path.isfile(other):
                found += requirement_files(other, read, seen)
    return found


def _read(path):
    with io.open(path, "rb") as source:
        return source.read()


def read_requirements(path):
    """The text of a requirements file with the files that it includes behind it."""
    return _joined(requirement_files(path))


def _joined(files):
    return "\n".join(text for _path, text in files)


def as_lines(items):
    """A list of requirements as the lines of a file: an option and its value may be two items of it."""
    found, option = [], ""
    for item in items:
        item = ("%s %s" % (option, native(item).strip())).strip()
        option = item if item in _VALUED else ""
        if not option:
            found.append(item)
    return found + [option] if option else found


def is_local(line):
    """Whether a requirement means something in the folder that pip runs in, such as ``.`` or ``./lib``."""
    return not _PLAIN.match(line) or bool(_ARCHIVE.search(line) and "://" not in line)


def leads_out(name, target, shared):
    """Whether a link of a release leads out of it, by its name in the release; ``shared`` (None: none) counts as in it.

    Only what can be told by the words of the target is in: a step up after a name, which may itself be a link, is not.
    """
    if target.startswith("/"):
        end = os.path.normpath(target)
        return shared is None or ".." in target.split("/") or not (end + "/").startswith(shared.rstrip("/") + "/")
    parts = [part for part in target.split("/") if part not in ("", ".")]
    ups = len(parts) - len([part for part in parts if part != ".."])
    if ".." in parts[ups:]:
        return True
    depth = len([part for part in os.path.dirname(name).split("/") if part not in ("", ".")])
    if ups <= depth:
        return False
    # From HOME/releases/ID two steps lead to HOME.
    return shared is None or parts[ups - 1 : ups + 1] != ["..", os.path.basename(shared)] or ups - depth != 2


def check_link(name, target, shared):
    """Refuse a link of a release that leads out of it."""
    if leads_out(name, target, shared):
        raise ReleaseError(
            "%r is a link to %r, which leads out of the release; copy what it leads to into the code, leave the link "
            "out (exclude), or have it lead into %s" % (name, target, shared or "the folder shared beside the releases")
        )


def place(name, root):
    """Where an archive's member goes; refuses one that would land outside, be it through a symlink put there before.

    Makes its parents.
    """
    target = os.path.normpath(os.path.join(root, name))
    if target != root and not target.startswith(root + "/"):
        raise ReleaseError("the archive's member %r would land outside the release" % name)
    parent = os.path.dirname(target)
    if target != root and os.path.realpath(parent) != os.path.realpath(root) + parent[len(root) :]:
        raise ReleaseError("the archive's member %r would land in what another member is a symlink to" % name)
    if target != root:
        make_folders(parent)
    return target


def _inside(member, root):
    """Where a tar member goes, if it is one of the kinds that code is made of."""
    if not (member.isfile() or member.isdir() or member.issym() or member.islnk()):
        raise ReleaseError("the archive's member %r is neither file, folder nor link" % member.name)
    return place(member.name, root)


def unpack(archive, folder, shared=None, checked=True):
    """Unpack a tar archive (a path, or an open file) into an empty folder, or say what is wrong with it.

    ``checked``: refuse links that lead out of the folder, but for those into ``shared``.
    """
    try:
        _unpack(archive, folder, shared, checked)
    except (EOFError, struct.error, tarfile.TarError, zlib.error) as error:
        raise ReleaseError("the archive %s is broken: %s" % (archive, error))


def _unpack(archive, folder, shared, checked):
    """Symlinks come last, so that nothing is written through one."""
    if hasattr(archive, "read"):
        packed = tarfile.open(fileobj=archive, mode="r:*")
    else:
        packed = tarfile.open(archive, "r:*")
    try:
        made = []
        for member in sorted(packed.getmembers(), key=lambda member: member.issym()):
            target = _inside(member, folder)
            if member.issym():
                if checked:
                    check_link(os.path.normpath(member.name), member.linkname, shared)
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


def give(folder, group, user=None, shared=None):
    """Root owns the code and the application's group may read it, whatever umask it was made under.

    A link into ``shared`` is the application's own, as what it leads to is: nginx may be told to follow no others.
    """
    try:
        gid = grp.getgrnam(group).gr_gid
    except KeyError:
        raise ReleaseError("there is no group %s on the host; create it first" % group)
    try:
        uid = pwd.getpwnam(user).pw_uid if user else 0
    except KeyError:
        uid = 0
    os.lchown(folder, 0, gid)
    os.chmod(folder, 0o755)
    for base, folders, files in os.walk(folder):
        for name in folders + files:
            path = os.path.join(base, name)
            if os.path.islink(path):
                inside = os.path.relpath(path, folder)
                out = shared is not None and leads_out(inside, os.readlink(path), None)
                os.lchown(path, uid if out else 0, gid)
                continue
            os.lchown(path, 0, gid)
            os.chmod(path, tree.settled_mode(os.lstat(path).st_mode))


def _write(path, content):
    if not os.path.isdir(os.path.dirname(path)):
        os.makedirs(os.path.dirname(path))
    with open(path, "wb") as target:
        target.write(content)


def discard(path):
    """Remove a folder; its name goes first and at once, so that no half of it is ever taken for the whole."""
    doomed = os.path.join(os.path.dirname(path), ".old-" + os.path.basename(path))
    remove_tree(doomed)
    os.rename(path, doomed)
    remove_tree(doomed)


def sweep(folder):
    """Remove what killed runs left."""
    for name in os.listdir(folder) if os.path.isdir(folder) else []:
        if name.startswith((".new-", ".old-")):
            remove_tree(os.path.join(folder, name))


def _gate(path, group, mode=0o750):
    """Let nobody but root and this group into a folder of root's."""
    try:
        gid = grp.getgrnam(group).gr_gid
    except KeyError:
        raise ReleaseError("there is no group %s on the host; create it first" % group)
    os.lchown(path, 0, gid)
    os.chmod(path, mode)


def _is_open(path, group, mode=0o750):
    """Whether a folder of root's lets others than this group in, beyond what the mode says."""
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
    ours = stat.S_ISDIR(found.st_mode) and found.st_uid == 0
    return ours and (bool(found.st_mode & 0o007 & ~mode) or found.st_gid != gid)


class Home:
    """One application's folder. ``wanted`` is an item of graceful.wsgi.releases with its id.

    ``python``: that of applications which name none of their own.
    """

    def __init__(self, wanted, python):
        self.wanted = wanted
        self._files = {}
        self._no_index = False
        self.name = wanted["name"]
        self.home = wanted["home"]
        self.own_python = wanted.get("own_python") or {}
        self.python = self.own_python.get("python") or python
        self.releases = os.path.join(self.home, "releases")
        self.venvs = os.path.join(self.home, "venvs")
        # Those that other applications of the host use as well.
        self.common = shared_venvs.folder_of(self.home)
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
    def shared(self):
        """The folder of what outlives a release; links of a release may lead there."""
        return os.path.join(self.home, layout.SHARED)

    def _shared_data(self, call):
        """What ``call`` returns, called with what of the application outlives a release."""
        wanted = self.wanted
        try:
            names = wanted.get("shared") or []
            return call(shared_data.SharedData(self.home, names, wanted.get("user"), wanted["group"]))
        except (shared_data.SharedError, UnsafePath) as error:
            raise ReleaseError("%s: %s" % (self.name, error))

    @property
    def lacks_shared(self):
        """Whether the release is there and something is not that it leads to."""
        return not self.missing and self._shared_data(lambda data: data.lacking())

    @property
    def unshared(self):
        """What is shared by now, and to which the release has no link."""
        names = [native(name).rstrip("/") for name in self.wanted.get("shared") or []]
        return [name for name in names if not os.path.islink(os.path.join(self.release, name))]

    def keep_shared(self):
        """Make what it leads to; returns whether something was not there."""
        lacking = self.lacks_shared
        if lacking:
            self._shared_data(lambda data: data.keep())
        return lacking

    @property
    def link(self):
        """The symlink that is moved last: the one to the release, or to the virtualenv of code that is not ours."""
        return os.path.join(self.home, "venv" if self.wanted["path"] else "current")

    @property
    def open_gates(self):
        """[(path, mode)] of the folders of code that let more than their group in, and their right mode."""
        folders = [(self.releases, 0o750), (os.path.join(self.home, "repo"), 0o750), (self.venvs, PASSED)]
        names = os.listdir(self.venvs) if os.path.isdir(self.venvs) else []
        folders += [(os.path.join(self.venvs, name), 0o750) for name in names if fnmatch.fnmatch(name, VENV_ID)]
        return [(path, mode) for path, mode in folders if _is_open(path, self.wanted["group"], mode)]

    def close(self):
        """Let only the application's group through to the code; returns whether others could pass."""
        found = self.open_gates
        for path, mode in found:
            _gate(path, self.wanted["group"], mode)
        return bool(found)

    def admit(self):
        """Let the application's account through beside the former one's, whose processes may use the code yet.

        Returns whether it was kept out; close() ends that.
        """
        shut = [path for path, _mode in self.open_gates if not os.lstat(path).st_mode & 0o001]
        for path in shut:
            # A folder of root's in one of root's.
            os.chmod(path, stat.S_IMODE(os.lstat(path).st_mode) | 0o001)
        return bool(shut)

    def _gated(self, path, mode=0o750):
        """Make a folder of code; one that is there stays as it is, since processes of another account may use it."""
        if not os.path.isdir(path):
            make_folders(path)
            _gate(path, self.wanted["group"], mode)

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
        """Whether the release, its virtualenv or what outlives it is yet to be made."""
        venv = self.venv()
        return self.missing or bool(venv and not venv["complete"]) or self.lacks_shared

    def make(self, archive=None, checkout=None):
        """Make the release from an archive on this host, or from ``checkout(exclude)``, which returns an open one.

        Where the requirements alone are the application there is nothing to unpack.
        """
        self._gated(self.releases)
        sweep(self.releases)
        folder = tempfile.mkdtemp(prefix=".new-", dir=self.releases)
        self._files = {}
        try:
            try:
                if archive or not requirements_alone.is_alone(self.wanted):
                    unpack(archive or checkout(self.wanted["exclude"]), folder, self.shared)
            except ReleaseError as error:
                raise ReleaseError("%s: %s" % (self.name, error))
            give(folder, self.wanted["group"], self.wanted.get("user"), self.shared)
            # It passes through to read its first content, and nobody else.
            self._shared_data(lambda data: data.place(folder))
            os.rename(folder, self.release)
        finally:
            if os.path.isdir(folder):
                remove_tree(folder)

    @property
    def who(self):
        """The rights of the application's account, nobody's where it is yet to be made; None where none is told."""
        user = self.wanted.get("user")
        if not user:
            return None
        try:
            return account(user)
        except KeyError:
            return NOBODY

    def _own_read(self, path):
        """The bytes of a file of the release that nobody but root can have put there."""
        if not path.startswith(self.release + "/"):
            raise UnsafePath("%s: is outside the release" % path)
        return read_file(path)

    def requirement_files(self, source):
        """What requirement_files() returns, read with no more rights than the application's own."""
        if source not in self._files:
            try:
                self._files[source] = [[native(path), text] for path, text in self._read_requirements(source)]
            except (IOError, OSError, UnsafePath) as error:
                if getattr(error, "errno", None) in (errno.ENOENT, errno.ENOTDIR, errno.EISDIR):
                    raise ReleaseError(
                        "%s: requirements: there is no %s in %s; name a file that the code has"
                        % (self.name, os.path.relpath(source, self.code), self.code)
                    )
                raise ReleaseError(
                    "%s: its requirements cannot be read as %s: %s; let this account read them"
                    % (self.name, self.wanted.get("user") or "root", error)
                )
        return self._files[source]

    def _named(self, lines):
        """The files that lines of a list name (-r, -c)."""
        found = [_INCLUDE.match(line) for line in lines]
        names = [native(include.group(2)) for include in found if include and "://" not in include.group(2)]
        return [os.path.join(self.code, name) for name in names]

    def _read_requirements(self, source):
        if not self.wanted["path"]:
            # A release is root's: without a link to follow there is nobody to ask.
            try:
                with Folder(self.release) as folder:
                    trusted = folder.trusted
                if trusted or self.who is None:
                    return requirement_files(source, self._own_read)
            except UnsafePath:
                pass
        if self.who is not None:
            return as_account(self.who, lambda: requirement_files(source))
        owner = os.stat(self.code)
        return as_account({"uid": owner.st_uid, "gid": owner.st_gid, "groups": []}, lambda: requirement_files(source))

    def venv(self):
        """What virtualenv the code needs: {path, complete, requirements (file) or None, lines, local}, or None.

        The path is None where the code is not here yet (check mode). ``local``: whether it holds something of the code
        itself, so that each release has its own.
        """
        wanted = self.wanted["requirements"]
        if self.wanted.get("pinned"):
            return self._kept()
        if self.wanted.get("auto"):
            return self._pinned(self.wanted["auto"])
        if not wanted:
            return None
        if isinstance(wanted, list):
            lines, source = as_lines(wanted), None
            named = self._named(lines)
            if named and not os.path.isdir(self.code):
                return {"name": self.name, "path": None, "complete": False, "requirements": None, "lines": lines}
            text = "\n".join(lines + [_joined(self.requirement_files(path)) for path in named])
        else:
            source = os.path.join(self.code, wanted)
            if not os.path.isdir(self.code):
                return {"name": self.name, "path": None, "complete": False, "requirements": source, "lines": []}
            text, lines = _joined(self.requirement_files(source)), []
        local = any(is_local(line) for line in text.splitlines())
        limits = constraints.wanted(self.wanted.get("bounds") or [], self.wanted.get("constraints") or [], text)
        if local and not self.wanted["path"]:
            text += "\n# %s" % self.id
        if limits:
            text += "\n# constraints: %s" % " ".join(limits)
        path = self._place(text, local)
        return {
            "name": self.name,
            "path": path,
            "complete": os.path.isfile(os.path.join(path, COMPLETE)),
            "requirements": source,
            "lines": lines,
            "local": local,
            "constraints": limits,
        }

    def _place(self, text, local):
        """Where the virtualenv of these requirements lies: beside those of other applications, unless code is in it.

        One that the application has had of its own stays in use, so that nothing is made or loaded anew for this.
        """
        own = os.path.join(self.venvs, requirements_digest(self.python, text))
        if local or os.path.isfile(os.path.join(own, COMPLETE)):
            return own
        return os.path.join(self.common, shared_venvs.name(self.common, self.python, text) or "unknown")

    def _pinned(self, auto):
        """What venv() returns where a lock says what is needed; constraints have no say in what it pins.

        ``auto``: as requirements_auto.Found tells it, ``steps`` being left out where nothing is to be installed.
        """
        text = "auto %s" % auto["digest"]
        if auto["local"] and not self.wanted["path"]:
            text += "\n# %s" % self.id
        path = self._place(text, auto["local"])
        return {
            "name": self.name,
            "path": path,
            "complete": os.path.isfile(os.path.join(path, COMPLETE)),
            "requirements": None,
            "lines": [],
            "local": auto["local"],
            "constraints": [],
            "steps": auto.get("steps"),
        }

    def _kept(self):
        """What venv() returns of a release that is to be live with the virtualenv that it had."""
        path = None if self.wanted.get("bare") else self.wanted.get("had") or self.had
        if path is None:
            return None
        told = {"name": self.name, "path": path, "complete": os.path.isfile(os.path.join(path, COMPLETE))}
        return dict(told, requirements=None, lines=[], local=False, constraints=[])

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

    def fill(self, *args, **kwargs):
        """Make the virtualenv that the code needs, as _fill() does; returns whether it was not there."""
        venv = self.venv()
        if venv is None:
            return False
        if self.wanted.get("pinned") and not venv["complete"]:
            raise ReleaseError("%s: the virtualenv of the release %s is gone; run site.yml" % (self.name, self.id))
        common = venv["path"] is not None and os.path.dirname(venv["path"]) == self.common
        if venv["complete"]:
            if common:
                # Another run that removes what nobody has a link to yet sees that somebody wants it.
                os.utime(venv["path"], None)
            return False
        if venv["path"] is None or venv.get("steps", []) is None:
            raise ReleaseError("%s: there is no folder %s on the host; put the code there" % (self.name, self.code))
        if not common:
            self._gated(self.venvs, PASSED)
            self._fill(venv, *args, **kwargs)
            return True
        shared_venvs.prepare(self.common)
        with shared_venvs.claimed(self.venv()["path"]):
            # Whoever had it before may have filled it.
            venv = self.venv()
            if not venv["complete"]:
                self._fill(venv, *args, **kwargs)
        return True

    def _fill(self, venv, builders, venv_command, pip, pip_args, pip_env=None, pip_cert=None, brought=None, uv=None):
        """Make a virtualenv; one that an interrupted run left is made anew.

        ``builders``: a build_account.Pool; ``venv_command``: words that make a virtualenv when its path is appended;
        ``pip``: the pip that it gets, as a requirement; ``pip_args``: further words for `pip install`, ``pip_env``:
        settings of pip's, which its process list does not show; ``pip_cert``: the CA bundle; ``brought``: wheels that
        the controller has brought (brought_wheels.Brought); ``uv``: a uv_tool.Uv, which fills it where it can be told
        all that pip is told.
        """
        self._no_index = bool((pip_env or {}).get("PIP_NO_INDEX"))
        with builders.lease() as builder:
            if os.path.lexists(venv["path"]):
                discard(venv["path"])
            environment = surroundings(builder.home, pip_env)
            if pip_cert:
                environment["PIP_CERT"] = readable(builder, pip_cert)
            wanted, names, texts = self._bring(builder, venv)
            limits = self._limit(builder, venv["constraints"])
            builder.own(venv["path"])
            python = os.path.join(venv["path"], "bin", "python")
            run_pip = [python, "-m", "pip"]
            install = run_pip + ["install"] + list(pip_args)
            # A Python that only takes pips up to some release may come with one that knows no wheels of today.
            newer = ["--upgrade"] if "<" in (pip or "") else []
            first = install + limits + newer + [pip] if pip else None
            folder = brought.unpack(builder, self.name) if brought else None
            if folder:
                environment["PIP_FIND_LINKS"] = folder
                if "--without-pip" in venv_command:
                    first = brought.first_pip(python, folder, pip)
            whole, optional = "steps" in venv, None
            if uv and not uv.why_not(environment, texts, pip_args, bool(limits), whole):
                venv_command, first = uv.make(venv_command), None if whole else uv.seed(python, environment)
                optional = first
                # Of the steps of a lock each says itself whether it has checksums.
                install = uv.words(python, () if whole else texts, environment)
                environment = uv.environment(environment, builder.home, whole)
            if venv.get("steps") == []:
                # Nothing says what the code needs: what this Python has may be meant, as it is without requirements.
                venv_command, first = list(venv_command) + ["--system-site-packages"], None

            def run(words):
                place = os.path.join(builder.home, "code")
                return builder.run(words, place, environment, [venv["path"]], venv_command[:1])

            calls = [install + limits + words for words in wanted]
            for words in [list(venv_command) + [venv["path"]], first] + calls:
                status, said = run(words) if words else (0, "")
                if status != 0 and words is not optional:
                    self._tell(words, status, said, names, limits)
            if limits and self.wanted.get("bounds") and self.python == LEGACY:
                # What packages ask for comes before the bounds, as what the requirements say does; where pip finds
                # nothing that they ask for, what it has put there stays.
                left = constraints.without_clashes(venv["constraints"], run(run_pip + ["check"])[1])
                if left != venv["constraints"]:
                    run(install + self._limit(builder, left) + wanted[0])
            self._hand_over(builder, venv["path"], venv_command[:1])
        with open(os.path.join(venv["path"], COMPLETE), "w"):
            pass

    def _hand_over(self, builder, path, programs):
        """Make a virtualenv root's that a builder has filled, and let in who runs from it."""
        forget_origins(builder, path)
        self._take_over(builder, path, programs)
        if os.path.dirname(path) == self.common:
            shared_venvs.let_in(path)
        else:
            _gate(path, self.wanted["group"])

    def _tell(self, words, status, said, names, limits):
        """Fail with what a call said; ``names``: paths that it may name, and what they stand for."""
        text = build_failure.message(words, status, said, "requirements")
        for here, there in names:
            text = text.replace(here, there)
        raise ReleaseError("%s: %s" % (self.name, self._of_limits(text, limits)))

    def _bring(self, builder, venv):
        """Put before a builder what pip reads; returns words for pip by call, and two more things.

        They are pairs of paths there and what they stand for, and the texts that pip reads.

        The code comes as a copy of the builder's own: a build writes into what it builds.
        """
        code, lists = os.path.join(builder.home, "code"), os.path.join(builder.home, "requirements")
        for folder in (code, lists):
            builder.own(folder)
        if venv["local"]:
            with tree.packed(self.who, self.code, self.wanted["exclude"], self.venvs) as copy:
                as_account(builder.who, lambda: unpack(copy, code, checked=False), (ReleaseError,))
        if "steps" in venv:
            return self._bring_steps(builder, venv["steps"], code, lists)
        sources = self._named(venv["lines"]) if venv["requirements"] is None else [venv["requirements"]]
        files = [item for source in sources for item in self.requirement_files(source)]
        places = dict((path, os.path.join(lists, "%d.txt" % number)) for number, (path, _text) in enumerate(files))
        root = os.path.realpath(self.code)
        for path in places if venv["local"] else ():
            # What they name by relative paths is found where they lie.
            if path.startswith(root + "/"):
                places[path] = code + path[len(root) :]
        for path, text in files:
            lines = [self._line(line, os.path.dirname(path), places) for line in native(text).splitlines()]
            content = encoded("\n".join(lines) + "\n")
            as_account(builder.who, lambda place=places[path], content=content: _write(place, content))
        names = sorted(((here, there) for there, here in places.items()), reverse=True) + [(code, self.code)]
        texts = ["\n".join(venv["lines"])] + [native(text) for _path, text in files]
        if venv["requirements"] is None:
            return [self._words(venv["lines"], places)], names, texts
        return [["-r", places[files[0][0]]]], names, texts

    @staticmethod
    def _bring_steps(builder, steps, code, lists):
        """The same for the steps of a lock, of which each is a file; its paths lead into the copy of the code."""
        words, texts = [], []
        for number, step in enumerate(steps):
            path = os.path.join(lists, "step-%d.txt" % number)
            lines = [code + line[1:] if line[:1] == "." else line for line in [native(line) for line in step["lines"]]]
            texts.append("\n".join(lines) + "\n")
            as_account(builder.who, lambda path=path, text=texts[-1]: _write(path, encoded(text)))
            words.append((["--require-hashes"] if step["hashed"] else []) + ["--no-deps", "-r", path])
        return words, [(code, "the code")], texts

    def _limit(self, builder, lines):
        """Put constraints before a builder; returns words for pip."""
        if not lines:
            return []
        # Beside the folder of the requirements, whose files the user's own may name.
        folder = os.path.join(builder.home, "limits")
        path = os.path.join(folder, "constraints.txt")
        builder.own(folder)
        as_account(builder.who, lambda: _write(path, encoded("\n".join(lines) + "\n")))
        return ["--constraint", path]

    def _of_limits(self, text, words):
        """The text of a failure, which says whose constraints pip speaks of."""
        if not words or not re.search(r"constraint\)|\(from -c |%s" % re.escape(words[1]), text.partition("\n")[2]):
            return text
        return (
            "%s\nConstraints of uwsgi_pip_constraints hold for Python %s; write a version in the requirements, which "
            "comes before the role's own bounds, name another file in uwsgi_pip_constraints, or set it to ''"
            % (text.replace(words[1], "uwsgi_pip_constraints"), self.python)
        )

    def _line(self, line, folder, places):
        """A line of requirements as the builder reads it: includes lead to its copies, an index may not be asked."""
        include = _INCLUDE.match(line)
        if include:
            other = os.path.realpath(os.path.join(folder, include.group(2)))
            if other in places and "://" not in include.group(2):
                return include.group(1) + places[other] + line[include.end() :]
        if _EDITABLE.match(line):
            self._refuse_editable()
            return _EDITABLE.sub("", line)
        return "" if self._no_index and _INDEX.match(line) else line

    def _words(self, lines, places):
        """The requirements as words of a command."""
        found = []
        for line in [self._line(line, self.code, places) for line in lines]:
            option = _OPTION.match(line)
            found += list(option.groups()) if option else [line]
        return [word for word in found if word]

    def _refuse_editable(self):
        """A release does not change, so that an editable install of it and one that copies are the same."""
        if self.wanted["path"]:
            raise ReleaseError(
                "%s: its requirements have an editable install (-e) of code at path, which is built from a copy; leave "
                "-e out, or the line: the code's folder is found without it" % self.name
            )

    def _take_over(self, builder, path, named):
        """Have root own the virtualenv: a copy of the builder's, which goes."""
        try:
            tree.settle(path, builder, grp.getgrnam(self.wanted["group"]).gr_gid, named)
        except (tree.TreeError, UnsafePath) as error:
            raise ReleaseError("%s: its virtualenv was not taken over: %s" % (self.name, error))

    @property
    def had(self):
        """The virtualenv that the release, or code that is not ours, has at present; None without one."""
        try:
            return os.readlink(self._venv_link)
        except OSError:
            return None

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
        if os.path.islink(self._venv_link):
            self.venv_before = os.path.basename(os.readlink(self._venv_link))
            if self.wanted.get("bare"):
                os.unlink(self._venv_link)
                moved = True
        if venv:
            if not venv["complete"]:
                raise ReleaseError("%s: its virtualenv %s is not complete; make it first" % (self.name, venv["path"]))
            # Code that is not ours has nothing else there.
            make_folders(os.path.dirname(self._venv_link))
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
        if self.wanted.get("bare") and os.path.islink(self._venv_link):
            return True
        return not self.wanted["path"] and self.current != self.id

    def surplus(self, keep):
        """The releases that are too many once ours is live. The one that was live before stays in any case: processes
        run on it until they are reloaded, and it is the way back. So does one that a process is still in, such as a
        timer's job that takes the night, with its virtualenv."""
        live = self.id or self.current
        before = self.before or self.current
        found = []
        # Those that never were live do not count among those that are kept as ways back.
        never_live, gone = release_records.aside(self.releases, (live, before))
        for name in os.listdir(self.releases) if os.path.isdir(self.releases) else []:
            path = os.path.join(self.releases, name)
            if name in never_live:
                continue
            # Whatever else a person put there is not ours.
            if RELEASE_ID.match(name) and os.path.isdir(path) and not os.path.islink(path):
                found.append((name != live, name != before, -os.stat(path).st_mtime, name))
        here = any(name == live for _live, _before, _age, name in found)
        left = [name for _live, _before, _age, name in sorted(found)[max(keep, 2) - (0 if here else 1) :]] + gone
        folders = procfs.folders() if left else ()
        paths = dict((name, os.path.realpath(os.path.join(self.releases, name))) for name in left)
        return [name for name in left if not any((path + "/").startswith(paths[name] + "/") for path in folders)]

    def prune(self, keep):
        """Remove the releases that are too many, and virtualenvs that none uses any more; returns the former."""
        sweep(self.releases)
        sweep(self.venvs)
        removed = self.surplus(keep)
        for name in removed:
            discard(os.path.join(self.releases, name))
        release_records.Records(self.releases).forget()
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
