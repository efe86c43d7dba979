"""What visitors are answered decides whether a play was green: asked before it goes live, and through nginx after."""

import contextlib
import http.client
import re
import threading
import time

import pytest
from load import ask
from one_host import get, play, put, sh, site

HEAD = "def page(start, status, text, *more):\n    start(status, [*more])\n    return [text.encode()]\n"
GOOD = "def app(environ, start):\n    return page(start, '200 OK', 'release ' + environ['HTTP_HOST'])\n"
# As Flask and Django do with what a view raises.
TABLES = """
import traceback
def load():
    raise LookupError("no such table: goods")
def app(environ, start):
    try:
        load()
    except LookupError:
        traceback.print_exc()
        return page(start, "500 Internal Server Error", "sorry")
"""
# Fine to whoever asks it over its socket.
FINE = "    if {}:\n        return page(start, '200 OK', 'fine')\n    try:\n"
BEHIND = TABLES.replace("    try:\n", FINE.format("'REMOTE_PORT' not in environ"))
# Broken by something else than a run.
ILL = "import os\n" + TABLES.replace("    try:\n", FINE.format("not os.path.exists('/srv/ill')"))
# Django's ALLOWED_HOSTS.
ALLOWED = """
def app(environ, start):
    if environ["HTTP_HOST"] != "host.test":
        return page(start, "400 Bad Request", "no such host")
    return page(start, "200 OK", "release")
"""
KINDS = {
    "asgi": ("async def app(scope, receive, send):\n    pass\n", "manage:app is an ASGI application"),
    "starlette": (
        "class App:\n    async def __call__(self, scope, receive, send):\n        pass\napp = App()\n",
        "a2wsgi's ASGIMiddleware(app)",
    ),
    "coroutine": ("async def app(environ, start):\n    return []\n", "manage:app is asynchronous"),
    "number": ("app = 5\n", "manage:app cannot be called"),
    "nothing": ("def app(environ, start):\n    start('200 OK', [])\n", "manage:app returns None"),
    "factory": ("def app():\n    return None\n", "app = create_app()"),
    "step": (
        "def app(environ, start):\n    start('200 OK', [])\n    raise ValueError('first step')\n    yield b''\n",
        "ValueError: first step",
    ),
}


@pytest.fixture(scope="module")
def code(tmp_path_factory):
    """An application whose manage.py says this."""
    place = tmp_path_factory.mktemp("code")

    def make(name, text, **more):
        folder = place / name
        folder.mkdir(exist_ok=True)
        (folder / "manage.py").write_text(HEAD + text)
        return {"name": name, "source": str(folder), "module": "manage", **more}

    return make


@contextlib.contextmanager
def visitors(*names):
    """{name: [(moment, problem)]} of clients that ask all the time."""
    address = sh("hostname -I").split()[0]
    seen, over = {name: [] for name in names}, threading.Event()

    def visit(name):
        while not over.wait(0.02):
            link = http.client.HTTPConnection(address, timeout=10)
            seen[name].append((time.monotonic(), ask(link, name)[0]))
            link.close()

    threads = [threading.Thread(target=visit, args=(name,), daemon=True) for name in names]
    for thread in threads:
        thread.start()
    yield seen
    over.set()
    for thread in threads:
        thread.join()


def failures(seen):
    return [moment for moment, problem in seen if problem]


def tls(name):
    command = f"test -e /etc/ssl/{name}.pem || openssl req -x509 -newkey rsa:2048 -nodes -days 9 -subj /CN={name}"
    sh(f"{command} -keyout /etc/ssl/{name}.key -out /etc/ssl/{name}.pem")
    return {"certificate": f"/etc/ssl/{name}.pem", "key": f"/etc/ssl/{name}.key"}


def at(path, application, **more):
    return {"locations": [{"path": path, "app": application, **more}]}


@pytest.fixture(scope="module")
def published(code):
    """(applications by name, sites, what the first play said): each kind of both, all of them well."""
    put("/etc/nginx/trial.htpasswd", "u:{PLAIN}p\n")
    login = "def app(environ, start):\n    return page(start, '302 Found', '', ('Location', '/login'))\n"
    secure = (
        "def app(environ, start):\n    if environ['wsgi.url_scheme'] != 'https':\n"
        "        return page(start, '500 Wrong', environ['wsgi.url_scheme'])\n    return page(start, '200 OK', 'tls')\n"
    )
    basic = {"auth_basic": "x", "auth_basic_user_file": "trial.htpasswd"}
    client = {"ssl_verify_client": "on", "ssl_client_certificate": "/etc/ssl/client.test.pem"}
    first = ALLOWED.replace("host.test", "first.test")
    apps = [
        code("plain", GOOD),
        code("login", login),
        code("secure", secure),
        code("alone", GOOD),
        code("several", GOOD, instances=2),
        code("journal", GOOD),
        code("host", ALLOWED, probe={"path": "/", "host": "host.test"}),
        code("first", first, probe={"path": "/"}),
        code("ill", ILL),
    ]
    sites = [
        site("login.test", "login"),
        site("basic.test", "plain", options=basic),
        site("deny.test", "plain", deny=["all"]),
        site("secure.test", "secure", tls=tls("secure.test")),
        {"server_name": ["client.test"], "tls": tls("client.test"), "options": client, **at("/", "secure")},
        {"server_name": ["*.wild.test"], "listen": ["8081"], **at("/deep/", "plain")},
        {"server_name": ["_"], "name": "port", "listen": ["127.0.0.1:8082"], **at("= /one", "plain")},
        {"server_name": ["unix.test"], "listen": ["unix:/run/trial.sock"], **at("/", "plain")},
        {"server_name": ["proxied.test"], "listen": ["8083 proxy_protocol"], **at("/", "several")},
        {"server_name": [r"~^r\d+\.test$"], "name": "regex", **at("/", "login")},
        site("plain.test", "plain"),
        site("journal.test", "journal"),
        site("host.test", "host"),
        site("first.test", "first"),
        site("ill.test", "ill"),
    ]
    status, said = play(apps, sites)
    assert status == 0, said
    return {item["name"]: item for item in apps}, sites, said


