"""uWSGI's wheel: built on one host, verified wherever it goes, installed without a compiler, refused by other kinds."""

import hashlib
import io
import json
import os
import re
import shutil
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests
import testinfra
from publishing import ansible

testinfra_hosts = ["ansible://published"]

KEPT = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "wheels"
BUILDER, WEB, APP = "graceful-fleet-builder", "graceful-fleet-web", "graceful-fleet-app"
BINARY = "/opt/uwsgi/current/bin/uwsgi"


@pytest.fixture
def builder():
    return testinfra.get_host(f"docker://{BUILDER}")


@pytest.fixture
def web():
    return testinfra.get_host(f"docker://{WEB}")


def kept():
    """The folder of the one wheel that the controller keeps, and its manifest."""
    (folder,) = (path for path in KEPT.iterdir() if path.is_dir())
    return folder, json.loads((folder / "manifest.json").read_text())


def install(limit, *words, **variables):
    more = [f"--limit={limit}", f"--extra-vars={json.dumps(variables)}", *words]
    return ansible("ansible-playbook", *more, "molecule/fleet/uwsgi.yml")


def built(said):
    """How often a run had the wheel built."""
    pip = r"TASK \[.*Build or install uWSGI with pip wheel.*\nchanged: "
    return len(re.findall(pip, said))


def serves(host):
    address = next(one for one in host.interface("eth0").addresses if ":" not in one)
    return requests.get(f"http://{address}/", headers={"Host": "folder.test"}, timeout=10).status_code == 200


def test_the_wheel_that_is_kept_is_what_is_installed(host, builder):
    folder, told = kept()
    wheel = (folder / "uwsgi.whl").read_bytes()
    assert hashlib.sha256(wheel).hexdigest() == told["files"]["uwsgi.whl"]
    archive = zipfile.ZipFile(io.BytesIO(wheel))
    (inside,) = (name for name in archive.namelist() if name.endswith(".data/scripts/uwsgi"))
    binary = hashlib.sha256(archive.read(inside)).hexdigest()
    assert host.file(BINARY).sha256sum == builder.file(BINARY).sha256sum == binary


def test_the_manifest_tells_what_readelf_and_ldd_tell(host, builder):
    _folder, told = kept()
    assert told["architecture"] == host.check_output("uname -m")
    assert told["wheel"] == f"uwsgi-2.0.31-cp311-cp311-linux_{told['architecture']}.whl"
    needed = re.findall(r"NEEDED.*\[(.*)\]", builder.check_output(f"readelf -d {BINARY}"))
    assert sorted(told["libraries"]) == sorted(needed)
    versions = re.findall(r"Name: GLIBC_([\d.]+)", builder.check_output(f"readelf -V {BINARY}"))
    assert told["glibc"] == max(versions, key=lambda version: [int(part) for part in version.split(".")])
    linked = host.check_output(f"ldd {BINARY}")
    assert "not found" not in linked
    assert all(f"{name} => /" in linked for name in needed)


def test_the_host_got_the_packages_of_its_libraries_and_pip_built_nothing(host):
    _folder, told = kept()
    assert {"libpython3.11", "libssl3", "libjansson4", "libpcre2-8-0"} <= set(told["found"]["packages"])
    assert all(host.package(name).is_installed for name in told["found"]["packages"])
    assert {"ssl", "routing"} <= set(told["found"]["features"])
    assert "Building wheel" not in host.check_output("cat /opt/uwsgi/log/*")


def test_one_host_built_it(host, builder, web):
    folder, _told = kept()
    logs = "/var/lib/graceful-wsgi/uwsgi/logs"
    assert builder.file(logs).listdir() == [f"{folder.name}.log"]
    assert "Building wheel" in builder.file(f"{logs}/{folder.name}.log").content_string
    assert not host.file(logs).exists
    assert not web.file(logs).exists


