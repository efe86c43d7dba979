"""nginx: names that no site has, links to what belongs to others, internal folders, and what the units may do."""

import concurrent.futures
import json
import shlex
import subprocess
import threading
import time

import publishing
import pytest
from one_host import HOST, app, get, play, put, sh, site

TLS = {"certificate": "/etc/ssl/trial/cert.pem", "key": "/etc/ssl/trial/key.pem"}
SECRET = "what only nginx and the victim may read"
# What ordinary applications do, by the name of a path; and any redirect that is asked for.
EVIL = r"""
import ctypes, os, socket, sqlite3, subprocess, sys, urllib.parse

def works():
    with sqlite3.connect(os.path.join(os.path.dirname(os.path.abspath(__file__)), "data.db")) as base:
        base.execute("create table if not exists a (b)")
        base.execute("insert into a values (1)")
    assert subprocess.check_output(["sh", "-c", "echo x | cat"]) == b"x\n"
    assert socket.getaddrinfo("localhost", 80)
    callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int)(lambda number: number + 1)
    assert callback(1) == 2
    os.nice(1)
    os.sched_setaffinity(0, os.sched_getaffinity(0))
    assert os.path.isdir("/proc/1")
    return b"works"

def app(environ, start_response):
    path = environ["PATH_INFO"]
    headers = [("Content-Type", "text/plain")]
    if path.endswith("/works"):
        body = works()
    elif environ.get("QUERY_STRING"):
        headers.append(("X-Accel-Redirect", urllib.parse.unquote(environ["QUERY_STRING"])))
        body = b"sent on"
    else:
        body = b"hello"
    start_response("200 OK", headers)
    return [body]
"""
SWAP = r"""
import os, sys
folder, end = sys.argv[1], sys.argv[2]
os.chdir(folder)
while not os.path.exists(end):
    for target in ("mine.txt", "/etc/passwd", "/etc/nginx/secret"):
        os.symlink(target, ".new")
        os.rename(".new", "race")
    with open(".new", "w") as mine:
        mine.write("mine")
    os.rename(".new", "race")
"""


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """One play for all tests here: applications and folders of mallory's, of a victim's, and TLS."""
    folder = tmp_path_factory.mktemp("victim")
    (folder / "victim.py").write_text(EVIL)
    (folder / "private").mkdir()
    (folder / "private/report.txt").write_text(SECRET)
    (folder / "static").mkdir()
    (folder / "static/style.css").write_text("body {}")
    (folder / "static/again.css").symlink_to("style.css")
    pair = tmp_path_factory.mktemp("tls")
    words = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "9", "-subj", "/CN=tls.test"]
    subprocess.run(
        ["openssl", *words, "-keyout", str(pair / "key"), "-out", str(pair / "cert")], check=True, capture_output=True
    )
    put(TLS["certificate"], (pair / "cert").read_text())
    put(TLS["key"], (pair / "key").read_text(), mode="0600")
    put("/etc/nginx/secret", SECRET, owner="root:nginx", mode="0640")
    put("/home/mallory/app/evil.py", EVIL, owner="mallory:mallory")
    put("/home/mallory/app/static/mine.txt", "mine", owner="mallory:mallory")
    put("/home/mallory/www/mine.txt", "mine", owner="mallory:mallory")
    put("/home/mallory/www/icon", "mine", owner="mallory:mallory")
    put("/home/mallory/swap.py", SWAP)
    sh("chown -R mallory: /home/mallory && chmod 755 /home/mallory")
    apps = [
        app("evil", path="/home/mallory/app", user="mallory", module="evil", callable="app", requirements=None),
        app("victim", source=str(folder), module="victim", callable="app", requirements=None),
    ]
    sites = [
        site(
            "mixed.test",
            "evil",
            locations=[
                {"path": "/", "app": "evil"},
                {"path": "/victim/", "app": "victim"},
                {"path": "/private/", "app": "victim", "static": "private", "internal": True},
                {"path": "/css/", "app": "victim", "static": "static"},
            ],
        ),
        site(
            "links.test",
            "evil",
            listen=["80", "8088"],
            locations=[
                {"path": "/www/", "static": "/home/mallory/www"},
                {"path": "= /icon", "static": "/home/mallory/www/icon"},
                {"path": "~ ^/regex/", "static": "/home/mallory"},
                {"path": "/own/", "app": "evil", "static": "static"},
                {"path": "/elsewhere/", "return": "404", "options": {"root": "/home/mallory"}},
            ],
            options={"location /by-hand/": {"alias": "/home/mallory/www/"}},
        ),
        site("tls.test", "victim", tls={**TLS, "protocols": ["TLSv1.3"]}),
        site("other.test", "victim", listen=["8089"], default_server=True),
    ]
    status, said = play(apps, sites)
    assert status == 0, said
    # The unit as it is now, whenever nginx was started before.
    sh("systemctl restart nginx.service")
    return said


