# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a host has of a uWSGI that is wanted, and what it lacks to build one."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os
import sys

from ansible_collections.graceful.wsgi.plugins.module_utils import (
    uwsgi_home,
    uwsgi_wheel,
    uwsgi_wheels,
)


def of_wheel(wanted):
    """What there is to tell of a wheel that was built for another host."""
    path = uwsgi_wheel.the_wheel(wanted["wheel_folder"])
    found, wrong = uwsgi_wheel.examine(path, wanted["like"], wanted["glibc"] or None)
    faults, missing = uwsgi_home.faults(found, wanted["version"], wanted["like"]["python"], wanted["features"])
    stamp = {"features": found["features"], "sha256": found["sha256"], "said": found}
    return {"state": "examined", "faults": wrong + faults, "missing": missing, "stamp": stamp}


class Look:
    """One look at a host. ``wanted``: what the module uwsgi_build_info takes; ``system``: distribution and release.

    ``run``, ``run_binary``: run a command, and one that a build made, as (status, stdout, stderr); ``find``: the path
    of a program, or None. ``problems``: what of brought wheels cannot be, for host_checks; nothing else holds then.
    """

    def __init__(self, wanted, system, run, run_binary, find):
        self.wanted = wanted
        self.variable = wanted.get("variable") or "uwsgi_python"
        self.system = system
        self.run = run
        self.find = find
        self.cross = {}
        self.about = self._about()
        build = (wanted["build"], wanted["features"], run_binary)
        self.chosen = uwsgi_home.choose(wanted["root"], wanted["version"], self.about, *build)
        if wanted["home"]:
            found = uwsgi_home.examine(wanted["home"], run_binary)
            self.chosen.update(home=wanted["home"], state="examined", found=found)
        self.faults, self.missing = self._faults()
        self.script = os.path.join(wanted["virtualenv"] or "", "virtualenv.py")
        self.pip_python, self.packages, self.problems = "", [], []
        self.kind, self.wheel, self.wheel_file = {}, {}, ""
        if self.chosen["state"] not in ("verified", "examined"):
            self._needs()

    def _find_python(self, python):
        return uwsgi_home.find_python(python, sys.executable, self.find, self.run, self.variable)

    def _about(self):
        """The Python that uWSGI is for."""
        like = self.wanted["like"]
        if not like:
            return self._find_python(self.wanted["python"])
        # A virtualenv of Ansible's own may go while the build runs.
        own = os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable)
        words = [like, self.wanted["builder"], self._find_python] + list(self.system)
        about = uwsgi_home.find_like(*(words + ([own] if self.wanted["brought"] else [])))
        if uwsgi_home.kind_of(about, *self.system) != like:
            self.cross = uwsgi_home.cross_of(like)
        return about

    def _faults(self):
        """What is wrong with the one that is there, and which features it lacks."""
        found = self.chosen["found"]
        if not found:
            return [], []
        version, features = self.wanted["version"], self.wanted["features"]
        wrong, missing = uwsgi_home.faults(found, version, self.about["version"], features)
        if self.chosen["state"] == "broken" and not wrong:
            wrong = ["the binary is not the one that was verified"]
        return wrong, missing

    def _find_pip(self):
        """A Python with pip that fetches virtualenv for a Python 2.7, or an empty text."""
        if self.about["version"] != "2.7" or os.path.exists(self.script):
            return ""
        # Any pip can fetch the pure wheel; the wanted Python's own comes first, since it surely can.
        for python in (self.about["executable"], self.find("python3"), self.find("python2")):
            if python and self.run([python, "-m", "pip", "--version"])[0] == 0:
                return python
        return ""

    def _needs(self):
        """What a build asks of this host, or a wheel that was brought."""
        wanted = self.wanted
        self.pip_python = self._find_pip()
        self.kind = uwsgi_home.kind_of(self.about, *self.system)
        self.wheel = uwsgi_home.wheel_of(wanted["version"], self.chosen["build"], wanted["features"], self.kind)
        # Those names are the packages of the host's distribution.
        names = {} if self.cross else wanted["python_packages"]
        packages = uwsgi_home.missing_packages(wanted["needs"])
        if wanted["wheels"]:
            look = uwsgi_wheels.Look(wanted["wheels"], self.about, self.run)
            self.problems, self.wheel_file = look.problems, look.file
            if self.problems:
                return
            if self.wheel_file:
                # A wheel takes neither a compiler nor headers.
                packages = look.packages
                names = dict((what, named) for what, named in names.items() if what != "headers")
        self.packages = packages + uwsgi_home.python_packages(
            self.about,
            names,
            wanted["virtualenv_wheel"] or os.path.exists(self.script),
            bool(self.pip_python),
            os.path.basename(wanted["virtualenv"] or "virtualenv-VERSION"),
            self.variable,
        )

    def told(self):
        """What the module tells of it."""
        chosen, found = self.chosen, self.chosen["found"] or {}
        link = os.path.join(self.wanted["root"], "current")
        with_pip = self.about["version"] in self.wanted["pip_wheels"]
        return {
            "python": self.about,
            "home": chosen["home"],
            "state": chosen["state"],
            "faults": self.faults,
            "missing": self.missing,
            "stamp": {
                "build": chosen["build"],
                "digest": chosen["digest"],
                "features": found.get("features", []),
                "sha256": found.get("sha256"),
                "said": found,
            },
            "options": [] if self.faults else found.get("options", []),
            "modules": uwsgi_home.sha256(os.path.join(chosen["home"], "modules", "uwsgidecorators.py")) or "",
            "current": os.readlink(link) if os.path.islink(link) else "",
            "packages": self.packages,
            "kind": self.kind,
            "wheel": self.wheel,
            "wheel_file": self.wheel_file,
            "cross": self.cross,
            "pip_python": self.pip_python,
            "venv_command": uwsgi_home.venv_command(self.about, self.script, with_pip),
        }


def home_of(look):
    """What the fact uwsgi_installed tells of a home; all else of it is as in the main one."""
    told, home = look.told(), look.chosen["home"]
    return {
        "home": home,
        "binary": os.path.join(home, "bin", "uwsgi"),
        "python": look.about["version"],
        "abi": look.about["abi"],
        "interpreter": look.about["executable"],
        "venv_command": told["venv_command"],
        "options": told["options"],
    }


def look_further(main, wanted, pythons, look):
    """Looks for Pythons beside that of ``main``, a Look, which applications name.

    ``wanted``: as Look takes it; ``pythons``: items of a ``python`` and the ``variable`` that names it; ``look``: makes
    a Look of such a ``wanted``. Returns ({name: what home_of() tells}, a Look for each home beside the main one).
    """
    looks, homes = [main], {}
    for item in pythons:
        other = look(dict(wanted, python=item["python"], variable=item["variable"]))
        same = [one for one in looks if one.chosen["home"] == other.chosen["home"]]
        if not same:
            looks.append(other)
        homes[item["python"]] = home_of((same or [other])[0])
    return homes, looks[1:]
