#!/usr/bin/python
# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: build_command
short_description: (internal) Runs a command as an account that builds, and has root take over what it made
version_added: 0.1.0
author:
  - The graceful.wsgi contributors (@graceful)
description:
  - Runs other people's code, such as pip with its build backends, as an account that owns nothing but O(folders) and an
    empty home. When it ends, every process of that account is killed.
  - Of the surroundings only what pip, a compiler and a network need is handed on, and what O(keep_env) names.
options:
  argv:
    description: The command. Without one only O(take_over) is done.
    type: list
    elements: str
    default: []
  user:
    description: The account, made where missing. Empty, or without being root, the command runs as who runs the module.
    type: str
    default: ''
  folders:
    description: Folders that the account alone may enter from here on; made where missing.
    type: list
    elements: path
    default: []
  reads:
    description: Folders below C(/tmp) that the command reads; all else there is hidden from it.
    type: list
    elements: path
    default: []
  keep_env:
    description: Names of further environment variables to hand on, such as those of a build's settings.
    type: list
    elements: str
    default: []
  timeout:
    description: Seconds after which the command is ended with status 124.
    type: int
    default: 3600
  pip_log:
    description: A file that takes pip's own log; the command is told C(--log).
    type: path
  take_over:
    description: Those of the folders that root is to own when the command has succeeded, as a copy without any link to
      what another account can change.
    type: list
    elements: path
    default: []
  named:
    description: Paths to which links may lead whoever owns them, such as the interpreter's.
    type: list
    elements: path
    default: []
  creates:
    description: Nothing is run where this path is there.
    type: path
  check:
    description: Whether a command that fails fails the task.
    type: bool
    default: true
extends_documentation_fragment:
  - graceful.wsgi.internal
  - graceful.wsgi.attributes
attributes:
  check_mode:
    description: Runs nothing in check mode.
    support: full
  diff_mode:
    description: Returns nothing to compare.
    support: none
"""

EXAMPLES = r"""
- name: Make a virtualenv that root owns
  graceful.wsgi.build_command:
    user: uwsgi-build
    argv: [python3, -m, venv, /opt/venv]
    folders: [/opt/venv]
    take_over: [/opt/venv]
"""

RETURN = r"""
rc:
  description: The status of the command, 124 where it took too long.
  returned: success
  type: int
stdout_lines:
  description: The last that it said, on both of its streams.
  returned: success
  type: list
  elements: str
cause:
  description: The line of a build by pip that says why it failed; empty where none does.
  returned: where the command failed
  type: str
missing:
  description: What the build lacked on the host, such as a compiler, and what to install; empty where that was not why.
  returned: where the command failed
  type: str
"""

import os

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.graceful.wsgi.plugins.module_utils import build_failure, tree
from ansible_collections.graceful.wsgi.plugins.module_utils.build_account import (
    BuildError,
    Pool,
    readable,
    surroundings,
)
from ansible_collections.graceful.wsgi.plugins.module_utils.disk import native
from ansible_collections.graceful.wsgi.plugins.module_utils.safe_path import Folder, UnsafePath


def keep_log(account, target):
    """Put pip's log where root keeps it, whatever the account made of its own; what is in it."""
    with Folder(account.home) as folder:
        if folder.lstat("pip.log") is None:
            return ""
        with os.fdopen(folder.open_file("pip.log"), "rb") as source:
            content = source.read()
    with open(target, "ab") as out:
        out.write(content)
    return native(content)


def run(account, wanted):
    """(status, what it said, what it logged) of the command."""
    names = wanted["keep_env"]
    environment = surroundings(account.home, dict((name, os.environ[name]) for name in names if name in os.environ))
    if environment.get("PIP_CERT"):
        environment["PIP_CERT"] = readable(account, environment["PIP_CERT"])
    argv = list(wanted["argv"])
    if wanted["pip_log"]:
        argv += ["--log", os.path.join(account.home, "pip.log")]
    status, said = account.run(
        argv, account.home, environment, wanted["folders"], wanted["reads"], wanted["timeout"]
    )
    return status, said, keep_log(account, wanted["pip_log"]) if wanted["pip_log"] else ""


def main():
    module = AnsibleModule(
        argument_spec={
            "argv": {"type": "list", "elements": "str", "default": []},
            "user": {"type": "str", "default": ""},
            "folders": {"type": "list", "elements": "path", "default": []},
            "reads": {"type": "list", "elements": "path", "default": []},
            "keep_env": {"type": "list", "elements": "str", "default": []},
            "timeout": {"type": "int", "default": 3600},
            "pip_log": {"type": "path"},
            "take_over": {"type": "list", "elements": "path", "default": []},
            "named": {"type": "list", "elements": "path", "default": []},
            "creates": {"type": "path"},
            "check": {"type": "bool", "default": True},
        },
        supports_check_mode=True,
    )
    wanted = module.params
    if wanted["creates"] and os.path.exists(wanted["creates"]):
        module.exit_json(changed=False, rc=0, stdout_lines=[])
    if module.check_mode:
        module.exit_json(changed=True, rc=0, stdout_lines=[])
    status, said, log = 0, "", ""
    try:
        with Pool(wanted["user"], 0, module.run_command).lease() as account:
            for folder in wanted["folders"]:
                account.own(folder)
            if wanted["argv"]:
                status, said, log = run(account, wanted)
            if status == 0 and os.geteuid() == 0 and account.uid != 0:
                for folder in wanted["take_over"]:
                    tree.settle(folder, account, 0, wanted["named"])
    except (BuildError, UnsafePath, tree.TreeError, IOError, OSError) as error:
        module.fail_json(msg=str(error), rc=1)
    lines = said.strip().splitlines()[-200:]
    if status and wanted["check"]:
        module.fail_json(msg=build_failure.message(wanted["argv"], status, said), rc=status)
    # A pip that writes a log may leave what a build said to it.
    text = build_failure.whole(said, log)
    why = {"cause": build_failure.cause(text), "missing": build_failure.missing(text)} if status else {}
    module.exit_json(changed=True, rc=status, stdout_lines=lines, **why)


if __name__ == "__main__":
    main()
