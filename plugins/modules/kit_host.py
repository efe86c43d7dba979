#!/usr/bin/python
# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: kit_host
short_description: (internal) Tells of which kind a host is, for what a kit is to hold for it
version_added: 0.1.0
author:
  - The graceful.wsgi contributors (@graceful)
description:
  - Asks the host which Python applications get and which libc it has, or takes that from a file that was written where
    the host can be reached.
  - Sets the facts C(distribution), C(distribution_major_version), C(os_family) and C(architecture) from such a file.
options:
  python:
    description: As the variable C(uwsgi_python).
    type: str
    default: ''
  facts:
    description: A file on the controller that tells of the hosts, as the playbook C(graceful.wsgi.kit_facts) writes it.
    type: str
    default: ''
  dest:
    description: Such a file on the controller, into which what the host says is written.
    type: str
    default: ''
extends_documentation_fragment:
  - graceful.wsgi.internal
  - graceful.wsgi.attributes
"""

EXAMPLES = r"""
- name: Look up the kind of the host
  graceful.wsgi.kit_host:
  register: known
"""

RETURN = r"""
kind:
  description: As RV(graceful.wsgi.uwsgi_build_info#module:kind).
  returned: success
  type: dict
python:
  description: What the host's Python is, C(version), C(full_version), C(abi), C(executable) and more.
  returned: success
  type: dict
glibc:
  description: The version of its glibc, an empty string where it has none.
  returned: success
  type: str
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.graceful.wsgi.plugins.module_utils import kit_checks, uwsgi_home
from ansible_collections.graceful.wsgi.plugins.module_utils.elf import glibc


def main():
    module = AnsibleModule(
        argument_spec={
            "python": {"type": "str", "default": ""},
            "facts": {"type": "str", "default": ""},
            "dest": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    try:
        about, kind = kit_checks.host(module.params["python"], lambda words: module.run_command(list(words)))
    except uwsgi_home.HomeError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, kind=kind, python=about, glibc=glibc() or "")


if __name__ == "__main__":
    main()
