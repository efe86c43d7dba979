"""uv is told what pip is told, and pip fills where it has no like of that (runs under Python 2.7 too)."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import contextlib
import hashlib
import io
import os
import stat
import zipfile

import pytest

from ansible_collections.graceful.wsgi.plugins.module_utils import uv_tool
from ansible_collections.graceful.wsgi.plugins.module_utils.uv_tool import Uv, UvError

UV = Uv("/uv", "3.11")
ENVIRONMENT = {"PATH": "/bin", "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1", "TMPDIR": "/home/b/tmp"}


@pytest.fixture(autouse=True)
def no_files(monkeypatch):
    monkeypatch.setattr(uv_tool, "pip_files", lambda environment: [])


@pytest.fixture
def place(monkeypatch, tmp_path):
    monkeypatch.setattr(uv_tool, "PLACE", str(tmp_path / "uv"))
    return str(tmp_path / "uv")


def packed(tmp_path, name="uv-1.data/scripts/uv", text=b"#!/bin/sh\necho uv 1\n"):
    path, content = str(tmp_path / "uv-1-py3-none-any.whl"), io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("uv-1.dist-info/METADATA", "")
        archive.writestr(name, text)
    with open(path, "wb") as target:
        target.write(content.getvalue())
    return path, hashlib.sha256(content.getvalue()).hexdigest()


@pytest.mark.parametrize(
    ("settings", "variables", "words"),
    [
        ({}, {"UV_SYSTEM_CERTS": "1"}, []),
        ({"PIP_INDEX_URL": "https://u:p@index.test/"}, {"UV_DEFAULT_INDEX": "https://u:p@index.test/"}, []),
        (
            {"PIP_EXTRA_INDEX_URL": "https://a.test https://b.test"},
            {"UV_INDEX": "https://a.test https://b.test", "UV_INDEX_STRATEGY": "unsafe-best-match"},
            [],
        ),
        ({"PIP_NO_INDEX": "yes"}, {}, ["--no-index"]),
        ({"PIP_NO_INDEX": "0"}, {}, []),
        ({"PIP_FIND_LINKS": "/usr /none https://w.test"}, {"UV_FIND_LINKS": "/usr,https://w.test"}, []),
        ({"PIP_CERT": "/ca.pem"}, {"SSL_CERT_FILE": "/ca.pem"}, []),
        ({"REQUESTS_CA_BUNDLE": "/ca.pem"}, {"SSL_CERT_FILE": "/ca.pem"}, []),
        ({"PIP_PROXY": "http://p:1"}, {"HTTPS_PROXY": "http://p:1", "ALL_PROXY": "http://p:1"}, []),
        ({"PIP_CONSTRAINT": "/c.txt"}, {"UV_CONSTRAINT": "/c.txt"}, []),
        ({"PIP_ONLY_BINARY": "a,b"}, {}, ["--only-binary", "a", "--only-binary", "b"]),
        ({"PIP_REQUIRE_HASHES": "1"}, {}, ["--require-hashes"]),
        ({"PIP_DEFAULT_TIMEOUT": "180"}, {"UV_HTTP_TIMEOUT": "180"}, []),
    ],
)
def test_setting_of_pips_has_its_like(settings, variables, words):
    environment = dict(ENVIRONMENT, **settings)
    assert UV.why_not(environment, ["flask"]) is None
    told = UV.environment(environment, "/home/b")
    assert dict((name, told.get(name)) for name in variables) == variables
    assert UV.words("/v/bin/python", ["flask"], environment) == (
        ["/uv", "pip", "install", "--quiet", "--python", "/v/bin/python"] + words
    )


def test_files_are_copied_compiled_and_kept_where_the_account_leaves_nothing():
    told = UV.environment(ENVIRONMENT, "/home/b")
    assert (told["UV_CACHE_DIR"], told["UV_LINK_MODE"], told["UV_COMPILE_BYTECODE"]) == ("/home/b/uv", "copy", "1")
    assert (told["UV_NO_CONFIG"], told["UV_PYTHON_DOWNLOADS"], told["TMPDIR"]) == ("1", "never", "/home/b/tmp")


@pytest.mark.parametrize(
    ("python", "settings", "text", "args", "why"),
    [
        ("2.7", {}, "flask", [], "3.8 and newer"),
        ("3.6", {}, "flask", [], "3.8 and newer"),
        ("", {}, "flask", [], "3.8 and newer"),
        ("3.11", {}, "flask", ["--prefer-binary"], "words of its own (--prefer-binary)"),
        ("3.11", {"PIP_TRUSTED_HOST": "h"}, "flask", [], "pip is told trusted-host"),
        ("3.11", {"PIP_FIND_LINKS": "https://w.test/a,b"}, "flask", [], "comma"),
        ("3.11", {}, "flask\n--pre\n", [], "say --pre"),
        ("3.11", {}, "  --trusted-host=h", [], "say --trusted-host"),
        ("3.11", {}, "flask\n--find-links ./wheels", [], "say --find-links"),
        ("3.11", {}, "--find-links=/srv/wheels", [], "say --find-links"),
        ("3.11", {}, "-fhttps://one.test/", [], "say -f"),
        ("3.11", {}, "-i ../simple", [], "say -i"),
        ("3.11", {}, "--extra-index-url ./simple", [], "say --extra-index-url"),
        ("3.11", {}, "flask \\\n  --global-option=x", [], "say --global-option"),
    ],
)
def test_pip_fills_what_uv_has_no_like_of(python, settings, text, args, why):
    assert why in Uv("/uv", python).why_not(dict(ENVIRONMENT, **settings), [text], args)


def test_constraints_beside_checksums_are_for_pip():
    text = "flask==1 --hash=sha256:aa"
    for settings, limited in ((dict(ENVIRONMENT, PIP_CONSTRAINT="/c"), False), (ENVIRONMENT, True)):
        assert UV.why_not(settings, ["flask"], (), limited) is None
        assert "constraints beside checksums" in UV.why_not(settings, [text], (), limited)
        assert UV.why_not(settings, [text], (), limited, whole=True) is None
        assert "UV_CONSTRAINT" not in UV.environment(settings, "/home/b", whole=True)


@pytest.mark.parametrize("text", ["flask==1 --hash=sha256:aa", "flask==1 \\\n    --hash=sha256:aa"])
def test_one_checksum_demands_all_others(text):
    assert "--require-hashes" in UV.words("/p", [text, "zipp"], ENVIRONMENT)


def test_variables_count_more_than_files_of_settings(tmp_path):
    for name, text in (
        ("a", "[global]\nindex-url = a\nextra_index_url =\n  x\n  y\n"),
        ("b", "[install]\nindex-url = b\n"),
    ):
        (tmp_path / name).write_bytes(text.encode("ascii"))
    files = [str(tmp_path / name) for name in ("a", "b", "none")]
    found = uv_tool.pip_settings({}, files)
    assert found["index-url"] == "b" and found["extra-index-url"].split() == ["x", "y"]
    assert uv_tool.pip_settings({"PIP_INDEX_URL": "c"}, files)["index-url"] == "c"
    (tmp_path / "a").write_bytes(b"no section\n")
    assert uv_tool.pip_settings({}, files) == {"config": files[0]}


def test_program_of_a_wheel_is_roots_and_the_checksum_decides(place, tmp_path):
    path, sha256 = packed(tmp_path)
    with pytest.raises(UvError, match="should have " + "a" * 64):
        uv_tool.install(path, "a" * 64)
    assert not uv_tool.there(sha256) and not os.path.exists(place)
    before = os.umask(0o077)
    try:
        program = uv_tool.install(path, sha256)
    finally:
        os.umask(before)
    assert uv_tool.there(sha256) and stat.S_IMODE(os.stat(program).st_mode) == 0o755
    assert os.listdir(os.path.dirname(program)) == ["uv"]


@pytest.mark.parametrize("name", ["uv-1.data/scripts/uvx", "../uv", "uv"])
def test_wheel_without_uv_is_refused(place, tmp_path, name):
    path, sha256 = packed(tmp_path, name)
    with pytest.raises(UvError, match="holds no uv"):
        uv_tool.install(path, sha256)


def test_release_that_is_wanted_no_more_goes_after_a_day(place, tmp_path):
    for name, age in (("old", 0), ("new", None)):
        os.makedirs(os.path.join(place, name))
        if age is not None:
            os.utime(os.path.join(place, name), (age, age))
    path, sha256 = packed(tmp_path)
    uv_tool.install(path, sha256)
    assert sorted(os.listdir(place)) == sorted(["new", sha256[:16]])


class Builders:
    """An account that builds; its pip brings a wheel, or says why not."""

    uid, gid, who = os.getuid(), os.getgid(), {"uid": 0, "gid": 0, "groups": []}

    def __init__(self, home, wheel=None):
        self.home, self.wheel, self.calls = home, wheel, []

    @contextlib.contextmanager
    def lease(self):
        yield self

    def own(self, path):
        os.mkdir(path)

    def run(self, words, cwd, environment=None, writable=(), visible=()):
        self.calls.append(words)
        if "download" not in words:
            return 0, ""
        if not self.wheel:
            return 1, "Looking\nERROR: No matching distribution found for uv\n"
        with open(self.wheel, "rb") as source, open(os.path.join(cwd, "uv-1.whl"), "wb") as target:
            target.write(source.read())
        return 0, ""


def test_pip_of_an_account_that_builds_fetches_it_once(place, tmp_path):
    path, sha256 = packed(tmp_path)
    (tmp_path / "home").mkdir()
    builders = Builders(str(tmp_path / "home"), path)
    wanted = {"sha256": sha256, "requirement": "uv==1", "pip": ["--platform=p"]}
    found = uv_tool.obtain(builders, wanted, ["mkvenv"], {})
    assert found == uv_tool.program(sha256) and len(builders.calls) == 2
    assert builders.calls[1][-3] == "--platform=p"
    assert uv_tool.obtain(builders, wanted, ["mkvenv"], {}) == found and len(builders.calls) == 2


def test_uv_that_no_index_has_is_told(place, tmp_path):
    with pytest.raises(UvError, match="cannot fetch it: ERROR: No matching distribution"):
        wanted = {"sha256": "a" * 64, "requirement": "uv==1", "pip": []}
        uv_tool.obtain(Builders(str(tmp_path)), wanted, ["mkvenv"], {})


def test_uv_that_the_host_does_not_run_is_told():
    uv_tool.check("/uv", lambda words, **_more: (0, "uv 1", "") if words == ["/uv", "--version"] else (1, "", ""))
    with pytest.raises(UvError, match="/uv does not run here: Permission denied"):
        uv_tool.check("/uv", lambda words, **_more: (126, "", "Permission denied\n"))


def test_wheel_that_the_controller_brought_is_not_fetched(place, tmp_path):
    path, sha256 = packed(tmp_path)
    assert uv_tool.obtain(None, {"sha256": sha256}, ["mkvenv", "--without-pip"], {}, None, path)
