#!/usr/bin/python
# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: nginx_artifacts
short_description: (internal) Removes artifacts of nginx that nothing needs any more
version_added: 0.1.0
author:
  - The graceful.wsgi contributors (@graceful)
description:
  - Removes those of O(names) that the role nginx made, whose binary is not in place, and that no process runs from and
    no unit, configuration or link names. No link in them is followed.
options:
  path:
    description: The artifact that is wanted, which stays; the others lie beside it.
    type: path
    required: true
  names:
    description: The C(old_artifacts) of M(graceful.wsgi.nginx_info).
    type: list
    elements: str
    required: true
  dest:
    description: Where the binary is installed.
    type: path
    default: /usr/sbin/nginx
extends_documentation_fragment:
  - graceful.wsgi.internal
attributes:
  check_mode:
    description: Can run in check mode.
    support: full
  diff_mode:
    description: Returns the paths that are removed.
    support: full
"""

EXAMPLES = r"""
- name: Remove artifacts of nginx that nothing needs any more
  graceful.wsgi.nginx_artifacts:
    path: /var/lib/graceful-wsgi/nginx/artifacts/1.30.6-0123456789ab
    names: [1.28.3-0123456789ab]
"""

RETURN = r"""
removed:
  description: The paths that were removed, or in check mode would be.
  returned: success
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.graceful.wsgi.plugins.module_utils import layout, nginx_artifacts
from ansible_collections.graceful.wsgi.plugins.module_utils.safe_path import UnsafePath

SPEC = {
    "path": {"type": "path", "required": True},
    "names": {"type": "list", "elements": "str", "required": True},
    "dest": {"type": "path", "default": layout.NGINX_BINARY},
}


def main():
    module = AnsibleModule(argument_spec=SPEC, supports_check_mode=True)
    asked = module.params
    try:
        removed = nginx_artifacts.remove(asked["path"], asked["names"], asked["dest"], module.check_mode)
    except (UnsafePath, IOError, OSError) as error:
        module.fail_json(msg="nginx_keep_artifacts: an old artifact of nginx could not be removed: %s" % error)
    text = "".join(path + "\n" for path in removed)
    module.exit_json(changed=bool(removed), removed=removed, diff={"before": text, "after": ""} if removed else {})


if __name__ == "__main__":
    main()
