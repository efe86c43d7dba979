"""What a wheel says of itself, whatever was done to it, and whose packages its libraries are."""

from __future__ import absolute_import, division, print_function

import binascii
import os

import pytest

from ansible_collections.graceful.wsgi.plugins.module_utils import elf, uwsgi_home, uwsgi_wheel
from ansible_collections.graceful.wsgi.plugins.module_utils.nginx_artifact import ArtifactError, manifest, sha256, write

NAME = "uwsgi-2.0.31-cp311-cp311-linux_x86_64.whl"


def content(path):
    with open(str(path), "rb") as source:
        return source.read()


def test_it_tells_its_name_and_what_its_binary_needs(tmp_path, make_wheel):
    told = uwsgi_wheel.describe(content(make_wheel(tmp_path / "x.whl")))
    assert told.pop("wheel") == NAME
    assert told == elf.describe(content("/bin/cat"))


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ({"binary": "uwsgi-2.0.31.data/scripts/nginx"}, "is no wheel of uWSGI"),
        ({"binary": "a/b.data/scripts/uwsgi"}, "is no wheel of uWSGI"),
        ({"tag": ""}, "does not say which Python it is for"),
        ({"tag": "Tag: ../../x-y-z\n"}, "does not say which Python it is for"),
    ],
)
def test_what_is_no_wheel_of_uwsgi_is_refused(tmp_path, make_wheel, how, says):
    with pytest.raises(elf.ElfError) as caught:
        uwsgi_wheel.describe(content(make_wheel(tmp_path / "x.whl", **how)))
    assert str(caught.value) == says


def test_whatever_byte_is_wrong_it_is_read_or_refused(tmp_path, make_wheel):
    whole = bytearray(content(make_wheel(tmp_path / "x.whl")))
    for at in list(range(0, 60)) + list(range(60, len(whole) - 400, 997)) + list(range(len(whole) - 400, len(whole))):
        wrong = bytearray(whole)
        wrong[at] ^= 0x41
        for data in (wrong, whole[:at]):
            try:
                uwsgi_wheel.describe(bytes(data))
            except elf.ElfError:
                pass


def test_its_manifest_holds_what_its_builder_found(tmp_path, make_wheel):
    wheel = make_wheel(tmp_path / "x.whl")
    found = {"features": ["ssl"], "packages": ["libssl3"]}
    write(str(tmp_path / "artifact"), wheel, "2.0.31", {}, None, uwsgi_wheel.WHEEL, found)
    told = manifest(str(tmp_path / "artifact" / "uwsgi.whl"), "2.0.31", {}, uwsgi_wheel.WHEEL, found)
    assert (told["found"], told["files"], told["wheel"]) == (found, {"uwsgi.whl": sha256(wheel)}, NAME)
    other = manifest(wheel, "2.0.31", {}, uwsgi_wheel.WHEEL, {"features": [], "packages": ["libssl3"]})
    assert told["found_sha256"] != other["found_sha256"]


@pytest.mark.parametrize("names", [[], ["a.whl", "b.whl"], ["a.tar.gz"]])
def test_one_wheel_is_what_pip_made(tmp_path, names):
    for name in names:
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(ArtifactError):
        uwsgi_wheel.the_wheel(str(tmp_path))
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / NAME).write_bytes(b"")
    assert uwsgi_wheel.the_wheel(str(tmp_path / "sub")) == str(tmp_path / "sub" / NAME)


def test_what_arrives_gets_the_name_that_pip_wants(tmp_path, make_wheel):
    wheel = make_wheel(tmp_path / "x.whl")
    path = uwsgi_wheel.receive(str(tmp_path), wheel, sha256(wheel))
    assert path == str(tmp_path / NAME)
    assert content(path) == content(wheel)


def test_what_arrives_with_another_byte_is_refused_before_pip_sees_it(tmp_path, make_wheel):
    wheel = make_wheel(tmp_path / "x.whl")
    sent = sha256(wheel)
    with open(wheel, "ab") as target:
        target.write(b"x")
    with pytest.raises(ArtifactError) as caught:
        uwsgi_wheel.receive(str(tmp_path), wheel, sent)
    says = "the wheel that arrived here as %s has the sha256 %s and should have %s; run the play again"
    assert str(caught.value) == says % (wheel, sha256(wheel), sent)
    assert os.listdir(str(tmp_path)) == ["x.whl"]


