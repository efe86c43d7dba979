"""Paths, folders and links (runs under Python 2.7 too)."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os

import pytest

from ansible_collections.graceful.wsgi.plugins.module_utils.disk import switch_link


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
