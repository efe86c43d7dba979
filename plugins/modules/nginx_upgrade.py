#!/usr/bin/python
# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: nginx_upgrade
short_description: (internal) Puts an nginx binary in place and moves a running nginx over to it without a lost request
version_added: 0.1.0
author:
  - The graceful.wsgi contributors (@graceful)
description:
  - Tests the configuration with the new binary, puts that in place by rename, and, where nginx runs from another file,
    upgrades it on the fly (USR2, WINCH, QUIT).
  - Where the new master does not come up, the old one serves on, the old binary is put back and the module fails.
  - A run that was cut short between rename and upgrade is finished by the next one.
options:
  source:
    description: The binary to put in place.
    type: path
    required: true
  take_over:
    description:
      - Have the package that the binary in place is of put its own elsewhere from now on (a diversion of dpkg's), or be
        left alone by yum and dnf. A binary for which there is no diversion is kept below
        C(/var/lib/graceful-wsgi/taken-over).
    type: bool
    default: false
  dest:
    description: Path that the binary is installed at.
    type: path
    default: /usr/sbin/nginx
  conf:
    description: The configuration to test with it.
    type: path
    default: /etc/nginx/nginx.conf
  pid_file:
    description: Where the master writes its pid. Must be the binary's compiled-in one.
    type: path
    default: /run/nginx.pid
  error_log:
    description: The log whose new lines go into the message of a failed upgrade.
    type: path
    default: /var/log/nginx/error.log
  timeout:
    description: Seconds in which the new master must be up.
    type: int
    default: 30
  drain_timeout:
    description: Seconds to wait for the old master's last requests; after that they are served on unattended.
    type: int
    default: 30
extends_documentation_fragment:
  - graceful.wsgi.internal
  - graceful.wsgi.attributes
"""

EXAMPLES = r"""
- name: Put the new nginx to work
  graceful.wsgi.nginx_upgrade:
    source: /var/lib/graceful-wsgi/nginx/artifacts/1.30.6-0123456789ab/nginx
"""

RETURN = r"""
installed:
  description: Whether another binary was (in check mode, would be) put in place.
  returned: success
  type: bool
upgraded:
  description: Whether a running nginx was (in check mode, would be) moved over; it has read its configuration anew.
  returned: success
  type: bool
held:
  description: How the distribution's package was kept from putting its own binary back, null where none had to be.
  returned: success
  type: str
running:
  description: Whether nginx runs.
  returned: success
  type: bool
draining:
  description: Whether the old master still serves its last requests.
  returned: success
  type: bool
old_pid:
  description: The master before an upgrade.
  returned: when upgraded
  type: int
new_pid:
  description: The master after it.
  returned: when upgraded
  type: int
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.graceful.wsgi.plugins.module_utils import layout
from ansible_collections.graceful.wsgi.plugins.module_utils.module_calls import relabeller
from ansible_collections.graceful.wsgi.plugins.module_utils.nginx_master import MasterError
from ansible_collections.graceful.wsgi.plugins.module_utils.nginx_package import PackageError
from ansible_collections.graceful.wsgi.plugins.module_utils.nginx_upgrading import Upgrading


def main():
    module = AnsibleModule(
        argument_spec={
            "source": {"type": "path", "required": True},
            "take_over": {"type": "bool", "default": False},
            "dest": {"type": "path", "default": layout.NGINX_BINARY},
            "conf": {"type": "path", "default": layout.NGINX_CONF},
            "pid_file": {"type": "path", "default": layout.NGINX_PIDFILE},
            "error_log": {"type": "path", "default": "/var/log/nginx/error.log"},
            "timeout": {"type": "int", "default": 30},
            "drain_timeout": {"type": "int", "default": 30},
        },
        supports_check_mode=True,
    )
    work, wrong = Upgrading(module.params, module.run_command, relabeller(module)), None
    try:
        work.look(module.check_mode)
        # No test in check mode: a configuration that changes in the same run is not in place yet.
        if work.result["changed"] and not module.check_mode:
            work.do()
    except (MasterError, PackageError) as error:
        wrong = str(error)
    for text in work.warnings:
        module.warn(text)
    if wrong:
        module.fail_json(msg=wrong)
    module.exit_json(**work.result)


if __name__ == "__main__":
    main()
