#!/usr/bin/python
# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: nginx_artifact
short_description: Keeps a built nginx binary with its manifest, or tells whether one is there
version_added: 0.1.0
author:
  - The graceful.wsgi contributors (@graceful)
description:
  - Without O(source) it tells whether an intact artifact is in O(path).
  - With O(source) it checks the built binary, refuses one that needs any libpcre or is of another version, and puts it
    in place with its manifest by one rename of the whole folder.
options:
  path:
    description: The artifact's folder. Its parent must exist.
    type: path
    required: true
  source:
    description: The binary as it came out of the build. A symlink is refused.
    type: path
  version:
    description: The nginx version that the binary must say it has.
    type: str
  about:
    description: What is to be remembered in the manifest, e.g. the flags and the sources.
    type: dict
    default: {}
attributes:
  check_mode:
    description: Can run in check mode.
    support: full
  diff_mode:
    description: Returns a diff.
    support: none
"""

EXAMPLES = r"""
- name: See whether it was built before
  graceful.wsgi.nginx_artifact:
    path: /var/lib/graceful-wsgi/nginx/artifacts/1.30.6-0123456789ab
  register: artifact
"""

RETURN = r"""
exists:
  description: Whether an intact artifact is there (in check mode, whether it would be).
  returned: success
  type: bool
manifest:
  description: Its manifest, empty where there is none.
  returned: success
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.graceful.wsgi.plugins.module_utils import nginx_artifact


def main():
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "source": {"type": "path"},
            "version": {"type": "str"},
            "about": {"type": "dict", "default": {}},
        },
        required_by={"source": ["version"]},
        supports_check_mode=True,
    )
    path, source = module.params["path"], module.params["source"]
    changed = False
    manifest = nginx_artifact.load(path)
    if source and manifest is None:
        changed = True
        if not module.check_mode:
            try:
                nginx_artifact.put(
                    path,
                    source,
                    module.params["version"],
                    module.params["about"],
                    lambda argv: module.run_command(argv, environ_update={"LC_ALL": "C"}),
                )
            except nginx_artifact.ArtifactError as error:
                module.fail_json(msg=str(error))
            manifest = nginx_artifact.load(path)
    module.exit_json(changed=changed, exists=changed or manifest is not None, manifest=manifest or {})


if __name__ == "__main__":
    main()
