"""On both hosts the same static nginx serves, and neither has a compiler: zig left nothing on the builder."""

import json
import os
from pathlib import Path

import pytest

KEPT = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "artifacts"
COMPILERS = ("cc", "gcc", "clang", "tcc", "zig", "zig-cc", "ld", "as")


def manifest():
    """What the controller keeps: one artifact for both hosts."""
    (file,) = KEPT.glob("*/manifest.json")
    return json.loads(file.read_text())


def test_the_binary_is_static(host):
    assert "statically linked" in host.run("ldd /usr/sbin/nginx").stdout
    host.check_output("mkdir -p /tmp/empty && cp /usr/sbin/nginx /tmp/empty/")
    ran = host.run("chroot /tmp/empty /nginx -V")
    assert ran.rc == 0, ran.stderr
    for inside in ("built with OpenSSL 3.5", "--with-pcre=", "--with-zlib=", "--user=nginx", "--group=nginx"):
        assert inside in ran.stderr


def test_the_manifest_says_so(host):
    told = manifest()
    assert (told["static"], told["glibc"], told["libraries"]) == (True, None, [])
    assert told["architecture"] == host.check_output("uname -m")


def test_both_have_what_the_controller_keeps(host):
    assert host.file("/usr/sbin/nginx").sha256sum == manifest()["files"]["nginx"]


def test_one_host_built_it(host):
    logs = host.file("/var/lib/graceful-wsgi/nginx/logs")
    built = logs.listdir() if logs.exists else []
    assert len(built) == (1 if host.backend.get_hostname() == "graceful-fleet-builder" else 0)


@pytest.mark.parametrize("command", COMPILERS)
def test_there_is_no_compiler(host, command):
    assert not host.exists(command)


def test_there_are_no_headers_and_no_rest_of_a_build(host):
    listed = host.check_output("dpkg-query -W -f '${db:Status-Status} ${Package}\\n'").splitlines()
    assert [line for line in listed if line.startswith("installed ") and line.endswith("-dev")] == []
    assert not host.file("/usr/include/stdio.h").exists
    left = "-name zig -o -name 'zig-*' -o -name 'ziglang*' -o -name '*.o'"
    assert host.check_output(f"find / -xdev -not -path '/usr/share/*' \\( {left} \\)") == ""


def test_it_serves_over_http(host):
    assert host.check_output("curl -sf http://127.0.0.1/") == f"served by {host.backend.get_hostname()}"


def test_it_serves_over_http_2_and_tls_1_3(host):
    said = host.check_output("curl -sfk --http2 https://127.0.0.1/protocol")
    assert said == "HTTP/2.0 TLSv1.3"


def test_regular_expressions_and_compression_are_inside(host):
    assert host.check_output("curl -sf http://127.0.0.1/match/123") == "matched"
    assert host.run("curl -sf http://127.0.0.1/match/abc").rc == 22
    assert "content-encoding: gzip" in host.check_output("curl -sfI --compressed http://127.0.0.1/").lower()


def test_the_service_runs_and_its_workers_are_not_root(host):
    assert host.service("nginx").is_running
    master = host.file("/run/nginx.pid").content_string.strip()
    workers = host.check_output(f"cat /proc/{master}/task/{master}/children").split()
    assert {host.check_output(f"stat -c %U /proc/{pid}") for pid in workers} == {"nginx"}
