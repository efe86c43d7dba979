#!/usr/bin/python
# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: yum_archive
short_description: Points repositories of yum at an archive, in the files that define them
version_added: 0.1.0
author:
  - The graceful.wsgi contributors (@graceful)
description:
  - A repository keeps the id that others call it by. Wherever a file of yum's defines it, its mirror list goes and its
    address becomes O(repositories[].url); comments, other settings and other repositories stay as they are.
  - The original is kept beside each file, once, with C(.before-graceful-wsgi) appended, which yum does not read.
  - What no file defines is added in C(graceful-wsgi.repo), and taken from there again once another file does.
  - Signatures of packages are always checked.
options:
  repositories:
    description: The repositories that are looked for.
    type: list
    elements: dict
    required: true
    suboptions:
      id:
        description: The name in brackets.
        type: str
        required: true
      name:
        description: What yum calls it on the screen; used where it has no name yet.
        type: str
        required: true
      url:
        description: URL of the repository.
        type: str
        required: true
      enabled:
        description: Add it where no file defines it, and enable it where it is disabled.
        type: bool
        default: false
      gpgkey:
        description: The key of its packages, in the place of one that it names.
        type: str
        default: ''
      default_gpgkey:
        description: The key of its packages where it names none.
        type: str
        default: ''
  settings:
    description: Further settings for each of them, such as C(proxy) or C(timeout).
    type: dict
    default: {}
  folder:
    description: The folder of yum's files.
    type: path
    default: /etc/yum.repos.d
  main:
    description: yum's own configuration, which may define repositories too.
    type: path
    default: /etc/yum.conf
attributes:
  check_mode:
    description: Can run in check mode.
    support: full
  diff_mode:
    description: Returns a diff.
    support: full
"""

EXAMPLES = r"""
- name: Take packages of CentOS 7 from the vault
  graceful.wsgi.yum_archive:
    repositories:
      - id: base
        name: CentOS 7 - base
        url: https://vault.centos.org/7.9.2009/os/$basearch/
        enabled: true
        default_gpgkey: file:///etc/pki/rpm-gpg/RPM-GPG-KEY-CentOS-7
    settings:
      timeout: 120

- name: Take EPEL 7 from a mirror on the spot, by a key of its own, where a file of yum's names it or not
  graceful.wsgi.yum_archive:
    repositories:
      - id: epel
        name: EPEL 7
        url: https://mirror.example.com/epel/7/$basearch/
        enabled: true
        gpgkey: https://mirror.example.com/epel/RPM-GPG-KEY-EPEL-7
"""

RETURN = r"""
files:
  description: The files that were changed, a mapping of C(dest) and C(state) (created, changed or removed).
  returned: success
  type: list
  elements: dict
ids:
  description: The repositories in these files.
  returned: success
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.graceful.wsgi.plugins.module_utils import yum_archive
from ansible_collections.graceful.wsgi.plugins.module_utils.disk import native
from ansible_collections.graceful.wsgi.plugins.module_utils.module_calls import relabeller


def state(change):
    if change["after"] is None:
        return "removed"
    return "created" if change["before"] is None else "changed"


def main():
    module = AnsibleModule(
        argument_spec={
            "repositories": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "id": {"type": "str", "required": True},
                    "name": {"type": "str", "required": True},
                    "url": {"type": "str", "required": True},
                    "enabled": {"type": "bool", "default": False},
                    "gpgkey": {"type": "str", "default": "", "no_log": False},
                    "default_gpgkey": {"type": "str", "default": "", "no_log": False},
                },
            },
            "settings": {"type": "dict", "default": {}},
            "folder": {"type": "path", "default": "/etc/yum.repos.d"},
            "main": {"type": "path", "default": "/etc/yum.conf"},
        },
        supports_check_mode=True,
    )
    wanted = module.params

    settings = dict((key, str(value)) for key, value in wanted["settings"].items())
    try:
        changes = yum_archive.survey(wanted["folder"], wanted["main"], wanted["repositories"], settings)
        if not module.check_mode:
            for change in changes:
                yum_archive.write(change, relabeller(module))
    except (IOError, OSError) as error:
        module.fail_json(msg="yum's files cannot be changed: %s; the next run goes on from there" % error)

    result = {
        "changed": bool(changes),
        "files": [{"dest": change["path"], "state": state(change)} for change in changes],
        "ids": sorted(set(native(one) for change in changes for one in change["ids"])),
    }
    if module._diff:
        result["diff"] = [
            {
                "before_header": change["path"],
                "after_header": change["path"],
                "before": change["before"] or "",
                "after": change["after"] or "",
            }
            for change in changes
        ]
    module.exit_json(**result)


if __name__ == "__main__":
    main()
