# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What only the host can tell of the variables: asked before anything on it changes, all problems in one message."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os

from ansible_collections.graceful.wsgi.plugins.module_utils import (
    account_checks,
    accounts,
    kit_checks,
    log_files,
    nginx_config_checks,
    python_checks,
    safe_path,
    secret_checks,
    served_checks,
    takeover_checks,
    unit_checks,
    uwsgi_checks,
    uwsgi_wheels,
)
from ansible_collections.graceful.wsgi.plugins.module_utils.disk import native

# What the modules take: each check is a mapping of kind, variable (as a user would write it) and what its kind needs.
SPEC = {"type": "list", "elements": "dict", "default": []}


class Problem:
    """One refusal: the variable's path, what is wrong, and how to mend it."""

    def __init__(self, path, message, hint):
        self.path, self.message, self.hint = path, message, hint

    def __str__(self):
        return "%s: %s; %s" % (self.path, self.message, self.hint)


# kind: function(checks of this kind, tools) -> problems; each sees all checks of its kind at once.
KINDS = {}


def static_links(checks, tools):
    """Folders of files, each a ``path``, to which root's own link leads that nginx does not follow.

    What the other links on the way do is their owners' affair: who has one must not be able to stop root's next run.
    """
    found = []
    for check in checks:
        parts = [part for part in check["path"].split("/") if part]
        for length in range(1, len(parts) + 1):
            path = "/" + "/".join(parts[:length])
            try:
                link, target = os.lstat(path), os.stat(path)
            except OSError:
                break
            if link.st_uid == 0 and target.st_uid != 0:
                message = "%s is a link of root's to what belongs to %s, and nginx follows none but among one owner's"
                real = "/".join([os.path.realpath(path)] + parts[length:])
                hint = "write %s, or run: chown -h %s %s" % (real, safe_path.account_name(target.st_uid), path)
                found.append(Problem(check["variable"], message % (path, safe_path.account_name(target.st_uid)), hint))
                break
    return found


KINDS["static_link"] = static_links


def _each(function, *names):
    """A kind whose checks are judged one by one: ``function(value of each name)`` tells what is wrong and the cure."""

    def judge(checks, _tools):
        found = []
        for check in checks:
            values = [check.get(name) for name in names]
            said = function(*[native(value) if hasattr(value, "encode") else value for value in values])
            if said is not None:
                found.append(Problem(check["variable"], *said))
        return found

    return judge


def _root_only(path):
    why = safe_path.untrusted(path)
    if why is None:
        return None
    message = "root writes there, and another account can change it (%s)" % why
    return message, "give that back to root, or name a folder that only root can change"


def _log(path, user, group, by_root, dropin):
    if accounts.is_handed_over(path, dropin, user):
        # A former account's, which this very run gives to the new one.
        return None
    return log_files.problem(path, user, group, by_root)


# The log of an application, by the account that writes it.
KINDS["log"] = _each(_log, "path", "user", "group", "by_root", "dropin")
# A log that nginx opens as root.
KINDS["site_log"] = _each(log_files.site_problem, "path")
# A folder in which root works by path.
KINDS["root_only"] = _each(_root_only, "path")


def _told(check):
    """A kind of a file that knows nothing of this one: (variable, what is wrong, how to mend it) for each problem."""
    return lambda checks, tools: [Problem(*told) for told in check(checks, tools)]


for _kinds in (
    account_checks.KINDS,
    kit_checks.KINDS,
    nginx_config_checks.KINDS,
    python_checks.KINDS,
    secret_checks.KINDS,
    served_checks.KINDS,
    takeover_checks.KINDS,
    unit_checks.KINDS,
    uwsgi_checks.KINDS,
    uwsgi_wheels.KINDS,
):
    KINDS.update((kind, _told(check)) for kind, check in _kinds.items())


class Tools:
    """What a check may use. ``run_command(words)`` returns (status, stdout, stderr); ``warn(text)`` tells the user."""

    def __init__(self, run_command, warn=lambda text: None):
        self.run_command = run_command
        self.warn = warn


def problems(checks, tools):
    """All problems of these checks, in the order of the checks' variables."""
    found = []
    for kind in sorted(set(check["kind"] for check in checks)):
        found += KINDS[kind]([check for check in checks if check["kind"] == kind], tools)
    order = dict((check["variable"], number) for number, check in reversed(list(enumerate(checks))))
    return sorted(found, key=lambda problem: order.get(problem.path, 0))


def refuse(module, checks, untouched="nothing on it was changed"):
    """End a module where this host cannot take what these checks ask about.

    ``untouched``: what may be said of the host when it is asked.
    """
    tools = Tools(lambda words: module.run_command(list(words)), module.warn)
    refuse_these(module, problems(checks, tools), untouched)


def refuse_these(module, found, untouched="nothing on it was changed"):
    """End a module with these problems, where there are any."""
    if found:
        counted = "%d problem%s on this host" % (len(found), "s" if len(found) > 1 else "")
        lines = "\n".join("- %s" % problem for problem in found)
        module.fail_json(msg="%s; %s.\n%s" % (counted, untouched, lines))
