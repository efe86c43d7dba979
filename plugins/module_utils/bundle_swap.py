# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The steps by which files change places, each of which can be put back: what a journal of a bundle holds."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os

from ansible_collections.graceful.wsgi.plugins.module_utils import safe_path
from ansible_collections.graceful.wsgi.plugins.module_utils.disk import native
from ansible_collections.graceful.wsgi.plugins.module_utils.whole_files import (
    content_of,
    lstat,
    sha256,
    untrusted_folder,
    write_bytes,
)


def plan(token, entries, states, removed):
    """What a swap does: ``new`` is staged beside ``path``, ``old`` keeps what was live, ``after`` our text.

    ``entries``: files that are replaced as a whole; ``states``: what becomes of each path; ``removed``: paths that go.
    """
    steps = []
    for entry in entries:
        beside = os.path.join(os.path.dirname(entry.path), ".%s-%d" % (token, len(steps)))
        old = beside + ".old" if states[entry.path] == "changed" else None
        steps.append({"path": entry.path, "new": beside + ".new", "old": old, "after": sha256(entry.content)})
    for path in sorted(removed):
        beside = os.path.join(os.path.dirname(path), ".%s-%d" % (token, len(steps)))
        steps.append({"path": path, "new": None, "old": beside + ".old", "after": None})
    return steps


def of_journal(journal):
    """The steps that a journal holds, as plan() makes them."""
    return [dict((key, native(value)) for key, value in step.items()) for step in journal["steps"]]


def take(steps, entries, relabel):
    """Stage all files, and then put each in its place."""
    for number, entry in enumerate(entries):
        step = steps[number]
        write_bytes(step["new"], entry.content, settle=entry.settle)
        relabel(step["new"], entry.path)
    for step in steps:
        if step["new"] is None:
            os.rename(step["path"], step["old"])
            continue
        if step["old"] is not None:
            os.link(step["path"], step["old"])
        os.rename(step["new"], step["path"])


def undo(steps):
    """Put back what was live before a swap, last step first; returns what could not be, and why."""
    failed = []
    for step in reversed(steps):
        try:
            _undo_step(step)
        except (IOError, OSError) as error:
            failed.append(str(error))
    return failed


def _undo_step(step):
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


def clean(steps):
    """Remove what a swap has beside the live files."""
    for step in steps:
        for name in ("new", "old"):
            if step[name] is not None:
                safe_path.remove_tree(step[name])
