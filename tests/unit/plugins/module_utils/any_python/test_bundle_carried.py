# -*- coding: utf-8 -*-
"""Files of two bundles that only go together are tested and swapped as one (runs under Python 2.7 too)."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import json
import os

import pytest

from ansible_collections.graceful.wsgi.plugins.module_utils import bundle as bundle_code
from ansible_collections.graceful.wsgi.plugins.module_utils.bundle import Bundle, BundleError, File


class Killed(BaseException):
    """As if the power went."""


class World:
    """A folder in which `conf` defines names, and each file of `sites` uses one; all that are used must be defined."""

    def __init__(self, root):
        self.live, self.state = os.path.join(root, "live"), os.path.join(root, "state")
        os.makedirs(self.live + "/sites")
        self.activated = 0
        self.answer = 0

    def read(self, path):
        with open(path) as source:
            return source.read()

    def command(self, command):
        words = command.split()
        if words[0] == "activate":
            self.activated += 1
            if isinstance(self.answer, BaseException):
                raise self.answer
            return self.answer, "", ""
        root = words[1]
        defined = self.read(root + "/conf").split() if os.path.exists(root + "/conf") else []
        used = [self.read(os.path.join(root, "sites", name)) for name in sorted(os.listdir(root + "/sites"))]
        lacks = [name for name in used if name not in defined] + [name for name in defined if name == "typo"]
        return (1, "", "unknown %s" % lacks[0]) if lacks else (0, "", "")

    def bundle(self, name, files, **more):
        made = [File(os.path.join(self.live, path), files[path].encode("ascii"), mode=0o644) for path in sorted(files)]
        return Bundle(
            name, [], made, [{"tree": self.live, "command": "check {tree}"}], self.command, lambda path, like: None,
            state_dir=self.state, **more
        )

    def conf(self, text, **more):
        more.setdefault("leave_to_others", [self.live + "/sites"])
        made = self.bundle("conf", {"conf": text}, **more)
        made.run()
        return made

    def sites(self, name="sites", left=None, **files):
        carried = None
        if left:
            carried = Bundle("conf", [], left, [], self.command, lambda path, like: None, state_dir=self.state)
        made = self.bundle(
            name, dict(("sites/" + key, text) for key, text in files.items()), prune=True, activate="activate",
            carried=carried,
        )
        made.run()
        return made

    def now(self):
        found = {"conf": self.read(self.live + "/conf")}
        for name in sorted(os.listdir(self.live + "/sites")):
            found[name] = self.read(os.path.join(self.live, "sites", name))
        return found


@pytest.fixture
def world(tmpdir, monkeypatch):
    monkeypatch.setattr(bundle_code.os, "fsync", lambda handle: None)
    made = World(str(tmpdir))
    made.conf("one")
    made.sites(a="one")
    return made


def test_what_only_goes_with_new_sites_is_left_and_brought_with_them(world):
    left = world.conf("two")
    assert left.report()["changed"] is False and world.now() == {"conf": "one", "a": "one"}
    told = left.report()["left"]
    assert told["files"] == [world.live + "/conf"] and "unknown one" in told["message"]
    before = world.activated
    brought = world.sites(left=left.left, a="two").report()
    assert brought["carried"] and brought["changed"] and world.now() == {"conf": "two", "a": "two"}
    assert [item["state"] for item in brought["files"]] == ["changed", "changed"]
    assert world.activated == before + 1
    # Nothing is left to do for either.
    assert not world.conf("two").report()["changed"] and not world.sites(a="two").report()["changed"]


def test_a_site_that_goes_may_take_its_name_along(world):
    left = world.conf("other").left
    assert left
    world.sites(left=left)
    assert world.now() == {"conf": "other"}


def test_what_is_wrong_in_itself_is_refused_at_once(world):
    with pytest.raises(BundleError, match="unknown (one|typo)"):
        world.conf("two typo")
    with pytest.raises(BundleError, match="unknown one"):
        world.conf("two", leave_to_others=[])


def test_what_somebody_wrote_by_hand_is_nobodys_to_bring(world):
    with open(world.live + "/sites/hand", "w") as target:
        target.write("one")
    with pytest.raises(BundleError, match="unknown one"):
        world.conf("two")


def test_what_does_not_concern_these_sites_waits_on(world):
    world.conf("one three")
    world.sites("others", b="three")
    left = world.conf("two three").left
    made = world.sites("more", left=left, c="three").report()
    assert not made["carried"] and made["changed"] and world.now()["conf"] == "one three"
    assert world.sites(left=left, a="two").report()["carried"]
    assert world.now() == {"conf": "two three", "a": "two", "b": "three", "c": "three"}


def test_sites_that_go_neither_with_nor_without_tell_both(world):
    left = world.conf("two").left
    with pytest.raises(BundleError, match="unknown three(.|\n)*tested together with .*/conf"):
        world.sites(left=left, a="three")
    assert world.now() == {"conf": "one", "a": "one"}


def test_all_goes_back_together(world):
    left = world.conf("two").left
    world.answer = 1
    with pytest.raises(BundleError, match="activate failed"):
        world.sites(left=left, a="two")
    assert world.now() == {"conf": "one", "a": "one"}


@pytest.mark.parametrize("first", ["conf", "sites"])
@pytest.mark.parametrize("step", range(5))
def test_a_killed_run_is_made_up_for_by_whichever_comes_first(world, monkeypatch, step, first):
    left = world.conf("two").left
    real, count = os.rename, []

    def rename(source, target):
        if target.startswith(world.live):
            count.append(target)
            if len(count) > step:
                raise Killed()
        real(source, target)

    # Killed, a run does not get to put anything back.
    monkeypatch.setattr(bundle_code.Bundle, "_back", lambda *_all: "")
    monkeypatch.setattr(bundle_code.os, "rename", rename)
    if step >= 2:
        world.answer = Killed()
    with pytest.raises(Killed):
        world.sites(left=left, a="two")
    monkeypatch.undo()
    monkeypatch.setattr(bundle_code.os, "fsync", lambda handle: None)
    world.answer = 0
    assert json.loads(world.read(world.state + "/sites/journal.json"))["with"] == "conf"
    if first == "conf":
        left = world.conf("two").left
        assert world.now() == {"conf": "one", "a": "one"}
        world.sites(left=left, a="two")
    else:
        # The role of the sites by itself: it knows nothing of what waited.
        world.sites(a="one")
        assert world.now() == {"conf": "one", "a": "one"}
        world.sites(left=world.conf("two").left, a="two")
    assert world.now() == {"conf": "two", "a": "two"}
