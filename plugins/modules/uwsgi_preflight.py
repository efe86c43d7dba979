#!/usr/bin/python
# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: uwsgi_preflight
short_description: (internal) Loads applications in a throw-away uWSGI before they go live
version_added: 0.1.0
author:
  - The graceful.wsgi contributors (@graceful)
description:
  - Starts each application once, on a socket of its own that only root reaches and with nothing else that binds or
    writes, waits until its worker accepts requests, asks it for a path if wanted, and ends it again.
  - It runs in a systemd unit of its own (C(uwsgi-try-APP-*.service) below C(/run)) with the settings that
    O(apps[].unit) will have, O(apps[].dropin) among them; account, sandbox, limits, environment, credentials, and the
    state folders themselves. C(ExecStartPre) is run, the other commands of the unit are not. The unit ends with its
    cgroup, so that nothing that the code has started is left.
  - Where there is no systemd to ask, or for an application without a unit, it is a child of the module with the rights
    of O(apps[].user), without the unit's sandbox, limits, environment, credentials and folders. What it has started
    ends with it there too.
  - systemd before 236 cannot write what a unit says into a file, so that what the code said is looked up in the journal
    there; before 235 folders of C(RuntimeDirectory) besides the instance's own are not made for the throw-away uWSGI;
    and whatever setting a systemd does not know, it leaves out for the live unit and for this one alike.
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
  unasked:
    description:
      - Applications that are loaded and asked for nothing, since what they answer takes what is yet to be done. That
        they have loaded is not noted, so that a later run of this module asks them.
    type: list
    elements: str
    default: []
  parallel:
    description: Number of applications that are loaded at the same time.
    type: int
    default: 4
extends_documentation_fragment:
  - graceful.wsgi.internal
  - graceful.wsgi.applications.apps
attributes:
  check_mode:
    description: Can run in check mode.
    support: full
    details: It changes nothing in either mode, except that systemd makes state folders that the unit names and that
      are missing. A release that check mode did not send is left out, and so is an application without its account.
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
  description: What was found for each application, by name.
  returned: success
  type: dict
