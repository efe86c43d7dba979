"""Every value of a role's variables is checked against the spec, and a problem names its path."""

from pathlib import Path

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.graceful.wsgi.plugins.plugin_utils import spec

ROLES = Path(__file__).resolve().parents[4] / "roles"


def checked(options, values, path=""):
    problems = []
    found = spec.check(values, options, problems, path)
    return found, [str(problem) for problem in problems]


@pytest.mark.parametrize(
    "kind, value, expected",
    [
        ("str", "a", "a"),
        ("str", 3, "3"),
        ("str", 1.5, "1.5"),
        ("path", "/x", "/x"),
        ("int", 3, 3),
        ("int", " 3 ", 3),
        ("int", "-3", -3),
        ("float", "1.5", 1.5),
        ("float", 2, 2.0),
        ("bool", True, True),
        ("bool", "yes", True),
        ("bool", "Off", False),
        ("bool", 0, False),
        ("bool", 1, True),
        ("dict", {1: "a"}, {"1": "a"}),
        ("list", ["a", 1], ["a", 1]),
        ("list", ("a",), ["a"]),
        ("list", "a", ["a"]),
        ("list", 3, [3]),
        ("raw", {"a": [1]}, {"a": [1]}),
    ],
)
def test_good_values(kind, value, expected):
    found, problems = checked({"x": {"type": kind}}, {"x": value})
    assert problems == []
    assert found == {"x": expected} and type(found["x"]) is type(expected)


@pytest.mark.parametrize(
    "kind, value",
    [
        ("str", ["a"]),
        ("str", {"a": 1}),
        ("str", True),
        ("path", []),
        ("int", "a"),
        ("int", "1.5"),
        ("int", 1.5),
        ("int", True),
        ("int", []),
        ("float", "a"),
        ("float", True),
        ("float", []),
        ("bool", "maybe"),
        ("bool", 2),
        ("bool", []),
        ("dict", "a=b"),
        ("dict", []),
        ("list", {"a": 1}),
        ("list", True),
    ],
)
def test_bad_values_are_named_and_become_none(kind, value):
    found, problems = checked({"x": {"type": kind}}, {"x": value})
    assert found == {"x": None}
    assert len(problems) == 1 and problems[0].startswith(f"x: {value!r} is not ")


def test_no_type_means_text():
    assert checked({"x": {}}, {"x": 1}) == ({"x": "1"}, [])


def test_defaults_and_none():
    options = {"a": {"type": "int", "default": "4"}, "b": {}, "c": {"default": "x"}}
    assert checked(options, {"c": None}) == ({"a": 4, "b": None, "c": "x"}, [])


def test_a_default_is_not_shared():
    options = {"a": {"type": "list", "default": []}, "b": {"type": "dict", "default": {}}}
    first, _problems = checked(options, {})
    first["a"].append(1)
    first["b"]["x"] = 1
    assert checked(options, {})[0] == {"a": [], "b": {}}


def test_required():
    options = {
        "a": {"required": True, "description": "The name of it."},
        "b": {"required": True, "type": "int", "description": ["First.", "Second."]},
        "c": {"required": True, "type": "dict"},
        "d": {"required": True},
    }
    found, problems = checked(options, {"d": None})
    assert problems == [
        "a: is missing; set it: The name of it",
        "b: is missing; set it: First",
        "c: is missing; set it: a value of type dict",
        "d: is missing; set it: a value of type str",
    ]
    assert found == dict.fromkeys("abcd")


def test_choices():
    options = {"x": {"choices": ["a", "b"]}, "n": {"type": "int", "choices": [1, 2]}}
    assert checked(options, {"x": "a", "n": "2"}) == ({"x": "a", "n": 2}, [])
    assert checked(options, {"x": "c", "n": 3})[1] == [
        "x: 'c' is not known; write one of: a, b",
        "n: 3 is not known; write one of: 1, 2",
    ]


