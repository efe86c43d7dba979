#!/usr/bin/python
# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: release_records
short_description: (internal) Records what became of releases, and names the one to go back to
version_added: 0.1.0
author:
  - The graceful.wsgi contributors (@graceful)
description:
  - Keeps C(HOME/releases/.records/ID.json), root's own, of each release of an application.
options:
  state:
    description:
      - V(live) notes that a run has seen the live releases to its end, V(failed) why those of O(releases) that are not
        live did not become so.
      - V(told) changes nothing and tells all that is known, V(pinned) which release each application is to have where
        O(app) goes back to an earlier one.
    type: str
    choices: [live, failed, told, pinned]
    required: true
  releases:
    description: The applications, C(name), C(home), C(path) and C(id).
    type: list
    elements: dict
    required: true
  configuration:
    description: For each application the files of its configuration.
    type: dict
    default: {}
  stage:
    description: At which task it failed.
    type: str
    default: ''
  why:
    description: The message; its first line is noted.
    type: str
    default: ''
  app:
    description: The application that is asked for; with V(told) all of them without it.
    type: str
  to:
    description: The release to go back to, or the beginning of its name; without it the one that was live before.
    type: str
  by:
    description: Who runs the play; the action plugin fills it in.
    type: str
extends_documentation_fragment:
  - graceful.wsgi.internal
attributes:
  check_mode:
    description: Can run in check mode.
    support: full
  diff_mode:
    description: Returns what has changed.
    support: none
"""

EXAMPLES = r"""
- name: Tell the history of releases
  graceful.wsgi.release_records:
    state: told
    releases: [{name: shop, home: /srv/wsgi/shop}]
"""

RETURN = r"""
history:
  description: For each application its releases, the live one first and then the latest.
  returned: O(state=told)
  type: dict
pins:
  description: For each application the name of the release that it is to have.
  returned: O(state=pinned)
  type: dict
bare:
  description: The applications whose release has no virtualenv.
  returned: O(state=pinned)
  type: list
  elements: str
"""

import os

from ansible_collections.graceful.wsgi.plugins.module_utils.release_records import NoWayBack, Records, digests
from ansible_collections.graceful.wsgi.plugins.module_utils.unlogged import AnsibleModule


def live(module):
    changed = False
    for item in module.params["releases"]:
        if not item.get("path"):
            files = digests(module.params["configuration"].get(item["name"], []))
            records, by = Records.of(item["home"]), module.params["by"]
            changed = records.live(item.get("id"), by, files, module.check_mode) or changed
    return changed


def failed(module):
    if module.check_mode:
        return
    for item in module.params["releases"]:
        if not item.get("path"):
            why = [module.params[key] for key in ("stage", "why", "by")]
            Records.of(item["home"]).failed(item.get("id"), *why)


def chosen(releases, app):
    """The applications that are asked for. Raises NoWayBack."""
    found = [item for item in releases if app in (None, "", item["name"])]
    if not found:
        names = ", ".join(sorted(item["name"] for item in releases))
        raise NoWayBack("app=%s: there is no such application; name one of %s" % (app, names or "publish_apps"))
    return found


def pinned(releases, app, wanted):
    """{application: id}, the live one of each, but for the application that goes back. Raises NoWayBack."""
    if not app:
        raise NoWayBack("app is missing; name the application that is to go back: -e app=NAME")
    for item in chosen(releases, app):
        if item.get("path"):
            raise NoWayBack(
                "app=%s: its code is at path (%s), of which no releases are kept; put the earlier code there and run "
                "site.yml" % (app, item["path"])
            )
    pins, missing = {}, []
    for item in releases:
        records = Records.of(item["home"])
        if item["name"] == app:
            try:
                pins[app] = records.target(wanted)
            except NoWayBack as error:
                raise NoWayBack("app=%s: %s" % (app, error))
        elif not item.get("path"):
            pins[item["name"]] = records.current
            missing += [item["name"]] if records.current is None else []
    if missing:
        raise NoWayBack(
            "%s: no release of it is live on this host, and going back brings no new code; run site.yml, or leave it "
            "out of publish_apps until then" % ", ".join(sorted(missing))
        )
    return pins


def bare(releases, pins):
    """The applications whose release has no virtualenv: it was made before something was installed for them."""
    homes = dict((item["name"], item["home"]) for item in releases)
    links = dict((name, os.path.join(homes[name], "releases", pins[name], ".venv")) for name in pins)
    return sorted(name for name in links if not os.path.islink(links[name]))


def main():
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["live", "failed", "told", "pinned"], "required": True},
            "releases": {"type": "list", "elements": "dict", "required": True},
            "configuration": {"type": "dict", "default": {}},
            "stage": {"type": "str", "default": ""},
            "why": {"type": "str", "default": ""},
            "app": {"type": "str"},
            "to": {"type": "str"},
            "by": {"type": "str"},
        },
        supports_check_mode=True,
    )
    state, releases, told = module.params["state"], module.params["releases"], {"changed": False}
    try:
        if state == "live":
            told["changed"] = live(module)
        elif state == "failed":
            failed(module)
        elif state == "pinned":
            told["pins"] = pinned(releases, module.params["app"], module.params["to"])
            told["bare"] = bare(releases, told["pins"])
        else:
            found = chosen(releases, module.params["app"])
            told["history"] = dict((item["name"], Records.of(item["home"]).told()) for item in found)
    except NoWayBack as error:
        module.fail_json(msg="%s. Nothing was changed" % error)
    except (IOError, OSError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(**told)


if __name__ == "__main__":
    main()
