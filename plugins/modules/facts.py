#!/usr/bin/python
# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: facts
short_description: (internal) Gathers facts, and says what to do where the running Ansible is too new for the host
version_added: 0.1.0
author:
  - The graceful.wsgi contributors (@graceful)
description:
  - Sets the facts that M(ansible.builtin.setup) sets.
  - ansible-core from 2.17 on does not speak to the Python of CentOS 7 and has no module for its yum; what it says of
    such a host is a syntax error. This asks the host by its shell what it has, and names the Ansible to take.
options:
  gather_subset:
    description: As of M(ansible.builtin.setup).
    type: list
    elements: str
    default: [all]
extends_documentation_fragment:
  - graceful.wsgi.internal
  - graceful.wsgi.attributes
notes:
  - This is an action plugin; it runs M(ansible.builtin.setup) on the host.
"""

EXAMPLES = r"""
# In pre_tasks of a play with gather_facts: false
- name: Gather facts
  graceful.wsgi.facts:
  tags: [always]
"""

RETURN = r"""
ansible_facts:
  description: The facts, see M(ansible.builtin.setup).
  returned: success
  type: dict
"""
