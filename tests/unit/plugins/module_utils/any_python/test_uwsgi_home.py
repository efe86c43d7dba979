"""Which folder serves a wish, what a binary says of itself, and which Python is meant."""

from __future__ import absolute_import, division, print_function

import json
import os
import subprocess
import sys

import pytest

from ansible_collections.graceful.wsgi.plugins.module_utils import uwsgi_home

ABOUT = {
    "executable": "/usr/bin/python3.11",
    "version": "3.11",
    "full_version": "3.11.2",
    "headers": True,
    "venv": True,
}
CFLAGS = "-O2 -DUWSGI_PCRE2 -DUWSGI_ROUTING -DUWSGI_YAML -DUWSGI_JSON -DUWSGI_SSL -DUWSGI_XML -DUWSGI_XML_EXPAT"


class Host(object):
    """A folder of uWSGI homes whose binaries answer as told."""

    def __init__(self, root):
        self.root = str(root)
        self.cflags = {}

    def run(self, command):
        home = os.path.dirname(os.path.dirname(command[0]))
        if home not in self.cflags:
            return 127, "", "error while loading shared libraries: libssl.so.1.1"
        answer = {"--version": "2.0.31", "--python-version": "3.11.2", "--cflags": self.cflags[home]}
        answer["--dump-options"] = "socket\nprocesses\n"
        return 0, answer[command[1]] + "\n", ""

    def choose(self, features=("ssl",), **build):
        return uwsgi_home.choose(self.root, "2.0.31", ABOUT, build, list(features), self.run)

    def install(self, cflags=CFLAGS, stamp=True, **wish):
        """What the role does: fill the chosen folder, stamp it last."""
        chosen = self.choose(**wish)
        home = chosen["home"]
        os.makedirs(os.path.join(home, "bin"))
        with open(os.path.join(home, "bin", "uwsgi"), "w") as stream:
            stream.write("binary of " + home)
        self.cflags[home] = cflags
        if stamp:
            found = uwsgi_home.examine(home, self.run)
            with open(os.path.join(home, uwsgi_home.STAMP), "w") as stream:
                json.dump({"build": chosen["build"], "sha256": found["sha256"]}, stream)
        return home


@pytest.fixture
def host(tmp_path):
    return Host(tmp_path)


def test_a_new_host_gets_the_plain_folder(host):
    chosen = host.choose()
    assert chosen["state"] == "absent"
    assert chosen["home"] == os.path.join(host.root, "2.0.31-python3.11")


def test_what_was_stamped_is_found_again(host):
    home = host.install()
    chosen = host.choose()
    assert (chosen["home"], chosen["state"]) == (home, "verified")
    assert "pcre" in chosen["found"]["features"]
    assert chosen["found"]["options"] == ["socket", "processes"]


def test_without_a_stamp_it_is_done_again_in_the_same_folder(host):
    home = host.install(stamp=False)
    chosen = host.choose()
    assert (chosen["home"], chosen["state"]) == (home, "unfinished")


def test_another_wish_leaves_the_verified_binary_alone(host):
    first = host.install()
    other = host.choose(env={"A": "1"})
    assert other["state"] == "absent"
    assert other["home"] == first + "-" + other["digest"]
    second = host.install(env={"A": "1"})
    assert host.choose(env={"A": "1"})["home"] == second
    assert host.choose()["home"] == first


def test_a_feature_that_is_there_already_builds_nothing(host):
    home = host.install(features=["ssl"])
    assert host.choose(features=["ssl", "json"])["home"] == home
    assert host.choose(features=["ssl", "capabilities"])["state"] == "absent"


def test_a_binary_that_no_longer_runs_is_built_again_where_it_was(host):
    home = host.install()
    host.cflags.clear()
    chosen = host.choose()
    assert (chosen["home"], chosen["state"]) == (home, "broken")
    assert "libssl" in chosen["found"]["says"]


def test_a_binary_that_was_exchanged_is_not_the_verified_one(host):
    home = host.install()
    with open(os.path.join(home, "bin", "uwsgi"), "a") as stream:
        stream.write("more")
    assert host.choose()["state"] == "broken"


