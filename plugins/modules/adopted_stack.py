#!/usr/bin/python
# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: adopted_stack
short_description: (internal) Leads the nginx of an existing stack to our sockets, and back
version_added: 0.1.0
author:
  - The graceful.wsgi contributors (@graceful)
description:
  - nginx stays the one that it is. Its files are changed where they name a socket, tested by its own binary and read by
    a reload. What was there is kept, and what started the old applications is disabled and kept.
options:
  step:
    description:
      - V(asked) tells what was moved; V(checked) what only the host can refuse.
      - V(trial) starts the old nginx once more, on ports of its own, with O(text); V(ended) ends that.
      - V(moved) leads nginx over; V(stopped) ends the old applications; V(back) returns.
    type: str
    choices: [asked, checked, trial, ended, moved, stopped, back]
    required: true
  edits:
    description: Files of nginx as they are to be, with the C(sha256) of what they are.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: The file.
        type: path
        required: true
      sha256:
        description: The digest of what it holds.
        type: str
        required: true
      content:
        description: What it is to hold.
        type: str
        required: true
  apps:
    description: The old applications.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: The name that it has here.
        type: str
        required: true
      addresses:
        description: Where it listens, and nginx is led away from.
        type: list
        elements: str
        required: true
      lead:
        description: Where nginx is led to.
        type: str
        required: true
      protocol:
        description: What is spoken at its sockets.
        type: str
        choices: [uwsgi, http]
        default: uwsgi
      host:
        description: A name that it is asked for.
        type: str
        default: localhost
      user:
        description: The account that it is published for, where one is named.
        type: str
      group:
        description: The group that it is published for, where one is named.
        type: str
      units:
        description: Units that start a uWSGI.
        type: list
        elements: str
        default: []
      programs:
        description: Programs of supervisor's that start it, with C(name) and C(file).
        type: list
        elements: dict
        default: []
      vassals:
        description: Files by which an emperor starts it.
        type: list
        elements: path
        default: []
  main:
    description: The main file of nginx's that the plan was made of; nothing is done where nginx reads another one.
    type: str
    default: ""
  text:
    description: The configuration of the trial.
    type: str
    default: ""
  ports:
    description: How many ports the trial has.
    type: int
    default: 0
  stop:
    description: Whether the old applications are to be ended.
    type: bool
    default: true
  timeout:
    description: How long requests may take to end, and applications to come up or end, in seconds.
    type: int
    default: 60
extends_documentation_fragment:
  - graceful.wsgi.internal
  - graceful.wsgi.attributes
"""

EXAMPLES = r"""
- name: Lead nginx back
  graceful.wsgi.adopted_stack:
    step: back
"""

RETURN = r"""
phase:
  description: V(moved) where nginx is led to our sockets, V(moving) where a run was cut off, else empty.
  returned: success
  type: str
stopped:
  description: Whether the old applications were ended.
  returned: success
  type: bool
home:
  description: Where what was there is kept.
  returned: success
  type: str
ports:
  description: The ports of the trial.
  returned: for O(step=trial)
  type: list
  elements: int
nginx:
  description: The accounts of nginx's workers, as the nginx role names them.
  returned: for O(step=asked)
  type: dict
starters:
  description: What starts each old application.
  returned: for O(step=checked)
  type: list
  elements: str
told:
  description: What was done, a line each.
  returned: success
  type: list
  elements: str
left:
  description: What is left to do by hand, a line each.
  returned: success
  type: list
  elements: str
serving:
  description: Workers of nginx that still serve requests of before.
  returned: success
  type: list
  elements: int
"""

from ansible_collections.graceful.wsgi.plugins.module_utils import adopting, nginx_master, old_masters, safe_path
from ansible_collections.graceful.wsgi.plugins.module_utils.unlogged import AnsibleModule

SPEC = {
    "step": {
        "type": "str",
        "required": True,
        "choices": ["asked", "checked", "trial", "ended", "moved", "stopped", "back"],
    },
    "edits": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "path": {"type": "path", "required": True},
            "sha256": {"type": "str", "required": True},
            "content": {"type": "str", "required": True},
        },
    },
    "apps": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "name": {"type": "str", "required": True},
            "addresses": {"type": "list", "elements": "str", "required": True},
            "lead": {"type": "str", "required": True},
            "protocol": {"type": "str", "choices": ["uwsgi", "http"], "default": "uwsgi"},
            "host": {"type": "str", "default": "localhost"},
            "user": {"type": "str"},
            "group": {"type": "str"},
            "units": {"type": "list", "elements": "str", "default": []},
            "programs": {"type": "list", "elements": "dict", "default": []},
            "vassals": {"type": "list", "elements": "path", "default": []},
        },
    },
    "main": {"type": "str", "default": ""},
    "text": {"type": "str", "default": ""},
    "ports": {"type": "int", "default": 0},
    "stop": {"type": "bool", "default": True},
    "timeout": {"type": "int", "default": 60},
}
# What changes the host for good.
CHANGES = ("moved", "stopped", "back")


def done(adoption, given, run):
    """One step; what it tells besides where things stand."""
    step, told, left, serving, more = given["step"], [], [], [], {}
    if step == "asked":
        more["nginx"] = adopting.Nginx(run).accounts()
    elif step == "checked":
        found = adoption.check(given)
        adopting.Nginx(run).reads(given["main"])
        more["starters"] = ["%s: started by %s (process %d)" % (one["app"], one["kind"], one["pid"]) for one in found]
    elif step == "trial":
        nginx = adopting.Nginx(run)
        nginx.reads(given["main"])
        more["ports"] = adopting.start_trial(nginx, given["text"], given["ports"])
    elif step == "ended":
        adopting.end_trial(adopting.Nginx(run))
    elif step == "moved":
        serving = adoption.move(given)
        told = ["%s: nginx is led to %s" % (app["name"], app["lead"]) for app in given["apps"]]
    elif step == "stopped":
        told, left = adoption.stop(given["timeout"])
    elif step == "back":
        told, serving = adoption.back(given["timeout"])
        told = told + ["nginx is led to the old stack again"]
    return dict(more, told=told, left=left, serving=serving)


def main():
    module = AnsibleModule(argument_spec=SPEC, supports_check_mode=True)
    given = module.params
    adoption = adopting.Adopting(module.run_command)
    known = (
        adopting.AdoptError,
        old_masters.StackError,
        nginx_master.MasterError,
        safe_path.UnsafePath,
    )
    result = {"told": [], "left": [], "serving": []}
    if not module.check_mode or given["step"] in ("asked", "checked"):
        try:
            result = done(adoption, given, module.run_command)
        except known as error:
            module.fail_json(msg=str(error), phase=adoption.phase)
        except (IOError, OSError) as error:
            module.fail_json(msg="%s: %s" % (error.filename or "", error.strerror), phase=adoption.phase)
    module.exit_json(
        changed=given["step"] in CHANGES,
        phase=adoption.phase,
        stopped=bool(adoption.state.about.get("stopped")),
        home=adoption.state.home,
        **result
    )


if __name__ == "__main__":
    main()
