#!/usr/bin/python
# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: systemd_facts
short_description: (internal) Sets the fact systemd where ansible-core does not
version_added: 0.1.0
author:
  - The graceful.wsgi contributors (@graceful)
description:
  - ansible-core 2.16, the last that speaks to CentOS 7, does not tell which systemd a host has; units need to know.
  - Sets the fact as later releases of ansible-core do.
options: {}
extends_documentation_fragment:
  - graceful.wsgi.internal
  - graceful.wsgi.attributes
"""

EXAMPLES = r"""
- name: Gather the systemd version
  graceful.wsgi.systemd_facts:
  when: ansible_facts.systemd is not defined
"""

RETURN = r"""
ansible_facts:
  description: The fact C(systemd), a mapping of C(version) and C(features); empty on a host without systemd.
  returned: success
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule


def main():
    module = AnsibleModule(argument_spec={}, supports_check_mode=True)
    systemd = {}
    program = module.get_bin_path("systemctl")
    if program:
        status, out, err = module.run_command([program, "--version"], environ_update={"LC_ALL": "C"})
        lines = out.splitlines()
        words = lines[0].split() if status == 0 and lines else []
        if len(words) > 1 and words[1].isdigit():
            systemd = {"version": int(words[1]), "features": lines[1] if len(lines) > 1 else ""}
    module.exit_json(changed=False, ansible_facts={"systemd": systemd})


if __name__ == "__main__":
    main()
