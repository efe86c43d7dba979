# -*- coding: utf-8 -*-
"""What dropped applications and failed first runs leave is found, and nothing else (runs under Python 2.7 too)."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import json
import os

import pytest

from ansible_collections.graceful.wsgi.plugins.module_utils import left_data, left_notes, ownership


@pytest.fixture
def host(tmpdir, monkeypatch):
    """A host with state folders of its own: /lib for the state, /srv for code, /log for logs."""
    monkeypatch.setattr(ownership, "STATE_DIR", str(tmpdir.join("lib", "bundles")))
    monkeypatch.setattr(left_notes, "NOTES", str(tmpdir.join("lib", "dropped")))
    monkeypatch.setattr(left_data, "STATE_DIR", str(tmpdir.ensure("run", dir=True)))
    return tmpdir


def publishes(host, name, *apps):
    """Have a set publish these applications, and no others any more."""
    files = dict(("/etc/systemd/system/uwsgi@%s.service.d/10-publish.conf" % app, "digest") for app in apps)
    manifest = host.ensure("lib", "bundles", "publish-%s-apps" % name, "manifest.json")
    manifest.write(json.dumps({"files": files, "run": "1"}))


def data(host, app):
    """Code and logs of an application, {application: folders}."""
    code, log = host.ensure("srv", app, "releases", dir=True).dirpath(), host.ensure("log", app, dir=True)
    return {app: [str(code), str(log)]}


def test_what_a_set_drops_is_found_by_a_later_run(host):
    folders = data(host, "shop")
    publishes(host, "main")
    left_data.note("main", folders)
    assert left_data.left("main", {}) == sorted(folders["shop"])
    # Until it is there no more.
    host.join("srv").remove(rec=1)
    assert left_data.left("main", {}) == [str(host.join("log", "shop"))]
    host.join("log").remove(rec=1)
    assert left_data.left("main", {}) == [] and os.listdir(left_notes.NOTES) == []


def test_another_sets_is_never_found(host):
    left_data.note("other", data(host, "shop"))
    assert left_data.left("main", {}) == []
    assert left_data.left("other", {}) == sorted(data(host, "shop")["shop"])


@pytest.mark.parametrize("who", ["main", "other"])
def test_what_is_published_again_is_not_left(host, who):
    left_data.note("main", data(host, "shop"))
    publishes(host, who, "shop")
    assert left_data.left("main", {}) == []
    # Nor is it once it is dropped by whoever had it last, but for that set.
    publishes(host, who)
    assert left_data.left("main", {}) == []
    left_data.note(who, data(host, "shop"))
    assert left_data.left(who, {}) == sorted(data(host, "shop")["shop"])


def test_another_set_that_drops_it_too_has_it_alone(host):
    left_data.note("main", data(host, "shop"))
    left_data.note("other", data(host, "shop"))
    assert left_data.left("main", {}) == []
    assert left_data.left("other", {}) == sorted(data(host, "shop")["shop"])


def test_check_mode_tells_what_this_very_run_would_drop_and_notes_nothing(host):
    folders = data(host, "shop")
    publishes(host, "main", "shop")
    left_data.note("main", folders, check_mode=True)
    assert left_data.left("main", folders, check_mode=True) == sorted(folders["shop"])
    assert not os.path.exists(left_notes.NOTES)


def test_code_of_a_run_before_there_were_notes_is_nobodys(host):
    for app in ("shop", "live", "noted"):
        data(host, app)
    host.ensure("srv", "of-a-person", "data", dir=True)
    host.join("srv", "link").mksymlinkto("shop")
    publishes(host, "main", "live")
    left_data.note("other", data(host, "noted"))
    assert left_data.nobodys(str(host.join("srv"))) == [str(host.join("srv", "shop"))]
    assert left_data.nobodys(str(host.join("none"))) == []


def app(host, name):
    home = host.join("srv", name)
    return {
        "name": name,
        "dropins": [str(host.join("etc", name, "10-publish.conf"))],
        "folders": [str(home), str(home.join("releases")), str(host.join("log", name))],
        "files": [str(host.join("log", "%s.log" % name))],
        "clones": [str(host.join("git", name))],
    }


def make(host, name):
    data(host, name)
    host.ensure("log", "%s.log" % name)
    host.ensure("git", name, "HEAD")


def test_a_first_run_that_fails_leaves_nothing(host):
    host.ensure("srv", dir=True)
    host.ensure("log", dir=True)
    # git has fetched before anybody asks.
    host.ensure("git", "shop", "HEAD")
    found = left_data.fresh([app(host, "shop")])
    make(host, "shop")
    assert left_data.undo(found, check_mode=True) and host.join("srv", "shop").check()
    assert sorted(left_data.undo(found)) == ["shop"]
    assert [path.listdir() for path in (host.join("srv"), host.join("log"), host.join("git"))] == [[], [], []]
    assert left_data.undo(found) == {}


def test_what_was_there_before_stays(host):
    host.ensure("srv", "shop", "shared", "data")
    host.ensure("log", "shop.log")
    found = left_data.fresh([app(host, "shop")])
    make(host, "shop")
    left_data.undo(found)
    assert host.join("srv", "shop").listdir() == [host.join("srv", "shop", "shared")]
    assert host.join("log").listdir() == [host.join("log", "shop.log")]
    assert host.join("git", "shop").check()


def test_what_is_published_is_nothing_to_undo(host):
    host.ensure("etc", "live", "10-publish.conf")
    found = left_data.fresh([app(host, "live"), app(host, "shop")])
    assert [item["name"] for item in found] == ["shop"]
    make(host, "shop")
    host.ensure("etc", "shop", "10-publish.conf")
    assert left_data.undo(found) == {} and host.join("srv", "shop").check()


def test_a_link_in_its_place_is_removed_and_not_followed(host):
    found = left_data.fresh([app(host, "shop")])
    host.ensure("theirs", "precious")
    host.ensure("srv", dir=True)
    host.join("srv", "shop").mksymlinkto(str(host.join("theirs")))
    left_data.undo(found)
    assert host.join("srv").listdir() == [] and host.join("theirs", "precious").check()


@pytest.mark.parametrize(
    ("config", "made"),
    [
        ("chdir = /srv/wsgi/shop\n", ["/var/log/uwsgi/shop"]),
        ("chdir = /srv/wsgi/shop/web\n", ["/var/log/uwsgi/shop"]),
        ("chdir = /srv/shop\n", ["/srv/wsgi/shop", "/var/log/uwsgi/shop"]),
        ("chdir = /\nchdir2 = /srv/wsgi/shop/current\n", ["/srv/wsgi/shop", "/var/log/uwsgi/shop"]),
        ("chdir = /srv/wsgi/shop/current/web\n", ["/srv/wsgi/shop", "/var/log/uwsgi/shop"]),
    ],
)
def test_a_folder_that_holds_code_of_an_applications_own_is_not_noted_as_made(monkeypatch, config, made):
    dropin = "/etc/systemd/system/uwsgi@shop-1.service.d/10-publish-shop.conf"
    files = {
        dropin: b"[Service]\nExecStart=\nExecStart=/opt/uwsgi/current/bin/uwsgi --ini /etc/uwsgi/shop-1.ini\nUser=x\n",
        "/etc/uwsgi/shop-1.ini": ("[uwsgi]\n" + config).encode("utf-8"),
    }
    monkeypatch.setattr(left_data.glob, "glob", lambda pattern: [dropin, dropin.replace("shop", "other")])
    monkeypatch.setattr(left_data, "content_of", files.get)
    assert left_data.made_for("shop", ["/srv/wsgi", "/var/log/uwsgi"]) == made
    assert left_data.made_for("blog", ["/srv/wsgi"]) == ["/srv/wsgi/blog"]
    assert left_data.made_for("shop", []) == []
