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


@pytest.fixture
def code(tmp_path):
    """An application whose manage.py says this."""

    def make(name, text, **more):
        folder = tmp_path / name
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


def test_callables_that_are_no_wsgi_are_refused_by_name(code):
    """Of all applications in one go, before anything is live; asked for or not."""
    apps = [code(name, text, **({"probe": False} if name == "asgi" else {})) for name, (text, _says) in KINDS.items()]
    status, said = play(apps, [site(f"{name}.kind.test", name) for name in KINDS])
    assert status == 2, said
    for name, (_text, says) in KINDS.items():
        assert re.search(rf"\b{name}: [^\n]*(\n[^\n]*)*{re.escape(says)}", said.replace("\\n", "\n")), (name, said)
    assert "Go live, or go back" not in said
    assert "Bring the applications up to date" not in said


def tls(name):
    command = f"test -e /etc/ssl/{name}.pem || openssl req -x509 -newkey rsa:2048 -nodes -days 9 -subj /CN={name}"
    sh(f"{command} -keyout /etc/ssl/{name}.key -out /etc/ssl/{name}.pem")
    return {"certificate": f"/etc/ssl/{name}.pem", "key": f"/etc/ssl/{name}.key"}


def at(path, application, **more):
    return {"locations": [{"path": path, "app": application, **more}]}


def test_every_kind_of_site_is_asked_and_a_new_one_that_fails_goes_back(code):
    put("/etc/nginx/trial.htpasswd", "u:{PLAIN}p\n")
    login = "def app(environ, start):\n    return page(start, '302 Found', '', ('Location', '/login'))\n"
    redirect = (
        "def app(environ, start):\n    if environ['wsgi.url_scheme'] != 'https':\n"
        "        return page(start, '500 Wrong', environ['wsgi.url_scheme'])\n    return page(start, '200 OK', 'tls')\n"
    )
    basic = {"auth_basic": "x", "auth_basic_user_file": "trial.htpasswd"}
    apps = [
        code("plain", GOOD),
        code("login", login),
        code("secure", redirect),
        code("alone", GOOD),
        code("several", GOOD, instances=2),
    ]
    client = {"ssl_verify_client": "on", "ssl_client_certificate": "/etc/ssl/client.test.pem"}
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
    ]
    status, said = play(apps, sites)
    assert status == 0, said
    told = said[said.index("Tell what else than a page") :]
    for line in (
        "http://login.test/ (application login) answers 302 and leads to /login",
        "http://basic.test/ (application plain) answers 401 (it asks for a password)",
        "http://deny.test/ (application plain) answers 403",
        "https://client.test/ (application secure) answers 400",
    ):
        assert line in told, said
    assert not re.search(r"(wild|unix|proxied|secure)\.test|8082", told[: told.index("TASK")]), told
    # The same, with one more that lacks its tables, and one whose server block leads nowhere.
    broken = [*sites, site("goods.test", "goods")]
    status, said = play([*apps, code("goods", TABLES, instances=2)], broken)
    assert status == 2, said
    assert "http://goods.test/ (application goods) answered 500; a status below 500 was asked for" in said, said
    assert said.count("Traceback (most recent call last)") == 1, said
    assert "LookupError: no such table: goods" in said
    assert "generated 5 bytes" not in said
    assert float(re.search(r"Visitors got that for ([\d.]+) s", said)[1]) < 30, said
    assert sh("ls /etc/nginx/conf.d").count("goods") == 0
    assert "active" not in sh("systemctl is-active uwsgi@goods-1", check=False).split()
    assert get("login.test")[0] == 302


def test_what_only_visitors_see_goes_back_within_seconds(code):
    """Whatever else changes in the same run, be it the configuration, the code, or the way to it."""
    names = {"code": {}, "config": {"options": {"harakiri": 30}}, "journal": {"log": "journal"}}
    apps = [code(name, GOOD) for name in names]
    sites = [site(f"{name}.test", name) for name in names]
    assert play(apps, sites)[0] == 0
    said, seen = {}, {}
    for name, more in names.items():
        changed = [code(other, BEHIND, **more) if other == name else code(other, GOOD) for other in names]
        with visitors(f"{name}.test") as found:
            status, said[name] = play(changed, sites)
        assert status == 2, said[name]
        seen[name] = found[f"{name}.test"]
        assert f"http://{name}.test/ (application {name}) answered 500" in said[name], said[name]
        assert said[name].count("Traceback (most recent call last)") == 1, said[name]
        assert "Live again as it was: code, config, journal" in said[name], said[name]
        failed = failures(seen[name])
        told = float(re.search(r"Visitors got that for ([\d.]+) s", said[name])[1])
        assert failed
        assert failed[-1] - failed[0] <= told + 0.5
        # Of which going back is Ansible's own pace.
        assert float(re.search(r"([\d.]+) s of them until it was clear", said[name])[1]) < 5, said[name]
        assert get(f"{name}.test") == (200, f"release {name}.test")


def test_new_code_is_asked_as_the_live_one_is(code):
    """By the host that the application answers to; what the live one answers better never goes live."""
    probe = {"path": "/", "host": "host.test"}
    sites = [site("host.test", "host"), site("bare.test", "bare"), site("first.test", "first")]
    first = ALLOWED.replace("host.test", "first.test")
    apps = [code("host", ALLOWED, probe=probe), code("bare", GOOD), code("first", first, probe={"path": "/"})]
    status, said = play(apps, sites)
    assert status == 0, said
    with visitors("host.test", "bare.test", "first.test") as seen:
        apps = [
            code("host", ALLOWED.replace("200 OK", "500 Oh"), probe=probe),
            code("bare", TABLES),
            code("first", first.replace("200 OK", "204 None"), probe={"path": "/"}),
        ]
        status, said = play(apps, sites)
    assert status == 2, said
    said = said.replace("\\n", "\n")
    assert "host: the new code answered 500 to the probe / (host.test); 200 was asked for" in said, said
    assert "first: the new code answered 204 to the probe / (first.test); 200 was asked for" in said, said
    assert "bare: the new code answered 500 to / (bare.test), where the live one answers 200" in said, said
    assert {name: failures(found) for name, found in seen.items()} == dict.fromkeys(seen, [])


def test_what_was_broken_before_keeps_no_other_from_going_live(code):
    """It is not green all the same; and probe: false says that it is to be left alone."""
    sites = [site("ill.test", "ill"), site("well.test", "well")]
    ill = "import os\n" + TABLES.replace("    try:\n", FINE.format("not os.path.exists('/srv/ill')"))
    assert play([code("ill", ill), code("well", GOOD)], sites)[0] == 0
    sh("touch /srv/ill")
    status, said = play([code("ill", ill), code("well", GOOD.replace("release", "second"))], sites)
    assert status == 2, said
    assert "This run has changed nothing of ill, so nothing was put back" in said, said
    assert "http://ill.test/ (application ill) answered 500" in said, said
    assert get("well.test") == (200, "second well.test")
    status, said = play([code("ill", ill, probe="false"), code("well", GOOD)], sites)
    sh("rm /srv/ill")
    assert status == 0, said
