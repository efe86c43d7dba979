"""What the controller side of the plan looks up before the pure plan is asked."""

import pytest

from ansible_collections.graceful.wsgi.plugins.action import plan

TASK_VARS = {
    "groups": {"backends": ["one", "two"], "empty": [], "other": ["one"]},
    "hostvars": {
        "one": {"ansible_host": "10.0.0.1", "publish_upstream_weight": 3},
        "two": {"publish_upstream_backup": True},
    },
}


def test_a_groups_hosts_by_address_or_name_with_what_they_say_themselves():
    found = plan._groups(TASK_VARS, {"publish_upstreams": [{"group": "backends"}, {"group": "empty"}]})
    assert found == {
        "": ["backends", "empty", "other"],
        "backends": [{"address": "10.0.0.1", "weight": 3}, {"address": "two", "backup": True}],
        "empty": [],
    }


@pytest.mark.parametrize("upstreams", [None, "x", ["x"], [{}], [{"group": 1}], [{"group": "nobody"}]])
def test_what_is_wrong_is_left_to_the_plan(upstreams):
    assert list(plan._groups(TASK_VARS, {"publish_upstreams": upstreams})) == [""]


def test_requirements_files_on_the_controller_are_read(tmp_path):
    (tmp_path / "r.txt").write_text("flask\ngevent\n")
    app = {"name": "a", "source": str(tmp_path), "requirements": "r.txt"}
    assert plan._requirements([app]) == {"a": ["flask", "gevent"]}


@pytest.mark.parametrize(
    "apps",
    [
        None,
        "x",
        ["x", None, {}],
        [{"name": "a", "source": "/nonexistent", "requirements": "r.txt"}],
        [{"name": "a", "source": "/", "requirements": ["gevent"]}],
        [{"name": "a", "path": "/", "requirements": "etc/hostname"}],
        [{"name": 1, "source": 2, "requirements": 3}],
    ],
)
def test_what_is_no_such_file_is_not_known(apps):
    assert plan._requirements(apps) == {}
