# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which wheel of uWSGI out of a folder of the controller's fits this host, and what the host lacks to run it."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os
import re
import sys

from ansible_collections.graceful.wsgi.plugins.module_utils import elf, uwsgi_home
from ansible_collections.graceful.wsgi.plugins.module_utils.build_account import run_built
from ansible_collections.graceful.wsgi.plugins.module_utils.disk import native

# The glibc that a platform's old name stands for.
_OLD = {"manylinux1": "2.5", "manylinux2010": "2.12", "manylinux2014": "2.17"}
# What `ldconfig -p` calls the libraries of a 64-bit machine that may have others beside them.
_LIBRARIES_OF = {"x86_64": "x86-64", "aarch64": "AArch64"}


def _platform_fits(platform, machine, glibc):
    if platform in ("any", "linux_" + machine):
        return True
    named = re.match(r"(manylinux(?:1|2010|2014))_(.+)\Z|manylinux_(\d+)_(\d+)_(.+)\Z", platform)
    if not named or not glibc:
        return False
    oldest = _OLD[named.group(1)] if named.group(1) else "%s.%s" % named.group(3, 4)
    return (named.group(2) or named.group(5)) == machine and elf.numbers(oldest) <= elf.numbers(glibc)


def fits(file, about, machine, glibc):
    """Whether pip takes a wheel of this name for the Python that find_python() told ``about``."""
    pythons, abis, platforms = [part.split(".") for part in file[: -len(".whl")].split("-")[-3:]]
    return (
        "cp" + about["version"].replace(".", "") in pythons
        and (about["abi"] in abis or "none" in abis)
        and any(_platform_fits(platform, machine, glibc) for platform in platforms)
    )


def libraries(run, machine):
    """Names of the shared libraries that the loader of this host finds; None where nobody can tell."""
    for program in ("/sbin/ldconfig", "/usr/sbin/ldconfig"):
        if os.access(program, os.X_OK):
            status, out, _err = run([program, "-p"])
            found = re.findall(r"^\s*(\S+) \(([^)]*)\)", out, re.M) if status == 0 else []
            wanted = _LIBRARIES_OF.get(machine, "")
            return set(name for name, kind in found if wanted in kind) or None
    return None


def _missing(wheel, run, machine):
    """The libraries of a wheel's binary that the host lacks."""
    known = libraries(run, machine)
    if known is None or any("$" in path for path in wheel["paths"]):
        return []
    return [
        name
        for name in wheel["libraries"]
        if name not in known and not any(os.path.exists(os.path.join(path, name)) for path in wheel["paths"])
    ]


def _some(names):
    return ", ".join(names[:-1]) + " and " + names[-1] if len(names) > 1 else names[0]


