"""Inventories that the documentation shows pass the plan, and its commands name playbooks and variables that exist."""

import re
from pathlib import Path

import contract
import golden
import pytest
import yaml
from ansible.template import Templar
from documents import DOCUMENTS

from ansible_collections.graceful.wsgi.plugins.plugin_utils import plan as planning

ROOT = Path(__file__).resolve().parents[2]
SPECS = {
    role: yaml.safe_load((ROOT / f"roles/{role}/meta/argument_specs.yml").read_text())["argument_specs"]["variables"][
        "options"
    ]
    for role in (path.name for path in (ROOT / "roles").iterdir())
}
# A minimal CentOS 7.
HOST = {
    "os_family": "RedHat",
    "distribution": "CentOS",
    "version": "7",
    "arch": "x86_64",
    "systemd": 219,
    "selinux": True,
    "python": "2.7",
    "ansible": "2.16.14",
    "constraints": {"2.7": "flask<2\n"},
    "builder": {"home": "/root/.cache/graceful-wsgi/x", "cache": "/root/.cache/graceful-wsgi/artifacts"},
    "groups": {"": []},
}
COLLECTING = {"folder": "/inventory/kit", "collecting": True, "manifest": None, "wrong": [], "texts": {}}


def blocks(language):
    """(place, text) of each block of this language in the documentation."""
    for file in DOCUMENTS:
        text = file.read_text()
        for block in re.finditer(rf"^( *)```{language}\n(.*?)^\1```", text, re.DOTALL | re.MULTILINE):
            place = f"{file.relative_to(ROOT)}:{text[: block.start()].count(chr(10)) + 1}"
            yield place, re.sub(f"^{block[1]}", "", block[2], flags=re.MULTILINE)


def inventories():
    for place, text in blocks("yaml"):
        found = contract.LOADER.load(contract.trust_as_template(text))
        if isinstance(found, dict) and set(found) == {"all"}:
            yield pytest.param(found["all"], id=place)


def groups(group, name="all"):
    yield name, group
    for child, inner in (group.get("children") or {}).items():
        yield from groups(inner or {}, child)


with contract.templating():
    INVENTORIES = list(inventories())


def test_the_three_hosts_of_centos_7_have_an_inventory_each():
    assert [case.id.partition(":")[0] for case in INVENTORIES].count("docs/roles/el.md") == 3


@pytest.mark.parametrize("told", INVENTORIES)
@pytest.mark.parametrize("kit", [None, COLLECTING])
def test_an_inventory_passes_the_plan(told, kit):
    hosts = {host for _name, group in groups(told) for host in group.get("hosts") or {}}
    variables = told["vars"]
    stated = [name for name in variables if name.partition("_")[0] in SPECS]
    assert stated and [name for name in stated if name not in SPECS[name.partition("_")[0]]] == []
    assert variables.get("uwsgi_build_host", "localhost") in {"localhost", *hosts}
    with contract.templating():
        templar = Templar(loader=contract.LOADER, variables={**golden.KNOWN, **variables})
        values = {name: templar.template(variables[name]) for name in stated}
    for app in values.get("publish_apps", []) if kit else ():
        # The guide says that the two do not go together.
        app.pop("python", None)
    roles = {
        role: {name: value for name, value in values.items() if name.startswith(f"{role}_")}
        for role in planning.PLANNERS
    }
    known = {**HOST, "uwsgi_builder": {**HOST["builder"], "kept": [], "headers": ["zlib-devel.rpm"]}, "kit": kit}
    for role in ("el", "nginx", "uwsgi", "publish"):
        plans, problems = planning.plan(SPECS, roles, {**known, "role": role})
        assert [str(problem) for problem in problems] == [] and plans[role]


# Variables of the playbooks themselves.
PLAYS = ("publish_hosts", "publish_reload", "publish_serial", "app", "command", "to", "state")
PLAYS += ("status_format", "status_file", "live", "publish_max_fail_percentage")
COMMANDS = [
    pytest.param(words, id=f"{place} {number}")
    for place, text in blocks("console")
    for number, line in enumerate(text.replace("\\\n", " ").splitlines())
    if "ansible-playbook" in (words := line.partition("#")[0].split())
]


@pytest.mark.parametrize("words", COMMANDS)
def test_a_command_names_what_there_is(words):
    for word in words:
        if word.startswith("graceful.wsgi."):
            assert (ROOT / "playbooks" / f"{word.rpartition('.')[2]}.yml").is_file()
    for flag, word in zip(words, words[1:], strict=False):
        if flag == "-e":
            [name] = re.findall(r"^'?\{?\"?(\w+)", word)
            assert name in PLAYS or name in SPECS[name.partition("_")[0]]
