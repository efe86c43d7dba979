"""The rows of rows.yml asked of the real thing, and what takes more than one request to see."""

import base64
import http.client
import json
import re
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from urllib.parse import urlsplit

import crossplane
import pytest
import second_nginx
import yaml
from one_host import HOST

testinfra_hosts = ["ansible://graceful-paths"]

ROWS = yaml.safe_load((Path(__file__).parent / "rows.yml").read_text())
TABLE = [(f"{kind}: {row.get('method', 'GET')} {row['ask']}", row) for kind, rows in ROWS.items() for row in rows]
SEEN = {"app": "app", "uri": "uri", "script": "script_name", "path": "path_info", "saw_body": "body"} | {
    key: key for key in ("query", "url", "whole_url", "host", "scheme", "address", "prefix")
}


class Answer:
    def __init__(self, response):
        self.status = response.status
        self.headers = response.getheaders()
        self.content = response.read()

    def header(self, name):
        """The header's value; None where there is none, all of them where there are several."""
        found = [value for key, value in self.headers if key.lower() == name.lower()]
        return found[0] if len(found) == 1 else found or None

    @property
    def text(self):
        return self.content.decode()

    def json(self):
        return json.loads(self.content)


def named(sock_context, name):
    """An HTTPS connection that asks for a name which is not that of the address."""

    class Connection(http.client.HTTPSConnection):
        def connect(self):
            plain = socket.create_connection((self.host, self.port), self.timeout)
            self.sock = sock_context.wrap_socket(plain, server_hostname=name)

    return Connection


class Web:
    """The host's nginx, asked from outside; paths go as they are written."""

    def __init__(self, host):
        addresses = host.interface("eth0").addresses
        self.address = next(address for address in addresses if ":" not in address)
        self.context = ssl.create_default_context()
        self.context.check_hostname = False
        self.context.verify_mode = ssl.CERT_NONE

    def connect(self, url, context=None):
        if url.scheme == "http":
            return http.client.HTTPConnection(self.address, url.port or 80, timeout=20)
        kind = named(context or self.context, url.hostname)
        return kind(self.address, url.port or 443, timeout=20)

    def ask(self, ask, method="GET", headers=None, body=None, target=None, context=None):
        url = urlsplit(ask)
        connection = self.connect(url, context)
        path = ask.partition("://")[2].partition("/")[2]
        try:
            connection.putrequest(method, target or f"/{path}", skip_host=True, skip_accept_encoding=True)
            for name, value in {"Host": url.netloc, **(headers or {})}.items():
                connection.putheader(name, value)
            if body is not None:
                connection.putheader("Content-Length", str(body))
            connection.endheaders()
            # nginx answers 413 to the header already, and reads no body.
            if body is not None and body < 10_000_000:
                connection.send(b"x" * body)
            return Answer(connection.getresponse())
        finally:
            connection.close()

    def count(self, path, site="http://many.test"):
        """How often the application main saw a path."""
        return self.ask(f"{site}/count?path={path}").json()


@pytest.fixture(scope="module", params=["built", "1.31.3"])
def web(host, request):
    """The host's nginx, and then a newer one with the same configuration, in front of the same applications."""
    if request.param == "built":
        yield Web(host)
        return
    with second_nginx.InPlace(HOST):
        yield Web(host)


@pytest.mark.parametrize("row", [row for _name, row in TABLE], ids=[name for name, _row in TABLE])
def test_row(web, row):
    answer = web.ask(row["ask"], **{key: row[key] for key in ("method", "headers", "body", "target") if key in row})
    assert answer.status == row.get("status", 200), answer.text[:500]
    if "location" in row or answer.status in (301, 302, 308):
        assert answer.header("Location") == row["location"]
    for name, value in row.get("sends", {}).items():
        assert answer.header(name) == value
    if "text" in row:
        assert answer.text.strip() == row["text"]
    expected = {SEEN[key]: value for key, value in row.items() if key in SEEN}
    if expected:
        seen = answer.json()
        if isinstance(expected.get("app"), list):
            assert seen["app"] in expected.pop("app")
        assert {key: seen[key] for key in expected} == expected


def test_there_are_rows_enough():
    assert len(TABLE) >= 60
    assert len({name + json.dumps(row) for name, row in TABLE}) == len(TABLE)


