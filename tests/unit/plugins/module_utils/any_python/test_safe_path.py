# -*- coding: utf-8 -*-
"""Root in folders of other accounts: no link is followed, whenever it is put there (runs under Python 2.7 too)."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import errno
import os
import shutil
import signal
import stat
import tempfile
import time

import pytest

from ansible_collections.graceful.wsgi.plugins.module_utils import host_checks, log_files, safe_path
from ansible_collections.graceful.wsgi.plugins.module_utils.bundle import Bundle, BundleError, File, Folder
from ansible_collections.graceful.wsgi.plugins.module_utils.disk import no_room
from ansible_collections.graceful.wsgi.plugins.module_utils.safe_path import UnsafePath

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="makes files of other accounts")
# Accounts that no host needs to have.
HERS, HIS = 61001, 61002


@pytest.fixture
def roots(tmp_path):
    """A folder of root's with one of hers in it, which she may have filled with anything."""
    os.chmod(str(tmp_path), 0o755)
    hers = tmp_path / "hers"
    hers.mkdir()
    if os.geteuid() == 0:
        os.chown(str(hers), HERS, HERS)
    return tmp_path


def put(path, text="x", uid=None):
    with open(str(path), "w") as target:
        target.write(text)
    if uid is not None:
        os.chown(str(path), uid, uid)
    return str(path)


def owner(path):
    return os.lstat(str(path)).st_uid


@root_only
def test_folder_trusts_what_only_root_can_change(roots):
    with safe_path.Folder(str(roots)) as folder:
        assert folder.trusted and folder.why is None
    with safe_path.Folder(str(roots / "hers")) as folder:
        assert not folder.trusted and str(HERS) in folder.why
    (roots / "hers" / "in").mkdir()
    assert "hers: it belongs" in safe_path.untrusted(str(roots / "hers" / "in" / "missing"))
    os.chmod(str(roots), 0o777)
    assert "every account may write" in safe_path.untrusted(str(roots))
    os.chmod(str(roots), 0o775)
    assert safe_path.untrusted(str(roots)) is None
    os.chown(str(roots), 0, HERS)
    assert "the group %d may write" % HERS in safe_path.untrusted(str(roots))


@root_only
def test_folder_of_roots_in_a_sticky_one_is_trusted_and_hers_is_not(roots):
    os.chmod(str(roots), 0o1777)
    (roots / "mine").mkdir()
    assert safe_path.untrusted(str(roots / "mine")) is None
    assert safe_path.untrusted(str(roots / "hers")) is not None
    assert safe_path.untrusted(str(roots / "missing")) is not None
    os.symlink("mine", str(roots / "link"))
    with pytest.raises(UnsafePath):
        safe_path.Folder(str(roots / "link"))


@root_only
def test_links_of_roots_are_followed_and_hers_are_not(roots):
    (roots / "real").mkdir()
    os.symlink("real", str(roots / "link"))
    os.symlink(str(roots / "link"), str(roots / "absolute"))
    os.symlink("hers/../real", str(roots / "up"))
    put(roots / "real" / "file", "text")
    for name in ("link", "absolute", "up"):
        assert safe_path.read_file(str(roots / name / "file")) == b"text"
    os.symlink("../real", str(roots / "hers" / "link"))
    with pytest.raises(UnsafePath) as error:
        safe_path.Folder(str(roots / "hers" / "link"))
    assert "hers/link: is a link that another account can have put there" in str(error.value)
    # A link of hers that root moved, or that she moved, into a folder of root's.
    os.lchown(str(roots / "link"), HERS, HERS)
    with pytest.raises(UnsafePath):
        safe_path.Folder(str(roots / "link"))


@root_only
def test_link_swapped_in_between_look_and_open_is_not_followed(roots, monkeypatch):
    for name in ("a", "b"):
        (roots / "hers" / name).mkdir()
    real = os.lstat

    def swapping(path):
        found = real(path)
        if os.path.basename(path) == "a" and stat.S_ISDIR(found.st_mode):
            os.rename(str(roots / "hers" / "a"), str(roots / "hers" / "was"))
            os.symlink(str(roots), str(roots / "hers" / "a"))
        return found

    monkeypatch.setattr(safe_path.os, "lstat", swapping)
    with pytest.raises(UnsafePath) as error:
        safe_path.Folder(str(roots / "hers" / "a"))
    assert "became something else" in str(error.value)


