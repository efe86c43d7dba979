#!/usr/bin/python
# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: app_background
short_description: (internal) Sees to it that workers and timers of applications run what is on the disk
version_added: 0.1.0
author:
  - The graceful.wsgi contributors (@graceful)
description:
  - Enables and starts the units of workers and timers that do not run, and restarts those whose unit, environment,
    secrets or code changed since they began, of all applications in one task. It then watches the workers for some
    seconds, and fails where one does not stay up.
  - A worker that is restarted is told to finish first, and has the time that its unit says. What an application has and
    is not wanted any more is stopped and disabled last, once all else is up.
  - What each application has is noted under C(/var/lib/graceful-wsgi/background), and what a run has begun and not
    brought to its end as well, so that it can go back to what was there before, and a killed run is made up for.
options:
  apps:
    description: Names of the applications that are looked at.
    type: list
    elements: str
    required: true
  state:
    description:
      - V(present) gives them what is wanted, V(absent) nothing.
      - V(restored) gives them what they had before the run that failed, which O(background) says then, each as far as
        that can be done.
      - V(renewed) restarts the workers that they have, whatever is wanted.
    type: str
    choices: [present, restored, renewed, absent]
    default: present
  changed_files:
    description: Files that an earlier task changed or, in check mode, would have changed.
    type: list
    elements: path
    default: []
extends_documentation_fragment:
  - graceful.wsgi.internal
  - graceful.wsgi.applications.background
attributes:
  check_mode:
    description: Can run in check mode.
    support: full
  diff_mode:
    description: Says what each needs.
    support: full
"""

EXAMPLES = r"""
- name: Start or restart the workers and timers
  graceful.wsgi.app_background:
    apps: [shop]
    background: "{{ plan.background }}"

- name: Have the workers read what is there now
  graceful.wsgi.app_background:
    apps: [shop]
    state: renewed

- name: Stop those of an application that is no more
  graceful.wsgi.app_background:
    apps: [shop]
    state: absent
"""

RETURN = r"""
background:
  description: What was done for each, a mapping of its name to V(start), V(restart), V(stop) or V(nothing).
  returned: success
  type: dict
"""

from ansible_collections.graceful.wsgi.plugins.module_utils import app_background
from ansible_collections.graceful.wsgi.plugins.module_utils.instances import InstanceError
from ansible_collections.graceful.wsgi.plugins.module_utils.module_calls import systemctl_of
from ansible_collections.graceful.wsgi.plugins.module_utils.unlogged import AnsibleModule


def main():
    module = AnsibleModule(
        argument_spec={
            "apps": {"type": "list", "elements": "str", "required": True},
            "background": app_background.SPEC,
            "state": {"type": "str", "choices": ["present", "restored", "renewed", "absent"], "default": "present"},
            "changed_files": {"type": "list", "elements": "path", "default": []},
        },
        supports_check_mode=True,
    )
    given = module.params
    pending = given["changed_files"] if module.check_mode else []
    state = given["state"]
    wanted = given["background"] if state in ("present", "restored") else []
    kept = state == "renewed"
    work = app_background.Background(
        given["apps"],
        wanted,
        systemctl_of(module),
        pending,
        renew=given["apps"] if kept else [],
        back=state == "restored",
        kept=kept,
    )
    try:
        done = work.would_do()
        not_enabled = set(item.name for item in work.instances if not item.enabled)
        if not module.check_mode:
            done = work.end() if state == "absent" else work.apply()
    except (InstanceError, IOError, OSError) as error:
        module.fail_json(msg=str(error))
    changed = dict((name, what) for name, what in done.items() if what != "nothing" or name in not_enabled)
    after = [
        "%s: %s%s\n" % (name, "enable, " if name in not_enabled else "", changed[name]) for name in sorted(changed)
    ]
    module.exit_json(
        changed=bool(changed),
        background=done,
        diff={"before": "", "after": "".join(after), "after_header": "workers and timers"},
    )


if __name__ == "__main__":
    main()
