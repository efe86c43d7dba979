#!/usr/bin/python
# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: import_stack
short_description: (internal) Writes an existing stack of nginx and uWSGI as an inventory
version_added: 0.1.0
author:
  - The graceful.wsgi contributors (@graceful)
description:
  - Reads a host by M(graceful.wsgi.existing_stack), or a folder on the controller, and writes an inventory that this
    collection publishes, with a table beside it of what became of each directive. Nothing on the host is changed.
  - The controller needs C(ngxparse) from PyPI.
options:
  dir:
    description: The folder on the controller that the inventory is written into.
    type: path
    required: true
  files:
    description: A folder on the controller with files of nginx and uWSGI, which stands for the host's root.
    type: path
  paths:
    description: Files and folders of the host to read besides those that are found.
    type: list
    elements: path
    default: []
  overwrite:
    description: Whether files that are there already may be overwritten.
    type: bool
    default: false
  ask:
    description: Whether the old stack is asked, with C(GET) and C(HEAD), and its answers are kept beside the inventory.
    type: bool
    default: false
  ask_paths:
    description: Paths to ask for besides, each at each site.
    type: list
    elements: str
    default: []
  compare:
    description: Such a file of answers; nothing is imported then, and ours is asked the same and compared with it.
    type: path
  at:
    description: The address where ours listens, as the host of the task reaches it.
    type: str
    default: 127.0.0.1
  ports:
    description: Where ours listens at other ports than the old stack did, by the old one's.
    type: dict
    default: {}
  accept:
    description: Differences that may be, each by its request, its part, or both.
    type: list
    elements: str
    default: []
extends_documentation_fragment:
  - graceful.wsgi.internal
  - graceful.wsgi.attributes
"""

EXAMPLES = r"""
- name: Import what is there
  graceful.wsgi.import_stack:
    dir: infra
"""

RETURN = r"""
inventory:
  description: The file that was written.
  returned: without O(compare)
  type: str
answers:
  description: The file of answers.
  returned: with O(ask)
  type: str
differences:
  description: What differs, with C(request), C(part), C(old) and C(new).
  returned: with O(compare)
  type: list
  elements: dict
table:
  description: The table beside it.
  returned: success
  type: str
summary:
  description: The outcome in one line.
  returned: success
  type: str
questions:
  description: What somebody has to decide, with the choices.
  returned: without O(compare)
  type: list
  elements: dict
"""
