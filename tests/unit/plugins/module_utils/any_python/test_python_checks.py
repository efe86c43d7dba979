"""Pythons that applications name: what a host has of them, and the uWSGI of each."""

from __future__ import absolute_import, division, print_function

import json
import subprocess

import pytest

from ansible_collections.graceful.wsgi.plugins.module_utils import host_checks, uwsgi_build

VARIABLE = "publish_apps[1].python"


def interpreter(path, version="3.12.1", virtual=False):
    """A program that tells of itself what a Python of this version would."""
    about = {
        "executable": str(path),
        "version": version.rpartition(".")[0],
        "full_version": version,
        "headers": True,
        "venv": True,
        "abi": "cp" + "".join(version.split(".")[:2]),
        "virtual": virtual,
    }
    path.write_text(u"#!/bin/sh\ncat <<'EOF'\n%s\nEOF\n" % json.dumps(about))
    path.chmod(0o755)
    return str(path)


def run(command):
    ran = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True)
    out, err = ran.communicate()
    return ran.returncode, out, err


def problems(python):
    checks = [{"kind": "python", "variable": VARIABLE, "python": python}]
    return [str(problem) for problem in host_checks.problems(checks, host_checks.Tools(run))]


def test_a_python_that_will_do_is_no_problem(tmp_path):
    assert problems(interpreter(tmp_path / "python3.12")) == []


@pytest.mark.parametrize(
    "version, virtual, words",
    [
        ("2.6.9", False, "is Python 2.6.9; uWSGI is installed here for 2.7 and for 3.6 or newer, name one of these"),
        (
            "3.12.1",
            True,
            "is the Python of a virtualenv, which goes when its folder goes; name the one it was made with",
        ),
    ],
)
def test_one_that_will_not_is_refused_by_the_name_of_its_variable(tmp_path, version, virtual, words):
    path = interpreter(tmp_path / "python", version, virtual)
    assert problems(path) == ["%s: %s %s" % (VARIABLE, path, words)]


def test_one_that_is_not_there_is_refused_with_the_cure():
    (said,) = problems("/nowhere/python3.12")
    assert said.startswith("%s: there is no /nowhere/python3.12 on this host; install it, or name another" % VARIABLE)


class Host(object):
    """A host with a folder of uWSGI homes, none of which is filled."""

    def __init__(self, root, main):
        self.wanted = {
            "python": main,
            "root": str(root),
            "version": "2.0.31",
            "build": {},
            "features": [],
            "like": {},
            "home": None,
            "virtualenv": None,
            "needs": [],
            "wheels": {},
            "python_packages": {},
            "virtualenv_wheel": False,
            "pip_wheels": [],
        }
        self.main = self.look(self.wanted)

    def look(self, wanted):
        return uwsgi_build.Look(wanted, ("Debian", "12"), run, run, lambda name: None)

    def further(self, *pythons):
        items = [{"python": python, "variable": VARIABLE} for python in pythons]
        return uwsgi_build.look_further(self.main, self.wanted, items, self.look)


def test_each_other_python_has_a_home_of_its_own(tmp_path):
    main, other = interpreter(tmp_path / "a", "3.11.2"), interpreter(tmp_path / "b")
    homes, looks = Host(tmp_path, main).further(other)
    home = "%s/2.0.31-python3.12" % tmp_path
    assert [look.chosen["home"] for look in looks] == [home]
    assert homes[other]["binary"] == home + "/bin/uwsgi"
    assert (homes[other]["python"], homes[other]["interpreter"]) == ("3.12", other)
    assert homes[other]["venv_command"] == [other, "-m", "venv"]


def test_names_of_one_python_share_its_home_and_the_main_one_is_built_once(tmp_path):
    main, other = interpreter(tmp_path / "a", "3.11.2"), interpreter(tmp_path / "b")
    link = tmp_path / "c"
    link.symlink_to(tmp_path / "b")
    homes, looks = Host(tmp_path, main).further(main, other, str(link))
    assert len(looks) == 1 and homes[main]["home"].endswith("-python3.11") and homes[str(link)] == homes[other]
    assert Host(tmp_path, main).further() == ({}, [])
