# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a uWSGI that is on the host already says of the applications' options, before anything is changed for them."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import difflib
import glob
import os

from ansible_collections.graceful.wsgi.plugins.module_utils.disk import native
from ansible_collections.graceful.wsgi.plugins.module_utils.uwsgi_home import read_stamp


def _known(check):
    """All options of the uWSGIs of this version that were built as this one is to be; none where none was."""
    found = set()
    for home in glob.glob(os.path.join(check["home"], check["version"] + "-python*")):
        stamp = read_stamp(home) or {}
        built = stamp.get("build") or {}
        if all(built.get(name) == check["build"].get(name) for name in ("env", "extra_args", "toolchain")):
            found.update(native(name) for name in (stamp.get("said") or {}).get("options") or [])
    return found


def uwsgi_options(checks, _tools):
    """Refuse options that no uWSGI has which is here and as wanted; where there is none yet, it is asked later."""
    found = []
    for check in checks:
        known = _known(check)
        for name in check["options"] if known else []:
            if name in known:
                continue
            feature = (check.get("features") or {}).get(name)
            if feature:
                message = "the uWSGI of this host has no such option, since it was built without %s" % feature
                hint = "add %s to uwsgi_features, or leave it out" % feature
                found.append(("%s.%s" % (check["variable"], name), message, hint))
                continue
            meant = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.75)
            hint = "did you mean %s?" % meant[0] if meant else check["hint"]
            found.append(("%s.%s" % (check["variable"], name), "uWSGI has no such option", hint))
    return found


def uwsgi_features(checks, _tools):
    """Refuse what takes a feature that no uWSGI has which is here and as wanted.

    Where there is none yet, what counts is the ``wheel`` without it that would be installed. Where there is none of
    that either, pip builds one with whatever it finds: what has to be there is refused unless it is asked for, the rest
    is asked of the binary later.
    """
    found = []
    for check in checks:
        known = _known(check)
        if check["option"] in known or not (known or check.get("wheel") or check["strict"]):
            continue
        message = "takes %s, which %s: %s"
        if known:
            how = "the uWSGI of this host was built without"
        elif check.get("wheel"):
            how = "the wheel %s, which would be installed here, was built without" % check["wheel"]
        else:
            how = "uwsgi_features does not ask for"
        found.append((check["variable"], message % (check["feature"], how, check["why"]), check["hint"]))
    return found


KINDS = {"uwsgi_features": uwsgi_features, "uwsgi_options": uwsgi_options}