def test_what_the_verified_binary_said_is_not_asked_again(host):
    home = host.install()
    path = os.path.join(home, uwsgi_home.STAMP)
    stamp = uwsgi_home.read_stamp(home)
    stamp["said"] = dict(uwsgi_home.examine(home, host.run), options=["remembered"])
    with open(path, "w") as stream:
        json.dump(stamp, stream)
    asked, run = [], host.run
    host.run = lambda command: asked.append(command[1]) or run(command)
    assert (host.choose()["state"], host.choose()["found"]["options"]) == ("verified", ["remembered"])
    assert set(asked) == set(["--version"])
    host.cflags.clear()
    assert host.choose()["state"] == "broken"


def test_faults_name_what_is_wrong():
    found = {"runs": True, "version": "2.0.30", "python": "2.7", "features": ["json"], "says": ""}
    wrong, missing = uwsgi_home.faults(found, "2.0.31", "3.11", ["json", "ssl"])
    assert missing == ["ssl"]
    assert len(wrong) == 3
    assert uwsgi_home.faults(dict(found, runs=False, says="no"), "x", "y", [])[0] == ["the binary does not run: no"]


def answer(**about):
    return lambda command: (0, json.dumps(dict(ABOUT, virtual=False, **about)) + "\n", "")


def test_the_hosts_python3_is_taken_where_none_is_named():
    asked = []

    def run(command):
        asked.append(command[0])
        return answer()(command)

    uwsgi_home.find_python("", "/ansible/python", lambda name: "/usr/bin/" + name, run)
    uwsgi_home.find_python("", "/ansible/python", lambda name: None, run)
    assert asked == ["/usr/bin/python3", "/ansible/python"]


@pytest.mark.parametrize(
    ("wanted", "run", "says"),
    [
        ("python9", answer(), "no python9"),
        ("/nowhere/python", answer(), "no /nowhere/python"),
        (sys.executable, lambda command: (1, "", "boom"), "boom"),
        (sys.executable, answer(version="3.4"), "3.6 or newer"),
        (sys.executable, lambda command: (0, json.dumps(dict(ABOUT, virtual=True)), ""), "virtualenv"),
    ],
)
def test_a_python_that_will_not_do_is_refused_by_the_variables_name(wanted, run, says):
    with pytest.raises(uwsgi_home.HomeError) as raised:
        uwsgi_home.find_python(wanted, "/ansible/python", lambda name: None, run)
    assert str(raised.value).startswith("uwsgi_python: ")
    assert says in str(raised.value)


def test_packages_of_a_python():
    names = {"headers": {"2.7": "python-devel", "*": "python{version}-dev"}, "venv": {"*": "python{version}-venv"}}
    bare = dict(ABOUT, headers=False, venv=False)
    assert uwsgi_home.python_packages(bare, names, False, False) == ["python3.11-dev", "python3.11-venv"]
    assert uwsgi_home.python_packages(ABOUT, names, False, False) == []
    old = dict(bare, version="2.7")
    names["pip"] = {"*": "python3-pip"}
    assert uwsgi_home.python_packages(old, names, False, False) == ["python-devel", "python3-pip"]
    assert uwsgi_home.python_packages(old, names, True, False) == ["python-devel"]
    assert uwsgi_home.python_packages(bare, {}, False, False) == []


def test_a_host_without_pip_that_gets_no_package_is_told_which_wheel_it_takes():
    old = dict(ABOUT, version="2.7")
    with pytest.raises(uwsgi_home.HomeError) as told:
        uwsgi_home.python_packages(old, {}, False, False, "virtualenv-1.2")
    for words in ("uwsgi_wheel_dir", "virtualenv-1.2-py2.py3-none-any.whl", "virtualenv==1.2"):
        assert words in str(told.value)
    assert uwsgi_home.python_packages(old, {}, True, False) == []
    assert uwsgi_home.python_packages(old, {}, False, True) == []


