"""What the nginx role does with sources that come late, cut off or tampered with: its own tasks, on this machine."""

import hashlib
import io
import json
import os
import sys
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml
from plans import plain
from playbook import play

from ansible_collections.graceful.wsgi.plugins.plugin_utils import nginx_plan, spec

CHECKOUT = Path(__file__).resolve().parents[2]
OPTIONS = yaml.safe_load((CHECKOUT / "roles/nginx/meta/argument_specs.yml").read_text())
HOST = {"distribution": "Debian", "version": "12", "os_family": "Debian", "arch": "x86_64"}
NGINX, PCRE2 = "nginx-1.26.3.tar.gz", "pcre2-10.46.tar.gz"
BODIES = {file: file.encode() * 99 for file in (NGINX, PCRE2, "zlib-1.3.1.tar.gz", "openssl-3.5.7.tar.gz")}
BOTH = {file: BODIES[file] for file in (NGINX, PCRE2)}


def other_byte(body):
    return body[:99] + bytes([body[99] ^ 1]) + body[100:]


def sha256(body):
    return hashlib.sha256(body).hexdigest()


class Mirror(ThreadingHTTPServer):
    """Answers for each file as told, in this order and then as the last time: whole, cut, short, reset, other, 503."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Answer)
        self.files, self.ways, self.asked = dict(BODIES), {}, []

    @property
    def url(self):
        return "http://{}:{}".format(*self.server_address)

    def way(self, name):
        ways = self.ways.get(name, ["whole"])
        return ways[min(self.asked.count(name), len(ways)) - 1]

    def handle_error(self, request, client_address):
        """A client that is cut off says so itself."""


class Answer(BaseHTTPRequestHandler):
    def do_GET(self):
        name = self.path.strip("/").rpartition("/")[2]
        self.server.asked.append(name)
        way, body = self.server.way(name), self.server.files.get(name)
        if way == "503" or body is None:
            return self.send_error(503 if body else 404)
        if way == "reset":
            return None
        self.send_response(200)
        self.send_header("Content-Type", "text/html" if name == "ziglang" else "application/octet-stream")
        if way != "short":
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        cut = body[: len(body) // 2]
        self.wfile.write({"whole": body, "other": other_byte(body)}.get(way, cut))
        return None

    def log_message(self, *_arguments):
        pass


@pytest.fixture
def mirror():
    with Mirror() as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def plan(checksums=(), wheels=(), **variables):
    problems = []
    sums = {name.removesuffix(".tar.gz"): sha256(body) for name, body in BODIES.items()}
    given = {"nginx_version": "1.26.3", "nginx_build_host": "localhost", "nginx_checksums": sums | dict(checksums)}
    values = spec.check(given | variables, OPTIONS["argument_specs"]["variables"]["options"], problems)
    made, more = plain(nginx_plan.plan(values, {**HOST, "builder": {"wheels": list(wheels)}}))
    assert problems + more == []
    return made


def fetch(folder, environment=(), **variables):
    """Status and words of the tasks that fetch the sources into folder/sources."""
    (folder / "sources").mkdir()
    tasks = {"name": "graceful.wsgi.nginx", "tasks_from": "sources.yml"}
    steps = [{"hosts": "all", "gather_facts": False, "tasks": [{"ansible.builtin.include_role": tasks}]}]
    (folder / "play.yml").write_text(json.dumps(steps))
    given = {
        "__nginx_folder": str(folder),
        "__nginx_download_delay": 0,
        "__nginx_planned": {"plan": plan(**variables)},
    }
    settings = {"ANSIBLE_PIPELINING": "1", "no_proxy": "127.0.0.1", **dict(environment)}
    return play(folder / "play.yml", f"--extra-vars={json.dumps(given)}", **settings)


def fetched(folder):
    return {file.name: file.read_bytes() for file in (folder / "sources").iterdir()}


@pytest.mark.parametrize("words", [(), ("--check",)], ids=["run", "check"])
def test_a_source_that_the_folder_lacks_is_named_before_anything_is_done(tmp_path, words):
    (tmp_path / PCRE2).touch()
    tasks = {"name": "graceful.wsgi.nginx", "tasks_from": "build.yml"}
    steps = [{"hosts": "all", "gather_facts": False, "tasks": [{"ansible.builtin.include_role": tasks}]}]
    (tmp_path / "play.yml").write_text(json.dumps(steps))
    given = {"__nginx_planned": {"plan": plan(nginx_source_dir=str(tmp_path))}}
    status, said = play(tmp_path / "play.yml", *words, f"--extra-vars={json.dumps(given)}")
    assert status == 2, said
    assert f"nginx_source_dir: there is no {tmp_path}/{NGINX} on the controller" in " ".join(said.split())
    assert "changed=0" in said and PCRE2 not in said.partition("nginx_source_dir:")[2].partition("put it there")[0]


def test_what_does_not_arrive_whole_is_asked_for_again(mirror, tmp_path):
    mirror.ways = {NGINX: ["503", "503", "cut", "whole"], PCRE2: ["short", "reset", "other", "whole"]}
    status, said = fetch(tmp_path, nginx_mirror=mirror.url)
    assert status == 0, said
    assert fetched(tmp_path) == BOTH
    assert mirror.asked == [NGINX] * 4 + [PCRE2] * 4


CUT = BODIES[PCRE2][: len(BODIES[PCRE2]) // 2]


@pytest.mark.parametrize(
    "wrong",
    [
        {NGINX: ("other", f"its sha256 is {sha256(other_byte(BODIES[NGINX]))}"), PCRE2: ("503", "HTTP Error 503")},
        {NGINX: ("reset", "Connection failure"), PCRE2: ("short", f"its sha256 is {sha256(CUT)}")},
    ],
)
def test_what_stays_wrong_is_refused_with_the_mend(mirror, tmp_path, wrong):
    mirror.ways = {file: [way] for file, (way, _says) in wrong.items()}
    status, said = fetch(tmp_path, nginx_mirror=mirror.url, nginx_download_retries=1)
    assert status == 2, said
    assert mirror.asked == [NGINX] * 2 + [PCRE2] * 2
    assert fetched(tmp_path) == {}
    for file, (_way, message) in wrong.items():
        release = file.removesuffix(".tar.gz")
        assert f"{mirror.url}/{file} is not to be had as {release}, tried 2 times: " in said
        assert message in said
        assert f"The sha256 should be {sha256(BODIES[file])}. Nothing was unpacked. Name another place" in said
        assert f"nginx_urls['{release.partition('-')[0]}'] or nginx_mirror" in said
        assert f"holds {file} in nginx_source_dir" in said
        assert f"nginx_checksums['{release}']" in said


@pytest.fixture
def source_dir(tmp_path):
    folder = tmp_path / "given"
    folder.mkdir()
    for name, body in BODIES.items():
        (folder / name).write_bytes(body)
    return folder


@pytest.mark.parametrize("damage", [other_byte, lambda body: body[:-1]])
def test_a_wrong_tarball_of_the_source_dir_is_refused(source_dir, tmp_path, damage):
    wrong = damage(BODIES[PCRE2])
    (source_dir / PCRE2).write_bytes(wrong)
    status, said = fetch(tmp_path, nginx_source_dir=str(source_dir))
    assert status == 2, said
    message = f"{source_dir}/{PCRE2} is not pcre2-10.46: its sha256 is {sha256(wrong)} and should be"
    assert f"{message} {sha256(BODIES[PCRE2])}. Nothing was unpacked" in said
    assert "nginx_checksums['pcre2-10.46']" in said


def test_a_missing_tarball_of_the_source_dir_is_named(source_dir, tmp_path):
    (source_dir / NGINX).unlink()
    status, said = fetch(tmp_path, nginx_source_dir=str(source_dir))
    assert status == 2, said
    assert f"{source_dir}/{NGINX} is not to be had as nginx-1.26.3, tried 1 times" in said
    assert f"holds {NGINX} in nginx_source_dir" in said


# -- zig -----------------------------------------------------------------------------------------------------------

ZIG = {"nginx_build_toolchain": "zig"}
WHEEL = "ziglang-0.15.2-py3-none-manylinux_2_12_x86_64.manylinux2010_x86_64.musllinux_1_1_x86_64.whl"


@pytest.fixture(scope="module")
def wheel():
    """As small a wheel as pip takes."""
    content, about = io.BytesIO(), "ziglang-0.15.2.dist-info"
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("ziglang/zig", "zig" * 99)
        archive.writestr(f"{about}/METADATA", "Metadata-Version: 2.1\nName: ziglang\nVersion: 0.15.2\n")
        archive.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-manylinux2010_x86_64\n")
        archive.writestr(f"{about}/RECORD", "")
    return content.getvalue()


@pytest.fixture
def zig(mirror, source_dir, wheel, tmp_path):
    """What a run takes that has zig's wheel fetched by pip from the mirror."""
    # In the place of a virtualenv that takes seconds to make.
    (tmp_path / "pip").symlink_to(sys.prefix)
    mirror.files |= {WHEEL: wheel, "ziglang": f'<a href="/files/{WHEEL}">{WHEEL}</a>'.encode()}
    return {
        **ZIG,
        "nginx_source_dir": str(source_dir),
        "checksums": {"zig-0.15.2-x86_64": sha256(wheel)},
        "environment": {"PIP_INDEX_URL": f"{mirror.url}/simple", "PIP_CONFIG_FILE": "/dev/null", "PIP_RETRIES": "0"},
    }


