#!/usr/bin/python
# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: adopt
short_description: (internal) Moves an existing stack over to this collection, and back
version_added: 0.1.0
author:
  - The graceful.wsgi contributors (@graceful)
description:
  - Reads a host by M(graceful.wsgi.existing_stack), compares the answers of both stacks by
    M(graceful.wsgi.compare_answers), and leads nginx over by M(graceful.wsgi.adopted_stack).
  - The controller needs C(ngxparse) from PyPI.
options:
  step:
    description: V(look) says what there is to do, V(compare) fails where answers differ, V(move) moves there or back.
    type: str
    choices: [look, compare, move]
    required: true
  state:
    description: Where the host is to be.
    type: str
    choices: [beside, moved, back]
    default: beside
  accept:
    description: Differences that may be, each by its request, its part, or both.
    type: list
    elements: str
    default: []
  accept_twice:
    description: Whether what answers no request, such as a timer, may run twice as long as both stacks do.
    type: bool
    default: false
  paths:
    description: Paths to ask for besides.
    type: list
    elements: str
    default: []
  stop:
    description: Whether the old applications are ended once nginx leads elsewhere.
    type: bool
    default: true
  timeout:
    description: How long requests may take to end, and applications to come up or end, in seconds.
    type: int
    default: 60
  report:
    description: A file on the controller for what the comparison found.
    type: path
  found:
    description: What the step V(look) has returned.
    type: dict
    default: {}
extends_documentation_fragment:
  - graceful.wsgi.internal
  - graceful.wsgi.attributes
"""

EXAMPLES = r"""
- name: Look at what there is to move
  graceful.wsgi.adopt:
    step: look
  register: found
"""

RETURN = r"""
phase:
  description: V(moved) where nginx is led to our sockets.
  returned: for O(step=look)
  type: str
apps:
  description: The applications to publish beside.
  returned: for O(step=look)
  type: list
  elements: dict
nginx:
  description: The accounts of nginx, as the nginx role takes them.
  returned: for O(step=look)
  type: dict
starters:
  description: What starts each old application.
  returned: for O(step=look)
  type: list
  elements: str
summary:
  description: What became of the locations.
  returned: for O(step=look)
  type: str
plan:
  description: What is changed, tried and asked.
  returned: for O(step=look)
  type: dict
differences:
  description: What differs, with C(request), C(part), C(old) and C(new).
  returned: for O(step=compare)
  type: list
  elements: dict
varying:
  description: What differs between two answers of the old stack itself, by request.
  returned: for O(step=compare)
  type: dict
told:
  description: What was done, a line each.
  returned: for O(step=move)
  type: list
  elements: str
"""
