# -*- coding: utf-8 -*-
"""What outlives a release lies in HOME/shared, and each release leads to it (runs under Python 2.7 too)."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import grp
import os
import pwd
import shutil
import stat
import tempfile

import pytest

from ansible_collections.graceful.wsgi.plugins.module_utils import shared_data
from ansible_collections.graceful.wsgi.plugins.module_utils.releases import Home, ReleaseError
from ansible_collections.graceful.wsgi.plugins.module_utils.shared_data import SharedData, SharedError, is_folder

USER = pwd.getpwuid(os.getuid()).pw_name
GROUP = grp.getgrgid(os.getgid()).gr_name


def put(path, text=u""):
    if not os.path.isdir(os.path.dirname(path)):
        os.makedirs(os.path.dirname(path))
    with open(path, "wb") as target:
        target.write(text.encode("utf-8"))


def get(path):
    with open(path, "rb") as source:
        return source.read().decode("utf-8")


class World:
    """An application's folder, and releases as they are before they get their name."""

    def __init__(self, root, user=USER, group=GROUP):
        self.home = os.path.join(root, "shop")
        self.user, self.group = user, group
        os.makedirs(os.path.join(self.home, "releases"))

    def release(self, name, files=(), links=(), shared=()):
        folder = os.path.join(self.home, "releases", name)
        os.mkdir(folder)
        os.chmod(folder, 0o755)
        for path in files:
            put(os.path.join(folder, path), u"%s of %s" % (path, name))
        for path, target in links:
            os.symlink(target, os.path.join(folder, path))
        if shared:
            self.data(*shared).place(folder)
        return folder

    def data(self, *names):
        return SharedData(self.home, names, self.user, self.group)

    def shared(self, *parts):
        return os.path.join(self.home, "shared", *parts)


@pytest.fixture
def world(tmp_path):
    return World(str(tmp_path))


@pytest.mark.parametrize(
    "name, folder",
    [
        ("media", True),
        ("media/", True),
        ("data/shop.sqlite3", False),
        ("data.d/", True),
        (".cache", True),
        (".cache.db", False),
    ],
)
def test_what_nothing_has_yet_is_a_folder_by_its_slash_or_without_an_ending(name, folder):
    assert is_folder(name) is folder


def test_what_the_first_release_brings_is_the_first_content(world):
    one = world.release("1", ["media/a.txt", "media/deep/b.txt", "x.cfg", "manage.py"], shared=["media", "x.cfg"])
    assert get(world.shared("media", "a.txt")) == "media/a.txt of 1"
    assert get(world.shared("media", "deep", "b.txt")) == "media/deep/b.txt of 1"
    assert get(os.path.join(one, "x.cfg")) == "x.cfg of 1" == get(world.shared("x.cfg"))
    assert os.readlink(os.path.join(one, "media")) == "../../shared/media"
    assert not os.path.islink(os.path.join(one, "manage.py"))
    assert sorted(os.listdir(world.shared())) == ["media", "x.cfg"]


def test_what_later_releases_bring_is_left_out_and_what_is_there_stays(world):
    world.release("1", ["media/a.txt"], shared=["media"])
    put(world.shared("media", "upload"), u"\u2603")
    two = world.release("2", ["media/a.txt", "media/new.txt"], shared=["media"])
    assert get(os.path.join(two, "media", "a.txt")) == "media/a.txt of 1"
    assert get(os.path.join(two, "media", "upload")) == u"\u2603"
    assert not os.path.exists(os.path.join(two, "media", "new.txt"))


def test_a_folder_is_made_and_a_file_is_left_to_the_application(world):
    one = world.release("1", ["manage.py"], shared=["instance/", "media", "data/shop.sqlite3"])
    assert os.listdir(world.shared("instance")) == os.listdir(world.shared("media")) == []
    link = os.path.join(one, "data", "shop.sqlite3")
    assert os.readlink(link) == "../../../shared/data/shop.sqlite3"
    assert not os.path.exists(link)
    # What the application writes through the link lies in the folder that outlives the release.
    put(link, u"data")
    assert get(world.shared("data", "shop.sqlite3")) == "data"
    assert os.path.isdir(os.path.join(one, "data")) and not os.path.islink(os.path.join(one, "data"))


