# -*- coding: utf-8 -*-
"""A bundle is written as a whole or not at all, whatever happens on the way (runs under Python 2.7 too)."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import errno
import fcntl
import json
import os
import stat

import pytest

from ansible_collections.graceful.wsgi.plugins.module_utils import bundle as bundle_code
from ansible_collections.graceful.wsgi.plugins.module_utils import bundle_entries, manifests
from ansible_collections.graceful.wsgi.plugins.module_utils.bundle import (
    Bundle,
    BundleError,
    File,
    Folder,
)
from ansible_collections.graceful.wsgi.plugins.module_utils.bundle_entries import octal
from ansible_collections.graceful.wsgi.plugins.module_utils.disk import make_folders, native


def put(path, text):
    if not os.path.isdir(os.path.dirname(path)):
        os.makedirs(os.path.dirname(path))
    with open(path, "wb") as target:
        target.write(text.encode("utf-8"))


def tree(root):
    """Everything below a folder: names, modes, contents and where symlinks lead."""
    found = {}
    for base, folders, files in os.walk(root):
        for name in folders + files:
            path = os.path.join(base, name)
            status = os.lstat(path)
            content = None
            if stat.S_ISLNK(status.st_mode):
                content = os.readlink(path)
            elif stat.S_ISREG(status.st_mode):
                with open(path, "rb") as source:
                    content = source.read().decode("utf-8")
            found[os.path.relpath(path, root)] = (stat.S_IFMT(status.st_mode), stat.S_IMODE(status.st_mode), content)
    return found


class World:
    """A live tree, a state folder beside it and commands that answer as told."""

    def __init__(self, root):
        self.root = root
        self.live = os.path.join(root, "live")
        self.state = os.path.join(root, "state")
        self.calls = []
        self.answers = {}
        self.seen = None
        os.mkdir(self.live)

    def path(self, name):
        return os.path.join(self.live, name)

    def run_command(self, command):
        """`check FOLDER` remembers what it was shown; any command answers with the status it was given."""
        words = command.split()
        if words[0] == "/check":
            self.seen = tree(words[1])
        self.calls.append(words[0])
        answers = self.answers.get(words[0], [0])
        status = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(status, BaseException):
            raise status
        return status, "", "said " + command if status else ""

    def bundle(self, files=(), folders=(), name="b", validate=True, **more):
        check_mode = more.get("check_mode", False)
        # Whose a file is that stands there has tests of its own.
        more.setdefault("take_over", True)
        wanted = []
        for item in files:
            if isinstance(item, tuple):
                item = File(self.path(item[0]), item[1].encode("utf-8"), mode=0o644, check_mode=check_mode)
            wanted.append(item)
        return Bundle(
            name=name,
            folders=list(folders),
            files=wanted,
            trees=[{"tree": self.live, "command": "/check {tree}"}] if validate else [],
            run_command=self.run_command,
            relabel=lambda path, like: None,
            state_dir=self.state,
            **more
        )

    def run(self, *files, **more):
        made = self.bundle(files, **more)
        made.run()
        return made

    def text(self, name):
        with open(self.path(name), "rb") as source:
            return source.read().decode("utf-8")

    def state_names(self, name="b"):
        return sorted(os.listdir(os.path.join(self.state, name)))


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Nothing here cuts the power, so nothing has to reach the disk."""
    monkeypatch.setattr(bundle_code.os, "fsync", lambda handle: None)


@pytest.fixture
def world(tmp_path):
    return World(str(tmp_path))


def states(made):
    return dict((os.path.basename(item["dest"]), item["state"]) for item in made.report()["files"])


# -- what is written -------------------------------------------------------------------------------------------------


def test_created_then_unchanged_then_changed(world):
    first = world.run(("a", "1"), ("b", "1"))
    assert states(first) == {"a": "created", "b": "created"}
    assert first.report()["changed"] is True
    second = world.run(("a", "1"), ("b", "1"))
    assert states(second) == {"a": "unchanged", "b": "unchanged"}
    assert second.report()["changed"] is False and second.diff() == []
    third = world.run(("a", "1"), ("b", "2"))
    assert states(third) == {"a": "unchanged", "b": "changed"}
    assert (world.text("a"), world.text("b")) == ("1", "2")
    assert third.diff() == [
        {"before_header": world.path("b"), "after_header": world.path("b"), "before": "1", "after": "2"}
    ]
    assert sorted(os.listdir(world.live)) == ["a", "b"]
    assert world.state_names() == ["lock", "manifest.json", "previous.json"]


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_modes_do_not_depend_on_the_umask(world, umask):
    before = os.umask(umask)
    try:
        folder = Folder(world.path("x/y/z"), mode=0o750)
        world.run(File(world.path("x/y/z/f"), b"1", mode=0o640), folders=[folder])
    finally:
        os.umask(before)
    found = tree(world.live)
    assert dict((name, found[name][1]) for name in found) == {
        "x": 0o755, "x/y": 0o755, "x/y/z": 0o750, "x/y/z/f": 0o640,
    }


def test_a_folder_that_came_to_be_as_the_parent_of_another_gets_its_own_mode(world):
    folders = [Folder(world.path("x/y"), mode=0o700), Folder(world.path("x"), mode=0o711)]
    made = world.run(folders=folders)
    found = tree(world.live)
    assert (found["x"][1], found["x/y"][1]) == (0o711, 0o700)
    assert [item["state"] for item in made.report()["directories"]] == ["created", "created"]


def test_only_the_mode_differs(world):
    put(world.path("f"), "1")
    os.chmod(world.path("f"), 0o600)
    os.mkdir(world.path("d"))
    os.chmod(world.path("d"), 0o700)
    made = world.run(("f", "1"), folders=[Folder(world.path("d"), mode=0o755)])
    assert states(made) == {"f": "changed"}
    assert (tree(world.live)["f"][1], tree(world.live)["d"][1]) == (0o644, 0o755)
    # The diff shows what was there before the run, not what the run made of it.
    before = dict((item["before_header"], item["before"]) for item in made.diff())
    assert before[world.path("f")].startswith("mode 0600 ") and before[world.path("d")].startswith("mode 0700 ")


