#!/usr/bin/python
# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: doctor
short_description: (internal) Names what is wrong with an existing stack of nginx and uWSGI
version_added: 0.1.0
author:
  - The graceful.wsgi contributors (@graceful)
description:
  - Reads a host by M(graceful.wsgi.existing_stack), or a folder on the controller, and reports findings with file and
    line, evidence, consequence and cure. Changes nothing, and fails where something is serious.
  - The controller needs C(ngxparse) from PyPI.
options:
  files:
    description: A folder on the controller with files of nginx and uWSGI, which stands for the host's root.
    type: path
  paths:
    description: Files and folders of the host to read besides those that are found.
    type: list
    elements: path
    default: []
  format:
    description: How the findings are printed and written.
    type: str
    choices: [text, json]
    default: text
  file:
    description: A file on the controller that they are written into as well.
    type: path
extends_documentation_fragment:
  - graceful.wsgi.internal
  - graceful.wsgi.attributes
"""

EXAMPLES = r"""
- name: Name what is wrong
  graceful.wsgi.doctor:
    format: json
"""

RETURN = r"""
findings:
  description: What was found, the serious ones first.
  returned: always
  type: list
  elements: dict
"""