def test_pip_fetches_a_wheel_again_that_was_cut_off(mirror, zig, wheel, tmp_path):
    mirror.ways[WHEEL] = ["short", "whole"]
    status, said = fetch(tmp_path, **zig)
    assert status == 0, said
    assert fetched(tmp_path) == {**BODIES, WHEEL: wheel}
    assert mirror.asked.count(WHEEL) == 2


def test_a_tampered_wheel_from_pip_is_refused_with_the_mend(mirror, zig, wheel, tmp_path):
    mirror.ways[WHEEL] = ["other"]
    status, said = fetch(tmp_path, nginx_download_retries=1, **zig)
    assert status == 2, said
    assert f"pip could not fetch zig 0.15.2 with the sha256 {sha256(wheel)}, tried 2 times" in said
    assert f"what it was given has the sha256 {sha256(other_byte(wheel))}. Nothing was unpacked" in said
    assert "set nginx_zig_version and nginx_checksums['zig-0.15.2-x86_64']" in said
    assert f"put {WHEEL} into nginx_source_dir" in said
    assert WHEEL not in fetched(tmp_path)


def test_a_wheel_by_url_is_asked_for_again(mirror, zig, wheel, tmp_path):
    mirror.ways[WHEEL] = ["short", "other", "whole"]
    status, said = fetch(tmp_path, nginx_urls={"zig": f"{mirror.url}/{WHEEL}"}, **zig)
    assert status == 0, said
    assert fetched(tmp_path)[WHEEL] == wheel