def test_mode_none_keeps_the_mode_that_is_there(world):
    put(world.path("f"), "1")
    os.chmod(world.path("f"), 0o604)
    world.run(File(world.path("f"), b"2"))
    assert tree(world.live)["f"] == (stat.S_IFREG, 0o604, "2")


def test_non_ascii_names_and_texts(world):
    name = u"sch\u00f6n.conf".encode("utf-8") if str is bytes else u"sch\u00f6n.conf"
    text = u"# \u4e2d\u6587\n"
    world.run((name, text), prune=True)
    again = world.run((name, text), prune=True)
    assert again.report()["changed"] is False
    assert world.text(name) == text
    assert again.report()["kept"] == []
    gone = world.run(prune=True)
    assert os.listdir(world.live) == []
    assert gone.diff()[0]["before"] == text


def test_without_force_what_is_there_stays(world):
    put(world.path("a"), "mine")
    made = world.run(File(world.path("a"), b"1", mode=0o644, force=False), File(world.path("b"), b"1", force=False))
    assert states(made) == {"a": "unchanged", "b": "created"}
    assert world.text("a") == "mine"


@pytest.mark.parametrize("kind", ["symlink", "folder", "dangling"])
def test_what_is_no_regular_file_is_refused_and_left(world, kind):
    put(world.path("real"), "mine")
    if kind == "folder":
        os.mkdir(world.path("a"))
    else:
        os.symlink("real" if kind == "symlink" else "nowhere", world.path("a"))
    before = tree(world.live)
    with pytest.raises(BundleError) as caught:
        world.run(("b", "1"), ("a", "1"))
    assert world.path("a") in str(caught.value)
    assert tree(world.live) == before


@pytest.mark.parametrize("kind", ["symlink", "file"])
def test_what_is_no_folder_is_refused(world, kind):
    put(world.path("real"), "mine")
    if kind == "symlink":
        os.symlink(world.root, world.path("d"))
    name = "d" if kind == "symlink" else "real"
    with pytest.raises(BundleError) as caught:
        world.run(folders=[Folder(world.path(name), mode=0o700)])
    assert world.path(name) in str(caught.value)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda world: world.bundle([("a", "1"), ("x/../a", "2")]), "wanted twice"),
        (lambda world: File("relative/f", b""), "must be absolute"),
        (lambda world: File(world.path("f"), b"", owner="no-such-user-here"), "there is no user"),
        (lambda world: File(world.path("f"), b"", group="no-such-group-here"), "there is no group"),
        (lambda world: world.bundle(name="../x"), "is no name"),
        (lambda world: world.bundle(name=""), "is no name"),
        (lambda world: octal("420"), "leading zero"),
        (lambda world: octal("u=rw"), "leading zero"),
        (lambda world: octal("0o644"), "leading zero"),
    ],
)
def test_refused_before_anything_is_written(world, make, message):
    with pytest.raises(BundleError) as caught:
        make(world)
    assert message in str(caught.value)
    assert os.listdir(world.root) == ["live"]


def test_octal():
    assert [octal(text) for text in ("0644", "02755", "0000", None)] == [0o644, 0o2755, 0, None]


def test_a_user_that_check_mode_cannot_know_counts_as_a_change(world):
    entry = File(world.path("f"), b"1", owner="no-such-user-here", check_mode=True)
    put(world.path("f"), "1")
    made = world.run(entry, check_mode=True)
    assert states(made) == {"f": "changed"}
    assert "uid (new)" in made.diff()[0]["after"]


# -- validation ------------------------------------------------------------------------------------------------------


def test_the_tree_is_judged_with_all_changes_before_any_is_live(world):
    put(world.path("conf.d/old"), "1")
    world.run(("gone", "1"))
    put(world.path("theirs"), "1")
    before = tree(world.live)
    world.answers["/check"] = [1]
    with pytest.raises(BundleError) as caught:
        world.run(("conf.d/old", "2"), ("conf.d/new", "1"), prune=True)
    seen = dict((name, world.seen[name][2]) for name in world.seen)
    assert seen == {"conf.d": None, "conf.d/old": "2", "conf.d/new": "1", "theirs": "1"}
    assert tree(world.live) == before
    # The message names the live tree, not the copy.
    assert "said /check %s" % world.live in str(caught.value) and "stage-" not in str(caught.value)
    assert world.state_names() == ["lock", "manifest.json", "previous.json"]


def test_a_file_of_its_own_validation_is_judged_under_its_name(world):
    asked = []

    def run_command(command):
        asked.append(os.path.basename(command.split()[1]))
        with open(command.split()[1]) as source:
            return (1, "", command) if "bad" in source.read() else (0, "", "")

    world.run_command = run_command
    entry = File(world.path("app.ini"), b"good", validate="/try %s", mode=0o644)
    world.run(entry, validate=False)
    assert asked == ["app.ini"]
    with pytest.raises(BundleError) as caught:
        world.run(File(world.path("app.ini"), b"bad", validate="/try %s", mode=0o644), validate=False)
    assert world.text("app.ini") == "good"
    assert "/try %s" % world.path("app.ini") in str(caught.value)


def test_nothing_below_a_tree_changes_so_nothing_is_run(world):
    put(world.path("a"), "1")
    os.chmod(world.path("a"), 0o644)
    world.run(("a", "1"))
    outside = os.path.join(world.root, "live-beside")
    world.run(File(outside, b"1", mode=0o644))
    assert world.calls == []


