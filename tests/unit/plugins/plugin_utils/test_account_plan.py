"""Accounts of applications, who may reach their sockets, and what a packet may say."""

import json
import re
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from plans import plain

from ansible_collections.graceful.wsgi.plugins.plugin_utils import account_plan, publish_plan, spec

ROLES = Path(__file__).resolve().parents[4] / "roles"


def specs(role):
    return yaml.safe_load((ROLES / role / "meta/argument_specs.yml").read_text())["argument_specs"]["variables"][
        "options"
    ]


SPECS = {role: specs(role) for role in ("nginx", "uwsgi", "publish")}


def attempt(apps=(), sites=(), host=None, uwsgi=None, **more):
    problems = []
    values = spec.check(dict(more, publish_apps=list(apps), publish_sites=list(sites)), SPECS["publish"], problems)
    assert not problems, [str(problem) for problem in problems]
    roles = {"nginx": spec.check({}, SPECS["nginx"], []), "uwsgi": spec.check(uwsgi or {}, SPECS["uwsgi"], [])}
    return plain(publish_plan.plan(values, host or {}, roles))


def planned(apps=(), sites=(), **more):
    plan, problems = attempt(apps, sites, **more)
    assert not problems, [str(problem) for problem in problems]
    return plan


def app(name="shop", **more):
    return {"name": name, "source": "apps/shop", "module": "manage", **more}


def site(*locations, **more):
    return {"server_name": ["example.com"], "locations": list(locations), **more}


def options_of(plan, option):
    return [value for name, value in plan["instances"][0]["options"] if name == option]


def accounts(*apps, **more):
    return [(item["user"], item["group"]) for item in planned(apps, **more)["instances"]]


@pytest.mark.parametrize(
    ("name", "account"),
    [
        ("shop", "wsgi-shop"),
        ("a_b-c9", "wsgi-a_b-c9"),
        ("a" * 26, "wsgi-" + "a" * 26),
        ("Case.Test", "wsgi-case-test-[0-9a-f]{6}"),
        ("a" * 27, "wsgi-a{19}-[0-9a-f]{6}"),
        # Else it could be made to have the account of another.
        ("case-test-abcdef", "wsgi-case-test-abcdef-[0-9a-f]{6}"),
        ("9", "wsgi-9"),
        # Those of git and of builds are no application's.
        ("git", "wsgi-git-[0-9a-f]{6}"),
        ("build-1", "wsgi-build-1-[0-9a-f]{6}"),
        ("builder", "wsgi-builder"),
    ],
)
def test_an_application_has_an_account_of_its_own(name, account):
    [(user, group)] = accounts(app(name))
    assert re.fullmatch(account, user) and user == group
    assert re.fullmatch(r"[a-z_][a-z0-9_-]{0,30}", user)


