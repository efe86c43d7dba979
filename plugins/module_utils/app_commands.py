# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Commands of an application's own, run in a systemd unit with the settings of the application's, and what is owed."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import grp
import json
import os
import time

from ansible_collections.graceful.wsgi.plugins.module_utils import (
    layout,
    procfs,
    releases,
    safe_path,
    secret_values,
    tree,
    trial_unit,
    uwsgi_preflight,
    writable,
)
from ansible_collections.graceful.wsgi.plugins.module_utils.disk import encoded, make_folders, native
from ansible_collections.graceful.wsgi.plugins.module_utils.whole_files import replace_bytes, unlink

# Of what a command said, a message has as many lines at most, and a result as many characters.
LINES = 40
SAID = 1 << 16
COMMAND = {
    "name": {"type": "str", "required": True},
    "words": {"type": "list", "elements": "str", "required": True},
    "once": {"type": "bool", "default": False},
    "timeout": {"type": "int", "default": 600},
}
# An application's commands as the module takes them.
SPEC = {
    "name": {"type": "str", "required": True},
    "group": {"type": "str", "required": True},
    "code": {"type": "path", "required": True},
    "folder": {"type": "path", "required": True},
    "virtualenv": {"type": "path", "required": True},
    "pythonpath": {"type": "list", "elements": "path", "default": []},
    "before_live": {"type": "list", "elements": "dict", "default": [], "options": COMMAND},
    "after_live": {"type": "list", "elements": "dict", "default": [], "options": COMMAND},
    "writable": {"type": "list", "elements": "str", "default": []},
}
START = """\
cd -P -- %(folder)s || exit 126
PATH=%(bin)s:${PATH:-/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin}
VIRTUAL_ENV=%(virtualenv)s
PYTHONPATH=%(pythonpath)s${PYTHONPATH:+:$PYTHONPATH}
export PATH VIRTUAL_ENV PYTHONPATH
exec %(words)s
"""


class CommandError(Exception):
    """A command that did not do its work; the text holds the end of what it said."""


def script(wanted, words, replace):
    """What the unit of a command runs, as a shell reads it. ``replace``: {live path: path to look at instead}."""
    quoted = trial_unit.quoted

    def led(path):
        return trial_unit.replaced(native(path), replace)

    folders = [led(path) for path in wanted["pythonpath"]]
    return START % {
        "folder": quoted(led(wanted["folder"])),
        "bin": quoted(os.path.join(led(wanted["virtualenv"]), "bin")),
        "virtualenv": quoted(led(wanted["virtualenv"])),
        "pythonpath": quoted(":".join(folders)),
        "words": " ".join(quoted(native(word)) for word in words),
    }


# -- what is new, and what is owed ------------------------------------------------------------------------------------


def is_new(replace):
    """Whether any of the live paths leads elsewhere than it is to; links of root's are all that is read."""
    return any(os.path.realpath(live) != os.path.realpath(other) for live, other in replace.items())


def _owed(name):
    return os.path.join(layout.OWED_DIR, name)


def owe(name, replace):
    """Note that commands of after_live are to run once these paths are live; a run that is killed forgets it not."""
    make_folders(layout.OWED_DIR)
    replace_bytes(_owed(name), encoded(json.dumps(replace, sort_keys=True)))


def is_owed(name):
    """Whether what the note of an application names is what is live, and its commands have not run since."""
    try:
        replace = json.loads(procfs.read(_owed(name)).decode("utf-8"))
    except ValueError:
        return False
    return bool(replace) and not is_new(replace)


def settle(name, replace):
    """Note that those of these paths have run; what another run owes by now it still does."""
    try:
        noted = json.loads(procfs.read(_owed(name)).decode("utf-8"))
    except ValueError:
        return
    if noted == replace:
        unlink(_owed(name))


# -- running them -----------------------------------------------------------------------------------------------------