def test_each_site_is_asked_where_and_as_it_is_reached(published):
    _apps, _sites, said = published
    told = said[said.index("Report other answers than a page") :].partition("TASK")[0]
    for line in (
        "http://login.test/ (application login) answers 302 and leads to /login",
        "http://basic.test/ (application plain) answers 401 (it asks for a password)",
        "http://deny.test/ (application plain) answers 403",
        "https://client.test/ (application secure) answers 400",
    ):
        assert line in told, said
    assert not re.search(r"(wild|unix|proxied|secure|first|host)\.test|8082", told), told


def test_what_cannot_answer_is_refused_before_it_goes_live(code, published):
    """By the name of the callable; as the probe says it, for its host; and by what the live one answers."""
    apps, sites, _said = published
    kinds = [code(name, text, **({"probe": False} if name == "asgi" else {})) for name, (text, _says) in KINDS.items()]
    changed = {
        "host": code("host", ALLOWED.replace("200 OK", "500 Oh"), probe=apps["host"]["probe"]),
        "first": code(
            "first", ALLOWED.replace("host.test", "first.test").replace("200 OK", "204 No"), probe={"path": "/"}
        ),
        "plain": code("plain", TABLES),
    }
    names = ["host.test", "first.test", "plain.test"]
    with visitors(*names) as seen:
        status, said = play([*({**apps, **changed}).values(), *kinds], sites)
    code("plain", GOOD), code("host", ALLOWED), code("first", ALLOWED.replace("host.test", "first.test"))
    assert status == 2, said
    said = said.replace("\\n", "\n")
    assert {name: failures(found) for name, found in seen.items()} == dict.fromkeys(names, [])
    assert "Start, restart or reload the applications" not in said
    for name, (_text, message) in KINDS.items():
        assert re.search(rf"\b{name}\b[^\n]*: [^\n]*(\n[^\n]*)*{re.escape(message)}", said), (name, said)
    for line in (
        "the new code answered 500 (Internal Server Error) to the probe / (host.test); 200 was asked for",
        "the new code answered 204 (No Content) to the probe / (first.test); 200 was asked for",
        "the new code answered 500 to / (basic.test), where the live one answers 200",
    ):
        assert line in said, said


@pytest.mark.parametrize(("name", "more"), [("plain", {}), ("journal", {"log": "journal"})])
def test_what_only_visitors_see_goes_back_within_seconds(code, published, name, more):
    """Be it the code that is another, or the configuration besides, which a second generation takes up."""
    apps, sites, _said = published
    with visitors(f"{name}.test") as found:
        status, said = play([*({**apps, name: code(name, BEHIND, **more)}).values()], sites)
    code(name, GOOD)
    assert status == 2, said
    assert f"(application {name}) answered 500; a status below 500 was asked for" in said, said
    assert said.count("Traceback (most recent call last)") == 1, said
    assert "LookupError: no such table: goods" in said
    assert "generated 5 bytes" not in said
    assert "Live again as it was: alone, first, host" in said, said
    failed = failures(found[f"{name}.test"])
    told, decided = re.search(r"Visitors got that for ([\d.]+) s,\n *([\d.]+)", said).groups()
    assert failed
    assert failed[-1] - failed[0] <= float(told) + 0.5
    # The rest is Ansible's own pace.
    assert float(decided) < 5
    assert get(f"{name}.test") == (200, f"release {name}.test")


def test_a_new_site_that_fails_goes_and_what_was_broken_before_stays(code, published):
    apps, sites, _said = published
    sh("touch /srv/ill")
    goods = code("goods", TABLES, instances=2)
    status, said = play([*apps.values(), goods], [*sites, site("goods.test", "goods")])
    assert status == 2, said
    assert "http://goods.test/ (application goods) answered 500; a status below 500 was asked for" in said, said
    assert said.count("Traceback (most recent call last)") == 1, said
    assert sh("ls /etc/nginx/conf.d").count("goods") == 0
    assert "active" not in sh("systemctl is-active uwsgi@goods-1", check=False).split()
    # Left alone as it is, it keeps nothing from going live. What was broken before is not green all the same.
    goods["probe"] = "false"
    status, said = play([*apps.values(), goods], [*sites, site("goods.test", "goods")])
    sh("rm /srv/ill")
    assert status == 2, said
    assert "This run has changed nothing of ill, so nothing was put back" in said, said
    assert "http://ill.test/ (application ill) answered 500" in said, said
    assert get("goods.test")[0] == 500
