#!/usr/bin/python
# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: status
short_description: (internal) Tells of a host what of this collection is there, how it is, and what needs a look
version_added: 0.1.0
author:
  - The graceful.wsgi contributors (@graceful)
description:
  - Tells of sites, applications, certificates, disks and what was edited by hand, by what the host itself has; what the
    inventory says does not count. Changes nothing.
options:
  roots:
    description: Folders in which each application has a folder of its name, that of the code first.
    type: list
    elements: path
    required: true
  places:
    description: Where the roles have put the rest, as M(graceful.wsgi.removal) takes it.
    type: dict
    required: true
    suboptions:
      root:
        description: The folder of all code, if it is this collection's and nobody else's.
        type: str
        default: ''
      homes:
        description: The home of the accounts that applications have to themselves.
        type: path
        required: true
      uwsgi_home:
        description: The folder of uWSGI's versions.
        type: path
        required: true
      conf_dir:
        description: The folder of the applications' configurations.
        type: path
        required: true
  format:
    description: What RV(shown) is, C(text) or C(json); not used by the module itself.
    type: str
    default: text
  file:
    description: A file of the controller for what all hosts of the play tell, as JSON; not used by the module itself.
    type: str
    default: ''
  caches:
    description:
      - Folders of the controller with what was built for hosts, by C(nginx) and C(uwsgi).
      - Not used by the module itself.
    type: dict
    default: {}
extends_documentation_fragment:
  - graceful.wsgi.internal
attributes:
  check_mode:
    description: Can run in check mode.
    support: full
  diff_mode:
    description: Returns a diff.
    support: none
"""

EXAMPLES = r"""
- name: Look at the host
  graceful.wsgi.status:
    roots: [/srv/wsgi, /var/log/uwsgi]
    places: {root: /srv/wsgi, homes: /srv/wsgi, uwsgi_home: /opt/uwsgi, conf_dir: /etc/uwsgi}
"""

RETURN = r"""
status:
  description: C(host), C(time), C(nginx), C(sites), C(applications), C(disk), C(touched) and C(attention), the last of
    which is a sentence for whatever needs a look. What nobody knows is null; times are seconds since 1970, sizes bytes.
  returned: success
  type: dict
shown:
  description: One of the two, as O(format) says.
  returned: success
  type: raw
page:
  description: The same as lines of text.
  returned: success
  type: list
  elements: str
"""

from ansible_collections.graceful.wsgi.plugins.module_utils import host_status, status_page
from ansible_collections.graceful.wsgi.plugins.module_utils.unlogged import AnsibleModule


def main():
    module = AnsibleModule(
        argument_spec={
            "format": {"type": "str", "default": "text"},
            "file": {"type": "str", "default": ""},
            "caches": {"type": "dict", "default": {}},
            "roots": {"type": "list", "elements": "path", "required": True},
            "places": {
                "type": "dict",
                "required": True,
                "options": {
                    "root": {"type": "str", "default": ""},
                    "homes": {"type": "path", "required": True},
                    "uwsgi_home": {"type": "path", "required": True},
                    "conf_dir": {"type": "path", "required": True},
                },
            },
        },
        supports_check_mode=True,
    )

    def run(words):
        return module.run_command(words, environ_update={"LC_ALL": "C"})

    found = host_status.survey(module.params["roots"], module.params["places"], run)
    module.exit_json(changed=False, status=found, page=status_page.page(found))


if __name__ == "__main__":
    main()
