"""What is asked of which site: an address, a name and a path that lead to the application."""

from pathlib import Path

import pytest
import yaml
from plans import plain

from ansible_collections.graceful.wsgi.plugins.plugin_utils import publish_plan, spec

ROLES = Path(__file__).resolve().parents[4] / "roles"
TLS = {"certificate": "/c", "key": "/k"}


def options(role):
    return yaml.safe_load((ROLES / role / "meta/argument_specs.yml").read_text())["argument_specs"]["variables"][
        "options"
    ]


def attempt(apps, sites=()):
    """(plan, problems) of these variables; the spec's own problems among them."""
    problems = []
    values = spec.check({"publish_apps": apps, "publish_sites": list(sites)}, options("publish"), problems)
    roles = {role: spec.check({}, options(role), []) for role in ("nginx", "uwsgi")}
    return ({}, problems) if problems else plain(publish_plan.plan(values, {}, roles))


def planned(apps, sites=()):
    plan, problems = attempt(apps, sites)
    assert not problems, [str(problem) for problem in problems]
    return plan


def app(name="shop", **more):
    return {"name": name, "source": "apps/shop", "module": "manage", **more}


def site(*locations, **more):
    return {"server_name": ["example.com"], "locations": list(locations), **more}


def questions(sites, **more):
    return planned([app(**more), app("other")], sites)["questions"]


def asked(sites, **more):
    """(address, tls, host, path) of what is asked of nginx about the shop."""
    found = [item for item in questions(sites, **more) if item["app"] == "shop" and item.get("nginx")]
    return [(item["nginx"], item["tls"], item["host"], item["path"]) for item in found]


def to(path="/", **more):
    return {"path": path, "app": "shop", **more}


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({}, ("127.0.0.1:80", False, "example.com", "/")),
        ({"listen": ["8080"]}, ("127.0.0.1:8080", False, "example.com", "/")),
        ({"listen": ["10.0.0.5:81 backlog=9"]}, ("10.0.0.5:81", False, "example.com", "/")),
        ({"listen": ["[::]:82"]}, ("[::1]:82", False, "example.com", "/")),
        ({"listen": ["unix:/run/x.sock"]}, ("/run/x.sock", False, "example.com", "/")),
        ({"tls": TLS}, ("127.0.0.1:443", True, "example.com", "/")),
        ({"tls": {**TLS, "listen": ["8443"], "redirect": False}}, ("127.0.0.1:8443", True, "example.com", "/")),
        ({"server_name": ["*.b.org", "c.org"]}, ("127.0.0.1:80", False, "www.b.org", "/")),
        ({"server_name": [".b.org"]}, ("127.0.0.1:80", False, "b.org", "/")),
        ({"server_name": ["www.b.*"]}, ("127.0.0.1:80", False, "www.b.com", "/")),
        ({"server_name": ["_"]}, ("127.0.0.1:80", False, "localhost", "/")),
        ({"name": "x", "server_name": ["~^a", "d.org"]}, ("127.0.0.1:80", False, "d.org", "/")),
        ({"server_name": ["_"], "default_server": False}, ("127.0.0.1:80", False, "_", "/")),
    ],
)
def test_a_site_is_asked_at_its_own_address_and_name(given, wanted):
    assert asked([site(to(), **given)]) == [wanted]


def test_a_site_with_patterns_alone_is_not_asked_and_the_application_is():
    (question,) = [item for item in questions([site(to(), name="x", server_name=["~^a"])]) if item["app"] == "shop"]
    assert (question["socket"], question["host"], question["path"]) == ("/run/wsgi/shop.sock", "localhost", "/")


@pytest.mark.parametrize(
    ("locations", "path"),
    [
        ([to("/shop/api/"), to("/shop/")], "/shop/"),
        ([to("= /one"), {"path": "/", "app": "other"}], "/one"),
        ([to("/ws/", websocket=True), to("/longer/path/")], "/longer/path/"),
        ([to("/s/", static="static"), to("/page/")], "/page/"),
        ([to("/in/", static="x", internal=True), to("^~ /out/")], "/out/"),
        # What nginx takes a regular expression for is not the prefix's.
        ([to("/a/"), {"path": "~ ^/a/$", "return": "204"}, to("/b/b/")], "/b/b/"),
        ([to("/ä b/")], "/%C3%A4%20b/"),
    ],
)
def test_a_site_is_asked_for_a_path_that_leads_to_the_application(locations, path):
    assert [found[3] for found in asked([site(*locations)])] == [path]


def test_a_probe_is_asked_over_the_socket_and_of_the_sites_that_lead_it_there():
    sites = [site(to()), site(to("/shop/"), server_name=["b.org"], tls=TLS)]
    plan = planned([app(probe={"path": "/up?x=1", "text": "up"}), app("other")], sites)
    direct, first, second = [item for item in plan["questions"] if item["app"] == "shop"]
    assert (direct["path"], direct["host"], direct["status"], direct["text"]) == ("/up?x=1", "example.com", [200], "up")
    assert (first["path"], first.get("status")) == ("/up?x=1", None)
    assert (second["path"], second["host"], second["tls"]) == ("/shop/", "b.org", True)
    (preflight, _other) = plan["preflights"]
    assert preflight["probe"] == {"path": "/up?x=1", "text": "up", "status": [200], "host": "example.com", "tls": False}


def test_a_probe_names_its_host():
    sites = [site(to(), server_name=["a.org", "*.b.org"])]
    assert asked(sites, probe={"path": "/", "host": "x.b.org"})[0][2] == "x.b.org"
    # nginx has no such name; the application may.
    plan = planned([app(probe={"path": "/", "host": "in.org"})], [site(to(), server_name=["a.org"])])
    assert [item["host"] for item in plan["questions"]] == ["in.org", "a.org"]
    assert plan["preflights"][0]["probe"]["host"] == plan["reloads"][0]["probe"]["host"] == "in.org"


def test_each_instance_is_asked_where_no_site_leads_to_it():
    plan = planned([app(instances=2, log="journal")])
    assert [(item["socket"], item["units"]) for item in plan["questions"]] == [
        ("/run/wsgi/shop-1.sock", ["uwsgi@shop-1.service", "uwsgi@shop-1@next.service"]),
        ("/run/wsgi/shop-2.sock", ["uwsgi@shop-2.service", "uwsgi@shop-2@next.service"]),
    ]


@pytest.mark.parametrize("given", [False, "false", "no", 0])
def test_without_a_probe_nothing_is_asked_or_judged(given):
    plan = planned([app(probe=given)], [site(to())])
    assert plan["questions"] == []
    assert plan["preflights"][0]["question"]["judged"] is False


@pytest.mark.parametrize("given", [True, "yes", None])
def test_a_probe_that_says_nothing_is_none(given):
    assert len(planned([app(probe=given)], [site(to())])["questions"]) == 1


@pytest.mark.parametrize("given", ["/healthz", ["/"], 200])
def test_a_probe_of_another_kind_is_refused(given):
    assert [problem.path for problem in attempt([app(probe=given)])[1]] == ["publish_apps[0].probe"]


@pytest.mark.parametrize(("options", "judged"), [({}, True), ({"mules": 2}, False), ({"attach-daemon": "x"}, False)])
def test_new_code_is_held_against_the_live_one_unless_it_counts_on_more_processes(options, judged):
    plan = planned([app(options=options, module="m:application")], [site(to())])
    question = plan["preflights"][0]["question"]
    assert (question["judged"], question["live"]) == (judged, "/run/wsgi/shop.sock")
    assert question["callable"] == "m:application"
