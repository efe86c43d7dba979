"""uWSGI's configuration languages and command line, read as uWSGI reads them (runs under Python 2.7 too)."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os
import socket

import pytest

from ansible_collections.graceful.wsgi.plugins.module_utils import uwsgi_config as code
from ansible_collections.graceful.wsgi.plugins.module_utils.uwsgi_config import (
    Config,
    ConfigError,
    command_line,
    from_environment,
    load,
    load_as,
    resolve,
)


def put(path, text):
    path.write(text)
    return str(path)


WANTED = [("master", "true"), ("processes", "4"), ("route", "a b"), ("route", "c=d")]
SAME = {
    "ini": "; c\n# c\n[other]\nmaster = no\n[uwsgi]\n  master =true\nprocesses= 4\n\n"
    "route = a b\nroute = c=d\n[x]\nq = 1\n",
    "json": '{"other": {"x": 1}, "uwsgi": {"master": true, "processes": 4, "route": ["a b", "c=d"]}}',
    "yaml": "# c\nother:\n  x: 1\nuwsgi:\n  master: true # c\n  processes: '4'\n"
    "  route:\n    - a b\n    - c=d\nlast:\n  y: 2\n",
    "xml": "<all><other><x>1</x></other><uwsgi><master/><processes> 4 </processes>"
    "<route>a b</route><route>c=d</route></uwsgi></all>",
}


@pytest.mark.parametrize("kind", sorted(SAME))
def test_all_languages_say_the_same(tmpdir, kind):
    assert load(put(tmpdir / ("app." + kind), SAME[kind])) == WANTED


@pytest.mark.parametrize("kind", sorted(SAME))
def test_a_language_may_be_said_instead_of_the_ending(tmpdir, kind):
    assert load(put(tmpdir / "app.conf", SAME[kind]), kind) == WANTED


def test_repeated_keys_stay_in_order_in_yaml(tmpdir):
    path = put(tmpdir / "a.yml", "uwsgi:\n    route: a\n    master: true\n    route: b\n")
    assert load(path) == [("route", "a"), ("master", "true"), ("route", "b")]


def test_json_keeps_its_order(tmpdir):
    names = ["o%d" % number for number in range(40)]
    path = put(tmpdir / "a.json", '{"uwsgi": {%s}}' % ", ".join('"%s": false' % name for name in names))
    assert load(path) == [(name, "false") for name in names]


def test_a_key_without_a_value_is_on(tmpdir):
    assert load(put(tmpdir / "a.ini", "[uwsgi]\nmaster\n")) == [("master", "true")]
    assert load(put(tmpdir / "a.xml", "<uwsgi><master> </master></uwsgi>")) == [("master", "true")]


def test_a_section_is_named_behind_the_path(tmpdir):
    path = put(tmpdir / "a.ini", "[uwsgi]\na = 1\n[blue]\na = 2\n")
    assert load(path + ":blue") == [("a", "2")]
    assert load(path + ":green") == []


# Held against uWSGI 2.0.31: `print = ...` in a file, one in a file that it includes.
@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("%n", "app"),
        ("%e", "ini"),
        ("%s", "app.ini"),
        ("%d", "{folder}/"),
        ("%dx", "{folder}/x"),
        ("%p", "{folder}/app.ini"),
        ("%c", "{last}"),
        ("%0", "{first}"),
        ("%h", "{host}"),
        ("[%q]", "[]"),
        ("100%%", "100%"),
        ("%(x)", "1"),
        ("%%(x)", "1"),
        ("%(unknown)", "%(unknown)"),
        ("/run/%(x)/%n", "/run/1/app"),
        ("%(twice)", "<1>"),
        ("$(HOME)", "/home/wyz"),
        ("$(NO_SUCH)", "$(NO_SUCH)"),
    ],
)
def test_variables(tmpdir, text, seen):
    folder = os.path.realpath(str(tmpdir))
    lines = "[uwsgi]\nset-placeholder = x=1\nset-ph = twice=<%%(x)>\nprint = %s\n" % text
    options = load(put(tmpdir / "app.ini", lines))
    names = {
        "folder": folder,
        "last": os.path.basename(folder),
        "first": folder.split("/")[1],
        "host": socket.gethostname(),
    }
    assert resolve(options, dict(options)["print"], {"HOME": "/home/wyz"}) == seen.format(**names)


def test_placeholders_that_ask_for_each_other_come_to_an_end():
    assert "%(" in resolve([("a", "%(b)"), ("b", "%(a)")], "%(a)")


def test_an_option_is_a_placeholder_too():
    assert resolve([("project", "/srv/x")], "%(project)/pid") == "/srv/x/pid"


def test_includes_are_read_in_their_place(tmpdir):
    put(tmpdir / "b.ini", "[uwsgi]\nb = %n-%N\n")
    path = put(tmpdir / "a.ini", "[uwsgi]\na = 1\nset-ph = which=b\ninclude = %(which).ini\nc = 3\n")
    assert load(path) == [("a", "1"), ("set-ph", "which=b"), ("b", "b-a"), ("c", "3")]


def test_an_include_starts_from_where_the_master_was_started(tmpdir):
    put(tmpdir.mkdir("etc") / "b.ini", "[uwsgi]\nb = beside\n")
    put(tmpdir / "b.ini", "[uwsgi]\nb = started\n")
    path = put(tmpdir / "etc" / "a.ini", "[uwsgi]\nini = b.ini\n")
    assert load(path) == [("b", "beside")]
    assert load(path, folder=str(tmpdir)) == [("b", "started")]


def test_an_include_of_another_section_of_the_same_file(tmpdir):
    path = put(tmpdir / "a.ini", "[uwsgi]\na = 1\nini = :more\n[more]\nb = 2\n")
    assert load(path) == [("a", "1"), ("b", "2")]


def test_an_include_may_be_of_another_language(tmpdir):
    put(tmpdir / "more", '{"uwsgi": {"b": 2}}')
    assert load(put(tmpdir / "a.ini", "[uwsgi]\njson = more\n")) == [("b", "2")]


@pytest.mark.parametrize("first", ["a.ini", "b.ini"])
def test_include_loops_are_refused(tmpdir, first):
    put(tmpdir / "a.ini", "[uwsgi]\ninclude = b.ini\n")
    put(tmpdir / "b.ini", "[uwsgi]\ninclude = a.ini\n")
    with pytest.raises(ConfigError) as refused:
        load(str(tmpdir / first))
    assert "includes itself" in str(refused.value)


@pytest.mark.parametrize(
    ("name", "text"), [("a.json", "{"), ("a.json", '{"x": {}}'), ("a.xml", "<uwsgi>"), ("missing.ini", None)]
)
def test_what_cannot_be_read_is_named(tmpdir, name, text):
    if text is not None:
        put(tmpdir / name, text)
    with pytest.raises(ConfigError) as refused:
        load(str(tmpdir / name))
    assert str(tmpdir / name) in str(refused.value)


def test_a_fifo_in_a_configurations_place_is_not_waited_for(tmpdir):
    os.mkfifo(str(tmpdir / "a.ini"))
    with pytest.raises(ConfigError) as refused:
        load(str(tmpdir / "a.ini"))
    assert "a.ini: is not a regular file" in str(refused.value)


@pytest.mark.parametrize(
    ("words", "options", "files"),
    [
        (["--ini", "a.ini"], [], [("/w/a.ini", "ini")]),
        (["--ini=/x/a.ini"], [], [("/x/a.ini", "ini")]),
        (["a.ini"], [], [("/w/a.ini", None)]),
        (["/x/a.yml:blue"], [], [("/x/a.yml:blue", None)]),
        (["--master", "a.ini"], [("master", "true")], [("/w/a.ini", None)]),
        (["-M", "a.ini"], [("master", "true")], [("/w/a.ini", None)]),
        (["-L", "a.ini"], [("disable-logging", "true")], [("/w/a.ini", None)]),
        (["-p", "4", "-s/run/x"], [("processes", "4"), ("socket", "/run/x")], []),
        (["--socket=:1", "--x", "--y", "1"], [("socket", ":1"), ("x", "true"), ("y", "1")], []),
        (["--set", "a=b"], [("set", "a=b")], []),
        (["-y", "a.conf"], [], [("/w/a.conf", "yaml")]),
        (["--env", "A=100%"], [("env", "A=100%%")], []),
        (["--pidfile", "/run/%(x)"], [("pidfile", "/run/%(x)")], []),
        (["word"], [], []),
        ([], [], []),
    ],
)
def test_command_lines(words, options, files):
    assert command_line(words, "/w") == (options, files)


def test_a_percent_of_the_command_line_survives():
    options, _files = command_line(["--env", "A=100%"])
    assert resolve(options, options[0][1]) == "A=100%"


def test_options_from_the_environment():
    found = from_environment(
        {"UWSGI_MASTER_FIFO": "/x", "UWSGI_HTTP": "5%", "UWSGI_RELOADS": "3", "PATH": "/bin", "UWSGI_APPNAME": "x"}
    )
    assert found == [("http", "5%%"), ("master-fifo", "/x")]


@pytest.mark.parametrize(
    ("options", "name", "value"),
    [
        ([("pidfile", "/a"), ("safe-pidfile", "/%(x)"), ("x", "b")], "pidfiles", ["/a", "/b"]),
        ([], "pidfiles", []),
        ([("master-fifo", "/a"), ("master-fifo", "/b")], "fifo", "/a"),
        ([], "fifo", None),
        ([("lazy-apps", "true")], "lazy", True),
        ([("lazy", "1")], "lazy", True),
        ([("lazy-apps", "false")], "lazy", False),
        ([], "lazy", False),
        ([("stats-server", "/s")], "stats", "/s"),
        ([("daemonize", "/l")], "log", "/l"),
        ([("socket", "/a"), ("http-socket", ":1")], "sockets", [("uwsgi", "/a"), ("http", ":1")]),
        ([("protocol", "http"), ("socket", "/a"), ("uwsgi-socket", "/b")], "sockets", [("http", "/a"), ("http", "/b")]),
        ([("http", ":1")], "sockets", []),
    ],
)
def test_what_matters_for_a_reload(options, name, value):
    assert getattr(Config(options), name) == value


def test_placeholders_from_the_environment():
    assert Config([("pidfile", "/run/$(NAME)")], {"NAME": "x"}).pidfiles == ["/run/x"]


@pytest.mark.skipif(os.geteuid() != 0, reason="looks as another account")
def test_what_an_account_includes_is_read_with_its_rights(tmpdir, monkeypatch):
    secret, own = tmpdir / "secret.cnf", tmpdir / "own.ini"
    secret.write("[client]\npassword = canary\n")
    secret.chmod(0o600)
    own.write("[uwsgi]\nmaster = true\nini = %s:client\n" % secret)
    for folder in [tmpdir] + list(tmpdir.parts()):
        folder.chmod(folder.stat().mode & 0o7777 | 0o055)
    nobody = {"uid": 65534, "gid": 65534, "groups": []}
    assert ("password", "canary") in load(str(own))
    with pytest.raises(ConfigError, match="Permission denied") as error:
        load_as(nobody, str(own))
    assert "canary" not in str(error.value)
    # Nor does a link in its place help, nor that root could read it.
    own.remove()
    own.mksymlinkto(secret)
    with pytest.raises(ConfigError):
        load_as(nobody, str(own) + ":client")
    # What only root can change and its account cannot read, a master may have read as root.
    monkeypatch.setattr(code.safe_path, "untrusted", lambda _path: None)
    assert load_as(nobody, str(secret) + ":client", named=True) == [("password", "canary")]
    # Where the play has not named it, the account may have, as a word of its program's.
    with pytest.raises(ConfigError, match="Permission denied"):
        load_as(nobody, str(secret) + ":client")
    # But not by way of what another account can change.
    top = tmpdir / "top.ini"
    top.write("[uwsgi]\nini = %s:client\n" % secret)
    top.chmod(0o600)
    monkeypatch.setattr(code.safe_path, "untrusted", lambda path: "mallory's" if path == str(secret) else None)
    with pytest.raises(ConfigError, match="not root's alone"):
        load_as(nobody, str(top), named=True)


def test_a_fifo_holds_nobody(tmpdir):
    path = str(tmpdir / "app.ini")
    os.mkfifo(path)
    with pytest.raises(ConfigError, match="not a regular file"):
        load(path)
