"""Two stacks are asked the same: what differs is told side by side, what varies by itself is no difference."""

import socket
import threading
import time

import pytest

from ansible_collections.graceful.wsgi.plugins.module_utils import answers

QUESTION = {"host": "a.test", "path": "/", "method": "GET", "tls": False, "port": 80, "proxy_protocol": False}


def answer(status=200, body=b"x", **headers):
    return answers.seen(status, [(name.replace("_", "-"), value) for name, value in headers.items()], body)


def compared(first, second, new, reask=None):
    return answers.compare(QUESTION, [first, second], new, reask)


def test_the_same_answer_is_no_difference_whatever_says_when_and_by_whom():
    old, new = answer(Date="a", Server="nginx/1.22", ETag="1"), answer(Date="b", Server="nginx", ETag="2")
    assert compared(old, old, new) == ([], [])


@pytest.mark.parametrize(
    ("new", "part", "old_shown", "new_shown"),
    [
        (answer(302), "status", "200", "302"),
        (answer(Location="/b"), "Location", "none", "/b"),
        (answer(X_Frame_Options="DENY"), "header x-frame-options", "none", "DENY"),
    ],
)
def test_a_difference_is_told_side_by_side(new, part, old_shown, new_shown):
    rows, varies = compared(answer(), answer(), new)
    assert rows == [{"request": "GET http://a.test/", "part": part, "old": old_shown, "new": new_shown}]
    assert varies == []


def test_another_body_is_told_once_and_not_by_its_length_too():
    old, new = answer(Content_Length="1"), answer(body=b"xy", Content_Length="2")
    rows, _varies = compared(old, old, new)
    assert [row["part"] for row in rows] == ["body"]


def test_what_differs_between_two_answers_of_the_old_one_varies_by_itself():
    rows, varies = compared(answer(body=b"1", X_A="1"), answer(body=b"2", X_A="1"), answer(body=b"3", X_A="2"))
    assert varies == ["body"]
    assert [row["part"] for row in rows] == ["header x-a"]


def test_what_changed_between_the_answers_of_both_is_asked_once_more():
    old, new = answer(body=b"minute 1"), answer(body=b"minute 2")
    assert compared(old, old, new, lambda: new) == ([], ["body"])
    assert [row["part"] for row in compared(old, old, new, lambda: old)[0]] == ["body"]


def test_no_answer_is_a_difference():
    rows, _varies = compared(answer(), answer(), {"failed": "hung up"})
    assert {row["new"] for row in rows} == {"hung up"}


def test_a_cookie_is_told_by_its_name_only():
    rows, _varies = compared(answer(), answer(), answer(Set_Cookie="session=hunter2; Path=/"))
    assert rows[0]["new"] == "session=..."


def test_a_redirect_on_the_port_of_the_trial_is_one_on_the_old_port():
    home = answers.at_home(answer(Location="http://a.test:18080/x"), "127.0.0.1:18080", QUESTION)
    assert home["location"] == "http://a.test/x"
    away = dict(QUESTION, port=8000)
    assert answers.at_home(answer(Location="http://a.test:18080"), "127.0.0.1:18080", away)["location"] == (
        "http://a.test:8000"
    )


def test_a_server_is_asked_with_the_name_and_port_of_the_old_one():
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(1)
    heard = []

    def serve():
        link, _peer = listener.accept()
        heard.append(link.recv(4096).decode("ascii"))
        link.sendall(b"HTTP/1.1 201 Created\r\nX-A: 1\r\nX-A: 2\r\nContent-Length: 2\r\n\r\nhi")
        link.close()

    thread = threading.Thread(target=serve)
    thread.start()
    got = answers.ask(dict(QUESTION, port=8000), "127.0.0.1:%d" % listener.getsockname()[1])
    thread.join(10)
    listener.close()
    assert heard[0].startswith("GET / HTTP/1.1\r\n") and "Host: a.test:8000\r\n" in heard[0]
    assert got["status"] == 201 and got["body"].startswith("2 bytes")
    assert "failed" in answers.ask(QUESTION, "127.0.0.1:1")


@pytest.mark.parametrize("begins", [b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n"])
def test_an_answer_that_comes_byte_by_byte_is_not_waited_for(begins, monkeypatch):
    monkeypatch.setattr(answers, "TIMEOUT", 0.5)
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(1)

    def drip():
        link, _peer = listener.accept()
        try:
            link.sendall(begins)
            for _time in range(60):
                link.sendall(b"a")
                time.sleep(0.1)
        except (IOError, OSError):
            pass
        link.close()

    thread = threading.Thread(target=drip)
    thread.start()
    begun = time.time()
    got = answers.ask(QUESTION, "127.0.0.1:%d" % listener.getsockname()[1])
    assert time.time() - begun < 4
    assert got["failed"].startswith("gave no whole answer within")
    thread.join(10)
    listener.close()


def test_files_of_a_folder_are_asked_for_and_links_are_not(tmp_path):
    for name in ("b.css", "a.js", "c.png", ".hidden"):
        (tmp_path / name).write_text(u"x")
        (tmp_path / name).chmod(0o644)
    (tmp_path / "0.txt").symlink_to("/etc/passwd")
    found = answers.with_files([dict(QUESTION, path="/static/", folder=str(tmp_path))])
    assert [one["path"] for one in found] == ["/static/", "/static/a.js", "/static/b.css"]