def test_a_tampered_wheel_of_the_source_dir_is_refused(zig, source_dir, wheel, tmp_path):
    (source_dir / WHEEL).write_bytes(other_byte(wheel))
    status, said = fetch(tmp_path, wheels=[WHEEL], **zig)
    assert status == 2, said
    assert f"{source_dir}/{WHEEL} is not zig-0.15.2-x86_64: its sha256 is {sha256(other_byte(wheel))}" in said


# -- the signature -------------------------------------------------------------------------------------------------

# Stands for gpg, of which only the verdict matters here.
GPG = """#!/bin/sh
for last; do :; done
case "$*" in *--import*) exit 0;; esac
grep -qx "signed by us" "$last.asc" && echo "[GNUPG:] VALIDSIG 0123" && exit
echo "gpg: no valid OpenPGP data found." >&2
exit 2
"""


@pytest.mark.parametrize(
    ("ways", "asked", "message"),
    [
        (["503", "short", "whole"], 3, None),
        (["other"], 2, "is not signed by any of nginx_signing_keys"),
        (["503"], 2, f"{NGINX}.asc is not to be had: Request failed"),
    ],
)
def test_a_signature_is_asked_for_again_and_refused_where_it_stays_wrong(mirror, tmp_path, ways, asked, message):
    gpg = tmp_path / "bin/gpg"
    gpg.parent.mkdir()
    gpg.write_text(GPG)
    gpg.chmod(0o755)
    (tmp_path / "key.asc").write_text("a key")
    mirror.files[f"{NGINX}.asc"] = b"-" * 99 + b"\nsigned by us\n"
    mirror.ways[f"{NGINX}.asc"] = ways
    status, said = fetch(
        tmp_path,
        environment={"PATH": f"{gpg.parent}:{os.environ['PATH']}"},
        nginx_mirror=mirror.url,
        nginx_verify_signature=True,
        nginx_signing_keys=[str(tmp_path / "key.asc")],
        nginx_download_retries=1,
    )
    assert (status == 0) is (message is None), said
    assert (message or "") in said
    assert mirror.asked.count(f"{NGINX}.asc") == asked
