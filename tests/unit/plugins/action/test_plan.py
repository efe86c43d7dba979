"""What the plan is told of an inventory's groups."""

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
