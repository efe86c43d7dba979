"""What the plan asks of a host before it takes a place there."""

import re
from pathlib import Path

import pytest
import yaml
from plans import plain

from ansible_collections.graceful.wsgi.plugins.module_utils import host_checks, layout
from ansible_collections.graceful.wsgi.plugins.plugin_utils import publish_plan, spec, takeover_plan

ROLES = Path(__file__).resolve().parents[4] / "roles"
SPECS = {
    role: yaml.safe_load((ROLES / role / "meta/argument_specs.yml").read_text())["argument_specs"]["variables"][
        "options"
    ]
    for role in ("nginx", "uwsgi", "publish")
}
APPS = [
    {"name": "shop", "source": "apps/shop", "module": "manage", "requirements": ["flask"]},
    {"name": "chat", "source": "apps/chat", "module": "manage", "instances": 2, "config_format": "json"},
    {"name": "port", "path": "/srv/port", "module": "manage", "socket": "127.0.0.1:5051"},
]
SITES = [
    {"server_name": ["a.test", "b.test"], "locations": [{"path": "/", "app": "shop"}]},
    {"name": "two", "server_name": ["c.test"], "listen": ["8080"], "locations": [{"path": "/", "app": "port"}]},
]


def planned(apps=APPS, sites=SITES, **more):
    problems = []
    roles = {role: spec.check({}, SPECS[role], problems) for role in ("nginx", "uwsgi")}
    values = spec.check({"publish_apps": apps, "publish_sites": sites, **more}, SPECS["publish"], problems)
    plan, refused = plain(publish_plan.plan(values, {}, roles))
    assert problems + refused == []
    return plan


def of_kind(checks, kind):
    return [check for check in checks if check["kind"] == kind]


def test_every_file_that_is_written_is_asked_about_once():
    plan = planned()
    for bundle in (plan["app_bundle"], plan["site_bundle"]):
        checks = [check for check in of_kind(plan["checks"], "owned") if check["bundle"] == bundle["name"]]
        asked = [path for check in checks for path in check["files"]]
        assert sorted(asked) == sorted(file["dest"] for file in bundle["files"] if file.get("force", True))
        assert layout.parse_bundle(bundle["name"])


def test_the_host_knows_every_kind_and_each_names_its_variable():
    checks = planned()["checks"]
    roles = {role: spec.check({}, SPECS[role], []) for role in ("nginx", "uwsgi")}
    checks += takeover_plan.nginx(roles["nginx"]) + takeover_plan.uwsgi(roles["uwsgi"])
    known = {name for options in SPECS.values() for name in options}
    for check in checks:
        assert check["kind"] in host_checks.KINDS
        assert re.match(r"\w+", check["variable"]).group() in known
        assert check.get("allowed") in (None, False)


def test_applications_sites_and_units():
    checks = planned()["checks"]
    apps = of_kind(checks, "application")
    assert [(check["variable"], check["name"]) for check in apps] == [
        ("publish_apps[0]", "shop"),
        ("publish_apps[1]", "chat"),
        ("publish_apps[2]", "port"),
    ]
    assert [check["instances"] for check in apps] == [["shop"], ["chat-1", "chat-2"], ["port"]]
    assert [check["sockets"] for check in apps] == [[], [], ["127.0.0.1:5051"]]
    units = {check["unit"]: check["variable"] for check in of_kind(checks, "unit")}
    assert units["uwsgi@chat-2.service"] == "publish_apps[1].name"
    assert [check["names"] for check in of_kind(checks, "server")] == [
        [["80", "a.test"], ["80", "b.test"]],
        [["8080", "c.test"]],
    ]
    (replaced,) = of_kind(checks, "replaced")
    assert (replaced["apps"], replaced["sites"]) == (["shop", "chat", "port"], ["a.test", "two"])
    assert of_kind(planned(publish_prune=False)["checks"], "replaced") == []
    # Who need not confirm is asked for no names.
    for given, confirmed in ((True, None), ("yes", None), ("confirm", ["shop"]), ("Confirm", ["shop"])):
        plan = planned(publish_prune=given, publish_prune_confirmed=["shop"])
        (replaced,) = of_kind(plan["checks"], "replaced")
        assert (replaced["confirmed"], plan["settings"]["prune"]) == (confirmed, True)
        assert plan["site_bundle"]["prune"] is True


@pytest.mark.parametrize("said", [True, "true", "yes"])
def test_what_is_said_is_asked_for(said):
    checks = planned(publish_take_over=said, publish_replace=said)["checks"]
    assert {check["allowed"] for check in checks if "allowed" in check} == {True}
    assert planned(publish_take_over=said)["take_over"] is True
