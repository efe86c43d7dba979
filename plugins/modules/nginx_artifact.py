#!/usr/bin/python
# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: nginx_artifact
short_description: (internal) Keeps a built nginx binary with its manifest
version_added: 0.1.0
author:
  - The graceful.wsgi contributors (@graceful)
description:
  - Checks the built binary, refuses one that needs any libpcre or is of another version, and puts it in place with its
    manifest by one rename of the whole folder. An intact artifact that is there already stays as it is.
  - The manifest says what the binary asks of a host, as read from its ELF file.
options:
  path:
    description: The artifact's folder. Those above it are made.
    type: path
    required: true
  source:
    description: The binary as it came out of the build. A symlink is refused.
    type: path
    required: true
  version:
    description: The nginx version that the binary must say it has.
    type: str
    required: true
  about:
    description: What is to be remembered in the manifest, e.g. the flags and the sources.
    type: dict
    default: {}
  checksum:
    description: The sha256 that the binary must have. Without one it is taken as it is.
    type: str
extends_documentation_fragment:
  - graceful.wsgi.internal
  - graceful.wsgi.attributes
"""

EXAMPLES = r"""
- name: Store the nginx artifact
  graceful.wsgi.nginx_artifact:
    path: /var/lib/graceful-wsgi/nginx/artifacts/1.30.6-0123456789ab
    source: /var/lib/graceful-wsgi/nginx/builds/x/work/nginx-1.30.6/objs/nginx
    version: 1.30.6
"""

RETURN = r"""
manifest:
  description: The artifact's manifest, empty in check mode where it is not there yet.
  returned: success
  type: dict
  contains:
    version:
      description: The nginx version.
      type: str
    about:
      description: What the artifact was made of, as it was told to the module.
      type: dict
    files:
      description: The sha256 of each file.
      type: dict
    architecture:
      description: The architecture that it runs on, e.g. C(x86_64).
      type: str
    static:
      description: Whether the binary needs no library and no loader.
      type: bool
    glibc:
      description: The oldest glibc that it runs with, null where it needs none.
      type: str
    libraries:
      description: The shared libraries that it names.
      type: list
      elements: str
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.graceful.wsgi.plugins.module_utils import nginx_artifact


def main():
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "source": {"type": "path", "required": True},
            "version": {"type": "str", "required": True},
            "about": {"type": "dict", "default": {}},
            "checksum": {"type": "str"},
        },
        supports_check_mode=True,
    )
    path = module.params["path"]
    changed = nginx_artifact.load(path) is None
    if changed and not module.check_mode:
        try:
            nginx_artifact.put(
                path,
                module.params["source"],
                module.params["version"],
                module.params["about"],
                lambda argv: module.run_command(argv, environ_update={"LC_ALL": "C"}),
                module.params["checksum"],
            )
        except nginx_artifact.ArtifactError as error:
            module.fail_json(msg=str(error))
    module.exit_json(changed=changed, manifest=nginx_artifact.load(path) or {})


if __name__ == "__main__":
    main()
