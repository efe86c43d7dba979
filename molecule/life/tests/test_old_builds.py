"""Earlier artifacts of nginx: what runs, is named or somebody else made stays, the others go, once; and the status."""

import json
import os
import time

import pytest
from one_host import HOST, play, sh

ROOT = "/var/lib/graceful-wsgi/nginx/artifacts"
DIGEST = "-0123456789ab"
OLDEST, OLD, NEWEST, FOREIGN = (f"1.20.{number}{DIGEST}" for number in range(4))
NAMES = [OLDEST, OLD, NEWEST, FOREIGN]


@pytest.fixture
def artifacts():
    """Three earlier artifacts of the role's, which were built in this order, and one of somebody's."""
    wanted = sh(f"cd {ROOT} && ls -d *-????????????").split()[-1]
    # A program that runs, and of which nothing is in place.
    for age, name in enumerate(NAMES):
        told = json.dumps({"version": name.partition("-")[0], "files": {"nginx": name}})
        path = f"{ROOT}/{name}"
        sh(f"mkdir {path} && cp /bin/sleep {path}/nginx && echo '{told}' > {path}/manifest.json")
        sh(f"touch -d '{9 - age} days ago' {path}/manifest.json")
    sh(f"rm {ROOT}/{FOREIGN}/manifest.json")
    yield wanted
    sh("systemctl stop old-nginx; rm -f /etc/old-nginx.conf; " + "; ".join(f"rm -rf {ROOT}/{name}" for name in NAMES))


def there():
    found = sh(f"ls -A {ROOT}").split()
    return [name for name in NAMES if name in found]


def run(*words, **variables):
    status, said = play([], [], ["--tags=nginx", *words], publish_set="old", **variables)
    assert status == 0, said
    return said


def test_what_nothing_needs_goes_and_the_second_run_changes_nothing(artifacts, tmp_path):
    # The oldest runs, of which one more than that in use is kept.
    sh(f"systemd-run --unit old-nginx {ROOT}/{OLDEST}/nginx 600; echo {ROOT}/{OLD}/nginx > /etc/old-nginx.conf")
    file = tmp_path / "status.json"
    status, said = play(words=["-e", f"status_file={file}"], playbook="playbooks/status.yml")
    assert status == 0, said
    told = {one["name"]: one for one in json.loads(file.read_text())[HOST]["disk"]["nginx_versions"]}
    assert set(told) >= {artifacts, OLDEST, OLD, NEWEST} and FOREIGN not in told
    assert [name for name, one in told.items() if one["current"]] == [artifacts]
    assert told[OLD]["bytes"] == int(sh(f"du -skx {ROOT}/{OLD}").split()[0]) * 1024
    said = run("--check", "--diff")
    assert f"{ROOT}/{NEWEST}" in said and there() == NAMES, said
    said = run()
    assert there() == [OLDEST, OLD, FOREIGN], said
    said = run()
    assert "changed=0" in said and there() == [OLDEST, OLD, FOREIGN], said
    sh("systemctl stop old-nginx; rm /etc/old-nginx.conf")
    said = run()
    # The newer of the two that nothing uses now is kept, as the way back.
    assert there() == [OLD, FOREIGN], said


def test_what_is_old_in_the_controllers_cache_goes(artifacts, tmp_path):
    path = tmp_path / OLD
    path.mkdir()
    (path / "nginx").write_text("x")
    told = {"version": OLD.partition("-")[0], "about": {"flags": []}, "files": {"nginx": "0"}}
    (path / "manifest.json").write_text(json.dumps(told))
    os.utime(path / "manifest.json", (time.time() - 40 * 86400,) * 2)
    asked = {"nginx_build_host": "localhost", "nginx_artifact_dir": str(tmp_path), "nginx_cache_keep": 0}
    # Check mode builds nothing.
    said = run("--check", "--diff", **asked, nginx_cache_days=41)
    assert str(path) not in said
    said = run("--check", "--diff", **asked, nginx_cache_days=39)
    assert f"-{path}" in said and path.exists(), said
