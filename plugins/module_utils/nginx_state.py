# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What of nginx is there: artifact, installed and running binary, accounts and service."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import grp
import os
import pwd
import time

from ansible_collections.graceful.wsgi.plugins.module_utils import (
    accounts,
    host_checks,
    layout,
    nginx_artifact,
    nginx_artifacts,
    nginx_master,
    nginx_package,
)
from ansible_collections.graceful.wsgi.plugins.module_utils.disk import encoded
from ansible_collections.graceful.wsgi.plugins.module_utils.elf import glibc
from ansible_collections.graceful.wsgi.plugins.module_utils.manifests import verified_digest
from ansible_collections.graceful.wsgi.plugins.module_utils.nginx_loading import LoadError, Nginx

SPEC = {
    "artifact": {"type": "path", "required": True},
    "keep_artifacts": {"type": "int", "default": 0},
    "user": {"type": "str", "required": True},
    "group": {"type": "str", "required": True},
    "static": {"type": "bool", "default": False},
    "take_over": {"type": "bool", "default": False},
    "dest": {"type": "path", "default": layout.NGINX_BINARY},
    "pid_file": {"type": "path", "default": layout.NGINX_PIDFILE},
    "unit": {"type": "str", "default": "nginx.service"},
    "bundles": {"type": "list", "elements": "str", "default": []},
    "checks": host_checks.SPEC,
}


# What is asked of systemd.
PROPERTIES = (
    "ActiveState",
    "UnitFileState",
    "NeedDaemonReload",
    "ActiveEnterTimestampMonotonic",
    "FragmentPath",
    "DropInPaths",
)


def hidden(user, group, root="/etc"):
    """The first of user and group that this host knows, but not from the files that a static nginx reads."""
    for name, known, path in ((user, pwd.getpwnam, "passwd"), (group, grp.getgrnam, "group")):
        try:
            known(name)
        except KeyError:
            continue
        with open(os.path.join(root, path), "rb") as source:
            if not any(line.split(b":")[0] == encoded(name) for line in source):
                return name
    return None


def installed(manifest, dest, pid_file):
    """Whether the artifact's binary is in place and nginx runs no other."""
    if manifest is None or nginx_artifact.sha256(dest) != manifest["files"][nginx_artifact.BINARY]:
        return False
    try:
        running = nginx_master.read_master(pid_file)
    except nginx_master.MasterError:
        # The upgrade looks again, and says what is wrong.
        return False
    return running is None or nginx_master.same_file(running, dest)


def service(module, unit):
    """What systemd knows of the unit, by property; empty where there is no systemd."""
    systemctl = module.get_bin_path("systemctl")
    if systemctl is None:
        return {}
    _status, out, _err = module.run_command(
        [systemctl, "show"] + ["--property=%s" % name for name in PROPERTIES] + [unit]
    )
    return dict(line.split("=", 1) for line in out.splitlines() if "=" in line)


def outdated(known, now=None, uptime=None):
    """Whether a running service was started before its unit's files were written as they stand.

    Neither a reload nor an upgrade of the binary makes systemd read the unit for a process that runs.
    """
    started = known.get("ActiveEnterTimestampMonotonic", "")
    if known.get("ActiveState") != "active" or not started.isdigit():
        return False
    if uptime is None:
        with open("/proc/uptime") as source:
            uptime = float(source.read().split()[0])
    since = (time.time() if now is None else now) - uptime + int(started) / 1e6
    files = [known.get("FragmentPath", "")] + known.get("DropInPaths", "").split()
    # Two clocks were asked one after the other.
    return any(os.path.isfile(path) and os.stat(path).st_mtime > since + 1 for path in files)


def look(module, wanted):
    """What nginx_info returns; ``wanted``: its options. Ends the module where the host cannot take what is wanted."""
    host_checks.refuse(module, wanted["checks"])

    def run(words):
        return module.run_command(words)

    if wanted["static"]:
        name = hidden(wanted["user"], wanted["group"])
        if name:
            module.fail_json(
                msg="this host knows the account %s, but not from /etc/passwd and /etc/group, and a static nginx asks"
                " nowhere else; name others in nginx_user and nginx_group, or set nginx_build_toolchain: host" % name
            )
    artifact = os.path.abspath(wanted["artifact"])
    manifest = nginx_artifact.load(artifact)
    known = service(module, wanted["unit"])
    try:
        nginx = Nginx(run, wanted["pid_file"])
        unread, noted = nginx.unread(), nginx.noted()
    except LoadError:
        # The upgrade looks again, and says what is wrong.
        unread, noted = [], True
    return {
        "built": manifest is not None,
        "old_artifacts": nginx_artifacts.beyond(artifact, wanted["keep_artifacts"], wanted["dest"]),
        "installed": installed(manifest, wanted["dest"], wanted["pid_file"]),
        "held": not wanted["take_over"] or nginx_package.is_held(wanted["dest"], run),
        "accounts": all(accounts.there(wanted["user"], wanted["group"]).values()),
        "active": known.get("ActiveState") == "active",
        "enabled": known.get("UnitFileState") == "enabled",
        "stale": known.get("NeedDaemonReload") == "yes",
        "outdated": outdated(known),
        "bundles": dict((name, verified_digest(name)) for name in wanted["bundles"]),
        "unread": unread,
        "noted": noted,
        "glibc": glibc(),
    }
