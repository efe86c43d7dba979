"""What Ansible says of the tags of the shipped playbooks: which tasks each takes, and that the page names all."""

import re
from pathlib import Path

import playbook
import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/guide/tags.md").read_text()
SITE = ROOT / "playbooks/site.yml"
# What of the play runs with any tag; not every Ansible lists the second, which is a `meta`.
OWN = ["Say why the play ends before this batch", "End the play before this batch", "Gather facts"]


def listed(*arguments):
    """{who: [task]} of the main job: by roles, and under "" the play's own."""
    status, said = playbook.play(SITE, *arguments, "--list-tasks")
    assert status == 0, said
    found = {}
    # Ansible's words on one line: task TAGS: [tag, tag] task TAGS: [...]
    for task in re.findall(r"(?:^|\] )(\S.*?) TAGS: \[", said.rpartition(" tasks: ")[2]):
        role, _colon, name = task.rpartition(" : ")
        found.setdefault(role.removeprefix("graceful.wsgi."), []).append(name)
    found[""] = OWN if found.get("") == [OWN[0], OWN[2]] else found.get("")
    return found


@pytest.mark.parametrize("role", ["nginx", "uwsgi", "publish"])
def test_the_tag_of_a_role_takes_all_of_that_role_the_facts_and_nothing_else(role):
    found = listed(f"--tags={role}")
    assert set(found) == {"", role} and found[""] == OWN
    assert found[role] == listed()[role]
    # The role plans by itself, whatever ran before it.
    assert "Plan" in found[role]


@pytest.mark.parametrize("stage", ["fetch", "build", "verify"])
def test_the_tag_of_a_stage_takes_the_facts_the_plan_and_the_lock_and_nothing_that_goes_live(stage):
    found = listed(f"--tags=publish_{stage}")
    assert found == {
        "": OWN,
        "publish": [
            "Plan",
            "Plan again with the uWSGI that is on the host",
            "Take the lock of the set",
            "Fetch the code of the applications that come from git",
            "Gather the state of the applications",
            # Ansible lists no `always`, in which the lock is given back; test_stages.py sees that.
            "Publish what is to be changed",
        ],
    }


def test_every_tag_is_described_and_every_tag_that_is_described_is_there():
    _status, said = playbook.play(SITE, "--list-tags")
    tags = set(re.findall(r"TASK TAGS: \[(.*?)\]", said)[-1].split(", ")) - {"always"}
    assert tags == set(re.findall(r"^\| `(\w+)` \|", PAGE, re.M))


def test_files_with_tasks_give_no_tag_that_is_not_described():
    """Tags in files that are included as the play runs are listed by no command."""
    used = set()
    for path in (ROOT / "roles").glob("*/tasks/**/*.yml"):
        for tags in re.findall(r"tags: (?:&\w+ )?\[(.*?)\]", path.read_text()):
            used.update(tags.split(", "))
    assert used and used <= set(re.findall(r"^\| `(\w+)` \|", PAGE, re.M))