def test_a_program_that_is_not_there_is_an_answer_not_a_crash(world):
    world.answers["/check"] = [OSError(errno.ENOENT, "No such file", "/check")]
    with pytest.raises(BundleError) as caught:
        world.run(("a", "1"))
    assert "status 127" in str(caught.value) and os.listdir(world.live) == []


def test_symlinks_lead_in_the_copy_where_they_led_in_the_tree(world):
    put(world.path("available/a"), "1")
    os.mkdir(world.path("enabled"))
    os.symlink("../available/a", world.path("enabled/relative"))
    os.symlink(world.path("available/a"), world.path("enabled/absolute"))
    os.symlink("../../outside", world.path("enabled/out"))
    os.symlink("nowhere", world.path("dangling"))
    put(os.path.join(world.root, "outside"), "far")
    os.mkfifo(world.path("fifo"))
    read = {}

    def run_command(command):
        copy = command.split()[1]
        for name in ("enabled/relative", "enabled/absolute", "enabled/out"):
            with open(os.path.join(copy, name)) as source:
                read[name] = source.read()
        read["dangling"] = os.path.islink(os.path.join(copy, "dangling"))
        return 0, "", ""

    world.run_command = run_command
    world.run(("available/a", "2"))
    assert read == {"enabled/relative": "2", "enabled/absolute": "2", "enabled/out": "far", "dangling": True}


@pytest.mark.parametrize("absolute", [True, False])
def test_nothing_is_written_through_a_symlink_while_it_is_only_tried(world, absolute):
    """A folder of the tree may be a symlink to another place: the copy gets its own one."""
    real = os.path.join(world.root, "elsewhere")
    put(os.path.join(real, "site"), "1")
    put(os.path.join(real, "other"), "1")
    os.symlink(real if absolute else "../elsewhere", world.path("conf.d"))
    before = tree(real)
    world.answers["/check"] = [1]
    with pytest.raises(BundleError):
        world.run(("conf.d/site", "2"), ("conf.d/new", "2"))
    assert tree(real) == before
    assert dict((name, world.seen[name][2]) for name in world.seen) == {
        "conf.d": None, "conf.d/site": "2", "conf.d/new": "2", "conf.d/other": "1",
    }
    world.answers["/check"] = [0]
    world.run(("conf.d/site", "2"), ("conf.d/new", "2"))
    assert os.path.islink(world.path("conf.d")) and world.text("conf.d/site") == "2"


# -- prune -----------------------------------------------------------------------------------------------------------


def test_prune_removes_what_an_earlier_run_wrote_and_nothing_else(world):
    world.run(("a", "1"), ("b", "1"), ("edited", "1"), ("replaced", "1"))
    put(world.path("theirs"), "1")
    put(world.path("edited"), "mine")
    os.unlink(world.path("replaced"))
    os.symlink("theirs", world.path("replaced"))
    world.run(("other", "1"), name="c")
    made = world.run(("a", "1"), prune=True)
    assert states(made) == {"a": "unchanged", "b": "removed"}
    assert made.report()["kept"] == [world.path("edited"), world.path("replaced")]
    assert sorted(os.listdir(world.live)) == ["a", "edited", "other", "replaced", "theirs"]
    # From now on they are somebody's, and no news.
    again = world.run(("a", "1"), prune=True)
    assert again.report()["kept"] == [] and again.report()["changed"] is False


def folder(world, name):
    return Folder(world.path(name), mode=0o755)


def test_a_folder_that_a_run_made_goes_with_its_last_file_and_comes_back_with_it(world):
    world.run(("a.d/x", "1"), ("b.d/x", "1"), ("b.d/y", "1"), folders=[folder(world, "a.d"), folder(world, "b.d")])
    before = tree(world.live)
    made = world.run(remove=[world.path("a.d/x"), world.path("b.d/x")])
    assert sorted(os.listdir(world.live)) == ["b.d"] and os.listdir(world.path("b.d")) == ["y"]
    world.run(undo=made.report()["run"])
    assert tree(world.live) == before


def test_a_folder_that_was_there_before_or_holds_something_else_stays(world):
    os.mkdir(world.path("theirs.d"))
    world.run(("theirs.d/x", "1"), ("ours.d/x", "1"), folders=[folder(world, "theirs.d"), folder(world, "ours.d")])
    put(world.path("ours.d/override.conf"), "theirs")
    world.run(prune=True)
    assert sorted(os.listdir(world.live)) == ["ours.d", "theirs.d"]
    assert os.listdir(world.path("ours.d")) == ["override.conf"]


def test_a_first_run_that_is_put_back_leaves_no_folder_of_its_own(world):
    made = world.run(("a.d/x", "1"), folders=[folder(world, "a.d")])
    world.run(undo=made.report()["run"])
    assert os.listdir(world.live) == []


def test_a_folder_that_is_still_wanted_stays_without_files(world):
    world.run(("a.d/x", "1"), folders=[folder(world, "a.d")])
    world.run(folders=[folder(world, "a.d")], prune=True)
    assert os.listdir(world.live) == ["a.d"]


def test_without_prune_nothing_goes_and_the_next_prune_still_knows(world):
    world.run(("a", "1"), ("b", "1"))
    world.run(("a", "1"))
    assert sorted(os.listdir(world.live)) == ["a", "b"]
    world.run(("a", "1"), prune=True)
    assert os.listdir(world.live) == ["a"]


def test_an_unforced_file_is_never_pruned(world):
    put(world.path("theirs"), "1")
    world.run(File(world.path("theirs"), b"1", force=False), File(world.path("ours"), b"1", force=False))
    assert world.run(prune=True).report()["stale"] == []
    assert sorted(os.listdir(world.live)) == ["ours", "theirs"]