class Look(object):
    """What of the folder fits: ``file`` (empty for none), the run-time ``packages`` that it takes, and ``problems``.

    ``wanted``: the plan's ``wheels``. ``about``: what find_python() told. A problem is (variable, what is wrong, cure).
    """

    def __init__(self, wanted, about, run):
        self.wanted, self.about, self.run = wanted, about, run
        self.machine, self.glibc = os.uname()[4], elf.glibc()
        self.file, self.packages, self.problems = "", [], []
        # Where no index is asked no package is asked for either: the host may reach nothing.
        self.alone = wanted["no_index"] or not wanted["managed"]
        wheel = next((one for one in wanted["wheels"] if fits(one["file"], about, self.machine, self.glibc)), None)
        if wheel is not None:
            self.file = wheel["file"]
            self._look_at(wheel)
        elif wanted["no_index"] and not wanted["sdist"]:
            self._none()
        self._look_at_virtualenv()

    def _problem(self, variable, message, hint):
        self.problems.append((variable, message, hint))

    def _install(self, packages):
        return "install %s on the host (%s %s)" % (_some(packages), self.wanted["install"], " ".join(packages))

    def _none(self):
        about = "Python %s (%s) on %s with glibc %s" % (
            self.about["version"],
            self.about["abi"],
            self.machine,
            self.glibc or "unknown",
        )
        there = [wheel["file"] for wheel in self.wanted["wheels"]]
        message = "%s holds no uWSGI %s for %s, and no index is asked" % (
            self.wanted["folder"],
            self.wanted["version"],
            about,
        )
        if there:
            message += "; it holds " + _some(there)
        hint = "put a wheel there that was built on a host of this kind; uwsgi_build_host makes one"
        self._problem("uwsgi_wheel_dir", message, hint)

    def _look_at(self, wheel):
        if wheel["broken"]:
            self._problem("uwsgi_wheel_dir", "%s %s" % (wheel["file"], wheel["broken"]), "put a whole one there")
            return
        if wheel["glibc"] and self.glibc and elf.numbers(wheel["glibc"]) > elf.numbers(self.glibc):
            message = "%s needs glibc %s, and this host has %s" % (wheel["file"], wheel["glibc"], self.glibc)
            self._problem("uwsgi_wheel_dir", message, "put one there that was built on a host as old as this one")
        if wheel["features"] is not None:
            without = sorted(set(self.wanted["features"]) - set(wheel["features"]))
            if without:
                message = "%s was built without %s" % (wheel["file"], _some(without))
                these = "them" if len(without) > 1 else "it"
                hint = "put another one there, or leave %s out of uwsgi_features" % these
                self._problem("uwsgi_wheel_dir", message, hint)
        lacks = _missing(wheel, self.run, self.machine)
        named = dict((name, self.wanted["library_packages"].get(name)) for name in lacks)
        if not self.alone:
            self.packages = sorted(set(package for package in named.values() if package))
            lacks = [name for name in lacks if not named[name]]
        if lacks:
            packages = sorted(set(named[name] for name in lacks if named[name]))
            unknown = [name for name in lacks if not named[name]]
            message = "%s needs %s, which this host has not" % (wheel["file"], _some(lacks))
            hints = [self._install(packages)] if packages else []
            hints += ["install the package that holds " + _some(unknown)] if unknown else []
            self._problem("uwsgi_wheel_dir", message, "; ".join(hints))

    def _look_at_virtualenv(self):
        if self.about["version"] == "2.7":
            script = os.path.join(self.wanted["virtualenv"], "virtualenv.py")
            if self.wanted["no_index"] and not self.wanted["virtualenv_wheel"] and not os.path.exists(script):
                message = "%s lacks %s, which makes virtualenvs of Python 2.7" % (
                    self.wanted["folder"],
                    self.wanted["virtualenv_file"],
                )
                hint = "put it there: pip download --no-deps virtualenv==%s" % self.wanted["virtualenv_version"]
                self._problem("uwsgi_wheel_dir", message, hint)
        elif not self.about["venv"] and self.alone and self.about["version"] not in self.wanted.get("pip_wheels", ()):
            names, version = self.wanted["venv_packages"], self.about["version"]
            package = (names.get(version) or names.get("*") or "").replace("{version}", version)
            message = "Python %s of this host makes no virtualenvs: it lacks venv or ensurepip" % self.about["version"]
            hint = self._install([package]) if package else "install these, or name another Python"
            self._problem("uwsgi_python", message, hint)


def which(name):
    folders = os.environ.get("PATH", "").split(os.pathsep) + ["/usr/local/bin", "/usr/bin", "/bin"]
    paths = [os.path.join(folder, name) for folder in folders if os.path.isabs(folder)]
    return next((path for path in paths if os.path.isfile(path) and os.access(path, os.X_OK)), None)


def wheels(checks, tools):
    """Refuse a folder of wheels that has not what this host needs, before anything on the host is changed."""
    found = []
    for check in checks:
        user = check["build_user"]

        def run_binary(words, user=user):
            return run_built(words, user, lambda command, **_more: tools.run_command(command))

        try:
            about = uwsgi_home.find_python(native(check["python"]), sys.executable, which, tools.run_command)
            words = [check[name] for name in ("root", "version")] + [about, check["build"], check["features"]]
            there = uwsgi_home.choose(*(words + [run_binary]))["state"] == "verified"
        except uwsgi_home.HomeError as error:
            # Where the host reaches something, a role to come may install it; uwsgi_build_info asks again.
            if check["no_index"]:
                variable, _colon, text = str(error).partition(": ")
                message, _semicolon, hint = text.partition("; ")
                found.append((variable, message, hint))
            continue
        if not there:
            found += Look(check, about, tools.run_command).problems
    return found


KINDS = {"uwsgi_wheels": wheels}
