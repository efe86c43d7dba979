#!/usr/bin/python
# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: app_commands
short_description: (internal) Runs commands of applications before a release goes live, and after it did
version_added: 0.1.0
author:
  - The graceful.wsgi contributors (@graceful)
description:
  - Each command runs in a systemd unit of its own (C(uwsgi-try-APP.N-*.service) below C(/run)) with the settings that
    O(apps[].unit) will have; account, sandbox, limits, environment, credentials. The unit ends with its cgroup, so that
    nothing that the command has started is left, whether it ended by itself or its time was up.
  - Applications are worked on at the same time, and the commands of each in their order, up to the first that fails.
  - The action plugin asks first for which applications there is something to do, and then runs one command of each
    after the other and prints what it said. Those with O(commands[].before_live[].once) one host of the play runs.
options:
  point:
    description: Which of the commands; those of V(before_live) run in the release that is to be live.
    type: str
    choices: [before_live, after_live]
    required: true
  state:
    description:
      - V(due) only tells for which of O(commands) there is something to do. With O(point=before_live) it notes for each
        of them with commands of O(commands[].after_live) that these are owed once it is live.
      - V(settled) takes that note away. The action plugin asks for each in turn where none is given.
    type: str
    choices: [due, run, settled]
    default: run
  commands:
    description: The applications with their commands.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: The application.
        type: str
        required: true
      group:
        description: The group that may read its code.
        type: str
        required: true
      code:
        description: Folder of the live code.
        type: path
        required: true
      folder:
        description: Folder in which they run.
        type: path
        required: true
      virtualenv:
        description: Virtualenv whose programs come first.
        type: path
        required: true
      pythonpath:
        description: Folders of C(sys.path).
        type: list
        elements: path
        default: []
      before_live:
        description: Commands in the new release.
        type: list
        elements: dict
        default: []
        suboptions: &command
          name:
            description: What it is called in messages.
            type: str
            required: true
          words:
            description: Its words.
            type: list
            elements: str
            required: true
          once:
            description: Whether one host of a play runs it; not used by the module itself.
            type: bool
            default: false
          timeout:
            description: Seconds that it may take.
            type: int
            default: 600
      after_live:
        description: Commands in the live release.
        type: list
        elements: dict
        default: []
        suboptions: *command
      writable:
        description: Folders of the release that the application's account may write meanwhile.
        type: list
        elements: str
        default: []
  releases:
    description: What M(graceful.wsgi.releases) returned as RV(graceful.wsgi.releases#module:releases).
    type: list
    elements: dict
    default: []
  parallel:
    description: Number of applications that are worked on at the same time.
    type: int
    default: 4
extends_documentation_fragment:
  - graceful.wsgi.internal
  - graceful.wsgi.applications.apps
attributes:
  check_mode:
    description: Can run in check mode.
    support: full
    details: It tells what would run, and runs nothing.
  diff_mode:
    description: Returns a diff.
    support: none
"""

EXAMPLES = r"""
- name: Run the commands of before_live
  graceful.wsgi.app_commands:
    point: before_live
    apps: "{{ plan.preflights }}"
    commands: "{{ plan.commands }}"
    releases: "{{ sent.releases }}"
"""

RETURN = r"""
due:
  description: The applications for which there is something to do.
  returned: success
  type: list
  elements: str
ran:
  description: For each command that ran C(app), C(name), C(status), the seconds that it C(took) and what it C(said).
  returned: always
  type: list
  elements: dict
"""

from ansible_collections.graceful.wsgi.plugins.module_utils import (
    app_commands,
    causes,
    release_records,
    trial_unit,
    uwsgi_preflight,
)
from ansible_collections.graceful.wsgi.plugins.module_utils.parallel import run_all
from ansible_collections.graceful.wsgi.plugins.module_utils.unlogged import AnsibleModule


def due(module, replace):
    """Names of the applications with something to do at this point."""
    wanted, point = module.params["commands"], module.params["point"]
    if point == "after_live":
        return [item["name"] for item in wanted if item["after_live"] and app_commands.is_owed(item["name"])]
    new = [item for item in wanted if app_commands.is_new(replace.get(item["name"], {}))]
    for item in new:
        if item["after_live"] and not module.check_mode:
            app_commands.owe(item["name"], replace[item["name"]])
    return [item["name"] for item in new]


def run(module, replace):
    """What each application's commands came to."""
    apps = dict((app["name"], app) for app in module.params["apps"])
    point = module.params["point"]
    # What is live already is looked at where it is.
    leads = replace if point == "before_live" else {}
    found = [
        app_commands.Application(apps[item["name"]], item, leads.get(item["name"], {}), point)
        for item in module.params["commands"]
    ]
    with trial_unit.Trials() as trials:
        for one in found:
            one.prepare(trials if trial_unit.available() else None)
        trials.ready()
        run_all([one.run for one in found], module.params["parallel"])
    return found


def main():
    module = AnsibleModule(
        argument_spec={
            "point": {"type": "str", "choices": ["before_live", "after_live"], "required": True},
            "state": {"type": "str", "choices": ["due", "run", "settled"], "default": "run"},
            "apps": {"type": "list", "elements": "dict", "required": True, "options": uwsgi_preflight.SPEC},
            "commands": {"type": "list", "elements": "dict", "required": True, "options": app_commands.SPEC},
            "releases": {"type": "list", "elements": "dict", "default": []},
            "parallel": {"type": "int", "default": 4},
        },
        supports_check_mode=True,
    )
    replace = dict((item["name"], item["replace"]) for item in module.params["releases"])
    names, ran = [item["name"] for item in module.params["commands"]], []
    if module.params["state"] == "due":
        names = due(module, replace)
    elif module.params["state"] == "settled" and not module.check_mode:
        for name in names:
            app_commands.settle(name, replace.get(name))
    elif module.params["state"] == "run" and not module.check_mode:
        found = run(module, replace)
        ran = [one for app in found for one in app.ran]
        failed = [(app.name, app.failed) for app in found if app.failed]
        if failed:
            if module.params["point"] == "before_live":
                release_records.note_failures(module.params["releases"], failed, "before_live")
            module.fail_json(msg=causes.message(failed), ran=ran)
    module.exit_json(changed=module.params["state"] == "run", due=names, ran=ran)


if __name__ == "__main__":
    main()
