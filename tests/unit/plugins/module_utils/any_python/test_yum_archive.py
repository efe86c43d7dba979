# -*- coding: utf-8 -*-
"""Repositories are pointed at an archive where they stand, and nothing else is touched (runs under Python 2.7 too)."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os
import stat

import pytest

from ansible_collections.graceful.wsgi.plugins.module_utils import yum_archive


def repository(name, **more):
    wanted = {"id": name, "name": "CentOS 7 - " + name, "url": "http://v/%s/" % name, "enabled": False}
    wanted.update({"gpgkey": "", "default_gpgkey": "file:///k"}, **more)
    return wanted


BASE = repository("base")

STOCK = """# head
[base]
name=CentOS-$releasever - Base
mirrorlist=http://dead/?repo=os
#baseurl=http://mirror/os/
gpgcheck=1
gpgkey=file:///stock

#released updates
[updates]
name=x
mirrorlist=http://dead/?repo=updates
gpgcheck=1
gpgkey=file:///stock
"""


@pytest.mark.parametrize(
    "before, after, settings",
    [
        # The mirror list's place is taken, comments stay where they are, and so does the next section.
        (STOCK, STOCK.replace("mirrorlist=http://dead/?repo=os", "baseurl=http://v/base/"), {}),
        # What is as it should be is left letter by letter.
        ("[base]\nname = x\nbaseurl = http://v/base/\ngpgcheck: 1\ngpgkey=k\n", None, {}),
        # An address that is there is replaced, whatever the mirror list's place, on several lines or said twice.
        (
            "[base]\nname=x\nmetalink=http://m\nbaseurl=http://a/\n        http://b/\n#c\n    http://c/\ngpgcheck=1\ngpgkey=k\n",
            "[base]\nname=x\nbaseurl=http://v/base/\n#c\ngpgcheck=1\ngpgkey=k\n",
            {},
        ),
        (
            "[base]\nname=x\nbaseurl=http://v/base/\nbaseurl=http://b/\nmirrorlist=l\ngpgcheck=1\ngpgkey=k\n",
            "[base]\nname=x\nbaseurl=http://v/base/\ngpgcheck=1\ngpgkey=k\n",
            {},
        ),
        # Signatures are checked, by a key.
        (
            "[base]\nname=x\nMirrorList = l\nGPGcheck = 0\n",
            "[base]\nname=x\nbaseurl=http://v/base/\ngpgcheck=1\ngpgkey=file:///k\n",
            {},
        ),
        # New settings come before the comments of the section to come; the last line need not end.
        (
            "[base]\nname=x\nbaseurl=http://v/base/\ngpgcheck=1\ngpgkey=k\n\n# others\n[other]\nbaseurl=z",
            "[base]\nname=x\nbaseurl=http://v/base/\ngpgcheck=1\ngpgkey=k\ntimeout=9\n\n# others\n[other]\nbaseurl=z",
            {"timeout": "9"},
        ),
        ("[base]", "[base]\nname=CentOS 7 - base\nbaseurl=http://v/base/\ngpgcheck=1\ngpgkey=file:///k", {}),
        # Others of similar names are others.
        ("[base-source]\nmirrorlist=l\n[mybase]\nmirrorlist=l\n#[base]\n", None, {}),
        ("", None, {}),
    ],
)
def test_a_file(before, after, settings):
    after = before if after is None else after
    assert yum_archive.rewritten(before, [BASE], settings)[0] == after
    assert yum_archive.rewritten(after, [BASE], settings)[0] == after


@pytest.mark.parametrize(
    "found, enabled, after",
    [("0", True, "1"), ("False", True, "1"), ("1", True, "1"), ("yes", True, "yes"), ("0", False, "0")],
)
def test_enabled_only_where_it_is_asked_for(found, enabled, after):
    text = "[base]\nname=x\nbaseurl=http://v/base/\nenabled=%s\ngpgcheck=1\ngpgkey=k\n"
    assert yum_archive.rewritten(text % found, [repository("base", enabled=enabled)], {})[0] == text % after


def test_the_hosts_own_key_stays_unless_another_is_named():
    named = repository("base", gpgkey="http://other")
    assert "file:///stock" in yum_archive.rewritten(STOCK, [BASE], {})[0].split("[updates]")[0]
    assert "gpgkey=http://other\n" in yum_archive.rewritten(STOCK, [named], {})[0].split("[updates]")[0]


@pytest.fixture
def host(tmpdir):
    """A host's folder of repositories, and what runs on it do."""

    class Host:
        folder = str(tmpdir.mkdir("yum.repos.d"))
        main = str(tmpdir.join("yum.conf"))
        labelled = []

        def put(self, name, text):
            with open(os.path.join(self.folder, name), "wb") as target:
                target.write(text.encode("utf-8"))

        def text(self, name):
            with open(os.path.join(self.folder, name), "rb") as source:
                return source.read().decode("utf-8")

        def run(self, *repositories, **settings):
            changes = yum_archive.survey(self.folder, self.main, repositories, settings)
            owner, os.chown = os.chown, lambda path, uid, gid: None
            try:
                for change in changes:
                    yum_archive.write(change, lambda path, like: self.labelled.append((path, like)))
            finally:
                os.chown = owner
            return sorted(os.path.basename(change["path"]) for change in changes)

    return Host()


