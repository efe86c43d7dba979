#!/usr/bin/python
# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: existing_stack
short_description: (internal) Reads the nginx and the uWSGI that a host has
version_added: 0.1.0
author:
  - The graceful.wsgi contributors (@graceful)
description:
  - Reads the files of nginx and uWSGI, the units and programs that start them, and what C(/proc) tells of running
    masters. Starts, writes and signals nothing.
options:
  paths:
    description: Files and folders to read besides those that are found.
    type: list
    elements: path
    default: []
  look:
    description: Paths of which only is told what is there. With these nothing else is read.
    type: list
    elements: str
    default: []
  programs:
    description:
      - Of which binaries is told what they can do, by their bytes; none is run. Of each, C(names) of options or
        directives, C(texts), C(plugins), and C(folders) of plugins. With these nothing else is read.
    type: dict
    default: {}
extends_documentation_fragment:
  - graceful.wsgi.internal
  - graceful.wsgi.attributes
"""

EXAMPLES = r"""
- name: Read what is there
  graceful.wsgi.existing_stack:
  no_log: true
"""

RETURN = r"""
found:
  description:
    - Files with their texts, running masters, what the kernel says of queues, enabled units.
    - C(speakers) are the accounts that can change a file, or have named it, by its path. A file that is not among them
      is root's. C(readers) are the accounts that have named a file and may read it, C(accounts) their names and groups.
    - C(by) of a process is its account, and null where every uid of it is root's.
  returned: without O(look) and O(programs)
  type: dict
looked:
  description: What is there, by path.
  returned: with O(look) or O(programs)
  type: dict
programs:
  description:
    - By path what a binary C(lacks) of C(names), which C(texts) it holds, which plugins are C(missing), which
      C(libraries) the loader does not find, and the version of its C(python).
  returned: with O(look) or O(programs)
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.graceful.wsgi.plugins.module_utils import stack_files, stack_programs


def main():
    spec = {
        "paths": {"type": "list", "elements": "path", "default": []},
        "look": {"type": "list", "elements": "str", "default": []},
        "programs": {"type": "dict", "default": {}},
    }
    module = AnsibleModule(argument_spec=spec, supports_check_mode=True)
    if module.params["look"] or module.params["programs"]:
        looked = stack_files.look(module.params["look"])
        module.exit_json(changed=False, looked=looked, programs=stack_programs.about(module.params["programs"]))
    module.exit_json(changed=False, found=stack_files.host(module.params["paths"]))


if __name__ == "__main__":
    main()
