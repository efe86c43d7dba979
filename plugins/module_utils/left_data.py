# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Code and logs of applications that are published no more, and what a first run made that came to nothing.

What a set drops is noted with its folders, so that a later run finds them; nothing of an application that any set of
the host publishes is ever among them.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import errno
import glob
import os
import re
import stat

from ansible_collections.graceful.wsgi.plugins.module_utils import (
    layout,
    left_notes,
    ownership,
    release_records,
    safe_path,
)
from ansible_collections.graceful.wsgi.plugins.module_utils.disk import STATE_DIR, native
from ansible_collections.graceful.wsgi.plugins.module_utils.whole_files import content_of, unlink

# Where an application's processes stand, as its configuration has it: in a release, or in code of its own.
_PLACE = re.compile(r"(?<![-\w])chdir2?[\"']?\s*[=:>]\s*[\"']?(/[^\s\"'<,]+)")
_CONFIG = re.compile(r"(?m)^ExecStart=\S+ --(?:ini|json|xml|yaml) (/\S+)$")
# What a first run makes of an application, as the modules take it.
SPEC = {
    "type": "list",
    "elements": "dict",
    "default": [],
    "options": {
        "name": {"type": "str", "required": True},
        "dropins": {"type": "list", "elements": "path", "required": True},
        "folders": {"type": "list", "elements": "path", "required": True},
        "files": {"type": "list", "elements": "path", "required": True},
        "clones": {"type": "list", "elements": "path", "required": True},
        "home": {"type": "path"},
    },
}


def own_places(config, home):
    """Where the processes of a configuration stand, unless in a release below the application's folder."""
    releases = tuple(os.path.join(home, part) + "/" for part in ("current", "releases"))
    return [place for place in _PLACE.findall(config) if not (place + "/").startswith(releases)]


def made_for(app, roots, places=None):
    """The folders that were made for an application; one that holds code of its own (``path``) is somebody's.

    ``roots``: folders in which it has one of its name, that of the code first. ``places``: its own_places(), which are
    else looked for in its configuration, as long as there is one.
    """
    if places is None:
        places, home = [], os.path.join(roots[0], app) if roots else ""
        for dropin in glob.glob(layout.DROPINS):
            found = layout.parse_dropin(dropin)
            if found and app == found[1]:
                for config in _CONFIG.findall(native(content_of(dropin) or b"")):
                    places += own_places(native(content_of(config) or b""), home)
    folders = [os.path.join(root, app) for root in roots]
    return [path for path in folders if not any((place + "/").startswith(path + "/") for place in places)]


def published():
    """The applications that any set of this host publishes."""
    names = set()
    for bundle, files in ownership.others("").items():
        if layout.parse_bundle(bundle):
            names.update(ownership.published(files, files.belongs_to)[0])
    return names


def _there(paths):
    return [path for path in paths if os.path.lexists(path)]


def there(gone):
    """The folders of {application: [folders]} that are there, sorted."""
    return sorted(path for paths in gone.values() for path in _there(paths))


def note(name, gone, check_mode=False):
    """Note what a set drops, {application: [folders]}; whoever had dropped them before has nothing left of them."""
    if check_mode or not gone:
        return
    for app in gone:
        # That its code loads tells nobody anything any more.
        unlink(os.path.join(STATE_DIR, "loads-" + app))
        unlink(os.path.join(layout.OWED_DIR, app))
        unlink(release_records.kept_in(app))
    for other in left_notes.sets():
        if other != name:
            mine = set(path for paths in gone.values() for path in paths)
            found = left_notes.noted(other).items()
            left_notes.write(other, dict((app, paths) for app, paths in found if not mine.intersection(paths)))
    left_notes.write(name, dict(left_notes.noted(name), **gone))


def left(name, gone, check_mode=False):
    """The folders that this set's dropped applications have left, sorted; ``gone``: what this very run drops.

    Forgets what is there no more, or is an application's again.
    """
    found, live = dict(left_notes.noted(name), **gone), published()
    if check_mode:
        # They are still published.
        live -= set(gone)
    kept = dict((app, _there(paths)) for app, paths in found.items() if app not in live)
    kept = dict((app, paths) for app, paths in kept.items() if paths)
    if not check_mode:
        left_notes.write(name, kept)
    return sorted(path for paths in kept.values() for path in paths)


def nobodys(root, gone=()):
    """Folders of code below a root that no set publishes and none has noted: of a run before there were notes."""
    known = published().union(gone)
    known.update(app for other in left_notes.sets() for app in left_notes.noted(other))
    found = []
    for name in sorted(os.listdir(root)) if os.path.isdir(root) else []:
        path = os.path.join(root, native(name))
        if native(name) in known or os.path.islink(path):
            continue
        if any(_roots_folder(os.path.join(path, part)) for part in ("releases", "venvs")):
            found.append(path)
    return found


def _roots_folder(path):
    try:
        found = os.lstat(path)
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()


# -- a first run that failed ----------------------------------------------------------------------------------------


def fresh(apps):
    """What a run would make of these applications that is not there yet; none of those that are published already.

    ``apps``: {name, dropins, folders, files, clones} each; ``clones`` are made before anybody can ask, and go with the
    first of the folders. Returns the same with what is missing.
    """
    found = []
    for app in apps:
        if _there(app["dropins"]):
            continue
        missing = dict((key, [path for path in app[key] if not os.path.lexists(path)]) for key in ("folders", "files"))
        if app["folders"][0] in missing["folders"]:
            missing["folders"] += app["clones"]
        if missing["folders"] or missing["files"]:
            found.append(dict(app, home=app["folders"][0], **missing))
    return found


def undo(apps, check_mode=False):
    """Remove what a run has made of applications that it has not published after all; {name: [paths]}.

    ``apps``: of fresh(). What is in a folder that was there before stays but for the files that are named. Accounts
    stay: their numbers would become another's, and with them whatever they have written.
    """
    removed = {}
    for app in apps:
        if _there(app["dropins"]):
            # It is published.
            continue
        paths = _there(app["files"]) + _there(app["folders"])
        if not check_mode:
            # An earlier run may have noted that it loads.
            unlink(os.path.join(STATE_DIR, "loads-" + app["name"]))
            unlink(os.path.join(layout.OWED_DIR, app["name"]))
            if app.get("home"):
                release_records.keep(app["name"], app["home"])
        for path in paths if not check_mode else []:
            _remove(path)
        if paths:
            removed[app["name"]] = paths
    return removed


def _remove(path):
    """Remove a file or a folder; in another account's folder with the rights of that account."""
    try:
        folder, name = safe_path.split(path)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            return
        raise
    with folder:
        if folder.trusted:
            folder.remove(name)
            return
        owner = folder.stat()
    who = {"uid": owner.st_uid, "gid": owner.st_gid, "groups": []}
    safe_path.as_account(who, lambda: _unlink(path))


def _unlink(path):
    try:
        if os.path.isdir(path) and not os.path.islink(path):
            os.rmdir(path)
        else:
            os.unlink(path)
    except OSError as error:
        # A folder that holds something else is not ours alone.
        if error.errno not in (errno.ENOENT, errno.ENOTEMPTY, errno.EEXIST, errno.EACCES, errno.EPERM):
            raise
