"""A play over several hosts, with a module that only says that it was called: what runs once, and who waits for it."""

import json
from pathlib import Path

import playbook
import pytest

ROOT = Path(__file__).resolve().parents[2]
STUB = """#!/usr/bin/python
import json, os, sys
from ansible.module_utils.basic import AnsibleModule
raw = {"type": "raw"}
names = ["point", "state", "apps", "commands", "releases", "unasked"]
module = AnsibleModule({name: raw for name in names}, supports_check_mode=True)
wanted = module.params
if wanted["state"] == "due":
    module.exit_json(changed=False, due=[item["name"] for item in wanted["releases"]], ran=[])
if wanted["state"] == "settled":
    module.exit_json(changed=False)
ran = []
for item in wanted["commands"]:
    for command in item[wanted["point"]]:
        with open(os.path.join(os.environ["STUB_DIR"], "log"), "a") as log:
            log.write("%s %s %s\\n" % (wanted["apps"][0]["user"], item["name"], command["name"]))
        status = 1 if "fails" in command["words"] else 0
        ran.append({"app": item["name"], "name": command["name"], "status": status, "took": 0.1, "said": ["said it"]})
        if status:
            told = "%s: before_live: %s failed (status 1):\\nthe end" % (item["name"], command["name"])
            module.fail_json(msg=told, ran=ran)
module.exit_json(changed=True, ran=ran)
"""


def commands(*items):
    return [{"name": name, "words": words, "once": once, "timeout": 9} for name, words, once in items]


def run(folder, before, releases, **play):
    """(status, words, lines of the log) of a play in which each host has these releases to bring."""
    ours = folder / "collections/ansible_collections/graceful/wsgi"
    (ours / "plugins/modules").mkdir(parents=True)
    for part in ("galaxy.yml", "meta"):
        (ours / part).symlink_to(ROOT / part)
    for part in ("action", "doc_fragments", "module_utils", "plugin_utils"):
        (ours / "plugins" / part).symlink_to(ROOT / "plugins" / part)
    (ours / "plugins/modules/app_commands.py").write_text(STUB)
    app = {"name": "shop", "group": "g", "code": "/c", "folder": "/c", "virtualenv": "/v", "after_live": []}
    task = {
        "graceful.wsgi.app_commands": {
            "point": "before_live",
            "apps": [{"name": "shop", "user": "{{ inventory_hostname }}"}],
            "commands": [{**app, "before_live": before}],
            "releases": f"{{{{ {releases}[inventory_hostname] }}}}",
        }
    }
    live = {"ansible.builtin.debug": {"msg": "{{ inventory_hostname }} goes live"}}
    plays = [{"hosts": "all", "gather_facts": False, "tasks": [task, live], **play}]
    (folder / "play.yml").write_text(json.dumps(plays))
    status, said = playbook.play(
        folder / "play.yml",
        hosts="a,b,c",
        ANSIBLE_COLLECTIONS_PATH=str(folder / "collections"),
        STUB_DIR=str(folder),
        ANSIBLE_FORKS="3",
    )
    log = folder / "log"
    return status, said, log.read_text().splitlines() if log.exists() else []


NEW = {"name": "shop", "id": "0123"}
ALL = {"a": [NEW], "b": [NEW], "c": [NEW]}
MIGRATE = commands(("static", ["x"], False), ("migrate", ["x"], True), ("load", ["x"], False))


@pytest.mark.parametrize("play", [{}, {"serial": 1}, {"strategy": "free"}], ids=["linear", "serial", "free"])
def test_one_host_runs_all_and_the_others_the_rest_after_it(tmp_path, play):
    status, said, log = run(tmp_path, MIGRATE, ALL, **play)
    assert status == 0, said
    assert len([line for line in log if line.endswith("migrate")]) == 1
    first = log[0].split()[0]
    assert [line.split()[2] for line in log[:3]] == ["static", "migrate", "load"]
    assert {line.split()[0] for line in log[:3]} == {first}
    rest = sorted(log[3:])
    assert rest == sorted(f"{host} shop {name}" for host in "abc" if host != first for name in ("static", "load"))
    assert f"[{first}] shop: migrate: done after 0.1 s said it" in said


def test_a_host_with_nothing_new_leaves_it_to_the_next(tmp_path):
    status, said, log = run(tmp_path, MIGRATE, {**ALL, "a": []}, serial=1)
    assert status == 0 and log[:2] == ["b shop static", "b shop migrate"], said
    assert not [line for line in log if line.startswith("a ")]


@pytest.mark.parametrize("play", [{}, {"serial": 1, "max_fail_percentage": 100}], ids=["linear", "serial"])
def test_where_it_failed_no_host_goes_live(tmp_path, play):
    before = commands(("static", ["x"], False), ("migrate", ["fails"], True))
    status, said, log = run(tmp_path, before, ALL, **play)
    assert status == 2 and "goes live here" not in said.replace("nothing of it goes live here", "")
    assert not any(f"{host} goes live" in said for host in "abc"), said
    assert len(log) == 2, log
    assert "shop: before_live: migrate failed (status 1); nothing is live of what this run brings" in said
    if not play:
        assert said.count("a command that runs once in a play failed on") >= 2, said
