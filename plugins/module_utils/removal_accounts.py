# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Accounts that the roles of this collection made: which of them may go, since nothing on the host is theirs.

No list of them is kept. What they have in common is a shell that lets nobody in, a number of the system's, and a home
that no other account has.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import grp
import os
import pwd
import time

from ansible_collections.graceful.wsgi.plugins.module_utils.accounts import is_member
from ansible_collections.graceful.wsgi.plugins.module_utils.build_account import processes
from ansible_collections.graceful.wsgi.plugins.module_utils.disk import native

STATE = "/var/lib/graceful-wsgi/"
# Numbers from here on are people's.
PEOPLE = 1000
# What holds no files, holds other hosts' files, or holds other systems' files with numbers of their own.
NOT_LOOKED_AT = set(
    "autofs bpf cgroup cgroup2 configfs debugfs devpts devtmpfs efivarfs fusectl hugetlbfs mqueue nfs nfs4 cifs smb3"
    " proc pstore rpc_pipefs securityfs squashfs sysfs tmpfs tracefs".split()
)
SKIPPED = ("/dev", "/proc", "/run", "/sys", "/var/lib/containers", "/var/lib/docker", "/var/lib/kubelet")
# Seconds to look for files that are left.
LIMIT = 60


def made(names, places, homes, state=STATE):
    """Those of these accounts that the roles made, {name: (uid, gid)}.

    ``places``: {name: home} of accounts with a home that is known by the account's name; ``homes``: of all others.
    """
    found = {}
    for name in names:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        home = os.path.normpath(entry.pw_dir)
        known = (home + "/").startswith(state) or home == places.get(name) or home in homes
        if known and 0 < entry.pw_uid < PEOPLE and os.path.basename(entry.pw_shell) == "nologin":
            found[name] = (entry.pw_uid, entry.pw_gid)
    return found


def at_home(homes, state=STATE):
    """The names of all accounts whose home is one of these, or below the folder of this collection's state."""
    return sorted(
        entry.pw_name
        for entry in pwd.getpwall()
        if os.path.normpath(entry.pw_dir) in homes or (os.path.normpath(entry.pw_dir) + "/").startswith(state)
    )


def _foreign_mounts():
    with open("/proc/self/mounts", "rb") as source:
        lines = [native(line).split() for line in source.read().splitlines()]
    return set(words[1] for words in lines if len(words) > 2 and (words[2] in NOT_LOOKED_AT or "fuse" in words[2]))


def left(numbers, going, root="/", limit=LIMIT):
    """{uid: a path that is left of it}, of users or groups; ``numbers``: {(uid, gid)}; ``going``: paths that go.

    None in the place of a path says that not all could be looked at in the time.
    """
    wanted = dict((uid, (uid, gid)) for uid, gid in numbers)
    by_gid = dict((gid, uid) for uid, gid in numbers)
    found, end = {}, time.time() + limit
    skipped = set(SKIPPED) | set(going) | (_foreign_mounts() - set(["/"]))
    for base, folders, files in os.walk(root):
        folders[:] = [name for name in folders if os.path.join(base, name) not in skipped]
        for name in folders + files:
            path = os.path.join(base, name)
            if path in skipped:
                continue
            try:
                status = os.lstat(path)
            except OSError:
                continue
            for uid in (status.st_uid, by_gid.get(status.st_gid)):
                if uid in wanted:
                    found.setdefault(uid, native(path))
        if len(found) == len(wanted):
            break
        if time.time() > end:
            return dict((uid, found.get(uid)) for uid in wanted)
    return found


def why_kept(chosen, going, used, root="/"):
    """{name: why it stays} of accounts, {name: (uid, gid)}; ``used``: accounts that what stays runs as."""
    found = dict((name, "what is published runs as it") for name in chosen if name in used)
    asked = dict((name, chosen[name]) for name in chosen if name not in found)
    owned = left(set(asked.values()), going, root) if asked else {}
    for name, (uid, _gid) in asked.items():
        if uid in owned:
            path = owned[uid]
            found[name] = "%s is left of it" % path if path else "not all files could be looked at within %d s" % LIMIT
    return found


def memberships(user, groups):
    """Those of these groups, by the accounts' names, that a user is a member of by the group's entry."""
    found = []
    for group in groups:
        try:
            if user in grp.getgrnam(group).gr_mem and is_member(user, group):
                found.append(group)
        except KeyError:
            continue
    return found


def remove(name, gid, run):
    """Remove an account and its group; returns why that could not be, or None."""
    try:
        uid = pwd.getpwnam(name).pw_uid
    except KeyError:
        uid = None
    if uid is not None:
        busy = processes(uid)
        if busy:
            return "process %d runs as it" % sorted(busy)[0]
        status, out, err = run(["userdel", name])
        try:
            pwd.getpwnam(name)
            return "userdel: status %d: %s" % (status, (out + err).strip())
        except KeyError:
            pass
    try:
        entry = grp.getgrgid(gid)
    except KeyError:
        return None
    if entry.gr_name == name and not any(other.pw_gid == gid for other in pwd.getpwall()):
        status, out, err = run(["groupdel", name])
        if status != 0:
            return "groupdel: status %d: %s" % (status, (out + err).strip())
    return None


def leave(user, group, run):
    """End a membership; returns why that could not be, or None."""
    status, out, err = run(["gpasswd", "--delete", user, group])
    return None if status == 0 else "gpasswd: status %d: %s" % (status, (out + err).strip())
