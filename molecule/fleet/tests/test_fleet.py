"""On all hosts the same static nginx serves; none but the builder has a compiler, and zig left nothing even there."""

import json
import os
from pathlib import Path

import pytest

KEPT = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "artifacts"
COMPILERS = ("cc", "gcc", "clang", "tcc", "zig", "zig-cc", "ld", "as")


def manifest():
    """What the controller keeps: one artifact for all hosts."""
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


def test_all_have_what_the_controller_keeps(host):
    assert host.file("/usr/sbin/nginx").sha256sum == manifest()["files"]["nginx"]


def test_one_host_built_it(host):
    logs = host.file("/var/lib/graceful-wsgi/nginx/logs")
    built = logs.listdir() if logs.exists else []
    assert len(built) == (1 if builds(host) else 0)


def builds(host):
    return host.backend.get_hostname() == "graceful-fleet-builder"


@pytest.mark.parametrize("command", COMPILERS)
def test_there_is_no_compiler_but_the_builders_gcc(host, command):
    assert host.exists(command) == (builds(host) and command in ("cc", "gcc", "ld", "as"))


def test_there_are_no_headers_but_the_builders(host):
    listed = host.check_output("dpkg-query -W -f '${db:Status-Status} ${Package}\\n'").splitlines()
    headers = [line for line in listed if line.startswith("installed ") and line.endswith("-dev")]
    assert bool(headers) == host.file("/usr/include/stdio.h").exists == builds(host), headers


def test_there_is_no_rest_of_a_build(host):
    left = "-name zig -o -name 'zig-*' -o -name 'ziglang*' -o -name '*.o'"
    elsewhere = "-not -path '/usr/share/*' -not -path '/usr/lib/*'"
    assert host.check_output(f"find / -xdev {elsewhere} \\( {left} \\)") == ""
    for role in ("nginx", "uwsgi"):
        builds_of = host.file(f"/var/lib/graceful-wsgi/{role}/builds")
        assert not builds_of.exists or builds_of.listdir() == []


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
