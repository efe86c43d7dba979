# -*- coding: utf-8 -*-
"""What nginx's account can read of what it is to serve (runs under Python 2.7 too)."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os

import pytest

from ansible_collections.graceful.wsgi.plugins.module_utils import served_checks

ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="root alone can look with another account's rights")


@pytest.fixture
def home(tmpdir):
    os.chmod(str(tmpdir), 0o755)
    # pytest's own folders are its user's alone.
    path = "/srv/test-served-%d" % os.getpid() if os.geteuid() == 0 else str(tmpdir)
    if not os.path.isdir(path):
        os.makedirs(path)
    yield path
    os.system("rm -rf '%s'" % path)


def put(path, mode=0o644):
    if not os.path.isdir(os.path.dirname(path)):
        os.makedirs(os.path.dirname(path))
    with open(path, "w") as target:
        target.write("x")
    os.chmod(path, mode)


def judged(path, **more):
    check = dict({"variable": "v", "path": path, "user": "no-such-account", "groups": []}, **more)
    return served_checks.problem(check, path)


def test_what_can_be_read_is_fine(home):
    put(home + "/static/a/b")
    assert judged(home + "/static") is None
    assert judged(home + "/static/a/b", file=True) is None


def test_a_folder_that_is_not_there(home):
    message, hint = judged(home + "/a/b")
    assert message == "there is no %s/a/b (%s is there, and holds no a)" % (home, home) and "make it" in hint
    message, hint = judged(home + "/a/b", release="b")
    assert message.startswith("the release has no b") and "relative to the code" in hint


def test_another_kind_than_is_meant(home):
    put(home + "/file")
    assert "is no folder" in judged(home + "/file")[0]
    assert "is no folder" in judged(home + "/file/below")[0] or "there is no" in judged(home + "/file/below")[0]
    assert "is no regular file" in judged(home, file=True)[0]


@ROOT
@pytest.mark.parametrize("closed", ["", "/static", "/static/a"])
def test_the_component_that_lets_nobody_pass_is_named(home, closed):
    put(home + "/static/a/b")
    os.chmod(home + closed, 0o700)
    message, hint = judged(home + "/static/a")
    lets = "(root:root, mode 0700) lets nginx's workers (no-such-account) not pass"
    assert message.startswith("%s %s" % (home + closed, lets))
    assert "chmod o+x %s`" % (home + closed) in hint and "setfacl" in hint


@ROOT
def test_files_that_cannot_be_read(home):
    put(home + "/static/a", 0o600)
    put(home + "/static/.hidden", 0o600)
    message, hint = judged(home + "/static")
    assert "1 of 1 files" in message and home + "/static/a (root:root, mode 0600)" in message and "a+rX" in hint
    put(home + "/static/b")
    # Of a folder that others fill, some may be meant so; of a release none is.
    message, text = judged(home + "/static")
    assert message is None and text.startswith("v: 1 of 2 files")
    assert "1 of 2" in judged(home + "/static", release="static")[0]
    assert "cannot be read" in judged(home + "/static/a", file=True)[0]


@ROOT
def test_a_group_that_nginx_becomes_a_member_of_lets_it_pass(home):
    put(home + "/static/a", 0o640)
    os.chmod(home, 0o750)
    assert judged(home + "/static") is not None
    assert judged(home + "/static", groups=["root"]) is None


@ROOT
def test_what_is_live_in_anothers_folder_does_not_stop_the_next_run(home):
    put(home + "/u/static/a")
    put(home + "/u/new/a")
    with open(home + "/nginx.conf", "w") as target:
        target.write("http { server { location /s/ { alias %s/u/static/; } } }" % home)
    os.chmod(home + "/u", 0o700)
    warned = []

    class Tools:
        warn = staticmethod(warned.append)

    def asked():
        checks = [{"variable": name, "path": home + "/u/" + name, "user": "x"} for name in ("static", "new")]
        return [told[0] for told in served_checks.served(checks, Tools, home + "/nginx.conf")]

    assert asked() == ["static", "new"] and not warned
    os.chown(home + "/u", 12345, 12345)
    assert asked() == ["new"]
    assert len(warned) == 1 and warned[0].startswith("static: %s/u (12345:12345, mode 0700) lets" % home)


def test_of_a_release_the_one_that_is_to_be_live_is_judged(home):
    put(home + "/releases/one/static/a")
    check = {"variable": "v", "path": home + "/current/static", "user": "x", "release": "static"}
    leads = {home + "/current": home + "/releases/one"}
    assert served_checks.in_releases([check], leads, None) == []
    os.rename(home + "/releases/one/static", home + "/releases/one/assets")
    assert served_checks.in_releases([check], leads, None)[0][0] == "v"
    # What is not there yet is asked once it is.
    assert served_checks.in_releases([check], {home + "/current": home + "/releases/two"}, None) == []


@ROOT
def test_what_outlives_a_release_is_only_told(home, monkeypatch):
    # The link in the release is the application's, and what it uploads may be closed to nginx.
    put(home + "/shared/media/closed", mode=0o600)
    put(home + "/releases/one/manage.py")
    os.symlink("../../shared/media", home + "/releases/one/media")
    lchowned = home + "/releases/one/media"
    monkeypatch.setattr(served_checks, "_owner", lambda path: 65534 if path.startswith(lchowned) else None)
    check = {"variable": "v", "path": home + "/current/media", "user": "x", "release": "media"}
    leads, told = {home + "/current": home + "/releases/one"}, []
    assert served_checks.in_releases([check], leads, told.append) == []
    assert len(told) == 1 and told[0].startswith("v: 1 of 1 files and folders")
    # Root's own chmod would follow a link of theirs.
    assert "run `runuser -u nobody -- chmod -R a+rX" in told[0]
    # A release's own is refused.
    monkeypatch.setattr(served_checks, "_owner", lambda path: None)
    assert served_checks.in_releases([check], leads, told.append)[0][0] == "v"
