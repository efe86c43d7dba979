"""A host that reaches nothing: published from a kit, and refused what the kit lacks before anything on it changes."""

import json
import os
import re
import shutil
from pathlib import Path

import one_host
import pytest
from publishing import ansible

HOST = one_host.HOST
KIT = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "kit"


def site(kit, *words, **variables):
    more = {"publish_hosts": HOST, "publish_kit": str(kit), **variables}
    return ansible("ansible-playbook", f"--extra-vars={json.dumps(more)}", *words, "playbooks/site.yml")


def changed(said):
    return int(re.search(rf"^{HOST} +: ok=\d+ +changed=(\d+)", said, re.M)[1])


@pytest.fixture
def damaged(tmp_path):
    kit = tmp_path / "kit"
    shutil.copytree(KIT, kit)
    return kit


def only(folder, pattern):
    (found,) = folder.glob(pattern)
    return found


# The tests run in their order: the first ones find a host on which nothing was done yet.
def test_the_host_has_no_way_out_and_nothing_that_builds():
    assert one_host.sh("ip route", host=HOST).strip() == ""
    assert one_host.sh("command -v gcc cc pip pip3 nginx uwsgi", host=HOST, check=False).strip() == ""
    assert one_host.sh("python3 -c 'import ensurepip'", host=HOST, check=False).strip().endswith("'ensurepip'")


def test_what_is_damaged_missing_or_unknown_is_refused_all_at_once_before_anything_changes(damaged):
    wheel = only(damaged, "wheels/gevent-*.whl")
    content = bytearray(wheel.read_bytes())
    content[len(content) // 2] ^= 1
    wheel.write_bytes(content)
    lacking = only(damaged, "wheels/[fF]lask-*.whl")
    lacking.unlink()
    apps = [one_host.app("shop"), one_host.app("other", requirements=["Flask==3.1.1"])]
    status, said = site(damaged, publish_apps=apps, publish_sites=[one_host.site("shop.test", "shop")])
    assert (status, changed(said)) == (2, 0)
    assert "3 problems in the variables; nothing on the host was changed" in said
    assert f"publish_kit: {wheel} has the sha256 " in said
    assert f"publish_kit: {lacking} is missing; make it where there is a network: ansible-playbook graceful" in said
    assert f"publish_apps[1].requirements: {damaged} lacks the wheels of other" in said


def test_check_mode_promises_and_changes_nothing():
    status, said = site(KIT, "--check", "--diff")
    assert status == 0, said
    assert changed(said) > 5
    assert one_host.sh("ls -d /opt/uwsgi /usr/sbin/nginx /srv/wsgi", host=HOST, check=False).count("No such file") == 3


def test_the_host_is_published_from_the_kit_and_the_second_run_changes_nothing():
    status, said = site(KIT)
    assert status == 0, said
    for name in ("shop", "chat"):
        assert one_host.get(f"{name}.test")[0] == 200
    status, said = site(KIT)
    assert (status, changed(said)) == (0, 0), said
