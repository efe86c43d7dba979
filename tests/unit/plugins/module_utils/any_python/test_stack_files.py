"""What is read of a host or a folder, and what is not (runs under Python 2.7 too)."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import io
import os
import shutil
import subprocess
import sys
import tempfile
import time

import pytest

from ansible_collections.graceful.wsgi.plugins.module_utils import stack_files, uwsgi_programs
from ansible_collections.graceful.wsgi.plugins.module_utils.disk import native


@pytest.fixture
def root(tmp_path):
    return os.path.realpath(str(tmp_path))


@pytest.fixture
def world():
    """A folder that all may enter, as those of a host are: below pytest's own, which its next run closes, none is."""
    made = os.path.realpath(tempfile.mkdtemp())
    os.chmod(made, 0o755)
    yield made
    shutil.rmtree(made)


def write(root, path, text):
    whole = os.path.join(root, path)
    if not os.path.isdir(os.path.dirname(whole)):
        os.makedirs(os.path.dirname(whole))
    with io.open(whole, "wb") as file:
        file.write(text if isinstance(text, bytes) else text.encode("utf-8"))
    return whole


def test_a_folder_stands_for_the_root(root):
    write(root, "etc/nginx/nginx.conf", u"http { }")
    write(root, "srv/app.ini", u"[uwsgi]\n")
    found = stack_files.folder(root)
    assert found == {"files": {"/etc/nginx/nginx.conf": u"http { }", "/srv/app.ini": u"[uwsgi]\n"}, "messages": []}


def test_links_lead_nowhere_out_of_a_folder(root):
    write(root, "inside/available/site", u"server { }")
    write(root, "outside", u"secret")
    inside = os.path.join(root, "inside")
    os.mkdir(os.path.join(inside, "enabled"))
    os.symlink("/available/site", os.path.join(inside, "enabled", "absolute"))
    os.symlink("../available/site", os.path.join(inside, "enabled", "relative"))
    os.symlink("../../outside", os.path.join(inside, "enabled", "out"))
    os.symlink("/etc/passwd", os.path.join(inside, "enabled", "passwd"))
    os.symlink("loop", os.path.join(inside, "enabled", "loop"))
    os.symlink("../..", os.path.join(inside, "enabled", "up"))
    found = stack_files.folder(inside)
    assert found["files"] == dict.fromkeys(["/available/site", "/enabled/absolute", "/enabled/relative"], u"server { }")
    told = " ".join(found["messages"])
    assert all("/enabled/%s: left out" % name in told for name in ("out", "passwd", "loop", "up"))


def test_what_is_no_text_of_a_usual_length_is_left_out(root):
    os.mkfifo(os.path.join(root, "fifo.conf"))
    write(root, "big.conf", b"#" * (stack_files.MAX_FILE + 1))
    write(root, "binary.ini", b"[uwsgi]\0")
    found = stack_files.folder(root)
    assert found["files"] == {} and len(found["messages"]) == 3
    assert all("left out" in text for text in found["messages"])


def test_no_more_is_read_than_a_configuration_has(root, monkeypatch):
    monkeypatch.setattr(stack_files, "MAX_FILES", 5)
    for number in range(9):
        write(root, "%d.conf" % number, u"a;")
    found = stack_files.folder(root)
    assert len(found["files"]) == 5 and "the rest is left out" in found["messages"][-1]


def test_includes_are_followed_once(root):
    main = write(root, "nginx/nginx.conf", u"http { include conf.d/*.conf; include nginx.conf;\n# include no;\n}")
    write(root, "nginx/conf.d/a.conf", u"include %s/nginx/b;" % root)
    write(root, "nginx/b", u"server { }")
    write(root, "nginx/other", u"server { }")
    collection = stack_files.Collection()
    stack_files.follow_nginx(collection, main)
    names = sorted(os.path.relpath(path, root) for path in collection.files)
    assert names == ["nginx/b", "nginx/conf.d/a.conf", "nginx/nginx.conf"]


