# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The notes of what sets have dropped and left, by which a later run finds it."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import json
import os

from ansible_collections.graceful.wsgi.plugins.module_utils import ownership
from ansible_collections.graceful.wsgi.plugins.module_utils.disk import encoded, make_folders, native
from ansible_collections.graceful.wsgi.plugins.module_utils.whole_files import content_of, replace_bytes

# {application: [folders]} of each set that has dropped some.
NOTES = os.path.join(os.path.dirname(ownership.STATE_DIR), "dropped")


def note_of(name):
    """The path of the note of a set."""
    return os.path.join(NOTES, name + ".json")


def noted(name):
    """What a set has dropped and left, {application: [folders]}."""
    content = content_of(note_of(name))
    found = json.loads(content.decode("utf-8")) if content else {}
    return dict((native(app), [native(path) for path in paths]) for app, paths in found.items())


def sets():
    """The sets that have noted something."""
    return [native(name)[: -len(".json")] for name in sorted(os.listdir(NOTES) if os.path.isdir(NOTES) else [])]


def all_noted():
    """The folders of all that any set has dropped and left."""
    return set(path for name in sets() for paths in noted(name).values() for path in paths)


def write(name, found):
    path = note_of(name)
    if found == noted(name):
        return
    if not found:
        os.unlink(path)
        return
    make_folders(NOTES)
    replace_bytes(path, encoded(json.dumps(found, indent=1, sort_keys=True)))
