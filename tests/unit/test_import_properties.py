"""import(generate(plan)) is the plan: what this collection has written it reads back as the same variables."""

import contract
import golden
import importing
import pytest

from ansible_collections.graceful.wsgi.plugins.plugin_utils import doctor, import_inventory, import_report
from ansible_collections.graceful.wsgi.plugins.plugin_utils import plan as planning

# What stands on no host: where releases come from, and what their packages are.
UNTOLD = ("source", "archive", "repo", "version", "requirements", "exclude", "probe", "env", "path")


@pytest.fixture(autouse=True, scope="module")
def templating():
    with contract.templating():
        yield


def answered(imported, given):
    """The imported variables with the answers to what no host tells."""
    known = {app["name"]: app for app in given.get("publish_apps", [])}
    for app in imported.get("publish_apps", []):
        own = known.get(app["name"], {})
        for key in UNTOLD:
            app.pop(key, None)
            if key in own:
                app[key] = own[key]
    # What a file of a site is called is the user's choice, and names the variables in it.
    called = {str(site["server_name"]): site["name"] for site in given.get("publish_sites", []) if "name" in site}
    for site in imported.get("publish_sites", []):
        if str(site["server_name"]) in called:
            site["name"] = called[str(site["server_name"])]
    return imported


IMPORTED = ("publish_apps", "publish_sites", "publish_upstreams")
# Several instances are read back as several applications, and what maintenance switches as geo of the user's.
ALONE = [name for name in golden.NAMES if name not in ("websocket", "maintenance")]


@pytest.mark.parametrize("name", ALONE)
def test_what_was_generated_is_imported_as_the_same_plan(name):
    given = golden.variables(name)
    imported = import_inventory.run(importing.files_of(name), importing.planner)
    assert imported.missing == []
    asked = [row.text for row in imported.rows if row.state == import_report.DECIDE]
    assert [text for text in asked if text.startswith("publish")] == []
    host = {**golden.host_of(name, given), "role": "publish", "kit": None}
    own = {key: value for key, value in given.items() if not key.startswith(("el_", "publish_kit"))}
    wanted, problems = importing.planner(own, host)
    assert not problems, [str(problem) for problem in problems]
    others = {key: value for key, value in own.items() if key not in IMPORTED}
    variables = {**others, **answered(imported.variables, given)}
    found, problems = importing.planner(variables, host)
    assert not problems, [str(problem) for problem in problems]
    assert importing.tree(found) == importing.tree(wanted)


@pytest.mark.parametrize("name", golden.NAMES)
def test_the_doctor_finds_nothing_in_what_we_generate(name):
    assert doctor.examine(doctor.Stack({"files": importing.files_of(name)})) == []


def test_all_roles_are_asked():
    assert set(planning.PLANNERS) >= {"nginx", "uwsgi", "publish"}