def test_one_other_byte_is_refused_with_the_file_both_sums_and_the_mend(host):
    folder, told = kept()
    wheel = folder / "uwsgi.whl"
    whole = wheel.read_bytes()
    wrong = bytearray(whole)
    wrong[len(wrong) // 2] ^= 1
    wheel.write_bytes(wrong)
    try:
        status, said = install(APP, uwsgi_home="/opt/uwsgi-new")
    finally:
        wheel.write_bytes(whole)
    words = " ".join(said.split())
    assert status == 2, said
    sums = f"its sha256 is {hashlib.sha256(wrong).hexdigest()} and should be {told['files']['uwsgi.whl']}"
    assert f"{wheel} is not what was built: {sums}" in words
    assert f"remove the folder {folder} on the controller" in words
    assert re.search(r"changed=0 .*failed=1 ", said), said
    assert not host.file("/opt/uwsgi-new").exists
    assert serves(host)


@pytest.mark.parametrize("words", [(), ("--check",)], ids=["run", "check"])
def test_a_host_of_another_kind_is_refused_before_a_change(web, words):
    packages = web.check_output("dpkg-query -W")
    status, said = install(WEB, *words, fleet_hosts=WEB)
    assert status == 2, said
    kinds = (
        f"uwsgi_build_host: {BUILDER} is Debian 12 on x86_64 without /usr/bin/python3.13, and this host is Debian 13 on"
        " x86_64 with Python 3.13 (cp313) at /usr/bin/python3.13;"
    ).replace("x86_64", web.check_output("uname -m"))
    words = " ".join(said.split())
    assert kinds in words
    assert "Name a builder of this host's kind (by group, where hosts differ), or set it to ''" in words
    assert re.search(rf"{WEB} .*changed=0 .*failed=1 ", said), said
    assert not web.file("/opt/uwsgi").exists
    assert web.check_output("dpkg-query -W") == packages


@pytest.fixture
def cut_off(host):
    """A host whose packages are not to be had."""
    nowhere = "/etc/apt/apt.conf.d/99nowhere"
    host.check_output(f"""echo 'Acquire::http::Proxy "http://127.0.0.1:9";' > {nowhere}""")
    yield
    host.check_output(f"rm {nowhere}")


def test_a_wheel_on_the_controller_is_all_that_a_host_which_reaches_nothing_takes(host, cut_off, tmp_path):
    folder, told = kept()
    brought = {"uwsgi_build_host": "", "uwsgi_wheel_dir": str(tmp_path), "uwsgi_pip_no_index": True}
    brought["uwsgi_home"] = "/opt/uwsgi-brought"
    other = tmp_path / told["wheel"].replace("cp311", "cp39")
    shutil.copy(folder / "uwsgi.whl", other)
    status, said = install(APP, "--check", **brought)
    words = " ".join(said.split())
    assert status == 2, said
    assert f"uwsgi_wheel_dir: {tmp_path} holds no uWSGI 2.0.31 for Python 3.11 (cp311)" in words
    assert f"it holds {other.name}" in words
    other.rename(tmp_path / told["wheel"])
    status, said = install(APP, **brought)
    assert status == 0, said
    binary = host.file("/opt/uwsgi-brought/current/bin/uwsgi").sha256sum
    assert binary == host.file(BINARY).sha256sum
    # The tests below have the role write the unit for the other one again.
    host.check_output("rm -rf /opt/uwsgi-brought")


@pytest.fixture
def bare(host, builder):
    """Neither the controller has a wheel nor a host a uWSGI; what serves runs on."""
    shutil.rmtree(kept()[0])
    for one in (host, builder):
        one.check_output("rm -rf /opt/uwsgi/2.0.31-*")


def installed_anew(host, builder):
    _folder, told = kept()
    assert host.file(BINARY).sha256sum == builder.file(BINARY).sha256sum
    for one in (host, builder):
        assert one.file("/opt/uwsgi/current/graceful-wsgi.json").exists
    assert serves(host)
    assert sorted(path.name for path in KEPT.iterdir()) == [".lock", kept()[0].name]


def test_two_plays_at_once_build_once(host, builder, bare):
    with ThreadPoolExecutor() as both:
        ends = list(both.map(install, (BUILDER, APP)))
    assert [status for status, _said in ends] == [0, 0], ends
    assert sum(built(said) for _status, said in ends) == 1, ends
    installed_anew(host, builder)


def test_one_host_after_another_builds_once(host, builder, bare):
    # In the place of the builder's gcc, which the other builds take: both are to make what runs here.
    status, said = install(f"{BUILDER},{APP}", fleet_serial=1, uwsgi_build_toolchain="zig")
    assert status == 0, said
    assert built(said) == 1, said
    installed_anew(host, builder)
    folder, told = kept()
    log = builder.file(f"/var/lib/graceful-wsgi/uwsgi/logs/{folder.name}.log").content_string
    assert re.search(r"/bin/zig-cc\] core/", log), log[-2000:]
    assert {"json", "routing", "ssl", "xml", "yaml", "zlib"} <= set(told["found"]["features"])
    assert told["about"]["build"]["toolchain"]["zig"] == "0.15.2"
    assert "clang" in builder.check_output(f"readelf -p .comment {BINARY}")
    for one in (host, builder):
        assert one.check_output("find / -xdev -not -path '/proc/*' \\( -name zig -o -name zig-cc \\)") == ""
