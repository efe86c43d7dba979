"""The one file of known releases: what reads it, where tests take their tarballs from, and what is said of old ones."""

import datetime
import hashlib
import importlib.machinery
import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from ansible_collections.graceful.wsgi.plugins.plugin_utils import downloads, known_releases, nginx_versions

ROOT = Path(__file__).resolve().parents[2]


def script(path):
    """A program without a suffix, as a module."""
    loader = importlib.machinery.SourceFileLoader(path.replace("/", "_"), str(ROOT / path))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module


@pytest.fixture
def sources(tmp_path, monkeypatch):
    found = script("tests/images/sources")
    monkeypatch.setattr(found, "CACHE", tmp_path)
    return found


@pytest.fixture
def outdated():
    return script("tests/outdated")


# -- the file ------------------------------------------------------------------------------------------------------


def test_the_roles_and_the_tests_read_the_same_file(sources, outdated):
    assert downloads.CHECKSUMS == sources.DATA["sha256"] == outdated.DATA["sha256"] == known_releases.DATA["sha256"]
    assert nginx_versions.ENDED[1, 26] == sources.DATA["mended_until"]["nginx"]["1.26"]


def test_no_checksum_stands_anywhere_else():
    known = set(known_releases.DATA["sha256"].values()) | set(known_releases.DATA["debian_repacked"].values())
    words = ["git", "ls-files", "plugins", "roles", "molecule", "tests/images"]
    for name in subprocess.run(words, cwd=ROOT, stdout=-1, text=True, check=True).stdout.split():
        if (ROOT / name).is_file() and not name.endswith("known_releases.json"):
            found = re.findall("[0-9a-f]{64}", (ROOT / name).read_text(errors="replace"))
            assert not known & set(found), name


def test_all_that_tests_take_has_a_checksum_and_more_than_one_place(sources):
    for name, versions in known_releases.DATA["tests"].items():
        for version in versions:
            assert len({url.split("/")[2] for url, _sha256 in sources.places(name, version)}) > 1, name
            assert f"{name}-{version}" in known_releases.DATA["sha256"]


def test_days_are_days():
    for days in known_releases.DATA["mended_until"].values():
        for day in days.values():
            assert datetime.date.fromisoformat(day).isoformat() == day


# -- where tests take tarballs from --------------------------------------------------------------------------------


def served(sources, monkeypatch, answers):
    """Has ``sources`` read from these addresses only; returns those that were asked."""
    asked = []

    def read(url):
        asked.append(url)
        if url not in answers:
            raise OSError("gone")
        return answers[url]

    monkeypatch.setattr(sources, "read", read)
    return asked


def known(sources, monkeypatch, **sums):
    data = dict(sources.DATA)
    data["sha256"] = {name.replace("_", "-"): hashlib.sha256(body).hexdigest() for name, body in sums.items()}
    data["debian_repacked"] = {}
    data["places"] = {"x": ["https://one/{file}", "{debian}/x_{version}"]}
    data["signatures"] = {}
    monkeypatch.setattr(sources, "DATA", data)
    monkeypatch.setattr(sources, "MIRRORS", ["http://m1", "http://m2/"])
    return data


def test_a_place_that_is_gone_or_has_another_file_is_passed_over(sources, monkeypatch, capsys):
    known(sources, monkeypatch, x_1=b"right")
    asked = served(sources, monkeypatch, {"http://m1/x_1": b"wrong", "http://m2/x_1": b"right"})
    assert sources.first("x", ["1"]) == ("1", hashlib.sha256(b"right").hexdigest())
    assert asked == ["https://one/x-1.tar.gz", "http://m1/x_1", "http://m2/x_1"]
    said = capsys.readouterr().err
    assert "https://one/x-1.tar.gz: gone" in said and "http://m1/x_1: sha256 is" in said
    assert "took x-1 from http://m2/x_1" in said
    # A second run asks nobody, and still says from where.
    assert sources.first("x", ["1"])[0] == "1" and len(asked) == 3
    assert "took x-1, which is cached (http://m2/x_1)" in capsys.readouterr().err


