#!/usr/bin/python
# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: change_owner
short_description: (internal) Gives an application's logs to the account that it is to run as
version_added: 0.1.0
author:
  - The graceful.wsgi contributors (@graceful)
description:
  - Where an application is to run as another account than before, its logs (and folders that earlier runs made for
    them) become the new account's, so that it can go on writing to them. Nothing is followed through a link, and
    only what the former account owns changes hands.
options:
  back:
    description: Give it back to the former account, after a run that failed.
    type: bool
    default: false
extends_documentation_fragment:
  - graceful.wsgi.internal
  - graceful.wsgi.attributes
  - graceful.wsgi.applications.owner_changes
"""

EXAMPLES = r"""
- name: Hand over what the shared account wrote
  graceful.wsgi.change_owner:
    owner_changes:
      - name: shop
        dropin: /etc/systemd/system/uwsgi@shop.service.d/10-publish.conf
        user: wsgi-shop
        group: wsgi-shop
        before: wsgi
        files: [/var/log/uwsgi/shop/server.log]
"""

RETURN = r"""
given:
  description: The paths that changed hands.
  returned: success
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.graceful.wsgi.plugins.module_utils import accounts, safe_path


def main():
    module = AnsibleModule(
        argument_spec={"owner_changes": accounts.SPEC, "back": {"type": "bool", "default": False}},
        supports_check_mode=True,
    )
    changes = [item for item in module.params["owner_changes"] if item["before"]]
    if module.check_mode:
        module.exit_json(changed=bool(changes), given=[])
    given = []
    try:
        for item in changes:
            given += accounts.change_owner(item, module.params["back"])
    except (IOError, OSError, safe_path.UnsafePath) as error:
        module.fail_json(msg="the logs of %s cannot be handed over: %s" % (item["name"], error))
    lines = "".join("%s\n" % path for path in given)
    diff = {"before": "", "after": lines, "after_header": "handed over"}
    module.exit_json(changed=bool(given), given=given, diff=diff)


if __name__ == "__main__":
    main()