def test_headers_of_a_foreign_python_come_from_no_package():
    with pytest.raises(uwsgi_home.HomeError):
        uwsgi_home.python_packages(
            dict(ABOUT, headers=False, executable="/opt/py/bin/python3"), {"headers": {"*": "x"}}, False, False
        )


def test_packages_are_missing_by_their_files(tmp_path):
    there = tmp_path / "ssl.h"
    there.write_bytes(b"")
    needs = [
        {"package": "a", "files": [str(there), "/nowhere"]},
        {"package": "b", "files": ["/nowhere"]},
        {"package": "b", "files": ["/nowhere"]},
    ]
    assert uwsgi_home.missing_packages(needs) == ["b"]


# -- one host builds the wheel for others of its kind ----------------------------------------------------------------

PYTHON = dict(ABOUT, abi="cp311")
KIND = uwsgi_home.kind_of(PYTHON, "Debian", "12.5")


def test_a_kind_is_what_a_builder_must_have_alike():
    assert KIND == {
        "distribution": "Debian",
        "major": "12",
        "architecture": os.uname()[4],
        "python": "3.11",
        "abi": "cp311",
        "interpreter": "/usr/bin/python3.11",
    }


def test_this_python_tells_its_abi():
    def run(command):
        done = subprocess.Popen(command, stdout=subprocess.PIPE)
        return done.wait(), done.stdout.read().decode("utf-8"), ""

    about = json.loads(run([sys.executable, "-c", uwsgi_home.ABOUT_PYTHON])[1])
    assert about["abi"].startswith("cp%d%d" % sys.version_info[:2])


WHEEL = {"version": "2.0.31", "build": {"env": {}}, "features": ["ssl"], "kind": KIND}


@pytest.mark.parametrize(
    "other",
    [
        {"version": "2.0.30"},
        {"build": {"env": {"CFLAGS": "-O3"}}},
        {"features": ["ssl", "json"]},
        {"kind": dict(KIND, major="13")},
        {"kind": dict(KIND, architecture="s390x")},
        {"kind": dict(KIND, abi="cp311d")},
        {"kind": dict(KIND, interpreter="/opt/python3.11/bin/python3.11")},
    ],
)
def test_another_wheel_has_another_name(other):
    name = uwsgi_home.wheel_of(**WHEEL)["name"]
    assert name.startswith("2.0.31-cp311-")
    assert uwsgi_home.wheel_of(**dict(WHEEL, **other))["name"] != name


def test_the_order_of_features_makes_no_other_wheel():
    names = [uwsgi_home.wheel_of(**dict(WHEEL, features=some))["name"] for some in (["a", "b"], ["b", "a"])]
    assert names[0] == names[1]


@pytest.mark.parametrize(
    ("python", "release", "says"),
    [
        (PYTHON, "12.9", None),
        (PYTHON, "13.1", "b is Debian 13 on MACHINE with Python 3.11 (cp311) at /usr/bin/python3.11, and this host is "
         "Debian 12 on MACHINE with Python 3.11 (cp311) at /usr/bin/python3.11;"),
        (dict(PYTHON, abi="cp311d"), "12.9", "b is Debian 12 on MACHINE with Python 3.11 (cp311d) at "),
        (None, "12.9", "b is Debian 12 on MACHINE without /usr/bin/python3.11, and this host is "),
    ],
)  # fmt: skip
def test_a_builder_of_another_kind_is_refused_with_both_named(python, release, says):
    def find(path):
        assert path == "/usr/bin/python3.11"
        if python is None:
            raise uwsgi_home.HomeError("none")
        return python

    if says is None:
        assert uwsgi_home.find_like(KIND, "b", find, "Debian", release) == python
        return
    with pytest.raises(uwsgi_home.HomeError) as raised:
        uwsgi_home.find_like(KIND, "b", find, "Debian", release)
    assert str(raised.value).startswith("uwsgi_build_host: " + says.replace("MACHINE", os.uname()[4]))
    assert "Name a builder of this host's kind" in str(raised.value)


