# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What only the host can tell of the applications' accounts and of who may reach their sockets."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import grp
import os
import pwd
import socket
import sys

from ansible_collections.graceful.wsgi.plugins.module_utils import accounts

# Files that are looked at below one folder before it counts as looked through.
ENOUGH = 100000
CONNECT = "import socket, sys; socket.create_connection(('127.0.0.1', int(sys.argv[1])), 3).close()"


def nginx_member(checks, _tools):
    """Refuse accounts that nginx's group lets through to the sockets of all applications."""
    found = []
    for check in checks:
        user, group = check["user"], check["nginx_group"]
        if accounts.is_member(user, group):
            message = "%r is a member of nginx's group %r, which reaches the sockets of all applications"
            message %= (user, group)
            hint = "run `gpasswd -d %s %s` (nginx needs no such member), or name another account" % (user, group)
            found.append((check["variable"], message, hint))
    return found


def nginx_number(checks, _tools):
    """Refuse the number of nginx's group where the plan knows its name only."""
    found = []
    for check in checks:
        try:
            number = grp.getgrnam(check["nginx_group"]).gr_gid
        except KeyError:
            continue
        if number in check["numbers"]:
            message = "%d is the number of nginx's group %r, which reaches the sockets of all applications"
            message %= (number, check["nginx_group"])
            found.append((check["variable"], message, "leave it out: nginx reaches the socket without it"))
    return found


def _first_of(uid, path):
    """The first file at or below a path that an account owns, None where there is none; no link is followed."""
    try:
        if os.lstat(path).st_uid == uid:
            return path
    except OSError:
        return None
    seen = 0
    for base, folders, files in os.walk(path):
        for name in folders + files:
            try:
                if os.lstat(os.path.join(base, name)).st_uid == uid:
                    return os.path.join(base, name)
            except OSError:
                continue
        seen += len(folders) + len(files)
        if seen > ENOUGH:
            return None
    return None


def old_account(checks, _tools):
    """Refuse to take an application's account away while files that it names are the former account's."""
    found = []
    for check in checks:
        befores = [accounts.before_of(dropin, check["logs"]) for dropin in check["dropins"]]
        befores = [name for name in befores if name and name != check["user"]]
        try:
            uid = pwd.getpwnam(befores[0]).pw_uid if befores else 0
        except KeyError:
            continue
        if not uid:
            continue
        logs = tuple(check["logs"])
        for path in check["paths"]:
            # Our own logs are handed over.
            file = _first_of(uid, path)
            if file is None or (logs and file.startswith(logs)):
                continue
            before, user = befores[0], check["user"]
            message = "it has run as %r, which owns %s; as %r it could not write there" % (before, file, user)
            hint = (
                "keep the account with `user: %s`, or make the new one and give it the files: `useradd -r -s"
                " /usr/sbin/nologin %s; chown -hR --from=%s %s:%s %s`" % (
                    before, user, before, user, check["group"], path
                )
            )
            found.append((check["variable"], message, hint))
            break
    return found


def socket_clients(checks, tools):
    """Refuse where systemd takes IPAddressDeny= and the kernel does not keep it."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.bind(("127.0.0.1", 0))
        listener.listen(5)
        words = [sys.executable, "-c", CONNECT, str(listener.getsockname()[1])]
        run = ["systemd-run", "--quiet", "--wait", "--service-type=oneshot"]
        without = tools.run_command(run + words)[0]
        kept = tools.run_command(run + ["-p", "IPAddressDeny=any"] + words)[0]
    finally:
        listener.close()
    if without == 0 and kept != 0:
        return []
    message = "this host does not keep other hosts out: a process with IPAddressDeny=any reached another one"
    if without != 0:
        message = "it cannot be tried whether this host keeps other hosts out: systemd-run failed"
    hint = "it takes cgroup version 2 and a kernel with BPF; until then leave it out and have the socket at 127.0.0.1"
    return [(check["variable"], message, hint) for check in checks]


KINDS = {
    "nginx_member": nginx_member,
    "nginx_number": nginx_number,
    "old_account": old_account,
    "socket_clients": socket_clients,
}
