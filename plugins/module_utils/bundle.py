# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A set of files that is written as a whole or not at all."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import base64
import errno
import fcntl
import grp
import hashlib
import json
import os
import pwd
import re
import shutil
import stat
import tempfile

from ansible_collections.graceful.wsgi.plugins.module_utils import hidden, nginx_loading, ownership, safe_path
from ansible_collections.graceful.wsgi.plugins.module_utils.disk import make_folders, native, no_room

STATE_DIR = ownership.STATE_DIR
NAME = re.compile(r"[0-9A-Za-z][0-9A-Za-z_.-]{0,79}\Z")


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


def sha256(content):
    return hashlib.sha256(content).hexdigest()


def octal(text):
    """A mode as a number; 0644 without quotes arrives as the decimal 420, which must not pass for octal."""
    if text is None:
        return None
    if not re.match(r"0[0-7]{3,4}\Z", text):
        raise BundleError("mode %s: write it as quoted octal digits with a leading zero, such as '0644'" % text)
    return int(text, 8)


def copy_tree(root, copy):
    """Copy a folder with its symlinks: what led into it leads into the copy, what led out leads where it did."""
    os.mkdir(copy)
    for base, folders, files in os.walk(root):
        for name in folders + files:
            source = os.path.join(base, name)
            target = os.path.join(copy, os.path.relpath(source, root))
            kind = os.lstat(source).st_mode
            if stat.S_ISLNK(kind):
                leads = os.path.normpath(os.path.join(base, os.readlink(source)))
                os.symlink(copy + leads[len(root):] if (leads + "/").startswith(root + "/") else leads, target)
            elif stat.S_ISDIR(kind):
                os.mkdir(target)
            elif stat.S_ISREG(kind):
                shutil.copy(source, target)


def own_folder(copy, relative):
    """Make a folder in a copied tree; one that a symlink puts outside is copied in, so that none writes through it."""
    path = copy
    for part in relative.split("/") if relative else []:
        path = os.path.join(path, part)
        if os.path.islink(path):
            leads = os.path.realpath(path)
            if (leads + "/").startswith(os.path.realpath(copy) + "/"):
                continue
            os.unlink(path)
            if os.path.isdir(leads):
                copy_tree(leads, path)
        if not os.path.isdir(path):
            os.mkdir(path)


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
            raise BundleError("another run is writing the bundle %s on this host; wait for it, run again" % self.name)
        return self

    def __exit__(self, *_exc):
        self.handle.close()


