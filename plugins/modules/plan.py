#!/usr/bin/python
# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: plan
short_description: (internal) Plans a role's work from its variables, or refuses them all in one message
version_added: 0.1.0
author:
  - The graceful.wsgi contributors (@graceful)
description:
  - Reads the variables of the collection's roles on the controller, checks them against each role's argument spec
    and against each other, and returns what the named role is to do.
  - The variables of all roles of this collection that the play shows are checked, so that everything that is wrong
    comes in one message before the first role touches the host.
  - What groups and hosts publish by C(publish_apps_NAME) and the like is joined before; problems, warnings and checks
    name these variables as they are written.
  - Nothing is sent to the host.
options:
  role:
    description: The role whose plan is wanted.
    type: str
    required: true
    choices: [el, kit, nginx, publish, remove, uwsgi]
  collecting:
    description: Whether a kit is being filled, in the folder that the variable C(kit_dir) names.
    type: bool
    default: false
  kit:
    description: Whether a kit that the variable C(publish_kit) names is looked at. Who installs nothing needs none.
    type: bool
    default: true
  kept:
    description: What is kept with the releases of O(pins), C(release) and C(kept), by application; it stands in the
      place of what the variables say of how their code runs.
    type: dict
    default: {}
  pins:
    description: For each application the name of a release that is on the host, on the way back to an earlier one.
    type: dict
  bare:
    description: Those of O(pins) whose release has no virtualenv.
    type: list
    elements: str
    default: []
  uwsgi:
    description: The fact C(uwsgi_installed) that the role uwsgi sets; the publish role passes it on.
    type: dict
extends_documentation_fragment:
  - graceful.wsgi.internal
  - graceful.wsgi.attributes
notes:
  - This is an action plugin; it runs on the controller only.
"""

EXAMPLES = r"""
- name: Plan what the publish role would do
  graceful.wsgi.plan:
    role: publish
  register: planned
"""

RETURN = r"""
plan:
  description: What the role is to do. Its fields are those of the role's class in plugins/plugin_utils/model.py, and
    private to the roles but for what their READMEs name. One that holds values of applications'
    environments is registered, and shown to nobody.
  returned: success
  type: dict
kit_folder:
  description: The folder of the kit.
  returned: with O(collecting)
  type: str
"""