"""

import os
import shutil
import tempfile

from ansible_collections.graceful.wsgi.plugins.module_utils import (
    causes,
    missing_callable,
    missing_modules,
    release_records,
    safe_path,
    secret_values,
    trial_unit,
)
from ansible_collections.graceful.wsgi.plugins.module_utils.disk import encoded, native
from ansible_collections.graceful.wsgi.plugins.module_utils.parallel import run_all
from ansible_collections.graceful.wsgi.plugins.module_utils.unlogged import AnsibleModule
from ansible_collections.graceful.wsgi.plugins.module_utils.uwsgi_config import ConfigError, load_as
from ansible_collections.graceful.wsgi.plugins.module_utils.uwsgi_preflight import (
    SPEC,
    Note,
    PreflightError,
    new_environment,
    preflight,
    unit_texts,
)
from ansible_collections.graceful.wsgi.plugins.module_utils.whole_files import write_bytes


class Application:
    """One application. ``replace``: {live path: path that will be live}."""

    def __init__(self, wanted, replace, binary, timeout, check_mode, asks=True):
        self.wanted = wanted
        self.replace = replace
        self.binary = wanted.get("binary") or binary
        self.timeout = timeout
        self.check_mode = check_mode
        self.asks = asks
        self.failed = False
        self.found = None
        self.trial = None
        self.note = Note(wanted, replace, binary)

    def prepare(self, trials):
        """See whether there is anything to load, and have a unit for it where its settings can be had."""
        if not all(os.path.exists(path) for path in [self.binary] + list(self.replace.values())):
            # Only check mode comes before them.
            self.found = "not here yet"
        elif self.note.holds:
            self.found = "loaded before"
        elif self.check_mode and not self._has_account():
            self.found = "not here yet"
        if self.found or trials is None or not self.wanted["unit"]:
            return
        unit, wanted = self.wanted["unit"], unit_texts(self.wanted)
        if not trial_unit.paths(unit, wanted):
            return
        try:
            self.trial = trials.add(
                self.wanted["name"],
                unit,
                wanted,
                self.wanted["files"],
                self.replace,
                timeout=self.timeout,
            )
        except (trial_unit.TrialError, IOError, OSError) as error:
            self._fail("no unit could be made for it: %s" % error)

    def _has_account(self):
        try:
            return bool(self._who())
        except KeyError:
            return False

    def _fail(self, why):
        values = secret_values.of_preflight(self.wanted)
        self.failed, self.found = True, secret_values.mask(str(why), values)

    def run(self):
        """Load it; the outcome is in found and failed."""
        if self.found:
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
                self._asked(),
                self.trial,
            )
        except (KeyError, ConfigError, PreflightError) as error:
            self._fail(error)
            self._hint()
            return
        except Exception as error:
            # What escapes a thread is lost, and the result would say that it loads.
            self._fail("could not be loaded: %r" % error)
            return
        self.found = "loaded in %.2f s" % took
        if not self.check_mode and self.asks:
            self.note.write()

    def _asked(self):
        """What it must answer: its probe, or what a visitor would ask, judged by what the live one answers."""
        if not self.asks:
            return None
        question = self.wanted["question"]
        if self.wanted["probe"].get("path"):
            return dict(self.wanted["probe"], callable=question.get("callable"))
        return dict(question, default=True) if question else None

    def _hint(self):
        """Say what to write where the reason is a missing module, or a name that the module does not have."""
        name, about = missing_modules.module(self.found), self.wanted["code"]
        wrong = missing_callable.missing(self.found, native(self.wanted["question"].get("callable") or ""))
        if not about or not (name or wrong):
            return
        live = native(about["path"])
        code = self.replace.get(live, live)

        def look():
            return missing_modules.look(code, name.partition(".")[0]) if name else missing_callable.look(code, wrong)

        try:
            # The code's own account may have put links there.
            found = safe_path.as_account(self._who(), look)
        except Exception:
            # A hint is worth no failure of its own.
            return
        hint = missing_modules.hint(name, about, found) if name else missing_callable.hint(wrong, about, found)
        if hint:
            head, newline, rest = self.found.partition("\n")
            self.found = "%s%s%s\n%s" % (head, newline, causes.without_noise(rest), hint)

    def _options(self):
        if self.wanted["text"] is None:
            return [tuple(pair) for pair in self.wanted["options"]]
        folder = tempfile.mkdtemp(prefix="graceful-wsgi-")
        try:
            # The name is what uWSGI's own variables for it give.
            path = os.path.join(folder, "%s.%s" % (self.wanted["name"], self.wanted["format"]))
            who = self._who()
            os.chmod(folder, 0o711)
            write_bytes(path, encoded(self.wanted["text"]), 0o400)
            if os.geteuid() == 0:
                os.chown(path, who["uid"], who["gid"])
            # It may include what its account has written.
            return load_as(who, path)
        finally:
            shutil.rmtree(folder)

    def _who(self):
        return safe_path.account(self.wanted["user"], self.wanted["group"])


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
            "unasked": {"type": "list", "elements": "str", "default": []},
            "parallel": {"type": "int", "default": 4},
        },
        supports_check_mode=True,
    )
    replace = dict((item["name"], item["replace"]) for item in module.params["releases"])
    apps = [
        Application(
            wanted,
            replace.get(wanted["name"], {}),
            module.params["binary"],
            module.params["timeout"],
            module.check_mode,
            wanted["name"] not in module.params["unasked"],
        )
        for wanted in module.params["apps"]
    ]
    with trial_unit.Trials() as trials:
        for app in apps:
            app.prepare(trials if trial_unit.available() else None)
        trials.ready()
        run_all([app.run for app in apps], module.params["parallel"])
    failed = [(app.wanted["name"], app.found) for app in apps if app.failed]
    if failed:
        if not module.check_mode:
            release_records.note_failures(module.params["releases"], failed, "verify")
        # No second copy of it by name.
        module.fail_json(msg=causes.message(failed))
    module.exit_json(changed=False, apps=dict((app.wanted["name"], app.found) for app in apps))


if __name__ == "__main__":
    main()
