"""What is read of a host or a folder, and what is not (runs under Python 2.7 too)."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import io
import os
import time

import pytest

from ansible_collections.graceful.wsgi.plugins.module_utils import stack_files
from ansible_collections.graceful.wsgi.plugins.module_utils.disk import native


@pytest.fixture
def root(tmp_path):
    return os.path.realpath(str(tmp_path))


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
    assert stack_files._is_uwsgi(["/opt/x/bin/uwsgi", "--ini", "a"]) and stack_files._is_uwsgi(["uwsgi_python3"])
    assert not stack_files._is_uwsgi(["vim", "uwsgi.ini"]) and not stack_files._is_uwsgi([])
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
def test_what_another_accounts_file_names_is_read_with_its_rights(root):
    for path, mode in ((root, 0o755), (os.path.dirname(root), 0o755), (os.path.dirname(os.path.dirname(root)), 0o755)):
        os.chmod(path, mode)
    secret = write(root, "etc/secret.ini", u"[uwsgi]\nenv = TOKEN=canary\n")
    os.chmod(secret, 0o600)
    plain = write(root, "etc/plain.ini", u"[uwsgi]\n")
    mine = write(root, "home/mine.ini", u"[uwsgi]\nini = %s\nini = %s\n" % (native(secret), native(plain)))
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
