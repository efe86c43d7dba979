"""An nginx that is damaged on its way, from its builder or to a host, is kept nowhere."""

import json
from pathlib import Path

import pytest
from playbook import play

from ansible_collections.graceful.wsgi.plugins.module_utils import nginx_artifact

CHECKOUT = Path(__file__).resolve().parents[2]
NAME = "1.26.3-0123456789ab"
# This machine, by a way on which the binary is damaged.
CONNECTION = '''
DOCUMENTATION = """
name: damaging
author: the tests
short_description: damages what is called nginx
description: Damages what is called nginx.
extends_documentation_fragment: connection_pipelining
"""
import os

from ansible.plugins.connection import local


class Connection(local.Connection):
    transport = "damaging"

    def put_file(self, in_path, out_path):
        super().put_file(in_path, out_path)
        if os.path.basename(out_path) == "nginx":
            damage(out_path)

    fetch_file = put_file


def damage(path):
    size = os.path.getsize(path)
    if os.environ["DAMAGE"] == "cut":
        os.truncate(path, size // 2)
    elif os.environ["DAMAGE"] == "other byte":
        with open(path, "r+b") as file:
            file.seek(size // 2)
            byte = file.read(1)
            file.seek(size // 2)
            file.write(bytes([byte[0] ^ 1]))
'''


def transfer(folder, damage, **task):
    """Status and words of one task of nginx_cache by that way."""
    (folder / "damaging.py").write_text(CONNECTION)
    shared = {"folder": str(folder / "cache"), "name": NAME, "version": "1.26.3", "about": {}}
    tasks = [{"graceful.wsgi.nginx_cache": {**shared, **one}} for one in ({"state": "claimed"}, task)]
    (folder / "play.yml").write_text(json.dumps([{"hosts": "all", "gather_facts": False, "tasks": tasks}]))
    return play(folder / "play.yml", connection="damaging", ANSIBLE_CONNECTION_PLUGINS=str(folder), DAMAGE=damage)


@pytest.fixture
def built(tmp_path):
    path = tmp_path / "built" / NAME
    path.parent.mkdir()
    nginx_artifact.write(str(path), "/bin/cat", "1.26.3", {})
    return path


@pytest.mark.parametrize("damage", ["cut", "other byte"])
def test_what_comes_damaged_from_its_builder_is_not_kept(built, tmp_path, damage):
    status, said = transfer(tmp_path, damage, state="stored", path=str(built))
    assert status == 2, said
    assert f"{NAME} did not arrive from its builder as it is there; run the play again" in said
    assert not (tmp_path / "cache" / NAME).exists()
    status, said = transfer(tmp_path, "none", state="stored", path=str(built))
    assert status == 0, said


WHOLE = nginx_artifact.sha256("/bin/cat")


@pytest.mark.parametrize("damage", ["cut", "other byte"])
def test_what_comes_damaged_to_a_host_is_not_installed(built, tmp_path, damage):
    (tmp_path / "cache").mkdir()
    built.rename(tmp_path / "cache" / NAME)
    there = tmp_path / "there"
    status, said = transfer(tmp_path, damage, state="installed", path=str(there / NAME), glibc="9.9")
    assert status == 2, said
    assert f"should have {WHOLE}" in said
    assert not there.exists()
