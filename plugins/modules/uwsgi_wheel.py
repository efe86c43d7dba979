#!/usr/bin/python
# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: uwsgi_wheel
short_description: Keeps a built uWSGI wheel with its manifest, or takes one that was built elsewhere
version_added: 0.1.0
author:
  - The graceful.wsgi contributors (@graceful)
description:
  - On the host that builds it puts the wheel, with a manifest that says what the binary inside asks of a host, into a
    folder of its own by one rename.
  - With O(checksum), on a host that gets the wheel, it puts the wheel into a folder under the name that pip wants it to
    have, unless it is not what was sent.
options:
  path:
    description: The artifact's folder, or with O(checksum) the folder, which must be there, for the wheel.
    type: path
    required: true
  source:
    description: The folder that pip put the one wheel into, or with O(checksum) the file that arrived.
    type: path
    required: true
  version:
    description: The version of uWSGI.
    type: str
    required: true
  about:
    description: What is to be remembered in the manifest of what the wheel was made of.
    type: dict
    default: {}
  binary:
    description: The binary as installed from this wheel, of whose libraries the packages are looked up.
    type: path
  family:
    description: Whose packages these are, C(Debian) or C(RedHat). Without one none are looked up.
    type: str
  library_packages:
    description: Without O(binary), since the wheel does not run here, the names of the packages by their libraries.
    type: dict
    default: {}
  features:
    description: The features that the binary was found to have, for the manifest.
    type: list
    elements: str
    default: []
  checksum:
    description: The sha256 that the wheel must have.
    type: str
  build_user:
    description: The account that built O(binary), as which it is looked at; empty for whoever the module runs as.
    type: str
    default: ''
extends_documentation_fragment:
  - graceful.wsgi.attributes
"""

EXAMPLES = r"""
- name: Keep the wheel that pip made
  graceful.wsgi.uwsgi_wheel:
    path: /var/lib/graceful-wsgi/uwsgi/builds/x/artifact
    source: /var/lib/graceful-wsgi/uwsgi/builds/x/wheels
    version: 2.0.31
    binary: /var/lib/graceful-wsgi/uwsgi/builds/x/venv/bin/uwsgi
    family: Debian
"""

RETURN = r"""
file:
  description: Where the wheel is now.
  returned: with O(checksum), but in check mode
  type: str
"""

import os

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.graceful.wsgi.plugins.module_utils import nginx_artifact, uwsgi_wheel
from ansible_collections.graceful.wsgi.plugins.module_utils.build_account import run_built


def main():
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "source": {"type": "path", "required": True},
            "version": {"type": "str", "required": True},
            "about": {"type": "dict", "default": {}},
            "binary": {"type": "path"},
            "family": {"type": "str"},
            "library_packages": {"type": "dict", "default": {}},
            "features": {"type": "list", "elements": "str", "default": []},
            "checksum": {"type": "str"},
            "build_user": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    wanted = module.params
    if module.check_mode:
        module.exit_json(changed=True)

    def run(command):
        # ldd may have the loader run what a build made.
        return run_built(command, wanted["build_user"], module.run_command)

    try:
        if wanted["checksum"]:
            module.exit_json(
                changed=True, file=uwsgi_wheel.receive(wanted["path"], wanted["source"], wanted["checksum"])
            )
        wheel = uwsgi_wheel.the_wheel(wanted["source"])
        needed = nginx_artifact.manifest(wheel, wanted["version"], wanted["about"], uwsgi_wheel.WHEEL)["libraries"]
        found = {"features": sorted(wanted["features"]), "packages": []}
        named = wanted["library_packages"]
        found["packages"] = sorted(set(named[library] for library in needed if library in named))
        if wanted["binary"] and wanted["family"]:
            found["packages"] = uwsgi_wheel.packages(wanted["binary"], needed, run, wanted["family"])
        nginx_artifact.write(
            os.path.abspath(wanted["path"]), wheel, wanted["version"], wanted["about"], None, uwsgi_wheel.WHEEL, found
        )
    except nginx_artifact.ArtifactError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=True)


if __name__ == "__main__":
    main()