def test_names_of_any_letters_are_read(root):
    main = write(root, "nginx.conf", u"http { include s\xf6/*.conf; }".encode("utf-8"))
    write(root, native(b"s\xc3\xb6/\xc3\xa4.conf"), u"server { }")
    collection = stack_files.Collection()
    stack_files.follow_nginx(collection, main)
    assert len(collection.files) == 2 and collection.messages == []


def test_an_emperor_brings_its_vassals_and_an_ini_what_it_includes(root):
    path = write(root, "emperor.ini", u"[uwsgi]\nemperor = %s/vassals\n" % root)
    write(root, "vassals/one.ini", u"[uwsgi]\nini = base.ini\n")
    write(root, "vassals/base.ini", u"[uwsgi]\nini = one.ini\n")
    collection = stack_files.Collection()
    stack_files.follow_uwsgi(collection, path)
    assert sorted(map(os.path.basename, collection.files)) == ["base.ini", "emperor.ini", "one.ini"]


def test_a_look_tells_kind_mode_and_who_is_kept_out(root):
    folder = os.path.join(root, "closed")
    os.mkdir(folder)
    path = write(root, "closed/a.pid", u"1\n")
    os.chmod(path, 0o644)
    os.chmod(folder, 0o700)
    os.chmod(root, 0o755)
    found = stack_files.look([path, folder, os.path.join(root, "nothing"), "a\0b"])
    assert found[path]["kind"] == "file" and found[path]["mode"] == 0o644 and found[path]["alive"] is True
    assert found[folder]["kind"] == "folder" and found[path]["closed"] in path
    assert found[os.path.join(root, "nothing")] == {"kind": "missing"} and found["a\0b"] == {"kind": "missing"}


def test_of_a_certificate_is_told_and_of_a_key_nothing(root):
    begin, end = u"-----BEGIN %s-----\n", u"\n-----END %s-----\n"
    texts = [begin % kind + u"AAAA" + end % kind for kind in (u"CERTIFICATE", u"PRIVATE KEY")]
    path = write(root, "both.pem", u"".join(texts))
    told = stack_files.look([path])[path]["certificate"]
    assert u"AAAA" in told and u"PRIVATE" not in told


def test_the_kernel_is_asked_of_its_queues():
    found = stack_files.limits()
    assert found["somaxconn"] > 0 and found["denials"] == 0


def test_masters_are_told_from_other_processes():
    assert uwsgi_programs.is_named(["/opt/x/bin/uwsgi", "--ini", "a"]) and uwsgi_programs.is_named(["uwsgi_python3"])
    assert not uwsgi_programs.is_named(["vim", "uwsgi.ini"]) and not uwsgi_programs.is_named([])
    assert all(one["kind"] in ("uwsgi", "nginx") for one in stack_files.processes())


@pytest.mark.parametrize(
    "text",
    [u"\n" * 500000, u"include" + u" " * 500000, u"command=" + u"/" * 500000, u"#" * 500000, u"ini" + u" " * 500000],
)
def test_no_file_makes_a_search_take_long(root, text):
    path = write(root, "etc/uwsgi/app.ini", text)
    began = time.time()
    collection = stack_files.Collection()
    stack_files.follow_nginx(collection, path)
    stack_files.follow_uwsgi(collection, path)
    stack_files.commands_of(collection)
    # Each of these took minutes to hours, now it takes hundredths of a second.
    assert time.time() - began < 20 and path in collection.texts


