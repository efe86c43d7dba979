"""An artifact is there whole or not at all, and one that needs a libpcre never."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from ansible_collections.graceful.wsgi.plugins.module_utils import nginx_artifact
from ansible_collections.graceful.wsgi.plugins.module_utils.nginx_artifact import ArtifactError


def run(argv):
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def fake_run(ldd, version="nginx version: nginx/1.26.3\n"):
    """Answers for ldd and for the binary's -v."""
    return lambda argv: ldd if argv[0] == "ldd" else (0, "", version)


PLAIN = (0, "\tlinux-vdso.so.1 (0x1)\n\tlibssl.so.3 => /lib/libssl.so.3 (0x2)\n\t/lib64/ld-linux.so.2 (0x3)\n", "")
LDCONFIG = next(path for path in ("/sbin/ldconfig.real", "/sbin/ldconfig") if os.path.exists(path))


@pytest.fixture
def built(tmp_path):
    return shutil.copy("/bin/cat", tmp_path / "built")


def test_libraries_of_a_real_program():
    assert "libc.so.6" in nginx_artifact.libraries("/bin/cat", run)


@pytest.mark.parametrize(
    ("answer", "names"),
    [
        (PLAIN, ["linux-vdso.so.1", "libssl.so.3", "ld-linux.so.2"]),
        ((0, "\tstatically linked\n", ""), []),
    ],
)
def test_libraries(answer, names):
    assert nginx_artifact.libraries("nginx", fake_run(answer)) == names


@pytest.mark.parametrize("name", ["libpcre.so.1", "libpcre.so.0", "libpcre2-8.so.0", "libpcreposix.so.3"])
def test_any_libpcre_is_refused(built, tmp_path, name):
    ldd = (0, PLAIN[1] + f"\t{name} => /usr/lib/{name} (0x4)\n", "")
    path = tmp_path / "artifact"
    with pytest.raises(ArtifactError, match=name):
        nginx_artifact.put(str(path), str(built), "1.26.3", {}, fake_run(ldd))
    assert sorted(os.listdir(tmp_path)) == ["built"]


@pytest.mark.parametrize(
    ("answer", "version", "message"),
    [
        ((1, "", "ldd: exited with unknown exit code (139)"), "1.26.3", "ldd could not tell"),
        ((0, "\tlibfoo.so.1 => not found\n", ""), "1.26.3", "needs libfoo.so.1, which this host does not have"),
        (PLAIN, "1.26.30", "is not nginx 1.26.30"),
        (PLAIN, "1.26", "is not nginx 1.26:"),
    ],
)
def test_an_unfit_binary_is_refused(built, tmp_path, answer, version, message):
    with pytest.raises(ArtifactError, match=message):
        nginx_artifact.put(str(tmp_path / "artifact"), str(built), version, {}, fake_run(answer))
    assert os.listdir(tmp_path) == ["built"]


def test_what_is_put_is_found_again_and_put_once(built, tmp_path):
    path = str(tmp_path / "artifact")
    assert nginx_artifact.load(path) is None
    assert nginx_artifact.put(path, str(built), "1.26.3", {"flags": ["--x"]}, fake_run(PLAIN)) is True
    told = nginx_artifact.load(path)
    assert (told["version"], told["about"]) == ("1.26.3", {"flags": ["--x"]})
    assert (told["architecture"], told["static"], told["libraries"]) == (os.uname().machine, False, ["libc.so.6"])
    assert told == nginx_artifact.manifest(path + "/nginx", "1.26.3", {"flags": ["--x"]})
    assert os.stat(path + "/nginx").st_mode & 0o777 == 0o755
    assert os.stat(path).st_mode & 0o777 == 0o755
    shutil.copy("/bin/ls", built)
    assert nginx_artifact.put(path, str(built), "1.26.3", {}, fake_run(PLAIN)) is False
    assert (tmp_path / "artifact/nginx").read_bytes() == Path("/bin/cat").read_bytes()


def test_a_static_binary_is_not_asked_for_its_libraries(tmp_path):
    broken = (1, "", "ldd: exited with unknown exit code (139)")
    assert nginx_artifact.put(str(tmp_path / "a"), LDCONFIG, "1.26.3", {}, fake_run(broken)) is True
    told = nginx_artifact.load(str(tmp_path / "a"))
    assert (told["static"], told["glibc"], told["libraries"]) == (True, None, [])