class Bundle:
    """The wanted set beside what an earlier run wrote.

    ``run_command(argv_or_string)`` returns (status, stdout, stderr). ``relabel(path, like)`` gives ``path`` the
    SELinux context that ``like`` should have; a no-op elsewhere. ``activate`` is a command that makes running programs
    take the files up; a note on the disk sees to it that it runs again if this run dies in it. ``undo`` is the run
    whose changes are put back, in place of ``files``; only the last one that changed something can be. ``remove``:
    paths that an earlier run wrote and that are to go, as all of them that are not wanted any more do with ``prune``.
    A journal names every file that a swap has beside the live ones: the next run puts back what a killed one left.
    The manifest, written last, is what makes a swap final. ``report()`` is true to what was or would be done.
    ``digest`` names all that is wanted; ``verified_digest()`` tells it for as long as that stands as it was left.
    A file that another bundle wrote, or that is there, is not as wanted and was written by no bundle, is refused, or,
    with ``take_over``, kept aside and replaced.
    ``nginx``: the pid file of the nginx that ``activate`` reloads, whose master is then looked at.
    ``leave_to_others``: folders of a tree. Where the tree is refused only for what other bundles have there, this
    bundle's files of that tree are ``left`` to a bundle that brings both: it takes them as ``carried``, a Bundle too.
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
        undo=None,
        remove=(),
        digest=None,
        take_over=False,
        nginx=None,
        leave_to_others=(),
        carried=None,
    ):
        self.name = name
        self.nginx = nginx
        self.leave_to_others = [folder.rstrip("/") + "/" for folder in leave_to_others]
        self.left = []
        self.why_left = ""
        self.carried = carried
        self.carrying = False
        self.state_dir = state_dir
        self.take_over = take_over
        self.taken = {}
        self.others = {}
        self.not_ours = set()
        self.digest = digest
        self.undo = undo
        self.remove = set(remove)
        self.stale = []
        self.token = None
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
        self.secrets = set()
        self.belongings = {}
        self.found = {}
        self.kept = []
        self.validated = True
        self.interrupted = False
        self.overdue = False
        if not NAME.match(name):
            raise BundleError("%r is no name of a bundle; letters, digits, dots, dashes and underscores are" % name)
        twice = [entry.path for entry in files]
        twice = sorted(set(path for path in twice if twice.count(path) > 1))
        if twice:
            raise BundleError("%s: wanted twice in one bundle" % ", ".join(twice))

    # -- what is to be done -------------------------------------------------------------------------------------

    def _load(self, name):
        path = os.path.join(self.home, name)
        return {} if lstat(path) is None else json.loads(read_bytes(path).decode("utf-8"))

    def _manifest(self):
        return dict((native(path), digest) for path, digest in self._load("manifest.json").get("files", {}).items())

    def _belongings(self):
        """What each file belongs to, as far as earlier runs were told: {path: name}."""
        noted = self._load("manifest.json").get("belongs_to", {})
        return dict((native(path), native(name)) for path, name in noted.items())

    def _secrets(self):
        """Paths of files whose values are shown nowhere, by what earlier runs recorded and by what is wanted."""
        earlier = [native(path) for path in self._load("manifest.json").get("secret", [])]
        return set(earlier + [entry.path for entry in self.files if entry.secret])

    def _plan_undo(self):
        """Want what was live before the run that is undone; what somebody has changed since is left alone."""
        last, kept = self._load("manifest.json").get("run"), self._load("previous.json")
        if self.undo != last or self.undo != kept.get("run"):
            raise BundleError("run %s cannot be put back; the last that changed something is %s" % (self.undo, last))
        for item in kept["files"]:
            path = native(item["path"])
            if item.get("secret"):
                self.secrets.add(path)
            if untrusted_folder(path):
                # A log of an earlier version's making, which is its application's.
                continue
            content = content_of(path)
            if (None if content is None else sha256(content)) != item["after"]:
                self.kept.append(path)
            elif item["content"] is None:
                self.removed[path] = content
            else:
                if not item.get("ours", True):
                    self.not_ours.add(path)
                self._restore_folder(os.path.dirname(path))
                content = base64.b64decode(item["content"].encode("ascii"))
                about = dict((key, item[of]) for key, of in (("mode", "mode"), ("owner", "uid"), ("group", "gid")))
                self.files.append(File(path, content, belongs_to=item.get("belongs_to"), **about))

    def _restore_folder(self, path):
        """Want a folder that went with its last file."""
        if lstat(path) is None and all(folder.path != path for folder in self.folders):
            self.folders.append(Folder(path, mode=0o755))

    def _keep(self, token):
        """Note what was live before this swap, so that it can be put back."""
        files = []
        recorded = self._manifest()
        for entry in self._swapped():
            ours = entry.path in recorded
            item = {"path": entry.path, "after": sha256(entry.content), "content": None, "ours": ours}
            if entry.before is not None:
                item.update(_whole(entry.before, entry.found))
            files.append(item)
        for path, content in sorted(self.removed.items()):
            files.append(dict(_whole(content, self.found[path]), path=path, after=None))
        belongings = self._belongings()
        for item in files:
            item["secret"] = item["path"] in self.secrets
            item["belongs_to"] = belongings.get(item["path"])
        text = json.dumps({"run": token, "files": files}).encode("utf-8")
        replace_bytes(os.path.join(self.home, "previous.json"), text)

    def _survey(self):
        # Now, since what goes is not recorded any more afterwards.
        self.secrets, self.belongings = self._secrets(), self._belongings()
        if self.undo is not None:
            self._plan_undo()
        self.overdue = bool(self.activate) and lstat(self._note) is not None
        for folder in self.folders:
            self.folder_states[folder.path] = folder.state()
        for entry in self.files:
            self.states[entry.path] = entry.state()
        self.others = ownership.others(self.name, self.state_dir)
        if self.undo is None:
            self._survey_owners()
        if self.carried:
            self.carried._survey_carried()
            self.states.update(self.carried.states)
            self.secrets.update(self.carried.secrets)
        self._survey_stale()
        self.found = dict((path, lstat(path)) for path in self.removed)

    def _survey_carried(self):
        """Look at files that another bundle left to the one that carries them."""
        self.secrets = self._secrets()
        for entry in self.files:
            self.states[entry.path] = entry.state()
        self.others = ownership.others(self.name, self.state_dir)
        self._survey_owners()

    def _survey_owners(self):
        """Refuse what is somebody else's, or note that it is taken over: {path: the bundle that had it, or None}."""
        own = self._manifest()
        left = ownership.interrupted(self.name, self.state_dir)
        message = []
        for entry in self.files:
            # What is only made where nothing is there, a log say, replaces nobody's.
            if not entry.force:
                continue
            digest = None if entry.before is None else sha256(entry.before)
            other = ownership.claimant(entry.path, digest, own, self.others)
            if other:
                message.append("%s: is of %s" % (entry.path, ownership.called(other)))
            elif entry.path in own or entry.path in left or entry.before in (None, entry.content):
                continue
            else:
                message.append("%s: is there, and nothing of this collection wrote it" % entry.path)
            self.taken[entry.path] = other
        if message and not self.take_over:
            hint = "choose another name, move the file away, or say by the role's take_over variable that it may go"
            raise BundleError("%s; %s" % ("\n".join(message), hint))

    def _take(self):
        """Keep a copy of what is taken over."""
        for entry in self.files:
            if entry.path in self.taken and entry.before is not None:
                ownership.keep(entry.path, entry.before, entry.found, self.state_dir)

    def _disclaim(self):
        """Have the bundles that had what was taken over forget it: their next run must not take it for stale."""
        for path, other in self.taken.items():
            home = os.path.join(self.state_dir, other or "")
            manifest = json.loads(read_bytes(os.path.join(home, "manifest.json")).decode("utf-8")) if other else {}
            if path in manifest.get("files", {}):
                del manifest["files"][path]
                manifest.get("belongs_to", {}).pop(path, None)
                manifest["set"] = None
                text = json.dumps(manifest, indent=1, sort_keys=True).encode("utf-8")
                replace_bytes(os.path.join(home, "manifest.json"), text)

    def _survey_stale(self):
        """Tell what earlier runs wrote and nobody wants any more, and choose what of it goes."""
        recorded = self._manifest()
        for path in sorted(set(recorded) - set(self.states) - set(self.removed)):
            if lstat(path) is None:
                continue
            if any(path in files for files in self.others.values()):
                # Another bundle has taken it over: it is not ours to remove any more.
                self.not_ours.add(path)
                continue
            self.stale.append(path)
            if not self.prune and path not in self.remove:
                continue
            content = None if untrusted_folder(path) else content_of(path)
            # What is not as we left it is somebody's.
            if content is not None and sha256(content) == recorded[path]:
                self.removed[path] = content
            else:
                self.kept.append(path)

    def _todo(self):
        todo = [entry for entry in self.files if self.states[entry.path] != "unchanged"]
        return todo + (self.carried._todo() if self.carrying else [])

    def _swapped(self):
        """What is replaced as a whole; what is only made where nothing is there, a log say, takes no part in that."""
        return [entry for entry in self._todo() if entry.force]

    @property
    def _note(self):
        return os.path.join(self.home, "not-activated")

    @property
    def _journal(self):
        return os.path.join(self.home, "journal.json")

    @property
    def changed(self):
        return bool(
            self.overdue
            or self.interrupted
            or self._todo()
            or self.removed
            or [state for state in self.folder_states.values() if state != "unchanged"]
        )

    # -- validation on a staged copy ----------------------------------------------------------------------------

    def _call(self, command):
        try:
            return self.run_command(command)
        except (IOError, OSError) as error:
            return 127, "", str(error)

    def _run(self, command, what, copy, live):
        program = command.split()[0]
        # On a new host check mode comes before the program that would judge the files.
        folders = os.environ.get("PATH", os.defpath).split(":")
        if self.check_mode and not any(os.path.exists(os.path.join(folder, program)) for folder in folders):
            self.validated = False
            return
        status, out, err = self._call(command)
        if status != 0:
            text = "%s is not valid, the live files are untouched: %s said (status %d):\n%s" % (
                what, command, status, (out + err).strip()
            )
            # The user is to read the live path, not that of a copy that is gone by then.
            raise BundleError(text.replace(copy, live))

    def _stage_tree(self, root, stage):
        copy = os.path.join(stage, os.path.basename(root))
        if os.path.isdir(root):
            copy_tree(root, copy)
        else:
            os.mkdir(copy)
        contents = dict((path, None) for path in self.removed)
        contents.update((entry.path, entry.content) for entry in self._todo())
        for path, content in contents.items():
            if path.startswith(root + "/"):
                relative = path[len(root) + 1:]
                own_folder(copy, os.path.dirname(relative))
                target = os.path.join(copy, relative)
                unlink(target)
                if content is not None:
                    write_bytes(target, content)
        return copy

    def _validate(self, stage):
        """Judge it all; what another bundle left is judged and brought with it, or else left where it is."""
        self.carrying = self.carried is not None
        try:
            self._judge(stage)
        except BundleError as error:
            if self.carrying:
                self.carrying = False
                try:
                    self._judge(tempfile.mkdtemp(dir=stage))
                except BundleError:
                    text = "%s\nThis was tested together with %s, which waits for these files."
                    raise BundleError(text % (error, ", ".join(entry.path for entry in self.carried._todo())))
            else:
                self._leave(error, stage)

    def _leave(self, error, stage):
        """Leave files to a bundle that brings what they need, if that is all that is wrong with them; else raise."""
        theirs = sorted(path for files in self.others.values() for path in files if self._is_left_out(path))
        if not theirs or not self.trees:
            raise error
        try:
            self._judge(tempfile.mkdtemp(dir=stage), without=theirs)
        except BundleError:
            raise error
        roots = [os.path.normpath(tree["tree"]) + "/" for tree in self.trees]
        self.left = [entry for entry in self._todo() if entry.path.startswith(tuple(roots))]
        self.why_left = str(error)
        self.files = [entry for entry in self.files if entry not in self.left]
        for entry in self.left:
            del self.states[entry.path]
            self.taken.pop(entry.path, None)

    def _is_left_out(self, path):
        return path.startswith(tuple(self.leave_to_others)) if self.leave_to_others else False

    def _judge(self, stage, without=()):
        """Test all changes; ``without``: as if these files were not there."""
        for number, entry in enumerate(self._todo()):
            if entry.validate:
                folder = os.path.join(stage, "file%d" % number)
                os.mkdir(folder)
                # The name stays, since uWSGI tells the format by its ending.
                copy = os.path.join(folder, os.path.basename(entry.path))
                write_bytes(copy, entry.content)
                self._run(entry.validate.replace("%s", copy), entry.path, copy, entry.path)
        # A folder that check mode did not make (a log folder, say) would fail a test that is fine on the real run.
        missing = self.check_mode and "created" in self.folder_states.values()
        for number, tree in enumerate(self.trees):
            root = os.path.normpath(tree["tree"])
            touched = list(self.removed) + [entry.path for entry in self._todo()]
            if not any(path.startswith(root + "/") for path in touched):
                continue
            if missing:
                self.validated = False
                continue
            folder = os.path.join(stage, "tree%d" % number)
            os.mkdir(folder)
            copy = self._stage_tree(root, folder)
            for path in without:
                if path.startswith(root + "/"):
                    unlink(os.path.join(copy, path[len(root) + 1:]))
            self._run(tree["command"].replace("{tree}", copy), root, copy, root)

    # -- the swap -----------------------------------------------------------------------------------------------

    def _run_activate(self):
        if lstat(self._note) is None:
            write_bytes(self._note, b"")
        self.activated = True
        # Before, since it is the former workers that are looked at; files too, as they are when they are read.
        try:
            reload = self.nginx and nginx_loading.Reload(self.nginx)
            status, out, err = self._call(self.activate)
            if status != 0:
                raise BundleError("%s failed (status %d):\n%s" % (self.activate, status, (out + err).strip()))
            if reload:
                reload.finish()
        except nginx_loading.LoadError as error:
            raise BundleError(str(error))

    def _steps(self, token):
        """What a swap does: ``new`` is staged beside ``path``, ``old`` keeps what was live, ``after`` our text."""
        steps = []
        for entry in self._swapped():
            beside = os.path.join(os.path.dirname(entry.path), ".%s-%d" % (token, len(steps)))
            old = beside + ".old" if self.states[entry.path] == "changed" else None
            steps.append({"path": entry.path, "new": beside + ".new", "old": old, "after": sha256(entry.content)})
        for path in sorted(self.removed):
            beside = os.path.join(os.path.dirname(path), ".%s-%d" % (token, len(steps)))
            steps.append({"path": path, "new": None, "old": beside + ".old", "after": None})
        return steps

    def _swap(self, token):
        self._take()
        steps = self._steps(token)
        journal = {"run": token, "steps": steps}
        if self.carrying:
            self.carried._take()
            # Whoever of the two comes first after this run was killed puts all of it back.
            journal["with"] = self.carried.name
        replace_bytes(self._journal, json.dumps(journal).encode("utf-8"))
        try:
            for number, entry in enumerate(self._swapped()):
                step = steps[number]
                write_bytes(step["new"], entry.content, settle=entry.settle)
                self.relabel(step["new"], entry.path)
            for step in steps:
                if step["new"] is None:
                    os.rename(step["path"], step["old"])
                    continue
                if step["old"] is not None:
                    os.link(step["path"], step["old"])
                os.rename(step["new"], step["path"])
            if self.activate:
                self._run_activate()
            self._keep(token)
            self._record(token)
            if self.carrying:
                self.carried._record()
            self.token = token
        except (IOError, OSError, BundleError) as error:
            raise BundleError("%s%s; %s" % (error, no_room(error), self._back(steps)))
        except BaseException:
            self._back(steps)
            raise
        self._clean(steps)

    def _back(self, steps):
        """Put everything back and have the programs take that up; says what came of it."""
        failed = self._undo(steps)
        # If this fails too, the note makes the next run try again.
        if self.activated and self._call(self.activate)[0] == 0 and not failed:
            unlink(self._note)
        if failed:
            return "NOT everything could be put back, the next run tries again: %s" % "; ".join(failed)
        self._clean(steps)
        return "everything was put back"

    def _undo(self, steps):
        """Put back what was live before a swap, last step first; returns what could not be, and why."""
        failed = []
        for step in reversed(steps):
            try:
                self._undo_step(step)
            except (IOError, OSError) as error:
                failed.append(str(error))
        return failed

    def _undo_step(self, step):
        path, new, old = step["path"], step["new"], step["old"]
        if untrusted_folder(path):
            # A log that a killed run of an earlier version had made: it is its application's.
            return
        content = content_of(path)
        # What somebody else put there meanwhile stays.
        ours = content is not None and sha256(content) == step["after"]
        if old is None:
            # Created; but as long as the staged file is there, what is at the path is not ours.
            if ours and lstat(new) is None:
                os.unlink(path)
            return
        kept = lstat(old)
        # A rename onto another name of the same file does nothing, so there is no need to tell that case apart.
        if kept is not None and (ours or lstat(path) is None):
            os.rename(old, path)

    def _clean(self, steps):
        """Remove what a swap has beside the live files, and last the journal that names it."""
        for step in steps:
            for name in ("new", "old"):
                if step[name] is not None:
                    safe_path.remove_tree(step[name])
        unlink(self._journal)

    def _recover_carriers(self):
        """Put back what a killed run of another bundle left that carried files of this one."""
        for name in sorted(filter(NAME.match, os.listdir(self.state_dir))):
            other = Bundle(name, [], [], [], self.run_command, self.relabel, state_dir=self.state_dir)
            if other.name != self.name and other._load("journal.json").get("with") == self.name:
                with Lock(other.home, other.name):
                    other._recover()

    def _recover(self):
        """Finish what a killed run left: put its swap back, or clean up behind it if it was final."""
        journal = self._load("journal.json")
        self.interrupted = bool(journal) and journal["run"] != self._load("manifest.json").get("run")
        if self.check_mode:
            return
        for name in os.listdir(self.home):
            if name.startswith("stage-"):
                shutil.rmtree(os.path.join(self.home, name))
            elif name.endswith(".new"):
                os.unlink(os.path.join(self.home, name))
        if journal:
            steps = [dict((key, native(value)) for key, value in step.items()) for step in journal["steps"]]
            failed = self._undo(steps) if self.interrupted else []
            if failed:
                raise BundleError("an earlier run was interrupted and cannot be put back: %s" % "; ".join(failed))
            self._clean(steps)

    def _remove_empty_folders(self):
        """Remove the folders that runs of this bundle made and whose last file has gone now, such as drop-ins."""
        made, wanted = made_folders(self._load("manifest.json")), set(folder.path for folder in self.folders)
        for path in sorted(set(os.path.dirname(path) for path in self.removed), reverse=True):
            if path in made - wanted and not untrusted_folder(path):
                try:
                    os.rmdir(path)
                except OSError as error:
                    # What somebody else has put there keeps it.
                    if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT, errno.EBUSY):
                        raise

    def _record(self, token=None):
        recorded = self._manifest()
        files, belongings = {} if self.prune and not self.left else dict(recorded), self._belongings()
        for entry in self.files:
            # What is only made where nothing is there, a log say, is not ours from then on.
            if entry.force:
                files[entry.path] = sha256(entry.content)
                belongings[entry.path] = entry.belongs_to
        for path in list(self.removed) + self.kept + sorted(self.not_ours):
            files.pop(path, None)
        whole = self.digest and self.undo is None and not self.remove and not (self.stale and not self.prune)
        whole = whole and not self.left
        manifest = {
            "files": files,
            "belongs_to": dict((path, name) for path, name in belongings.items() if name and path in files),
            "run": token or self._load("manifest.json").get("run"),
            "set": self._set() if whole else None,
            # So that no diff shows them when they go, or come back.
            "secret": sorted(self.secrets.intersection(files)),
            "folders": sorted(self._made_folders()),
        }
        text = json.dumps(manifest, indent=1, sort_keys=True).encode("utf-8")
        path = os.path.join(self.home, "manifest.json")
        if lstat(path) is None or read_bytes(path) != text:
            replace_bytes(path, text)

    def _made_folders(self):
        """The folders that runs of this bundle have made, be they put back since."""
        made = [path for path, state in self.folder_states.items() if state == "created"]
        return made_folders(self._load("manifest.json")).union(made)

    def _set(self):
        """All that verified_digest() compares; of a file that is only made where nothing is, that it is there."""
        files = dict(
            (entry.path, [sha256(entry.content), _owned(entry)] if entry.force else []) for entry in self.files
        )
        folders = dict((folder.path, _owned(folder) if folder.force else []) for folder in self.folders)
        return {"digest": self.digest, "files": files, "folders": folders}

    # -- the whole ----------------------------------------------------------------------------------------------

    def _work(self, stage):
        self._survey()
        if not self.check_mode:
            for folder in self.folders:
                if self.folder_states[folder.path] != "unchanged":
                    if folder.write(self.folder_states[folder.path]):
                        self.relabel(folder.path, folder.path)
        self._validate(stage)
        if self.check_mode:
            return
        for entry in self._todo():
            if not entry.force and entry.make():
                self.relabel(entry.path, entry.path)
        if self._swapped() or self.removed:
            self._swap(os.path.basename(stage)[len("stage-"):])
            self._remove_empty_folders()
        else:
            if self.overdue:
                self._run_activate()
            self._record()
        self._disclaim()
        if self.carrying:
            self.carried._disclaim()
        if self.activated:
            unlink(self._note)

    def _work_in(self, stage):
        try:
            self._work(stage)
        finally:
            shutil.rmtree(stage)

    def run(self):
        """Do it all (or, in check mode, all but the writing)."""
        try:
            if self.check_mode:
                self._recover()
                self._work_in(tempfile.mkdtemp(prefix="graceful-wsgi-"))
                return
            if not os.path.isdir(self.home):
                make_folders(os.path.dirname(self.home))
                os.mkdir(self.home, 0o700)
            with Lock(self.home, self.name):
                self._recover_carriers()
                self._recover()
                if self.carried is None:
                    self._work_in(tempfile.mkdtemp(prefix="stage-", dir=self.home))
                    return
                with Lock(self.carried.home, self.carried.name):
                    self._work_in(tempfile.mkdtemp(prefix="stage-", dir=self.home))
        except safe_path.UnsafePath as error:
            raise BundleError(str(error))
        except (IOError, OSError) as error:
            raise BundleError(str(error) + no_room(error))

    def report(self):
        """Result per file and folder, and a diff for each change: [{before, after, before_header, after_header}]."""
        written = self.files + (self.carried.files if self.carrying else [])
        files = [{"dest": entry.path, "state": self.states[entry.path]} for entry in written]
        files += [{"dest": path, "state": "removed"} for path in sorted(self.removed)]
        return {
            "left": {"files": sorted(entry.path for entry in self.left), "message": self.why_left} if self.left else {},
            "carried": self.carrying,
            "changed": self.changed,
            "validated": self.validated,
            "activated": self.activated,
            "kept": self.kept,
            "stale": self.stale,
            "taken": sorted(self.taken),
            # Who removes what belongs to stale files, units say, must not remove another's.
            "others": sorted(set(path for files in self.others.values() for path in files)) if self.stale else [],
            "belongs_to": self._belongings_told() if self.stale else {},
            "run": self.token,
            "files": files,
            "directories": [{"path": f.path, "state": self.folder_states[f.path]} for f in self.folders],
        }

    def _belongings_told(self):
        """What stale files and those of other bundles belong to, as far as it was noted."""
        found = {}
        for files in self.others.values():
            found.update(files.belongs_to)
        # Before this run they were still in the manifest, and what is in no set any more may be in none by now.
        found.update((path, self.belongings[path]) for path in self.stale if path in self.belongings)
        return found

    def diff(self):
        """Unified-diff material for every change, folders included."""
        diffs = []
        for folder in self.folders:
            state = self.folder_states[folder.path]
            if state != "unchanged":
                diffs.append(_diff(folder.path, _attributes(folder.found), _wanted(folder)))
        for entry in self._todo():
            before = "" if entry.before is None else entry.before.decode("utf-8", "replace")
            after = entry.content.decode("utf-8", "replace")
            if before == after:
                before, after = _attributes(entry.found), _wanted(entry)
            else:
                before, after = (hidden.secrets if entry.path in self.secrets else hidden.environment)(before, after)
            diffs.append(_diff(entry.path, before, after))
        for path in sorted(self.removed):
            hide = hidden.secrets if path in self.secrets else hidden.environment
            diffs.append(_diff(path, hide(self.removed[path].decode("utf-8", "replace"), "")[0], ""))
        return diffs


