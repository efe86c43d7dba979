"""nginx as the role built and started it."""

import json

testinfra_hosts = ["ansible://published"]

ARTIFACTS = "/var/lib/graceful-wsgi/nginx/artifacts"


def test_the_binary_needs_no_libpcre(host):
    libraries = host.run("ldd /usr/sbin/nginx").stdout
    assert "libc.so" in libraries or "statically linked" in libraries
    assert "pcre" not in libraries


def test_pcre_is_inside(host):
    built = host.run("/usr/sbin/nginx -V").stderr
    assert "--with-pcre=" in built
    assert "--user=nginx" in built
    assert "--group=nginx" in built


def test_the_binary_is_the_artifact(host):
    (artifact,) = host.file(ARTIFACTS).listdir()
    manifest = json.loads(host.file(f"{ARTIFACTS}/{artifact}/manifest.json").content_string)
    live = host.file("/usr/sbin/nginx")
    assert not live.is_symlink
    assert live.sha256sum in json.dumps(manifest)


def test_the_service_runs_and_comes_back(host):
    service = host.service("nginx")
    assert service.is_running
    assert service.is_enabled


def test_the_workers_are_not_root(host):
    master = host.file("/run/nginx.pid").content_string.strip()
    workers = host.check_output(f"cat /proc/{master}/task/{master}/children").split()
    assert host.check_output(f"stat -c %U /proc/{master}") == "root"
    assert workers
    assert {host.check_output(f"stat -c %U /proc/{pid}") for pid in workers} == {"nginx"}


def test_the_configuration_has_no_warning(host):
    tested = host.run("/usr/sbin/nginx -t")
    assert tested.rc == 0
    assert "[warn]" not in tested.stderr


def test_nothing_is_left_of_the_build(host):
    assert host.run("find /var/lib/graceful-wsgi -name '*.o'").stdout == ""


def test_logs_rotate(host):
    host.run_expect([0], "logrotate --force /etc/logrotate.d/nginx")
