"""Which wheel of a folder fits a host, and what the host is told that it lacks (runs under Python 2.7 too)."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os
import subprocess

import pytest

from ansible_collections.graceful.wsgi.plugins.module_utils import host_checks, uwsgi_home, uwsgi_wheels

EL7 = {"executable": "/usr/bin/python2.7", "version": "2.7", "abi": "cp27mu", "venv": False}
DEBIAN = {"executable": "/usr/bin/python3.11", "version": "3.11", "abi": "cp311", "venv": True}
FILE = "uWSGI-2.0.31-cp27-cp27mu-linux_x86_64.whl"
# As the ldconfig of EL 7's glibc 2.17 prints it.
LDCONFIG = """159 libs found in cache `/etc/ld.so.cache'
\tlibz.so.1 (libc6,x86-64) => /lib64/libz.so.1
\tlibpcre.so.1 (libc6,x86-64) => /lib64/libpcre.so.1
\tlibjansson.so.4 (libc6) => /lib/libjansson.so.4
\tlibc.so.6 (libc6,x86-64, OS ABI: Linux 2.6.32) => /lib64/libc.so.6
"""


@pytest.mark.parametrize(
    ("file", "about", "glibc", "expected"),
    [
        (FILE, EL7, "2.17", True),
        ("uwsgi-2.0.31-cp27-cp27mu-manylinux2014_x86_64.whl", EL7, "2.17", True),
        ("uwsgi-2.0.31-cp27-cp27mu-manylinux_2_17_x86_64.manylinux2014_x86_64.whl", EL7, "2.17", True),
        ("uwsgi-2.0.31-cp27-cp27mu-manylinux_2_28_x86_64.whl", EL7, "2.17", False),
        ("uwsgi-2.0.31-cp27-cp27mu-manylinux1_x86_64.whl", EL7, None, False),
        ("uwsgi-2.0.31-cp27-cp27m-linux_x86_64.whl", EL7, "2.17", False),
        ("uwsgi-2.0.31-cp27-cp27mu-linux_aarch64.whl", EL7, "2.17", False),
        ("uwsgi-2.0.31-cp27-cp27mu-manylinux2014_aarch64.whl", EL7, "2.17", False),
        ("uwsgi-2.0.31-cp311-cp311-linux_x86_64.whl", EL7, "2.17", False),
        ("uwsgi-2.0.31-cp311-cp311-linux_x86_64.whl", DEBIAN, "2.36", True),
        ("uwsgi-2.0.31-1-cp311-none-any.whl", DEBIAN, "2.36", True),
        ("uwsgi-2.0.31-cp31-cp31-linux_x86_64.whl", DEBIAN, "2.36", False),
    ],
)
def test_what_pip_takes_by_a_wheels_name(file, about, glibc, expected):
    assert uwsgi_wheels.fits(file, about, "x86_64", glibc) is expected


def wheel(file=FILE, **more):
    found = {"file": file, "glibc": "2.14", "libraries": ["libz.so.1", "libc.so.6"], "paths": [], "broken": ""}
    return dict(dict(found, features=["routing", "yaml"]), **more)


def wanted(*wheels, **more):
    known = {
        "folder": "/ctl/wheels",
        "version": "2.0.31",
        "python": "",
        "root": "/nonexistent",
        "features": ["routing"],
        "build": {},
        "build_user": "",
        "wheels": list(wheels),
        "sdist": False,
        "no_index": True,
        "managed": True,
        "virtualenv": "/nonexistent",
        "virtualenv_file": "virtualenv-16.7.12-py2.py3-none-any.whl",
        "virtualenv_version": "16.7.12",
        "virtualenv_wheel": True,
        "venv_packages": {"3.11": "python3.11-venv", "*": "python{version}-own"},
        "library_packages": {"libjansson.so.4": "jansson", "libssl.so.10": "openssl-libs"},
        "install": "yum install",
    }
    return dict(known, **more)


@pytest.fixture
def look(monkeypatch):
    """What of this folder a host of EL 7 says."""
    monkeypatch.setattr(uwsgi_wheels.elf, "glibc", lambda: "2.17")
    monkeypatch.setattr(uwsgi_wheels.os, "uname", lambda: ("Linux", "h", "3.10", "1", "x86_64"))
    monkeypatch.setattr(uwsgi_wheels.os, "access", lambda path, _mode: path == "/sbin/ldconfig")

    def look(*wheels, **more):
        about = more.pop("about", EL7)
        return uwsgi_wheels.Look(wanted(*wheels, **more), about, lambda words: (0, LDCONFIG, ""))

    return look


def test_a_wheel_that_fits_takes_nothing(look):
    found = look(wheel("uWSGI-2.0.31-cp36-cp36m-linux_x86_64.whl"), wheel())
    assert (found.file, found.packages, found.problems) == (FILE, [], [])


@pytest.mark.parametrize(
    ("more", "message", "hint"),
    [
        ({"libraries": ["libz.so.1", "libjansson.so.4"]}, "needs libjansson.so.4", "(yum install jansson)"),
        (
            {"libraries": ["libssl.so.10", "libodd.so.1", "libjansson.so.4"]},
            "needs libssl.so.10, libodd.so.1 and libjansson.so.4, which this host has not",
            "(yum install jansson openssl-libs); install the package that holds libodd.so.1",
        ),
        ({"glibc": "2.28"}, "needs glibc 2.28, and this host has 2.17", "as old as this one"),
        ({"features": ["yaml"]}, "was built without routing", "leave it out of uwsgi_features"),
        ({"broken": "is no wheel: x"}, "is no wheel: x", "put a whole one there"),
    ],
)
def test_what_the_wheel_lacks_here_is_named_with_the_cure(look, more, message, hint):
    ((variable, said, how),) = look(wheel(**more)).problems
    assert variable == "uwsgi_wheel_dir"
    assert said.startswith(FILE) and message in said and hint in how


def test_a_library_where_the_binary_looks_first_is_there(look, tmp_path):
    (tmp_path / "libodd.so.1").write_bytes(b"")
    assert look(wheel(libraries=["libodd.so.1"], paths=[str(tmp_path)])).problems == []
    assert look(wheel(libraries=["libodd.so.1"], paths=[str(tmp_path / "no")])).problems != []
    # What is meant depends on where it will lie.
    assert look(wheel(libraries=["libodd.so.1"], paths=["$ORIGIN/../lib"])).problems == []


def test_where_an_index_is_asked_the_known_packages_are_the_roles_to_install(look):
    found = look(wheel(libraries=["libjansson.so.4", "libssl.so.10"]), no_index=False)
    assert (found.packages, found.problems) == (["jansson", "openssl-libs"], [])
    unmanaged = look(wheel(libraries=["libjansson.so.4"]), no_index=False, managed=False)
    assert (unmanaged.packages, len(unmanaged.problems)) == ([], 1)


def test_a_folder_without_a_fitting_wheel_is_refused_where_nothing_else_is_to_be_had(look):
    other = "uWSGI-2.0.31-cp36-cp36m-linux_x86_64.whl"
    ((variable, message, hint),) = look(wheel(other)).problems
    assert variable == "uwsgi_wheel_dir"
    assert "holds no uWSGI 2.0.31 for Python 2.7 (cp27mu) on x86_64 with glibc 2.17" in message and other in message
    assert "uwsgi_build_host" in hint
    # There it is built.
    for more in ({"sdist": True}, {"no_index": False}):
        found = look(wheel(other), **more)
        assert (found.file, found.problems) == ("", [])


def test_what_makes_virtualenvs_must_be_there(look, tmp_path):
    ((variable, message, hint),) = look(wheel(), virtualenv_wheel=False).problems
    assert variable == "uwsgi_wheel_dir" and "lacks virtualenv-16.7.12-py2.py3-none-any.whl" in message
    assert "pip download --no-deps virtualenv==16.7.12" in hint
    (tmp_path / "virtualenv.py").write_bytes(b"")
    assert look(wheel(), virtualenv_wheel=False, virtualenv=str(tmp_path)).problems == []
    assert look(wheel(), virtualenv_wheel=False, no_index=False).problems == []
    file = "uwsgi-2.0.31-cp311-cp311-linux_x86_64.whl"
    ((variable, message, hint),) = look(wheel(file), about=dict(DEBIAN, venv=False)).problems
    assert variable == "uwsgi_python" and "makes no virtualenvs" in message and "python3.11-venv" in hint
    assert look(wheel(file), about=dict(DEBIAN, venv=False), no_index=False).problems == []
    assert look(wheel(file), about=DEBIAN).problems == []


def test_it_is_asked_before_anything_changes_unless_uwsgi_is_there(look, monkeypatch):
    tools = host_checks.Tools(lambda words: (0, LDCONFIG, ""))
    check = dict(wanted(wheel(libraries=["libssl.so.10"])), kind="uwsgi_wheels", variable="uwsgi_wheel_dir")
    monkeypatch.setattr(uwsgi_home, "find_python", lambda *_args: EL7)
    states = {"state": "absent"}
    monkeypatch.setattr(uwsgi_home, "choose", lambda *_args: states)
    (problem,) = host_checks.problems([check], tools)
    assert str(problem).startswith("uwsgi_wheel_dir: %s needs libssl.so.10" % FILE)
    states["state"] = "verified"
    assert host_checks.problems([check], tools) == []


@pytest.mark.parametrize("no_index", [True, False])
def test_a_python_that_is_not_there_is_a_problem_where_nothing_can_bring_it(no_index):
    check = dict(wanted(wheel(), python="no-such-python", no_index=no_index))
    found = uwsgi_wheels.wheels([check], host_checks.Tools(lambda words: (0, "", "")))
    assert [variable for variable, _says, _hint in found] == (["uwsgi_python"] if no_index else [])
    assert not found or ("no no-such-python" in found[0][1] and "install it" in found[0][2])


def test_this_hosts_own_python_and_loader_answer():
    """Nothing stands in for the host here."""

    def run(words):
        ran = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True)
        out, err = ran.communicate()
        return ran.returncode, out, err

    python = next(path for path in ("/usr/bin/python3", "/usr/bin/python2.7") if os.path.exists(path))
    about = uwsgi_home.find_python(os.path.basename(python), "", lambda name: "/usr/bin/" + name, run)
    assert uwsgi_wheels.which("sh").endswith("/sh") and uwsgi_wheels.which("no-such-program") is None
    machine = os.uname()[4]
    name = "uwsgi-2.0.31-cp%s-%s-linux_%s.whl" % (about["version"].replace(".", ""), about["abi"], machine)
    assert uwsgi_wheels.fits(name, about, machine, "2.17")
    found = uwsgi_wheels.libraries(run, machine)
    assert found is None or "libc.so.6" in found