def on_host(script, *words):
    """What a Python program printed on the host."""
    return sh(f"python3 -c {shlex.quote(script)} {' '.join(map(shlex.quote, words))}")


RAW = r"""
import socket, ssl, sys
port, name, host, newest = int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4]
link = socket.create_connection(("127.0.0.1", port), 10)
try:
    if name != "plain":
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if newest == "1.2":
            context.maximum_version = ssl.TLSVersion.TLSv1_2
        link = context.wrap_socket(link, server_hostname=name or None)
    lines = "GET / HTTP/1.%d\r\n" % (1 if host else 0) + ("Host: %s\r\n" % host if host else "")
    link.sendall((lines + "Connection: close\r\n\r\n").encode())
    found = b""
    while True:
        more = link.recv(9999)
        if not more:
            break
        found += more
    print(found.decode().split("\r\n")[0] or "nothing")
except (ssl.SSLError, OSError) as problem:
    print("refused:", problem)
"""


def raw(port, name, host="", newest=""):
    return on_host(RAW, str(port), name, host, newest).strip()


# -- S13: names that no site has -------------------------------------------------------------------------------------


@pytest.mark.parametrize("port", [80, 8088])
@pytest.mark.parametrize("name", ["unknown.test", "127.0.0.1", "", "publish-trial.invalid", "base.test.evil"])
def test_an_unknown_name_is_answered_by_nobody(published, port, name):
    assert raw(port, "plain", name) == "nothing"


def test_known_names_and_a_site_that_is_the_default_are_answered(published):
    assert get("base.test")[0] == 200
    assert raw(80, "plain", "mixed.test").startswith("HTTP/1.1 200")
    assert raw(8089, "plain", "unknown.test").startswith("HTTP/1.1 200")


def test_tls_has_no_certificate_for_an_unknown_name(published):
    assert raw(443, "tls.test", "tls.test").startswith("HTTP/1.1 200")
    for name in ("unknown.test", ""):
        assert raw(443, name, "tls.test").startswith("refused:")
    # One name in the handshake, another in the request.
    assert raw(443, "tls.test", "unknown.test") == "nothing"


def test_the_server_that_refuses_opens_no_older_handshake_than_the_sites(published):
    assert raw(443, "tls.test", "tls.test", "1.2").startswith("refused:")


def test_two_sets_at_one_port_both_refuse(published):
    """The base set refuses on port 80 too; nginx takes both, and warns of nothing."""
    assert {"publish-base.conf", "publish-trial.conf"} <= set(sh("ls /etc/nginx/default.d").split())
    assert "warn" not in sh("/usr/sbin/nginx -t")


# -- S12: links ------------------------------------------------------------------------------------------------------


def test_links_to_what_is_anothers_are_not_served(published):
    sh(
        "cd www && ln -sfn /etc/passwd passwd && ln -sfn /etc etc && ln -sfn /etc/nginx/secret secret"
        " && ln -sfn ../../../../etc/passwd far && ln -sfn passwd hop && ln -sfn / root"
        " && ln -sfn /etc/passwd icon && ln -sfn mine.txt again && mkdir -p sub && ln -sfn ../mine.txt sub/up"
        " && cp -P passwd etc ../app/static/ && ln -sfn /etc/passwd index.html"
        # Hard links to what one may not write the kernel forbids.
        " && ! ln /etc/passwd hard 2>/dev/null".replace("cd www", "cd /home/mallory/www"),
        user="mallory",
    )
    for path in (
        *("/www/passwd", "/www/etc/passwd", "/www/secret", "/www/far", "/www/hop", "/www/root/etc/passwd", "/www/hard"),
        *(
            "/icon",
            "/own/passwd",
            "/own/etc/passwd",
            "/by-hand/passwd",
            "/by-hand/root/etc/passwd",
            "/www/",
            "/www/etc/",
        ),
    ):
        status, text = get("links.test", path)
        assert status in (403, 404), (path, status)
        assert "root:" not in text
        assert SECRET not in text
    # Links among what is one's own are.
    for path in ("/www/mine.txt", "/www/again", "/www/sub/up", "/own/mine.txt"):
        assert get("links.test", path) == (200, "mine"), path
    sh("mkdir -p /home/mallory/regex && ln -sfn /etc/passwd /home/mallory/regex/passwd", user="mallory")
    assert get("links.test", "/regex/passwd")[0] in (403, 404)


def test_a_release_is_served_through_current(published):
    assert get("mixed.test", "/css/style.css") == (200, "body {}")
    assert get("mixed.test", "/css/again.css") == (200, "body {}")


@pytest.mark.parametrize("target", ["/etc", "/srv/wsgi/victim/current/private", "/etc/nginx"])
def test_the_folder_itself_as_a_link_is_not_served(published, target):
    sh(f"cd /home/mallory && mv www www.real && ln -sfn {target} www", user="mallory")
    try:
        for path in ("/www/passwd", "/www/report.txt", "/www/secret", "/by-hand/report.txt"):
            status, text = get("links.test", path)
            assert status in (403, 404), (path, status)
            assert SECRET not in text
    finally:
        sh("cd /home/mallory && rm www && mv www.real www", user="mallory")