@given(st.lists(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}\Z"), min_size=2, unique=True))
def test_no_two_applications_have_the_same_account(names):
    found = [account_plan.own_account(name) for name in names]
    assert len(set(found)) == len(found)
    assert all(re.fullmatch(r"[a-z_][a-z0-9_-]{0,30}", name) for name in found)


def test_another_account_is_named_for_one_or_for_all():
    assert accounts(app(user="ann")) == [("ann", "ann")]
    assert accounts(app(user="ann", group="staff")) == [("ann", "staff")]
    assert accounts(app(group="staff")) == [("wsgi-shop", "staff")]
    assert accounts(app(), app("b"), publish_user="web") == [("web", "web")] * 2
    assert accounts(app(), publish_user="web", publish_group="www") == [("web", "www")]


@pytest.mark.parametrize(
    ("said", "more", "path", "words"),
    [
        ({"user": "root"}, {}, "publish_apps[0].user", "root would run"),
        ({}, {"publish_user": "root"}, "publish_user", "root would run"),
        ({"user": "0"}, {}, "publish_apps[0].user", "root would run"),
        ({"user": 0}, {}, "publish_apps[0].user", "root would run"),
        ({"user": 1000}, {}, "publish_apps[0].user", "no name of an account"),
        ({"user": "a b"}, {}, "publish_apps[0].user", "no name of an account"),
        ({"user": "u", "group": "0"}, {}, "publish_apps[0].group", "no name of an account"),
        ({}, {"publish_user": "u", "publish_group": "a:b"}, "publish_group", "no name of an account"),
        ({"user": "wsgi-git"}, {}, "publish_apps[0].user", "an account of the role's own"),
        ({"user": "wsgi-build-2"}, {}, "publish_apps[0].user", "an account of the role's own"),
        ({"user": "uwsgi-build"}, {}, "publish_apps[0].user", "an account of the role's own"),
        ({"user": "ci"}, {"publish_git_user": "ci"}, "publish_apps[0].user", "an account of the role's own"),
        ({"user": "nginx", "group": "x"}, {}, "publish_apps[0].user", "nginx's account"),
        ({"group": "nginx"}, {}, "publish_apps[0].group", "nginx's group"),
        ({}, {"publish_group": "nginx"}, "publish_group", "nginx's group"),
        (
            {"service_options": {"SupplementaryGroups": ["a", "b nginx"]}},
            {},
            "publish_apps[0].service_options.SupplementaryGroups",
            "nginx's group",
        ),
        ({"group": "root"}, {}, "publish_apps[0].group", "a group of the system's"),
        ({"group": "docker"}, {}, "publish_apps[0].group", "a group of the system's"),
        ({"user": "ann", "group": "shadow"}, {}, "publish_apps[0].group", "a group of the system's"),
        ({"user": "adm"}, {}, "publish_apps[0].user", "a group of the system's"),
        ({}, {"publish_group": "wheel"}, "publish_group", "a group of the system's"),
        (
            {"service_options": {"SupplementaryGroups": "a 0"}},
            {},
            "publish_apps[0].service_options.SupplementaryGroups",
            "root's group",
        ),
        ({"service_options": {"Group": "x"}}, {}, "publish_apps[0].service_options.Group", "the role writes it itself"),
        ({"socket": "0.0.0.0:5"}, {}, "publish_apps[0].socket", "socket_clients"),
        ({"socket": "web1:5"}, {}, "publish_apps[0].socket", "socket_clients"),
        ({"options": {"fastcgi-socket": ":5"}}, {}, "publish_apps[0].options.fastcgi-socket", "write 127.0.0.1:5"),
        ({"options": {"puwsgi-socket": ["[::]:5"]}}, {}, "publish_apps[0].options.puwsgi-socket", "socket_clients"),
        ({"options": {"suwsgi-socket": "web1:5,a,b"}}, {}, "publish_apps[0].options.suwsgi-socket", "speaks for nginx"),
        ({"socket": "[::]:5"}, {}, "publish_apps[0].socket", "socket_clients"),
        ({"socket": ":5"}, {}, "publish_apps[0].socket", "socket_clients"),
        ({"socket": ":5", "socket_clients": ["a.b"]}, {}, "publish_apps[0].socket_clients[0]", "neither an address"),
        ({"socket_clients": ["::1"]}, {}, "publish_apps[0].socket_clients", "unix socket"),
        (
            {"socket": ":5", "socket_clients": ["::1"]},
            {"host": {"systemd": 219}},
            "publish_apps[0].socket_clients",
            "has 219",
        ),
        (
            {"socket": "127.0.0.1:5"},
            {"host": {"uwsgi": {"options": ["http"]}}},
            "publish_apps[0].socket",
            "has no routes",
        ),
    ],
)
def test_what_would_open_an_application_is_refused(said, more, path, words):
    [problem] = attempt([app(**said)], **more)[1]
    assert problem.path == path and words in str(problem), problem


@pytest.mark.parametrize("socket", ["127.0.0.1:5", "127.8.9.1:5", "[::1]:5", "localhost:5"])
def test_loopback_needs_no_word(socket):
    plan = planned([app(socket=socket)])
    assert not [line for line in plan["instances"][0]["service"] if line[0].startswith("IPAddress")]


def test_hosts_that_may_connect_are_kept_by_the_unit():
    plan = planned(
        [
            app(
                socket="0.0.0.0:5",
                socket_clients=["10.0.0.0/8", "fd00::1"],
                service_options={"IPAddressAllow": "10.9.9.9"},
            )
        ]
    )
    lines = [line for line in plan["instances"][0]["service"] if line[0].startswith("IPAddress")]
    assert lines[0] == ["IPAddressDeny", "any"]
    assert [line[1] for line in lines[1:]] == ["localhost", "10.0.0.0/8", "fd00::1", "10.9.9.9"]
    assert [check for check in plan["checks"] if check["kind"] == "socket_clients"]


def test_packets_are_looked_at_before_routes_of_the_users_own():
    plan = planned([app(options={"route": "^/x break:410"})], [site({"path": "/", "app": "shop"})])
    names = [name for name, _value in plan["instances"][0]["options"] if name.startswith("route")]
    assert names == ["route-if-not", "route-run", "route"]
    [condition] = options_of(plan, "route-if-not")
    for name in account_plan.REFUSED_VARIABLES + account_plan.LOCATION_VARIABLES:
        assert f"${{{name}}}" in condition
    assert options_of(plan, "route-run") == ["setmodifier1:0"]


def test_what_a_location_sends_is_let_in_and_nothing_else():
    locations = [
        {"path": "/", "app": "shop", "uwsgi_script": True},
        {
            "path": "/b",
            "app": "shop",
            "uwsgi_chdir": True,
            "options": {"uwsgi_param": ["UWSGI_SCRIPT 'x y:z'", "A $b"]},
        },
    ]
    conditions = options_of(planned([app()], [site(*locations)]), "route-if-not")
    only, rest = conditions
    script, chdir = "|".join(word.encode().hex() for word in ("x y:z", "manage:app")), b"/srv/wsgi/shop/current".hex()
    said = f"regexp:${{hex[UWSGI_SCRIPT]}}/${{hex[UWSGI_CHDIR]}};(?i)^({script})?/({chdir})?$ break:403 Forbidden"
    assert only == said
    assert "SCRIPT" not in rest and "CHDIR" not in rest and "UWSGI_FILE" in rest


def test_a_value_that_a_request_chooses_is_refused():
    location = {"path": "/", "app": "shop", "options": {"uwsgi_param": "UWSGI_SCRIPT $arg_x"}}
    [problem] = attempt([app()], [site(location)])[1]
    assert problem.path == "publish_sites[0].locations[0].options.uwsgi_param"


@pytest.mark.parametrize(
    ("said", "modifier"),
    [({}, ["setmodifier1:0"]), ({"uwsgi_modifier1": 30}, ["setmodifier1:30"])],
)
def test_the_plugin_is_not_the_packets_to_choose(said, modifier):
    plan = planned([app()], [site({"path": "/", "app": "shop", "options": said})])
    assert options_of(plan, "route-run") == modifier
    assert options_of(planned([app(options={"plugin": "x"})]), "route-run") == []


def test_http_knows_no_such_variables():
    plan = planned([app(protocol="http")])
    routes = [value for name, value in plan["instances"][0]["options"] if name.startswith("route")]
    assert not [value for value in routes if "UWSGI" in value or "setmodifier" in value]
    assert options_of(planned([app(protocol="http", options={"fastcgi-socket": "/x"})]), "route-if-not")


def test_a_uwsgi_without_routes_is_given_none():
    plan = planned([app()], host={"uwsgi": {"binary": "/x", "options": ["http"]}})
    assert "route" not in json.dumps(plan["instances"][0]["options"])
    # Before it is built, its features tell.
    assert options_of(planned([app()], host={"uwsgi": None}), "route-if-not")
    assert not options_of(planned([app()], host={"uwsgi": None}, uwsgi={"uwsgi_features": []}), "route-if-not")


@pytest.mark.parametrize(
    ("said", "location", "member"),
    [
        ({}, {"path": "/s/", "app": "shop", "static": "static"}, True),
        ({}, {"path": "/s/", "static": "/srv/wsgi/shop/current/static"}, True),
        ({}, {"path": "/s/", "static": "/srv/wsgi/shopping/current/static"}, False),
        ({}, {"path": "/", "app": "shop"}, False),
        # The modes of such code are its owner's business.
        ({"path": "/srv/code"}, {"path": "/s/", "app": "shop", "static": "static"}, False),
        # Its folder is not ours to keep others out of.
        ({"socket": "/run/x/sock"}, {"path": "/", "app": "shop"}, True),
    ],
)
def test_nginx_is_one_of_those_whose_files_it_serves(said, location, member):
    plan = planned(
        [{key: value for key, value in app(**said).items() if key != "source" or "path" not in said}], [site(location)]
    )
    assert plan["members"] == ([{"user": "nginx", "group": "wsgi-shop"}] if member else [])


def test_a_socket_in_our_folder_has_no_mode_of_the_users():
    plan = planned([app(options={"chmod-socket": 664, "chown-socket": "a:b"})])
    assert options_of(plan, "chmod-socket") == ["666"] and not options_of(plan, "chown-socket")
    assert options_of(planned([app(socket="127.0.0.1:5", options={"chmod-socket": 664})]), "chmod-socket") == ["664"]
    assert options_of(planned([app(socket="/run/x/sock")]), "chmod-socket") == ["660"]


def test_what_an_application_leaves_to_another_account():
    plan = planned(
        [app(instances=2), app("b", env={"DB": "/var/lib/b.db", "X": "y"}, options={"spooler": "/var/spool/b"})]
    )
    assert [move["name"] for move in plan["owner_changes"]] == ["shop-1", "shop-2", "b"]
    assert plan["owner_changes"][0]["files"] == ["/var/log/uwsgi/shop/server-1.log"]
    [_first, second] = [check for check in plan["checks"] if check["kind"] == "old_account"]
    # A value of its environment is nobody's to read, be it a path.
    assert second["paths"] == ["/var/spool/b"]


# What `uwsgi --dump-options` of 2.0.31 knows where there were no headers of libxml2 and jansson.
PLAIN = ["ini", "yaml", "yml", "route-if-not", "http"]


@pytest.mark.parametrize("kind", ["json", "xml"])
def test_a_configuration_that_this_uwsgi_cannot_read_is_refused(kind):
    host = {"uwsgi": {"options": PLAIN}}
    [problem] = attempt([app(config_format=kind)], host=host, uwsgi={"uwsgi_features": ["routing"]})[1]
    assert problem.path == "publish_apps[0].config_format" and f"add {kind} to uwsgi_features" in str(problem)
    # It is built anew with what is asked for.
    assert not attempt([app(config_format=kind)], host=host, uwsgi={"uwsgi_features": ["routing", kind]})[1]
    assert not attempt([app(config_format=kind)], uwsgi={"uwsgi_features": ["routing"]})[1]
    assert not attempt([app(config_format="yaml")], host=host, uwsgi={"uwsgi_features": ["routing"]})[1]