EL7 = {
    "distribution": "Centos",
    "major": "7",
    "architecture": os.uname()[4],
    "python": "2.7",
    "abi": "cp27mu",
    "interpreter": "/usr/bin/python2.7",
}


@pytest.mark.parametrize(
    ("kind", "own", "says"),
    [
        (EL7, {}, None),
        (EL7, {"version": "3.7"}, "which is to be 3.8 or newer"),
        (EL7, {"venv": False}, "install python3-venv there"),
        (dict(EL7, architecture="s390x"), {}, "a wheel runs only where everything is as on its builder"),
        (dict(EL7, abi=""), {}, "a wheel runs only where everything is as on its builder"),
    ],
)
def test_where_headers_are_brought_another_python_of_the_builder_does(kind, own, says):
    mine = dict(dict(PYTHON, venv=True, full_version="3.11.2"), **own)

    def find(path):
        if path == "/usr/bin/python2.7":
            raise uwsgi_home.HomeError("none")
        assert path == "/own/python3"
        return mine

    if says is None:
        assert uwsgi_home.find_like(kind, "localhost", find, "Debian", "12", "/own/python3") == mine
        return
    with pytest.raises(uwsgi_home.HomeError) as raised:
        uwsgi_home.find_like(kind, "localhost", find, "Debian", "12", "/own/python3")
    assert says in str(raised.value)


def test_without_headers_the_refusal_tells_of_them():
    def find(path):
        raise uwsgi_home.HomeError("none")

    with pytest.raises(uwsgi_home.HomeError) as raised:
        uwsgi_home.find_like(EL7, "localhost", find, "Debian", "12")
    assert "uwsgi_build_toolchain: zig" in str(raised.value) and "uwsgi_headers_dir" in str(raised.value)


@pytest.mark.parametrize(
    ("python", "abi", "interpreter", "prefix", "library", "tag"),
    [
        ("2.7", "cp27mu", "/usr/bin/python2.7", "/usr", "libpython2.7.so.1.0", "cp27"),
        ("3.6", "cp36m", "/usr/bin/python3.6", "/usr", "libpython3.6m.so.1.0", "cp36"),
        ("3.8", "cp38", "/opt/x/bin/python3.8", "/opt/x", "libpython3.8.so.1.0", "cp38"),
        ("3.13", "cp313t", "/usr/bin/python3.13", "/usr", "libpython3.13t.so.1.0", "cp313"),
    ],
)
def test_what_a_build_for_another_kind_takes_and_makes(python, abi, interpreter, prefix, library, tag):
    told = uwsgi_home.cross_of(dict(EL7, python=python, abi=abi, interpreter=interpreter))
    assert (told["prefix"], told["library"], told["python_tag"]) == (prefix, library, tag)
    assert (told["abi_tag"], told["platform_tag"]) == (abi, "linux_" + os.uname()[4])


def test_who_gets_a_wheel_needs_no_headers():
    names = {"venv": {"*": "python{version}-venv"}}
    bare = dict(ABOUT, headers=False, venv=False, executable="/opt/py/bin/python3")
    assert uwsgi_home.python_packages(bare, names, False, False) == ["python3.11-venv"]


@pytest.mark.parametrize(
    "about, pip_wheel, words",
    [
        ({"version": "3.11", "venv": True}, False, ["-m", "venv"]),
        ({"version": "3.11", "venv": True}, True, ["-m", "venv"]),
        ({"version": "3.11", "venv": False}, True, ["-m", "venv", "--without-pip"]),
        ({"version": "3.11", "venv": False}, False, ["-m", "venv"]),
        ({"version": "2.7", "venv": False}, True, ["/tools/virtualenv.py", "--no-download"]),
    ],
)
def test_what_makes_a_virtualenv(about, pip_wheel, words):
    found = uwsgi_home.venv_command(dict(about, executable="/usr/bin/python"), "/tools/virtualenv.py", pip_wheel)
    assert found == ["/usr/bin/python"] + words
