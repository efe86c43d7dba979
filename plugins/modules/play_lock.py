#!/usr/bin/python
# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: play_lock
short_description: (internal) Lets one play at a time work on a set of a host
version_added: 0.1.0
author:
  - The graceful.wsgi contributors (@graceful)
description:
  - Notes below C(/run/graceful-wsgi/plays) which run of Ansible works on a set. A second run fails with who that is,
    or waits for O(timeout) seconds.
  - A holder that has died is none. Where both ran on the same machine this is seen at once, else a holder counts as
    dead which has not renewed its note for 15 minutes.
options:
  set:
    description: The set, V(*) for all of the host.
    type: str
    required: true
  state:
    description: Take it, say that the play lives (and fail where another run has it by now), or give it back.
    type: str
    choices: [taken, renewed, released]
    default: taken
  scope:
    description: The part of the play that takes it; it is free again when each part that took it has given it back.
    type: str
    default: main
  timeout:
    description: Seconds to wait for another run; V(0) fails at once.
    type: int
    default: 0
  lease:
    description: With O(state=renewed) for how many seconds it may be silent now.
    type: int
    default: 900
  ending:
    description: With O(state=renewed) applications whose workers may end meanwhile; where those that they have need
      longer than O(lease) to finish, it may be silent for that long.
    type: list
    elements: str
    default: []
  holder:
    description: The run of Ansible; the action plugin fills it in.
    type: dict
    default: {}
  dead:
    description: Holders that are known to be gone; the action plugin fills it in.
    type: list
    elements: dict
    default: []
extends_documentation_fragment:
  - graceful.wsgi.internal
attributes:
  check_mode:
    description: Can run in check mode.
    support: full
    details: Neither takes nor heeds the lock, since nothing is changed.
  diff_mode:
    description: Returns what has changed.
    support: none
"""

EXAMPLES = r"""
- name: Take the lock of the set
  graceful.wsgi.play_lock:
    set: main
    timeout: 60
"""

RETURN = r"""
held:
  description: Who holds the lock, where another run does.
  returned: O(state=taken)
  type: dict
"""

from ansible_collections.graceful.wsgi.plugins.module_utils.play_lock import Lost, PlayLock
from ansible_collections.graceful.wsgi.plugins.module_utils.unlogged import AnsibleModule


def main():
    module = AnsibleModule(
        argument_spec={
            "set": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["taken", "renewed", "released"], "default": "taken"},
            "scope": {"type": "str", "default": "main"},
            "timeout": {"type": "int", "default": 0},
            "lease": {"type": "int", "default": 900},
            "ending": {"type": "list", "elements": "str", "default": []},
            "holder": {"type": "dict", "default": {}},
            "dead": {"type": "list", "elements": "dict", "default": []},
        },
        supports_check_mode=True,
    )
    held = None
    if not module.check_mode:
        lock = PlayLock(module.params["set"], module.params["holder"], module.params["scope"])
        try:
            if module.params["state"] == "taken":
                held = lock.take(module.params["dead"])
            elif module.params["state"] == "renewed":
                lock.renew(module.params["lease"], module.params["ending"])
            else:
                lock.release()
        except (Lost, IOError, OSError) as error:
            module.fail_json(msg=str(error))
    module.exit_json(changed=False, held=held)


if __name__ == "__main__":
    main()
