#!/usr/bin/python
# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: removal
short_description: (internal) Takes applications, a set of them or all of this collection off a host
version_added: 0.1.0
author:
  - The graceful.wsgi contributors (@graceful)
description:
  - Removes what the roles of this collection have made, by the manifests that they keep on the host, and where those
    are lost by the names and marks of the files. The inventory need not name any of it any more.
  - What applications have written stays unless asked (O(wanted)), and is told. nginx goes on serving all that stays; it
    is stopped only where all is to go and it serves nothing else.
  - A run that was cut off is made up for by the next one. Where nothing is wanted, it tells what of this collection is
    on the host.
options:
  wanted:
    description: What is to go.
    type: dict
    default: {}
    suboptions:
      apps:
        description: Names of applications, each with the sites that lead to it alone.
        type: list
        elements: str
        default: []
      set:
        description: The set, as C(publish_set) names it; with O(wanted.apps) the one that they are of.
        type: str
        default: ''
      all:
        description: All of it, nginx and uWSGI too.
        type: bool
        default: false
      data:
        description: Code, virtualenvs, logs and what applications have written, too.
        type: bool
        default: false
  roots:
    description: Folders in which each application has a folder of its name, that of the code first, that of logs
      second.
    type: list
    elements: path
    required: true
  places:
    description: Where the roles have put the rest.
    type: dict
    required: true
    suboptions:
      root:
        description: The folder of all code, if it is this collection's and nobody else's.
        type: str
        default: ''
      homes:
        description: The home of the accounts that applications have to themselves.
        type: path
        required: true
      uwsgi_home:
        description: The folder of uWSGI's versions.
        type: path
        required: true
      conf_dir:
        description: The folder of the applications' configurations.
        type: path
        required: true
  accounts:
    description: The account that an application has to itself, by the application's name.
    type: dict
    default: {}
  made:
    description: Accounts that the roles make, and the home by which one is known to be such.
    type: dict
    default: {}
  nginx_user:
    description: The account of nginx's workers.
    type: str
    default: nginx
extends_documentation_fragment:
  - graceful.wsgi.internal
attributes:
  check_mode:
    description: Can run in check mode.
    support: full
  diff_mode:
    description: Returns a diff of every file of a configuration that goes or changes.
    support: full
    details: Values of applications' environments are left out.
"""

EXAMPLES = r"""
- name: Take the application shop off
  graceful.wsgi.removal:
    wanted: {apps: [shop]}
    roots: [/srv/wsgi, /var/log/uwsgi]
    places: {root: /srv/wsgi, homes: /srv/wsgi, uwsgi_home: /opt/uwsgi, conf_dir: /etc/uwsgi}
"""

RETURN = r"""
gone:
  description: What was, or in check mode would be, removed.
  returned: success
  type: list
  elements: str
kept:
  description: What stays, and why.
  returned: success
  type: list
  elements: str
listing:
  description: What of this collection is on the host, where nothing is wanted.
  returned: success
  type: list
  elements: str
"""

from ansible_collections.graceful.wsgi.plugins.module_utils import removal
from ansible_collections.graceful.wsgi.plugins.module_utils.build_account import BuildError
from ansible_collections.graceful.wsgi.plugins.module_utils.bundle_entries import BundleError
from ansible_collections.graceful.wsgi.plugins.module_utils.instances import InstanceError
from ansible_collections.graceful.wsgi.plugins.module_utils.module_calls import relabeller
from ansible_collections.graceful.wsgi.plugins.module_utils.removal_survey import RemovalError
from ansible_collections.graceful.wsgi.plugins.module_utils.safe_path import UnsafePath
from ansible_collections.graceful.wsgi.plugins.module_utils.unlogged import AnsibleModule
from ansible_collections.graceful.wsgi.plugins.module_utils.uwsgi_reloading import ReloadError

SPEC = {
    "wanted": {
        "type": "dict",
        "default": {},
        "options": {
            "apps": {"type": "list", "elements": "str", "default": []},
            "set": {"type": "str", "default": ""},
            "all": {"type": "bool", "default": False},
            "data": {"type": "bool", "default": False},
        },
    },
    "roots": {"type": "list", "elements": "path", "required": True},
    "places": {
        "type": "dict",
        "required": True,
        "options": {
            "root": {"type": "str", "default": ""},
            "homes": {"type": "path", "required": True},
            "uwsgi_home": {"type": "path", "required": True},
            "conf_dir": {"type": "path", "required": True},
        },
    },
    "accounts": {"type": "dict", "default": {}},
    "made": {"type": "dict", "default": {}},
    "nginx_user": {"type": "str", "default": "nginx"},
}
FAILURES = (RemovalError, BundleError, BuildError, InstanceError, ReloadError, UnsafePath, IOError, OSError)


def refuse(module, error, work):
    """Fail, and tell what is gone by then."""
    done = work.gone if work and not module.check_mode else []
    more = "; removed before that: %s" % ", ".join(done) if done else ""
    module.fail_json(msg="%s%s" % (error, more), gone=done)


def diff(work):
    """What goes, in one list, and each file's own."""
    gone = "".join("%s\n" % text for text in work.gone)
    header = {"before_header": "what is on the host", "after_header": "what is on the host"}
    return [dict(header, before=gone, after="")] + work.diffs if gone else []


def main():
    module = AnsibleModule(argument_spec=SPEC, supports_check_mode=True)
    given = module.params
    wanted = dict({"apps": [], "set": "", "all": False, "data": False}, **given["wanted"])
    names = ("roots", "places", "accounts", "made", "nginx_user")
    work = None
    try:
        words = [given[name] for name in names] + [module.run_command, relabeller(module), module.check_mode]
        work = removal.Removal(wanted, *words)
        if not work.asked:
            module.exit_json(changed=False, gone=[], kept=[], listing=work.listing())
        work.do()
    except FAILURES as error:
        refuse(module, error, work)
    for text in work.told:
        module.warn(text)
    kept = ["%s: %s" % item for item in work.kept]
    result = {"changed": work.changed, "gone": work.gone, "kept": kept, "listing": []}
    if module._diff:
        result["diff"] = diff(work)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
