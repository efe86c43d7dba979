"""A second generation of an instance (runs under Python 2.7 too); crossing over to it is in test_instances.py."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os
import socket

import pytest

from ansible_collections.graceful.wsgi.plugins.module_utils import generations as code
from ansible_collections.graceful.wsgi.plugins.module_utils.generations import Standby, connections

INI = """[uwsgi]
strict = true
safe-pidfile = /run/uwsgi-shop/pid
master-fifo = /run/uwsgi-shop/fifo
stats = /run/uwsgi-shop/stats
socket = /run/uwsgi-shop/sock
chmod-socket = 660
socket = 127.0.0.1:3031
processes = 4
harakiri = 30
http = :8080
cron = 0 0 -1 -1 -1 /bin/true
mule = work.py
spooler = /srv/spool
touch-reload = /srv/touched
env = SOCKET=/run/uwsgi-shop/other
logto = /var/log/uwsgi/shop/server.log
"""
DROPIN = """[Service]
ExecStart=
ExecStart=/opt/uwsgi/bin/uwsgi --ini %s
User=wsgi
"""


@pytest.fixture
def second(tmp_path, monkeypatch):
    monkeypatch.setattr(code, "CONFIG_DIR", str(tmp_path / "next"))
    monkeypatch.setattr(code, "UNIT_DIR", str(tmp_path / "units"))
    config = tmp_path / "shop.ini"
    config.write_text(INI if str is not bytes else INI.decode("utf-8"))
    os.chmod(str(config), 0o640)
    return Standby(
        {
            "name": "shop",
            "unit": "uwsgi@shop.service",
            "config": str(config),
            "socket": "/run/uwsgi-shop/sock",
            "run_dir": "/run/uwsgi-shop",
            "link": str(tmp_path / "links" / "shop.sock"),
        }
    )


def dropin(tmp_path, text):
    path = str(tmp_path / "10-publish.conf")
    with open(path, "w") as target:
        target.write(text)
    return path


def test_it_is_the_same_but_for_what_it_binds(second, tmp_path):
    assert second.unit == "uwsgi@shop@next.service"
    second.write([dropin(tmp_path, DROPIN % second.wanted["config"])])
    with open(second.config) as source:
        assert source.read().splitlines() == [
            "[uwsgi]",
            "strict = true",
            "safe-pidfile = /run/uwsgi-shop@next/pid",
            "master-fifo = /run/uwsgi-shop@next/fifo",
            "stats = /run/uwsgi-shop@next/stats",
            "socket = /run/uwsgi-shop@next/sock",
            "chmod-socket = 660",
            "processes = 4",
            "harakiri = 30",
            "mule = work.py",
            # Tasks are taken and left to the first one's spooler.
            "spooler-external = /srv/spool",
            "env = SOCKET=/run/uwsgi-shop@next/other",
            "logto = /var/log/uwsgi/shop/server.log",
        ]
    # It holds what only the application's user may read.
    assert os.stat(second.config).st_mode & 0o777 == 0o640
    with open(second.dropin) as source:
        assert source.read() == DROPIN.replace("--ini %s", "--ini " + second.config)
    assert second.left
    second.remove()
    assert not second.left and not os.path.exists(second.config)


@pytest.mark.parametrize("text", ["", "[Service]\nUser=wsgi\n", DROPIN % "/etc/uwsgi/shop.ini.old"])
def test_a_unit_that_names_another_configuration_is_refused(second, tmp_path, text):
    with pytest.raises(IOError) as caught:
        second.write([dropin(tmp_path, text)])
    assert "uwsgi@shop.service" in str(caught.value)
    assert not second.left


def test_nginx_is_led_there_and_back(second):
    assert second.route_back() is True and second.route_back() is False
    assert os.readlink(second.wanted["link"]) == "/run/uwsgi-shop/sock" and not second.serves
    second.route_here()
    assert os.readlink(second.wanted["link"]) == "/run/uwsgi-shop@next/sock" and second.serves


def test_the_first_one_is_where_its_configuration_says(second, tmp_path):
    wanted = dict(second.wanted, socket="/run/wsgi/shop.d/sock", standby="/run/wsgi/shop.d/next")
    # A run that moved its socket was put back.
    moved = Standby(wanted)
    assert moved.home == moved.leads_to == "/run/uwsgi-shop/sock" and moved.socket == "/run/wsgi/shop.d/next"
    moved.route_back()
    assert os.readlink(wanted["link"]) == "/run/uwsgi-shop/sock"
    assert Standby(dict(wanted, config=str(tmp_path / "none"))).home == "/run/wsgi/shop.d/sock"


@pytest.mark.parametrize(
    "text",
    [
        "[uwsgi]\nchmod-socket = 666\nhttp-socket = /run/a/sock\n",
        "uwsgi:\n  chmod-socket: 666\n  socket: /run/a/sock\n",
        '{"uwsgi": {"chmod-socket": "666", "socket": "/run/a/sock", "x": "/y"}}',
        '{"uwsgi": {\n "socket": [\n  "/run/a/sock",\n  "/b"]}}',
        "<uwsgi><chmod-socket>666</chmod-socket><socket>/run/a/sock</socket></uwsgi>",
    ],
)
def test_its_socket_is_found_in_any_language(second, tmp_path, text):
    config = tmp_path / "other"
    config.write_text(text if str is not bytes else text.decode("utf-8"))
    assert Standby(dict(second.wanted, config=str(config))).home == "/run/a/sock"


def test_connections_are_counted_before_anybody_accepts_them(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    server = socket.socket(socket.AF_UNIX)
    server.bind("counted-%d" % os.getpid())
    server.listen(5)
    path = server.getsockname()
    assert connections(path) == 0
    client = socket.socket(socket.AF_UNIX)
    client.connect(path)
    assert connections(path) == connections(path, waiting=True) == 1
    accepted = server.accept()[0]
    assert connections(path) == 1 and connections(path, waiting=True) == 0
    client.close()
    accepted.close()
    assert connections(path) == 0
    server.close()


@pytest.mark.parametrize(
    "said, expected",
    [
        (None, None),
        ({}, 0),
        ({"workers": [{"pid": 7, "accepting": 1}, {"pid": 8, "accepting": 0}, {"pid": 0, "accepting": 1}]}, 1),
    ],
)
def test_accepting(monkeypatch, said, expected):
    monkeypatch.setattr(code, "statistics", lambda address: said)
    assert code.accepting("/stats") == expected