@pytest.mark.skipif(os.geteuid() != 0, reason="only root reads what others may not")
def test_what_another_accounts_file_names_is_read_with_its_rights(world):
    secret = write(world, "etc/secret.ini", u"[uwsgi]\nenv = TOKEN=canary\n")
    os.chmod(secret, 0o600)
    plain = write(world, "etc/plain.ini", u"[uwsgi]\n")
    mine = write(world, "home/mine.ini", u"[uwsgi]\nini = %s\nini = %s\n" % (native(secret), native(plain)))
    for path in (mine, os.path.dirname(mine)):
        os.chown(path, 12345, 12345)
    collection = stack_files.Collection()
    stack_files.follow_uwsgi(collection, mine)
    assert sorted(collection.files) == [plain, mine] and "canary" not in str(collection.files)
    # What root's own file names is root's to read.
    os.chown(mine, 0, 0)
    os.chown(os.path.dirname(mine), 0, 0)
    collection = stack_files.Collection()
    stack_files.follow_uwsgi(collection, mine)
    assert secret in collection.files
    # A process of another account's has named it.
    collection = stack_files.Collection()
    stack_files.follow_uwsgi(collection, secret, 12345)
    assert not collection.files


root_only = pytest.mark.skipif(os.geteuid() != 0, reason="makes files of other accounts")
HERS, HIS = 61001, 61002


def owned(path, uid, mode=0o644):
    os.chown(path, uid, uid)
    os.chmod(path, mode)
    return path


def folder_of(root, name, uid, mode=0o755):
    path = os.path.join(root, name)
    os.mkdir(path)
    return owned(path, uid, mode)


@root_only
def test_who_can_change_a_file_speaks_for_it(world):
    folder_of(world, "hers", HERS)
    folder_of(world, "tmp", 0, 0o1777)
    folder_of(world, "group", 0, 0o775)
    os.chown(os.path.join(world, "group"), 0, HERS)
    wanted = {"a.ini": None, "hers/a.ini": HERS, "tmp/a.ini": None, "group/a.ini": stack_files.NOBODY}
    for path in wanted:
        owned(write(world, path, u"[uwsgi]\n"), 0)
    for path, uid in (("own.ini", HERS), ("tmp/own.ini", HERS), ("hers/own.ini", HERS)):
        owned(write(world, path, u"[uwsgi]\n"), uid)
        wanted[path] = uid
    # Two may have written it.
    owned(write(world, "hers/his.ini", u"[uwsgi]\n"), HIS)
    owned(write(world, "open.ini", u"[uwsgi]\n"), 0, 0o666)
    wanted.update({"hers/his.ini": stack_files.NOBODY, "open.ini": stack_files.NOBODY})
    collection = stack_files.Collection()
    for path in wanted:
        collection.add(os.path.join(world, path))
    assert dict((os.path.relpath(path, world), uid) for path, uid in collection.owners.items()) == wanted
    told = collection.speakers([])
    assert len(told["speakers"]) == 7 and told["accounts"][str(stack_files.NOBODY)] == {"name": "", "groups": []}
    assert told["accounts"][str(HERS)]["name"] == str(HERS)


@root_only
def test_a_file_is_judged_as_it_was_read(world, monkeypatch):
    folder_of(world, "hers", HERS)
    path = owned(write(world, "hers/a.ini", u"[uwsgi]\n"), HERS)
    real = stack_files.safe_path.Folder.open_file

    def swapping(self, name, *args):
        handle = real(self, name, *args)
        os.rename(os.path.join(world, "hers"), os.path.join(world, "was"))
        write(world, "hers/a.ini", u"[uwsgi]\n")
        return handle

    monkeypatch.setattr(stack_files.safe_path.Folder, "open_file", swapping)
    collection = stack_files.Collection()
    assert collection.add(path) and collection.owners[path] == HERS


