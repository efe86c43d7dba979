#!/usr/bin/python
# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: drain
short_description: (internal) Takes a host out of the upstreams of a balancer, and puts it back
version_added: 0.1.0
author:
  - The graceful.wsgi contributors (@graceful)
description:
  - Runs on the balancer, for a host that is about to be updated. Its servers in the upstreams of C(publish_upstreams)
    are C(down) while a note of it lies in C(/etc/nginx/drained), which M(graceful.wsgi.file_bundle) heeds too.
  - nginx is reloaded, so that requests that are under way end as ever.
options:
  host:
    description: The name of the host, for messages and the status.
    type: str
    required: true
  address:
    description: The host of its C(server) lines.
    type: str
    required: true
  state:
    description: V(drained) leads nobody there, V(served) does again once the host answers from here.
    type: str
    choices: [drained, served]
    required: true
  timeout:
    description: Seconds to wait for connections to the host to end.
    type: int
    default: 30
  maintained:
    description: Applications of the host that are in maintenance, which are not asked.
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
  diff_mode:
    description: Returns a diff.
    support: none
"""

EXAMPLES = r"""
- name: Take web1 out of the upstreams of lb1
  graceful.wsgi.drain:
    host: web1
    address: 192.0.2.1
    state: drained
  delegate_to: lb1
"""

RETURN = r"""
told:
  description: A line for each thing that is worth one.
  returned: success
  type: list
  elements: str
"""

from ansible_collections.graceful.wsgi.plugins.module_utils import visitor
from ansible_collections.graceful.wsgi.plugins.module_utils.draining import Balancer, DrainError
from ansible_collections.graceful.wsgi.plugins.module_utils.nginx_loading import LoadError, Nginx
from ansible_collections.graceful.wsgi.plugins.module_utils.unlogged import AnsibleModule


def main():
    module = AnsibleModule(
        argument_spec={
            "host": {"type": "str", "required": True},
            "address": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["drained", "served"], "required": True},
            "timeout": {"type": "int", "default": 30},
            "maintained": {"type": "list", "elements": "str", "default": []},
            "questions": visitor.SPEC,
        },
        supports_check_mode=True,
    )

    def relabel(path):
        if module.selinux_enabled():
            module.set_default_selinux_context(path, False)

    balancer = Balancer(module.params, Nginx(module.run_command), relabel)
    work = balancer.drain if module.params["state"] == "drained" else balancer.serve
    try:
        changed = work(module.check_mode)
    except (DrainError, LoadError, IOError, OSError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=changed, told=balancer.told)


if __name__ == "__main__":
    main()
