# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The accounts of applications: what one of them leaves to the next, and whose groups nginx is a member of."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import grp
import json
import os
import pwd
import stat

from ansible_collections.graceful.wsgi.plugins.module_utils import layout, left_notes, manifests, safe_path
from ansible_collections.graceful.wsgi.plugins.module_utils.disk import native
from ansible_collections.graceful.wsgi.plugins.module_utils.ownership import STATE_DIR
from ansible_collections.graceful.wsgi.plugins.module_utils.procfs import children, read
from ansible_collections.graceful.wsgi.plugins.module_utils.whole_files import content_of

NGINX_PID = layout.NGINX_PIDFILE
# What an instance leaves to another account, as the modules take it.
SPEC = {
    "type": "list",
    "elements": "dict",
    "default": [],
    "options": {
        "name": {"type": "str", "required": True},
        "dropin": {"type": "path", "required": True},
        "user": {"type": "str", "required": True},
        "group": {"type": "str", "required": True},
        "files": {"type": "list", "elements": "path", "default": []},
        "folders": {"type": "list", "elements": "path", "default": []},
        "before": {"type": "str"},
    },
}
# Accounts that are to be members of a group, as the modules take them.
MEMBERS = {
    "type": "list",
    "elements": "dict",
    "default": [],
    "options": {"user": {"type": "str", "required": True}, "group": {"type": "str", "required": True}},
}


def _uid(user):
    try:
        return pwd.getpwnam(user).pw_uid
    except KeyError:
        return None


def is_member(user, group):
    """Whether an account is one of a group, by its own entry or the group's; None where one of the two is missing."""
    try:
        found, known = grp.getgrnam(group), pwd.getpwnam(user)
    except KeyError:
        return None
    return user in found.gr_mem or known.pw_gid == found.gr_gid


def _groups(pid):
    """The numbers of a process's groups."""
    for line in native(read("/proc/%d/status" % pid)).splitlines():
        if line.startswith("Groups:"):
            return set(int(word) for word in line.split()[1:])
    return set()


def missing_members(wanted, pid_file=NGINX_PID):
    """Those of ``[{user, group}]`` that are not there yet, or that no worker of a running nginx has as a group.

    A worker has the groups that there were when it began: a run may have ended before nginx was told.
    """
    if not wanted:
        return []
    master = native(read(pid_file)).strip()
    workers = [_groups(pid) for pid in children(int(master))] if master.isdigit() else []
    found = []
    for item in wanted:
        known = is_member(item["user"], item["group"])
        if not known or (workers and not any(grp.getgrnam(item["group"]).gr_gid in groups for groups in workers)):
            found.append(item)
    return found


def user_of(dropin):
    """The account that a drop-in of ours names; None where there is no drop-in, or it names none."""
    text = content_of(dropin)
    names = [line[len("User="):].strip() for line in native(text or b"").splitlines() if line.startswith("User=")]
    return names[-1] if names else None


def _owner(folder):
    """The account that has a folder; None where it is not there, or its owner has no name."""
    try:
        with safe_path.Folder(folder) as found:
            return pwd.getpwuid(found.stat().st_uid).pw_name
    except (KeyError, OSError, safe_path.UnsafePath):
        return None


def _dropped():
    """The folders that logs of what a set has dropped lie in: of its own, and of its home."""
    kept = left_notes.all_noted()
    return kept.union(os.path.join(path, "logs") for path in kept)


def before_of(dropin, logs):
    """The account that an instance, or an application of its name that was published here before, has run as, or None.

    What a set has dropped has no unit any more, but its folders are noted, and the one of its log is its account's.
    """
    if dropin and content_of(dropin) is not None:
        return user_of(dropin)
    folders = set(os.path.dirname(os.path.normpath(log)) for log in logs)
    owners = set(_owner(folder) for folder in folders & _dropped()) - set([None, "root"])
    return owners.pop() if len(owners) == 1 else None


def owner_changes(items):
    """The items whose instance has run as another account, with that one as ``before``."""
    found = []
    for item in items:
        before = before_of(item["dropin"], item["files"])
        if before and before != item["user"] and _uid(before) is not None:
            found.append(dict(item, before=before))
    return found


def there(user, group):
    """Whether the group is there, and the user with it as primary group; what is not named counts as there."""
    try:
        gid = grp.getgrnam(group).gr_gid if group else None
    except KeyError:
        return {"group": False, "user": False}
    try:
        return {"group": True, "user": not user or pwd.getpwnam(user).pw_gid == gid}
    except KeyError:
        return {"group": True, "user": False}


def made_folders(state_dir=STATE_DIR):
    """The folders that earlier runs made for a file of theirs, of all bundles and of what sets have dropped."""
    found = _dropped()
    for name in os.listdir(state_dir) if os.path.isdir(state_dir) else []:
        text = content_of(os.path.join(state_dir, name, "manifest.json"))
        found.update(manifests.made_folders(json.loads(text.decode("utf-8"))) if text else ())
    return found


def is_handed_over(log, dropin, user, state_dir=STATE_DIR):
    """Whether a log lies in a folder that earlier runs made for its former account, so that change_owner() gives it."""
    before = before_of(dropin, [log])
    folder = os.path.dirname(os.path.normpath(log))
    if not before or before == user or _uid(before) is None or folder not in made_folders(state_dir):
        return False
    try:
        with safe_path.Folder(folder) as found:
            return found.stat().st_uid == _uid(before)
    except (OSError, safe_path.UnsafePath):
        return False


def _give(handle, before, uid, gid):
    """Hand an open file or folder over, if it is the former account's and nobody else's name for it is anywhere."""
    found = os.fstat(handle)
    if found.st_uid != before or not (stat.S_ISDIR(found.st_mode) or found.st_nlink == 1):
        return False
    os.fchown(handle, uid, gid)
    return True


def _give_files(folder, log, before, uid, gid):
    """A log and what rotation has made of it: the names that begin with its own."""
    done = []
    for name in folder.names():
        if not name.startswith(os.path.basename(log)):
            continue
        try:
            handle = folder.open_file(name)
        except (OSError, safe_path.UnsafePath):
            # No regular file, or gone meanwhile.
            continue
        try:
            if _give(handle, before, uid, gid):
                done.append(os.path.join(folder.path, name))
        finally:
            os.close(handle)
    return done


def change_owner(item, back=False, state_dir=STATE_DIR):
    """Give logs and folders that earlier runs made to the new account (or back); returns the paths that were given.

    Everything is opened without following a link, and only what the former account owns changes hands.
    """
    names = (item["user"], item["before"]) if back else (item["before"], item["user"])
    before, uid = _uid(names[0]), _uid(names[1])
    if before is None or uid is None:
        return []
    gid = pwd.getpwnam(names[1]).pw_gid if back else grp.getgrnam(item["group"]).gr_gid
    made, done = made_folders(state_dir), []
    for log in item["files"]:
        try:
            folder = safe_path.Folder(os.path.dirname(log))
        except OSError:
            # It is made with the rest.
            continue
        with folder:
            done += _give_files(folder, log, before, uid, gid)
            if folder.path in made and _give(folder.handle, before, uid, gid):
                done.append(folder.path)
    for path in item["folders"]:
        try:
            folder = safe_path.Folder(path)
        except OSError:
            continue
        with folder:
            # Its group is nginx's, and stays.
            if _give(folder.handle, before, uid, -1):
                done.append(path)
    return done