@root_only
def test_what_was_read_for_root_is_asked_anew_for_an_account(world):
    secret = owned(write(world, "secret.ini", u"[uwsgi]\nenv = A=canary\n"), 0, 0o600)
    plain = owned(write(world, "plain.ini", u"[uwsgi]\n"), 0)
    collection = stack_files.Collection()
    assert collection.add(secret) and collection.add(plain)
    assert collection.add(secret, by=HERS) is None and collection.add(plain, by=HERS)
    assert collection.speakers([])["readers"] == {plain: [HERS]}
    # What only she has named is hers to say, until root names it too; another's that two name is nobody's.
    other = owned(write(world, "other.ini", u"[uwsgi]\n"), 0)
    his = owned(write(world, "his.ini", u"[uwsgi]\n"), HIS)
    for path in (other, his):
        collection.add(path, by=HERS)
    assert collection.speaker(other) == HERS and collection.speaker(his) == stack_files.NOBODY
    collection.add(other)
    assert collection.speaker(other) is None


def test_tries_that_fail_count_too(root, monkeypatch):
    monkeypatch.setattr(stack_files, "MAX_FILES", 5)
    monkeypatch.setattr(stack_files, "MAX_NAMED", 3)
    asked = []
    monkeypatch.setattr(stack_files.Collection, "_read_as", lambda self, uid, path: asked.append(path) or _missing())
    collection = stack_files.Collection()
    path = write(root, "a.ini", u"[uwsgi]\n" + u"".join(u"ini = no%d.ini\n" % number for number in range(50)))
    stack_files.follow_uwsgi(collection, path, 12345)
    assert asked == [path] and len(collection.messages) == 0
    for number in range(9):
        collection.add("/nowhere/%d" % number, by=12345, quiet=True)
    assert len(asked) == 3 and "names more files" in " ".join(collection.messages) and not collection.full
    for number in range(9):
        collection.add("/nowhere/%d" % number, quiet=True)
    assert collection.full and collection.tried == 5


def _missing():
    raise OSError(2, "not there")


@root_only
def test_an_account_that_keeps_root_waiting_is_not_asked_again(world, monkeypatch):
    monkeypatch.setattr(stack_files, "SECONDS", 0.3)
    monkeypatch.setattr(stack_files, "_for_root", lambda path: time.sleep(60))
    collection, began = stack_files.Collection(), time.time()
    for number in range(20):
        assert collection.add("/nowhere/%d" % number, by=HERS) is None
    assert time.time() - began < 5 and len(collection.messages) == 1 and "took over" in collection.messages[0]


@pytest.mark.parametrize(
    "uids, known",
    [("0 0 0 0", True), ("61001 0 0 0", False), ("0 61001 0 0", False), ("61001 " * 4, False), ("", False)],
)
def test_a_program_with_a_setuid_bit_is_no_master_of_nginx(monkeypatch, uids, known):
    pid = os.getpid()
    real = stack_files.procfs.read
    told = {
        "/proc/%d/cmdline" % pid: b"nginx: master process nginx -c /home/evil/nginx.conf\0",
        "/proc/%d/status" % pid: ("Name:\tx\nUid:\t%s\n" % "\t".join(uids.split())).encode("ascii"),
    }
    monkeypatch.setattr(stack_files.procfs, "read", lambda path: told.get(path) or real(path))
    monkeypatch.setattr(stack_files.os, "geteuid", lambda: 0)
    assert any(one["pid"] == pid for one in stack_files.processes()) is known


def test_only_a_group_of_systemds_own_is_a_unit():
    tell = stack_files.system_unit
    assert tell("0::/system.slice/shop.service\n") == "shop.service"
    assert tell("5:memory:/x\n1:name=systemd:/system.slice/system-app.slice/app@a.service\n0::/\n") == "app@a.service"
    assert tell("0::/system.slice/evil.service/shop.service\n") == "evil.service"
    assert tell("0::/user.slice/user-9.slice/user@9.service/app.slice/shop.service\n") == "user@9.service"
    assert tell("0::/docker.service/x/system.slice/a.service\n", "0::/docker.service/x/init.scope\n") == "a.service"
    assert tell("") == ""


