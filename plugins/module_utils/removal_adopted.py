# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a removal has to know of a stack that was moved over: the nginx that is there leads to what would go."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

from ansible_collections.graceful.wsgi.plugins.module_utils import adopting, removal_survey
from ansible_collections.graceful.wsgi.plugins.module_utils.disk import native
from ansible_collections.graceful.wsgi.plugins.module_utils.removal_survey import RemovalError

KEPT = "tells how the old stack was started and what its nginx said, as long as it is moved (adopt_state=moved)"


def refuse(apps, variable):
    """Raise where nginx leads to one of these applications; ``variable``: by which they are named."""
    about = adopting.State().about
    leads = dict((native(one["name"]), native(one["lead"]).partition("unix:")[2]) for one in about.get("apps", []))
    edited = [native(edit["path"]) for edit in about.get("edits", [])]
    led, files = [], set()
    for app in sorted(set(apps).intersection(leads)):
        there = [path for path in edited if leads[app] in removal_survey.text_of(path)]
        led += [app] if there else []
        files.update(there)
    if led:
        raise RemovalError(
            "%s: the nginx of this host was moved over and leads to %s (%s), where visitors would get 502; run"
            " graceful.wsgi.adopt with adopt_state=back first, or lead these files elsewhere. Nothing was removed"
            % (variable, ", ".join(led), ", ".join(sorted(files)))
        )


def is_moved():
    """Whether a stack is moved over, be it that its nginx was led elsewhere since."""
    return bool(adopting.State().about)
