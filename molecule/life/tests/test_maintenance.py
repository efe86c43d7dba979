"""Maintenance: nginx answers 503 with a page for all but listed addresses, switched without a lost request."""

import json
import re
import shlex

import publishing
import pytest
from one_host import app, play, put, sh, site

WORKERS = "grep -l 'nginx: [w]orker' /proc/[0-9]*/cmdline 2>/dev/null; true"
PAGE = '<h1>Gone fishing</h1>\n<p>"$host" costs $5 {really}; \\n\n' + "<!-- ö -->\n" * 500
# A throw-away uWSGI has no stats server.
ILL_ONCE_LIVE = """
import uwsgi
def app(environ, start_response):
    ill = "stats" in uwsgi.opt or b"stats" in uwsgi.opt
    start_response("500 Ill" if ill else "200 OK", [("Content-Type", "text/plain")])
    return [b"x"]
"""
# Asks on kept connections until the file is gone; tells of each answer what it was.
LOAD = r"""
import collections, http.client, json, os, ssl, threading, time
seen, lost, lock = collections.Counter(), [], threading.Lock()
def ask(tls, method):
    unsafe = ssl._create_unverified_context()
    connection = None
    while os.path.exists("/tmp/load-on"):
        if connection is None:
            connection = (http.client.HTTPSConnection("down.test", 443, timeout=20, context=unsafe) if tls
                          else http.client.HTTPConnection("127.0.0.1", 80, timeout=20))
            with lock:
                seen["connections"] += 1
        try:
            body = b"x" * 100000 if method == "POST" else None
            connection.request(method, "/", body, {"Host": "down.test"})
            answer = connection.getresponse()
            text = answer.read()
            page = answer.status == 503 and (method == "HEAD" or b"Gone fishing" in text)
            # The application takes no POST, which is an answer of its own.
            kind = "page" if page else "200" if method == "POST" and answer.status == 405 else str(answer.status)
            with lock:
                seen[kind] += 1
                if kind not in ("page", "200"):
                    lost.append([method, kind])
            if answer.will_close:
                connection = None
        except Exception as error:
            with lock:
                lost.append([method, repr(error)])
            connection = None
        time.sleep(0.01)
open("/tmp/load-on", "w").close()
threads = [threading.Thread(target=ask, args=(tls, method))
           for tls in (False, True) for method in ("GET", "HEAD", "POST")]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
json.dump({"seen": seen, "lost": lost}, open("/tmp/load-told", "w"))
"""


def given(tmp_path, **maintenance):
    # Kept alive past the thousandth request, so that a connection ends by a reload alone.
    options = {"keepalive_requests": 1000000, "keepalive_timeout": "1h"}
    tls = {"certificate": "/etc/ssl/down.pem", "key": "/etc/ssl/down.key", "redirect": False, "hsts": 60}
    page = tmp_path / "down.html"
    page.write_text(PAGE)
    down = app("down", maintenance={"page": str(page), "retry_after": 321, **maintenance})
    return {
        "apps": [down],
        "sites": [site("down.test", "down", listen=["80"], tls=tls, headers={"X-Mine": "1"}, options=options)],
    }


def switch(state, what, name="down", **more):
    words = ["-e", f"app={name}", "-e", f"state={state}"]
    return play(what["apps"], what["sites"], words, "playbooks/maintenance.yml", **more)


def changed(said):
    return int(re.search(r"changed=(\d+)", said)[1])


ASK = """
import http.client, ssl, sys
method, tls, path, name, size, source = sys.argv[1:]
words = {"timeout": 20, "source_address": (source, 0) if source else None}
if tls:
    c = http.client.HTTPSConnection("down.test", 443, context=ssl._create_unverified_context(), **words)
else:
    c = http.client.HTTPConnection("127.0.0.1", 80, **words)
c.request(method, path, b"x" * int(size) if int(size) else None, {"Host": name})
a = c.getresponse()
print(a.status, "".join(chr(10) + k.lower() + ": " + v for k, v in a.getheaders()), end=chr(10) * 2)
sys.stdout.write(a.read().decode("utf-8", "replace"))
"""


def answer(path="/", name="down.test", method="GET", tls="", size=0, source=""):
    """(status and headers, text) of one answer."""
    words = [method, tls, path, name, str(size), source]
    head, _end, text = sh(f"python3 -c {shlex.quote(ASK)} {' '.join(map(shlex.quote, words))}").partition("\n\n")
    return head, text


@pytest.fixture(scope="module", autouse=True)
def certificate():
    name = "-subj /CN=down.test -keyout /etc/ssl/down.key -out /etc/ssl/down.pem"
    sh("grep -q down.test /etc/hosts || echo 127.0.0.1 down.test >> /etc/hosts")
    sh(f"openssl req -x509 -newkey rsa:2048 -nodes -days 9 {name} 2>&1")
    yield
    play(words=["-e", "remove_apps=down,fresh", "-e", "remove_data=true"], playbook="playbooks/remove.yml")


