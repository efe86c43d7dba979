#!/usr/bin/python
# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: uwsgi_homes
short_description: (internal) Removes homes of uWSGI that nothing uses any more
version_added: 0.1.0
author:
  - The graceful.wsgi contributors (@graceful)
description:
  - Removes those of O(names) that the role uwsgi made and verified, that no process runs from, and that no unit,
    configuration, link or virtualenv names. No link in them is followed.
options:
  root:
    description: The folder that holds one folder for each uWSGI.
    type: path
    required: true
  names:
    description: The C(old_homes) of M(graceful.wsgi.uwsgi_build_info).
    type: list
    elements: str
    required: true
  wanted:
    description: Folders that stay in any case.
    type: list
    elements: path
    required: true
  conf_dir:
    description: Folder of the configurations.
    type: path
    required: true
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
- name: Remove homes of uWSGI that nothing uses any more
  graceful.wsgi.uwsgi_homes:
    root: /opt/uwsgi
    names: [2.0.28-python3.11]
    wanted: [/opt/uwsgi/2.0.31-python3.11]
    conf_dir: /etc/uwsgi
"""

RETURN = r"""
removed:
  description: The paths that were removed, or in check mode would be.
  returned: success
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.graceful.wsgi.plugins.module_utils import uwsgi_homes
from ansible_collections.graceful.wsgi.plugins.module_utils.safe_path import UnsafePath

SPEC = {
    "root": {"type": "path", "required": True},
    "names": {"type": "list", "elements": "str", "required": True},
    "wanted": {"type": "list", "elements": "path", "required": True},
    "conf_dir": {"type": "path", "required": True},
}


def main():
    module = AnsibleModule(argument_spec=SPEC, supports_check_mode=True)
    asked = module.params
    try:
        removed = uwsgi_homes.remove(
            asked["root"], asked["names"], asked["wanted"], asked["conf_dir"], module.check_mode
        )
    except (UnsafePath, IOError, OSError) as error:
        module.fail_json(msg="uwsgi_keep_homes: an old home of uWSGI could not be removed: %s" % error)
    text = "".join(path + "\n" for path in removed)
    module.exit_json(changed=bool(removed), removed=removed, diff={"before": text, "after": ""} if removed else {})


if __name__ == "__main__":
    main()
