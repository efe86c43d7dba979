"""Tasks and templates read what the plan has checked: a text `false`, as -e and INI files give it, is true to Jinja."""

from pathlib import Path

import jinja2
import pytest
import yaml
from jinja2 import nodes

from ansible_collections.graceful.wsgi.plugins.plugin_utils import nginx_plan, publish_plan, uwsgi_plan

ROOT = Path(__file__).resolve().parents[2]
ROLES = sorted(path.name for path in (ROOT / "roles").iterdir() if path.is_dir())
READ = {"nginx": nginx_plan.READ, "uwsgi": uwsgi_plan.READ, "publish": publish_plan.READ}
VARIABLES = {
    name
    for role in ROLES
    for name in yaml.safe_load((ROOT / "roles" / role / "meta" / "argument_specs.yml").read_text())["argument_specs"][
        "main"
    ]["options"]
}
# Keywords whose text is an expression without braces.
BARE = {"when", "until", "that", "failed_when", "changed_when"}
# Names of hosts: whoever a task is delegated to, which must be known before the plan, whose words Ansible would not
# template again. Both are text whatever text they hold.
BEFORE_THE_PLAN = {
    ("nginx/tasks/main.yml", "nginx_build_host"),
    ("nginx/tasks/main.yml", "nginx_build_toolchain"),
    ("nginx/tasks/kept.yml", "nginx_build_host"),
    ("nginx/tasks/collect.yml", "nginx_build_host"),
    ("nginx/tasks/collect.yml", "nginx_build_toolchain"),
    # Whether a kit is published from, and of the kit: paths, and the name of a Python.
    ("nginx/tasks/main.yml", "publish_kit"),
    ("kit/tasks/built.yml", "uwsgi_build_host"),
    ("kit/tasks/facts.yml", "kit_facts"),
    ("kit/tasks/facts.yml", "uwsgi_python"),
    ("kit/tasks/known.yml", "kit_facts"),
    ("kit/tasks/known.yml", "uwsgi_python"),
    ("uwsgi/tasks/once.yml", "uwsgi_build_host"),
}
# A regex in a text of Jinja's is no matter of this.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
ENVIRONMENT = jinja2.Environment(extensions=["jinja2.ext.do"])


def expressions(value, bare=False):
    """The templates in what YAML gave."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from expressions(item, key in BARE)
    elif isinstance(value, list):
        for item in value:
            yield from expressions(item, bare)
    elif isinstance(value, str):
        yield "{{ " + value + " }}" if bare and "{{" not in value else value


def templates(path):
    if path.suffix == ".yml":
        return list(expressions(yaml.safe_load(path.read_text())))
    return [path.read_text()]


def read(text):
    """The names that a template reads, be it by a lookup or of another host."""
    tree = ENVIRONMENT.parse(text)
    names = {node.name for node in tree.find_all(nodes.Name)} | {node.attr for node in tree.find_all(nodes.Getattr)}
    return names | {node.value for node in tree.find_all(nodes.Const) if isinstance(node.value, str)}


def planned(text):
    """What a template reads of `settings`."""
    tree = ENVIRONMENT.parse(text)
    for node in tree.find_all(nodes.Getattr):
        of = node.node
        if getattr(of, "attr", None) == "settings" or getattr(of, "name", "").endswith("_settings"):
            yield node.attr


def files(role):
    folders = [ROOT / "roles" / role / name for name in ("tasks", "templates", "handlers", "vars")]
    return sorted(path for folder in folders if folder.is_dir() for path in folder.rglob("*") if path.is_file())


def raw():
    return {
        (str(path.relative_to(ROOT / "roles")), name)
        for role in ROLES
        for path in files(role)
        for text in templates(path)
        for name in read(text) & VARIABLES
    }


def test_tasks_and_templates_read_no_variable_of_a_role_but_through_the_plan():
    assert raw() == BEFORE_THE_PLAN


@pytest.mark.parametrize("role", sorted(READ))
def test_tasks_read_all_that_the_plan_tells_of_the_variables_and_nothing_else(role):
    found = {name for path in files(role) for text in templates(path) for name in planned(text)}
    assert found == set(READ[role])


@pytest.mark.parametrize(
    "text, names",
    [
        ("{{ publish_prune and x }}", {"publish_prune"}),
        ("{% for a in publish_reload %}{{ a }}{% endfor %}", {"publish_reload"}),
        ("{{ lookup('ansible.builtin.vars', 'publish_prune') }}", {"publish_prune"}),
        ("{{ hostvars[inventory_hostname].publish_root }}", {"publish_root"}),
        ("{{ vars['publish_root'] }}", {"publish_root"}),
        ("set publish_prune: false, or publish_root", set()),
        ("{{ __publish_planned.plan.settings.prune }}", set()),
    ],
)
def test_what_counts_as_reading_a_variable(text, names):
    assert read(text) & VARIABLES == names


def test_a_condition_is_an_expression_without_braces():
    assert "{{ publish_prune }}" in list(expressions([{"name": "x", "when": ["publish_prune", "y"]}]))
