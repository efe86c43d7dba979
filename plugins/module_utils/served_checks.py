# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whether nginx's workers can read what they are to serve: each step of the way, the folder, what lies in it."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import errno
import grp
import os
import stat

from ansible_collections.graceful.wsgi.plugins.module_utils import layout, nginx_files, safe_path
from ansible_collections.graceful.wsgi.plugins.module_utils.disk import native

# An account that owns nothing, for a host on which nginx's is not made yet.
NOBODY = 65534
# Files that are looked at below one folder; a release of an application has fewer.
ENOUGH = 5000

OPTIONS = {
    "variable": {"type": "str", "required": True},
    # The folder (or the one file, with `file`), absolute; `release`: a part of the code that a release brings.
    "path": {"type": "str", "required": True},
    "file": {"type": "bool", "default": False},
    "release": {"type": "str"},
    # Who reads, and the groups that the run adds to those it has.
    "user": {"type": "str", "required": True},
    "groups": {"type": "list", "elements": "str", "default": []},
}
SPEC = {"type": "list", "elements": "dict", "default": [], "options": OPTIONS}


def reader(user, groups):
    """Uid, gid and groups of nginx's workers as they will be."""
    try:
        who = safe_path.account(user)
    except KeyError:
        who = {"uid": NOBODY, "gid": NOBODY, "groups": []}
    for name in groups:
        try:
            who["groups"].append(grp.getgrnam(name).gr_gid)
        except KeyError:
            continue
    return who


def _missing(path, error):
    """The first component that is not there, and the one that is."""
    there = path
    while there != "/" and not os.path.lexists(there):
        there = os.path.dirname(there)
    name = path[len(there):].strip("/").split("/")[0]
    return {"lacks": "there", "at": there, "name": name, "text": error.strerror}


def _look(path, is_file):
    """What keeps the account that runs this from a path: {} or what is lacking where."""
    parts = [part for part in path.split("/") if part]
    for length in range(1, len(parts) + 1):
        here = "/" + "/".join(parts[:length])
        try:
            found = os.stat(here)
        except OSError as error:
            if error.errno == errno.EACCES:
                return {"lacks": "search", "at": os.path.dirname(here)}
            return _missing(path, error)
        if length < len(parts) and not stat.S_ISDIR(found.st_mode):
            return {"lacks": "folder", "at": here}
    if is_file:
        if not stat.S_ISREG(found.st_mode):
            return {"lacks": "file", "at": path}
        return {} if os.access(path, os.R_OK) else {"lacks": "read", "at": path}
    if not stat.S_ISDIR(found.st_mode):
        return {"lacks": "folder", "at": path}
    if not os.access(path, os.X_OK):
        return {"lacks": "search", "at": path}
    return _sample(path)


def _sample(path):
    """Of the files in a folder those that cannot be read: {} or how many of how many, and the first."""
    seen, closed, first = 0, 0, None
    for base, folders, files in os.walk(path):
        # What begins with a dot is nobody's to ask for, and what is behind a link is judged where that is served.
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(folders + files):
            here = os.path.join(base, name)
            if name.startswith(".") or os.path.islink(here):
                continue
            fine = os.access(here, os.X_OK if name in folders else os.R_OK)
            if not fine:
                closed += 1
                first = first or here
            # A folder that can be entered says nothing of what lies in it.
            seen += 0 if fine and name in folders else 1
        if seen > ENOUGH:
            break
    return {"lacks": "files", "at": first, "closed": closed, "seen": seen} if closed else {}


def _shown(path):
    """A component as `ls -ld` shows it."""
    try:
        found = os.stat(path)
    except OSError:
        return path
    owner = "%s:%s" % (safe_path.account_name(found.st_uid), safe_path.group_name(found.st_gid))
    return "%s (%s, mode %04o)" % (path, owner, stat.S_IMODE(found.st_mode))