def test_links_that_are_swapped_meanwhile_leak_nothing(published):
    ask = (
        "import http.client, time\n"
        "end, seen = time.time() + 6, {}\n"
        "link = http.client.HTTPConnection('127.0.0.1', 80, timeout=10)\n"
        "while time.time() < end:\n"
        "    link.request('GET', '/www/race', headers={'Host': 'links.test'})\n"
        "    answer = link.getresponse()\n"
        "    text = answer.read().decode()\n"
        "    kind = text if text == 'mine' else 'leak' if answer.status == 200 else answer.status\n"
        "    seen[kind] = seen.get(kind, 0) + 1\n"
        "print(seen)\n"
    )
    sh("rm -f /tmp/swapped")
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        swapping = pool.submit(sh, "python3 /home/mallory/swap.py /home/mallory/www /tmp/swapped", user="mallory")
        try:
            seen = on_host(ask)
        finally:
            sh("touch /tmp/swapped")
        swapping.result()
    assert "leak" not in seen
    assert "'mine'" in seen


# -- one application's internal folder -------------------------------------------------------------------------------


def test_an_internal_folder_is_reached_by_its_own_application_only(published):
    assert get("mixed.test", "/victim/x?/private/report.txt") == (200, SECRET)
    status, text = get("mixed.test", "/x?/private/report.txt")
    assert status == 404
    assert SECRET not in text
    assert get("mixed.test", "/private/report.txt")[0] == 404
    # By way of the victim's own location, which is to set nothing for another's answer.
    assert get("mixed.test", "/x?/victim/y")[1] == "hello"


# -- S18: the units ---------------------------------------------------------------------------------------------------


def exposure(unit):
    last = sh(f"systemd-analyze security --no-pager {unit}").strip().splitlines()[-1]
    return float(last.split(":")[1].split()[0])


def test_the_units_are_confined(published):
    assert exposure("nginx.service") <= 4.0
    for unit in ("uwsgi@evil.service", "uwsgi@base.service"):
        assert exposure(unit) <= 2.5


def test_applications_work_confined(published):
    assert get("mixed.test", "/works") == (200, "works")


def test_nginx_holds_no_more_than_it_needs(published):
    status = sh("cat /proc/$(cat /run/nginx.pid)/status")
    assert "NoNewPrivs:\t1" in status
    assert "Seccomp:\t2" in status
    # CAP_SYS_ADMIN, CAP_SYS_PTRACE, CAP_NET_ADMIN, CAP_SYS_MODULE.
    held = int(status.split("CapEff:")[1].split()[0], 16)
    assert not held & (1 << 21 | 1 << 19 | 1 << 12 | 1 << 16)


class Asking:
    """Requests one after the other while something happens to nginx; counts those that failed."""

    def __enter__(self):
        self.asked, self.failed, self.end = 0, [], threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()
        return self

    def run(self):
        while not self.end.is_set():
            self.asked += 1
            try:
                if get("mixed.test", "/css/style.css") != (200, "body {}"):
                    self.failed.append("answer")
            except (AssertionError, ValueError) as problem:
                self.failed.append(str(problem))

    def __exit__(self, *_):
        time.sleep(0.5)
        self.end.set()
        self.thread.join()


def test_a_confined_nginx_reloads_opens_its_logs_anew_and_is_upgraded(published):
    sh("cp /usr/sbin/nginx /root/nginx.first && cp /usr/sbin/nginx /root/nginx.second && echo >> /root/nginx.second")
    before = sh("cat /run/nginx.pid").strip()
    with Asking() as asking:
        sh("systemctl reload nginx.service")
        sh("mv /var/log/nginx/access.log /var/log/nginx/access.log.1; kill -USR1 $(cat /run/nginx.pid)")
        for binary in ("second", "first"):
            arguments = json.dumps({"source": f"/root/nginx.{binary}"})
            words = ["--module-name=graceful.wsgi.nginx_upgrade", f"--args={arguments}", HOST]
            status, said = publishing.ansible("ansible", *words)
            assert status == 0, said
            assert '"upgraded": true' in said
    assert not asking.failed
    assert asking.asked > 5
    assert sh("cat /run/nginx.pid").strip() != before
    assert sh("systemctl is-active nginx.service").strip() == "active"
    assert sh("test -e /var/log/nginx/access.log && echo there") == "there\n"
    assert "NoNewPrivs:\t1" in sh("cat /proc/$(cat /run/nginx.pid)/status")


def test_a_run_says_that_nginx_runs_with_an_earlier_unit(published):
    sh("touch -d '+5 seconds' /etc/systemd/system/nginx.service")
    try:
        status, said = play(playbook="playbooks/site.yml", publish_set="nobody")
        assert status == 0, said
        assert "systemctl restart nginx" in said
    finally:
        sh("touch -d '-1 hour' /etc/systemd/system/nginx.service")
