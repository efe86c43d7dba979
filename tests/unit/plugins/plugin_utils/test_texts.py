"""A variable that is given as text, as -e and INI inventories do, makes the plan that its own type makes, or none."""

import json
from pathlib import Path

import pytest
import yaml
from plans import plain

from ansible_collections.graceful.wsgi.plugins.plugin_utils import plan as planning
from ansible_collections.graceful.wsgi.plugins.plugin_utils import spec

ROLES = Path(__file__).resolve().parents[4] / "roles"
ENTRIES = {
    role: yaml.safe_load((ROLES / role / "meta" / "argument_specs.yml").read_text())["argument_specs"]
    for role in planning.PLANNERS
}
SPECS = {role: entries["variables"]["options"] for role, entries in ENTRIES.items()}
DEBIAN = {"distribution": "Debian", "version": "12", "os_family": "Debian", "arch": "x86_64", "systemd": 252}
CENTOS = {"distribution": "CentOS", "version": "7", "os_family": "RedHat", "arch": "x86_64", "systemd": 219}
HOSTS = {
    "debian": {**DEBIAN, "python": "3.11", "selinux": False},
    "centos": {**CENTOS, "python": "3.6", "selinux": True, "ansible": "2.16.0"},
}
GIVEN = {
    "el": {},
    "nginx": {"nginx_version": "1.26.3"},
    "uwsgi": {},
    "remove": {},
    "publish": {
        "publish_apps": [{"name": "shop", "source": "apps/shop", "module": "manage"}],
        "publish_sites": [{"server_name": ["shop.test"], "locations": [{"path": "/", "app": "shop"}]}],
    },
}


def planned(role, host, **values):
    """Plans and problems with this role's variables, the others' as they are."""
    roles = {name: dict(given) for name, given in GIVEN.items() if host == "centos" or name != "el"}
    roles[role] = {**GIVEN[role], **values}
    plans, problems = plain(planning.plan(SPECS, roles, {**HOSTS[host], "role": role}))
    return json.loads(json.dumps(plans)), problems


def natives(name, option):
    """Values of a variable's own type, each with the texts that say the same."""
    kind, default = option.get("type", "str"), option.get("default")
    if kind == "bool":
        yield True, ["true", "True", "yes", "on", "1", "TRUE"]
        yield False, ["false", "False", "no", "off", "0", " false "]
    elif kind in ("int", "float"):
        yield default, [str(default), f" {default} "]
        yield default + 1, [str(default + 1)]
    elif kind in ("list", "dict"):
        empty = [] if kind == "list" else {}
        value = next((given[name] for given in GIVEN.values() if name in given), empty if default is None else default)
        yield value, [json.dumps(value), repr(value), f" {json.dumps(value)}\n"]
        yield empty, ["", " ", json.dumps(empty)]
        if option.get("elements") == "str" and value:
            yield value, [",".join(value), ", ".join(value) + ","]


CASES = [
    pytest.param(role, name, id=name)
    for role, options in SPECS.items()
    for name, option in options.items()
    if option.get("type") in ("bool", "int", "float", "list", "dict")
]


@pytest.mark.parametrize("role, name", CASES)
def test_a_text_is_what_it_says(role, name):
    host = "centos" if role == "el" else "debian"
    for value, texts in natives(name, SPECS[role][name]):
        expected = planned(role, host, **{name: value})
        for text in texts:
            assert planned(role, host, **{name: text}) == expected, (name, text)


@pytest.mark.parametrize("role, name", CASES)
def test_a_text_that_says_nothing_of_the_kind_is_refused(role, name):
    host, option = "centos" if role == "el" else "debian", SPECS[role][name]
    texts = {"bool": ["", "maybe", "2", "[]"], "dict": ["a", "a=b", "[]", '{"a"']}
    texts.update(int=["", "a", "1.5", "true"], list=["{}", '["a"', "[a]"])
    wrong = list(texts[option["type"]])
    if option.get("elements") == "dict":
        wrong += ["a", "a,b"]
    elif option["type"] == "list":
        # The words of a compiler have commas of their own.
        wrong.append("-a,b")
    for text in wrong:
        plans, problems = planned(role, host, **{name: text})
        assert [problem.path.partition("[")[0] for problem in problems] == [name], (name, text)
        assert role not in plans


def test_what_is_within_a_variable_stays_as_it_is():
    """nginx's own words begin with a bracket, and hold commas."""
    options = {"x": {"type": "dict", "options": {"listen": {"type": "list"}}}}
    values = spec.check({"x": {"listen": "[::]:80"}}, options, [])
    assert values == {"x": {"listen": ["[::]:80"]}}


def test_the_tasks_get_the_values_of_their_type():
    values = {"publish_reload": "shop", "publish_prune": "false", "publish_timeout": "7", "publish_prune_data": "no"}
    settings = planned("publish", "debian", **values)[0]["publish"]["settings"]
    assert settings["reload"] == ["shop"]
    assert (settings["prune"], settings["timeout"], settings["prune_data"]) == (False, 7, False)
    assert planned("publish", "debian", publish_prune=None)[0]["publish"]["settings"]["prune"] is True
