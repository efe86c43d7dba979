#!/usr/bin/python
# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: requirement_files
short_description: (internal) Reads lock files of applications whose code is on the host
version_added: 0.1.0
author:
  - The graceful.wsgi contributors (@graceful)
description:
  - Reads what C(requirements=auto) looks for, in the code at O(releases[].path) with the rights of the application's
    account, and in a repository as the account that has fetched it. M(graceful.wsgi.releases) and
    M(graceful.wsgi.publish_info) ask it, and make sense of it on the controller.
options:
  checkouts:
    description: For each application with O(releases[].repo) what M(graceful.wsgi.git_checkout) returned.
    type: dict
    default: {}
  git_user:
    description: The account that has fetched the repositories, as O(graceful.wsgi.git_checkout#module:user).
    type: str
    default: wsgi-git
extends_documentation_fragment:
  - graceful.wsgi.applications.releases
  - graceful.wsgi.internal
attributes:
  check_mode:
    description: Can run in check mode.
    support: full
  diff_mode:
    description: Has nothing to show, since it changes nothing.
    support: none
"""

EXAMPLES = r"""
- name: Read what the code at a path says of its requirements
  graceful.wsgi.requirement_files:
    releases:
      - name: icmanage
        home: /srv/wsgi/icmanage
        user: icmanage
        path: /home/icmanage/flask
"""

RETURN = r"""
found:
  description:
    - By application C(names) of files and C(texts) of those that count, or C(error), why they cannot be read.
    - Null where the code is not there yet.
  returned: success
  type: dict
"""

import pwd

from ansible_collections.graceful.wsgi.plugins.module_utils import auto_files, git_checkout
from ansible_collections.graceful.wsgi.plugins.module_utils.build_account import BuildError
from ansible_collections.graceful.wsgi.plugins.module_utils.releases import SPEC, Home, ReleaseError
from ansible_collections.graceful.wsgi.plugins.module_utils.safe_path import UnsafePath
from ansible_collections.graceful.wsgi.plugins.module_utils.unlogged import AnsibleModule


def known(name):
    """Whether the account is there: a run in check mode makes none."""
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True


def read(module, wanted):
    """What is there of one application."""
    user, commit = module.params["git_user"], (module.params["checkouts"].get(wanted["name"]) or {}).get("after")
    if wanted["path"]:
        return auto_files.of_home(Home(wanted, ""))
    if not commit or not known(user):
        return None
    git = git_checkout.Git.of(user, module.run_command)
    return auto_files.of_clone(git_checkout.Clone(git, wanted["name"]), commit, wanted["exclude"])


def main():
    module = AnsibleModule(
        argument_spec={
            "releases": {"type": "list", "elements": "dict", "required": True, "options": SPEC},
            "checkouts": {"type": "dict", "default": {}},
            "git_user": {"type": "str", "default": "wsgi-git"},
        },
        supports_check_mode=True,
    )
    found = {}
    errors = (auto_files.AutoFileError, BuildError, ReleaseError, UnsafePath, git_checkout.GitError, IOError, OSError)
    for wanted in module.params["releases"]:
        try:
            found[wanted["name"]] = read(module, wanted)
        except errors as error:
            # Whether that stops the play depends on whether anybody has said auto.
            found[wanted["name"]] = {"error": str(error)}
    module.exit_json(changed=False, found=found)


if __name__ == "__main__":
    main()
