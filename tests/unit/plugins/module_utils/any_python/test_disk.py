"""Paths, folders and links (runs under Python 2.7 too)."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os
import threading

import pytest

from ansible_collections.graceful.wsgi.plugins.module_utils.disk import lock_file, make_folders, switch_link


@pytest.fixture
def root(tmp_path):
    return str(tmp_path)


def test_switch_link(root):
    link = os.path.join(root, "current")
    assert switch_link(link, "releases/1") is True
    assert switch_link(link, "releases/1") is False
    assert switch_link(link, "releases/2") is True
    assert os.readlink(link) == "releases/2" and os.listdir(root) == ["current"]


def test_switch_link_is_one_rename_and_the_link_is_there_all_the_time(root, monkeypatch):
    link = os.path.join(root, "current")
    switch_link(link, "1")
    seen = []

    def watched(name, real):
        def call(*args):
            seen.append((name, os.readlink(link)))
            return real(*args)

        return call

    for name in ("symlink", "rename", "unlink"):
        monkeypatch.setattr(os, name, watched(name, getattr(os, name)))
    switch_link(link, "2")
    assert seen == [("symlink", "1"), ("rename", "1")]


def test_a_link_left_by_a_killed_run_goes(root):
    os.symlink("old", os.path.join(root, ".current.new"))
    switch_link(os.path.join(root, "current"), "1")
    assert os.listdir(root) == ["current"]


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_a_person_put_there_is_refused(root, kind):
    link = os.path.join(root, "current")
    if kind == "folder":
        os.mkdir(link)
    else:
        open(link, "w").close()
    with pytest.raises(IOError) as caught:
        switch_link(link, "1")
    assert link in str(caught.value) and not os.path.islink(link)


def test_folders_are_made_by_many_at_once(tmp_path):
    failed = []

    def make(number):
        try:
            for turn in range(40):
                make_folders(str(tmp_path / str(turn) / "a" / "b" / str(number)))
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=make, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []


def test_nobody_else_can_hold_a_lock_of_roots(tmpdir):
    path = str(tmpdir.join("lock"))
    # As a version before has made it.
    open(path, "w").close()
    os.chmod(path, 0o644)
    with lock_file(path) as handle:
        assert os.fstat(handle.fileno()).st_mode & 0o777 == 0o600
    tmpdir.join("other").write("")
    os.symlink(str(tmpdir.join("other")), str(tmpdir.join("link")))
    with pytest.raises(OSError):
        lock_file(str(tmpdir.join("link")))
