# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What only the host can tell of the variables: asked before anything on it changes, all problems in one message."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

from ansible_collections.graceful.wsgi.plugins.module_utils import takeover_checks

# What the modules take: each check is a mapping of kind, variable (as a user would write it) and what its kind needs.
SPEC = {"type": "list", "elements": "dict", "default": []}


class Problem:
    """One refusal: the variable's path, what is wrong, and how to mend it."""

    def __init__(self, path, says, mend):
        self.path, self.says, self.mend = path, says, mend

    def __str__(self):
        return "%s: %s; %s" % (self.path, self.says, self.mend)


# kind: function(checks of this kind, tools) -> problems; each sees all checks of its kind at once.
KINDS = {}


def _from(check):
    """A kind of a file that knows nothing of this one."""
    return lambda checks, tools: [Problem(*told) for told in check(checks, tools)]


KINDS.update((kind, _from(check)) for kind, check in takeover_checks.KINDS.items())


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


def refuse(module):
    """End a module where this host cannot take what ``module.params["checks"]`` asks about."""
    found = problems(module.params["checks"], Tools(lambda words: module.run_command(list(words)), module.warn))
    if found:
        counted = "%d problem%s on this host" % (len(found), "s" if len(found) > 1 else "")
        lines = "\n".join("- %s" % problem for problem in found)
        module.fail_json(msg="%s; nothing on it was changed.\n%s" % (counted, lines))
