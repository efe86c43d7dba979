#!/usr/bin/python
# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: uwsgi_preflight
short_description: Loads applications in a throw-away uWSGI before they go live
version_added: 0.1.0
author:
  - The graceful.wsgi contributors (@graceful)
description:
  - Starts each application once, as its own user, on an abstract socket and with nothing else that binds or writes,
    waits until its worker accepts requests, asks it for a path if wanted, and ends it again.
  - What has loaded once, the same release with the same options, virtualenv and uWSGI, is not loaded again until the
    host restarts.
options:
  binary:
    description: The uWSGI that is to run them.
    type: path
    required: true
  releases:
    description: What M(graceful.wsgi.releases) returned as RV(graceful.wsgi.releases#module:releases), so that the new
      release and virtualenv are loaded in place of the live ones.
    type: list
    elements: dict
    default: []
  timeout:
    description: Seconds within which each must accept requests.
    type: int
    default: 60
  parallel:
    description: How many are loaded at the same time.
    type: int
    default: 4
extends_documentation_fragment:
  - graceful.wsgi.applications.apps
attributes:
  check_mode:
    description: Can run in check mode.
    support: full
    details: It changes nothing in either mode; a release that check mode did not send is left out.
  diff_mode:
    description: Returns a diff.
    support: none
"""

EXAMPLES = r"""
- name: See whether the new release loads
  graceful.wsgi.uwsgi_preflight:
    binary: /opt/uwsgi/current/bin/uwsgi
    apps:
      - name: shop
        user: wsgi
        group: wsgi
        options: [[pythonpath, /srv/wsgi/shop/current], [module, manage], [callable, app]]
    releases: "{{ sent.releases }}"
"""

RETURN = r"""
apps:
  description: What was found for each application, by name; what is wrong on failure.
  returned: always
  type: dict
"""

import grp
import os
import pwd
import shutil
import tempfile

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.graceful.wsgi.plugins.module_utils.bundle import write_bytes
from ansible_collections.graceful.wsgi.plugins.module_utils.uwsgi_config import ConfigError, load
from ansible_collections.graceful.wsgi.plugins.module_utils.uwsgi_preflight import (
    SPEC,
    Note,
    PreflightError,
    new_environment,
    preflight,
)
from ansible_collections.graceful.wsgi.plugins.module_utils.uwsgi_reloading import run_all


class Application:
    """One application. ``replace``: {live path: path that will be live}."""

    def __init__(self, wanted, replace, binary, timeout, check_mode):
        self.wanted = wanted
        self.replace = replace
        self.binary = binary
        self.timeout = timeout
        self.check_mode = check_mode
        self.failed = False
        self.found = None
        self.note = Note(wanted, replace, binary)

    def run(self):
        """Load it; the outcome is in found and failed."""
        if not all(os.path.exists(path) for path in [self.binary] + list(self.replace.values())):
            # Only check mode comes before them.
            self.found = "not here yet"
            return
        if self.note.holds:
            self.found = "loaded before"
            return
        try:
            took = preflight(
                self.binary,
                self._options(),
                self._who(),
                new_environment(self.wanted),
                "/",
                self.timeout,
                self.replace,
                self.wanted["probe"].get("path"),
            )
        except (KeyError, ConfigError, PreflightError) as error:
            self.failed, self.found = True, "%s: %s" % (self.wanted["name"], error)
            return
        except Exception as error:
            # What escapes a thread is lost, and the result would say that it loads.
            self.failed, self.found = True, "%s: could not be loaded: %r" % (self.wanted["name"], error)
            return
        self.found = "loaded in %.2f s" % took
        if not self.check_mode:
            self.note.write()

    def _options(self):
        if self.wanted["text"] is None:
            return [tuple(pair) for pair in self.wanted["options"]]
        folder = tempfile.mkdtemp(prefix="graceful-wsgi-")
        try:
            # The name is what uWSGI's own variables for it give.
            path = os.path.join(folder, "%s.%s" % (self.wanted["name"], self.wanted["format"]))
            write_bytes(path, self.wanted["text"].encode("utf-8"))
            return load(path)
        finally:
            shutil.rmtree(folder)

    def _who(self):
        user = pwd.getpwnam(self.wanted["user"])
        groups = [group.gr_gid for group in grp.getgrall() if user.pw_name in group.gr_mem]
        return {"uid": user.pw_uid, "gid": grp.getgrnam(self.wanted["group"]).gr_gid, "groups": groups}


def main():
    module = AnsibleModule(
        argument_spec={
            "binary": {"type": "path", "required": True},
            "apps": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": SPEC,
            },
            "releases": {"type": "list", "elements": "dict", "default": []},
            "timeout": {"type": "int", "default": 60},
            "parallel": {"type": "int", "default": 4},
        },
        supports_check_mode=True,
        # What it is given holds values of environments, and stays out of the host's journal.
        no_log=True,
    )
    replace = dict((item["name"], item["replace"]) for item in module.params["releases"])
    apps = [
        Application(
            wanted,
            replace.get(wanted["name"], {}),
            module.params["binary"],
            module.params["timeout"],
            module.check_mode,
        )
        for wanted in module.params["apps"]
    ]
    run_all([app.run for app in apps], module.params["parallel"])
    found = dict((app.wanted["name"], app.found) for app in apps)
    failed = [app.found for app in apps if app.failed]
    if failed:
        module.fail_json(msg="\n".join(failed), apps=found)
    module.exit_json(changed=False, apps=found)


if __name__ == "__main__":
    main()
