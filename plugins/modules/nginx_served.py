#!/usr/bin/python
# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: nginx_served
short_description: (internal) Sees that nginx's workers can read what they are to serve out of releases
version_added: 0.1.0
author:
  - The graceful.wsgi contributors (@graceful)
description:
  - Looks with the rights of nginx's account at each folder that a site serves out of an application's code, in the
    release that is to become live, and fails where a component on the way, the folder or files in it are out of reach
    or not there. Nothing is changed.
options:
  releases:
    description: What M(graceful.wsgi.releases) returned of them; only C(replace) of each is read.
    type: list
    elements: dict
    default: []
extends_documentation_fragment:
  - graceful.wsgi.internal
  - graceful.wsgi.attributes
  - graceful.wsgi.served
"""

EXAMPLES = r"""
- name: See that nginx can read the files of a release
  graceful.wsgi.nginx_served:
    served:
      - variable: publish_sites[0].locations[1].static
        path: /srv/wsgi/shop/current/static
        release: static
        user: nginx
        groups: [wsgi-shop]
    releases: "{{ put.releases }}"
"""

RETURN = r"""
paths:
  description: What nginx is to serve, and can.
  returned: success
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.graceful.wsgi.plugins.module_utils import served_checks
from ansible_collections.graceful.wsgi.plugins.module_utils.host_checks import Problem


def main():
    module = AnsibleModule(
        argument_spec={
            "served": served_checks.SPEC,
            "releases": {"type": "list", "elements": "dict", "default": []},
        },
        supports_check_mode=True,
    )
    replace = {}
    for item in module.params["releases"]:
        replace.update(item.get("replace") or {})
    problems = [Problem(*told) for told in served_checks.in_releases(module.params["served"], replace, module.warn)]
    if problems:
        lines = "\n".join("- %s" % problem for problem in problems)
        module.fail_json(msg="nginx could not serve what it is to serve; nothing of it is live.\n%s" % lines)
    module.exit_json(changed=False, paths=[item["path"] for item in module.params["served"]])


if __name__ == "__main__":
    main()
