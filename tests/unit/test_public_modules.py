"""The modules that stand by themselves, as docs/guide/modules.md lists them; all others say that they are internal."""

import importlib
import re
from pathlib import Path

import contract
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
INTERNAL = "graceful.wsgi.internal"
PUBLIC = ["file_bundle", "nginx_reload", "uwsgi_info", "uwsgi_reload", "yum_archive"]
PLUGINS = sorted((ROOT / "plugins/modules").glob("*.py")) + sorted((ROOT / "plugins/filter").glob("*.py"))
# The options of public modules that are the roles' own.
ROLES_OWN = {
    "file_bundle": {"carried", "digest", "leave_to_others", "verified_digest"},
    "nginx_reload": {"later"},
}


def loaded(path):
    return importlib.import_module(f"{contract.PLUGINS}.{path.parent.name}.{path.stem}")


def documentation(path):
    return yaml.safe_load(loaded(path).DOCUMENTATION)


@pytest.mark.parametrize("path", PLUGINS, ids=lambda path: path.stem)
def test_what_is_not_public_says_so_in_lists_and_in_its_notes(path):
    found = documentation(path)
    internal = path.stem not in PUBLIC
    assert (INTERNAL in found.get("extends_documentation_fragment", [])) == internal
    assert found["short_description"].startswith("(internal) ") == internal


def test_the_guide_lists_the_public_ones_as_they_describe_themselves():
    text = (ROOT / "docs/guide/modules.md").read_text()
    told = re.findall(r"^\| `(\w+)` \| (.*) \|$", text, re.MULTILINE)
    found = [documentation(ROOT / f"plugins/modules/{name}.py")["short_description"] for name in PUBLIC]
    assert told == list(zip(PUBLIC, found, strict=True))


@pytest.mark.parametrize("name", PUBLIC)
def test_options_that_are_the_roles_own_say_so(name):
    options = documentation(ROOT / f"plugins/modules/{name}.py")["options"]
    said = {key for key, option in options.items() if "Internal to the" in " ".join(map(str, [option["description"]]))}
    assert said == ROLES_OWN.get(name, set())


def tasks(items):
    for item in items:
        yield item
        for part in ("block", "rescue", "always"):
            yield from tasks(item.get(part, []))


@pytest.mark.parametrize("name", PUBLIC)
def test_an_example_uses_nothing_else_of_ours(name):
    text = loaded(ROOT / f"plugins/modules/{name}.py").EXAMPLES
    ours = [task for task in tasks(yaml.safe_load(text)) if any(contract.COLLECTION in key for key in task)]
    assert len(ours) >= 2
    assert re.findall(r"\b(?:nginx|uwsgi|publish|el|centos7)_\w+", text.replace(contract.COLLECTION + name, "")) == []
    for task in ours:
        args = task[contract.COLLECTION + name] or {}
        assert not set(args) & ROLES_OWN.get(name, set())
        # What the action plugin renders by a template is the module's content.
        files = [{**file, "content": "x"} for file in args.get("files", [])]
        files = [{key: value for key, value in file.items() if key not in ("template", "vars")} for file in files]
        assert contract.faults_of(name, {**args, **({"files": files} if files else {})}) == []