def test_on_and_off_under_load_with_a_deploy_in_between_loses_no_request(tmp_path):
    what = given(tmp_path)
    status, said = play(what["apps"], what["sites"])
    assert status == 0, said
    put("/tmp/load.py", LOAD)
    sh("rm -f /tmp/load-told; nohup python3 /tmp/load.py >/tmp/load.log 2>&1 & sleep 2")
    workers = sh(WORKERS)
    status, said = switch("on", what)
    assert status == 0 and changed(said) == 1, said
    status, said = switch("on", what)
    assert status == 0 and changed(said) == 0, said
    head, text = answer()
    assert head.startswith("503 ") and "Gone fishing" in text
    # New code, an unchanged run, and the flag is as it was.
    what["apps"][0]["env"] = {"NEW": "1"}
    what["apps"][0]["probe"] = {"path": "/", "status": [200]}
    status, said = play(what["apps"], what["sites"])
    assert status == 0 and "down is in maintenance" in said, said
    assert "over its own socket the application answers 200" in said
    status, said = play(what["apps"], what["sites"])
    assert status == 0 and changed(said) == 0 and "down is in maintenance" in said, said
    assert answer()[0].startswith("503 ")
    whose = sh("stat -c '%U %a' /etc/nginx/maintenance /etc/nginx/maintenance/down").splitlines()
    assert whose == ["root 755", "root 644"]
    status, said = switch("off", what)
    assert status == 0 and changed(said) == 1, said
    assert answer()[0].startswith("200 ")
    assert sh(WORKERS) == workers
    sh("sleep 1; rm /tmp/load-on; for i in $(seq 100); do test -s /tmp/load-told && break; sleep 0.1; done")
    told = json.loads(sh("cat /tmp/load-told"))
    assert told["lost"] == [] and told["seen"]["200"] > 100 and told["seen"]["page"] > 100, told
    # Six clients, each on the connection that it began with.
    assert told["seen"]["connections"] == 6, told


def test_the_page_comes_whole_with_the_headers_of_the_site_whatever_the_method(tmp_path):
    what = given(tmp_path)
    assert play(what["apps"], what["sites"])[0] == 0
    assert switch("on", what)[0] == 0
    for tls in ("", "tls"):
        for method, size in (("GET", 0), ("HEAD", 0), ("POST", 60000), ("PUT", 9000000), ("DELETE", 0)):
            head, text = answer("/a?b=c", method=method, tls=tls, size=size)
            assert head.startswith("503 "), (method, head)
            for line in ("retry-after: 321", "x-frame-options: SAMEORIGIN", "x-mine: 1", "content-type: text/html"):
                assert line in head, (method, line, head)
            assert "strict-transport-security: max-age=60" in head
            assert text == ("" if method == "HEAD" else PAGE), method
    # Nobody comes to the page by its address.
    assert switch("off", what)[0] == 0
    assert answer("/.graceful-maintenance/down/page")[0].startswith("404 ")


def test_listed_addresses_pass_and_a_broken_deploy_is_refused_all_the_same(tmp_path):
    what = given(tmp_path, allow=["127.0.0.2", "::1"])
    assert play(what["apps"], what["sites"])[0] == 0
    assert switch("on", what)[0] == 0
    assert answer()[0].startswith("503 ")
    assert answer(source="127.0.0.2")[0].startswith("200 ")
    # The world gets 503, and the deploy sees what the application itself answers once it is live.
    code = tmp_path / "broken"
    code.mkdir()
    (code / "manage.py").write_text(ILL_ONCE_LIVE)
    broken = [{**what["apps"][0], "source": str(code), "requirements": []}]
    status, said = play(broken, what["sites"])
    assert status != 0 and "asked over its own socket, since maintenance is on, answered 500" in said, said
    assert "Live again as it was: down" in said and answer()[0].startswith("503 ")
    assert answer(source="127.0.0.2")[0].startswith("200 ")
    assert switch("off", what)[0] == 0


def test_what_cannot_be_switched_is_refused_with_the_names_that_there_are(tmp_path):
    what = given(tmp_path)
    status, said = switch("off", what, "dwon")
    assert status != 0 and "has no application dwon; it is left out" in said, said
    assert "app=dwon: there is no such application on any host of this play; name one of down." in said, said
    status, said = switch("sleepy", what)
    assert status != 0 and "state: 'sleepy' is not known; write on or off" in said, said
    status, said = play(what["apps"], what["sites"], (), "playbooks/maintenance.yml")
    assert status != 0 and "app: is missing" in said and "state: is missing" in said, said
    # A server block of an earlier version knows no flag.
    sh("sed -i.bak '/default .etc.nginx.maintenance.down;/d' /etc/nginx/conf.d/down.test.conf")
    status, said = switch("on", what)
    sh("mv /etc/nginx/conf.d/down.test.conf.bak /etc/nginx/conf.d/down.test.conf")
    assert status != 0 and "run graceful.wsgi.site once" in said, said
    assert sh("ls /etc/nginx/maintenance 2>&1", check=False).count("down") == 0


def test_an_application_that_is_removed_takes_its_flag_along(tmp_path):
    # A page below the inventory's folder, as the documentation has it.
    (publishing.inventory() / "files").mkdir(exist_ok=True)
    (publishing.inventory() / "files" / "down.txt").write_text("Down for a while\n")
    fresh = {"apps": [app("fresh", maintenance={"page": "files/down.txt"})], "sites": [site("fresh.test", "fresh")]}
    assert play(fresh["apps"], fresh["sites"], publish_set="fresh")[0] == 0
    assert switch("on", fresh, "fresh", publish_set="fresh")[0] == 0
    head, text = answer(name="fresh.test")
    assert text == "Down for a while\n" and "retry-after: 600" in head and "content-type: text/plain" in head
    words = ["-e", "remove_apps=fresh", "-e", "remove_data=true"]
    status, said = play(words=words, playbook="playbooks/remove.yml")
    assert status == 0 and "/etc/nginx/maintenance/fresh" in said, said
    assert "fresh" not in sh("ls /etc/nginx/maintenance 2>&1", check=False)
