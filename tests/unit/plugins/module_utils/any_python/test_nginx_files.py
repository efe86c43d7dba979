# -*- coding: utf-8 -*-
"""What nginx reads at its start, told from its configuration (runs under Python 2.7 too)."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os

import pytest

from ansible_collections.graceful.wsgi.plugins.module_utils import nginx_files, nginx_loading, nginx_master


def put(path, text):
    if not os.path.isdir(os.path.dirname(path)):
        os.makedirs(os.path.dirname(path))
    with open(path, "w") as target:
        target.write(text)
    return path


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a b; # c;\nd;", [["a", "b"], ["d"]]),
        ("map $a $b { \"~^x{2};\" 'it\\'s'; }", [["map", "$a", "$b"], ["~^x{2};", "it's"]]),
        ("set $y a#b${c}d;", [["set", "$y", "a#b${c}d"]]),
        ("ssl_certificate /a\\ b.pem;", [["ssl_certificate", "/a b.pem"]]),
        ("return 200 \"}\";}", [["return", "200", "}"]]),
    ],
)
def test_directives_are_read_as_nginx_reads_them(text, words):
    assert list(nginx_files.statements(text)) == words


@pytest.mark.parametrize(
    ("text", "file"),
    [
        ("ssl_certificate a.pem", "a.pem"),
        ("proxy_ssl_trusted_certificate a.pem", "a.pem"),
        ("uwsgi_ssl_certificate_key a.pem", "a.pem"),
        ("ssl_session_ticket_key a.key", "a.key"),
        ("ssl_password_file a.pass", "a.pass"),
        ("js_import main from a.js", "a.js"),
        ("geoip_country a.dat", "a.dat"),
        ("ssl_certificate data:$pem", None),
        ("ssl_certificate /c/$ssl_server_name.pem", None),
        ("ssl_certificate_key engine:pkcs11:x", None),
        ("auth_basic_user_file a.htpasswd", None),
        ("ssl_certificate_cache off", None),
        ("ssl_certificate", None),
    ],
)
def test_files_that_directives_name(text, file):
    assert nginx_files.named(text.split()) == file


def test_includes_are_followed_wherever_they_stand(tmpdir):
    home = str(tmpdir)
    put(home + "/nginx.conf", "http { include conf.d/*.conf; include gone.conf; map $a $b { include a.map; } }")
    put(home + "/conf.d/a.conf", "server { ssl_certificate c.pem; include snippet; }")
    put(home + "/conf.d/b.txt", "ssl_certificate d.pem;")
    put(home + "/snippet", "include snippet; ssl_certificate_key /k.pem;")
    found = nginx_files.read_by(home + "/nginx.conf")
    assert sorted(path.replace(home, "") for path in found) == [
        "/a.map", "/c.pem", "/conf.d/a.conf", "/gone.conf", "/k.pem", "/nginx.conf", "/snippet",
    ]


def test_a_link_that_leads_elsewhere_is_a_change_though_the_file_is_old(tmpdir):
    home = str(tmpdir)
    for name in ("one", "two"):
        os.utime(put(home + "/archive/" + name, name), (1000, 1000))
    os.symlink("archive", home + "/live")
    os.symlink("archive/one", home + "/cert")
    first = nginx_files.look(home + "/cert")
    assert first.digest == nginx_files.look(home + "/live/one").digest and first.when > 1000
    os.unlink(home + "/cert")
    os.symlink("archive/two", home + "/cert")
    assert nginx_files.look(home + "/cert").digest != first.digest


def test_what_cannot_be_read_is_told_and_waited_for_by_nobody(tmpdir):
    home = str(tmpdir)
    os.mkfifo(home + "/fifo")
    os.symlink("loop", home + "/loop")
    assert nginx_files.look(home + "/fifo").why == "is no regular file"
    assert nginx_files.look(home + "/gone").why == "is missing"
    assert nginx_files.look(home + "/loop").digest is None
    put(home + "/nginx.conf", "include fifo;")
    assert home + "/fifo" in nginx_files.read_by(home + "/nginx.conf")


class Host:
    """A master of nginx that the tests make up, with workers that began at a time."""

    def __init__(self, home, monkeypatch):
        self.conf = put(home + "/nginx.conf", "ssl_certificate c.pem;")
        self.cert = put(home + "/c.pem", "one")
        self.record = home + "/run/record"
        self.master, self.start, self.workers = 7, 100, [8, 9]
        self.since = 10.0
        for path in (self.conf, self.cert):
            os.utime(path, (1, 1))
        monkeypatch.setattr(nginx_master, "read_master", lambda _file: self.master)
        monkeypatch.setattr(nginx_master, "workers", lambda _master: list(self.workers))
        monkeypatch.setattr(nginx_loading.procfs, "process_start", lambda _pid: self.start)
        monkeypatch.setattr(nginx_loading.procfs, "started_at", lambda _pid: self.since)
        self.times = {}
        look = nginx_files.look

        def looked(path):
            found = look(path)
            found.when = self.times.get(path, 1)
            return found

        monkeypatch.setattr(nginx_files, "look", looked)

    def nginx(self):
        return nginx_loading.Nginx(None, "/pid", self.conf, record=self.record)

    def renew(self, text, when):
        put(self.cert, text)
        self.times[self.cert] = when


@pytest.fixture
def host(tmpdir, monkeypatch):
    return Host(str(tmpdir), monkeypatch)


def test_without_a_record_times_tell(host):
    assert host.nginx().unread() == []
    host.renew("two", 11)
    assert host.nginx().unread() == [host.cert]


def test_a_record_tells_by_content_whatever_the_times(host):
    host.nginx().note()
    assert host.nginx().noted() and host.nginx().unread() == []
    host.times[host.cert] = 11
    assert host.nginx().unread() == []
    host.renew("two", 1)
    assert host.nginx().unread() == [host.cert]


def test_a_reload_by_somebody_else_counts(host):
    host.nginx().note()
    host.renew("two", 11)
    host.workers, host.since = [10, 11], 12.0
    assert host.nginx().unread() == []
    # One worker that is new may be a dead one's successor: its master has read nothing.
    host.workers = [10]
    assert host.nginx().unread() == [host.cert]


def test_another_master_has_read_what_there_was(host):
    host.nginx().note()
    host.renew("two", 11)
    host.start, host.since = 200, 12.0
    assert not host.nginx().noted() and host.nginx().unread() == []


def test_an_nginx_that_does_not_run_has_nothing_to_read(host):
    host.master = None
    assert host.nginx().unread() == [] and host.nginx().noted()


def test_a_diff_shows_nothing_of_a_file(host):
    host.renew("SECRET", 11)
    assert "SECRET" not in str(host.nginx().diff([host.cert])) and "6 bytes" in str(host.nginx().diff([host.cert]))