def test_the_next_version_is_taken_where_nobody_has_the_first(sources, monkeypatch):
    known(sources, monkeypatch, x_2=b"two", x_1=b"one")
    served(sources, monkeypatch, {"http://m1/x_1": b"one"})
    assert sources.first("x", ["2", "1"])[0] == "1"
    # And stays: a second run must not build another one because a place came back.
    served(sources, monkeypatch, {"https://one/x-2.tar.gz": b"two"})
    assert sources.first("x", ["2", "1"])[0] == "1"


def test_what_nobody_has_ends_the_run(sources, monkeypatch):
    known(sources, monkeypatch, x_2=b"two", x_1=b"one")
    served(sources, monkeypatch, {})
    with pytest.raises(SystemExit, match="x 2 or 1 could not be had"):
        sources.first("x", ["2", "1"])


def test_debians_own_archive_has_a_checksum_of_its_own(sources, monkeypatch):
    data = known(sources, monkeypatch, x_1=b"upstream")
    data["debian_repacked"] = {"x-1": hashlib.sha256(b"repacked").hexdigest()}
    served(sources, monkeypatch, {"http://m1/x_1": b"repacked"})
    assert sources.first("x", ["1"]) == ("1", data["debian_repacked"]["x-1"])
    assert sources.cached("x-1") == data["debian_repacked"]["x-1"]
    (sources.CACHE / "x-1.tar.gz").write_bytes(b"other")
    assert sources.cached("x-1") is None


# -- what is out of support, or has newer ones ---------------------------------------------------------------------


def rows(outdated, pins, today="2026-11-29", **newest):
    return {row[:2]: (row[3], row[4]) for row in outdated.judged(pins, newest, today)}


def test_a_branch_is_out_of_support_from_the_day_on_that_the_file_says(outdated):
    pins = {("openssl", "3.6.5"): []}
    assert rows(outdated, pins, "2026-10-31")["openssl", "3.6.5"] == (["mended until 2026-11-01"], False)
    assert rows(outdated, pins, "2026-11-01")["openssl", "3.6.5"] == (["out of support since 2026-11-01"], False)


def test_only_a_default_fails(outdated):
    for users, fails in ([], False), (["tests"], False), (["nginx_version"], True):
        assert rows(outdated, {("nginx", "1.26.3"): users})["nginx", "1.26.3"][1] is fails


def test_a_newer_one_fails_where_it_is_of_the_same_branch(outdated):
    pins = {("openssl", "3.5.7"): ["nginx_openssl_version"]}
    assert rows(outdated, pins, openssl=["3.5.6", "3.6.5"])["openssl", "3.5.7"][1] is False
    said, fails = rows(outdated, pins, openssl=["3.5.9", "3.6.5"])["openssl", "3.5.7"]
    assert fails and "newer: 3.5.9, 3.6.5" in said


def test_the_roles_defaults_are_found_and_have_checksums(outdated):
    found = outdated.defaults()
    assert {name for names in found.values() for name in names} == set(outdated.DEFAULTS)
    releases = {tuple(release.split("-")[:2]) for release in outdated.DATA["sha256"]}
    assert set(found) - releases == {(name, version) for name, version in found if name == "uwsgi"}


def test_versions_in_debians_index(outdated):
    packages = [("zlib", "1:1.3.dfsg+really1.3.2-1"), ("nginx", "1.30.6-2"), ("x", "1")]
    text = "\n\n".join(f"Package: {name}\nVersion: {version}" for name, version in packages)
    assert outdated.debian(text) == {"zlib": ["1.3.2"], "nginx": ["1.30.6"]}


def test_the_program_says_it_by_the_date_without_asking_anybody():
    words = [sys.executable, str(ROOT / "tests/outdated"), "--date=2031-01-01"]
    done = subprocess.run(words, stdout=-1, text=True)
    assert done.returncode == 1
    assert re.search(r"^! openssl +3\.5\.\d+ .*out of support since 2030-04-08$", done.stdout, re.MULTILINE)
    assert json.loads((ROOT / "plugins/plugin_utils/known_releases.json").read_text())["about"]
