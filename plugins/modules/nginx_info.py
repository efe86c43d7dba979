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
