"""Roles are joined in the house's order, and every problem of all of them is told at once."""

import dataclasses
from pathlib import Path

import pytest
import yaml
from plans import plain

from ansible_collections.graceful.wsgi.plugins.plugin_utils import model
from ansible_collections.graceful.wsgi.plugins.plugin_utils import plan as planning
from ansible_collections.graceful.wsgi.plugins.plugin_utils.problem import Problem, close_match

ROLES = Path(__file__).resolve().parents[4] / "roles"
ENTRIES = {
    role: yaml.safe_load((ROLES / role / "meta" / "argument_specs.yml").read_text())["argument_specs"]
    for role in planning.PLANNERS
}
SPECS = {role: entries["variables"]["options"] for role, entries in ENTRIES.items()}
NOWHERE = {"distribution": None, "version": None, "os_family": None, "arch": None, "systemd": None, "python": None}
TINY = {
    "nginx": {"nginx_n": {"type": "int", "default": 1}},
    "uwsgi": {"uwsgi_n": {"type": "int", "default": 2}},
    "publish": {"publish_n": {"type": "int", "default": 3}},
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tiny(model.Plan):
    n: int


def numbers(plans):
    return {role: plan["n"] for role, plan in plans.items()}


@pytest.fixture
def calls(monkeypatch):
    """Planners that say what they were given, and refuse numbers below 0."""
    made = []

    def planner(role):
        def run(values, host, roles):
            made.append((role, dict(values), {name: dict(found) for name, found in roles.items()}))
            host["spoilt"] = role
            number = values[f"{role}_n"]
            return Tiny(n=number), [Problem(f"{role}_n", "is negative", "write 0 or more")] if number < 0 else []

        return run

    monkeypatch.setattr(planning, "PLANNERS", {role: planner(role) for role in TINY})
    return made


def test_each_role_sees_the_roles_before_it(calls):
    host = dict(NOWHERE)
    plans, problems = plain(planning.plan(TINY, {"nginx": {"nginx_n": "5"}, "uwsgi": {}, "publish": {}}, host))
    assert problems == [] and numbers(plans) == {"nginx": 5, "uwsgi": 2, "publish": 3}
    assert [role for role, _values, _roles in calls] == ["nginx", "uwsgi", "publish"]
    assert calls[0][2] == {"nginx": {"nginx_n": 5}}
    assert calls[2][2] == {"nginx": {"nginx_n": 5}, "uwsgi": {"uwsgi_n": 2}, "publish": {"publish_n": 3}}
    assert host == NOWHERE


def test_a_role_that_the_play_does_not_show_lends_its_defaults_and_is_not_planned(calls):
    plans, _problems = plain(planning.plan(TINY, {"nginx": None, "publish": {}}, NOWHERE))
    assert numbers(plans) == {"publish": 3}
    assert calls[0][2]["nginx"] == {"nginx_n": 1} and calls[0][2]["uwsgi"] == {"uwsgi_n": 2}


def test_all_problems_of_all_roles_in_one_go(calls):
    given = {"nginx": {"nginx_n": -1}, "uwsgi": {"uwsgi_n": "x"}, "publish": {"publish_n": -1}}
    plans, problems = plain(planning.plan(TINY, given, NOWHERE))
    assert [problem.path for problem in problems] == ["nginx_n", "uwsgi_n", "publish_n"]
    # No planner sees a value of a wrong type.
    assert [role for role, _values, _roles in calls] == ["nginx", "publish"] and "uwsgi" not in plans


def test_a_wrong_type_in_a_role_that_is_not_shown_is_nobodys_problem(calls):
    _plans, problems = plain(planning.plan(TINY, {"publish": {}}, NOWHERE))
    assert problems == []


def test_the_real_roles_with_nothing_but_their_defaults_and_an_unknown_host():
    plans, problems = plain(planning.plan(SPECS, {"nginx": {}, "uwsgi": {}, "publish": {}}, NOWHERE))
    assert [str(problem) for problem in problems] == [] and set(plans) == {"nginx", "uwsgi", "publish"}


@pytest.mark.parametrize(
    "names, lines",
    [
        ({"nginx_version"}, 0),
        ({"nginx_verison"}, 1),
        # Somebody who sets both knows what they do.
        ({"nginx_verison", "nginx_version"}, 0),
        ({"nginx_of_somebody_else_entirely"}, 0),
        ({"uwsgi_verison", "verison"}, 0),
        ({"nginx_conf_option", "nginx_signing_key"}, 2),
    ],
)
def test_misspelt(names, lines):
    found = planning.misspelt("nginx", SPECS["nginx"], names)
    assert len(found) == lines
    assert all(line.split(":")[0] in names and "did you mean nginx_" in line for line in found)


def test_close_match():
    assert close_match("verison", ["version", "vision"]) == "version"
    assert close_match("x", ["version"]) is None and close_match("x", []) is None


def test_a_problem_reads_as_path_reason_and_mend():
    assert str(Problem("a[0].b", "is odd", "make it even")) == "a[0].b: is odd; make it even"
