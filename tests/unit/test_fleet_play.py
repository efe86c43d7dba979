"""The main job over several hosts, as it is shipped, with roles that only say that they were there: who begins."""

import json
import re
from pathlib import Path

import playbook
import pytest

ROOT = Path(__file__).resolve().parents[2]
# Fails as a deploy does: in a block, after which what was live is put back and the lock is given back.
DEPLOY = [
    {
        "block": [
            {
                "block": [
                    {"ansible.builtin.fail": {"msg": "broken"}, "when": "inventory_hostname in broken.split(',')"},
                    {"ansible.builtin.debug": {"msg": "NEW {{ inventory_hostname }}."}},
                ],
                "rescue": [{"ansible.builtin.fail": {"msg": "as it was"}}],
            }
        ],
        "always": [{"ansible.builtin.debug": {"msg": "given back"}}],
    }
]
FACTS = "from ansible.plugins.action import ActionBase\nclass ActionModule(ActionBase):\n    def run(self, *a, **k):\n"
FACTS += "        return {'ansible_facts': {'os_family': 'Debian'}}\n"


@pytest.fixture
def publish(tmp_path):
    ours = tmp_path / "collections/ansible_collections/graceful/wsgi"
    (ours / "plugins/action").mkdir(parents=True)
    for part in ("galaxy.yml", "meta", "playbooks"):
        (ours / part).symlink_to(ROOT / part)
    for part in ("doc_fragments", "filter", "modules", "module_utils", "plugin_utils"):
        (ours / "plugins" / part).symlink_to(ROOT / "plugins" / part)
    (ours / "plugins/action/facts.py").write_text(FACTS)
    for role, tasks in {"el": [], "nginx": [], "uwsgi": [], "publish": DEPLOY}.items():
        (ours / "roles" / role / "tasks").mkdir(parents=True)
        (ours / "roles" / role / "tasks/main.yml").write_text(json.dumps(tasks))

    def run(broken="", inventory=None, **variables):
        """(status, hosts with what is new, words) of the main job on web1 to web4."""
        settings = {"ANSIBLE_COLLECTIONS_PATH": str(tmp_path / "collections"), "ANSIBLE_BECOME_METHOD": "sudo"}
        extra = {"broken": broken, "ansible_become": False, **variables}
        folder = tmp_path / "group_vars"
        folder.mkdir(exist_ok=True)
        (folder / "all.yml").write_text(json.dumps(inventory or {}))
        (tmp_path / "hosts").write_text("web1\nweb2\nweb3\nweb4\n")
        status, said = playbook.play(
            "graceful.wsgi.site", "-i", str(tmp_path / "hosts"), "--limit", "web*", "-e", json.dumps(extra), **settings
        )
        return status, re.findall(r"NEW (\w+)\.", said), said

    return run


def test_without_a_word_a_host_that_fails_keeps_no_other_from_going_live(publish):
    status, new, said = publish("web2")
    assert status == 2 and sorted(new) == ["web1", "web3", "web4"], said
    assert "the play ends here" not in said


def test_the_inventory_says_how_many_and_all_are_published_batch_by_batch(publish):
    status, new, said = publish(inventory={"publish_serial": 2})
    assert status == 0 and sorted(new[:2]) == ["web1", "web2"] and sorted(new[2:]) == ["web3", "web4"], said
    assert said.count("PLAY [Publish WSGI applications]") == 2


def test_a_batch_that_fails_in_part_ends_the_play_and_the_others_are_as_they_were(publish):
    status, new, said = publish("web2", inventory={"publish_serial": 2})
    assert status == 2 and new == ["web1"], said
    assert "web2 failed, 1 of 2 so far" in said and "as they were: web3, web4." in said


def test_a_batch_that_fails_whole_ends_it_too(publish):
    status, new, said = publish("web2", publish_serial=1)
    assert status == 2 and new == ["web1"], said


def test_as_many_may_fail_as_is_said(publish):
    status, new, said = publish("web2", publish_serial=2, publish_max_fail_percentage=50)
    assert status == 2 and sorted(new) == ["web1", "web3", "web4"], said


def test_a_size_that_is_none_is_refused_before_any_host_is_begun(publish):
    status, new, said = publish(inventory={"publish_serial": "two"})
    assert status != 0 and new == [] and "publish_serial: 'two' is not known; write a number of hosts" in said
