#!/usr/bin/python
# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: host_info
short_description: (internal) Tells what of nginx, uWSGI or the applications is there already
version_added: 0.1.0
author:
  - The graceful.wsgi contributors (@graceful)
description:
  - What M(graceful.wsgi.nginx_info), M(graceful.wsgi.uwsgi_build_info) and M(graceful.wsgi.publish_info) have run on
    the host. One module for all three, since Ansible packs a module once in a run and a quiet run does little else.
options:
  about:
    description: Whose question it is.
    type: str
    required: true
    choices: [nginx, publish, uwsgi]
  wanted:
    description: The options of that module, as it documents them.
    type: dict
    required: true
extends_documentation_fragment:
  - graceful.wsgi.internal
  - graceful.wsgi.attributes
"""

EXAMPLES = r"""
- name: Gather the state of nginx
  graceful.wsgi.host_info:
    about: nginx
    wanted:
      artifact: /var/lib/graceful-wsgi/nginx/artifacts/1.30.6-0123456789ab
      user: nginx
      group: nginx
"""

RETURN = r"""
found:
  description: What that module returns.
  returned: success
  type: dict
"""

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.graceful.wsgi.plugins.module_utils.unlogged import AnsibleModule


def state_of(about):
    """What answers the question. Imported alone: what comes in a module is compiled anew each time."""
    if about == "nginx":
        from ansible_collections.graceful.wsgi.plugins.module_utils import nginx_state as state
    elif about == "publish":
        from ansible_collections.graceful.wsgi.plugins.module_utils import publish_state as state
    else:
        from ansible_collections.graceful.wsgi.plugins.module_utils import uwsgi_build_state as state
    return state


def main():
    module = AnsibleModule(
        argument_spec={
            "about": {"type": "str", "required": True, "choices": ["nginx", "publish", "uwsgi"]},
            "wanted": {"type": "dict", "required": True},
        },
        supports_check_mode=True,
    )
    state = state_of(module.params["about"])
    checked = ArgumentSpecValidator(state.SPEC).validate(module.params["wanted"])
    if checked.error_messages:
        module.fail_json(msg="; ".join(checked.error_messages))
    # Without what was asked, which for each application would go back to be read by nobody.
    module.exit_json(changed=False, invocation={}, found=state.look(module, checked.validated_parameters))


if __name__ == "__main__":
    main()