def problem(check, path):
    """None, or what is wrong and how to mend it; a warning is (None, text)."""
    user = native(check["user"])
    who = reader(user, [native(name) for name in check.get("groups") or []])
    told = safe_path.as_account(who, lambda: _look(path, check.get("file")))
    if not told:
        return None
    lacks, here = told["lacks"], native(told["at"])
    release = native(check.get("release"))
    nobody = "nginx's workers (%s)" % user
    # With its own rights: it may have put a link there, which root's chmod would follow.
    run = "run `" + ("runuser -u %s -- " % check["by"] if check.get("by") else "")
    if lacks == "there":
        if release is not None:
            message = "the release has no %s: %s holds no %s" % (release, here, native(told["name"]))
            return message, "correct the path, which is relative to the code, or have the code bring it"
        message = "there is no %s (%s is there, and holds no %s)" % (path, here, native(told["name"]))
        return message, "make it on the host, or correct the path"
    if lacks in ("folder", "file"):
        return "%s is no %s" % (_shown(here), "folder" if lacks == "folder" else "regular file"), "correct the path"
    if lacks == "search":
        message = "%s lets %s not pass, and %s would answer 403" % (_shown(here), nobody, path)
        hint = run + "chmod o+x %s`, or `setfacl -m u:%s:x %s` for nginx alone, or keep what is served elsewhere"
        return message, hint % (here, user, here)
    if lacks == "read":
        return "%s cannot be read by %s" % (_shown(here), nobody), run + "chmod o+r %s`" % here
    message = "%d of %d files and folders in %s cannot be read by %s, first %s" % (
        told["closed"], told["seen"], path, nobody, _shown(here)
    )
    hint = run + "chmod -R a+rX %s`, and let what writes there have the umask 022" % path
    if release is None and told["closed"] < told["seen"]:
        # Somebody may mean it so; that all of them are closed, nobody does.
        return None, "%s: %s; %s" % (native(check["variable"]), message, hint)
    if release is not None:
        hint = "let the files of the code be readable where they come from (chmod -R a+rX)"
    return message, hint


def _problems(checks, warn, path_of, live=lambda path: False):
    found = []
    for check in checks:
        path = path_of(check)
        told = problem(check, path) if path else None
        if told and told[0] is not None and live(path):
            told = (None, "%s: %s; %s" % ((native(check["variable"]),) + told))
        if told and told[0] is None:
            warn(told[1])
        elif told:
            found.append((check["variable"],) + told)
    return found


def _owner(path):
    """The account besides root that owns a component of what is there of a path, None where there is none.

    What it does there is not root's to mend.
    """
    while not os.path.lexists(path):
        path = os.path.dirname(path)
    parts = [part for part in path.split("/") if part]
    owners = [os.lstat("/" + "/".join(parts[:length])).st_uid for length in range(1, len(parts) + 1)]
    return next((uid for uid in owners if uid not in (0, os.geteuid())), None)


def served(checks, tools, conf=layout.NGINX_CONF):
    """Refuse what lies on the host already and is out of nginx's reach.

    What is live and lies in another account's folder is only told: its owner must not be able to stop root's next run.
    """
    known = []

    def live(path):
        if not known:
            known.append(nginx_files.served(conf))
        return path in known[0] and _owner(path) is not None

    return _problems(checks, tools.warn, lambda check: native(check["path"]), live)


def in_releases(checks, replace, warn):
    """Problems of what a release brings; ``replace``: {path: where it will lead}, once the release is there."""

    def path_of(check):
        path = native(check["path"])
        for live in sorted(replace, key=len, reverse=True):
            if (path + "/").startswith(live + "/"):
                whole = replace[live] + path[len(live):]
                return whole if os.path.isdir(replace[live]) else None
        return None

    # What outlives a release is its account's, whose uploads must not be able to stop root's next run.
    ours, theirs = [], []
    for check in checks:
        owner = _owner(path_of(check) or "/")
        if owner is None:
            ours.append(check)
        else:
            theirs.append(dict(check, release=None, by=safe_path.account_name(owner)))
    return _problems(ours, warn, path_of) + _problems(theirs, warn, path_of, lambda path: True)


KINDS = {"served": served}
