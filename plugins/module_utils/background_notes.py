# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Notes of the workers and timers of each application: ``live`` ones, and those that a run has ``begun`` and not
brought to its end. Each is a list of items of app_background.SPEC.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import glob
import json
import os

from ansible_collections.graceful.wsgi.plugins.module_utils import layout, procfs
from ansible_collections.graceful.wsgi.plugins.module_utils.disk import encoded, make_folders
from ansible_collections.graceful.wsgi.plugins.module_utils.whole_files import replace_bytes, unlink


def noted(app):
    """What is known of an application's workers and timers: {live: [items], begun: [items]}."""
    try:
        found = json.loads(procfs.read(layout.background_note(app)).decode("utf-8"))
    except ValueError:
        return {"live": [], "begun": []}
    return found


def apps_noted():
    """Names of the applications of which something is noted."""
    found = glob.glob(layout.background_note("*"))
    return sorted(os.path.basename(path)[: -len(".json")] for path in found)


def note(app, live, begun=()):
    """Note what it has; nothing is left of one that has none."""
    path = layout.background_note(app)
    if live or begun:
        make_folders(os.path.dirname(path))
        text = json.dumps({"live": list(live), "begun": list(begun)}, sort_keys=True)
        if procfs.read(path) != encoded(text):
            replace_bytes(path, encoded(text))
    elif os.path.exists(path):
        unlink(path)


def live(apps):
    """What these applications have, of all of them in one list."""
    return [item for app in apps for item in noted(app)["live"]]


def longest_stop(apps):
    """Seconds that the slowest of what these applications have is given to finish."""
    items = [item for app in apps for items in noted(app).values() for item in items]
    return max([0] + [item.get("stop_timeout") or 0 for item in items])
