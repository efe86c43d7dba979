"""What of a folder of wheels on the controller a host is asked about."""

import binascii
import zipfile

import pytest

from ansible_collections.graceful.wsgi.plugins.plugin_utils import model, wheel_plan

VALUES = {
    "uwsgi_version": "2.0.31",
    "uwsgi_python": "python2.7",
    "uwsgi_home": "/opt/uwsgi",
    "uwsgi_features": ["ssl"],
    "uwsgi_build_user": "uwsgi-build",
    "uwsgi_build_host": "",
    "uwsgi_wheel_dir": "/w",
    "uwsgi_pip_no_index": True,
    "uwsgi_pip_extra_args": [],
    "uwsgi_manage_packages": True,
}
VIRTUALENV = model.Virtualenv(
    requirement="virtualenv==16.7.12", wheel="virtualenv-16.7.12-py2.py3-none-any.whl", home="/t"
)
WHEEL = {"glibc": None, "libraries": [], "paths": [], "features": None, "broken": ""}
EL7 = "uWSGI-2.0.31-cp27-cp27mu-linux_x86_64.whl"


def planned(files, host=None, **values):
    told = {"files": files, "wheels": [{"file": file, **WHEEL} for file in files if file.lower().startswith("uwsgi-")]}
    host = {"os_family": "RedHat", "wheels": told, **(host or {})}
    return wheel_plan.plan({**VALUES, **values}, host, {"env": {}}, VIRTUALENV, {"3.6": "python3-libs"})


def test_the_wanted_version_is_looked_for():
    plan = planned([EL7, "uwsgi-2.0.30-cp27-cp27mu-linux_x86_64.whl", "uwsgi-2.0.311-cp27-cp27mu-linux_x86_64.whl"])
    assert [wheel.file for wheel in plan.wheels] == [EL7]
    assert (plan.sdist, plan.virtualenv_wheel, plan.virtualenv_version) == (False, False, "16.7.12")
    assert plan.library_packages["libjansson.so.4"] == "jansson" and plan.install == "yum install"
    assert [check["kind"] for check in wheel_plan.checks(plan)] == ["uwsgi_wheels"]


@pytest.mark.parametrize("file", ["uwsgi-2.0.31.tar.gz", "uWSGI-2.0.31.zip"])
def test_a_source_archive_and_a_virtualenv_are_seen(file):
    plan = planned([file, VIRTUALENV.wheel])
    assert plan.sdist and plan.virtualenv_wheel and plan.wheels == []


@pytest.mark.parametrize(
    ("host", "values"),
    [
        ({"wheels": None}, {}),
        ({}, {"uwsgi_build_host": "builder"}),
        # Who has it built from source has a reason.
        ({}, {"uwsgi_pip_extra_args": ["--no-binary=:all:"]}),
    ],
)
def test_where_no_wheel_is_looked_for_nothing_is_asked(host, values):
    assert planned([EL7], host, **values) is None
    assert wheel_plan.checks(None) == []


def test_packages_are_the_roles_own_business_only_where_their_names_are_known():
    assert planned([EL7]).managed is True
    assert planned([EL7], uwsgi_manage_packages=False).managed is False
    assert planned([EL7], {"os_family": "Suse"}).managed is False


def test_a_folder_is_read_with_what_its_binaries_ask_for(tmp_path, make_wheel):
    path = tmp_path / "uWSGI-2.0.31-cp311-cp311-linux_x86_64.whl"
    make_wheel(path)
    (tmp_path / "uwsgi-2.0.31-cp27-cp27mu-linux_x86_64.whl").write_bytes(b"cut short")
    (tmp_path / "pip-20.3.4-py2.py3-none-any.whl").touch()
    (tmp_path / "sub").mkdir()
    found = wheel_plan.read(str(tmp_path))
    assert [file.partition("-")[0] for file in found["files"]] == ["pip", "uWSGI", "uwsgi"]
    whole, broken = found["wheels"]
    assert (whole["file"], whole["broken"], whole["features"], whole["paths"]) == (path.name, "", None, [])
    assert "libc.so.6" in whole["libraries"] and whole["glibc"]
    assert broken["broken"].startswith("is no wheel")
    # Read anew once it is another.
    flags = binascii.hexlify(b'-O2 -DUWSGI_SSL -DUWSGI_YAML -DUWSGI_PCRE2 -DUWSGI_VERSION="2.0.31"')
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in parts.items():
            archive.writestr(name, data + b"\0" + flags if name.endswith("/uwsgi") else data)
    assert wheel_plan.read(str(tmp_path))["wheels"][0]["features"] == ["pcre", "ssl", "yaml"]


@pytest.mark.parametrize("folder", [None, "", "/nonexistent/wheels", ["x"], "/etc/hostname"])
def test_what_is_no_folder_is_none(folder):
    assert wheel_plan.read(folder) is None
