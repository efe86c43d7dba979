#!/usr/bin/python
# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: kit
short_description: (internal) Fills a folder on the controller with what a host needs that reaches nothing
version_added: 0.1.0
author:
  - The graceful.wsgi contributors (@graceful)
description:
  - Puts into a kit what one host takes of it, and notes the sha256 of each file in its C(manifest.json). What is there
    already and intact is not fetched again.
  - Wheels are fetched by the pip of whoever runs Ansible, or of a virtualenv of its Python, for the Python, the
    processor and the libc of the host. Markers in requirements are judged as that host would judge them.
options:
  state:
    description: V(wanted) tells which wheel of uWSGI the host takes, V(collected) collects, V(built) takes what another
      host has built for an application.
    type: str
    required: true
    choices: [wanted, collected, built]
  folder:
    description: The kit; made where it is missing.
    type: str
    required: true
  host:
    description: Of which kind the host is, as M(graceful.wsgi.kit_host) returns it.
    type: dict
    required: true
  uwsgi:
    description: The plan of the role uwsgi, as M(graceful.wsgi.plan) returns it; its C(settings) and C(build) for
      O(state=wanted). Required but for O(state=built).
    type: dict
  nginx:
    description: The plan of the role nginx. Required for O(state=collected).
    type: dict
  pip:
    description: How an index is reached, as the plan of the role publish tells it. Required for O(state=collected).
    type: dict
  apps:
    description: The applications, as the C(releases) of the plan of the role publish.
    type: list
    elements: dict
    default: []
  app_variables:
    description: Where each of O(apps) is said in the variables, as the plan of the role publish tells it.
    type: list
    elements: str
    default: []
  source:
    description: A folder on the controller with the wheels that were built. Required for O(state=built).
    type: str
  name:
    description: The application that they were built for.
    type: str
  digest:
    description: The digest of its requirements.
    type: str
extends_documentation_fragment:
  - graceful.wsgi.internal
  - graceful.wsgi.attributes
notes:
  - This is an action plugin; it runs on the controller only.
"""

EXAMPLES = r"""
- name: Collect the wheels, and write the manifest
  graceful.wsgi.kit:
    state: collected
    folder: ./kit
    host: "{{ known }}"
    nginx: "{{ nginx_planned.plan }}"
    uwsgi: "{{ uwsgi_planned.plan }}"
    pip: "{{ published.plan.pip }}"
    apps: "{{ published.plan.releases }}"
    app_variables: "{{ published.plan.app_variables }}"
"""

RETURN = r"""
wheel:
  description: The C(name) of the wheel and what it is made of (C(about)).
  returned: with O(state=wanted)
  type: dict
collected:
  description: What was not there, or in check mode would be collected.
  returned: with O(state=collected)
  type: list
  elements: str
lacking:
  description: Applications with requirements that have no wheel, which C(uwsgi_build_host) is to build; a mapping of
    C(name), C(variable), C(what), C(digest) and C(files) each.
  returned: with O(state=collected)
  type: list
  elements: dict
"""
