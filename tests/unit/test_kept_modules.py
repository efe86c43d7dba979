"""The tests' plays hand on what Ansible has packed: the same files, and others once one that goes into them changes."""

import base64
import io
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from ansible.executor import module_common

CHECKOUT = Path(__file__).resolve().parents[2]
PLAY = """
- hosts: all
  gather_facts: false
  tasks:
    - graceful.wsgi.tried:
      register: told
    - ansible.builtin.debug:
        msg: "told {{ told.word }} {{ told.number }}"
"""
MODULE = """
from ansible.module_utils.basic import AnsibleModule
from ansible_collections.graceful.wsgi.plugins.module_utils.trying import WORD

if __name__ == "__main__":
    AnsibleModule({}).exit_json(word=WORD, number=1)
"""


@pytest.fixture
def checkout(tmp_path):
    """A checkout of its own, with one module and nothing kept."""
    shutil.copytree(CHECKOUT / "tests/shared/callbacks", tmp_path / "tests/shared/callbacks")
    for name, text in (("modules/tried", MODULE), ("module_utils/trying", "WORD = 'first'\n")):
        (tmp_path / f"plugins/{name}.py").parent.mkdir(parents=True)
        (tmp_path / f"plugins/{name}.py").write_text(text)
    (tmp_path / ".collections/ansible_collections/graceful").mkdir(parents=True)
    (tmp_path / ".collections/ansible_collections/graceful/wsgi").symlink_to(tmp_path)
    (tmp_path / "play.yml").write_text(PLAY)
    return tmp_path


def play(checkout, **settings):
    environment = dict(
        os.environ,
        ANSIBLE_CALLBACK_PLUGINS=str(checkout / "tests/shared/callbacks"),
        ANSIBLE_COLLECTIONS_PATH=str(checkout / ".collections"),
        ANSIBLE_NOCOLOR="1",
    )
    environment.pop("TEST_COMPILED_MODULES", None)
    environment.update(settings)
    words = [sys.executable, "-m", "ansible", "playbook", "-i", "one,", "-c", "local", "play.yml"]
    words += ["-e", f"ansible_python_interpreter={sys.executable}"]
    ran = subprocess.run(words, cwd=checkout, env=environment, capture_output=True, text=True, check=False)
    said = ran.stdout + ran.stderr
    assert ran.returncode == 0 and "kept_modules" not in said, said
    return said.partition('"msg": "')[2].partition('"')[0]


def kept(checkout):
    """{a kept file: (its inode, what is packed in it)}"""
    found = {}
    for file in (checkout / ".cache/ansiballz").rglob("*"):
        if file.is_file():
            packed = base64.b64decode(module_common._CachedModule.load(str(file)).zip_data)
            with zipfile.ZipFile(io.BytesIO(packed)) as entries:
                found[file] = file.stat().st_ino, {name: entries.read(name) for name in entries.namelist()}
    return found


@pytest.mark.parametrize("settings", [{}, {"TEST_COMPILED_MODULES": "yes"}], ids=["sources", "bytecode"])
def test_what_is_packed_is_packed_once_until_something_of_it_changes(checkout, settings):
    assert play(checkout, **settings) == "told first 1"
    once = kept(checkout)
    assert len(once) == 1
    assert play(checkout, **settings) == "told first 1" and kept(checkout) == once
    # Of the same length, within the same second.
    (checkout / "plugins/module_utils/trying.py").write_text("WORD = 'other'\n")
    assert play(checkout, **settings) == "told other 1"
    assert len(kept(checkout)) == 2 and once.items() <= kept(checkout).items()
    (checkout / "plugins/modules/tried.py").write_text(MODULE.replace("number=1", "number=2"))
    assert play(checkout, **settings) == "told other 2"


def test_bytecode_comes_beside_the_sources(checkout):
    play(checkout)
    play(checkout, TEST_COMPILED_MODULES="yes")
    packed = {file.parent.name.endswith("-compiled"): entries for file, (_inode, entries) in kept(checkout).items()}
    plain, both = packed[False], packed[True]
    assert plain.items() <= both.items()
    assert set(both) - set(plain) == {f"{name}c" for name in plain if name.endswith(".py")}
    # What runs is the bytecode: the sources could not say so much.
    [file] = (checkout / ".cache/ansiballz").glob("*-compiled/*tried*")
    entries = {name: b"raise SystemExit(name)\n" if name.endswith("trying.py") else data for name, data in both.items()}
    with zipfile.ZipFile(checkout / "packed.zip", "w") as repacked:
        for name, data in entries.items():
            repacked.writestr(name, data)
    changed = module_common._CachedModule.load(str(file))
    object.__setattr__(changed, "zip_data", base64.b64encode((checkout / "packed.zip").read_bytes()))
    changed.dump(str(file))
    assert play(checkout, TEST_COMPILED_MODULES="yes") == "told first 1"