def test_only_the_application_and_its_group_come_in(world):
    world.release("1", shared=["media"])
    assert stat.S_IMODE(os.lstat(world.shared()).st_mode) == 0o750
    assert stat.S_IMODE(os.lstat(world.shared("media")).st_mode) == 0o755
    assert not [name for name in os.listdir(world.home) if name.startswith(".")]


def test_a_mode_lets_nobody_else_write_and_the_application_does(world):
    one = world.release("1", ["bin/run", "bin/ro"])
    os.chmod(os.path.join(one, "bin", "run"), 0o755)
    os.chmod(os.path.join(one, "bin", "ro"), 0o444)
    world.data("bin").place(one)
    modes = [stat.S_IMODE(os.lstat(world.shared("bin", name)).st_mode) for name in ("run", "ro")]
    assert modes == [0o755, 0o644]


def test_a_link_of_the_code_to_what_is_shared_is_the_same_link(world):
    one = world.release("1", links=[("media", "../../shared/media")], shared=["media"])
    assert os.path.isdir(world.shared("media"))
    assert os.readlink(os.path.join(one, "media")) == "../../shared/media"


@pytest.mark.parametrize(
    "files, links, names, said",
    [
        (["a/b"], [("media", "a")], ["media"], "media is a link in the code, to a"),
        (["a/b"], [("data", "a")], ["data/x.db"], "lies in data, which is no folder"),
        (["data"], [], ["data/x.db"], "lies in data, which is no folder"),
        (["media"], [], ["media/"], "the slash says folder"),
        (["media/a", "b"], [("media/c", "../b")], ["media"], "media/c is a link to ../b, which leads out"),
        (["media/a"], [("media/c", "/etc/passwd")], ["media"], "media/c is a link to /etc/passwd"),
    ],
)
def test_code_that_cannot_be_shared_is_refused(world, files, links, names, said):
    with pytest.raises(SharedError) as refused:
        world.release("1", files, links, names)
    assert said in str(refused.value)
    shared = world.shared()
    assert not os.path.isdir(shared) or os.listdir(shared) == []


def test_links_within_what_is_shared_stay(world):
    world.release("1", ["media/a", "media/x/b"], [("media/x/up", "../a"), ("media/here", "x/b")], ["media"])
    assert os.readlink(world.shared("media", "x", "up")) == "../a"
    assert get(world.shared("media", "here")) == "media/x/b of 1"


def test_a_run_that_was_killed_leaves_no_half_content(world, monkeypatch):
    one = world.release("1", ["media/a", "media/b"])
    monkeypatch.setattr(shared_data.shutil, "copyfile", lambda *_words: os._exit(9))
    child = os.fork()
    if child == 0:
        try:
            world.data("media").place(one)
        finally:
            os._exit(1)
    assert os.WEXITSTATUS(os.waitpid(child, 0)[1]) == 9
    assert [name[:5] for name in os.listdir(world.shared())] == [".new-"]
    monkeypatch.undo()
    two = world.release("2", ["media/a"], shared=["media"])
    assert os.listdir(world.shared()) == ["media"]
    assert get(os.path.join(two, "media", "a")) == "media/a of 2"


def test_what_was_lost_is_made_again(world):
    data = world.data("media", "data/shop.sqlite3")
    assert data.lacking()
    world.release("1", shared=["media", "data/shop.sqlite3"])
    assert not data.lacking()
    shutil.rmtree(world.shared())
    assert data.lacking()
    data.keep()
    assert not data.lacking() and sorted(os.listdir(world.shared())) == ["data", "media"]


def test_nothing_shared_makes_nothing(world):
    one = world.release("1", ["media/a"])
    world.data().place(one)
    assert not world.data().lacking()
    assert os.listdir(world.home) == ["releases"]


@pytest.mark.parametrize("name", ["/etc", "a/../../b", "..", "", ".", "/"])
def test_no_name_leads_out_of_the_code(world, name):
    with pytest.raises(SharedError):
        world.data(name)


