"""What number and age take of the controller's caches, and that nothing goes that the roles have not put there."""

import json
import os
import time

import pytest

from ansible_collections.graceful.wsgi.plugins.plugin_utils import cache_pruning

NAMES = [f"1.30.{number}-0123456789ab" for number in range(5)]
DAY = 24 * 3600


def put(folder, name, days, file="nginx", **told):
    path = folder / name
    path.mkdir(parents=True)
    (path / file).write_text("x" * 5000)
    told = {"version": name.partition("-")[0], "about": {"flags": []}, "files": {file: "0"}, **told}
    (path / "manifest.json").write_text(json.dumps(told))
    os.utime(path / "manifest.json", (time.time() - days * DAY - 60,) * 2)
    return path


@pytest.fixture
def folder(tmp_path):
    """Five, of which the first is the oldest: 50, 40, 30, 20 and 10 days."""
    for number, name in enumerate(NAMES):
        put(tmp_path / "cache", name, 50 - 10 * number)
    return tmp_path / "cache"


def old(folder, keep, days, wanted=()):
    return cache_pruning.old(str(folder), keep, days, wanted)


def prune(folder, *asked, **more):
    return cache_pruning.prune(str(folder), *asked, **more)


def there(folder):
    return sorted(path.name for path in folder.iterdir() if path.name != ".lock")


@pytest.mark.parametrize(
    ("keep", "days", "gone"),
    [(2, 1, 3), (0, 1, 5), (5, 1, 0), (9, 1, 0), (0, 30, 3), (0, 31, 2), (4, 30, 1), (2, 90, 0), (0, 0, 0)],
)
def test_one_goes_that_neither_number_nor_age_keeps(folder, keep, days, gone):
    assert old(folder, keep, days) == NAMES[:gone]


def test_what_is_wanted_stays_and_counts_be_it_there_or_not(folder):
    assert old(folder, 2, 1, [NAMES[0]]) == NAMES[1:4]
    assert old(folder, 2, 1, ["1.31.0-0123456789ab"]) == NAMES[:4]
    assert old(folder, 1, 1, NAMES[:2]) == NAMES[2:]


def test_a_wheel_is_kept_and_goes_alike(tmp_path):
    names = ["2.0.28-cp311-0123456789ab", "2.0.31-cp311-0123456789ab"]
    for days, name in zip((9, 3), names, strict=True):
        put(tmp_path, name, days, "uwsgi.whl")
    assert old(tmp_path, 1, 1) == names[:1]


def test_they_are_removed_once_and_check_mode_says_the_same(folder):
    assert prune(folder, 2, 1, check=True) == NAMES[:3] and there(folder) == NAMES
    assert not (folder / ".lock").exists()
    assert prune(folder, 2, 1) == NAMES[:3] and there(folder) == NAMES[3:]
    assert prune(folder, 2, 1) == []


def test_what_a_host_gets_is_young_again(folder):
    cache_pruning.use(folder / NAMES[0])
    assert old(folder, 1, 1) == NAMES[1:]
    cache_pruning.use(folder / "none")


def test_what_the_roles_have_not_put_there_stays(folder, tmp_path):
    for name in ("notes", "1.2.3", "1.2.3-xyz"):
        put(folder, name, 99)
    more = put(folder, "1.2.4-0123456789ab", 99)
    (more / "notes").write_text("mine")
    put(folder, "1.2.5-0123456789ab", 99, version="1.2")
    put(folder, "1.2.6-0123456789ab", 99, about=None)
    less = put(folder, "1.2.7-0123456789ab", 99)
    (less / "nginx").unlink()
    (folder / "1.2.8-0123456789ab").symlink_to(put(tmp_path, "1.2.8-0123456789ab", 99))
    inner = put(folder, "1.2.9-0123456789ab", 99)
    (inner / "folder").mkdir()
    assert old(folder, 0, 1) == NAMES
    assert prune(folder, 0, 1) == NAMES
    assert len(there(folder)) == 9


def test_what_killed_plays_have_left_goes_after_a_day(folder):
    name = NAMES[0]
    for left in (f".{name}.old", f".{name}.x1y2", ".notes.old"):
        (folder / left).mkdir()
    (folder / f".{name}.claim").write_text("{}")
    assert old(folder, 9, 1) == []
    for path in folder.iterdir():
        os.utime(path, (1, 1))
    assert old(folder, 9, 1) == [f".{name}.old", f".{name}.x1y2"]
    assert prune(folder, 9, 1) == [f".{name}.old", f".{name}.x1y2"]
    assert {".notes.old", f".{name}.claim"} < set(there(folder))


def test_what_another_account_has_left_in_a_shared_folder_is_its_own(folder, monkeypatch):
    (folder / f".{NAMES[0]}.old").mkdir()
    os.utime(folder / f".{NAMES[0]}.old", (1, 1))
    monkeypatch.setattr(cache_pruning.os, "geteuid", lambda: 12345)
    assert old(folder, 0, 1) == prune(folder, 0, 1) == []


def test_one_that_was_removed_by_halves_is_none(folder):
    """A kill between the steps leaves no artifact that the next play would refuse as damaged."""
    (folder / NAMES[0]).rename(folder / f".{NAMES[0]}.old")
    (folder / f".{NAMES[0]}.old" / "nginx").unlink()
    put(folder, NAMES[0], 60)
    assert prune(folder, 4, 1) == [NAMES[0]] and there(folder) == NAMES[1:]


def test_a_folder_that_may_only_be_read_or_is_not_there_is_left_alone(folder, tmp_path, monkeypatch):
    assert old(tmp_path / "none", 0, 1) == [] and prune(tmp_path / "none", 0, 1) == []
    assert not (tmp_path / "none").exists()
    # Root may write everywhere.
    monkeypatch.setattr(cache_pruning.os, "access", lambda path, mode: mode != os.W_OK)
    assert old(folder, 0, 1) == [] and prune(folder, 0, 1) == [] and there(folder) == NAMES


def test_how_much_it_holds(folder, tmp_path):
    held = cache_pruning.holds(str(folder))
    assert (held["folder"], held["kept"]) == (str(folder), 5) and held["bytes"] >= 5 * 5000
    assert cache_pruning.holds(str(tmp_path / "none")) is None
