"""Bodies and answers arrive whole, over every transport: the rows of bodies.yml, and what takes more than a row."""

import gzip
import hashlib
import http.client
import json
import re
import socket
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml
from one_host import CHECKOUT_APPS, play, sh

ROWS = yaml.safe_load(Path(__file__).with_name("bodies.yml").read_text(encoding="utf-8"))
TABLE = [(f"{name} {number}", row) for name, rows in ROWS.items() for number, row in enumerate(rows)]
CERTIFICATE, KEY = "/etc/ssl/bodies.pem", "/etc/ssl/bodies.key"
# The application of the scenario has Flask.
VIRTUALENV = "/srv/wsgi/base/current/.venv"
TRANSPORTS = {
    "unix": {"protocol": "uwsgi"},
    "http": {"protocol": "http"},
    "tcp": {"protocol": "uwsgi", "socket": "127.0.0.1:5951", "threads": 4, "processes": 1, "log_requests": True},
    "http-tcp": {"protocol": "http", "socket": "127.0.0.1:5952", "threads": 4, "options": {"logformat": "line %(uri)"}},
    "several": {
        "protocol": "uwsgi",
        "instances": 2,
        "options": {"disable-logging": True, "log-slow": 100000, "log-4xx": True},
    },
}


# Of them, those that are published once more, with what nginx and uWSGI take changed.
LARGE = {"unix": {}, "http": {}, "tcp": {"options": {"buffer-size": 8192}}}


def application(name, **more):
    alike = {"module": "manage", "user": "wsgi-base", "virtualenv": VIRTUALENV, "source": str(CHECKOUT_APPS / "bodies")}
    return {"name": name, **alike, **more}


def published(name, protocol, **more):
    off = {"uwsgi": "uwsgi_request_buffering", "http": "proxy_request_buffering"}[protocol]
    locations = [
        {"path": "/", "app": name},
        {"path": "/mnt/", "app": name, "mount": True},
        {"path": "/off/", "app": name, "mount": True, "options": {off: False}},
        {"path": "/little/", "app": name, "mount": True, "client_max_body_size": "1k"},
    ]
    tls = {"certificate": CERTIFICATE, "key": KEY, "redirect": False}
    site = {"server_name": [f"{name}.test"], "tls": tls, "client_max_body_size": "0", "locations": locations}
    return {**site, **more}


@pytest.fixture(scope="module")
def address():
    """All transports published by one play; where to ask."""
    sh(
        f"test -e {KEY} || openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
        f" -subj /CN=bodies.test -keyout {KEY} -out {CERTIFICATE} 2>/dev/null"
    )
    apps = [application(name, **more) for name, more in TRANSPORTS.items()]
    sites = [published(name, more["protocol"]) for name, more in TRANSPORTS.items()]
    status, said = play(apps, sites)
    assert status == 0, said
    return sh("hostname -I").split()[0]


