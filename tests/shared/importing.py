"""What tests of the import and the doctor share: texts as a host has them, and the plan that judges them."""

import re

import contract
import golden
import plans

from ansible_collections.graceful.wsgi.plugins.plugin_utils import import_inventory, import_nginx, model
from ansible_collections.graceful.wsgi.plugins.plugin_utils import plan as planning

FOLDER = contract.ROOT / "tests/unit/golden_import"


def planner(given, host=None):
    """The plans of the roles that publish, and the problems, as the action plugin asks for them."""
    roles = {
        role: {key: value for key, value in given.items() if key.startswith(f"{role}_")}
        for role in ("nginx", "uwsgi", "publish")
    }
    return planning.plan(plans.SPECS, roles, host or import_inventory.HOST)


def files_of(name):
    """{path: text} of what a golden recipe gives a host."""
    found = {}
    for kind in ("conf", "ini"):
        path = golden.FOLDER / f"{name}.{kind}"
        for block in re.split(r"(?m)^#: ", path.read_text() if path.exists() else "")[1:]:
            dest, _newline, text = block.partition("\n")
            found[dest] = text
    return found


def tree(plan):
    """What a plan makes of nginx and of uWSGI, whatever the order."""
    publish = plan["publish"]
    http = []
    for file in publish.site_bundle.files:
        site = (file.vars or {}).get("site")
        http += [*site.http, site.server] if site else (file.vars or {}).get("http") or []
    # A line that has no variable stands in nginx.conf, which is the same block to nginx.
    http += next(children for name, _value, children in plan["nginx"].conf if name == "http")
    nodes = [_loose(node) for node in import_nginx.parse(import_inventory.emitted(http), "x", [])]
    apps = {
        unit.name: {
            "options": sorted(map(tuple, unit.options)),
            **{key: getattr(unit, key) for key in ("user", "group", "code", "config", "log_file", "virtualenv")},
        }
        for unit in publish.instances
    }
    return {"nginx": sorted(nodes, key=repr), "apps": apps}


def _loose(node):
    inner = None if node.children is None else sorted({repr(_loose(one)) for one in node.children})
    return [*node.key(), inner]


def plain(plan):
    """A plan as data."""
    return model.plain(plan)