class Application:
    """Commands of one application. ``app``: as uwsgi_preflight.SPEC says; ``wanted``: as SPEC does."""

    def __init__(self, app, wanted, replace, point):
        self.app, self.wanted, self.point = app, wanted, point
        self.name = wanted["name"]
        self.replace = dict(replace)
        self.commands = wanted[point]
        # [(command, Trial)], a result of each that was run, and why it ended if it failed.
        self.trials = []
        self.ran = []
        self.failed = None
        self._secrets = self._find_secrets()

    def _texts(self):
        return uwsgi_preflight.unit_texts(self.app)

    def _find_secrets(self):
        files = [self.app["files"][path] for path in self.app["files"]]
        hosts = secret_values.hosts_of(self.app)
        found = secret_values.of_preflight(self.app) + secret_values.of_files(files, hosts)
        if self.app["unit"]:
            found += secret_values.of_units(
                [path for path in trial_unit.paths(self.app["unit"], {}) if os.path.exists(path)], hosts
            )
        return sorted(set(found), key=len, reverse=True)

    def prepare(self, trials):
        """Have a unit for each command. ``trials``: None where there is no systemd to ask."""
        if trials is None or not self.app["unit"]:
            self.failed = "there is no systemd to run its commands with the settings of its unit"
            return
        for number, command in enumerate(self.commands):
            try:
                trial = trials.add(
                    "%s.%d" % (self.name, number),
                    self.app["unit"],
                    self._texts(),
                    self.app["files"],
                    self.replace,
                    timeout=command["timeout"],
                    remain=True,
                )
            except (trial_unit.TrialError, IOError, OSError) as error:
                self.failed = "no unit could be made for it: %s" % error
                return
            self.trials.append((command, trial))

    def run(self):
        """Run them in their order, up to the first that fails."""
        if self.failed:
            return
        try:
            self._with_folders(self._run_all)
        except CommandError as error:
            self.failed = str(error)
        except (tree.TreeError, safe_path.UnsafePath) as error:
            self.failed = "writable: %s; a release holds files, folders and links within it only" % error
        except Exception as error:
            # What escapes a thread is lost, and the release would go live.
            self.failed = "its commands could not be run: %r" % error
        if self.failed:
            self.failed = self._masked(self.failed)

    def _run_all(self):
        for command, trial in self.trials:
            self._run(command, trial)

    def _with_folders(self, call):
        """The call, with its account let into what is writable; nobody but root is, once it is over."""
        names = self.wanted["writable"] if self.point == "before_live" else []
        if not names:
            call()
            return
        release = self.replace.get(self.wanted["code"])
        who = safe_path.account(self.app["user"], self.app["group"])
        gid = grp.getgrnam(self.wanted["group"]).gr_gid
        try:
            for name in names:
                writable.give(release, name, who, gid)
            call()
        except BaseException:
            try:
                self._take_back(release, names, who, gid)
            except (tree.TreeError, safe_path.UnsafePath, EnvironmentError):
                # Nothing goes live; what made it fail is what counts.
                pass
            raise
        self._take_back(release, names, who, gid)

    def _take_back(self, release, names, who, gid):
        """Nobody but root may write there again; where that cannot be, the release goes, and is made anew."""
        try:
            for name in names:
                writable.take_back(release, name, who, gid)
        except (tree.TreeError, safe_path.UnsafePath, EnvironmentError):
            # Its id would be found again, and it would go live with a folder that the application can write.
            if os.path.realpath(self.wanted["code"]) != os.path.realpath(release):
                releases.discard(release)
            raise

    def _run(self, command, trial):
        started = time.time()
        try:
            trial.begin(script(self.wanted, command["words"], trial.replace))
            status = self._wait(trial, started + command["timeout"])
            if status is None:
                # What it was at when it was told to end is said by then.
                trial.end()
            said = self._masked(trial.said())[-SAID:]
        finally:
            trial.end()
        took = time.time() - started
        self.ran.append(
            {
                "app": self.name,
                "name": command["name"],
                "status": "timeout" if status is None else status,
                "took": round(took, 2),
                "said": said.splitlines(),
            }
        )
        if status == 0:
            return
        if status is None:
            why = "was ended after its time limit of %d s, with all that it had started" % command["timeout"]
        else:
            why = "failed (%s)" % ("status %d" % status if isinstance(status, int) else status)
        end = "\n".join(said.splitlines()[-LINES:])
        head = "%s: %s %s" % (self.point, command["name"], why)
        raise CommandError("%s:\n%s" % (head, end) if end else "%s, and said nothing" % head)

    @staticmethod
    def _wait(trial, limit):
        """The status of a command, None where its time is up."""
        pause = 0.02
        while True:
            status = trial.finished()
            if status is not None:
                return status
            if time.time() > limit:
                return None
            time.sleep(pause)
            pause = min(pause * 1.5, 0.5)

    def _masked(self, text):
        return secret_values.mask(text, self._secrets)
