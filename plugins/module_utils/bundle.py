# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A set of files that is written as a whole or not at all."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import base64
import errno
import fcntl
import json
import os
import re
import shutil
import stat
import tempfile

from ansible_collections.graceful.wsgi.plugins.module_utils import (
    bundle_diff,
    bundle_swap,
    drained,
    nginx_loading,
    ownership,
    safe_path,
)
from ansible_collections.graceful.wsgi.plugins.module_utils.bundle_entries import (
    BundleError,
    File,
    Folder,
    owned,
)
from ansible_collections.graceful.wsgi.plugins.module_utils.bundle_trial import Trial
from ansible_collections.graceful.wsgi.plugins.module_utils.disk import make_folders, native, no_room
from ansible_collections.graceful.wsgi.plugins.module_utils.manifests import made_folders
from ansible_collections.graceful.wsgi.plugins.module_utils.whole_files import (
    content_of,
    lstat,
    read_bytes,
    replace_bytes,
    sha256,
    unlink,
    untrusted_folder,
    write_bytes,
)

STATE_DIR = ownership.STATE_DIR
NAME = re.compile(r"[0-9A-Za-z][0-9A-Za-z_.-]{0,79}\Z")


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
        self._check()

    def _check(self):
        if not NAME.match(self.name):
            text = "%r is no name of a bundle; letters, digits, dots, dashes and underscores are"
            raise BundleError(text % self.name)
        twice = [entry.path for entry in self.files]
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
        # Under the lock, which whoever takes a host out of upstreams takes too.
        drained.settle(self.files)
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

    def todo(self):
        """The files that are not as they are wanted, those of a bundle that this one carries among them."""
        todo = [entry for entry in self.files if self.states[entry.path] != "unchanged"]
        return todo + (self.carried.todo() if self.carrying else [])

    def _swapped(self):
        """What is replaced as a whole; what is only made where nothing is there, a log say, takes no part in that."""
        return [entry for entry in self.todo() if entry.force]

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
            or self.todo()
            or self.removed
            or [state for state in self.folder_states.values() if state != "unchanged"]
        )

    # -- validation on a staged copy ----------------------------------------------------------------------------

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
                    raise BundleError(text % (error, ", ".join(entry.path for entry in self.carried.todo())))
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
        self.left = [entry for entry in self.todo() if entry.path.startswith(tuple(roots))]
        self.why_left = str(error)
        self.files = [entry for entry in self.files if entry not in self.left]
        for entry in self.left:
            del self.states[entry.path]
            self.taken.pop(entry.path, None)

    def _is_left_out(self, path):
        return path.startswith(tuple(self.leave_to_others)) if self.leave_to_others else False

    def _judge(self, stage, without=()):
        """Test all changes; ``without``: as if these files were not there."""
        # A folder that check mode did not make (a log folder, say) would fail a test that is fine on the real run.
        missing = self.check_mode and "created" in self.folder_states.values()
        trial = Trial(self.trees, self.todo(), self.removed, self._call, self.check_mode, missing)
        trial.judge(stage, without)
        self.validated = self.validated and trial.whole

    def _call(self, command):
        try:
            return self.run_command(command)
        except (IOError, OSError) as error:
            return 127, "", str(error)

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

    def _swap(self, token):
        self._take()
        steps = bundle_swap.plan(token, self._swapped(), self.states, self.removed)
        journal = {"run": token, "steps": steps}
        if self.carrying:
            self.carried._take()
            # Whoever of the two comes first after this run was killed puts all of it back.
            journal["with"] = self.carried.name
        replace_bytes(self._journal, json.dumps(journal).encode("utf-8"))
        try:
            bundle_swap.take(steps, self._swapped(), self.relabel)
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
        failed = bundle_swap.undo(steps)
        # If this fails too, the note makes the next run try again.
        if self.activated and self._call(self.activate)[0] == 0 and not failed:
            unlink(self._note)
        if failed:
            return "NOT everything could be put back, the next run tries again: %s" % "; ".join(failed)
        self._clean(steps)
        return "everything was put back"

    def _clean(self, steps):
        """Remove what a swap has beside the live files, and last the journal that names it."""
        bundle_swap.clean(steps)
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
            steps = bundle_swap.of_journal(journal)
            failed = bundle_swap.undo(steps) if self.interrupted else []
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
            (entry.path, [sha256(entry.content), owned(entry)] if entry.force else []) for entry in self.files
        )
        folders = dict((folder.path, owned(folder) if folder.force else []) for folder in self.folders)
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
        for entry in self.todo():
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
        """See bundle_diff.diff()."""
        return bundle_diff.diff(self)


def _whole(content, found):
    """All that brings a file back, as JSON can hold it."""
    text = base64.b64encode(content).decode("ascii")
    return {"content": text, "mode": stat.S_IMODE(found.st_mode), "uid": found.st_uid, "gid": found.st_gid}
