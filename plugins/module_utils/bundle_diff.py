# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a run of a bundle changes, as diffs that show no secret."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import stat

from ansible_collections.graceful.wsgi.plugins.module_utils import hidden


def diff(bundle):
    """Unified-diff material for every change, folders included."""
    diffs = []
    for folder in bundle.folders:
        state = bundle.folder_states[folder.path]
        if state != "unchanged":
            diffs.append(_diff(folder.path, _attributes(folder.found), _wanted(folder)))
    for entry in bundle.todo():
        before = "" if entry.before is None else entry.before.decode("utf-8", "replace")
        after = entry.content.decode("utf-8", "replace")
        if before == after:
            before, after = _attributes(entry.found), _wanted(entry)
        else:
            before, after = (hidden.secrets if entry.path in bundle.secrets else hidden.environment)(before, after)
        diffs.append(_diff(entry.path, before, after))
    for path in sorted(bundle.removed):
        hide = hidden.secrets if path in bundle.secrets else hidden.environment
        diffs.append(_diff(path, hide(bundle.removed[path].decode("utf-8", "replace"), "")[0], ""))
    return diffs


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