@root_only
def test_folder_that_is_held_is_the_one_that_was_opened(roots):
    put(roots / "hers" / "file", "hers")
    put(roots / "file", "roots")
    with safe_path.Folder(str(roots / "hers")) as folder:
        os.rename(str(roots / "hers"), str(roots / "away"))
        os.symlink(str(roots), str(roots / "hers"))
        with os.fdopen(folder.open_file("file"), "rb") as source:
            assert source.read() == b"hers"


def test_nothing_but_a_regular_file_is_opened_and_no_fifo_waited_for(roots):
    os.mkfifo(str(roots / "fifo"))
    os.symlink("file", str(roots / "link"))
    put(roots / "file")
    with safe_path.Folder(str(roots)) as folder:
        for name, flags in (("fifo", os.O_RDONLY), ("fifo", os.O_WRONLY), ("link", os.O_RDONLY), ("hers", os.O_RDONLY)):
            with pytest.raises(UnsafePath):
                folder.open_file(name, flags)
        with pytest.raises(OSError) as error:
            folder.open_file("missing")
        assert error.value.errno == errno.ENOENT
        os.close(folder.open_file("file"))
    for path in (roots / "fifo", roots / "link", roots / "hers", "/dev/null"):
        with pytest.raises(UnsafePath) as refused:
            safe_path.open_regular(str(path))
        assert "%s: is no regular file" % path in str(refused.value)
    os.close(safe_path.open_regular(str(roots / "link"), links=True))
    os.symlink("fifo", str(roots / "leads"))
    with pytest.raises(UnsafePath):
        safe_path.open_regular(str(roots / "leads"), links=True)
    handle = safe_path.open_regular(str(roots / "new"), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    assert stat.S_IMODE(os.fstat(handle).st_mode) == 0o600
    os.close(handle)
    assert safe_path.size(str(roots / "file")) == 1
    assert safe_path.size(str(roots / "link")) == safe_path.size(str(roots / "fifo")) == 0


def test_tree_is_removed_and_what_links_in_it_lead_to_stays(roots):
    stays = roots / "stays"
    stays.mkdir()
    put(stays / "file")
    doomed = roots / "doomed"
    doomed.mkdir()
    os.symlink(str(stays), str(doomed / "link"))
    os.mkfifo(str(doomed / "fifo"))
    # Deeper than descriptors or Python's stack would go.
    path = str(doomed)
    here = os.getcwd()
    try:
        os.chdir(path)
        for _depth in range(1500):
            os.mkdir("deep")
            os.chdir("deep")
        os.symlink(str(stays), "link")
    finally:
        os.chdir(here)
    safe_path.remove_tree(str(doomed))
    assert sorted(os.listdir(str(roots))) == ["hers", "stays"]
    assert os.listdir(str(stays)) == ["file"]
    safe_path.remove_tree(str(doomed))
    safe_path.remove_tree(str(stays / "file" / "below-no-folder"))
    os.symlink(str(stays), str(doomed))
    safe_path.remove_tree(str(doomed))
    assert os.listdir(str(stays)) == ["file"]


def test_folder_swapped_for_a_link_while_it_is_removed_is_not_entered(roots, monkeypatch):
    (roots / "stays").mkdir()
    put(roots / "stays" / "file")
    (roots / "doomed").mkdir()
    (roots / "doomed" / "in").mkdir()
    real = os.lstat

    def swapping(path):
        found = real(path)
        if os.path.basename(path) == "in" and stat.S_ISDIR(found.st_mode):
            os.rmdir(str(roots / "doomed" / "in"))
            os.symlink(str(roots / "stays"), str(roots / "doomed" / "in"))
        return found

    monkeypatch.setattr(safe_path.os, "lstat", swapping)
    with pytest.raises(UnsafePath):
        safe_path.remove_tree(str(roots / "doomed"))
    assert os.listdir(str(roots / "stays")) == ["file"]


@root_only
def test_with_an_accounts_rights(roots):
    who = {"uid": HERS, "gid": HERS, "groups": []}
    os.chmod(str(roots.parent), 0o755)
    secret = put(roots / "secret")
    os.chmod(secret, 0o600)

    def read():
        with open(secret) as source:
            return source.read()

    with pytest.raises(OSError) as error:
        safe_path.as_account(who, read)
    assert error.value.errno == errno.EACCES
    assert safe_path.as_account(who, os.getuid) == HERS and os.geteuid() == 0
    with pytest.raises(UnsafePath) as error:
        safe_path.as_account(who, lambda: (_ for _ in ()).throw(UnsafePath("\xc3\xa4 is a link")), (UnsafePath,))
    assert str(error.value) == "\xc3\xa4 is a link"
    assert not safe_path.may_write(who, secret)


@root_only
@pytest.mark.parametrize(
    ("what", "forks"),
    [
        ("as it is", 0),
        ("not hers", 1),
        ("without the bit", 1),
        ("a folder on the way without it", 1),
        ("an access list on the way", 1),
        ("a link", 1),
        ("a link on the way", 1),
    ],
)
def test_modes_alone_tell_only_that_an_owner_may(what, forks, monkeypatch, set_acl):
    base = tempfile.mkdtemp(dir="/var/tmp")
    try:
        os.chmod(base, 0o755)
        folder, asked = os.path.join(base, "way", "hers"), []
        os.makedirs(folder, 0o755)
        os.chmod(os.path.join(base, "way"), 0o755)
        os.chmod(folder, 0o755)
        os.chown(folder, HERS, HERS)
        if what == "not hers":
            os.chown(folder, HIS, HIS)
        elif what == "without the bit":
            os.chmod(folder, 0o555)
        elif what == "a folder on the way without it":
            os.chmod(os.path.join(base, "way"), 0o750)
        elif what == "an access list on the way":
            set_acl(os.path.join(base, "way"), (1, 7, -1), (2, 0, HERS), (4, 5, -1), (16, 5, -1), (32, 5, -1))
        elif what == "a link":
            os.symlink(folder, os.path.join(base, "link"))
            folder = os.path.join(base, "link")
        elif what == "a link on the way":
            os.symlink("way", os.path.join(base, "other"))
            folder = os.path.join(base, "other", "hers")
        there = safe_path.as_account
        monkeypatch.setattr(safe_path, "as_account", lambda who, call: asked.append(1) or there(who, call))
        who = {"uid": HERS, "gid": HERS, "groups": []}
        may = safe_path.may_write(who, folder, True)
        assert len(asked) == forks
        # The kernel's own answer.
        assert may == there(who, lambda: os.access(folder, os.W_OK | os.X_OK))
        assert may == (what in ("as it is", "a link", "a link on the way"))
    finally:
        shutil.rmtree(base)


# -- logs -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def accounts(monkeypatch):
    known = {"she": HERS, "he": HIS}

    def account(user, group=None):
        return {"uid": known[user], "gid": known[user], "groups": []}

    monkeypatch.setattr(safe_path, "account", account)


def log_problem(path, user="she", by_root=False):
    found = log_files.problem(str(path), user, user, by_root)
    return found and "; ".join(found)


@root_only
def test_log_in_hers_is_hers_to_write(roots, accounts, monkeypatch):
    # pytest's own folders let nobody else in.
    def is_hers(who, _path, found, _folder):
        return bool(who) and found.st_uid == who["uid"]

    monkeypatch.setattr(log_files, "_may_write", is_hers)
    hers = roots / "hers"
    assert log_problem(hers / "log") is None
    assert log_problem(hers / "new" / "log") is None
    assert log_problem(roots / "new" / "log") is None
    assert "is not writable for he" in log_problem(hers / "log", "he")
    assert "neither root's alone nor writable for he" in log_problem(hers / "new" / "log", "he")
    # An account that is yet to be made owns nothing.
    assert "is not writable for new" in log_problem(hers / "log", "new")
    assert log_problem(roots / "new" / "log", "new") is None
    assert "%s is not writable for she" % roots in log_problem(roots / "log")
    assert log_problem(roots / "log", by_root=True) is None
    assert "is not root's" in log_problem(hers / "log", by_root=True)
    put(hers / "log", uid=HERS)
    assert log_problem(hers / "log") is None
    os.symlink("log", str(hers / "link"))
    os.mkfifo(str(hers / "fifo"))
    put(hers / "not-hers")
    expected = {"link": "is a link", "fifo": "no regular file", "not-hers": "is not writable", "log/x": "no folder"}
    for name, why in expected.items():
        assert why in log_problem(hers / name), name
    os.symlink(str(roots), str(hers / "led"))
    assert "is a link that another account" in log_problem(hers / "led" / "log")


@root_only
def test_site_log_is_only_where_root_alone_writes(roots):
    assert log_files.site_problem(str(roots / "new" / "access.log")) is None
    said = "; ".join(log_files.site_problem(str(roots / "hers" / "access.log")))
    assert "nginx opens its logs as root" in said and "write system" in said


def test_host_checks_tell_each_variable_in_its_order(roots, monkeypatch):
    even = host_checks._each(lambda x: None if x % 2 == 0 else (str(x), "no"), "x")
    monkeypatch.setitem(host_checks.KINDS, "even", even)
    checks = [{"kind": "even", "variable": "v[%d]" % x, "x": x} for x in range(4)]
    found = host_checks.problems(checks, None)
    assert [str(problem) for problem in found] == ["v[1]: 1; no", "v[3]: 3; no"]


@root_only
def test_what_a_log_says_is_read_of_the_accounts_own_file_only(roots):
    hers = roots / "hers"
    secret = put(roots / "secret", "secret\n")
    os.symlink(secret, str(hers / "link"))
    os.link(secret, str(hers / "second"))
    os.mkfifo(str(hers / "fifo"))
    for name in ("link", "second", "fifo"):
        for said in (log_files.tail(str(hers / name)), log_files.said_since(str(hers / name), 0)):
            assert said.startswith("(not read: ") and "secret\n" not in said
    put(hers / "log", "one\ntwo\n", HERS)
    assert log_files.tail(str(hers / "log"), 1) == "two"
    assert log_files.said_since(str(hers / "log"), 4) == "two"


# -- bundles --------------------------------------------------------------------------------------------------------


def bundle(roots, folders=(), files=(), **more):
    made = Bundle("b", list(folders), list(files), [], lambda command: (0, "", ""), lambda path, like: None,
                  state_dir=str(roots / "state"), **more)
    made.run()
    return made.report()


@root_only
def test_folder_that_is_there_keeps_owner_and_mode_unless_it_is_ours(roots):
    there = roots / "there"
    there.mkdir()
    os.chmod(str(there), 0o750)
    said = bundle(roots, [Folder(str(there), mode=0o755, owner=str(HERS), group=str(HERS), force=False)])
    assert not said["changed"]
    assert owner(there) == 0 and stat.S_IMODE(os.lstat(str(there)).st_mode) == 0o750
    bundle(roots, [Folder(str(there), mode=0o755, owner=str(HERS), group=str(HERS))])
    assert owner(there) == HERS and stat.S_IMODE(os.lstat(str(there)).st_mode) == 0o755
    bundle(roots, [Folder(str(roots / "a" / "b"), mode=0o711, owner=str(HERS), group=str(HERS), force=False)])
    assert owner(roots / "a") == 0 and owner(roots / "a" / "b") == HERS
    assert stat.S_IMODE(os.lstat(str(roots / "a" / "b")).st_mode) == 0o711


@root_only
def test_what_root_writes_goes_where_only_root_can_change_something(roots):
    file, folder = File(str(roots / "hers" / "f"), b"x"), Folder(str(roots / "hers" / "d"), mode=0o755)
    for entry in ({"files": [file]}, {"folders": [folder]}):
        with pytest.raises(BundleError) as error:
            bundle(roots, **entry)
        assert "root writes only where nobody else can change anything" in str(error.value)
    with pytest.raises(BundleError) as error:
        bundle(roots, [Folder(str(roots / "hers" / "d"), mode=0o755, owner=str(HIS), group=str(HIS), force=False)])
    assert os.listdir(str(roots / "hers")) == []


@root_only
def test_log_is_a_new_file_whatever_is_put_there_meanwhile(roots, monkeypatch):
    victim = put(roots / "victim", "roots")
    log = str(roots / "log")
    real = os.open

    def racing(path, flags, *args, **kwargs):
        if flags & os.O_EXCL and os.path.basename(path) == "log":
            os.symlink(victim, log)
        return real(path, flags, *args, **kwargs)

    monkeypatch.setattr(os, "open", racing)
    bundle(roots, files=[File(log, b"", mode=0o640, owner=str(HERS), group=str(HERS), force=False)])
    assert os.path.islink(log) and owner(victim) == 0
    monkeypatch.undo()
    os.unlink(log)
    bundle(roots, files=[File(log, b"", mode=0o640, owner=str(HERS), group=str(HERS), force=False)])
    assert owner(log) == HERS and stat.S_IMODE(os.lstat(log).st_mode) == 0o640


@root_only
def test_attributes_are_set_on_the_folder_that_was_opened(roots, monkeypatch):
    (roots / "victim").mkdir()
    real = safe_path.Folder.open_folder

    def racing(self, name):
        found = real(self, name)
        os.rename(str(roots / "ours"), str(roots / "away"))
        os.symlink("victim", str(roots / "ours"))
        return found

    monkeypatch.setattr(safe_path.Folder, "open_folder", racing)
    Folder(str(roots / "ours"), mode=0o755, owner=str(HERS), group=str(HERS)).write("created")
    assert owner(roots / "victim") == 0 and owner(roots / "away") == HERS


# -- full disks -----------------------------------------------------------------------------------------------------


def test_no_room_names_the_file_system_and_what_to_free(tmp_path):
    error = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(tmp_path / "new" / "file"))
    assert "no room left on the file system /" in no_room(error) and "publish_keep_releases" not in no_room(error)
    assert "publish_keep_releases" in no_room("pip: [Errno 28] No space left on device", str(tmp_path), True)
    assert "no room left" in no_room(OSError(errno.EDQUOT, os.strerror(errno.EDQUOT)))
    assert "cannot be written" in no_room(OSError(errno.EROFS, os.strerror(errno.EROFS), "/sys/x"))
    assert no_room(OSError(errno.ENOENT, "x", "/y")) == no_room("all went well") == ""


