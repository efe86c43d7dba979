# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whether a kit holds what this very host needs, asked before anything on it is changed."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os
import sys

from ansible_collections.graceful.wsgi.plugins.module_utils import uwsgi_home, uwsgi_wheels
from ansible_collections.graceful.wsgi.plugins.module_utils.disk import native

DESCRIBED = "%(distribution)s %(major)s on %(architecture)s with Python %(python)s (%(abi)s) at %(interpreter)s"


def system():
    """The distribution and its release, as Ansible's facts have them."""
    from ansible.module_utils.common.sys_info import get_distribution, get_distribution_version

    return get_distribution(), get_distribution_version()


def host(python, run_command):
    """(what the wanted Python is, the host's kind) as wheels are made for it."""

    def run(words):
        status, out, err = run_command(words)
        return status, native(out), native(err)

    about = uwsgi_home.find_python(native(python), sys.executable, uwsgi_wheels.which, run)
    return about, uwsgi_home.kind_of(about, *system())


def _installed(check, about):
    """Whether an uWSGI that is as wanted was verified on this host already."""
    build = uwsgi_home.full_build(check["build"], check["version"], about)
    plain = os.path.join(check["home"], "%s-python%s" % (check["version"], about["version"]))
    digest = uwsgi_home.digest_of({"build": build, "features": sorted(check["features"])})
    return any((uwsgi_home.read_stamp(home) or {}).get("build") == build for home in (plain, plain + "-" + digest))


def _uwsgi(check, entry, about, kind, run_command):
    """(what is wrong with the uWSGI that was built for this host, the cure or None); None where all is well.

    Of a wheel that lies among the tools, in the place of uwsgi_wheel_dir, uwsgi_wheels.py judges.
    """
    if not check["built"] or _installed(check, about):
        return None
    build = uwsgi_home.full_build(check["build"], check["version"], about)
    name = uwsgi_home.wheel_of(check["version"], build, check["features"], kind)["name"]
    held = entry["uwsgi"].get(name)
    if held is None:
        names = ", ".join(sorted(entry["uwsgi"])) or "none"
        return "%s lacks uWSGI %s, which these variables ask for; it holds %s" % (check["folder"], name, names), None
    known = uwsgi_wheels.libraries(run_command, kind["architecture"])
    missing = [] if known is None else sorted(set(held["libraries"]) - known)
    if not missing:
        return None
    message = "the uWSGI of %s needs %s, which this host does not have" % (check["folder"], " and ".join(missing))
    hint = "install what holds it from the distribution's media, or build uWSGI without it (uwsgi_features)"
    if held["packages"]:
        hint += "; the packages with its libraries are %s" % ", ".join(held["packages"])
    return message, hint


def kit(checks, tools):
    """Refuse a kit that is not for this host's kind, or lacks its uWSGI or the wheels of an application."""
    found = []
    for check in checks:
        again = "make it where there is a network: %s" % check["command"]
        try:
            about, kind = host(check["python"], tools.run_command)
        except uwsgi_home.HomeError as error:
            name, _colon, message = str(error).partition(": ")
            found.append((name, message, "a host that reaches nothing has to have its Python"))
            continue
        entry = next((one for one in check["entries"] if one["kind"] == kind), None)
        if entry is None:
            others = "; ".join(check["others"]) or "nothing"
            message = "this host is %s, and %s is for %s" % (DESCRIBED % kind, check["folder"], others)
            found.append((check["variable"], message, again))
            continue
        wrong = _uwsgi(check, entry, about, kind, tools.run_command)
        if wrong:
            found.append((check["variable"], wrong[0], wrong[1] or again))
        for app in check["apps"]:
            if app["digests"].get(kind["python"]) not in entry["requirements"]:
                message = "%s lacks the wheels of %s for %s" % (check["folder"], app["name"], DESCRIBED % kind)
                found.append((app["variable"], message, again))
    return found


KINDS = {"kit": kit}