def test_choices_of_a_list_are_those_of_its_elements():
    """As in Ansible's own specs."""
    options = {"x": {"type": "list", "elements": "str", "choices": ["a", "b"]}}
    assert checked(options, {"x": ["a", "b"]}) == ({"x": ["a", "b"]}, [])
    assert checked(options, {"x": ["a", "c"]})[1] == ["x[1]: 'c' is not known; write one of: a, b"]


APPS = {
    "apps": {
        "type": "list",
        "elements": "dict",
        "options": {
            "name": {"required": True},
            "processes": {"type": "int", "default": 1},
            "limits": {"type": "dict", "options": {"memory": {"type": "int"}}},
            "ports": {"type": "list", "elements": "int"},
        },
    }
}


def test_paths_name_index_and_key():
    apps = [{"name": "a"}, {"processes": "x", "limits": {"memory": "much"}, "ports": [1, "b"]}, "c", None]
    found, problems = checked(APPS, {"apps": apps})
    assert [problem.split(": ")[0] for problem in problems] == [
        "apps[1].name",
        "apps[1].processes",
        "apps[1].limits.memory",
        "apps[1].ports[1]",
        "apps[2]",
        "apps[3]",
    ]
    assert found["apps"][0] == {"name": "a", "processes": 1, "limits": None, "ports": None}


def test_unknown_settings_are_refused_below_the_top_and_somebody_elses_at_the_top():
    found, problems = checked(APPS, {"apps": [{"name": "a", "procesess": 2, "zzz": 1}], "ansible_user": "x"})
    assert problems == [
        "apps[0].procesess: there is no such setting; did you mean processes?",
        "apps[0].zzz: there is no such setting; known here: limits, name, ports, processes",
    ]
    assert "ansible_user" not in found and "zzz" not in found["apps"][0]


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(value=VALUES)
def test_no_value_crashes_it_and_what_it_lets_through_is_of_its_type(value):
    kinds = {"str": str, "int": int, "float": float, "bool": bool, "dict": dict, "list": list}
    for kind, python in kinds.items():
        found, problems = checked({"x": {"type": kind}}, {"x": value})
        assert (found["x"] is None) == (value is None or bool(problems))
        assert found["x"] is None or type(found["x"]) is python


@given(values=st.fixed_dictionaries({"apps": VALUES}))
def test_what_it_returns_it_takes_again(values):
    found, problems = checked(APPS, values)
    if not problems:
        assert checked(APPS, found) == (found, [])


def walk(options):
    for option in options.values():
        yield option
        yield from walk(option.get("options") or {})


@pytest.mark.parametrize("path", sorted(ROLES.glob("*/meta/argument_specs.yml")), ids=lambda path: path.parts[-3])
def test_the_roles_own_specs_use_nothing_that_it_does_not_know(path):
    known = {"type", "elements", "options", "choices", "required", "default", "description", "no_log", "version_added"}
    for entry in yaml.safe_load(path.read_text())["argument_specs"].values():
        for option in walk(entry.get("options") or {}):
            assert set(option) <= known
            assert option.get("type", "str") in spec._TYPES and option.get("elements", "str") in spec._TYPES


@pytest.mark.parametrize("path", sorted(ROLES.glob("*/meta/argument_specs.yml")), ids=lambda path: path.parts[-3])
def test_the_roles_own_defaults_are_good_here_and_with_ansible(path):
    options = yaml.safe_load(path.read_text())["argument_specs"]["variables"]["options"]
    _found, problems = checked(options, {name: [] for name, option in options.items() if option.get("required")})
    assert problems == []
    assert ArgumentSpecValidator(options).validate({}).error_messages == []


@pytest.mark.parametrize("name, said", [("version", True), ("conversion", False)])
def test_a_version_that_yaml_took_for_a_number(name, said):
    whole = checked({name: {"type": "str"}}, {name: 0o123456})[1]
    assert [problem.endswith("; put it in quotes") for problem in whole] == [True] * said
    _found, problems = checked({name: {"type": "str"}}, {name: 1.10})
    assert (
        problems
        == [f"{name}: 1.1 is a number, and may have been more: YAML takes 1.10 for 1.1; put it in quotes"] * said
    )
