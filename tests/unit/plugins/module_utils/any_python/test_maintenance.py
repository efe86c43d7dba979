# -*- coding: utf-8 -*-
"""The switch of maintenance: a flag, seen by asking, and taken back where nginx does not heed it."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os

import pytest

from ansible_collections.graceful.wsgi.plugins.module_utils import layout, maintenance, visitor


class Visit(object):
    """A visit to an nginx that heeds the flag, or not."""

    heeds = True
    status = 200

    def __init__(self, question):
        self.question, self.unasked, self.wrong, self.maintained, self.answer = question, None, None, False, None

    def make(self, _patience):
        self.maintained = self.heeds and maintenance.is_on("shop") and self.question["nginx"] != "127.0.0.2:80"
        self.answer = visitor.Answer(self.status)
        self.wrong = visitor.fault(self.answer)


class Clock(object):
    now = 0

    def time(self):
        return self.now

    def sleep(self, seconds):
        Clock.now += seconds


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setattr(layout, "MAINTENANCE_DIR", str(tmp_path / "maintenance"))
    return tmp_path


def wanted(home, enabled=True, **more):
    block = home / "shop.conf"
    block.write_text(u"geo $shop_down {\n    default %s;\n}\n" % layout.maintenance("shop"))
    question = {"app": "shop", "nginx": "127.0.0.1:80", "tls": False, "host": "a.test", "path": "/"}
    given = {"app": "shop", "enabled": enabled, "files": [str(block)], "questions": [question]}
    return dict(given, passing=[], **more)


def switch(given, visit=Visit, **more):
    return maintenance.Switch(given, visit=visit, clock=Clock(), **more)


def test_it_is_switched_once_each_way(home):
    assert switch(wanted(home)).do() is True and maintenance.is_on("shop")
    assert switch(wanted(home)).do() is False
    assert os.stat(layout.maintenance("shop")).st_mode & 0o777 == 0o644
    assert maintenance.on(["blog", "shop"]) == ["shop"] and maintenance.since("shop") > 0
    assert os.listdir(layout.MAINTENANCE_DIR) == ["shop"]
    assert switch(wanted(home, False)).do() is True and not maintenance.is_on("shop")
    assert switch(wanted(home, False)).do() is False and not os.path.exists(layout.MAINTENANCE_DIR)


def test_an_nginx_that_does_not_heed_it_fails_and_it_is_off_again(home):
    deaf = type("Deaf", (Visit,), {"heeds": False})
    with pytest.raises(maintenance.MaintenanceError) as told:
        switch(wanted(home), deaf).do()
    assert "http://a.test/ (application shop) answered 200; it is off again" in str(told.value)
    assert not maintenance.is_on("shop")


def test_where_the_host_itself_passes_that_is_told(home):
    given = wanted(home)
    given["questions"][0]["nginx"] = "127.0.0.2:80"
    work = switch(dict(given, passing=["127.0.0.2:80"]))
    assert work.do() is True
    assert work.told == ["http://a.test/ (application shop) lets this host pass, as allow says"]


def test_what_is_wrong_afterwards_is_told_and_no_failure(home):
    switch(wanted(home)).do()
    work = switch(wanted(home, False), type("Broken", (Visit,), {"status": 502}))
    assert work.do() is True and not maintenance.is_on("shop")
    assert work.told == ["http://a.test/ (application shop) answered 502, and is not in maintenance any more"]


def test_a_server_block_that_knows_no_flag_is_refused(home):
    given = wanted(home)
    (home / "shop.conf").write_text(u"server {}")
    with pytest.raises(maintenance.MaintenanceError) as told:
        switch(given).do()
    assert "run graceful.wsgi.site once" in str(told.value) and not maintenance.is_on("shop")
    with pytest.raises(maintenance.MaintenanceError) as told:
        switch(dict(given, files=[])).do()
    assert "no site of publish_sites leads to shop" in str(told.value)


def test_nginx_is_reloaded_where_it_remembers_files(home):
    done = []
    switch(wanted(home), reload=lambda: done.append(maintenance.is_on("shop"))).do()
    switch(wanted(home), reload=lambda: done.append("again")).do()
    assert done == [True]


def test_a_flag_that_goes_takes_no_other_along(home):
    for app in ("shop", "blog"):
        maintenance._put(app, lambda path: None)
    assert maintenance.forget("shop") is True and maintenance.forget("shop") is False
    assert maintenance.on(["shop", "blog"]) == ["blog"]
    assert maintenance.forget("blog") is True and maintenance.forget("blog") is False