LDD = """\tlinux-vdso.so.1 (0x1)
\tlibssl.so.3 => /usr/lib/h/libssl.so.3 (0x2)
\tlibpython3.11.so.1.0 => /opt/py/lib/libpython3.11.so.1.0 (0x3)
\tlibz.so.1 => /usr/lib/h/libz.so.1 (0x4)
\tlibindirect.so.1 => /usr/lib/h/libindirect.so.1 (0x5)
\t/lib64/ld-linux-x86-64.so.2 (0x6)
"""
DPKG = """libssl3:amd64: /usr/lib/h/libssl.so.3
other: /usr/lib/other/libssl.so.3
zlib1g:amd64, zlib-ng: /usr/lib/h/libz.so.1
"""
RPM = "openssl-libs\nfile /opt/py/lib/libpython3.11.so.1.0 is not owned by any package\nzlib\nzlib\n"


@pytest.mark.parametrize(
    ("family", "answer", "packages"),
    [("Debian", DPKG, ["libssl3", "zlib-ng", "zlib1g"]), ("RedHat", RPM, ["openssl-libs", "zlib"])],
)
def test_packages_hold_the_libraries_that_the_binary_names(family, answer, packages):
    asked = []

    def run(argv):
        asked.append(argv)
        return (0, LDD, "") if argv[0] == "ldd" else (1, answer, "")

    libraries = ["libssl.so.3", "libpython3.11.so.1.0", "libz.so.1"]
    assert uwsgi_wheel.packages("/x/bin/uwsgi", libraries, run, family) == packages
    assert "libindirect" not in " ".join(asked[1])


def test_a_binary_without_libraries_asks_for_no_package():
    assert uwsgi_wheel.packages("/x/uwsgi", [], lambda argv: (1, "\tnot a dynamic executable\n", ""), "Debian") == []


def test_its_features_are_told_by_the_flags_in_its_binary():
    flags = b'-O2 -DUWSGI_ZLIB -DUWSGI_PCRE2 -DUWSGI_ROUTING -DUWSGI_VERSION="2.0.31" -DUWSGI_YAML' + b" -Wx" * 50
    # Its own uwsgi.h lies there in the same way.
    other = binascii.hexlify(b"-DUWSGI_SSL" * 60)
    binary = b"\x7fELF\0" + other + b"\0" + binascii.hexlify(flags) + b"\0"
    assert uwsgi_home.compiled_with(binary) == ["pcre", "routing", "yaml", "zlib"]
    assert uwsgi_home.compiled_with(b"\x7fELF\0" + other + b"\0") is None


EL7 = {
    "distribution": "Centos",
    "major": "7",
    "architecture": "x86_64",
    "python": "2.7",
    "abi": "cp27mu",
    "interpreter": "/usr/bin/python2.7",
}
BUILT = {"architecture": "x86_64", "static": False, "glibc": "2.14", "libraries": ["libz.so.1", "libpython2.7.so.1.0"]}


@pytest.mark.parametrize(
    ("built", "tag", "glibc", "says"),
    [
        ({}, "cp27-cp27mu-linux_x86_64", "2.17", None),
        ({"glibc": "2.34"}, "cp27-cp27mu-linux_x86_64", "2.17", "it needs glibc 2.34 or newer, and this host has 2.17"),
        ({}, "cp27-cp27mu-linux_x86_64", None, "it needs glibc 2.14 or newer, and this host has none"),
        ({"architecture": "aarch64"}, "cp27-cp27mu-linux_x86_64", "2.17", "it was built for aarch64"),
        ({}, "cp311-cp311-linux_x86_64", "2.17", "named for cp311-cp311-linux_x86_64, not cp27-cp27mu-linux_x86_64"),
        ({"libraries": ["libpython3.11.so.1.0"]}, "cp27-cp27mu-linux_x86_64", "2.17", "not with libpython2.7.so.1.0"),
        ({"libraries": []}, "cp27-cp27mu-linux_x86_64", "2.17", "it is linked with no Python"),
    ],
)
def test_one_that_does_not_run_here_is_judged_by_its_bytes(tmp_path, make_wheel, monkeypatch, built, tag, glibc, says):
    wheel = make_wheel(tmp_path / "x.whl", tag="Tag: %s\n" % tag)
    monkeypatch.setattr(elf, "describe", lambda data: dict(BUILT, **built))
    monkeypatch.setattr(uwsgi_home, "compiled_with", lambda program: ["ssl"])
    found, wrong = uwsgi_wheel.examine(wheel, EL7, glibc)
    assert (found["version"], found["python"], found["features"]) == ("2.0.31", "2.7", ["ssl"])
    assert found["sha256"] == sha256("/bin/cat")
    assert uwsgi_home.faults(found, "2.0.31", "2.7", ["json"]) == (["it was built without json"], ["json"])
    assert len(wrong) == (says is not None)
    assert says is None or says in wrong[0]


def test_what_is_no_wheel_is_examined_by_nobody(tmp_path):
    (tmp_path / "x.whl").write_bytes(b"x")
    with pytest.raises(ArtifactError):
        uwsgi_wheel.examine(str(tmp_path / "x.whl"), EL7, "2.17")