def sized(size):
    """So many bytes, with line breaks."""
    line = b"".join(b"%063d\n" % number for number in range(1024))
    return (line * (size // len(line) + 1))[:size]


BODIES = {}


@pytest.fixture(scope="module")
def bodies(tmp_path_factory):
    """Files with bodies of these sizes, made once; and their digests."""
    folder = tmp_path_factory.mktemp("bodies")

    def body(size):
        if size not in BODIES:
            data = sized(size)
            (folder / str(size)).write_bytes(data)
            BODIES[size] = folder / str(size), hashlib.md5(data).hexdigest()
        return BODIES[size]

    return body


def curl(address, name, version, row, bodies, folder):
    """Ask by curl: its status, version, headers and where the answer is; and what should have been seen."""
    path, expected, stdin = row["ask"], dict(row.get("seen", {})), None
    words = ["curl", "-sk", "--max-time", "60", "-D", "-", "-o", str(folder / "answer"), f"--http{version}"]
    words += ["-w", "\n%{http_version} %{size_download}"]
    # A config file takes what is too long for a command.
    config = []
    for key, value in row.get("headers", {}).items():
        config.append(f"header = {json.dumps(f'{key}: ' + ('x' * value if isinstance(value, int) else value))}")
    number, size = row.get("headers_of", (0, 0))
    config += [f'header = "T-{index}: {"h" * size}"' for index in range(number)]
    if "query" in row:
        path += "?" + "q" * row["query"]
    if "path" in row:
        path += "p" * (row["path"] - len(path))
        expected["path"] = row["path"]
    if row.get("method") == "HEAD":
        words.append("--head")
    elif "method" in row:
        words += ["--request", row["method"]]
    data = None
    if "body" in row:
        data, digest = bodies(row["body"])
        if path.partition("?")[0].endswith(("/count", "/whole", "/raw")):
            expected = {"size": row["body"], "md5": digest, "coded": None, **expected}
        elif path.endswith("/lines"):
            expected = {"size": row["body"], **expected}
        words += ["--header", "Content-Type: application/octet-stream"]
    elif "json" in row:
        data = folder / "json"
        data.write_text(row["json"], encoding="utf-8")
        words += ["--header", "Content-Type: application/json"]
    elif "file" in row:
        file, digest = bodies(row["file"])
        for key, value in row["form"].items():
            words += ["--form-string", f"{key}={value}"]
        words += ["--form", f"upload=@{file};filename=größe.bin"]
        if path == "/form":
            expected["fields"] = row["form"]
            expected["files"] = {"upload": {"size": row["file"], "md5": digest, "name": "größe.bin"}}
    if data is not None and row.get("unsized"):
        stdin = data.open("rb")  # noqa: SIM115
        words += ["--upload-file", "-", *(() if "method" in row else ("--request", "POST"))]
    elif data is not None:
        words += ["--data-binary", f"@{data}"]
    if not any(key == "Expect" for key in row.get("headers", {})):
        words += ["--header", "Expect:"]
    port, scheme = (443, "https") if version == "2" else (80, "http")
    words += ["--resolve", f"{name}.test:{port}:{address}", "--config", str(folder / "config")]
    config.append(f'url = "{scheme}://{name}.test{path}"')
    (folder / "config").write_text("\n".join(config), encoding="utf-8")
    (folder / "answer").unlink(missing_ok=True)
    ran = subprocess.run(words, capture_output=True, check=False, stdin=stdin or subprocess.DEVNULL)
    if stdin:
        stdin.close()
    return ran.returncode, ran.stdout.decode("latin-1").replace("\r", ""), expected


def wrong(address, name, version, row, bodies, folder):
    """What is not as the row has it; None where all is."""
    code, said, expected = curl(address, name, version, row, bodies, folder)
    head, _, last = said.rpartition("\n")
    blocks = [block for block in head.split("\n\n") if block.startswith("HTTP/") and " 100" not in block[:12]]
    if not blocks:
        return f"curl: status {code}: {said}"
    status = int(blocks[-1].split()[1])
    sent = dict(line.partition(": ")[::2] for line in blocks[-1].lower().split("\n")[1:])
    answer = (folder / "answer").read_bytes() if (folder / "answer").exists() else b""
    if row.get("method") == "HEAD":
        answer = b""
    # A body that nginx did not want any more breaks curl's connection, and the answer is there all the same.
    if status != row.get("status", 200) or (code and status < 400):
        return f"{status} (curl: {code}) {answer[:300]!r}"
    if last.split()[0] != version:
        return f"spoken was HTTP/{last.split()[0]}"
    if "size" in row and len(answer) != row["size"]:
        return f"{len(answer)} bytes of {row['size']}"
    for key, value in row.get("sends", {}).items():
        if sent.get(key.lower()) != (value and value.lower()):
            return f"{key}: {sent.get(key.lower())}"
    if "text" in row and answer.decode().strip() != row["text"]:
        return repr(answer[:300])
    if expected and status == 200:
        seen = json.loads(answer)
        if {key: seen.get(key) for key in expected} != expected:
            return f"saw {seen}, and not {expected}"
    return None


@pytest.mark.parametrize("row", [row for _name, row in TABLE], ids=[name for name, _row in TABLE])
def test_row(address, bodies, tmp_path, row):
    asked = [(name, version) for name in TRANSPORTS for version in ("1.1", "2") if row.get("only", version) == version]
    if "100000000" in str(row):
        # What is that large costs a second each.
        asked = [("unix", "2"), ("http-tcp", "1.1")]
    for size in {row[key] for key in ("body", "file") if key in row}:
        bodies(size)

    def ask(number):
        folder = tmp_path / str(number)
        folder.mkdir()
        return wrong(address, *asked[number], row, bodies, folder)

    with ThreadPoolExecutor(4) as pool:
        found = dict(zip(asked, pool.map(ask, range(len(asked))), strict=True))
    assert {f"{name} HTTP/{version}": said for (name, version), said in found.items() if said} == {}


def post(address, name, path, body):
    connection = http.client.HTTPConnection(address, 80, timeout=30)
    try:
        connection.request("POST", path, body, {"Host": f"{name}.test"})
        return connection.getresponse().status
    finally:
        connection.close()


@pytest.mark.parametrize("name", ["unix", "http-tcp"])
def test_an_unread_body_never_costs_the_answer(address, name):
    body, statuses = sized(5_000_000), []

    def run():
        for _ in range(50):
            statuses.append(post(address, name, "/unread", body))

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {status: statuses.count(status) for status in set(statuses)} == {200: 200}


@pytest.mark.parametrize("name", TRANSPORTS)
def test_one_connection_carries_several_bodies(address, name):
    connection = http.client.HTTPConnection(address, 80, timeout=20)
    sock = None
    for size, path, chunked in ((10, "count", 0), (70000, "count", 1), (200000, "unread", 0), (0, "count", 0)) * 2:
        body = sized(size)
        pieces = iter([body[:5], body[5:]]) if chunked else body
        connection.request("POST", f"/{path}", pieces, {"Host": f"{name}.test"}, encode_chunked=bool(chunked))
        answer = connection.getresponse()
        text = answer.read()
        assert answer.status == 200, text
        if path == "count":
            seen = json.loads(text)
            assert (seen["size"], seen["md5"]) == (size, hashlib.md5(body).hexdigest())
        sock = sock or connection.sock
        assert connection.sock is sock, "the connection was not kept"
    connection.close()


def dripped(address, name, query="", headers=None):
    """When each piece of /drip came, in seconds from the first."""
    connection = http.client.HTTPConnection(address, 80, timeout=20)
    connection.request("GET", f"/drip{query}", headers={"Host": f"{name}.test", **(headers or {})})
    answer, times, data = connection.getresponse(), [], b""
    while piece := answer.read1(65536):
        times.append(time.monotonic())
        data += piece
    if answer.getheader("Content-Encoding") == "gzip":
        data = gzip.decompress(data)
    assert data == b"".join(b"data: %d\n\n" % number for number in range(5))
    return [moment - times[0] for moment in times]


@pytest.mark.parametrize("name", TRANSPORTS)
def test_events_come_one_by_one_where_the_application_says_so(address, name):
    for query, headers in (("", {}), ("?type=text/css", {"Accept-Encoding": "gzip"})):
        times = dripped(address, name, query, headers)
        assert len(times) >= 5 and times[-1] > 0.5, times


def test_events_come_one_by_one_over_http2(address):
    words = ["curl", "-skN", "--http2", "--resolve", f"unix.test:443:{address}", "https://unix.test/drip"]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as process:
        times = []
        while process.stdout.read1(65536):
            times.append(time.monotonic())
    assert len(times) >= 5 and times[-1] - times[0] > 0.5, times


def test_other_answers_are_buffered(address):
    assert len(dripped(address, "unix", "?buffered=1")) < 5


def raw(address, text, context=None):
    """What comes back for bytes as they are."""
    with socket.create_connection((address, 80), 10) as sock:
        sock.sendall(text)
        found = b""
        while piece := sock.recv(65536):
            found += piece
        return found


def test_a_body_that_breaks_off_reaches_nobody_and_hangs_nothing(address):
    head = b"POST /count HTTP/1.1\r\nHost: unix.test\r\nConnection: close\r\nContent-Length: 100000\r\n\r\nhalf"
    with socket.create_connection((address, 80), 10) as sock:
        sock.sendall(head)
    assert post(address, "unix", "/count", b"x") == 200


def test_what_smuggles_a_second_request_is_refused(address):
    head = b"POST /count HTTP/1.1\r\nHost: unix.test\r\nConnection: close\r\nTransfer-Encoding: %s\r\n%s\r\n0\r\n\r\n"
    for coding, more in ((b"chunked", b"Content-Length: 5\r\n"), (b"gzip, chunked", b""), (b"xchunked", b"")):
        status = raw(address, head % (coding, more)).split()[1]
        assert status in (b"400", b"501"), (coding, status)


def log(name):
    return sh(f"cat /var/log/uwsgi/{name}")


def test_requests_are_logged_by_nginx_and_by_uwsgi_where_an_application_says_so(address):
    """Without a word of it, errors and slow requests alone."""
    paths = [f"/{path}?{time.time()}" for path in ("headers", "nowhere", "slow", "boom")]
    logs = {name: [f"{name}/server.log"] for name in ("unix", "tcp", "http-tcp")}
    logs["several"] = ["several/server-1.log", "several/server-2.log"]
    for name in logs:
        for path in paths:
            connection = http.client.HTTPConnection(address, 80, timeout=20)
            connection.request("GET", path, headers={"Host": f"{name}.test"})
            connection.getresponse().read()
            connection.close()
    time.sleep(0.3)
    lines = {name: "".join(map(log, found)).splitlines() for name, found in logs.items()}
    starts = {name: "line " if name == "http-tcp" else "[pid: " for name in logs}
    # On a machine with much to do any request may be slow.
    lines["unix"] = [line for line in lines["unix"] if "/slow?" in line or not re.search(r" in \d{4,} msecs", line)]
    found = {
        name: [path for path in paths if any(line.startswith(starts[name]) and path in line for line in lines[name])]
        for name in logs
    }
    assert found == {"unix": paths[2:], "tcp": paths, "http-tcp": paths, "several": [paths[1], paths[3]]}
    assert "RuntimeError: the view that fails" in lines["unix"]
    seen = sh("cat /var/log/nginx/unix.test.access.log")
    assert [path for path in paths if path in seen] == paths


def test_large_bodies_are_kept_on_disk_and_are_gone(address):
    where = sh("tr '\\0' '\\n' < /proc/$(cat /run/uwsgi-unix/pid)/environ | grep TMPDIR").strip()
    assert where == "TMPDIR=/var/tmp"
    assert not sh("ls -A /tmp/systemd-private-*-uwsgi@unix.service-*/tmp")
    assert not sh("ls -A /var/tmp/systemd-private-*-uwsgi@unix.service-*/tmp")


@pytest.fixture(scope="module")
def large(address):
    """nginx lets in far more than uWSGI takes, and one application has a small buffer."""
    apps = [application(name, **{**TRANSPORTS[name], **more}) for name, more in LARGE.items()]
    sites = [published(name, TRANSPORTS[name]["protocol"]) for name in LARGE]
    lets_in = {"large_client_header_buffers": "8 64k", "client_header_buffer_size": "2k"}
    status, said = play(apps, sites, nginx_conf_options=lets_in)
    assert status == 0, said
    return address


@pytest.mark.parametrize("name", LARGE)
def test_what_is_too_large_for_uwsgi_is_refused_by_nginx(large, bodies, tmp_path, name):
    rows, statuses, limit = [], {}, {"unix": 65536, "http": 65536, "tcp": 8192}[name]
    for query in (0, 3000, 7000, 15000, 25000, 29000, 32000, 40000, 60000):
        for headers in ([0, 0], [3, 2000], [1, 30000], [2, 20000], [6, 12000]):
            rows.append({"ask": "/headers", "query": query, "headers_of": headers})
    rows += [{"ask": "/headers/", "path": length} for length in (3000, 7000, 29000, 40000)]
    rows += [{"ask": "/headers", "headers": {"Cookie": length}} for length in (3000, 29000, 60000)]
    for row in rows:
        # By HTTP/2 nginx ends the connection at a field that is too long for itself, and tells the length of compressed
        # headers, so that it knows of those alone which are known by name.
        longest = max(row.get("query", 0), row.get("path", 0), row.get("headers", {}).get("Cookie", 0))
        alike = longest < limit - 200 and not row.get("headers_of", [0, 0])[0]
        for version in ("1.1", "2") if alike else ("1.1",):
            code, said, _expected = curl(large, name, version, row, bodies, tmp_path)
            found = re.search(r"^HTTP/\S+ (\d+)", said)
            statuses[f"{version} {row}"] = int(found[1]) if found else f"curl: {code}"
    bad = {key: value for key, value in statuses.items() if value not in (200, 400, 414)}
    assert bad == {}
    counted = [sum(value == status for value in statuses.values()) for status in (200, 400)]
    assert min(counted) >= 5, statuses


def test_a_small_request_passes_a_small_buffer(large, bodies, tmp_path):
    row = {"ask": "/headers", "query": 2000, "headers_of": [10, 150], "seen": {"query": 2000, "count": 10}}
    assert wrong(large, "tcp", "1.1", row, bodies, tmp_path) is None
