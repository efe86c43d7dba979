"""module_defaults for groups of our modules: every module is in its groups, and a default reaches it."""

import json
from pathlib import Path

import playbook
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
GROUPS = yaml.safe_load((ROOT / "meta/runtime.yml").read_text())["action_groups"]


def test_the_groups_hold_all_modules_and_the_public_ones():
    modules = [path for path in sorted((ROOT / "plugins/modules").glob("*.py")) if path.stem != "__init__"]
    assert GROUPS["all"] == [path.stem for path in modules]
    assert GROUPS["public"] == [path.stem for path in modules if "- graceful.wsgi.internal\n" not in path.read_text()]


@pytest.mark.parametrize(
    "group, task, default",
    [
        # One that the controller answers, and one of the host's.
        ("all", "doctor", {"files": "/nowhere/canary"}),
        ("all", "nginx_reload", {"conf": "/nowhere/canary", "pid_file": "/nowhere/pid"}),
        ("public", "nginx_reload", {"conf": "/nowhere/canary", "pid_file": "/nowhere/pid"}),
    ],
)
def test_a_default_of_a_group_reaches_its_modules(tmp_path, group, task, default):
    play = {"hosts": "all", "gather_facts": False, "tasks": [{f"graceful.wsgi.{task}": {}}]}
    (tmp_path / "play.yml").write_text(
        json.dumps([{**play, "module_defaults": {f"group/graceful.wsgi.{group}": default}}])
    )
    _status, said = playbook.play(tmp_path / "play.yml", "-vvv")
    assert "canary" in said.partition("TASK [")[2], said
    (tmp_path / "play.yml").write_text(json.dumps([play]))
    assert "canary" not in playbook.play(tmp_path / "play.yml", "--check", "-vvv")[1].partition("TASK [")[2]
