"""Names of units, folders and files on a host are composed and taken apart in layout.py only."""

import ast
import re
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
COMPOSED = re.compile(r"(uwsgi@|/run/wsgi/|/run/uwsgi-)(%s|\{)|10-publish(-|%s|\{)|/etc/systemd/system/uwsgi@.*10-")


def texts(path):
    """The texts of a module, f-strings with {} for what they are made of; no documentation."""
    tree = ast.parse(path.read_text())
    said = {
        node.body[0].value
        for node in ast.walk(tree)
        if isinstance(node, (ast.Module, ast.FunctionDef, ast.ClassDef))
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in said:
            yield node.lineno, node.value
        elif isinstance(node, ast.JoinedStr):
            parts = [part.value if isinstance(part, ast.Constant) else "{}" for part in node.values]
            yield node.lineno, "".join(parts)


def test_no_other_module_composes_the_name_of_a_unit_or_of_a_folder_below_run():
    found = [
        f"{path.relative_to(ROOT)}:{line}: {text!r}: add a function to plugins/module_utils/layout.py"
        for folder in ("plugin_utils", "module_utils", "action", "filter")
        for path in sorted((ROOT / "plugins" / folder).glob("*.py"))
        # The model shows examples.
        if path.name not in ("layout.py", "model.py")
        for line, text in texts(path)
        if COMPOSED.search(text)
    ]
    assert not found, "\n" + "\n".join(found)


def strings(value):
    if isinstance(value, dict):
        value = [*value.values()]
    if isinstance(value, list):
        for item in value:
            yield from strings(item)
    elif isinstance(value, str):
        yield value


def test_no_task_takes_the_name_of_a_unit_apart():
    found = {
        (str(path.relative_to(ROOT)), text)
        for path in sorted((ROOT / "roles").glob("*/*/*.yml"))
        if path.parent.name in ("tasks", "vars", "handlers")
        for text in strings(yaml.safe_load(path.read_text()))
        if re.search(r"10-publish|uwsgi@\(", text)
    }
    assert found == set()


OWN = {"/etc/nginx/nginx.conf", "/run/nginx.pid", "/usr/sbin/nginx", "/var/lib/graceful-wsgi", "/run/graceful-wsgi"}


def test_no_other_module_says_where_nginx_and_our_state_are():
    found = [
        f"{path.relative_to(ROOT)}:{line}: {text!r}: take it from plugins/module_utils/layout.py"
        for path in sorted((ROOT / "plugins").glob("*/*.py"))
        # A stranger's stack may be anywhere.
        if path.name not in ("layout.py", "model.py", "stack_files.py")
        for line, text in texts(path)
        if text in OWN
    ]
    assert not found