def test_what_nobody_wants_any_more_is_told_and_goes_when_it_is_named(world):
    world.run(("a", "1"), ("b", "1"), ("c", "1"), ("edited", "1"))
    put(world.path("edited"), "mine")
    made = world.run(("a", "1"))
    stale = [world.path(name) for name in ("b", "c", "edited")]
    assert made.report()["stale"] == stale and made.report()["changed"] is False
    gone = world.run(remove=[world.path("b"), world.path("edited"), world.path("a") + "x"])
    assert states(gone) == {"b": "removed"} and gone.report()["kept"] == [world.path("edited")]
    assert sorted(os.listdir(world.live)) == ["a", "c", "edited"]
    # What somebody has made his own is no longer ours to tell of; the rest is still known.
    assert world.run(("a", "1")).report()["stale"] == [world.path("c")]
    world.run(undo=gone.report()["run"])
    assert world.text("b") == "1"


# -- undo ------------------------------------------------------------------------------------------------------------


def test_a_run_can_be_put_back(world):
    world.run(("changed", "1"), ("gone", "1"), ("same", "1"), ("mode", "1"))
    os.chmod(world.path("gone"), 0o640)
    before = tree(world.live)
    mode = File(world.path("mode"), b"1", mode=0o600)
    made = world.run(("changed", "2"), ("same", "1"), ("created", "1"), mode, prune=True)
    after = tree(world.live)
    undone = world.run(undo=made.report()["run"])
    assert states(undone) == {"changed": "changed", "gone": "created", "created": "removed", "mode": "changed"}
    assert tree(world.live) == before
    # What is put back is known as ours again, and putting back is a run like any other.
    world.run(undo=undone.report()["run"])
    assert tree(world.live) == after
    world.run(prune=True)
    assert os.listdir(world.live) == []


def test_what_was_edited_since_is_not_put_back(world):
    world.run(("a", "1"), ("b", "1"))
    made = world.run(("a", "2"), ("b", "2"), ("c", "2"))
    put(world.path("b"), "mine")
    put(world.path("c"), "mine")
    undone = world.run(undo=made.report()["run"])
    assert [world.text(name) for name in "abc"] == ["1", "mine", "mine"]
    assert undone.report()["kept"] == [world.path("b"), world.path("c")]


def test_only_the_last_run_that_changed_something_can_be_put_back(world):
    first = world.run(("a", "1")).report()["run"]
    second = world.run(("a", "2")).report()["run"]
    assert world.run(("a", "2")).report()["run"] is None
    with pytest.raises(BundleError) as caught:
        world.run(undo=first)
    assert first in str(caught.value) and second in str(caught.value)
    world.run(undo=second)
    assert world.text("a") == "1"
    with pytest.raises(BundleError):
        world.run(undo=second)


def test_undo_in_check_mode_says_what_it_would_do(world):
    world.run(("a", "1"))
    made = world.run(("a", "2"), ("b", "2"))
    before = tree(world.live)
    undone = world.run(undo=made.report()["run"], check_mode=True)
    assert states(undone) == {"a": "changed", "b": "removed"}
    assert tree(world.live) == before


# -- activate --------------------------------------------------------------------------------------------------------


def test_activated_once_after_the_swap(world):
    live = []

    def run_command(command):
        live.append((command.split()[0], sorted(os.listdir(world.live))))
        return 0, "", ""

    world.run_command = run_command
    made = world.run(("a", "1"), ("b", "1"), activate="/activate now")
    assert live == [("/check", []), ("/activate", ["a", "b"])]
    assert made.report()["activated"] is True
    assert world.state_names() == ["lock", "manifest.json", "previous.json"]
    again = world.run(("a", "1"), ("b", "1"), activate="/activate now")
    assert len(live) == 2
    assert (again.report()["activated"], again.report()["changed"]) == (False, False)


def test_pruning_alone_activates(world):
    world.run(("a", "1"))
    made = world.run(prune=True, activate="/activate")
    assert made.report()["activated"] is True and world.calls[-1] == "/activate"


def test_a_failing_activation_puts_everything_back_and_activates_that(world):
    world.run(("a", "1"), ("gone", "1"))
    before = tree(world.live)
    during = []

    def run_command(command):
        if command.startswith("/activate"):
            during.append(tree(world.live))
            return (1 if len(during) == 1 else 0), "", "no way"
        return 0, "", ""

    world.run_command = run_command
    with pytest.raises(BundleError) as caught:
        world.run(("a", "2"), ("new", "1"), prune=True, activate="/activate")
    assert "no way" in str(caught.value) and "everything was put back" in str(caught.value)
    assert sorted(during[0]) != sorted(before) and during[1] == before
    assert tree(world.live) == before
    # The programs run what is on the disk: nothing is owed.
    assert world.state_names() == ["lock", "manifest.json", "previous.json"]


def test_if_activation_fails_twice_the_next_run_makes_up_for_it(world):
    world.run(("a", "1"))
    before = tree(world.live)
    world.answers["/activate"] = [1, 1, 0]
    with pytest.raises(BundleError):
        world.run(("a", "2"), activate="/activate")
    assert tree(world.live) == before and "not-activated" in world.state_names()
    told = world.run(("a", "1"), activate="/activate", check_mode=True)
    assert told.report()["changed"] is True and told.report()["activated"] is False
    made = world.run(("a", "1"), activate="/activate")
    assert world.calls.count("/activate") == 3
    # What check mode says and what the run says agree.
    assert made.report()["changed"] is True and made.report()["activated"] is True
    assert "not-activated" not in world.state_names()
    assert world.run(("a", "1"), activate="/activate").report()["changed"] is False


def test_an_overdue_activation_that_fails_stays_overdue(world):
    world.run(("a", "1"))
    put(os.path.join(world.state, "b", "not-activated"), "")
    world.answers["/activate"] = [1]
    with pytest.raises(BundleError):
        world.run(("a", "1"), activate="/activate")
    assert "not-activated" in world.state_names()


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(1), OSError(errno.ENOENT, "gone"), ValueError("x")])
def test_whatever_activation_raises_all_is_put_back(world, error):
    world.run(("a", "1"))
    before = tree(world.live)
    world.answers["/activate"] = [error, 0]
    with pytest.raises(BundleError if isinstance(error, OSError) else type(error)):
        world.run(("a", "2"), ("b", "1"), activate="/activate")
    assert tree(world.live) == before
    assert world.state_names() == ["lock", "manifest.json", "previous.json"]


