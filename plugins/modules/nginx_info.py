#!/usr/bin/python
# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: nginx_info
short_description: (internal) Tells in one round trip what of nginx is there already
version_added: 0.1.0
author:
  - The graceful.wsgi contributors (@graceful)
description:
  - Looks at artifact, installed and running binary, accounts and service, so that a run with nothing to do asks once.
options:
  artifact:
    description: The folder of the artifact that is wanted.
    type: path
    required: true
  keep_artifacts:
    description: How many artifacts stay, that of O(artifact) among them; 0 for all.
    type: int
    default: 0
  user:
    description: The account of the workers.
    type: str
    required: true
  group:
    description: Group of the workers' account.
    type: str
    required: true
  static:
    description:
      - Whether the nginx that is wanted is linked statically. It then knows accounts from C(/etc/passwd) and
        C(/etc/group) only, and one that the host knows from elsewhere (LDAP, NIS) is refused.
    type: bool
    default: false
  take_over:
    description: Whether to look if a package would put its own binary in the place of ours; see RV(held).
    type: bool
    default: false
  dest:
    description: Where the binary is installed.
    type: path
    default: /usr/sbin/nginx
  pid_file:
    description: Where the master writes its pid.
    type: path
    default: /run/nginx.pid
  unit:
    description: Name of nginx's systemd unit.
    type: str
    default: nginx.service
extends_documentation_fragment:
  - graceful.wsgi.internal
  - graceful.wsgi.attributes
  - graceful.wsgi.bundles
  - graceful.wsgi.checks
"""

EXAMPLES = r"""
- name: Look at nginx
  graceful.wsgi.nginx_info:
    artifact: /var/lib/graceful-wsgi/nginx/artifacts/1.30.6-0123456789ab
    user: nginx
    group: nginx
  register: found
"""

RETURN = r"""
built:
  description: Whether the artifact is there, intact.
  returned: always
  type: bool
old_artifacts:
  description: Names of the artifacts beside it that O(keep_artifacts) leaves out and that nothing uses.
  returned: always
  type: list
  elements: str
installed:
  description: Whether its binary is in place and nginx, where it runs, runs it.
  returned: always
  type: bool
held:
  description: Whether no package puts its own binary there; true without O(take_over).
  returned: always
  type: bool
accounts:
  description: Whether user and group are there, the group being the user's first.
  returned: always
  type: bool
active:
  description: Whether the service runs.
  returned: always
  type: bool
enabled:
  description: Whether the service starts with the host.
  returned: always
  type: bool
stale:
  description: Whether systemd has yet to read the unit anew.
  returned: always
  type: bool
outdated:
  description: Whether the unit's files were written after the service was started, so that it runs with earlier ones.
  returned: always
  type: bool
bundles:
  description: For each of O(bundles) what O(graceful.wsgi.file_bundle#module:verified_digest) takes; empty where
    anything of the last set is another by now.
  returned: success
  type: dict
unread:
  description: Files that nginx reads and that are not as the running one has read them.
  returned: success
  type: list
  elements: str
noted:
  description: Whether it is written down what the running nginx has read.
  returned: success
  type: bool
glibc:
  description: The version of the host's glibc, null where it has another C library.
  returned: always
  type: str
"""

import grp
import os
import pwd
import time

from ansible.module_utils.basic import AnsibleModule

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


def main():
    module = AnsibleModule(
        argument_spec={
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
        },
        supports_check_mode=True,
    )
    host_checks.refuse(module)

    def run(words):
        return module.run_command(words)

    if module.params["static"]:
        name = hidden(module.params["user"], module.params["group"])
        if name:
            module.fail_json(
                msg="this host knows the account %s, but not from /etc/passwd and /etc/group, and a static nginx asks"
                " nowhere else; name others in nginx_user and nginx_group, or set nginx_build_toolchain: host" % name
            )
    artifact = os.path.abspath(module.params["artifact"])
    manifest = nginx_artifact.load(artifact)
    known = service(module, module.params["unit"])
    try:
        nginx = Nginx(run, module.params["pid_file"])
        unread, noted = nginx.unread(), nginx.noted()
    except LoadError:
        # The upgrade looks again, and says what is wrong.
        unread, noted = [], True
    module.exit_json(
        changed=False,
        # Else all that was asked, for each application, goes back to be read by nobody.
        invocation={},
        built=manifest is not None,
        old_artifacts=nginx_artifacts.beyond(artifact, module.params["keep_artifacts"], module.params["dest"]),
        installed=installed(manifest, module.params["dest"], module.params["pid_file"]),
        held=not module.params["take_over"] or nginx_package.is_held(module.params["dest"], run),
        accounts=all(accounts.there(module.params["user"], module.params["group"]).values()),
        active=known.get("ActiveState") == "active",
        enabled=known.get("UnitFileState") == "enabled",
        stale=known.get("NeedDaemonReload") == "yes",
        outdated=outdated(known),
        bundles=dict((name, verified_digest(name)) for name in module.params["bundles"]),
        unread=unread,
        noted=noted,
        glibc=glibc(),
    )


if __name__ == "__main__":
    main()
