# -*- coding: utf-8 -*-
"""One run at a time works on a set of a host (runs under Python 2.7 too)."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os

import pytest

from ansible_collections.graceful.wsgi.plugins.module_utils.play_lock import ALL, LEASE, Lost, PlayLock, refusal

ADA = {"machine": "m1", "pid": 1, "started": "10", "by": "ada@laptop"}
EVE = {"machine": "m2", "pid": 2, "started": "20", "by": "eve@desk"}


@pytest.fixture
def lock(tmp_path):
    """Makes locks at a time that can be set."""
    def made(publish_set, holder, scope="main"):
        return PlayLock(publish_set, holder, scope, str(tmp_path / "plays"), lambda: made.time)

    made.time = 1000.0
    return made


def test_a_second_run_is_told_who_is_there(lock):
    assert lock("main", ADA).take() is None
    lock.time += 30
    held = lock("main", EVE).take()
    assert held["by"] == "ada@laptop" and held["since"] == 1000 and held["silent"] == 30
    text = refusal(held, 12)
    assert "another run works on the set main of this host: ada@laptop, process 1 there" in text
    assert "1970-01-01 00:16:40 UTC" in text and "waited for it for 12 s" in text and "publish_lock_timeout" in text


def test_the_same_run_may_take_it_twice_and_keeps_its_beginning(lock):
    assert lock("main", ADA).take() is None
    lock.time += 5
    assert lock("main", ADA).take() is None
    assert lock("main", EVE).take()["since"] == 1000


def test_what_is_given_back_is_free_and_nobody_gives_back_anothers(lock):
    lock("main", ADA).take()
    lock("main", EVE).release()
    assert lock("main", EVE).take() is not None
    lock("main", ADA).release()
    assert lock("main", EVE).take() is None


def test_other_sets_are_free_and_all_of_the_host_is_none_of_them(lock):
    lock("main", ADA).take()
    assert lock("other", EVE).take() is None
    lock("other", EVE).release()
    assert lock(ALL, EVE).take()["by"] == "ada@laptop"
    lock("main", ADA).release()
    assert lock(ALL, EVE).take() is None
    assert "all that is published on this host" in refusal(lock("main", ADA).take(), 0)


def test_a_set_called_all_is_not_all(lock):
    lock("all", ADA).take()
    assert lock("main", EVE).take() is None


def test_a_dead_holder_is_none(lock):
    lock("main", ADA).take()
    assert lock("main", EVE).take([dict(EVE, machine="m3")]) is not None
    assert lock("main", EVE).take([dict(ADA, since=1, renewed=1)]) is None


def test_who_was_silent_for_too_long_is_dead_and_finds_out(lock):
    lock("main", ADA).take()
    lock.time += LEASE - 1
    lock("main", ADA).renew()
    lock.time += LEASE - 1
    assert lock("main", EVE).take()["since"] == 1000
    lock.time += 1
    assert lock("main", EVE).take() is None
    with pytest.raises(Lost, match="eve@desk holds it now"):
        lock("main", ADA).renew()
    lock("main", EVE).release()
    with pytest.raises(Lost, match="nobody holds it now"):
        lock("main", ADA).renew()


def test_giving_back_makes_no_folder(lock, tmp_path):
    lock("main", ADA).release()
    assert os.listdir(str(tmp_path)) == []


def test_half_a_note_holds_nobody_up(lock, tmp_path):
    lock("main", ADA).take()
    for name in os.listdir(str(tmp_path / "plays")):
        (tmp_path / "plays" / name).write_text(u"{")
    assert lock("main", EVE).take() is None


def test_one_on_the_same_machine_keeps_it_however_long_it_is_silent(lock):
    assert lock("main", ADA).take() is None
    lock.time += LEASE * 10
    other = dict(ADA, pid=3, started="30", by="bob@laptop")
    assert lock("main", other).take()["by"] == "ada@laptop"
    # Whether it lives is seen there.
    assert lock("main", other).take([ADA]) is None


def test_whoever_says_so_may_be_silent_for_longer(lock):
    assert lock("main", ADA).take() is None
    lock("main", ADA).renew(LEASE + 1200)
    lock.time += LEASE + 600
    assert lock("main", EVE).take()["by"] == "ada@laptop"
    lock.time += 601
    assert lock("main", EVE).take() is None


def test_a_part_within_another_does_not_give_the_outer_ones_lock_away(lock):
    assert lock("main", ADA).take() is None
    lock("main", ADA).renew(LEASE + 1200)
    assert lock("main", ADA, "reload").take() is None
    lock("main", ADA, "reload").release()
    # It may be silent for as long as the outer part has said.
    lock.time += LEASE + 600
    assert lock("main", EVE).take()["by"] == "ada@laptop"
    lock("main", ADA, "reload").release()
    assert lock("main", EVE).take() is not None
    lock("main", ADA).release()
    assert lock("main", EVE).take() is None


def test_a_part_that_never_took_it_gives_nothing_back(lock):
    lock("main", ADA, "earlier").take()
    lock("main", ADA, "main").take()
    lock("main", ADA, "main").take()
    lock("main", ADA, "main").release()
    lock("main", ADA, "main").release()
    assert lock("main", EVE).take()["by"] == "ada@laptop"
    lock("main", ADA, "earlier").release()
    assert lock("main", EVE).take() is None


def test_notes_of_the_dead_go_with_whoever_takes_their_place(lock, tmp_path):
    lock("gone", ADA).take()
    lock("main", ADA).take()
    assert lock(ALL, EVE).take() is not None
    assert sorted(os.listdir(str(tmp_path / "plays"))) == ["lock", "set-gone.json", "set-main.json"]
    # The sets are removed, and nobody takes their locks any more.
    assert lock(ALL, EVE).take([ADA]) is None
    lock(ALL, EVE).release()
    assert os.listdir(str(tmp_path / "plays")) == ["lock"]
    with pytest.raises(Lost, match="nobody holds it now"):
        lock("main", ADA).renew()


def test_notes_stay_where_one_of_several_holders_lives(lock, tmp_path):
    lock("gone", ADA).take()
    lock("main", dict(EVE, machine="m3")).take()
    assert lock(ALL, EVE).take([ADA]) is not None
    assert "set-gone.json" in os.listdir(str(tmp_path / "plays"))
