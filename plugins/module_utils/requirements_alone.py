# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Applications without code of their own: what their requirements bring is all of it.

Such an application has releases as any other one, each an empty folder with a link to its virtualenv.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import re

SOURCES = ("source", "archive", "repo", "path")
# What an address holds of a user's, and what may be a token of theirs.
_CREDENTIALS = re.compile(r"(\w://)[^/@\s]+@|[?#]\S*")


def is_alone(item):
    """Whether these are all there is of the application (an item of publish_apps, or of graceful.wsgi.releases)."""
    wanted = item.get("requirements")
    # On a way back neither code nor requirements are said: what is on the host is taken as it is.
    return isinstance(wanted, list) and bool(wanted) and not any(item.get(name) for name in SOURCES)


def told(lines):
    """The requirements as the history shows them: no options, and nothing that only its owner should read."""
    named = [line for line in lines if not line.lstrip().startswith("-")]
    return _CREDENTIALS.sub(lambda found: found.group(1) or "", ", ".join(named))[:300]
