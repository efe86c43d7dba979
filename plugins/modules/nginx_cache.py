#!/usr/bin/python
# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: nginx_cache
short_description: (internal) Keeps a built nginx on the controller and installs it on hosts that have no compiler
version_added: 0.1.0
author:
  - The graceful.wsgi contributors (@graceful)
description:
  - Keeps artifacts, as M(graceful.wsgi.nginx_artifact) makes them on the host that builds, in a folder on the
    controller, and puts them on other hosts.
  - An artifact is in the folder whole or not at all. Its checksum is verified each time it is taken from there and
    once more where it arrives; a damaged one is refused with the name of the file.
  - One host of one play at a time has an artifact built; the others wait for it where they install it.
extends_documentation_fragment:
  - graceful.wsgi.internal
  - graceful.wsgi.attributes
  - graceful.wsgi.caches
notes:
  - This is an action plugin; only C(stored) and C(installed) speak to a host.
"""

EXAMPLES = r"""
- name: Install what was built elsewhere
  graceful.wsgi.nginx_cache:
    state: installed
    folder: /srv/artifacts
    name: 1.30.6-0123456789ab
    version: 1.30.6
    about: "{{ planned.plan.about }}"
    path: /var/lib/graceful-wsgi/nginx/artifacts/1.30.6-0123456789ab
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
  description: Whether this host is the one to have the artifact built.
  returned: with state C(claimed)
  type: bool
manifest:
  description: The artifact's manifest, see M(graceful.wsgi.nginx_artifact); empty in check mode where there is none.
  returned: with state C(awaited) or C(installed)
  type: dict
"""