def test_an_error_before_the_activation_does_not_activate(world):
    world.run(("a", "1"))
    with pytest.raises(BundleError):
        world.run(("a", "2"), ("no/such/folder/f", "1"), activate="/activate")
    assert world.text("a") == "1" and "/activate" not in world.calls
    assert world.state_names() == ["lock", "manifest.json", "previous.json"]


# -- failures and kills at every step --------------------------------------------------------------------------------

OPERATIONS = ("open", "rename", "link", "unlink", "mkdir", "chmod", "fsync")


def old_and_new(world):
    """A world with an old set live, and what makes the new one of it."""
    world.run(("changed", "1"), ("gone", "1"), ("same", "1"), ("mode", "1"))
    put(world.path("theirs"), "1")
    os.chmod(world.path("mode"), 0o600)
    files = [("changed", "2"), ("same", "1"), ("created", "1"), ("mode", "1"), ("dir/deep", "1")]

    def run(**more):
        folders = [Folder(world.path("dir"), mode=0o755)]
        return world.run(*files, folders=folders, prune=True, activate="/activate", **more)

    return run


def without_the_folder(found):
    """Folders are made before the validation and stay; they are no part of the set."""
    return dict((name, found[name]) for name in found if name != "dir")


def outcomes(tmp_path):
    """The live trees before and after."""
    root = tmp_path / "reference"
    root.mkdir()
    world = World(str(root))
    run = old_and_new(world)
    before = tree(world.live)
    run()
    return without_the_folder(before), without_the_folder(tree(world.live))


def counting(monkeypatch, act):
    """Have every operation on files counted, and ``act(number)`` called before it."""
    done = [0]
    real_open = os.open

    def wrap(real):
        def counted(*args, **kwargs):
            if real is real_open and args[1] & os.O_DIRECTORY:
                # Folders that are walked through: nothing changes by that.
                return real(*args, **kwargs)
            done[0] += 1
            act(done[0])
            return real(*args, **kwargs)

        return counted

    for name in OPERATIONS:
        monkeypatch.setattr(bundle_code.os, name, wrap(getattr(os, name)))
    return done


def test_an_error_at_any_step_leaves_the_old_or_the_new_set(tmp_path, monkeypatch):
    old, new = outcomes(tmp_path)
    assert old != new
    number, failed = 0, 0
    while True:
        number += 1
        root = tmp_path / ("w%d" % number)
        root.mkdir()
        world = World(str(root))
        run = old_and_new(world)

        def act(done, number=number):
            if done == number:
                raise OSError(errno.ENOSPC, "No space left on device")

        with monkeypatch.context() as patch:
            done = counting(patch, act)
            try:
                made = run()
            except BundleError:
                made = None
                failed += 1
            steps = done[0]
        found = without_the_folder(tree(world.live))
        leftovers = [name for name in found if os.path.basename(name).startswith(".")]
        for name in leftovers:
            found.pop(name)
        if made is not None:
            assert found == new
        # A cleaning that fails once the set is final is the only way to the new set with an error.
        assert found in (old, new), number
        run()
        assert without_the_folder(tree(world.live)) == new, number
        assert world.state_names() == ["lock", "manifest.json", "previous.json"]
        if made is not None and steps < number:
            break
    assert failed > 20


def test_kill_at_any_step_is_put_back_or_finished_by_the_next_run(tmp_path, monkeypatch):
    """The process ends between every two operations, as by kill -9; the next run is one whose validation fails."""
    old, new = outcomes(tmp_path)
    number, seen = 0, []
    while True:
        number += 1
        root = tmp_path / ("w%d" % number)
        root.mkdir()
        world = World(str(root))
        run = old_and_new(world)
        if not killed_at(monkeypatch, number, run):
            break
        killed = tree(world.live)
        bare = dict((name, killed[name]) for name in killed if "." not in name and name != "dir")
        mixed = bare not in (old, new)
        told = run(check_mode=True)
        assert tree(world.live) == killed
        assert told.report()["changed"] or bare == new, number
        world.answers["/check"] = [1]
        # Another set than the killed run's, so that there is something to judge.
        with pytest.raises(BundleError):
            world.run(("bad", "1"), prune=False, activate="/activate")
        found = without_the_folder(tree(world.live))
        assert found in (old, new), number
        assert found == old or not mixed, number
        seen.append((found == old, mixed))
        world.answers["/check"] = [0]
        run()
        assert without_the_folder(tree(world.live)) == new, number
        assert world.state_names() == ["lock", "manifest.json", "previous.json"]
        assert run().report()["changed"] is False
    assert (True, True) in seen and (False, False) in seen


def killed_at(monkeypatch, number, run):
    """Whether the run, in a process of its own, came as far as this step and ended there."""
    child = os.fork()
    if child == 0:
        try:
            with monkeypatch.context() as patch:
                counting(patch, lambda done: os._exit(9) if done == number else None)
                run()
            os._exit(0)
        finally:
            os._exit(1)
    status = os.WEXITSTATUS(os.waitpid(child, 0)[1])
    assert status in (0, 9), number
    return status == 9


