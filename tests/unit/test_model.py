"""The model of the plan, the argument specs of the modules that take it, their documentation and the roles' READMEs.

One field is declared once: here it is held against all else that names it.
"""

import ast
import dataclasses
import importlib
import inspect
import json
import re
from pathlib import Path

import contract
import pytest
import yaml

from ansible_collections.graceful.wsgi.plugins.plugin_utils import model

ROOT = Path(__file__).resolve().parents[2]
CLASSES = [item for _name, item in inspect.getmembers(model, dataclasses.is_dataclass)]
NAMES = {item.__name__ for item in CLASSES}
# Parts of a plan that tasks or templates read key by key, or a function of module_utils does, see contract.SHAPES.
PARTS = {
    *(
        "App",
        "Balanced",
        "Bundle",
        "Code",
        "Command",
        "Cross",
        "Download",
        "FirstQuestion",
        "HookRelease",
        "Instance",
        "KeptSettings",
        "KitWheels",
        "NginxBuild",
        "NginxSettings",
    ),
    *("Pip", "PublishSettings", "SelinuxModule", "ServiceAccount", "Site", "SiteBundle", "SoftwareCollection"),
    *(
        "Source",
        "Toolchain",
        "Uwsgi",
        "UwsgiBuilder",
        "UwsgiSettings",
        "Virtualenv",
        "Wheel",
        "WheelFolder",
        "ZigWheel",
    ),
}
# What an option of a type takes.
TAKES = {
    "str": {"str"},
    "path": {"str"},
    "bool": {"bool"},
    "int": {"int"},
    "list": {"list"},
    "dict": {"dict"},
    "raw": {"str", "list"},
}
ALIASES = {"Pairs": "list", "Sections": "dict", "Check": "dict", "Directive": "list"}


def names(items):
    return pytest.mark.parametrize("item", items, ids=lambda item: item.__name__)


def options_of(item):
    """The options of the module that takes this part of a plan."""
    name, *path = item.TAKEN_BY.split(".")
    options = contract.spec_of(name)["argument_spec"]
    for part in path:
        options = options[part]["options"]
    return options


def kinds(annotation):
    """The types of an annotation, as argument specs name them."""
    words = {word.strip() for word in re.sub(r"\[.*\]", "", annotation).split("|")} - {"None"}
    return {"dict" if word in NAMES else ALIASES.get(word, word) for word in words}


@names([item for item in CLASSES if hasattr(item, "TAKEN_BY")])
def test_every_field_is_an_option_of_its_type_of_the_module_that_takes_it(item):
    options = options_of(item)
    fields = {field.name: field for field in dataclasses.fields(item)}
    assert set(fields) - set(options) == set()
    assert {name for name, option in options.items() if option.get("required")} - set(fields) == set()
    for name, field in fields.items():
        option = options[name]
        assert kinds(field.type) <= TAKES[option.get("type", "str")], name
        if "None" in field.type and not field.metadata:
            # Ansible gives an option that is null no default.
            assert option.get("default") is None, f"{name} may be null: declare it by optional() or mapping()"


def test_every_part_says_which_option_takes_it_or_is_read_key_by_key():
    told = {item.__name__ for item in CLASSES if hasattr(item, "TAKEN_BY") or issubclass(item, model.Plan)}
    assert NAMES - told == PARTS


@names(CLASSES)
def test_every_field_says_what_it_is(item):
    own = [name for name in inspect.get_annotations(item) if name != "TAKEN_BY"]
    said = model.comments(item)
    assert {name for name in own if not said.get(name, "").endswith(".")} == set()


@names([item for item in CLASSES if issubclass(item, model.Plan) and item is not model.Plan])
def test_every_role_has_a_plan_of_its_name(item):
    assert (ROOT / "roles" / item.__name__.removesuffix("Plan").lower()).is_dir()


def test_a_plan_that_tasks_get_is_plain_and_lacks_what_is_optional():
    member = model.Member(user="nginx", group="shop")
    file = model.File(dest="/a", template="a.j2", vars={"member": member})
    names = [field.name for field in dataclasses.fields(model.UwsgiInstance)]
    plan = model.UwsgiInstance(**{**dict.fromkeys(names, "x"), "link": None, "unit_files": ()})
    assert model.plain([file]) == [{"dest": "/a", "template": "a.j2", "vars": {"member": dataclasses.asdict(member)}}]
    assert model.plain(plan)["link"] is None and model.plain(plan)["unit_files"] == []
    assert model.plain(model.Reload(name="a", pidfile="b", config="c"))["probe"] == {}
    assert json.loads(json.dumps(model.plain(plan))) == model.plain(plan)


