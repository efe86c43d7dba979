# -*- coding: utf-8 -*-
"""A file with secrets that is on the host: whose it is, and what systemd makes of it; no message repeats a value."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import json
import os

import pytest

from ansible_collections.graceful.wsgi.plugins.module_utils import (
    environment_file,
    published_names,
    secret_checks,
    secret_values,
)
from ansible_collections.graceful.wsgi.plugins.module_utils.disk import native

CANARY = "canary-0123456789"


@pytest.mark.parametrize(
    "text, found",
    [
        ("A=1\nB=2\n", [("A", "1"), ("B", "2")]),
        ("A=1", [("A", "1")]),
        ("A=", [("A", "")]),
        ("# A=1\n; B=2\n\n  C = x y  \n", [("C", "x y")]),
        ("A=a#b\n", [("A", "a#b")]),
        ("A=\"a b\"'c d'\n", [("A", "a bc d")]),
        ("A=a \\\n b\n", [("A", "a  b")]),
        ("A=a\\\"b\n", [("A", 'a"b')]),
        ("# a \\\nA=1\nB=2\n", [("B", "2")]),
        ("A=\"two\nlines\"\n", [("A", "two\nlines")]),
        ("A=\"  x  \"  \n", [("A", "  x  ")]),
        ('A="\\$\\`\\"\\\\"\n', [("A", '$`"\\')]),
        ("no assignment\nA=1\n", [("A", "1")]),
        ("A=b=c\n", [("A", "b=c")]),
        ('A="not closed', [("A", "not closed")]),
    ],
)
def test_lines_are_read_as_systemd_reads_them(text, found):
    assert environment_file.parse(text) == found
    assert environment_file.parse(text, old=True) == found


def test_an_older_systemd_takes_every_backslash():
    assert environment_file.parse('A="\\n"\n') == [("A", "\\n")]
    assert environment_file.parse('A="\\n"\n', old=True) == [("A", "n")]
    assert environment_file.parse("A='\\n'\n") == [("A", "\\n")]
    assert environment_file.parse("A='\\n'\n", old=True) == [("A", "n")]


@pytest.fixture
def judged(tmp_path, monkeypatch):
    monkeypatch.setattr(secret_checks.safe_path, "untrusted_target", lambda path: None)
    path = str(tmp_path / "secrets")
    lstat = secret_checks.safe_path.Folder.lstat

    def looked_at(folder, name, shown):
        return shown if name == "secrets" else lstat(folder, name)

    def judge(text, mode=0o600, uid=0, gid=0):
        with open(path, "wb") as target:
            target.write(text.encode("utf-8"))
        os.chmod(path, mode)
        told = os.lstat(path)
        shown = type("Stat", (), {"st_mode": told.st_mode, "st_uid": uid, "st_gid": gid})()
        monkeypatch.setattr(secret_checks.safe_path.Folder, "lstat", lambda self, name: looked_at(self, name, shown))
        check = {"variable": "publish_apps[0].secrets_file", "path": path, "names": ["KNOWN"]}
        found = secret_checks.secrets_file([check], None)
        assert CANARY not in str(found)
        return found

    return judge


@pytest.mark.parametrize("text", [u"TOKEN=%s\n" % CANARY, u"A=\u2603\nB='x y'\n", u"# one\nA=1"])
def test_a_file_of_roots_is_taken(judged, text):
    assert judged(text) == []
    assert judged(text, mode=0o640) == []


@pytest.mark.parametrize(
    "text, message",
    [
        (u"%s\n" % CANARY, "sets no variable"),
        (u"", "sets no variable"),
        (u"A-B=%s\n" % CANARY, "a name in"),
        (u"export A=%s\n" % CANARY, "a name in"),
        (u"UWSGI_HTTP=%s\n" % CANARY, "UWSGI_HTTP is a name by which"),
        (u"KNOWN=%s\n" % CANARY, "KNOWN in"),
        (u"A=\"%s\nx\"\n" % CANARY, "A in"),
        (u"A=\"%s\x07\"\n" % CANARY, "A in"),
        (u"A=\"%s\ufdd0\"\n" % CANARY, "A in"),
    ],
)
def test_what_would_not_arrive_is_refused_without_its_value(judged, text, message):
    [(variable, said, hint)] = judged(text)
    assert variable == "publish_apps[0].secrets_file" and message in said and hint


@pytest.mark.parametrize("more", [{"mode": 0o644}, {"mode": 0o620, "gid": 7}, {"uid": 65534}, {"mode": 0o602}])
def test_a_file_that_others_read_or_change_is_refused_with_the_cure(judged, more):
    [(_variable, said, hint)] = judged(u"A=%s\n" % CANARY, **more)
    assert "is for others than root" in said and "chmod 0600" in hint


def test_a_file_that_is_not_there_or_in_anothers_folder_is_refused(tmp_path, monkeypatch):
    def judge(path):
        return secret_checks.secrets_file([{"variable": "v", "path": path, "names": []}], None)[0]

    monkeypatch.setattr(secret_checks.safe_path, "untrusted_target", lambda path: None)
    assert "there is no file" in judge(str(tmp_path / "none"))[1]
    assert "there is no file" in judge(str(tmp_path / "nowhere" / "none"))[1]
    assert "is no regular file" in judge(str(tmp_path))[1]
    monkeypatch.setattr(secret_checks.safe_path, "untrusted_target", lambda path: "it belongs to shop")
    assert "another account can change what it leads to (it belongs to shop)" in judge(str(tmp_path / "none"))[1]


def test_every_value_of_a_file_with_secrets_is_masked(tmpdir):
    tmpdir.join("shop.secrets").write('PIN="1234"\nPLACE="/a/b"\nSHORT=ab\nKEY="a\\"b\\$c"\nTWO="first line\nsecond"\n')
    tmpdir.join("shop.env").write('MODE="prod"\nPLACE="/srv"\n')
    paths = [str(tmpdir.join(name)) for name in ("shop.secrets", "shop.env")]
    found = secret_values.of_units(paths)
    assert set(["1234", "/a/b", 'a"b$c', "first line", "second"]) <= set(found)
    assert not set(["prod", "/srv", "ab"]).intersection(found)


def test_secrets_of_a_preflight_are_those_that_are_not_live_yet_and_those_on_the_host(tmpdir):
    there = tmpdir.join("there")
    there.write("OLD=%s\n" % CANARY)
    wanted = {
        "environment": {"MODE": "prod", "TOKEN": "abcd"},
        "files": {"/etc/uwsgi/shop.secrets": 'PIN="4321"\n'},
        "secret_files": ["/etc/uwsgi/shop.secrets", str(there)],
    }
    assert set(secret_values.of_preflight(wanted)) == set([CANARY, "4321", "abcd"])


@pytest.mark.parametrize(
    "secret, addressed",
    [
        ("a/b+c d=\"e'f", ["a/b%2Bc%20d%3D%22e%27f", "a%2Fb%2Bc%20d%3D%22e%27f", "a%2fb%2bc+d%3d%22e%27f"]),
        (u"caf\xe9-\u20ac/1", ["caf%C3%A9-%E2%82%AC/1", "caf%c3%a9-%e2%82%ac%2f1"]),
        ("back\\slash\tand\nlines", ["back%5Cslash%09and%0Alines"]),
    ],
)
def test_a_secret_is_hidden_however_a_program_writes_it(secret, addressed):
    if not isinstance(secret, str):
        secret = secret.encode("utf-8")
    text = secret if isinstance(secret, type(u"")) else secret.decode("utf-8")
    spelt = [repr(secret), repr([secret, "it's"]), repr({"say": secret + '"'}), json.dumps({"a": text})]
    spelt += [json.dumps([text], ensure_ascii=False)]
    spelt += addressed + [repr(text), repr(text.encode("utf-8"))]
    for one in spelt:
        shown = secret_values.mask("before %s after" % native(one), [secret])
        assert secret_values.HIDDEN in shown, (one, shown)
        for part in ("slash", "caf", "b+c", "b%2B", "b%2b"):
            assert part not in shown, (one, shown)


def test_an_access_list_makes_it_anothers_to_read(tmp_path, monkeypatch, set_acl):
    path = tmp_path / "s.env"
    path.write_text(u"A=1\n")
    assert not secret_checks.has_acl(str(path))
    os.chmod(str(path), 0o640)
    if os.geteuid() == 0:
        # The owner rw, the account 12345 r, the group none, the mask r, others none.
        set_acl(str(path), (1, 6, -1), (2, 4, 12345), (4, 0, -1), (16, 4, -1), (32, 0, -1))
        assert secret_checks.has_acl(str(path))
        monkeypatch.setattr(secret_checks.safe_path, "untrusted_target", lambda _path: None)
        said = " ".join(secret_checks._of_the_file(str(path)))
        assert "has an access list" in said and "setfacl -b" in said


@pytest.mark.parametrize("between", ["\n", "\r\n", "\\n"])
def test_each_line_of_a_value_is_masked(between):
    key = between.join(["-----BEGIN KEY-----", "MIIEvgIBADANBg", "  kqhkiG9w0BAQ", "ab=="])
    values = secret_values.of({"SIGNING_KEY": key, "NOTE": between.join(["eight or more", "few"])})
    said = secret_values.mask("web[7]: MIIEvgIBADANBg\nweb[7]: kqhkiG9w0BAQ\nweb[7]: ab==\neight or more, few", values)
    assert said == "web[7]: (hidden)\nweb[7]: (hidden)\nweb[7]: (hidden)\n(hidden), few"


@pytest.fixture
def sites(tmpdir, monkeypatch):
    """What nginx publishes here."""
    tmpdir.join("shop.conf").write("server {\n    server_name shop.example.com *.wild.test ~^x\\d$ _;\n}\n")
    monkeypatch.setattr(published_names.layout, "site", lambda name: str(tmpdir.join(name + ".conf")))


ENVIRONMENT = {
    "ALLOWED_HOSTS": "shop.example.com",
    "BASE_URL": "https://shop.example.com/",
    "COOKIE_DOMAIN": ".example.com",
    "WILD": "wild.test",
    "PROBED": "Probe.Test:8443",
    "UPSTREAM": "other.internal",
    "PASSWORD": "example.com",
    "JOINED": "shop.example.com,db.internal",
}


def test_names_that_sites_publish_and_a_probe_asks_for_are_no_secret(sites, tmpdir):
    hidden = set(["other.internal", "example.com", "shop.example.com,db.internal"])
    assert set(secret_values.of(ENVIRONMENT, ["probe.test", None])) == hidden
    assert set(secret_values.of(ENVIRONMENT)) == hidden | set(["Probe.Test:8443"])
    wanted = {"environment": ENVIRONMENT, "probe": {"path": "/", "host": "probe.test"}, "question": {}}
    assert set(secret_values.of_preflight(wanted)) == hidden
    wanted.update(probe={}, question={"host": "probe.test"})
    assert set(secret_values.of_preflight(wanted)) == hidden
    tmpdir.join("shop.env").write("".join('%s="%s"\n' % pair for pair in sorted(ENVIRONMENT.items())))
    paths = [str(tmpdir.join("shop.env"))]
    assert set(secret_values.of_units(paths, ["probe.test"])) == hidden
    assert set(secret_values.of_files([tmpdir.join("shop.env").read()], secret_values.hosts_of(wanted))) == hidden


def test_a_name_that_nobody_publishes_is_hidden(sites):
    assert secret_values.of({"PEER": "shop.example.org"}) == ["shop.example.org"]
    assert secret_values.of({"PEER": "op.example.com"}) == ["op.example.com"]
