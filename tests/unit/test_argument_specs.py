"""What is said twice is the same: a role's defaults and its argument spec, a module's documentation and its spec."""

import importlib
from pathlib import Path
from unittest import mock

import contract
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
ROLES = sorted(path.parent.parent for path in (ROOT / "roles").glob("*/meta/argument_specs.yml"))
MODULES = sorted(path for path in (ROOT / "plugins" / "modules").glob("*.py") if path.stem != "__init__")
ACTIONS = {path.stem for path in (ROOT / "plugins" / "action").glob("*.py")}


def entries(role):
    return yaml.safe_load((role / "meta" / "argument_specs.yml").read_text())["argument_specs"]


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_a_roles_defaults_are_those_of_its_argument_spec(role):
    options = entries(role)["variables"]["options"]
    documented = {name: option["default"] for name, option in options.items() if "default" in option}
    defaults = yaml.safe_load((role / "defaults" / "main.yml").read_text())
    assert defaults == documented
    # True and 1 are equal in Python but not to a reader.
    assert {name: type(value) for name, value in defaults.items()} == {
        name: type(value) for name, value in documented.items()
    }


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_a_roles_variables_have_a_default_or_are_required_and_carry_its_name(role):
    for name, option in entries(role)["variables"]["options"].items():
        assert name.startswith(f"{role.name}_")
        assert ("default" in option) != bool(option.get("required")), name


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_every_option_is_described(role):
    def walk(options, path):
        for name, option in options.items():
            assert option.get("description"), f"{path}{name}"
            walk(option.get("options") or {}, f"{path}{name}.")

    for name, entry in entries(role).items():
        assert entry.get("short_description"), name
        walk(entry.get("options") or {}, "")


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_ansible_itself_checks_no_variable_of_a_role(role):
    """It would stand in front of the plan's refusals, with all of the argument spec as JSON."""
    found = entries(role)
    assert not (role / "tasks" / "variables.yml").exists() and "main" not in found
    assert [name for name, entry in found.items() if "options" in entry] == ["variables"]


# Between roles: nobody else includes them.
BETWEEN_ROLES = {("nginx", "collect"), ("uwsgi", "collect"), ("uwsgi", "requirements")}
INCLUDES = ("include_tasks", "import_tasks")


def included(tree):
    """(what kind, what it names) of each include in the tasks of a file."""
    if isinstance(tree, list):
        for item in tree:
            yield from included(item)
    elif isinstance(tree, dict):
        for key, value in tree.items():
            kind = key.rpartition(".")[2]
            if kind in INCLUDES:
                yield "tasks", value if isinstance(value, str) else value["file"]
            elif kind in ("include_role", "import_role"):
                yield "role", (value["name"].rpartition(".")[2], value.get("tasks_from", "main"))
            else:
                yield from included(value)


def includes(path):
    return list(included(yaml.safe_load(path.read_text())))


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_every_file_of_tasks_that_may_be_included_has_an_entry_point_that_describes_it(role):
    """The one of main is called variables; files of a role's own that it includes by itself are no entry points."""
    files = {path.stem for path in (role / "tasks").glob("*.yml")}
    own = {
        Path(name).stem for path in (role / "tasks").rglob("*.yml") for kind, name in includes(path) if kind == "tasks"
    }
    between = {name for owner, name in BETWEEN_ROLES if owner == role.name}
    # Both: others include it, and its own role's main begins with it or runs it.
    entered = (files - own - between - {"main"}) | (set(entries(role)) & files)
    assert set(entries(role)) == entered | {"variables"}


def test_what_a_playbook_or_another_role_includes_of_a_role_is_an_entry_point_of_it():
    used = {
        (path, name)
        for path in [*(ROOT / "playbooks").glob("*.yml"), *(ROOT / "roles").glob("*/tasks/**/*.yml")]
        for kind, name in includes(path)
        if kind == "role"
    }
    assert used
    for path, (owner, name) in used:
        if "{{" in owner:
            # A loop over roles, whose main it is.
            assert name == "main", path
            continue
        known = entries(ROOT / "roles" / owner)
        assert name == "main" or name in known or (owner, name) in BETWEEN_ROLES, path
        if path.parent.name == "playbooks":
            assert (owner, name) not in BETWEEN_ROLES, path


def test_every_role_has_an_argument_spec():
    assert [role.name for role in ROLES] == sorted(path.name for path in (ROOT / "roles").iterdir() if path.is_dir())


class Asked(Exception):
    """AnsibleModule was asked for: what follows is not the spec's business."""


def argument_spec(name):
    module = importlib.import_module(f"ansible_collections.graceful.wsgi.plugins.modules.{name}")
    with mock.patch.object(module, "AnsibleModule", side_effect=Asked) as asked, pytest.raises(Asked):
        module.main()
    return module, asked.call_args.kwargs


def told(options):
    """What a mapping of options says, in the terms that documentation and spec share."""
    found = {}
    for name, option in options.items():
        kind = option.get("type", "str")
        default = option.get("default")
        found[name] = {
            "type": kind,
            "elements": option.get("elements"),
            "required": option.get("required", False),
            "default": default,
            "choices": sorted(option.get("choices") or [], key=str),
            "aliases": sorted(option.get("aliases") or []),
            "options": told(option.get("suboptions") or option.get("options") or {}),
        }
    return found


def documented(module):
    """A module's documentation, with what it takes from fragments of ours."""
    found = yaml.safe_load(module.DOCUMENTATION)
    for name in found.get("extends_documentation_fragment", []):
        name, _dot, part = name.removeprefix("graceful.wsgi.").partition(".")
        fragments = importlib.import_module(f"ansible_collections.graceful.wsgi.plugins.doc_fragments.{name}")
        fragment = yaml.safe_load(getattr(fragments.ModuleDocFragment, part.upper() or "DOCUMENTATION"))
        options = {**(fragment.get("options") or {}), **(found.get("options") or {})}
        found = {**fragment, **found, "options": options}
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_a_modules_documentation_is_its_argument_spec(path):
    text = path.read_text()
    module = importlib.import_module(f"ansible_collections.graceful.wsgi.plugins.modules.{path.stem}")
    documentation = documented(module)
    assert documentation["module"] == path.stem
    if "AnsibleModule" not in text:
        # The documentation of an action that runs on the controller only.
        assert path.stem in ACTIONS
        assert told(contract.spec_of(path.stem)["argument_spec"]) == told(documentation["options"])
        return
    module, given = argument_spec(path.stem)
    assert told(given["argument_spec"]) == told(documentation.get("options") or {})
    supports = documentation["attributes"]["check_mode"]["support"]
    assert given.get("supports_check_mode", False) == (supports in ("full", "partial"))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_a_modules_examples_and_return_values_are_yaml(path):
    module = importlib.import_module(f"ansible_collections.graceful.wsgi.plugins.modules.{path.stem}")
    examples = yaml.safe_load(module.EXAMPLES)
    names = {key for task in examples for key in task if key.startswith("graceful.wsgi.")}
    assert f"graceful.wsgi.{path.stem}" in names
    assert all(item.get("description") and item.get("type") for item in yaml.safe_load(module.RETURN).values())


@pytest.mark.parametrize("name", sorted(ACTIONS))
def test_every_action_has_a_module_that_documents_it(name):
    assert (ROOT / "plugins" / "modules" / f"{name}.py").is_file()
