# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A lock over a play: one run of Ansible at a time works on a set of a host.

Nothing of Ansible's lives on a host between two tasks, so that the lock is a note of who holds it. A holder is dead
where the controller that it ran on says so (the challenger is on the same one), or where it has not renewed its note
for LEASE seconds. Who finds its note gone, or another's in its place, does nothing more.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import contextlib
import fcntl
import json
import os
import time

from ansible_collections.graceful.wsgi.plugins.module_utils import layout
from ansible_collections.graceful.wsgi.plugins.module_utils.disk import encoded, lock_file, make_folders, native
from ansible_collections.graceful.wsgi.plugins.module_utils.whole_files import replace_bytes

# It is gone with the next boot.
FOLDER = os.path.join(layout.RUN_STATE_DIR, "plays")
# Seconds after which nobody waits for a holder of whom nothing was heard.
LEASE = 900
# In the place of a set: all of the host.
ALL = "*"
# What tells one run of Ansible from another.
IDENTITY = ("machine", "pid", "started")


class Lost(Exception):
    """The lock is another run's by now."""


class PlayLock:
    """The lock of a set of this host. ``holder``: who runs the play, with IDENTITY and ``by``.

    ``scope``: the part of the play that takes it. A run may take it in several parts, one within another, as where
    tasks of a user's own reload an application, and holds it until the last of them has given it back.
    """

    def __init__(self, publish_set, holder, scope="", folder=FOLDER, now=time.time):
        self.set, self.holder, self.scope, self.folder, self.now = publish_set, holder, scope, folder, now

    def _path(self, publish_set):
        return os.path.join(self.folder, "%s.json" % ("all" if publish_set == ALL else "set-" + publish_set))

    @contextlib.contextmanager
    def _claimed(self):
        """Nobody else reads or writes a note."""
        make_folders(self.folder)
        with lock_file(os.path.join(self.folder, "lock")) as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield

    @staticmethod
    def _read(path):
        try:
            with open(path, "rb") as source:
                found = json.loads(source.read().decode("utf-8"))
        except (IOError, OSError, ValueError):
            return None
        return found if isinstance(found, dict) else None

    def _is_ours(self, note):
        return all(note.get(key) == self.holder[key] for key in IDENTITY)

    def _others(self):
        """{path: note} that this one must not be beside: those of its set and of all, or any where it is for all."""
        names = [native(name) for name in sorted(os.listdir(self.folder)) if name.endswith(".json")]
        paths = [os.path.join(self.folder, name) for name in names]
        if self.set != ALL:
            paths = [path for path in paths if path in (self._path(self.set), self._path(ALL))]
        notes = dict((path, self._read(path)) for path in paths)
        return dict((path, note) for path, note in notes.items() if note and not self._is_ours(note))

    def take(self, dead=()):
        """Take it, or tell who holds it: a note, or None. ``dead``: holders that are known to be gone.

        Their notes go: a set that is removed is taken by nobody again, and whoever was silent for too long and lives
        after all does nothing more.
        """
        dead = [[note.get(key) for key in IDENTITY] for note in dead]
        with self._claimed():
            others = self._others()
            for path in sorted(others):
                note = others[path]
                silent = self.now() - note.get("renewed", 0)
                # Of one on its own machine the challenger knows whether it lives, however long it was silent.
                seen = note.get("machine") == self.holder["machine"]
                lasts = seen or silent < note.get("lease", LEASE)
                if lasts and [note.get(key) for key in IDENTITY] not in dead:
                    return dict(note, silent=int(silent))
            for path in others:
                os.unlink(path)
            mine = self._read(self._path(self.set))
            mine = mine if mine and self._is_ours(mine) else {}
            # What runs within a longer part must not shorten its lease.
            lease = max(LEASE, mine.get("renewed", 0) + mine.get("lease", 0) - self.now())
            self._write(mine.get("since", self.now()), self._scopes(mine) + [self.scope], lease)
        return None

    def _scopes(self, note):
        """The other parts of the play that hold it."""
        return [scope for scope in note.get("scopes", []) if scope != self.scope]

    def _write(self, since, scopes, lease=LEASE):
        note = dict(self.holder, set=self.set, since=since, renewed=self.now(), lease=lease, scopes=scopes)
        replace_bytes(self._path(self.set), encoded(json.dumps(note, sort_keys=True)))

    def renew(self, lease=LEASE):
        """Say that the play lives, and for how many seconds it may be silent now. Raises Lost."""
        with self._claimed():
            note = self._read(self._path(self.set))
            if note is None or not self._is_ours(note):
                by = "nobody holds it" if note is None else "%s holds it" % note.get("by")
                raise Lost(
                    "this run has lost its lock of %s: %s now; it was silent for more than %d s. Run it again"
                    % (told_set(self.set), by, LEASE)
                )
            self._write(note.get("since"), note.get("scopes", [self.scope]), lease)

    def release(self):
        """Give it back, if it is ours; whoever has taken all off the host has taken the note, too.

        Where a part of the play that this one runs within has taken it, it stays taken.
        """
        if not os.path.isdir(self.folder):
            return
        with self._claimed():
            note = self._read(self._path(self.set))
            if not note or not self._is_ours(note):
                return
            others = self._scopes(note)
            if others:
                self._write(note.get("since"), others, note.get("lease", LEASE))
            else:
                os.unlink(self._path(self.set))


def told_set(publish_set):
    """What a lock is of, in a message."""
    return "all that is published on this host" if publish_set == ALL else "the set %s" % publish_set


def refusal(note, waited):
    """Why a run cannot go on: who holds the lock."""
    since = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(note.get("since", 0)))
    return (
        "another run works on %s of this host: %s, process %s there, since %s UTC, last heard of %s s ago%s; wait for "
        "it (publish_lock_timeout: seconds to wait), nothing was changed. If it is dead: on its own machine the next "
        "run goes through at once, from another one %d s after it was last heard of"
        % (
            told_set(note.get("set")),
            note.get("by"),
            note.get("pid"),
            since,
            note.get("silent"),
            "; waited for it for %d s" % waited if waited else "",
            LEASE,
        )
    )
