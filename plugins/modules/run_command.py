#!/usr/bin/python
# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: run_command
short_description: (internal) Runs a command of an application in its live release
version_added: 0.1.0
author:
  - The graceful.wsgi contributors (@graceful)
description:
  - The playbook C(graceful.wsgi.run) runs it. It is C(/usr/local/bin/wsgi APP COMMAND) on the host, whose words are
    those of O(command); what it says is printed, and a status other than 0 fails the task.
options:
  app:
    description: The application.
    type: str
    required: true
  command:
    description: The command, in words as a shell would split them; no shell reads it.
    type: str
    required: true
extends_documentation_fragment:
  - graceful.wsgi.internal
attributes:
  check_mode:
    description: Can run in check mode.
    support: full
    details: It runs nothing.
  diff_mode:
    description: Returns a diff.
    support: none
"""

EXAMPLES = r"""
- name: Run a command
  graceful.wsgi.run_command:
    app: shop
    command: python manage.py createsuperuser --noinput
"""

RETURN = r"""
here:
  description: Whether the host has the application. Where it has none, the task is skipped.
  returned: not in check mode
  type: bool
names:
  description: The application, or those that the host has in its place.
  returned: not in check mode
  type: list
  elements: str
rc:
  description: Its status.
  returned: always
  type: int
said:
  description: The lines that it printed.
  returned: always
  type: list
  elements: str
"""