def together(count, task):
    """Do it this many times at once; the results."""
    results, start = [], threading.Barrier(count)

    def run():
        start.wait()
        results.append(task())

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def test_a_burst_over_the_limit_gets_429_and_the_application_sees_none_of_it(web):
    before = web.count("/limited/burst")
    client = {"X-Forwarded-For": "192.0.2.10"}
    answers = together(40, lambda: web.ask("http://guarded.test/limited/burst", headers=client).status)
    counted = Counter(answers)
    assert set(counted) == {200, 429}
    # One, five more at once, and one for each second that it took.
    assert 6 <= counted[200] <= 10
    assert web.count("/limited/burst") - before == counted[200]


def test_another_client_is_not_limited_by_it(web):
    for number in range(3):
        client = {"X-Forwarded-For": f"192.0.2.{20 + number}"}
        assert web.ask("http://guarded.test/limited/other", headers=client).status == 200


def test_a_limit_by_a_header(web):
    before = web.count("/by-key/x")
    statuses = [web.ask("http://guarded.test/by-key/x", headers={"X-Key": "one"}).status for _ in range(3)]
    assert statuses == [200, 503, 503]
    assert web.ask("http://guarded.test/by-key/x", headers={"X-Key": "two"}).status == 200
    # Without a key there is nothing to count.
    assert [web.ask("http://guarded.test/by-key/x").status for _ in range(3)] == [200] * 3
    assert web.count("/by-key/x") - before == 5


def test_a_limit_of_connections(web):
    before = web.count("/few/x")
    client = {"X-Forwarded-For": "192.0.2.30"}
    statuses = Counter(together(5, lambda: web.ask("http://guarded.test/few/x?sleep=1", headers=client).status))
    assert statuses == {200: 1, 429: 4}
    assert web.count("/few/x") - before == 1


def test_the_limit_of_a_site_holds_in_its_locations(web):
    before = web.count("/sub/x")
    client = {"X-Forwarded-For": "198.51.100.77"}
    statuses = Counter(together(12, lambda: web.ask("http://limited.test/sub/x", headers=client).status))
    assert set(statuses) == {200, 429}
    assert 4 <= statuses[200] <= 6
    assert web.count("/sub/x") - before == statuses[200]


def test_what_is_denied_is_not_seen_either(web):
    before = web.count("/denied")
    assert web.ask("http://guarded.test/denied", headers={"X-Forwarded-For": "203.0.113.1"}).status == 403
    assert web.ask("http://guarded.test/denied?q=union+select").status == 403
    assert web.count("/denied") == before


def test_weights_and_a_dead_server_that_is_passed_over(web):
    answers = [web.ask(f"http://many.test/nodes/weight{number}") for number in range(40)]
    assert {answer.status for answer in answers} == {200}
    counted = Counter(answer.json()["app"] for answer in answers)
    assert set(counted) == {"node-1", "node-2"}
    assert 2.5 <= counted["node-1"] / counted["node-2"] <= 3.5


def test_a_user_stays_with_a_server(web):
    def servers(user):
        return {web.ask(f"http://many.test/by-user/a?user={user}").json()["app"] for _ in range(5)}

    found = [servers(f"u{number}") for number in range(12)]
    assert all(len(apps) == 1 for apps in found)
    assert len(set().union(*found)) == 2
    assert len({web.ask("http://many.test/by-address/a").json()["app"] for _ in range(8)}) == 1


def test_a_backup_is_asked_only_when_the_others_are_down(host, web):
    assert web.ask("http://many.test/spare/a").json()["app"] == "node-1"
    host.check_output("systemd-run --unit paths-first python3 /srv/paths/first.py")
    try:
        limit = time.time() + 20
        while web.ask("http://many.test/spare/a").json()["app"] != "first":
            assert time.time() < limit, "the server that came back is not asked"
            time.sleep(0.5)
    finally:
        host.run("systemctl stop paths-first")


def test_idle_connections_are_kept_where_asked(web):
    def most(path):
        return max(int(web.ask(f"http://many.test/{path}/").text) for _ in range(20))

    assert most("not-keeping") == 1
    assert most("keeping") > 1