@root_only
def test_an_emperor_of_an_account_sees_what_that_account_sees(world, monkeypatch):
    folder_of(world, "closed", 0, 0o700)
    write(world, "closed/one.ini", u"[uwsgi]\n")
    folder_of(world, "hers", HERS)
    write(world, "hers/vassals/one.ini", u"[uwsgi]\n")
    text = u"[uwsgi]\nemperor = %s/closed/*.ini\nemperor = %s/hers/vassals\n" % (native(world), native(world))
    path = owned(write(world, "e.ini", text), HERS)
    asked = []
    real = stack_files.Collection._read_as
    monkeypatch.setattr(
        stack_files.Collection, "_read_as", lambda self, uid, path: asked.append(path) or real(self, uid, path)
    )
    collection = stack_files.Collection()
    stack_files.follow_uwsgi(collection, path)
    assert asked == [os.path.join(world, "hers/vassals/one.ini")] and asked[0] in collection.files


@root_only
def test_a_process_names_files_by_the_folder_that_it_began_in(world):
    path = owned(write(world, "hers/a.ini", u"[uwsgi]\n"), HERS)
    about = {"command": ["uwsgi", "a.ini"], "folders": ["/", os.path.join(world, "hers")], "by": HERS, "folder": "/"}
    collection = stack_files.Collection()
    stack_files._configs(collection, about)
    assert list(collection.files) == [path] and about["folder"] == os.path.join(world, "hers")


def test_a_unit_with_mounts_of_its_own_is_the_hosts_and_a_container_is_not(tmp_path):
    """As PrivateTmp makes them of a unit; a container has another root."""
    (tmp_path / "root").mkdir()
    code = "import os, sys, time; %s; sys.stdout.write('up'); sys.stdout.flush(); time.sleep(60)"
    inside = code % ("os.chroot(%r)" % str(tmp_path / "root"))
    cases = [(["unshare", "-m", sys.executable, "-c", code % "pass"], False), ([sys.executable, "-c", inside], True)]
    for words, other in cases:
        child = subprocess.Popen(words, stdout=subprocess.PIPE)
        try:
            assert child.stdout.read(2) == b"up"
            assert stack_files._has_other_files(child.pid) is other
        finally:
            child.kill()
            child.wait()


@pytest.mark.parametrize("words", [["uwsgi", "--emperor", "vassals"], ["uwsgi", "--emperor=%s/vassals"]])
def test_an_emperor_of_a_command_brings_its_vassals(root, words):
    write(root, "vassals/one.ini", u"[uwsgi]\nsocket = :1\n")
    words = [word.replace("%s", root) for word in words]
    # By the time it is looked at, it has gone into the folder that it watches.
    for folders in ([root], [os.path.join(root, "vassals"), "/"]):
        collection = stack_files.Collection()
        started = stack_files.follow_emperor(collection, words, [native(one) for one in folders])
        assert list(map(os.path.basename, collection.files)) == ["one.ini"]
        assert started in (root, folders[0])
    other = stack_files.Collection()
    assert stack_files.follow_emperor(other, ["uwsgi", "--emperor", "pg://host=a"], [root]) is None
    assert stack_files.follow_emperor(other, ["uwsgi", "--emperor"], [root]) is None and other.files == {}


def test_an_emperor_of_a_unit_brings_its_vassals(root):
    write(root, "vassals/one.ini", u"[uwsgi]\nsocket = :1\n")
    unit = write(root, "e.service", u"[Service]\nWorkingDirectory=%s\nExecStart=/bin/uwsgi --emperor vassals\n" % root)
    collection = stack_files.Collection()
    collection.add(unit)
    stack_files.commands_of(collection)
    assert sorted(map(os.path.basename, collection.files)) == ["e.service", "one.ini"]


def test_a_virtualenv_tells_of_its_python(root):
    for version in ("python3.11", "pythonx"):
        os.makedirs(os.path.join(root, "venv/lib", version))
    assert stack_files.look([os.path.join(root, "venv")])[os.path.join(root, "venv")]["pythons"] == ["3.11"]
