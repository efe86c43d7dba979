#!/usr/bin/python
# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: git_checkout
short_description: (internal) Fetches git repositories by an account that owns nothing else
version_added: 0.1.0
author:
  - The graceful.wsgi contributors (@graceful)
description:
  - Fetches the repositories of applications and tells the commits that they are at; M(graceful.wsgi.releases) makes
    releases of them. git runs as an account of its own, never as root.
  - That account's home, C(/var/lib/graceful-wsgi/git), is where an administrator puts C(.ssh) or C(.netrc) for private
    repositories. A repository on the host must be readable for it.
options:
  repositories:
    description: The repositories, all in one task.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the application.
        type: str
        required: true
      repo:
        description: Address of the repository; user and password in it are kept from logs, results and other accounts.
        type: str
        required: true
      version:
        description: Branch, tag or commit.
        type: str
        default: HEAD
      credentials:
        description: User and password out of O(repositories[].repo); the action plugin fills it in.
        type: str
  user:
    description: The account that runs git; made where missing.
    type: str
    default: wsgi-git
extends_documentation_fragment:
  - graceful.wsgi.internal
  - graceful.wsgi.attributes
attributes:
  check_mode:
    description: Can run in check mode.
    support: full
  diff_mode:
    description: Returns nothing to compare.
    support: none
"""

EXAMPLES = r"""
- name: Fetch the repositories
  graceful.wsgi.git_checkout:
    repositories:
      - name: icmanage
        repo: https://git.example.com/icmanage.git
        version: stable
  register: fetched
"""

RETURN = r"""
checkouts:
  description: For each application C(after), the commit (null where check mode cannot know it), and C(changed).
  returned: success
  type: dict
"""

import pwd

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.graceful.wsgi.plugins.module_utils import git_checkout
from ansible_collections.graceful.wsgi.plugins.module_utils.build_account import BuildError
from ansible_collections.graceful.wsgi.plugins.module_utils.safe_path import UnsafePath


def can_ask(module):
    """Whether check mode can run git at all: on a new host there is neither git nor its account."""
    try:
        pwd.getpwnam(module.params["user"])
    except KeyError:
        return False
    return bool(module.get_bin_path("git"))


def main():
    module = AnsibleModule(
        argument_spec={
            "repositories": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "name": {"type": "str", "required": True},
                    "repo": {"type": "str", "required": True},
                    "version": {"type": "str", "default": "HEAD"},
                    "credentials": {"type": "str", "no_log": True},
                },
            },
            "user": {"type": "str", "default": "wsgi-git"},
        },
        supports_check_mode=True,
    )
    wanted = module.params["repositories"]
    if module.check_mode and not can_ask(module):
        unknown = dict((item["name"], {"after": None, "changed": True}) for item in wanted)
        module.exit_json(changed=bool(wanted), checkouts=unknown)
    found = {}
    try:
        git = git_checkout.Git.of(module.params["user"], module.run_command)
        for item in wanted:
            try:
                found[item["name"]] = git_checkout.current(git, item, module.check_mode)
            except git_checkout.GitError as error:
                module.fail_json(msg="%s: %s" % (item["name"], error))
    except (git_checkout.GitError, BuildError, UnsafePath, IOError, OSError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=any(item["changed"] for item in found.values()), checkouts=found)


if __name__ == "__main__":
    main()
