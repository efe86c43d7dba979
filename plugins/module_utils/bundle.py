# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A set of files that is written as a whole or not at all."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import errno
import fcntl
import grp
import hashlib
import json
import os
import pwd
import shutil
import stat
import tempfile

STATE_DIR = "/var/lib/graceful-wsgi/bundles"


class BundleError(Exception):
    """The set cannot be written; the live files are as they were."""


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
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    with os.fdopen(handle, "rb") as source:
        return source.read()


def write_bytes(path, content, mode=0o600):
    """Write a new file and bring it to the disk; fails where the name is taken."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    with os.fdopen(handle, "wb") as target:
        target.write(content)
        target.flush()
        os.fsync(target.fileno())


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
    """A file or folder that is wanted. ``mode`` is an int, ``owner`` and ``group`` names, numbers or None."""

    def __init__(self, path, mode=None, owner=None, group=None, check_mode=False):
        self.path = os.path.normpath(path)
        self.mode = mode
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

    def settle(self, path):
        """Give ``path`` the wanted owner and mode; chown first, since it clears setuid bits."""
        uid = -1 if self.uid is None else self.uid
        gid = -1 if self.gid is None else self.gid
        if (uid, gid) != (-1, -1):
            os.lchown(path, uid, gid)
        if self.mode is not None:
            os.chmod(path, self.mode)


class Folder(Entry):
    """A folder that must be there."""

    def state(self):
        found = lstat(self.path)
        if found is None:
            return "created"
        if not stat.S_ISDIR(found.st_mode):
            kind = "a symlink" if stat.S_ISLNK(found.st_mode) else "not a folder"
            raise BundleError("%s: is %s; move it away or name another folder" % (self.path, kind))
        return "changed" if self.differs(found) else "unchanged"

    def write(self, state):
        if state == "created":
            parent = os.path.dirname(self.path)
            if not os.path.isdir(parent):
                os.makedirs(parent, 0o755)
            os.mkdir(self.path, 0o700)
        self.settle(self.path)


class File(Entry):
    """A file that must be there with this content (bytes); without ``force`` one that is there stays as it is."""

    def __init__(self, path, content, validate=None, force=True, **entry):
        Entry.__init__(self, path, **entry)
        self.content = content
        self.validate = validate
        self.force = force
        self.before = None

    def state(self):
        found = lstat(self.path)
        if found is None:
            return "created"
        if not stat.S_ISREG(found.st_mode):
            kind = "a symlink" if stat.S_ISLNK(found.st_mode) else "not a regular file"
            raise BundleError("%s: is %s; move it away, it would not be replaced but followed" % (self.path, kind))
        if not self.force:
            return "unchanged"
        self.before = read_bytes(self.path)
        return "changed" if self.before != self.content or self.differs(found) else "unchanged"


class Lock:
    """One run of a bundle at a time: a second one is told so and does nothing."""

    def __init__(self, folder, name):
        self.path = os.path.join(folder, "lock")
        self.name = name
        self.handle = None

    def __enter__(self):
        self.handle = open(self.path, "a")
        try:
            fcntl.flock(self.handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (IOError, OSError):
            self.handle.close()
            raise BundleError("another run is writing the bundle %r on this host; wait for it and run again" % self.name)
        return self

    def __exit__(self, *_exc):
        self.handle.close()


class Bundle:
    """The wanted set beside what an earlier run wrote.

    ``run_command(argv_or_string)`` returns (status, stdout, stderr). ``relabel(path, like)`` gives ``path`` the
    SELinux context that ``like`` should have; a no-op elsewhere. ``activate`` is a command that makes running programs
    take the files up; a note on the disk sees to it that it runs even if this run dies before it.
    ``report()`` is true to what was or would be done.
    """

    def __init__(
        self,
        name,
        folders,
        files,
        trees,
        run_command,
        relabel,
        prune=False,
        activate=None,
        check_mode=False,
        state_dir=STATE_DIR,
    ):
        self.name = name
        self.folders = folders
        self.files = files
        self.trees = trees
        self.prune = prune
        self.run_command = run_command
        self.relabel = relabel
        self.check_mode = check_mode
        self.activate = activate
        self.activated = False
        self.home = os.path.join(state_dir, name)
        self.states = {}
        self.folder_states = {}
        self.removed = {}
        self.validated = True
        twice = [entry.path for entry in files]
        twice = sorted(set(path for path in twice if twice.count(path) > 1))
        if twice:
            raise BundleError("%s: wanted twice in one bundle" % ", ".join(twice))

    # -- what is to be done -------------------------------------------------------------------------------------

    def _manifest(self):
        path = os.path.join(self.home, "manifest.json")
        if lstat(path) is None:
            return {}
        return json.loads(read_bytes(path).decode("utf-8"))["files"]

    def _survey(self):
        for folder in self.folders:
            self.folder_states[folder.path] = folder.state()
        for entry in self.files:
            self.states[entry.path] = entry.state()
        if self.prune:
            wanted = set(entry.path for entry in self.files)
            for path in sorted(set(self._manifest()) - wanted):
                found = lstat(path)
                if found is not None and stat.S_ISREG(found.st_mode):
                    self.removed[path] = read_bytes(path)

    def _todo(self):
        return [entry for entry in self.files if self.states[entry.path] != "unchanged"]

    @property
    def _note(self):
        return os.path.join(self.home, "not-activated")

    @property
    def _due(self):
        return bool(self.activate and (self._todo() or self.removed or lstat(self._note) is not None))

    @property
    def changed(self):
        return bool(
            self._due
            or self._todo() or self.removed or [state for state in self.folder_states.values() if state != "unchanged"]
        )

    # -- validation on a staged copy ----------------------------------------------------------------------------

    def _run(self, command, what):
        program = command.split()[0]
        # On a new host check mode comes before the program that would judge the files.
        if self.check_mode and not os.path.exists(program):
            self.validated = False
            return
        status, out, err = self.run_command(command)
        if status != 0:
            raise BundleError(
                "%s is not valid, the live files are untouched: %s said (status %d):\n%s"
                % (what, command, status, (out + err).strip())
            )

    def _stage_tree(self, root, stage):
        copy = os.path.join(stage, os.path.basename(root))
        if os.path.isdir(root):
            shutil.copytree(root, copy, symlinks=True)
        else:
            os.mkdir(copy)
        prefix = root.rstrip("/") + "/"
        for path in self.removed:
            if path.startswith(prefix):
                os.unlink(os.path.join(copy, path[len(prefix):]))
        for entry in self._todo():
            if entry.path.startswith(prefix):
                target = os.path.join(copy, entry.path[len(prefix):])
                if not os.path.isdir(os.path.dirname(target)):
                    os.makedirs(os.path.dirname(target))
                if lstat(target) is not None:
                    os.unlink(target)
                write_bytes(target, entry.content)
        return copy

    def _validate(self, stage):
        for number, entry in enumerate(self._todo()):
            if entry.validate:
                folder = os.path.join(stage, "file%d" % number)
                os.mkdir(folder)
                # The name stays, since uWSGI tells the format by its ending.
                copy = os.path.join(folder, os.path.basename(entry.path))
                write_bytes(copy, entry.content)
                self._run(entry.validate.replace("%s", copy), entry.path)
        # A folder that check mode did not make (a log folder, say) would fail a test that is fine on the real run.
        missing = self.check_mode and "created" in self.folder_states.values()
        for number, tree in enumerate(self.trees):
            prefix = tree["tree"].rstrip("/") + "/"
            touched = [path for path in list(self.removed) + [e.path for e in self._todo()] if path.startswith(prefix)]
            if not touched:
                continue
            if missing:
                self.validated = False
                continue
            folder = os.path.join(stage, "tree%d" % number)
            os.mkdir(folder)
            copy = self._stage_tree(tree["tree"].rstrip("/"), folder)
            # The user is to read the live paths, not those of a copy that is gone by then.
            try:
                self._run(tree["command"].replace("{tree}", copy), tree["tree"])
            except BundleError as error:
                raise BundleError(str(error).replace(copy, tree["tree"].rstrip("/")))

    # -- the swap -----------------------------------------------------------------------------------------------

    def _run_activate(self):
        status, out, err = self.run_command(self.activate)
        if status != 0:
            raise BundleError("%s failed (status %d):\n%s" % (self.activate, status, (out + err).strip()))

    def _swap(self):
        staged, done = [], []
        if self.activate and lstat(self._note) is None:
            write_bytes(self._note, b"")
        try:
            for entry in self._todo():
                handle, temporary = tempfile.mkstemp(prefix=".", suffix=".new", dir=os.path.dirname(entry.path))
                staged.append((entry, temporary))
                with os.fdopen(handle, "wb") as target:
                    target.write(entry.content)
                    target.flush()
                    os.fsync(target.fileno())
                entry.settle(temporary)
                self.relabel(temporary, entry.path)
            for entry, temporary in staged:
                kept = None
                if self.states[entry.path] == "changed":
                    kept = temporary[: -len(".new")] + ".old"
                    os.link(entry.path, kept)
                done.append((entry.path, kept))
                os.rename(temporary, entry.path)
            for path in self.removed:
                kept = os.path.join(os.path.dirname(path), ".%s.%d.old" % (os.path.basename(path), os.getpid()))
                done.append((path, kept))
                os.rename(path, kept)
            if self.activate:
                self._run_activate()
        except (IOError, OSError, BundleError) as error:
            self._put_back(done)
            raise BundleError("%s; everything was put back" % error)
        finally:
            for _entry, temporary in staged:
                if lstat(temporary) is not None:
                    os.unlink(temporary)
        for _path, kept in done:
            if kept is not None and lstat(kept) is not None:
                os.unlink(kept)

    def _put_back(self, done):
        for path, kept in reversed(done):
            if kept is None:
                if lstat(path) is not None:
                    os.unlink(path)
            elif lstat(kept) is not None:
                os.rename(kept, path)
        if self.activate:
            # The programs may have taken up some of it; if this fails too, the note makes the next run try again.
            self.run_command(self.activate)

    def _record(self):
        files = dict((entry.path, hashlib.sha256(entry.content).hexdigest()) for entry in self.files)
        if not self.prune:
            files = dict(self._manifest(), **files)
        text = json.dumps({"files": files}, indent=1, sort_keys=True).encode("utf-8")
        path = os.path.join(self.home, "manifest.json")
        if lstat(path) is not None and read_bytes(path) == text:
            return
        temporary = path + ".new"
        if lstat(temporary) is not None:
            os.unlink(temporary)
        write_bytes(temporary, text)
        os.rename(temporary, path)

    # -- the whole ----------------------------------------------------------------------------------------------

    def _work(self, stage):
        self._survey()
        if not self.check_mode:
            for folder in self.folders:
                if self.folder_states[folder.path] != "unchanged":
                    folder.write(self.folder_states[folder.path])
                    self.relabel(folder.path, folder.path)
        self._validate(stage)
        if not self.check_mode:
            if self._todo() or self.removed:
                self._swap()
            elif self._due:
                self._run_activate()
            self.activated = self._due
            self._record()
            if self.activated:
                os.unlink(self._note)

    def run(self):
        """Do it all (or, in check mode, all but the writing)."""
        if self.check_mode:
            stage = tempfile.mkdtemp(prefix="graceful-wsgi-")
            try:
                self._work(stage)
            finally:
                shutil.rmtree(stage)
            return
        if not os.path.isdir(self.home):
            os.makedirs(self.home, 0o700)
        with Lock(self.home, self.name):
            stage = tempfile.mkdtemp(prefix="stage-", dir=self.home)
            try:
                self._work(stage)
            finally:
                shutil.rmtree(stage)

    def report(self):
        """Result per file and folder, and a diff for each change: [{before, after, before_header, after_header}]."""
        files = [{"dest": entry.path, "state": self.states[entry.path]} for entry in self.files]
        files += [{"dest": path, "state": "removed"} for path in sorted(self.removed)]
        return {
            "changed": self.changed,
            "validated": self.validated,
            "activated": self.activated,
            "files": files,
            "directories": [{"path": f.path, "state": self.folder_states[f.path]} for f in self.folders],
        }

    def diff(self):
        """Unified-diff material for every change, folders included."""
        diffs = []
        for folder in self.folders:
            state = self.folder_states[folder.path]
            if state != "unchanged":
                before = "" if state == "created" else _attributes(lstat(folder.path) or None)
                diffs.append(_diff(folder.path, before, "folder %s%s\n" % (state, _wanted(folder))))
        for entry in self._todo():
            before = "" if entry.before is None else entry.before.decode("utf-8", "replace")
            after = entry.content.decode("utf-8", "replace")
            if before == after:
                before, after = "other owner or mode\n", "owner or mode%s\n" % _wanted(entry)
            diffs.append(_diff(entry.path, before, after))
        for path in sorted(self.removed):
            diffs.append(_diff(path, self.removed[path].decode("utf-8", "replace"), ""))
        return diffs


def _attributes(found):
    return "" if found is None else "folder mode %04o uid %d gid %d\n" % (
        stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid)


def _wanted(entry):
    parts = []
    if entry.mode is not None:
        parts.append(" mode %04o" % entry.mode)
    if entry.uid is not None:
        parts.append(" uid %s" % (entry.uid if entry.uid >= 0 else "(new user)"))
    if entry.gid is not None:
        parts.append(" gid %s" % (entry.gid if entry.gid >= 0 else "(new group)"))
    return "".join(parts)


def _diff(path, before, after):
    return {"before_header": path, "after_header": path, "before": before, "after": after}
