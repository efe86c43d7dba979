#!/usr/bin/python
# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: left_data
short_description: (internal) Finds what applications have left that are published no more, or that never came to be
version_added: 0.1.0
author:
  - The graceful.wsgi contributors (@graceful)
description:
  - With O(state=noted) it is noted below C(/var/lib/graceful-wsgi/dropped) which applications a set drops and which
    folders hold their code and logs, so that a later run can remove them.
  - With O(state=absent) the folders that this set's dropped applications have left are removed with all that is in
    them. Nothing of an application that any set of the host publishes is removed. No link in them is followed.
  - With O(state=undone) what a run has made of applications that it could not publish after all is removed, as far as
    it was not there before.
options:
  state:
    description: What is to be done.
    type: str
    choices: [noted, absent, undone]
    required: true
  set:
    description: The set, as C(publish_set) names it.
    type: str
  gone:
    description: Names of the applications that this run drops.
    type: list
    elements: str
    default: []
  roots:
    description: Folders in which each application has a folder of its name, that of the code first. With
      O(state=absent) a warning names what lies there of an application that no set publishes and none is known to have
      dropped.
    type: list
    elements: path
    default: []
  apps:
    description: With O(state=undone) the C(first_runs) of M(graceful.wsgi.publish_info).
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name of the application.
        type: str
        required: true
      dropins:
        description: The units' drop-ins; where one is there, the application is published.
        type: list
        elements: path
        required: true
      folders:
        description: Folders, that of the code first.
        type: list
        elements: path
        required: true
      files:
        description: Files that the application has written.
        type: list
        elements: path
        required: true
      clones:
        description: What git has made of it, which goes with the first of O(apps[].folders).
        type: list
        elements: path
        required: true
      home:
        description: The folder of the application, whose records of releases are kept.
        type: path
extends_documentation_fragment:
  - graceful.wsgi.internal
attributes:
  check_mode:
    description: Can run in check mode.
    support: full
  diff_mode:
    description: Returns the paths that are removed.
    support: full
"""

EXAMPLES = r"""
- name: Note what is dropped
  graceful.wsgi.left_data:
    state: noted
    set: main
    gone: [shop]
    roots: [/srv/wsgi, /var/log/uwsgi]

- name: Remove what was left, now or by earlier runs
  graceful.wsgi.left_data:
    state: absent
    set: main
    roots: [/srv/wsgi, /var/log/uwsgi]
"""

RETURN = r"""
removed:
  description: The paths that are removed; with O(state=noted) those that stay.
  returned: success
  type: list
  elements: str
"""

import os

from ansible_collections.graceful.wsgi.plugins.module_utils import left_data, left_notes, maintenance
from ansible_collections.graceful.wsgi.plugins.module_utils.safe_path import UnsafePath, remove_tree
from ansible_collections.graceful.wsgi.plugins.module_utils.unlogged import AnsibleModule


def folders(module):
    """The folders of what this run drops, {application: [folders]}; what is noted tells more once it is dropped."""
    roots, known = module.params["roots"], left_notes.noted(module.params["set"])
    made = dict((name, left_data.made_for(name, roots)) for name in module.params["gone"])
    if module.params["state"] == "absent":
        made.update((name, known[name]) for name in made if name in known)
    return made


def noted(module):
    made = folders(module)
    left_data.note(module.params["set"], made, module.check_mode)
    for app in made if not module.check_mode else ():
        # One that is published under this name again is not in maintenance for it.
        maintenance.forget(app)
    return left_data.there(made)


def absent(module):
    gone = folders(module)
    found = left_data.left(module.params["set"], gone, module.check_mode)
    for path in found if not module.check_mode else []:
        try:
            remove_tree(path)
        except (UnsafePath, EnvironmentError) as error:
            module.fail_json(msg="%s cannot be removed: %s" % (path, error))
    if not module.check_mode:
        left_data.left(module.params["set"], {})
    unknown = left_data.nobodys(module.params["roots"][0], gone) if module.params["roots"] else []
    if unknown:
        module.warn(
            "publish_prune_data: %s stays on %s: no set publishes what lies there, and none is known to have dropped"
            " it. If it is nobody's, remove it by hand." % (", ".join(unknown), os.uname()[1])
        )
    return found


def undone(module):
    removed = left_data.undo(module.params["apps"], module.check_mode)
    for name in sorted(removed):
        module.warn(
            "%s: %s was not published: what this run had made of it is removed again (%s)"
            % (os.uname()[1], name, ", ".join(removed[name]))
        )
    return [path for name in sorted(removed) for path in removed[name]]


STATES = {"noted": noted, "absent": absent, "undone": undone}


def main():
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["noted", "absent", "undone"], "required": True},
            "set": {"type": "str"},
            "gone": {"type": "list", "elements": "str", "default": []},
            "roots": {"type": "list", "elements": "path", "default": []},
            "apps": left_data.SPEC,
        },
        required_if=[["state", "noted", ["set"]], ["state", "absent", ["set"]]],
        supports_check_mode=True,
    )
    state = module.params["state"]
    try:
        paths = STATES[state](module)
    except (UnsafePath, IOError, OSError) as error:
        module.fail_json(msg=str(error))
    gone = "".join("%s\n" % path for path in paths) if state != "noted" else ""
    module.exit_json(changed=bool(gone), removed=paths, diff={"before": gone, "after": ""})


if __name__ == "__main__":
    main()
