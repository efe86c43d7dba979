"""A request in either protocol and the statistics, over real sockets (runs under Python 2.7 too)."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os
import socket
import struct
import threading
import time

import pytest

from ansible_collections.graceful.wsgi.plugins.module_utils.uwsgi_client import ClientError, ask, connect, statistics


class Server:
    """Answers one client with the same bytes and keeps what it asked; None hangs."""

    def __init__(self, family, target, answer):
        self.answer, self.asked, self.links = answer, b"", []
        self.socket = socket.socket(family, socket.SOCK_STREAM)
        self.socket.bind(target)
        self.socket.listen(1)
        self.thread = threading.Thread(target=self.serve)
        self.thread.daemon = True
        self.thread.start()

    def serve(self):
        link = self.socket.accept()[0]
        link.settimeout(0.3)
        self.links.append(link)
        try:
            self.asked = link.recv(65536)
        except (IOError, OSError):
            self.asked = b""
        if self.answer is not None:
            link.sendall(self.answer)
            link.close()

    def done(self):
        self.thread.join(5)
        for link in self.links + [self.socket]:
            link.close()


@pytest.fixture
def serve(tmpdir):
    made = []

    def start(answer, kind="path"):
        if kind == "path":
            family, target = socket.AF_UNIX, str(tmpdir / "sock")
            address = target
        elif kind == "abstract":
            # As uWSGI binds it: the byte that ends the string is part of the name.
            family, address = socket.AF_UNIX, "@graceful-test-%d" % os.getpid()
            target = "\0" + address[1:] + "\0"
        else:
            family, target, address = socket.AF_INET, ("127.0.0.1", 0), None
        server = Server(family, target, answer)
        made.append(server)
        return server, address or kind % server.socket.getsockname()[1]

    yield start
    for server in made:
        server.done()


def variables(packet):
    modifier, size, second = struct.unpack("<BHB", packet[:4])
    assert (modifier, second, size) == (0, 0, len(packet) - 4)
    words, rest = [], packet[4:]
    while rest:
        length = struct.unpack("<H", rest[:2])[0]
        words.append(rest[2 : 2 + length].decode("utf-8"))
        rest = rest[2 + length :]
    return dict((words[at], words[at + 1]) for at in range(0, len(words), 2))


@pytest.mark.parametrize("kind", ["path", "abstract", "127.0.0.1:%d", ":%d", "*:%d", "0.0.0.0:%d"])
def test_uwsgi_protocol(serve, kind):
    server, address = serve(b"HTTP/1.1 200 OK\r\n\r\nhello", kind)
    assert ask(address, "/a/b?c=d", host="shop.test") == (200, "HTTP/1.1 200 OK\r\n\r\nhello")
    asked = variables(server.asked)
    assert (asked["PATH_INFO"], asked["QUERY_STRING"], asked["REQUEST_URI"]) == ("/a/b", "c=d", "/a/b?c=d")
    assert (asked["HTTP_HOST"], asked["REQUEST_METHOD"]) == ("shop.test", "GET")


def test_http_protocol(serve):
    server, address = serve(b"HTTP/1.0 503 Busy\r\n\r\n", "127.0.0.1:%d")
    assert ask(address, "/x", "http", "shop.test")[0] == 503
    assert server.asked.startswith(b"GET /x HTTP/1.0\r\nHost: shop.test\r\n")


@pytest.mark.parametrize("answer", [b"", b"garbage", b"HTTP/1.1 abc", b"SSH-2.0-x\r\n", b"\0\xff\xfe"])
def test_what_is_no_answer_is_an_error(serve, answer):
    _server, address = serve(answer)
    with pytest.raises(ClientError) as refused:
        ask(address, "/")
    assert "which is no status" in str(refused.value)


def test_an_answer_that_never_comes(serve):
    _server, address = serve(None)
    with pytest.raises(ClientError) as refused:
        ask(address, "/", timeout=0.2)
    assert "timed out" in str(refused.value)


def test_nobody_there(tmpdir):
    closed = socket.socket()
    closed.bind(("127.0.0.1", 0))
    port = closed.getsockname()[1]
    closed.close()
    for address in (str(tmpdir / "none"), "@graceful-test-nobody", "127.0.0.1:%d" % port):
        with pytest.raises(ClientError) as refused:
            connect(address, 1)
        assert address in str(refused.value)


@pytest.mark.parametrize("address", ["", "word", "host:", "host:port", "fd://0", "0"])
def test_what_is_no_address(address):
    with pytest.raises(ClientError) as refused:
        connect(address, 1)
    assert "no address" in str(refused.value)


@pytest.mark.parametrize("answer", [b'{"pid": 7}', b'HTTP/1.0 200 OK\r\nContent-Type: x/json\r\n\r\n{"pid": 7}'])
def test_statistics(serve, answer):
    assert statistics(serve(answer)[1]) == {"pid": 7}


@pytest.mark.parametrize("answer", [b"", b"no json", b"7", b"[7]", b'{"pid": ', b'{"pid": ' + b"[" * 100000])
def test_statistics_that_are_none(serve, answer):
    assert statistics(serve(answer)[1]) is None


def asked(address, timeout):
    with pytest.raises(ClientError, match="timed out"):
        ask(address, "/", timeout=timeout)


@pytest.mark.parametrize("call", [statistics, asked])
def test_an_answer_that_comes_byte_by_byte_is_not_waited_for(serve, call):
    server, address = serve(None)
    over = threading.Event()

    def drip():
        # Not for ever: without a limit the test fails instead of hanging.
        while not over.is_set() and time.time() - started < 8:
            for link in server.links:
                try:
                    link.sendall(b"{")
                except (IOError, OSError):
                    return
            over.wait(0.05)
        for link in server.links:
            link.close()

    started = time.time()
    thread = threading.Thread(target=drip)
    thread.start()
    assert call(address, 0.5) is None
    over.set()
    thread.join()
    assert time.time() - started < 5


def test_statistics_of_nobody(tmpdir):
    assert statistics(str(tmpdir / "none")) is None
    assert statistics("word") is None


@pytest.mark.skipif(os.geteuid() != 0, reason="makes folders of other accounts")
@pytest.mark.parametrize("mode", [0o755, 0o777])
def test_socket_of_roots_that_another_accounts_link_leads_to_is_asked_nothing(tmpdir, serve, mode):
    server, address = serve(None)
    hers = tmpdir.mkdir("hers")
    hers.chmod(mode)
    os.symlink(address, str(hers / "stats"))
    os.chown(str(hers), 61001, 61001)
    with pytest.raises(ClientError) as error:
        ask(str(hers / "stats"), "/")
    assert "who could put no socket there" in str(error.value)
    server.done()
    assert server.asked == b""
    assert statistics(str(hers / "stats" / "below")) is None