def test_an_account_that_is_not_there_is_named(world):
    data = SharedData(world.home, ["media"], "nobody-of-this-name", GROUP)
    assert data.lacking()
    with pytest.raises(SharedError) as refused:
        data.keep()
    assert "there is no account nobody-of-this-name" in str(refused.value)


def test_a_home_that_others_write_is_refused(world):
    os.chmod(world.home, 0o777)
    with pytest.raises(SharedError) as refused:
        world.data("media").keep()
    assert "give it back to root" in str(refused.value)
    assert not os.path.lexists(world.shared())


def test_a_release_has_it_before_it_has_its_name(world):
    item = {"name": "shop", "home": world.home, "group": GROUP, "user": USER, "path": None, "exclude": [], "id": "2"}
    home = Home(dict(item, requirements=None, shared=["media/"]), "3.11")
    assert home.incomplete and not home.keep_shared()
    folder = world.release("code", ["manage.py", "media/a"])
    archive = shutil.make_archive(os.path.join(world.home, "code"), "gztar", folder)
    home.make(archive)
    assert get(os.path.join(home.release, "media", "a")) == "media/a of code"
    assert os.path.islink(os.path.join(home.release, "media"))
    assert not home.incomplete
    shutil.rmtree(world.shared("media"))
    assert home.incomplete and home.keep_shared()
    assert os.path.isdir(os.path.join(home.release, "media"))


def test_a_release_that_cannot_have_it_is_none(world):
    item = {"name": "shop", "home": world.home, "group": GROUP, "user": USER, "path": None, "exclude": [], "id": "1"}
    home = Home(dict(item, requirements=None, shared=["media/"]), "3.11")
    archive = shutil.make_archive(os.path.join(world.home, "code"), "gztar", world.release("code", ["media"]))
    with pytest.raises(ReleaseError) as refused:
        home.make(archive)
    assert str(refused.value).startswith("shop: shared: media/ is a file in the code")
    assert sorted(os.listdir(home.releases)) == ["code"]


@pytest.fixture
def another():
    """The same with an account that is not the one that runs this, which only root can be."""
    if os.geteuid() != 0:
        pytest.skip("only root can act with another account's rights")
    root = tempfile.mkdtemp()
    os.chmod(root, 0o755)
    user = pwd.getpwnam("nobody")
    yield World(root, "nobody", grp.getgrgid(user.pw_gid).gr_name)
    shutil.rmtree(root)


def test_all_of_it_belongs_to_the_application_and_the_link_too(another):
    one = another.release("1", ["media/a"], shared=["media", "data/x.db"])
    uid = pwd.getpwnam("nobody").pw_uid
    paths = [another.shared(), another.shared("media"), another.shared("media", "a"), another.shared("data")]
    assert [os.lstat(path).st_uid for path in paths] == [uid] * 4
    # nginx follows a link only to what is its owner's.
    assert os.lstat(os.path.join(one, "media")).st_uid == uid
    assert os.lstat(os.path.join(one, "data")).st_uid == 0


def test_what_the_application_put_there_leads_root_nowhere(another):
    another.release("1", shared=["media"])
    uid, theirs = pwd.getpwnam("nobody").pw_uid, os.path.join(os.path.dirname(another.home), "theirs")
    os.mkdir(theirs)
    os.chmod(theirs, 0o755)
    put(os.path.join(theirs, "a"), u"root's")
    os.rmdir(another.shared("media"))
    for name in ("media", "data"):
        os.symlink(theirs, another.shared(name))
        os.lchown(another.shared(name), uid, -1)
    # media is there, whatever it is; below data the application's own account would have to make something.
    another.release("2", ["media/a", "media/new"], shared=["media"])
    assert os.listdir(theirs) == ["a"] and get(os.path.join(theirs, "a")) == u"root's"
    assert os.lstat(theirs).st_uid == 0 == os.lstat(os.path.join(theirs, "a")).st_uid
    with pytest.raises(SharedError) as refused:
        another.release("3", ["data/deep/x"], shared=["data/deep/"])
    assert "let this account write" in str(refused.value)
    assert os.listdir(theirs) == ["a"]