# -- what modules return --------------------------------------------------------------------------------------------

# What Ansible itself adds to what a module returns.
ALWAYS = {"changed", "failed", "msg", "skipped", "results", "rc", "stdout", "stdout_lines", "stderr", "stderr_lines"}
ALWAYS |= {"finished", "ansible_job_id", "response", "stat", "path", "exception"}


def registered():
    """{variable: names of the modules of ours that tasks register in it}, of all roles."""
    found = {}

    def walk(tasks):
        for task in tasks:
            ours = next((key for key in task if key.startswith(contract.COLLECTION)), None)
            if ours and "register" in task:
                found.setdefault(task["register"], set()).add(ours.removeprefix(contract.COLLECTION))
            for part in ("block", "rescue", "always"):
                walk(task.get(part, []))

    for path in sorted((ROOT / "roles").glob("*/tasks/**/*.yml")):
        walk(contract.read_yaml(path))
    return found


def returned(module):
    """The keys that the documentation of a module says it returns."""
    text = importlib.import_module(f"{contract.PLUGINS}.modules.{module}").RETURN
    return set(yaml.safe_load(text) or {})


def test_tasks_read_no_key_of_a_module_that_its_documentation_does_not_name():
    known, wrong = registered(), set()
    for path in sorted((ROOT / "roles").glob("*/*/**/*")):
        folder = path.relative_to(ROOT / "roles").parts[1]
        if path.suffix not in (".yml", ".j2") or folder not in ("tasks", "vars", "handlers", "templates"):
            continue
        for variable, key in re.findall(r"\b(__\w+)\.(\w+)", path.read_text()):
            modules = known.get(variable, set())
            if modules and key not in ALWAYS and not any(key in returned(module) for module in modules):
                wrong.add((str(path.relative_to(ROOT)), f"{variable}.{key}", *sorted(modules)))
    assert wrong == set()


# -- what a template of a user's own may rely on --------------------------------------------------------------------


@pytest.mark.parametrize("role, variable", [(role, name) for role, found in model.GIVEN.items() for name in found])
def test_what_a_users_template_may_rely_on_is_public_and_documented(role, variable):
    text = (ROOT / "roles" / role / "README.md").read_text()
    _templates, item, only = model.GIVEN[role][variable]
    public = {field.name for field in dataclasses.fields(item) if field.metadata.get("public")}
    assert public and only in {"", *public}
    for name in [variable] if only else [f"{variable}.{name}" for name in sorted(public)]:
        assert f"\n| `{name}` |" in text


def test_what_a_users_tasks_may_rely_on_is_public_and_documented():
    for role, told in model.TOLD.items():
        text = (ROOT / "roles" / role / "README.md").read_text()
        for variable, item in told.items():
            for field in dataclasses.fields(item):
                assert field.metadata.get("public") and f"\n| `{variable}.{field.name}` |" in text


@pytest.mark.parametrize("role", sorted(model.TEMPLATE_EXAMPLES))
def test_the_example_of_a_template_reads_public_fields_only(role):
    found = set(re.findall(r"{{ (app|site)\.(\w+)", model.TEMPLATE_EXAMPLES[role]))
    for variable, key in found:
        item = model.GIVEN[role][variable][1]
        assert next(field for field in dataclasses.fields(item) if field.name == key).metadata.get("public")
    assert set(model.TEMPLATE_EXAMPLES) == set(model.GIVEN)


def test_the_roles_own_templates_rely_on_no_more_than_a_users_may():
    public = {
        variable: {field.name for field in dataclasses.fields(item) if field.metadata.get("public")}
        for variable, item in (("app", model.Instance), ("site", model.Site))
    }
    read = {
        (variable, key)
        for path in (ROOT / "roles/publish/templates").glob("*.j2")
        for variable, key in re.findall(r"\b(app|site)\.(\w+)", path.read_text())
    }
    assert {(variable, key) for variable, key in read if key not in public[variable]} == set()


def test_the_model_imports_nothing_of_ansible():
    tree = ast.parse(inspect.getsource(model))
    found = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert found == {"__future__", "collections.abc", "typing"}