def test_kill_at_any_step_of_what_makes_up_for_a_kill(tmp_path, monkeypatch):
    old, new = outcomes(tmp_path)
    for first in range(4, 200, 9):
        for second in range(1, 200, 3):
            root = tmp_path / ("w%d-%d" % (first, second))
            root.mkdir()
            world = World(str(root))
            run = old_and_new(world)
            if not killed_at(monkeypatch, first, run):
                return
            ended = not killed_at(monkeypatch, second, run)
            world.answers["/check"] = [1]
            with pytest.raises(BundleError):
                world.run(("bad", "1"))
            assert without_the_folder(tree(world.live)) in (old, new), (first, second)
            world.answers["/check"] = [0]
            run()
            assert without_the_folder(tree(world.live)) == new, (first, second)
            assert world.state_names() == ["lock", "manifest.json", "previous.json"]
            if ended:
                break
    raise AssertionError("the run never ended")


def test_a_full_disk_is_named_and_has_nothing_of_ours_left(world, monkeypatch):
    world.run(("a", "1"))

    def full(handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(bundle_code.os, "fsync", full)
    for path in (world.path("b"), os.path.join(world.state, "b", "manifest.json")):
        with pytest.raises(EnvironmentError) as caught:
            bundle_code.replace_bytes(path, b"1")
        assert caught.value.filename == path + ".new" and caught.value.errno == errno.ENOSPC
    assert os.listdir(world.live) == ["a"]
    assert world.state_names() == ["lock", "manifest.json", "previous.json"]


def test_check_mode_says_that_an_interrupted_run_will_be_put_back(world, monkeypatch):
    run = old_and_new(world)
    child = os.fork()
    if child == 0:
        world.run_command = lambda command: os._exit(9) if command == "/activate" else (0, "", "")
        try:
            run()
        finally:
            os._exit(1)
    assert os.WEXITSTATUS(os.waitpid(child, 0)[1]) == 9
    assert world.text("changed") == "2"
    before = tree(world.root)
    told = run(check_mode=True)
    assert tree(world.root) == before
    assert told.report()["changed"] is True
    made = run()
    assert made.report()["changed"] is True and made.report()["activated"] is True
    assert sorted(name for name in os.listdir(world.live) if name.startswith(".")) == []


def test_an_interrupted_swap_is_a_change_even_where_all_its_files_are_as_wanted(world, monkeypatch):
    world.run(("a", "1"))
    child = os.fork()
    if child == 0:
        monkeypatch.setattr(Bundle, "_record", lambda bundle, token: os._exit(9))
        try:
            world.run(("a", "2"))
        finally:
            os._exit(1)
    assert os.WEXITSTATUS(os.waitpid(child, 0)[1]) == 9
    assert world.text("a") == "2"
    assert world.run(("a", "2"), check_mode=True).report()["changed"] is True
    assert world.run(("a", "2")).report()["changed"] is True
    assert world.run(("a", "2")).report()["changed"] is False


def test_what_a_person_did_after_a_kill_is_not_undone(world):
    run = old_and_new(world)
    child = os.fork()
    if child == 0:
        world.run_command = lambda command: os._exit(9) if command == "/activate" else (0, "", "")
        try:
            run()
        finally:
            os._exit(1)
    os.waitpid(child, 0)
    put(world.path("changed"), "mended by hand")
    put(world.path("created"), "mended by hand")
    world.answers["/check"] = [1]
    with pytest.raises(BundleError):
        world.run(("bad", "1"))
    assert (world.text("changed"), world.text("created")) == ("mended by hand", "mended by hand")
    assert world.text("gone") == "1"


def test_a_stage_left_by_a_killed_run_goes(world):
    world.run(("a", "1"))
    put(os.path.join(world.state, "b", "stage-abc", "tree0", "secret"), "1")
    put(os.path.join(world.state, "b", "manifest.json.new"), "{")
    put(os.path.join(world.state, "b", "journal.json.new"), "{")
    # Even one that has nothing to write.
    world.run(("a", "1"))
    assert world.state_names() == ["lock", "manifest.json", "previous.json"]


def test_the_last_step_is_put_back_first(world, monkeypatch):
    world.run(("a", "1"), ("b", "1"))
    order = []
    real = os.rename

    def rename(source, target):
        order.append((source.rpartition(".")[2], os.path.basename(target)))
        real(source, target)

    monkeypatch.setattr(bundle_code.os, "rename", rename)
    world.answers["/activate"] = [1, 0]
    with pytest.raises(BundleError):
        world.run(("a", "2"), ("b", "2"), activate="/activate")
    assert [step for step in order if step[1] in ("a", "b")] == [("new", "a"), ("new", "b"), ("old", "b"), ("old", "a")]


def test_what_cannot_be_put_back_is_said_and_tried_again(world, monkeypatch):
    world.run(("a", "1"), ("b", "1"))
    before = tree(world.live)
    real = os.rename

    def rename(source, target):
        if source.endswith(".old"):
            raise OSError(errno.EROFS, "Read-only file system")
        real(source, target)

    world.answers["/activate"] = [1, 0]
    with monkeypatch.context() as patch:
        patch.setattr(bundle_code.os, "rename", rename)
        with pytest.raises(BundleError) as caught:
            world.run(("a", "2"), ("b", "2"), activate="/activate")
    assert "NOT everything could be put back" in str(caught.value)
    world.answers["/check"] = [1]
    with pytest.raises(BundleError):
        world.run(("bad", "1"))
    assert tree(world.live) == before


# -- check mode and concurrency --------------------------------------------------------------------------------------


def test_check_mode_writes_nothing_and_says_what_the_run_would(world, monkeypatch, tmp_path):
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(bundle_code.tempfile, "tempdir", str(temporary))
    run = old_and_new(world)
    before = tree(world.root)
    told = run(check_mode=True)
    assert tree(world.root) == before
    made = run()
    assert told.report()["files"] == made.report()["files"]
    assert told.report()["directories"] == made.report()["directories"]
    assert told.diff() == made.diff()
    assert (told.report()["changed"], told.report()["activated"]) == (True, False)
    assert os.listdir(str(temporary)) == []


def test_check_mode_on_a_new_host(world):
    """Neither state folder, nor live folder, nor the program that judges is there."""
    made = world.run(("x/a", "1"), folders=[Folder(world.path("x"), mode=0o755)], check_mode=True)
    assert states(made) == {"a": "created"}
    assert made.report()["validated"] is False and world.calls == []
    assert tree(world.root) == {"live": tree(world.root)["live"]}


@pytest.mark.parametrize("command, runs", [("sh -c true", True), ("/bin/sh -c true", True), ("no-such-program", False)])
def test_check_mode_judges_if_the_program_is_there(world, command, runs):
    made = world.bundle([("a", "1")], check_mode=True)
    made.trees = [{"tree": world.live, "command": command}]
    made.run()
    assert (made.validated, bool(world.calls)) == (runs, runs)


def test_check_mode_fails_where_the_run_would(world):
    put(world.path("a"), "1")
    made = world.bundle([("a", "2")], check_mode=True)
    made.trees = [{"tree": world.live, "command": "/bin/sh {tree}"}]
    world.answers["/bin/sh"] = [3]
    with pytest.raises(BundleError):
        made.run()


def test_a_second_run_at_the_same_time_is_told_so(world):
    world.run(("a", "1"))
    with open(os.path.join(world.state, "b", "lock"), "a") as handle:
        fcntl.flock(handle, fcntl.LOCK_SH)
        with pytest.raises(BundleError) as caught:
            world.run(("a", "2"))
        assert "another run" in str(caught.value) and world.text("a") == "1"
        world.run(("b", "1"), name="another")
    world.run(("a", "2"))
    assert world.text("a") == "2"


def test_the_state_is_private(world):
    world.run(("a", "1"))
    assert stat.S_IMODE(os.stat(os.path.join(world.state, "b")).st_mode) == 0o700


def test_the_manifest_names_what_was_written(world):
    world.run(("a", "1"))
    with open(os.path.join(world.state, "b", "manifest.json")) as source:
        assert list(json.load(source)["files"]) == [world.path("a")]


def manifest(world):
    with open(os.path.join(world.state, "b", "manifest.json")) as source:
        return json.load(source)


def of(world, name, belongs_to, text=b"1"):
    return File(world.path(name), text, mode=0o644, belongs_to=belongs_to)


def test_the_manifest_notes_what_a_file_belongs_to(world):
    world.run(of(world, "a", "shop"), of(world, "b", "blog"), ("all", "1"))
    assert manifest(world)["belongs_to"] == {world.path("a"): "shop", world.path("b"): "blog"}
    # What is wanted no more and stays, stays whose it was.
    later = world.run(of(world, "a", "other"), ("all", "1"))
    assert later.report()["changed"] is False
    assert later.report()["belongs_to"] == {world.path("b"): "blog"}
    assert manifest(world)["belongs_to"] == {world.path("a"): "other", world.path("b"): "blog"}
    pruned = world.run(of(world, "a", None), prune=True)
    assert pruned.report()["belongs_to"] == {world.path("b"): "blog"}
    assert manifest(world)["belongs_to"] == {}
    back = world.bundle(undo=pruned.token)
    back.run()
    assert manifest(world)["belongs_to"] == {world.path("b"): "blog"}


def test_a_manifest_of_before_is_brought_up_to_date_and_nothing_counts_as_changed(world):
    world.run(("a", "1"), ("b", "1"), digest="former")
    path = os.path.join(world.state, "b", "manifest.json")
    before = manifest(world)
    del before["belongs_to"]
    put(path, json.dumps(before))
    later = world.run(of(world, "a", "shop"), ("b", "1"), digest="of today")
    assert later.report()["changed"] is False
    assert manifest(world)["belongs_to"] == {world.path("a"): "shop"}
    assert manifests.verified_digest("b", world.state) == "of today"


# -- disk ------------------------------------------------------------------------------------------------------------


def test_native():
    assert native(None) is None
    for text in ("a", u"a", b"a"):
        assert native(text) == "a" and type(native(text)) is str
    assert native(u"\u00f6") == ("\xc3\xb6" if str is bytes else u"\u00f6")


def test_make_folders(tmp_path):
    before = os.umask(0o077)
    try:
        make_folders(str(tmp_path / "a" / "b"))
        make_folders(str(tmp_path / "a" / "b"))
    finally:
        os.umask(before)
    assert dict((name, tree(str(tmp_path))[name][1]) for name in ("a", "a/b")) == {"a": 0o755, "a/b": 0o755}


# -- what a run with nothing to do need not ask again -----------------------------------------------------------------


def standing_of(world, name="b"):
    return manifests.verified_digest(name, world.state)


@pytest.fixture
def stood(world):
    """Two files, one that is only made where nothing is, and a folder, as a run has left them."""
    extra = File(world.path("log"), b"", force=False, mode=0o644)
    world.run(("a", "1"), ("b", "2"), extra, folders=[Folder(world.path("d"), mode=0o755)], digest="d1")
    assert standing_of(world) == "d1"
    return world


@pytest.mark.parametrize(
    "change",
    [
        lambda world: put(world.path("a"), "other"),
        lambda world: os.chmod(world.path("a"), 0o600),
        lambda world: os.unlink(world.path("b")),
        lambda world: os.unlink(world.path("log")),
        lambda world: os.chmod(world.path("d"), 0o700),
        lambda world: os.rmdir(world.path("d")),
        lambda world: (os.rename(world.path("a"), world.path("c")), os.symlink("c", world.path("a"))),
        lambda world: put(os.path.join(world.state, "b", "journal.json"), "{}"),
        lambda world: put(os.path.join(world.state, "b", "not-activated"), ""),
    ],
    ids=["content", "mode", "gone", "log gone", "folder's mode", "folder gone", "symlink", "cut off", "not activated"],
)
def test_whatever_is_another_is_no_longer_standing(stood, change):
    change(stood)
    assert standing_of(stood) == ""


def test_an_account_that_was_made_anew_is_another(world, monkeypatch):
    group = bundle_entries.grp.getgrgid(os.getgid())
    world.run(File(world.path("a"), b"1", mode=0o644, group=group.gr_name), digest="d1")
    assert standing_of(world) == "d1"

    class Other(object):
        gr_gid = group.gr_gid + 1

    monkeypatch.setattr(bundle_entries.grp, "getgrnam", lambda name: Other)
    assert standing_of(world) == ""

    def unknown(name):
        raise KeyError(name)

    monkeypatch.setattr(bundle_entries.grp, "getgrnam", unknown)
    assert standing_of(world) == ""


def test_what_others_write_into_a_log_does_not_matter(stood):
    put(stood.path("log"), "much")
    os.chmod(stood.path("log"), 0o600)
    assert standing_of(stood) == "d1"


def test_the_last_run_names_the_set(stood):
    extra = File(stood.path("log"), b"", force=False, mode=0o644)
    again = stood.run(("a", "1"), ("b", "3"), extra, folders=[Folder(stood.path("d"), mode=0o755)], digest="d2")
    assert standing_of(stood) == "d2"
    stood.run(undo=again.token)
    # What stands now is d1 again, but nobody has said so.
    assert standing_of(stood) == ""


def test_a_set_with_something_stale_is_asked_for_again(stood):
    stood.run(("a", "1"), digest="d3")
    assert standing_of(stood) == ""
    stood.run(("a", "1"), prune=True, digest="d4")
    assert standing_of(stood) == "d4"


def test_a_run_that_failed_or_only_looked_names_nothing_new(stood):
    stood.run(("a", "9"), check_mode=True, digest="d5")
    assert standing_of(stood) == "d1"
    stood.answers["/check"] = [1]
    with pytest.raises(BundleError):
        stood.run(("a", "9"), digest="d6")
    assert standing_of(stood) == "d1"


def test_a_bundle_that_never_was_does_not_stand(world):
    assert standing_of(world, "never") == ""


# -- secrets -------------------------------------------------------------------------------------------------------


def env(world, text, **more):
    return File(world.path("a.env"), text.encode("utf-8"), mode=0o600, secret=True, **more)


def shown(made):
    return [(item["before"], item["after"]) for item in made.diff()]


def test_a_diff_of_a_secret_file_shows_no_value_on_any_way(world):
    made = world.run(env(world, 'A="old1"\nB="old2"\n'))
    assert shown(made) == [("", "A=(hidden)\nB=(hidden)\n")]
    made = world.run(env(world, 'A="new1"\nB="old2"\n'))
    assert shown(made) == [("A=(hidden)\nB=(hidden)\n", "A=(hidden, changed)\nB=(hidden)\n")]
    undone = world.run(undo=made.token)
    assert shown(undone) == [("A=(hidden)\nB=(hidden)\n", "A=(hidden, changed)\nB=(hidden)\n")]
    gone = world.run(remove=[world.path("a.env")])
    assert shown(gone) == [("A=(hidden)\nB=(hidden)\n", "")]
    back = world.run(undo=gone.token)
    assert shown(back) == [("", "A=(hidden)\nB=(hidden)\n")]
    pruned = world.run(("other", "x"), prune=True)
    assert shown(pruned)[-1] == ("A=(hidden)\nB=(hidden)\n", "")


def test_check_mode_shows_no_value_either(world):
    world.run(env(world, 'A="old1"\n'))
    made = world.run(env(world, 'A="new1"\n', check_mode=True), check_mode=True)
    assert shown(made) == [("A=(hidden)\n", "A=(hidden, changed)\n")]
    assert shown(world.run(remove=[world.path("a.env")], check_mode=True)) == [("A=(hidden)\n", "")]


def test_a_change_of_mode_alone_shows_the_modes(world):
    world.run(env(world, 'A="old1"\n'))
    os.chmod(world.path("a.env"), 0o644)
    ((before, after),) = shown(world.run(env(world, 'A="old1"\n')))
    assert before.startswith("mode 0644") and after.startswith("mode 0600")


def test_what_the_version_before_wrote_into_a_configuration_is_hidden(world):
    world.run(("a.ini", "[uwsgi]\nenv = A=old1\n"))
    made = world.run(("a.ini", "[uwsgi]\nmaster = true\n"))
    assert shown(made) == [("[uwsgi]\nenv = A=(hidden)\n", "[uwsgi]\nmaster = true\n")]


def test_what_a_run_leaves_of_secrets_is_in_folders_of_roots(world):
    made = world.run(env(world, 'A="old1"\n'))
    world.run(env(world, 'A="new1"\n'))
    assert made.token
    assert stat.S_IMODE(os.lstat(os.path.join(world.state, "b")).st_mode) == 0o700
    for name in world.state_names():
        assert stat.S_IMODE(os.lstat(os.path.join(world.state, "b", name)).st_mode) & 0o077 == 0 or name == "lock"


def test_folders_that_were_made_are_known_after_a_run_was_put_back(world):
    os.mkdir(world.path("there"))

    def folders():
        return [Folder(world.path("there"), force=False), Folder(world.path("new"), force=False)]

    def made():
        with open(os.path.join(world.state, "b", "manifest.json")) as source:
            return manifests.made_folders(json.load(source))

    world.run(("a", "1"), folders=folders())
    assert made() == set([world.path("new")])
    again = world.run(("a", "2"), folders=folders())
    world.run(undo=again.token)
    assert made() == set([world.path("new")])


def test_an_earlier_versions_folders_all_count_as_made():
    assert manifests.made_folders({"set": {"folders": {u"/a": ["x"], u"/b": []}}}) == set(["/a", "/b"])
    assert manifests.made_folders({"set": {"folders": {u"/a": []}}, "folders": []}) == set()
    assert manifests.made_folders({}) == set()