def made_folders(manifest):
    """The folders that runs made, as a manifest tells; before they were listed, all of a run counted as such."""
    listed = manifest.get("folders")
    if listed is None:
        listed = (manifest.get("set") or {}).get("folders", {})
    return set(native(path) for path in listed)


def _owned(entry):
    """Mode, owner and group of what was written; names as they were wanted, since their numbers may change."""
    found = os.lstat(entry.path)
    owner, group = entry.names
    return [
        stat.S_IMODE(found.st_mode),
        found.st_uid if owner is None else owner,
        found.st_gid if group is None else group,
    ]


def _still_owned(path, owned):
    try:
        entry = Entry(path, *owned)
    except BundleError:
        return False
    return not entry.differs(os.lstat(path))


def verified_digest(name, state_dir=STATE_DIR):
    """The digest of the set that a bundle's last run left, if all of it still stands so; else an empty text."""
    home = os.path.join(state_dir, name)
    manifest = content_of(os.path.join(home, "manifest.json"))
    unfinished = [lstat(os.path.join(home, left)) for left in ("journal.json", "not-activated")]
    whole = json.loads(manifest.decode("utf-8")).get("set") if manifest else None
    if not whole or any(found is not None for found in unfinished):
        return ""
    for path, wanted in whole["folders"].items():
        path = native(path)
        if not os.path.isdir(path) or (wanted and (os.path.islink(path) or not _still_owned(path, wanted))):
            return ""
    for path, wanted in whole["files"].items():
        path = native(path)
        if not stat.S_ISREG(getattr(lstat(path), "st_mode", 0)):
            return ""
        if wanted and (not _still_owned(path, wanted[1]) or sha256(read_bytes(path)) != wanted[0]):
            return ""
    return whole["digest"]


def _whole(content, found):
    """All that brings a file back, as JSON can hold it."""
    text = base64.b64encode(content).decode("ascii")
    return {"content": text, "mode": stat.S_IMODE(found.st_mode), "uid": found.st_uid, "gid": found.st_gid}


def _attributes(found):
    if found is None:
        return ""
    return "mode %04o uid %d gid %d\n" % (stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid)


def _wanted(entry):
    parts = []
    if entry.mode is not None:
        parts.append("mode %04o" % entry.mode)
    for kind, number in (("uid", entry.uid), ("gid", entry.gid)):
        if number is not None:
            parts.append("%s %s" % (kind, number if number >= 0 else "(new)"))
    return " ".join(parts) + "\n"


def _diff(path, before, after):
    return {"before_header": path, "after_header": path, "before": before, "after": after}
