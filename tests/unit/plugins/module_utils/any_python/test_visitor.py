"""A question is put as a visitor would put it; what is wrong for a while is refused, what is odd is told."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import socket
import threading
import time

import pytest

from ansible_collections.graceful.wsgi.plugins.module_utils import preflight_answer, visitor
from ansible_collections.graceful.wsgi.plugins.module_utils.visitor import Answer, Visit, fault
from ansible_collections.graceful.wsgi.plugins.module_utils.visits import Unanswered, Visits

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
OOPS = b"HTTP/1.1 500 Oops\r\nContent-Length: 2\r\n\r\nno"
EMPTY = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(visitor, "PATIENCE", 0.5)
    monkeypatch.setattr(visitor, "PAUSE", 0.05)


@pytest.fixture
def server():
    """Answers with these in turn, the last one again and again; what it was sent is in its list."""
    made = []

    def make(*answers):
        door = socket.socket()
        door.bind(("127.0.0.1", 0))
        door.listen(20)
        made.append(door)
        sent = []

        def serve():
            left = list(answers)
            while True:
                try:
                    link = door.accept()[0]
                except (IOError, OSError):
                    return
                sent.append(link.recv(65536))
                answer = left.pop(0) if len(left) > 1 else left[0]
                if callable(answer):
                    answer = answer()
                link.sendall(answer)
                link.close()

        thread = threading.Thread(target=serve)
        thread.daemon = True
        thread.start()
        return "127.0.0.1:%d" % door.getsockname()[1], sent

    yield make
    for door in made:
        door.close()


def question(address, **more):
    item = {
        "app": "shop",
        "instances": ["shop"],
        "file": None,
        "nginx": address,
        "socket": None,
        "protocol": "http",
        "tls": False,
        "proxy_protocol": False,
        "sure": True,
        "host": "shop.test",
        "path": "/a",
        "status": None,
        "text": None,
        "logs": [],
        "units": [],
        "error_log": None,
        "unit_files": [],
    }
    item.update(more)
    return item


def test_a_site_is_asked_by_its_name(server):
    address, sent = server(OK)
    visit = Visit(question(address))
    assert visit.make() and visit.told is None
    assert sent[0].startswith(b"GET /a HTTP/1.1\r\nHost: shop.test:" + address.split(":")[1].encode("ascii"))


def test_in_maintenance_the_application_itself_is_asked(server, tmp_path):
    flag, down = tmp_path / "shop", b"HTTP/1.0 503 Down\r\n\r\npage"
    flag.write_text(u"on")
    nginx, own = server(down)[0], server(OK)[0]
    visit = Visit(question(nginx, maintenance=str(flag), socket=own))
    assert visit.make() and visit.maintained
    assert visit.told.endswith("answers 503, since maintenance is on; over its own socket the application answers 200")
    # What the application answers wrongly is wrong whatever the world gets.
    broken = Visit(question(nginx, maintenance=str(flag), socket=server(b"HTTP/1.0 500 No\r\n\r\nx")[0]))
    assert not broken.make() and "asked over its own socket, since maintenance is on, answered 500" in str(
        broken.refusal()
    )
    flag.unlink()
    visit = Visit(question(nginx, maintenance=str(flag), socket=own))
    assert not visit.make() and not visit.maintained and visit.wrong == "answered 503"


def test_a_proxy_line_goes_ahead(server):
    address, sent = server(OK)
    assert Visit(question(address, proxy_protocol=True)).make()
    assert sent[0].startswith(b"PROXY TCP4 127.0.0.1 127.0.0.1 65000 80\r\n")


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (b"HTTP/1.1 302 Found\r\nLocation: /in\r\n\r\n", "answers 302 and leads to /in"),
        (b"HTTP/1.1 404 No\r\n\r\n", "answers 404"),
        (b"HTTP/1.1 401 No\r\n\r\n", "answers 401 (it asks for a password)"),
        (b"HTTP/1.1 429 No\r\n\r\n", "answers 429"),
    ],
)
def test_what_is_no_page_and_no_error_is_told(server, answer, told):
    visit = Visit(question(server(answer)[0]))
    assert visit.make()
    assert visit.told.endswith("/a (application shop) " + told)


def test_a_server_error_that_passes_is_none(server):
    assert Visit(question(server(OOPS, OOPS, OK)[0])).make()


@pytest.mark.parametrize(
    ("answer", "message"),
    [(OOPS, "answered 500"), (OOPS.replace(b"500", b"502"), "answered 502"), (b"", "hung up without an answer")],
)
def test_a_steady_error_is_refused_with_its_traceback(server, tmp_path, answer, message):
    log = tmp_path / "log"
    log.write_text(u"Traceback (most recent call last):\n  File old\nOldError: x\n")

    def failing():
        with log.open("a") as out:
            out.write(u"[pid: 1|app: 0|req\nTraceback (most recent call last):\n  File new\nNewError: y\n")
        return answer

    address = server(failing)[0]
    visit = Visit(question(address, logs=[str(log)]))
    assert not visit.make()
    refusal = visit.refusal()
    assert refusal["msg"].startswith("http://shop.test:%s/a (application shop) %s" % (address.split(":")[1], message))
    assert refusal["msg"].endswith("; a status below 500 was asked for")
    assert refusal["cause"] == "Traceback (most recent call last):\n  File new\nNewError: y"


def test_an_empty_page_whose_code_failed_is_refused(server, tmp_path):
    log = tmp_path / "log"
    log.write_text(u"")
    assert Visit(question(server(EMPTY)[0], logs=[str(log)])).make()

    def failing():
        with log.open("a") as out:
            out.write(u"Traceback (most recent call last):\n  File new\nNewError: y\n")
        return EMPTY

    assert not Visit(question(server(failing)[0], logs=[str(log)])).make()


def test_an_answer_that_comes_byte_by_byte_is_late(monkeypatch):
    monkeypatch.setattr(visitor, "TIMEOUT", 1)
    door = socket.socket()
    door.bind(("127.0.0.1", 0))
    door.listen(1)

    def drip():
        link = door.accept()[0]
        try:
            link.sendall(b"HTTP/1.1 200 OK\r\nX-A: ")
            for _time in range(60):
                link.sendall(b"a")
                time.sleep(0.1)
        except (IOError, OSError):
            pass
        link.close()

    thread = threading.Thread(target=drip)
    thread.start()
    begun = time.time()
    visit = Visit(question("127.0.0.1:%d" % door.getsockname()[1]))
    assert not visit.make() and visit.wrong == "gave no answer within 1 s"
    assert time.time() - begun < 4
    thread.join(10)
    door.close()


@pytest.mark.parametrize("sure", [True, False])
def test_nobody_there_is_wrong_only_where_nginx_must_be(sure):
    door = socket.socket()
    door.bind(("127.0.0.1", 0))
    visit = Visit(question("127.0.0.1:%d" % door.getsockname()[1], sure=sure))
    assert visit.make() is not sure
    assert ("nobody answers at" in (visit.wrong or "")) is sure
    assert ("was not asked" in (visit.told or "")) is not sure
    door.close()


@pytest.mark.parametrize(
    ("status", "wanted", "text", "found"),
    [
        (404, None, None, None),
        (500, None, None, "answered 500"),
        (500, [500], None, None),
        (204, [200], None, "answered 204"),
        (200, [200], "up", None),
        (200, [200], "down", "answered 200 without 'down'"),
    ],
)
def test_an_answer_is_judged(status, wanted, text, found):
    assert fault(Answer(status, text="it is up"), wanted, text) == found


def test_a_question_about_a_site_that_nginx_has_not_yet_is_left(server):
    address, sent = server(OOPS)
    visits = Visits([question(address, file="/etc/nginx/conf.d/shop.conf")], ["/etc/nginx/conf.d/other.conf"])
    visits.see("shop", 5)
    assert not sent and visits.result()["since"] == {"shop": 5}


def test_a_wrong_answer_ends_the_work(server):
    visits = Visits([question(server(OOPS)[0]), question(server(OK)[0], instances=["other"])])
    visits.see("other", 1)
    assert not visits.stops()
    with pytest.raises(Unanswered):
        visits.see("shop", 5)
    assert visits.stops()
    assert [(item["app"], item["since"]) for item in visits.result()["refused"]] == [("shop", 5)]


class Trial:
    """A throw-away instance."""

    uid = None

    def __init__(self, address, log=""):
        self.socket, self.log, self.calls = address, log, 0

    def said(self):
        self.calls += 1
        return "before" + (self.log if self.calls % 2 == 0 else "")


ASKED = {"path": "/a", "host": "shop.test", "callable": "manage:app"}


@pytest.fixture
def http(monkeypatch):
    """The throw-away instance of the tests speaks HTTP."""
    real = preflight_answer.ask
    monkeypatch.setattr(preflight_answer, "ask", lambda at, path, *more, **words: real(at, path, "http", **words))


@pytest.mark.parametrize(
    ("probe", "answer", "found"),
    [
        ({}, OK, None),
        ({}, OOPS, "the new code answered 500 (Internal Server Error) to the probe /a (shop.test); 200 was asked for"),
        (
            {},
            OK.replace(b"200", b"400"),
            "the new code answered 400 (Bad Request) to the probe /a (shop.test); 200 was asked for",
        ),
        ({"status": [400, 401]}, OK.replace(b"200", b"400"), None),
        ({"text": "up"}, OK, "the new code answered 200 without 'up' (OK) to the probe /a (shop.test)"),
        ({}, b"", "the new code gave no answer to the probe"),
    ],
)
def test_new_code_is_judged_as_the_live_one_is(server, http, probe, answer, found):
    address, sent = server(answer)
    why = preflight_answer.judge(Trial(address), dict(ASKED, status=probe.get("status"), text=probe.get("text")))
    assert why is None if found is None else why.startswith(found), why
    assert b"Host: shop.test" in sent[0]


@pytest.mark.parametrize(
    ("new", "live", "found"),
    [
        (OK, None, None),
        (OOPS, None, None),
        (b"", None, "the new code gave no answer to /a (shop.test)"),
        (OOPS, OK, "the new code answered 500 to /a (shop.test), where the live one answers 200; if that is"),
        (b"", OK, "the new code gave no answer to /a (shop.test), where the live one answers 200"),
        (OOPS, OOPS, None),
    ],
)
def test_without_a_probe_it_is_held_against_the_live_one(server, new, live, found, monkeypatch):
    there = server(live)[0] if live else "/nowhere"
    real = preflight_answer.ask


    def over_http(at, path, *_more, **words):
        return real(at, path, "http", **dict(words, host="shop.test"))

    monkeypatch.setattr(preflight_answer, "ask", over_http)
    asked = dict(ASKED, default=True, judged=True, live=there, protocol="http")
    why = preflight_answer.judge(Trial(server(new)[0]), asked)
    assert why is None if found is None else why.startswith(found), why


def test_a_callable_of_another_kind_is_refused_asked_or_not(server, http):
    log = "TypeError: app() missing 1 required positional argument: 'send'"
    for judged in (True, False):
        address, sent = server(b"")
        why = preflight_answer.judge(Trial(address, log), dict(ASKED, default=True, judged=judged, live="/x"))
        assert why.startswith("manage:app is an ASGI application")
        assert sent[0].startswith(b"GET" if judged else b"OPTIONS")
