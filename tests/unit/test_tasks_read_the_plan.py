"""Tasks and templates read what the plan has checked: a text `false`, as -e and INI files give it, is true to Jinja."""

import re
from pathlib import Path

import jinja2
import pytest
import yaml
from jinja2 import nodes

from ansible_collections.graceful.wsgi.plugins.plugin_utils import nginx_plan, publish_plan, uwsgi_plan

ROOT = Path(__file__).resolve().parents[2]
ROLES = sorted(path.name for path in (ROOT / "roles").iterdir() if path.is_dir())
READ = {"nginx": nginx_plan.READ, "uwsgi": uwsgi_plan.READ, "publish": publish_plan.READ}
# What a role calls its variables and facts; `__x_planned`, and what a task registers, are called otherwise.
OWNED = re.compile(rf"({'|'.join(ROLES)})_\w+\Z")
VARIABLES = {
    name
    for role in ROLES
    for name in yaml.safe_load((ROOT / "roles" / role / "meta" / "argument_specs.yml").read_text())["argument_specs"][
        "variables"
    ]["options"]
}
PLAN = "graceful.wsgi.plan"
# Names that a template makes for itself, and of which it may ask how a line is to be written.
LAYOUT = {"loop", "children", "value"}
# They choose among what is planned.
CHOICES = {"default", "d", "select", "selectattr", "reject", "rejectattr"}
# Keywords whose text is an expression without braces.
BARE = {"when", "until", "that", "failed_when", "changed_when"}
# A regex in a text of Jinja's is no matter of this.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
ENVIRONMENT = jinja2.Environment(extensions=["jinja2.ext.do"])


def scalars(node, bare=False):
    """(template, node) of each text in a node of YAML, but for those that the plan is called with."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value != PLAN:
                yield from scalars(value, key.value in BARE)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from scalars(item, bare)
    elif isinstance(node, yaml.ScalarNode):
        yield ("{{ " + node.value + " }}" if bare and "{{" not in node.value else node.value), node


def templates(path):
    """(template, first line, last line) of all that Ansible templates in a file."""
    text = path.read_text()
    if path.suffix != ".yml":
        return [(text, 0, text.count("\n"))]
    found = scalars(yaml.compose(text))
    return [(template, node.start_mark.line, node.end_mark.line) for template, node in found]


def read(text):
    """The names of variables and facts of roles that a template reads, be it by a lookup or of another host."""
    tree = ENVIRONMENT.parse(text)
    found = list(tree.find_all(nodes.Name))
    names = {node.name for node in found if OWNED.match(node.name)} - {
        node.name for node in found if node.ctx != "load"
    }
    told = {node.attr for node in tree.find_all(nodes.Getattr)}
    told |= {node.value for node in tree.find_all(nodes.Const) if isinstance(node.value, str)}
    return names | (told & VARIABLES)


def decisions(text):
    """What a template decides: its conditions, but for those of how a line is written, and the choices it makes."""
    tree = ENVIRONMENT.parse(text)
    for node in tree.find_all((nodes.If, nodes.CondExpr)):
        names = {name.name for name in node.test.find_all(nodes.Name)}
        if isinstance(node.test, nodes.Name):
            names.add(node.test.name)
        if not names <= LAYOUT:
            yield f"if {', '.join(sorted(names))}"
    for node in tree.find_all(nodes.Filter):
        if node.name in CHOICES:
            yield f"| {node.name}"
    for _node in tree.find_all((nodes.Or, nodes.And)):
        yield "and, or"


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


def line_of(name, lines, first, last):
    """The number of the line that holds this name, between two of a file."""
    for number in range(first, min(last + 1, len(lines))):
        if re.search(rf"\b{re.escape(name)}\b", lines[number]):
            return number + 1
    return first + 1


def faults(path):
    """What a file of a role reads beside the plan: the place, the name and what to do about it."""
    lines, place = path.read_text().splitlines(), path.relative_to(ROOT)
    for text, first, last in templates(path):
        for name in sorted(read(text)):
            role = name.partition("_")[0].replace("kit", "kit_role")
            yield (
                f"{place}:{line_of(name, lines, first, last)}: {name} is read beside the plan, which may have"
                f" another value of it: have plugins/plugin_utils/{role}_plan.py return it as a field and"
                " read that of what the task Plan registered; what only the host knows is registered as __x"
            )


def test_tasks_handlers_and_templates_read_nothing_of_a_role_but_the_plan():
    found = [fault for role in ROLES for path in files(role) for fault in faults(path)]
    assert not found, "\n" + "\n".join(found)


def test_templates_decide_nothing():
    found = [
        f"{path.relative_to(ROOT)}: {decision}: decide it in plugins/plugin_utils/ and hand over lines"
        for role in ROLES
        for path in files(role)
        if path.parent.name == "templates" and path.suffix == ".j2"
        for decision in decisions(path.read_text())
    ]
    assert not found, "\n" + "\n".join(found)


@pytest.mark.parametrize("role", sorted(READ))
def test_tasks_read_all_that_the_plan_tells_of_the_variables_and_nothing_else(role):
    found = {name for path in files(role) for text, *_lines in templates(path) for name in planned(text)}
    assert found == set(READ[role])


@pytest.mark.parametrize(
    "text, names",
    [
        ("{{ publish_prune and x }}", {"publish_prune"}),
        ("{{ nginx_waiting.files }}", {"nginx_waiting"}),
        ("{% for a in publish_reload %}{{ a }}{% endfor %}", {"publish_reload"}),
        ("{% for nginx_line in a %}{{ nginx_line }}{% endfor %}", set()),
        ("{{ lookup('ansible.builtin.vars', 'publish_prune') }}", {"publish_prune"}),
        ("{{ hostvars[inventory_hostname].publish_root }}", {"publish_root"}),
        ("{{ vars['publish_root'] }}", {"publish_root"}),
        ("set publish_prune: false, or publish_root", set()),
        ("{{ __publish_planned.plan.settings.prune or __publish_found.nginx_unread }}", set()),
    ],
)
def test_what_counts_as_reading_a_variable(text, names):
    assert read(text) == names


@pytest.mark.parametrize(
    "text, found",
    [
        ("{% if log.su %}su{% endif %}", ["if log"]),
        ("{{ 'a' if planned else 'b' }}", ["if planned"]),
        ("{{ a | default('b') }}", ["| default"]),
        ("{{ a or b }}", ["and, or"]),
        ("{% if children is none %};{% endif %}{{ '' if loop.last else ' ' }}{{ a | quote }}", []),
    ],
)
def test_what_counts_as_a_decision(text, found):
    assert list(decisions(text)) == found


TASKS = """\
- name: Plan
  graceful.wsgi.plan:
    role: publish
    uwsgi: "{{ uwsgi_installed }}"

- name: Do it
  ansible.builtin.debug:
    msg: >-
      a {{ b }}
      {{ nginx_user }}
  when:
    - publish_prune
"""


def test_a_variable_that_is_read_is_told_with_its_file_its_line_and_the_cure(tmp_path, monkeypatch):
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    (tmp_path / "main.yml").write_text(TASKS)
    first, second = faults(tmp_path / "main.yml")
    assert first.startswith("main.yml:10: nginx_user is read beside the plan")
    assert second.startswith("main.yml:12: publish_prune is read beside the plan")
    assert "have plugins/plugin_utils/publish_plan.py return it as a field" in second
