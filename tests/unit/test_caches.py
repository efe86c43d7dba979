"""The doors to the cache in a play of three hosts: one has it built, the others wait as long as they can be served."""

import json
import os
import time
from pathlib import Path

import playbook
import pytest

from ansible_collections.graceful.wsgi.plugins.module_utils import nginx_artifact
from ansible_collections.graceful.wsgi.plugins.module_utils.uwsgi_wheel import WHEEL

CHECKOUT = Path(__file__).resolve().parents[2]
NAME = "1.26.3-0123456789ab"


@pytest.fixture(params=["nginx", "uwsgi"])
def play(tmp_path, request, make_wheel):
    """Runs tasks on three hosts that are this machine; returns status and what was said."""
    built = tmp_path / "built" / NAME
    built.parent.mkdir()
    if request.param == "nginx":
        nginx_artifact.write(str(built), "/bin/cat", "1.26.3", {})
    else:
        nginx_artifact.write(str(built), make_wheel(tmp_path / "a.whl"), "1.26.3", {}, None, WHEEL, {"packages": []})

    def run(*states, strategy="linear", check=False, **settings):
        shared = {"folder": str(tmp_path / "cache"), "name": NAME, "version": "1.26.3", "about": {}}
        tasks = []
        for state, more, keywords in states:
            tasks.append({f"graceful.wsgi.{request.param}_cache": {**shared, "state": state, **more}, **keywords})
        file = tmp_path / "play.yml"
        file.write_text(
            json.dumps([{"hosts": "all", "gather_facts": False, "strategy": strategy, "serial": 3, "tasks": tasks}])
        )
        return playbook.play(file, *(["--check"] if check else []), hosts="one,two,three", **settings)

    run.role, run.built, run.cache = request.param, built, tmp_path / "cache"
    return run


CLAIM = ("claimed", {}, {"register": "claim"})
MINE = {"when": "claim.claimed"}


def test_one_host_stores_it_and_none_asks_again(play):
    status, said = play(CLAIM, ("stored", {"path": str(play.built)}, MINE), ("released", {}, MINE))
    assert status == 0, said
    assert said.count("skipping: ") == 4, said
    assert said.count("changed: ") == 1, said
    assert sorted(path.name for path in play.cache.iterdir()) == [".lock", NAME]
    status, said = play(CLAIM, ("stored", {"path": str(play.built)}, MINE))
    assert status == 0, said
    assert said.count("skipping: ") == 3, said


def test_a_host_of_another_kind_is_refused_without_a_copy(play, tmp_path):
    play(CLAIM, ("stored", {"path": str(play.built)}, MINE), ("released", {}, MINE))
    there = tmp_path / "there"
    status, said = play(("installed", {"path": str(there), "architecture": "s390x", "glibc": "2.41"}, {}))
    assert status == 2, said
    hint = {"nginx": "set nginx_build_toolchain: zig, or ", "uwsgi": ""}[play.role]
    assert (
        f"it was built for {os.uname().machine}, and this host is s390x. It was not copied; for this host {hint}name a"
        f" builder like it in {play.role}_build_host" in said
    )
    status, said = play(
        ("installed", {"path": str(there), "architecture": os.uname().machine, "glibc": "2.2"}, {}),
    )
    assert "or newer, and this host has 2.2. It was not copied" in said
    assert not there.exists()


def test_hosts_do_not_wait_where_that_leaves_nobody_to_build(play):
    status, said = play(CLAIM, ("awaited", {}, {}), ANSIBLE_FORKS="2")
    assert status == 2, said
    assert "3 of them waiting leave no worker to build it; set forks to 3 or more, or take the strategy linear" in said


def test_a_folder_that_cannot_be_made_is_named(play):
    play.cache.write_text("a file")
    status, said = play(CLAIM)
    assert status == 2, said
    assert f"'{play.cache}'; set {play.role}_artifact_dir to a folder that this account may write" in said


def test_a_wheel_arrives_under_the_name_that_pip_wants(play, tmp_path):
    play(CLAIM, ("stored", {"path": str(play.built)}, MINE), ("released", {}, MINE))
    there = tmp_path / "there"
    if play.role == "uwsgi":
        there.mkdir()
    status, said = play(("installed", {"path": str(there), "architecture": os.uname().machine, "glibc": "9"}, {}))
    if play.role == "nginx":
        # It runs what arrived, and /bin/cat is no nginx.
        assert status == 2, said
        assert "the new binary is not nginx 1.26.3" in said
        assert not there.exists()
    else:
        assert status == 0, said
        assert [path.name for path in there.iterdir()] == ["uwsgi-2.0.31-cp311-cp311-linux_x86_64.whl"]


def test_check_mode_leaves_no_claim_and_says_what_a_run_would(play):
    status, said = play(CLAIM, ("released", {}, MINE), ("awaited", {}, {}), check=True)
    assert status == 0, said
    assert not play.cache.exists()


def test_number_and_age_take_what_is_old_once_and_check_mode_says_so_beforehand(play):
    status, said = play(CLAIM, ("stored", {"path": str(play.built)}, MINE), ("released", {}, MINE))
    assert status == 0, said
    path = play.cache / NAME
    # An artifact is known by what it is made of, of which this test's has nothing.
    told = json.loads((path / "manifest.json").read_text())
    (path / "manifest.json").write_text(json.dumps({**told, "about": {"flags": []}}))
    os.utime(path / "manifest.json", (1, 1))
    prune = ("pruned", {"name": "1.30.6-0123456789ab", "keep": 1, "days": 30}, {})
    status, said = play(prune, check=True)
    assert status == 0 and said.count("changed: ") == 3 and path.exists(), said
    status, said = play(prune)
    assert status == 0 and said.count("changed: ") == 1 and not path.exists(), said
    status, said = play(prune)
    assert status == 0 and "changed: " not in said, said


def test_what_a_host_waits_for_is_young_again(play):
    play(CLAIM, ("stored", {"path": str(play.built)}, MINE), ("released", {}, MINE))
    file = play.cache / NAME / "manifest.json"
    os.utime(file, (1, 1))
    awaited = ("awaited", {"architecture": os.uname().machine, "glibc": "9"}, {})
    assert play(awaited, check=True)[0] == 0 and file.stat().st_mtime == 1
    status, said = play(awaited)
    assert status == 0 and time.time() - file.stat().st_mtime < 600, said
    # As is one that a host finds there: another play that prunes meanwhile leaves it.
    os.utime(file, (1, 1))
    assert play(CLAIM, check=True)[0] == 0 and file.stat().st_mtime == 1
    assert play(CLAIM)[0] == 0 and time.time() - file.stat().st_mtime < 600