def test_the_original_is_kept_once_and_yum_does_not_read_it(host):
    host.put("CentOS-Base.repo", STOCK)
    os.chmod(os.path.join(host.folder, "CentOS-Base.repo"), 0o640)
    assert host.run(BASE) == ["CentOS-Base.repo"]
    assert host.run(BASE) == []
    assert host.run(repository("base", url="http://elsewhere/")) == ["CentOS-Base.repo"]
    kept = [name for name in os.listdir(host.folder) if name != "CentOS-Base.repo"]
    assert kept == ["CentOS-Base.repo.before-graceful-wsgi"]
    assert host.text(kept[0]) == STOCK
    for name in os.listdir(host.folder):
        assert stat.S_IMODE(os.stat(os.path.join(host.folder, name)).st_mode) == 0o640
    assert (os.path.join(host.folder, kept[0]), os.path.join(host.folder, "CentOS-Base.repo")) in host.labelled


def test_what_no_file_defines_is_added_in_one_of_ours_until_one_does(host):
    host.put("CentOS-Base.repo", STOCK)
    epel = repository("epel", enabled=True)
    wanted = [BASE, epel, repository("extras")]
    assert host.run(*wanted) == ["CentOS-Base.repo", "graceful-wsgi.repo"]
    assert host.run(*wanted) == []
    assert "[epel]\nname=CentOS 7 - epel\nbaseurl=http://v/epel/\ngpgcheck=1\ngpgkey=file:///k\n" in host.text(
        "graceful-wsgi.repo"
    )
    assert "[extras]" not in host.text("graceful-wsgi.repo")
    host.put("epel.repo", "[epel]\nname=e\nmetalink=http://m\n")
    assert host.run(*wanted) == ["epel.repo", "graceful-wsgi.repo"]
    assert not os.path.exists(os.path.join(host.folder, "graceful-wsgi.repo"))
    assert host.run(*wanted) == []


def test_yums_own_configuration_may_define_it_too(host):
    with open(host.main, "w") as target:
        target.write("[main]\ngpgcheck=0\n[base]\nmirrorlist=l\n")
    assert host.run(repository("base", enabled=True)) == ["yum.conf"]
    with open(host.main) as source:
        assert source.read().startswith("[main]\ngpgcheck=0\n[base]\nbaseurl=http://v/base/\n")


def test_a_linked_file_is_changed_where_it_is(host, tmpdir):
    tmpdir.join("real").write(STOCK)
    os.symlink(str(tmpdir.join("real")), os.path.join(host.folder, "CentOS-Base.repo"))
    assert host.run(BASE) == ["real"]
    assert os.path.islink(os.path.join(host.folder, "CentOS-Base.repo"))
    assert "http://v/base/" in tmpdir.join("real").read()


def test_bytes_that_are_no_utf8_come_out_as_they_went_in(host):
    path = os.path.join(host.folder, "a.repo")
    with open(path, "wb") as target:
        target.write(b"# \xe9\x85 \xff\n[base]\nname=\xc3\xa9\nmirrorlist=l\n")
    host.run(BASE, proxy=u"http://\xfc:1")
    with open(path, "rb") as source:
        found = source.read()
    assert found.startswith(b"# \xe9\x85 \xff\n[base]\nname=\xc3\xa9\nbaseurl=http://v/base/\n")
    assert b"proxy=http://\xc3\xbc:1\n" in found
    assert host.run(BASE, proxy=u"http://\xfc:1") == []
