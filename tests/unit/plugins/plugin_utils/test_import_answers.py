"""What the old stack answered is kept, and ours is asked the same elsewhere."""

import json

import pytest

from ansible_collections.graceful.wsgi.plugins.module_utils import answers
from ansible_collections.graceful.wsgi.plugins.plugin_utils import import_answers

SITE = """server {
    listen 80;
    listen 443 ssl;
    server_name shop.test;
    location /up { uwsgi_pass 127.0.0.1:5051; }
    location = /exact { return 204; }
    location /static/ { alias /srv/shop/static/; }
    location /logout { uwsgi_pass 127.0.0.1:5051; }
}
"""
FILES = {"/etc/nginx/nginx.conf": "events {} http { include /etc/nginx/shop; }", "/etc/nginx/shop": SITE}
FOUND = {"files": FILES, "main": "/etc/nginx/nginx.conf"}
QUESTION = {"host": "a.test", "path": "/", "method": "GET", "tls": False, "proxy_protocol": False, "port": 80}


def kept(*ports, **more):
    """A file of answers, one for each port."""
    first = {"status": 200, "location": "", "headers": {}, "body": "1 bytes"}
    asked = [{**QUESTION, "port": port, "old": f"10.0.0.5:{port}"} for port in ports]
    told = [{"question": one, "first": first, "varies": []} for one in asked]
    return import_answers.read(import_answers.document("old1", "1 of 1 locations carried", [], told), "x") | more


def test_each_location_of_the_old_stack_is_asked_and_nothing_that_does_something():
    wanted, unasked = import_answers.requests(FOUND, ["/item/1"])
    paths = {one["path"] for one in wanted if one["host"] == "shop.test"}
    assert {"/", "/up", "/up/", "/exact", "/static", "/static/", "/item/1"} <= paths
    assert any("/logout" in line for line in unasked) and "/logout" not in paths
    assert not [one for one in wanted if "new" in one]


def test_a_server_that_says_no_port_is_asked_at_80():
    found = {"files": {"/etc/nginx/nginx.conf": "events {} http { server { server_name a.test; } }"}}
    wanted, _unasked = import_answers.requests({**found, "main": "/etc/nginx/nginx.conf"}, [])
    assert {one["old"] for one in wanted} == {"127.0.0.1:80"}


def test_ours_is_asked_the_same_where_it_listens():
    about = kept(80, 443)
    given = import_answers.again(about, "127.0.0.1", {"80": 8080})
    assert [one["old"] for one in given["requests"]] == ["127.0.0.1:8080", "127.0.0.1:443"]
    assert [one["port"] for one in given["requests"]] == [80, 443]
    assert set(given["known"]) == {"GET http://a.test/", "GET http://a.test:443/"}
    assert [one["old"] for one in import_answers.again(about, "::1", {})["requests"]] == ["[::1]:80", "[::1]:443"]


@pytest.mark.parametrize(
    ("ports", "said"),
    [({"8000": 8080}, "8000 is no port of the old stack, which was asked at 80"), ({"80": "x"}, "'x' is no port")],
)
def test_ports_that_cannot_be_are_refused(ports, said):
    with pytest.raises(import_answers.AnswersProblem, match=f"import_ports: {said}"):
        import_answers.again(kept(80), "127.0.0.1", ports)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"kind": "other", "answers": []}', '{"kind": 1, "answers": [{}]}'])
def test_a_file_that_holds_no_answers_is_refused(text):
    with pytest.raises(import_answers.AnswersProblem, match="import_compare: x is no file of answers"):
        import_answers.read(text, "x")


def test_a_stack_that_answers_nothing_is_refused_on_both_sides():
    dead = [{"question": QUESTION, "first": {"failed": "gave no answer (refused)"}, "varies": []}]
    with pytest.raises(import_answers.AnswersProblem, match="import_ask: the old stack answered none of 1"):
        import_answers.document("old1", "", [], dead)
    rows, _varies = answers.compare(QUESTION, [kept(80)["answers"][0]["first"]] * 2, {"failed": "gave no answer (x)"})
    said = import_answers.nobody({"count": 1, "differences": rows}, "127.0.0.1")
    assert "import_at and import_ports" in said
    assert import_answers.nobody({"count": 2, "differences": rows}, "127.0.0.1") == ""


def test_paths_and_a_stack_without_servers_are_refused():
    with pytest.raises(import_answers.AnswersProblem, match="import_ask_paths: 'x' is no path"):
        import_answers.requests(FOUND, ["x"])
    with pytest.raises(import_answers.AnswersProblem, match="import_ask: nginx has no server block"):
        import_answers.requests({"files": {"/a": "events {}"}, "main": "/a"}, [])


def test_no_secret_of_an_answer_leaves_the_host():
    told = answers.seen(200, [("Set-Cookie", "session=hunter2; Path=/"), ("X-A", "b")], b"")
    safe = answers.without_secrets(told)
    assert "hunter2" not in json.dumps(safe) and safe["headers"]["x-a"] == ["b"]
    assert answers.shown(safe, "header set-cookie") == "session=..."
    other = answers.without_secrets(answers.seen(200, [("Set-Cookie", "session=other"), ("X-A", "b")], b""))
    assert answers.differing(safe, other) == {"header set-cookie"}
    assert answers.without_secrets({"failed": "x"}) == {"failed": "x"}


def test_a_redirect_of_another_port_is_as_that_of_the_old_one():
    told = answers.seen(301, [("Location", "http://a.test:8080/b")], b"")
    assert answers.from_port(told, "127.0.0.1:8080", QUESTION)["location"] == "http://a.test/b"
    assert answers.from_port(told, "127.0.0.1:80", QUESTION)["location"] == "http://a.test:8080/b"