def handshake(web, path):
    """Ask for a WebSocket; what came back, and the first message."""
    with socket.create_connection((web.address, 80), 10) as sock:
        key = base64.b64encode(b"0123456789abcdef").decode()
        lines = [f"GET {path} HTTP/1.1", "Host: many.test", "Upgrade: websocket", "Connection: Upgrade"]
        lines += [f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13", "", ""]
        sock.sendall("\r\n".join(lines).encode())
        received = b""
        while not received.endswith((b"main", b"zabbix")):
            more = sock.recv(4096)
            if not more:
                break
            received += more
        return received


@pytest.mark.parametrize(("path", "app"), [("/ws/websocket", "zabbix"), ("/websocket", "main")])
def test_a_websocket_goes_through(web, path, app):
    received = handshake(web, path)
    assert received.startswith(b"HTTP/1.1 101 "), received
    assert f"hello from {app}".encode() in received


def curl(host, *words):
    return host.check_output(
        " ".join(["curl", "-sk", "-o", "/dev/null", "-w", "'%{http_version} %{http_code}'", *words])
    )


def test_http2_is_spoken_where_it_is_not_switched_off(host, web):
    assert curl(host, "--resolve", "tls.test:443:127.0.0.1", "https://tls.test/a") == "2 200"
    assert curl(host, "--resolve", "odd.test:8443:127.0.0.1", "https://odd.test:8443/a") == "2 200"


def offered(web, name, version):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.minimum_version = context.maximum_version = version
    context.set_ciphers("ALL:@SECLEVEL=0")
    with (
        socket.create_connection((web.address, 443), 10) as plain,
        context.wrap_socket(plain, server_hostname=name) as sock,
    ):
        return sock.version(), sock.cipher()[0]


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_tls_is_modern(web, version):
    spoken, cipher = offered(web, "tls.test", version)
    assert spoken == version.name.replace("_", ".")
    assert "GCM" in cipher or "CHACHA20" in cipher


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1:DeprecationWarning")
def test_tls_is_not_old(web):
    with pytest.raises(ssl.SSLError, match="(?i)alert.protocol.version"):
        offered(web, "tls.test", ssl.TLSVersion.TLSv1_1)


def test_tls_tells_no_cipher_block_chaining(web):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ECDHE-ECDSA-AES128-SHA256:ECDHE-ECDSA-AES256-SHA")
    with pytest.raises(ssl.SSLError, match="(?i)alert.handshake.failure"):
        web.ask("https://tls.test/a", context=context)


def test_ipv6(host, web):
    assert curl(host, "--resolve", "'tls.test:443:[::1]'", "https://tls.test/a") == "2 200"
    assert curl(host, "'http://[::1]/'") == "1.1 404"


def test_nginx_has_nothing_to_warn_of(host):
    tested = host.run("/usr/sbin/nginx -t")
    assert tested.rc == 0
    assert "[warn]" not in tested.stderr


@pytest.fixture(scope="module")
def copied(host, tmp_path_factory):
    """/etc/nginx as it is on the host."""
    folder = tmp_path_factory.mktemp("etc")
    packed = base64.b64decode(host.check_output("tar -C /etc -cf - nginx | base64 -w0"))
    subprocess.run(["tar", "-C", str(folder), "-xf", "-"], input=packed, check=True)
    return folder / "nginx"


def test_gixy_finds_nothing(copied):
    ran = subprocess.run(
        [sys.executable, "-c", "from gixy.cli.main import main; main()", "-f", "json", str(copied / "nginx.conf")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert json.loads(ran.stdout) == []
    assert not ran.stderr


def test_crossplane_reads_all_of_it(copied):
    payload = crossplane.parse(str(copied / "nginx.conf"))
    assert payload["status"] == "ok", payload["errors"]
    names = {Path(config["file"]).name for config in payload["config"]}
    assert {"many.test.conf", "guarded.test.conf", "publish-main.conf", "uwsgi_params"} <= names


def test_an_application_that_is_only_mounted_is_loaded_only_there(host):
    config = host.file("/etc/uwsgi/shop.ini").content_string
    assert re.findall(r"^mount = (.*)$", config, re.MULTILINE) == [
        "/shop=manage:app",
        "/two/levels=manage:app",
        "/sub=manage:app",
    ]
    assert "\nmodule = " not in config
    assert "\nmodule = manage\n" in host.file("/etc/uwsgi/main.ini").content_string