def test_what_did_not_arrive_as_it_was_sent_is_refused(built, tmp_path):
    path = str(tmp_path / "artifact")
    with pytest.raises(ArtifactError, match="has the sha256 [0-9a-f]{64} and should have abab"):
        nginx_artifact.put(path, str(built), "1.26.3", {}, fake_run(PLAIN), "ab" * 32)
    assert os.listdir(tmp_path) == ["built"]
    assert nginx_artifact.put(path, str(built), "1.26.3", {}, fake_run(PLAIN), nginx_artifact.sha256("/bin/cat"))


STATIC = {"architecture": "x86_64", "static": True, "glibc": None, "libraries": []}


@pytest.mark.parametrize(
    ("told", "architecture", "glibc", "message"),
    [
        (STATIC, "x86_64", "2.17", None),
        (STATIC, "x86_64", None, None),
        (STATIC, "aarch64", "2.41", "it was built for x86_64, and this host is aarch64"),
        (dict(STATIC, glibc="2.34"), "x86_64", "2.34", None),
        (dict(STATIC, glibc="2.4"), "x86_64", "2.17", None),
        (dict(STATIC, glibc="2.34"), "x86_64", "2.4", "it needs glibc 2.34 or newer, and this host has 2.4"),
        (dict(STATIC, glibc="2.34"), "x86_64", None, "it needs glibc 2.34 or newer, and this host has none"),
        (dict(STATIC, architecture="arm"), "armv7l", "2.17", None),
    ],
)
def test_which_host_can_run_it(told, architecture, glibc, message):
    assert nginx_artifact.unfit(told, architecture, glibc) == message


def cut(path):
    with open(path + "/nginx", "w") as target:
        target.write("bin")


def other_byte(path):
    with open(path + "/nginx", "r+b") as target:
        target.seek(999)
        byte = target.read(1)
        target.seek(999)
        target.write(bytes([byte[0] ^ 1]))


def no_binary(path):
    os.unlink(path + "/nginx")


def link(path):
    os.rename(path + "/nginx", path + "/real")
    os.symlink("real", path + "/nginx")


def half_manifest(path):
    with open(path + "/manifest.json", "w") as target:
        target.write('{"files":')


def empty_manifest(path):
    with open(path + "/manifest.json", "w") as target:
        json.dump({"files": {}}, target)


def other_manifest(path):
    with open(path + "/manifest.json", "w") as target:
        json.dump([], target)


@pytest.mark.parametrize("damage", [cut, other_byte, no_binary, link, half_manifest, empty_manifest, other_manifest])
def test_a_damaged_artifact_counts_as_none_and_is_replaced(built, tmp_path, damage):
    path = str(tmp_path / "artifact")
    nginx_artifact.put(path, str(built), "1.26.3", {}, fake_run(PLAIN))
    damage(path)
    assert nginx_artifact.load(path) is None
    assert nginx_artifact.put(path, str(built), "1.26.3", {}, fake_run(PLAIN)) is True
    assert nginx_artifact.load(path)
    assert sorted(os.listdir(tmp_path)) == ["artifact", "built"]


def test_only_a_regular_file_is_taken_from_the_build(tmp_path):
    (tmp_path / "link").symlink_to("/bin/cat")
    os.mkfifo(tmp_path / "fifo")
    for name, message in (("link", "not a regular file"), ("fifo", "not a regular file"), ("none", "no built binary")):
        with pytest.raises(ArtifactError, match=message):
            nginx_artifact.put(str(tmp_path / "a"), str(tmp_path / name), "1.26.3", {}, fake_run(PLAIN))


def test_what_is_no_program_is_refused(tmp_path):
    (tmp_path / "script").write_text("#!/bin/sh\n")
    with pytest.raises(ArtifactError, match="is no ELF program"):
        nginx_artifact.put(str(tmp_path / "a"), str(tmp_path / "script"), "1.26.3", {}, fake_run(PLAIN))
    assert os.listdir(tmp_path) == ["script"]
