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
  settings:
    description: For each application what is kept with its release, of which a way back makes its configuration again.
    type: dict
    default: {}
  kept:
    description: With O(state=pinned) whether O(app) goes back to the configuration that its release was live with.
    type: str
    choices: [release, inventory]
    default: release
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
  if_live:
    description: With O(state=pinned) a release, or its beginning; where another one is live nothing goes back.
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
  description: For each application the name of the release that it is to have; null where none of it is live.
  returned: O(state=pinned)
  type: dict
kept:
  description: For each application with what its release was live, if that is known and wanted.
  returned: O(state=pinned)
  type: dict
concerned:
  description: Whether this host goes back; not where O(if_live) is another release than the live one.
  returned: O(state=pinned)
  type: bool
along:
  description: What comes along with the release, as a part of a sentence.
  returned: O(state=pinned)
  type: str
bare:
  description: The applications whose release has no virtualenv.
  returned: O(state=pinned)
  type: list
  elements: str
"""

import os

from ansible_collections.graceful.wsgi.plugins.module_utils.release_records import (
    NoWayBack,
    Records,
    called,
    digests,
    is_named,
)
from ansible_collections.graceful.wsgi.plugins.module_utils.unlogged import AnsibleModule


def live(module):
    changed = False
    for item in module.params["releases"]:
        if not item.get("path"):
            files = digests(module.params["configuration"].get(item["name"], []))
            records, by = Records.of(item["home"]), module.params["by"]
            settings = module.params["settings"].get(item["name"])
            changed = records.live(item.get("id"), by, files, module.check_mode, settings) or changed
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
    """{application: id}, the live one of each, but for the application that goes back; None where none is live.

    Raises NoWayBack.
    """
    if not app:
        raise NoWayBack("app is missing; name the application that is to go back: -e app=NAME")
    for item in chosen(releases, app):
        if item.get("path"):
            raise NoWayBack(
                "app=%s: its code is at path (%s), of which no releases are kept; put the earlier code there and run "
                "site.yml" % (app, item["path"])
            )
    pins = {}
    for item in releases:
        records = Records.of(item["home"])
        if item["name"] == app:
            try:
                pins[app] = records.target(wanted)
            except NoWayBack as error:
                raise NoWayBack("app=%s: %s" % (app, error))
        elif not item.get("path"):
            pins[item["name"]] = records.current
    return pins


def bare(releases, pins):
    """The applications whose release has no virtualenv: it was made before something was installed for them."""
    homes = dict((item["name"], item["home"]) for item in releases)
    links = dict((name, os.path.join(homes[name], "releases", pins[name], ".venv")) for name in pins if pins[name])
    return sorted(name for name in links if not os.path.islink(links[name]))


def kept_with(releases, pins):
    """What is kept with the releases that the applications are to have, of those with which something is."""
    found = {}
    for item in releases:
        pin = pins.get(item["name"])
        kept = Records.of(item["home"]).settings(pin) if pin else None
        if kept:
            found[item["name"]] = {"release": pin, "kept": kept}
    return found


def along(kept, app, wanted):
    """What comes along with the release of an application, as a part of a sentence."""
    if wanted == "inventory":
        return "its virtualenv; the configuration is the one of the inventory, as it was asked for"
    if app in kept:
        return "its virtualenv and the configuration that it was live with (%s)" % called(kept[app]["kept"])
    return "its virtualenv; no configuration is kept with it, and so it is the one of the inventory"


def is_live(releases, app, wanted):
    """Whether this release of an application, or the one whose beginning it is, is the live one. Raises NoWayBack."""
    # Code at path has no releases, which is told by whoever looks for the one to go back to.
    return any(item.get("path") or is_named(Records.of(item["home"]).current, wanted) for item in chosen(releases, app))


def tell_pinned(module, told):
    """Fill in what is to be known before an application goes back. Raises NoWayBack."""
    releases, app, wanted = (module.params[key] for key in ("releases", "app", "kept"))
    if app and module.params["if_live"] and not is_live(releases, app, module.params["if_live"]):
        told.update(concerned=False, pins={}, bare=[], kept={}, along="")
        return
    told["concerned"] = True
    told["pins"] = pinned(releases, app, module.params["to"])
    told["bare"] = bare(releases, told["pins"])
    told["kept"] = kept_with(releases, told["pins"])
    told["along"] = along(told["kept"], app, wanted)
    if wanted == "inventory":
        told["kept"].pop(app, None)
    for name in sorted(name for name, pin in told["pins"].items() if pin is None):
        module.warn("%s: no release of it is live on this host; it is left as it is until site.yml runs" % name)


def main():
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["live", "failed", "told", "pinned"], "required": True},
            "releases": {"type": "list", "elements": "dict", "required": True},
            "configuration": {"type": "dict", "default": {}},
            "settings": {"type": "dict", "default": {}},
            "kept": {"type": "str", "choices": ["release", "inventory"], "default": "release"},
            "stage": {"type": "str", "default": ""},
            "why": {"type": "str", "default": ""},
            "app": {"type": "str"},
            "to": {"type": "str"},
            "if_live": {"type": "str"},
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
            tell_pinned(module, told)
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