@root_only
def test_a_look_with_an_accounts_rights_takes_no_longer_than_it_may():
    who, began = {"uid": HERS, "gid": HERS, "groups": []}, time.time()

    def stop():
        # The account may do so to any process of its own.
        os.kill(os.getpid(), signal.SIGSTOP)

    for call in (stop, lambda: time.sleep(60)):
        with pytest.raises(RuntimeError, match="took over 0 s"):
            safe_path.as_account(who, call, seconds=0.3)
    assert time.time() - began < 10
    with pytest.raises(RuntimeError, match="without an answer"):
        safe_path.as_account(who, lambda: os.kill(os.getpid(), signal.SIGKILL), seconds=5)
    assert safe_path.as_account(who, lambda: "x" * 300000, seconds=5) == "x" * 300000


@root_only
def test_an_access_list_lets_others_write(roots, set_acl):
    path = str(roots / "folder")
    os.mkdir(path)
    # The owner rwx, the account 12345 rwx, the group none, the mask rwx, others none.
    set_acl(path, (1, 7, -1), (2, 7, 12345), (4, 0, -1), (16, 7, -1), (32, 0, -1))
    assert "an access list" in safe_path.others_write(os.lstat(path), path)
    with safe_path.Folder(path) as folder:
        assert "an access list" in folder.why and folder.whose == safe_path.NOBODY["uid"]
    path = str(roots / "without")
    os.mkdir(path)
    os.chmod(path, 0o770)
    assert safe_path.untrusted(path) is None
