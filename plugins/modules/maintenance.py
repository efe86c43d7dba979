#!/usr/bin/python
# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: maintenance
short_description: (internal) Has nginx answer for an application that is in maintenance
version_added: 0.1.0
author:
  - The graceful.wsgi contributors (@graceful)
description:
  - Makes or removes the file of root's that the server blocks of the role publish look for at each request. No server
    block changes, nginx is not reloaded, and no connection ends.
  - Asks each site afterwards. One that does not answer 503 in maintenance fails the task, and the file goes again.
options:
  app:
    description: The application.
    type: str
    required: true
  enabled:
    description: Whether it is to be in maintenance.
    type: bool
    required: true
  files:
    description: Files of the sites that lead to it.
    type: list
    elements: path
    default: []
  reload:
    description: Whether nginx has to be reloaded, since it remembers which files are there (C(open_file_cache)).
    type: bool
    default: false
  passing:
    description: Addresses of nginx's to which the host itself comes as one that may pass.
    type: list
    elements: str
    default: []
extends_documentation_fragment:
  - graceful.wsgi.internal
  - graceful.wsgi.questions
attributes:
  check_mode:
    description: Can run in check mode.
    support: full
    details: Nothing is asked then.
  diff_mode:
    description: Returns a diff.
    support: none
"""

EXAMPLES = r"""
- name: Put the shop into maintenance
  graceful.wsgi.maintenance:
    app: shop
    enabled: true
    files: [/etc/nginx/conf.d/shop.example.com.conf]
"""

RETURN = r"""
told:
  description: A line for each answer that is worth one.
  returned: success
  type: list
  elements: str
"""

from ansible_collections.graceful.wsgi.plugins.module_utils import maintenance, visitor
from ansible_collections.graceful.wsgi.plugins.module_utils.nginx_loading import LoadError, Nginx
from ansible_collections.graceful.wsgi.plugins.module_utils.unlogged import AnsibleModule


def main():
    module = AnsibleModule(
        argument_spec={
            "app": {"type": "str", "required": True},
            "enabled": {"type": "bool", "required": True},
            "files": {"type": "list", "elements": "path", "default": []},
            "reload": {"type": "bool", "default": False},
            "questions": visitor.SPEC,
            # Addresses, whatever the name reminds of.
            "passing": {"type": "list", "elements": "str", "default": [], "no_log": False},
        },
        supports_check_mode=True,
    )
    wanted = module.params
    nginx = Nginx(module.run_command)

    def relabel(path):
        if module.selinux_enabled():
            module.set_default_selinux_context(path, False)

    switch = maintenance.Switch(wanted, nginx.reload if wanted["reload"] and nginx.running() else None, relabel)
    try:
        if module.check_mode:
            if wanted["enabled"]:
                maintenance.check(wanted["app"], wanted["files"])
            module.exit_json(changed=switch.needed, told=[])
        changed = switch.do()
    except (maintenance.MaintenanceError, LoadError, IOError, OSError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=changed, told=switch.told)


if __name__ == "__main__":
    main()
