"""Folders of a release that are another account's for a while; that account places what it likes meanwhile."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os
import stat

import pytest

from ansible_collections.graceful.wsgi.plugins.module_utils import safe_path, tree, writable

OTHER = {"uid": 12345, "gid": 12345, "groups": []}
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root hands folders to another account")


@pytest.fixture
def release(tmpdir):
    folder = tmpdir.mkdir("release")
    os.chmod(str(tmpdir), 0o755)
    os.chmod(str(folder), 0o755)
    folder.mkdir("static").mkdir("css").join("a.css").write("a {}")
    return str(folder)


def owners(release):
    found = set()
    for base, folders, files in os.walk(release):
        found.update(os.lstat(os.path.join(base, name)).st_uid for name in folders + files)
    return found


def trusted(release):
    return safe_path.untrusted(release) is None


def test_what_is_there_is_the_accounts_and_then_roots_again(release):
    if not trusted(release):
        pytest.skip("the folder of temporary files is not root's alone")
    writable.give(release, "static", OTHER, 0)
    assert owners(os.path.join(release, "static")) == set([12345])
    path = os.path.join(release, "static/css/a.css")
    before = os.stat(path).st_ino
    os.chmod(path, 0o4777)
    writable.take_back(release, "static", OTHER, 0)
    assert owners(release) == set([0])
    # A descriptor that the account has kept leads to a file that is nobody's any more.
    assert os.stat(path).st_ino != before and stat.S_IMODE(os.stat(path).st_mode) == 0o755
    assert sorted(os.listdir(release)) == ["static"]


def test_a_folder_that_is_missing_is_made_and_its_parents_stay_roots(release):
    if not trusted(release):
        pytest.skip("the folder of temporary files is not root's alone")
    writable.give(release, "web/built", OTHER, 0)
    assert os.stat(os.path.join(release, "web")).st_uid == 0
    assert os.stat(os.path.join(release, "web/built")).st_uid == 12345
    writable.take_back(release, "web/built", OTHER, 0)
    assert owners(release) == set([0])


def test_a_link_in_its_place_is_not_followed(release, tmpdir):
    if not trusted(release):
        pytest.skip("the folder of temporary files is not root's alone")
    outside = tmpdir.mkdir("outside")
    os.symlink(str(outside), os.path.join(release, "media"))
    for name in ("media", "media/x"):
        with pytest.raises(safe_path.UnsafePath):
            writable.give(release, name, OTHER, 0)
    assert os.stat(str(outside)).st_uid == 0 and os.listdir(str(outside)) == []


def test_what_a_killed_run_has_given_is_not_looked_into(release):
    if not trusted(release):
        pytest.skip("the folder of temporary files is not root's alone")
    css = os.path.join(release, "static/css")
    os.chown(css, 12345, 12345)
    os.symlink("/etc/passwd", os.path.join(css, "link"))
    writable.give(release, "static", OTHER, 0)
    assert os.lstat(os.path.join(css, "link")).st_uid == 0 and os.stat("/etc/passwd").st_uid == 0


@pytest.mark.parametrize("what", ["fifo", "link", "foreign"])
def test_what_no_release_holds_is_refused_and_the_folder_stays_as_it_was(release, tmpdir, what):
    if not trusted(release):
        pytest.skip("the folder of temporary files is not root's alone")
    writable.give(release, "static", OTHER, 0)
    path = os.path.join(release, "static/css/x")
    if what == "fifo":
        os.mkfifo(path)
    elif what == "link":
        theirs = tmpdir.mkdir("theirs")
        os.chown(str(theirs), 12345, 12345)
        os.symlink(str(theirs), path)
    else:
        open(path, "w").close()
    if what != "foreign":
        os.lchown(path, 12345, 12345)
    with pytest.raises((tree.TreeError, safe_path.UnsafePath)):
        writable.take_back(release, "static", OTHER, 0)
    assert sorted(os.listdir(release)) == ["static"] and os.stat(os.path.dirname(path)).st_uid == 12345


def test_a_copy_ends_where_the_file_ended_when_it_was_looked_at(tmpdir):
    class Endless(object):
        def read(self, most):
            return b"x" * most

    class Out(list):
        write = list.append

    out = Out()
    path = tmpdir.join("file")
    path.write("12345")
    tree._copy(Endless(), out, os.stat(str(path)), "file")
    assert b"".join(out) == b"xxxxx"


def test_what_is_sparse_is_not_copied(tmpdir):
    path = str(tmpdir.join("hole"))
    with open(path, "wb") as hole:
        hole.truncate(1 << 40)
    with pytest.raises(tree.TreeError) as raised:
        tree._copy(None, None, os.stat(path), "static/hole")
    assert "static/hole: is sparse" in str(raised.value)
