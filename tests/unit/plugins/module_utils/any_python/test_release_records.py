# -*- coding: utf-8 -*-
"""What is known of releases, and which of them one may go back to (runs under Python 2.7 too)."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os
import shutil

import pytest

from ansible_collections.graceful.wsgi.plugins.module_utils import release_records as code
from ansible_collections.graceful.wsgi.plugins.module_utils.release_records import NoWayBack, Records


class Clock:
    def __init__(self):
        self.time = 1000.0

    def __call__(self):
        self.time += 10
        return self.time


@pytest.fixture
def records(tmp_path):
    (tmp_path / "releases").mkdir()
    return Records(str(tmp_path / "releases"), Clock())


def release(records, name, when=500):
    path = os.path.join(records.releases, name)
    os.mkdir(path)
    os.utime(path, (when, when))
    return name


def switch(records, name):
    link = os.path.join(os.path.dirname(records.releases), "current")
    if os.path.lexists(link):
        os.unlink(link)
    os.symlink(os.path.join("releases", name), link)


KEPT = '{"secrets": [], "settings": {"module": "shop"}}'


def go_live(records, name, settings=KEPT):
    if name not in records.there:
        release(records, name)
        records.begun(name, {"source": "apps/shop", "repo": None}, "ada@laptop")
    switch(records, name)
    return records.live(name, "ada@laptop", {"/etc/uwsgi/shop.ini": "d1"}, settings=settings)


def statuses(records):
    return dict((one["id"], one["status"]) for one in records.told())


def test_a_record_says_what_was_made_of_what_and_when_it_was_live(records):
    assert go_live(records, "aaa111")
    [one] = records.told()
    assert one["status"] == "live" and one["by"] == "ada@laptop" and one["at"] == 1020
    assert one["made"] == {"source": "apps/shop", "at": 1010, "by": "ada@laptop"}
    assert one["live"]["configuration"] == {"/etc/uwsgi/shop.ini": "d1"} and one["live"]["virtualenv"] is None
    assert os.stat(records.folder).st_mode & 0o777 == 0o700
    assert os.stat(os.path.join(records.folder, "aaa111.json")).st_mode & 0o777 == 0o600


def test_a_second_look_at_what_is_live_is_no_news(records):
    go_live(records, "aaa111")
    assert not records.unrecorded
    assert not records.live("aaa111", "eve@other", {"/etc/uwsgi/shop.ini": "d1"})
    assert records.live("aaa111", "eve@other", {"/etc/uwsgi/shop.ini": "d2"}, check=True)
    assert records.live("aaa111", "eve@other", {"/etc/uwsgi/shop.ini": "d2"})
    # It is when the release went live that counts, whatever its configuration became.
    assert records.told()[0]["live"]["by"] == "ada@laptop"


def test_the_way_back_leads_to_what_was_live_before(records):
    for name in ("aaa111", "bbb222", "ccc333"):
        go_live(records, name)
    assert statuses(records) == {"aaa111": "earlier", "bbb222": "earlier", "ccc333": "live"}
    assert records.target() == "bbb222"
    assert records.target("aaa111") == "aaa111"
    go_live(records, "aaa111")
    assert records.target() == "ccc333"
    assert [one["id"] for one in records.told()] == ["aaa111", "ccc333", "bbb222"]


def test_the_beginning_of_a_name_is_enough_where_it_is_one_ones(records):
    for name in ("aaa111bbb", "aaa111ccc", "ddd444"):
        go_live(records, name)
    assert records.target("aaa111b") == "aaa111bbb"
    with pytest.raises(NoWayBack, match="the beginning of several"):
        records.target("aaa111")
    with pytest.raises(NoWayBack, match="there is no such release"):
        records.target("aaa")


def test_a_release_that_failed_is_none_to_go_back_to_and_says_why(records):
    go_live(records, "aaa111")
    go_live(records, "bbb222")
    release(records, "ccc333")
    records.begun("ccc333", {}, "ada@laptop")
    assert statuses(records)["ccc333"] == "unfinished"
    with pytest.raises(NoWayBack, match="never seen live to the end"):
        records.target("ccc333")
    assert records.failed("ccc333", "verify", "\nno https://me:canary@host/simple\nTraceback")
    [one] = [one for one in records.told() if one["id"] == "ccc333"]
    assert one["failed"]["stage"] == "verify" and one["failed"]["why"] == "no https://host/simple"
    with pytest.raises(NoWayBack, match="has failed and was never live") as refused:
        records.target("ccc333")
    assert "aaa111" in str(refused.value) and records.target() == "aaa111"


def test_nothing_is_noted_against_what_is_live_and_a_failure_ends_with_a_success(records):
    go_live(records, "aaa111")
    assert not records.failed("aaa111", "build", "no") and not records.failed("nnn000", "build", "no")
    release(records, "bbb222")
    records.failed("bbb222", "build", "no")
    go_live(records, "bbb222")
    assert statuses(records)["bbb222"] == "live" and records.told()[0]["failed"] == {}


def test_what_was_live_once_stays_a_way_back_though_it_failed_later(records):
    go_live(records, "aaa111")
    go_live(records, "bbb222")
    assert records.failed("aaa111", "reload", "the database was away")
    assert records.target() == "aaa111"


def test_a_release_that_is_gone_or_live_is_none_to_go_back_to(records):
    for name in ("aaa111", "bbb222", "ccc333"):
        go_live(records, name)
    os.rmdir(os.path.join(records.releases, "aaa111"))
    for name, why in (("aaa111", "not on the host any more"), ("ccc333", "is live already")):
        with pytest.raises(NoWayBack, match=why):
            records.target(name)
    assert statuses(records)["aaa111"] == "removed"


def test_what_has_no_record_is_told_and_taken_where_it_is_named(records):
    release(records, "aaa111", 100)
    switch(records, release(records, "bbb222", 200))
    assert statuses(records) == {"aaa111": "unknown", "bbb222": "live"} and records.unrecorded
    with pytest.raises(NoWayBack, match="not known which release was live before.*aaa111"):
        records.target()
    assert records.target("aaa111") == "aaa111"
    assert records.adopt("bbb222") and not records.adopt("bbb222") and not records.adopt(None)
    go_live(records, "ccc333")
    assert records.target() == "bbb222"


def test_a_way_back_that_was_cut_off_is_finished_by_its_name_and_never_turned_round(records):
    go_live(records, "aaa111")
    go_live(records, "bbb222")
    switch(records, "aaa111")
    with pytest.raises(NoWayBack) as refused:
        records.target()
    assert "a run that took aaa111 live again did not come to its end" in str(refused.value)
    assert "bbb222" in str(refused.value)
    assert records.target("aaa111") == "aaa111" and records.target("bbb222") == "bbb222"
    assert records.live("aaa111", "ada@laptop")
    assert records.target() == "bbb222"
    with pytest.raises(NoWayBack):
        records.target("aaa111")
    # Of a deploy that was cut off one goes back as ever.
    switch(records, release(records, "ccc333"))
    records.begun("ccc333", {}, "ada@laptop")
    assert records.target() == "aaa111"


def test_without_another_release_there_is_no_way_back(records):
    go_live(records, "aaa111")
    with pytest.raises(NoWayBack, match="there is no other release to go back to"):
        records.target()


def test_releases_that_never_were_live_are_kept_by_number_and_age(records):
    go_live(records, "aaa111")
    for name in ("bbb222", "ccc333", "ddd444"):
        release(records, name)
        records.failed(name, "verify", "no")
    now = records.now()
    names, gone = code.aside(records.releases, ("aaa111",), lambda: now)
    assert names == ["ddd444", "ccc333", "bbb222"] and gone == ["bbb222"]
    assert code.aside(records.releases, ("bbb222",), lambda: now) == (["ddd444", "ccc333"], [])
    assert code.aside(records.releases, (), lambda: now + code.FAILED_AGE + 100)[1] == names


def test_records_of_what_is_gone_are_forgotten_one_day(records, monkeypatch):
    monkeypatch.setattr(code, "RECORDS_KEPT", 2)
    for name in ("aaa111", "bbb222"):
        go_live(records, name)
        os.utime(os.path.join(records.folder, name + ".json"), (1, 1))
        switch(records, "none")
        os.rmdir(os.path.join(records.releases, name))
    go_live(records, "ccc333")
    assert "ccc333" in records.read() and len(records.read()) == 2


def test_a_folder_that_others_write_holds_no_records(records):
    go_live(records, "aaa111")
    os.chmod(records.folder, 0o777)
    assert records.read() == {}
    os.chmod(records.releases, 0o777)
    assert not records.begun("aaa111", {}, "ada@laptop")


def test_a_record_that_cannot_be_read_is_none(records):
    go_live(records, "aaa111")
    with open(os.path.join(records.folder, "bbb222.json"), "w") as target:
        target.write("{")
    assert list(records.read()) == ["aaa111"]


def test_a_preflight_notes_its_failures_by_where_live_paths_will_lead(records):
    release(records, "aaa111")
    leads = {"/srv/wsgi/shop/current": os.path.join(records.releases, "aaa111"), "/x/current/.venv": "/x/venvs/012"}
    told = [{"name": "shop", "id": "aaa111", "replace": leads}, {"name": "blog", "id": "bbb", "replace": {}}]
    code.note_failures(told, [("shop", "it does not load\nTraceback")], "verify")
    assert records.read()["aaa111"]["failed"]["why"] == "shop: it does not load"


def test_why_a_first_run_failed_is_told_though_its_folder_is_gone(records, tmp_path, monkeypatch):
    monkeypatch.setattr(code.layout, "NEVER_LIVE_DIR", str(tmp_path / "never-live"))
    release(records, "aaa111")
    records.begun("aaa111", {"source": "/x"}, "ada@laptop")
    records.failed("aaa111", "verify", "it does not load")
    home = os.path.dirname(records.releases)
    code.keep(os.path.basename(home), home)
    shutil.rmtree(records.releases)
    [told] = records.told()
    assert told["status"] == "removed" and told["failed"]["why"] == "it does not load" and told["by"] == "ada@laptop"
    # Another first run that fails adds to it.
    os.makedirs(records.releases)
    release(records, "bbb222")
    records.failed("bbb222", "reload", "no answer")
    code.keep(os.path.basename(home), home)
    shutil.rmtree(records.releases)
    assert statuses(records) == {"aaa111": "removed", "bbb222": "removed"}


def test_what_a_release_was_live_with_is_roots_and_goes_with_it(records):
    go_live(records, "aaa111")
    other = KEPT.replace("shop", "other")
    go_live(records, "bbb222", other)
    assert records.settings("aaa111") == KEPT and records.settings("bbb222") == other
    assert os.stat(os.path.join(records.folder, "aaa111.settings")).st_mode & 0o777 == 0o600
    told = dict((one["id"], one["settings"]) for one in records.told())
    assert told == {"aaa111": code.called(KEPT), "bbb222": code.called(other)} and len(set(told.values())) == 2
    # It is no record, and no release.
    assert sorted(records.read()) == ["aaa111", "bbb222"]
    shutil.rmtree(os.path.join(records.releases, "aaa111"))
    records.forget()
    assert records.settings("aaa111") is None and records.settings("bbb222") == other
    assert sorted(os.listdir(records.folder)) == ["aaa111.json", "bbb222.json", "bbb222.settings"]


def test_other_settings_of_the_live_release_are_news_and_so_are_the_first_ones(records):
    go_live(records, "aaa111", None)
    # As an earlier version has left it.
    assert records.settings("aaa111") is None and records.incomplete and records.told()[0]["settings"] == ""
    assert not records.unrecorded and go_live(records, "aaa111") and not records.incomplete
    assert not go_live(records, "aaa111")
    assert records.live("aaa111", "eve", {"/etc/uwsgi/shop.ini": "d1"}, check=True, settings="{}")
    assert go_live(records, "aaa111", KEPT.replace("shop", "other"))
    assert records.told()[0]["live"]["by"] == "ada@laptop"


@pytest.mark.parametrize("text", ["", "[]", "{", '{"settings": []}', '"settings"'])
def test_settings_that_nobody_can_read_are_none(records, text):
    go_live(records, "aaa111")
    with open(os.path.join(records.folder, "aaa111.settings"), "w") as target:
        target.write(text)
    assert records.settings("aaa111") is None


def test_settings_behind_a_link_are_none(records, tmp_path):
    go_live(records, "aaa111")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text(u"{}")
    os.unlink(os.path.join(records.folder, "aaa111.settings"))
    os.symlink(str(elsewhere), os.path.join(records.folder, "aaa111.settings"))
    assert records.settings("aaa111") is None


@pytest.mark.parametrize(
    "wanted, is_it", [("0123456789ab", True), ("012345", True), ("01234", False), ("fedcba", False)]
)
def test_a_release_is_known_by_its_name_or_by_the_beginning_of_it(wanted, is_it):
    assert code.is_named("0123456789ab", wanted) == is_it
    assert code.is_named(None, wanted) is False
