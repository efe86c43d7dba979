"""What the host without a compiler takes from the controller, and what it does not."""

import json
import os
import shutil
from pathlib import Path

import pytest
from publishing import ansible

testinfra_hosts = ["ansible://graceful-fleet-web"]

KEPT = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "artifacts"
ON_HOST = "/var/lib/graceful-wsgi/nginx/artifacts"
WEB = "graceful-fleet-web"


def converge(**environment):
    return ansible("ansible-playbook", f"--limit={WEB}", "molecule/fleet/converge.yml", **environment)


@pytest.fixture
def kept(host, tmp_path):
    """The artifact's folder on the controller, and a web host that has it no more; nginx itself runs on."""
    (folder,) = (path for path in KEPT.iterdir() if path.is_dir())
    host.check_output(f"rm -rf {ON_HOST}")
    shutil.copytree(folder, tmp_path / "saved")
    yield folder
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(tmp_path / "saved", folder)


def test_it_comes_back_from_the_controller(host, kept):
    status, said = converge()
    assert status == 0, said
    assert "Compile" not in said
    assert host.file(f"{ON_HOST}/{kept.name}/nginx").sha256sum == host.file("/usr/sbin/nginx").sha256sum


def test_one_other_byte_is_refused_with_the_file_and_the_mend(host, kept):
    before = host.file("/usr/sbin/nginx").sha256sum
    binary = kept / "nginx"
    content = bytearray(binary.read_bytes())
    content[len(content) // 2] ^= 1
    binary.write_bytes(content)
    status, said = converge()
    words = " ".join(said.split())
    assert status == 2, said
    assert f"{binary} is not what was built: its sha256 is" in words
    assert f"remove the folder {kept} on the controller" in words
    assert not host.file(ON_HOST).exists
    assert host.file("/usr/sbin/nginx").sha256sum == before
    assert host.check_output("curl -sf http://127.0.0.1/") == f"served by {WEB}"


def test_the_mend_mends_without_another_build_whatever_the_strategy(host, kept):
    shutil.rmtree(kept)
    status, said = converge(ANSIBLE_STRATEGY="free")
    assert status == 0, said
    assert "Compile" not in said
    assert kept.is_dir()
    assert host.file(f"{ON_HOST}/{kept.name}/nginx").exists


@pytest.mark.parametrize(
    ("difference", "message"),
    [
        ({"architecture": "s390x"}, "it was built for x86_64, and this host is s390x"),
        ({"version": "1.26.4"}, "manifest.json does not tell of"),
    ],
)
def test_what_cannot_run_here_is_refused_before_it_is_copied(host, kept, difference, message):
    told = json.loads((kept / "manifest.json").read_text())
    arguments = {
        "state": "installed",
        "folder": str(KEPT),
        "name": kept.name,
        "version": told["version"],
        "about": told["about"],
        "path": "/tmp/not-here",
        "architecture": told["architecture"],
        "glibc": "2.17",
    }
    status, said = ansible("ansible", WEB, "-m", "graceful.wsgi.nginx_cache", "-a", json.dumps(arguments | difference))
    assert status == 2, said
    assert message.replace("x86_64", told["architecture"]) in " ".join(said.split())
    assert not host.file("/tmp/not-here").exists


def test_another_byte_on_the_host_is_noticed_and_fetched_again(host, kept):
    assert converge()[0] == 0
    binary = f"{ON_HOST}/{kept.name}/nginx"
    host.check_output(f"printf x | dd of={binary} bs=1 seek=4096 conv=notrunc status=none")
    assert host.file(binary).sha256sum != host.file("/usr/sbin/nginx").sha256sum
    status, said = converge()
    assert status == 0, said
    assert "Compile" not in said
    assert host.file(binary).sha256sum == host.file("/usr/sbin/nginx").sha256sum
