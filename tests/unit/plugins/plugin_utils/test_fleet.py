"""How many hosts of a play are worked on at a time, and when the play ends before the next batch of them."""

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.graceful.wsgi.plugins.plugin_utils import fleet, fleet_plan
from ansible_collections.graceful.wsgi.plugins.plugin_utils.model import Balanced
from ansible_collections.graceful.wsgi.plugins.plugin_utils.problem import Problems

HOSTS = ["web1", "web2", "web3", "web4"]


def test_without_a_word_all_hosts_are_one_batch():
    assert fleet.batches(HOSTS) == fleet.batches(HOSTS, {"web1": {}}) == "100%"


@pytest.mark.parametrize(
    "said, serial",
    [(1, "1"), ("2", "2"), ("25%", "25%"), ([1, "50%"], ["1", "50%"]), ("1,2", ["1", "2"]), ("", "100%")],
)
def test_a_size_is_a_number_a_percentage_or_a_list_of_those(said, serial):
    assert fleet.batches(HOSTS, said=said) == serial


@pytest.mark.parametrize("said", [0, "two", True, "0%", "120%", [1, "x"], -1, {"a": 1}])
def test_another_size_is_refused_by_its_variable(said):
    with pytest.raises(AnsibleFilterError, match=r"publish_serial: .*a percentage such as 25%.*Nothing was changed"):
        fleet.batches(HOSTS, said=said)


def test_what_the_inventory_says_is_the_first_hosts_that_says_it_and_the_command_line_wins():
    known = {"web1": {}, "web2": {"publish_serial": 2}, "web3": {"publish_serial": 3}}
    assert fleet.batches(HOSTS, known) == "2"
    assert fleet.batches(HOSTS, known, said=1) == "1"


def test_a_batch_begins_where_none_has_failed_and_the_first_one_in_any_case():
    assert fleet.stopped(HOSTS, HOSTS, ["web3", "web4"]) == ""
    assert fleet.stopped(HOSTS, HOSTS[2:], ["web1", "web2"]) == ""


def test_a_failed_host_ends_the_play_and_the_message_says_what_every_host_has():
    told = fleet.stopped(HOSTS, ["web1", "web3", "web4"], ["web3", "web4"])
    assert told.startswith("web2 failed, 1 of 2 so far, and publish_max_fail_percentage allows 0%: the play ends here.")
    assert "Not begun, and as they were: web3, web4." in told
    assert "With what this play brings: web1; " in told and "graceful.wsgi.rollback -e app=NAME -e live=RELEASE" in told


def test_where_no_host_has_what_is_new_there_is_nothing_to_take_back():
    assert "rollback" not in fleet.stopped(HOSTS, ["web2", "web3", "web4"], ["web2"])


@pytest.mark.parametrize("allowed, ends", [(49, True), ("50", False), ("50%", False), (50.0, False), (100, False)])
def test_so_many_percent_of_those_that_had_their_turn_may_fail(allowed, ends):
    assert bool(fleet.stopped(HOSTS, ["web1", "web3", "web4"], ["web3"], allowed)) == ends


@pytest.mark.parametrize("allowed", ["many", 101, -1, True, None])
def test_another_percentage_is_refused_by_its_variable(allowed):
    with pytest.raises(AnsibleFilterError, match=r"publish_max_fail_percentage: .* write 0 to 100"):
        fleet.stopped(HOSTS, HOSTS, ["web1"], allowed)


def test_behind_balancers_hosts_go_one_by_one_unless_the_inventory_says_how_many():
    known = {"web2": {"publish_balancers": "lb"}}
    assert fleet.batches(HOSTS, known) == "1"
    assert fleet.batches(HOSTS, {**known, "web3": {"publish_serial": 2}}) == "2"


VARIABLES = {"publish_balancers": "lb", "publish_drain_timeout": 30}
INVENTORY = {"groups": {"lb": ["lb1", "lb2"], "none": []}, "inventory_hostname": "web1", "ansible_host": "192.0.2.1"}


def told(**given):
    """The problems with what is given, and the plan of it."""
    values, problems = {**VARIABLES, **given}, Problems()
    host = {"fleet": fleet_plan.known({**INVENTORY, **given.get("facts", {})}, values)}
    fleet_plan.check(values, host, problems)
    return [str(problem) for problem in problems], fleet_plan.plan(values, host)


def test_a_host_is_behind_the_hosts_of_the_group_by_the_address_that_upstreams_have():
    assert told() == ([], Balanced(name="web1", address="192.0.2.1", balancers=["lb1", "lb2"], timeout=30))
    assert told(facts={"ansible_host": "2001:db8::1"})[1].address == "[2001:db8::1]"
    assert told(facts={"ansible_host": None})[1].address == "web1"
    # What the upstreams of the balancers read has no template left in it.
    raw = {"ansible_host": "{{ address }}", "hostvars": {"web1": {"ansible_host": "192.0.2.7"}}}
    assert told(facts=raw)[1].address == "192.0.2.7"


def test_a_balancer_is_behind_none_and_neither_is_a_host_that_names_no_group():
    assert told(facts={"inventory_hostname": "lb2"})[1].balancers == []
    assert told(publish_balancers="")[1].balancers == []


@pytest.mark.parametrize(
    "given, message",
    [
        ({"publish_balancers": "lbs"}, "publish_balancers: there is no group 'lbs'; did you mean lb?"),
        ({"publish_balancers": "none"}, "publish_balancers: the group 'none' has no hosts; put hosts into it"),
        ({"publish_drain_timeout": -1}, "publish_drain_timeout: -1 is too few; write seconds, 0 or more"),
    ],
)
def test_a_group_that_cannot_be_is_refused_by_its_variable(given, message):
    problems, _plan = told(**given)
    assert len(problems) == 1 and problems[0].startswith(message), problems
