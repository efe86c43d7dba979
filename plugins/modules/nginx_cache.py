#!/usr/bin/python
# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: nginx_cache
short_description: Keeps a built nginx on the controller and installs it on hosts that have no compiler
version_added: 0.1.0
author:
  - The graceful.wsgi contributors (@graceful)
description:
  - Keeps artifacts, as M(graceful.wsgi.nginx_artifact) makes them on the host that builds, in a folder on the
    controller, and puts them on other hosts.
  - An artifact is in the folder whole or not at all. Its checksum is verified each time it is taken from there and
    once more where it arrives; a damaged one is refused with the name of the file.
  - One host of one play at a time has an artifact built; the others wait for it where they install it.
options:
  state:
    description:
      - C(claimed) asks whether this host is the one to have the artifact built. It is not where the folder has it
        already, or where another host or play has said the same and not ended since.
      - C(stored) fetches it from the host that built it, to which the task is delegated.
      - C(released) gives the claim back.
      - C(awaited) waits until the artifact is in the folder, and refuses one that the host cannot run.
      - C(installed) does the same and puts it on the host.
    type: str
    required: true
    choices: [claimed, stored, released, awaited, installed]
  folder:
    description: The folder on the controller. It may be shared by controllers; it is made.
    type: str
    required: true
  name:
    description: The artifact's name, which no other artifact bears.
    type: str
    required: true
  version:
    description: The nginx version. Required but for C(released).
    type: str
  about:
    description: What the artifact was made of, for its manifest. Required but for C(released).
    type: dict
  path:
    description: The artifact's folder on the builder (C(stored)) or on the host (C(installed)).
    type: str
  timeout:
    description: Seconds that a build may take. A claim ends some time after that, whatever has become of its play.
    type: int
    default: 3600
  architecture:
    description: The host's, for C(awaited) and C(installed).
    type: str
  glibc:
    description: The version of the host's glibc, for C(awaited) and C(installed); empty where it has none.
    type: str
extends_documentation_fragment:
  - graceful.wsgi.attributes
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
claimed:
  description: Whether this host is the one to have the artifact built.
  returned: with state C(claimed)
  type: bool
manifest:
  description: The artifact's manifest on the host, see M(graceful.wsgi.nginx_artifact).
  returned: with state C(installed)
  type: dict
"""
