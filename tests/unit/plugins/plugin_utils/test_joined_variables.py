"""What several variables publish is one list, and what is wrong with it is told by what the user wrote."""

import json
import re
from pathlib import Path

import pytest
import yaml
from plans import DEBIAN, SPECS, plain

from ansible_collections.graceful.wsgi.plugins.plugin_utils import joined_variables as joining
from ansible_collections.graceful.wsgi.plugins.plugin_utils import plan as planning
from ansible_collections.graceful.wsgi.plugins.plugin_utils.joined_variables import join, more

OPTIONS = SPECS["publish"]


def app(name, **settings):
    return {"name": name, "source": f"apps/{name}", "module": "manage", **settings}


def site(name, application, **settings):
    return {"server_name": [name], "locations": [{"path": "/", "app": application}], **settings}


def planned(**values):
    """The plan of the role publish as tasks get it, and what is wrong, line by line; by the action's own steps."""
    joined = join(values, OPTIONS)
    variables = {"nginx": {"nginx_version": "1.26.3"}, "uwsgi": {}, "publish": joined.values}
    plans, problems = plain(planning.plan(SPECS, variables, {**DEBIAN, "role": "publish"}))
    refused = [str(problem) for problem in joined.refused(problems)]
    return {} if refused else joined.plan(plans["publish"]), refused


def test_the_plain_variable_comes_first_and_the_others_by_their_names_each_as_it_is_written():
    found = join(
        {
            "publish_apps_zoo": [app("z")],
            "publish_apps_B": {"y": app("y"), "b": {"source": "b"}},
            "publish_apps": [app("q"), app("a")],
            "publish_apps_a": [app("c")],
            "publish_apps_none": None,
            "publish_app_template": "mine.j2",
        },
        OPTIONS,
    )
    assert [one["name"] for one in found.values["publish_apps"]] == ["q", "a", "y", "b", "c", "z"]
    assert found.places["publish_apps"] == [
        "publish_apps[0]",
        "publish_apps[1]",
        "publish_apps_B.y",
        "publish_apps_B.b",
        "publish_apps_a[0]",
        "publish_apps_zoo[0]",
    ]
    assert found.problems == [] and found.values["publish_app_template"] == "mine.j2"
    assert set(found.values) == {"publish_apps", "publish_app_template"}


def test_what_is_not_visible_stays_so():
    assert join({}, OPTIONS).values == {}
    assert join({"publish_root": "/srv"}, OPTIONS).values == {"publish_root": "/srv"}


def test_no_variable_of_ours_is_taken_for_one_that_adds_up():
    assert more([*OPTIONS, *joining._OTHERS, "publish_apps_", "publish_appsx", "x_publish_apps_y"]) == {}
    assert more(["publish_upstreams_b", "publish_sites_a"]) == {
        "publish_sites_a": "publish_sites",
        "publish_upstreams_b": "publish_upstreams",
    }


def test_the_plan_of_joined_variables_is_that_of_one_list():
    shop, chat = app("shop", env={"A": "1"}, processes=2), app("chat", processes=2)
    sites = [site("shop.test", "shop", ipv6=True), site("chat.test", "chat", ipv6=True)]
    pool = {"name": "pool", "servers": [{"address": "127.0.0.1:1"}]}
    one, problems = planned(publish_apps=[shop, chat], publish_sites=sites, publish_upstreams=[pool])
    assert problems == []
    many, problems = planned(
        publish_app_defaults={"processes": 2, "env": {"A": "1"}},
        publish_apps={"shop": {"source": "apps/shop", "module": "manage"}},
        publish_apps_chat=[app("chat", env=None)],
        publish_site_defaults={"ipv6": True},
        publish_sites={"shop.test": {"locations": sites[0]["locations"]}},
        publish_sites_chat=[site("chat.test", "chat")],
        publish_upstreams_pool={"pool": {"servers": pool["servers"]}},
    )
    assert problems == []
    assert many["app_variables"] == ["publish_apps.shop", "publish_apps_chat[0]"]
    variables = {check["variable"].partition("[")[0].partition(".")[0] for check in many["checks"]}
    assert {"publish_apps", "publish_apps_chat", "publish_sites", "publish_sites_chat"} <= variables
    differ = {"app_variables", "checks"}
    assert {key: value for key, value in many.items() if key not in differ} == {
        key: value for key, value in one.items() if key not in differ
    }
    text = json.dumps(many["checks"])
    for written, index in (("publish_apps.shop", 0), ("publish_apps_chat[0]", 1)):
        text = text.replace(written, f"publish_apps[{index}]")
    for written, index in (("publish_sites['shop.test']", 0), ("publish_sites_chat[0]", 1)):
        text = text.replace(written, f"publish_sites[{index}]")
    assert json.loads(text) == one["checks"]


def test_no_field_of_a_plan_names_a_place_that_nobody_wrote():
    """What nginx serves out of a release is asked of the host once that is there, be it brought or filled later."""
    static = {"path": "/static/", "app": "shop", "static": "static"}
    sites = {"shop.test": {"locations": [{"path": "/", "app": "shop"}, static]}}
    filled = {"before_live": ["python fill.py"], "writable": ["static"]}
    for settings, field in (({}, "served"), (filled, "served_filled")):
        plan, problems = planned(publish_apps={"shop": app("shop", **settings)}, publish_sites_x=sites)
        assert problems == [] and plan[field]
        assert not re.search(r"publish_(apps|sites|upstreams)\[\d", json.dumps(plan))


TWICE = [
    pytest.param(
        {"publish_apps": [app("a"), app("shop")], "publish_apps_shop": [app("shop")]},
        "publish_apps_shop[0].name: 'shop' is the name of publish_apps[1] too; rename one of them",
        id="application",
    ),
    pytest.param(
        {"publish_apps_x": {"shop": app("shop")}, "publish_apps_shop": [app("shop")]},
        "publish_apps_x.shop.name: 'shop' is the name of publish_apps_shop[0] too; rename one of them",
        id="application of a dictionary",
    ),
    pytest.param(
        {
            "publish_apps": [app("shop")],
            "publish_sites_a": [site("shop.test", "shop")],
            "publish_sites_b": {"shop.test": {"redirect": "https://x.test"}},
        },
        "publish_sites_b['shop.test'].server_name: 'shop.test' on port 80 is answered by publish_sites_a[0] already; ",
        id="name of a site",
    ),
    pytest.param(
        {
            "publish_upstreams_a": [{"name": "pool", "servers": [{"address": "127.0.0.1"}]}],
            "publish_upstreams_b": [{"name": "pool", "servers": [{"address": "127.0.0.1"}]}],
        },
        "publish_upstreams_b[0].name: 'pool' is the name of publish_upstreams_a[0] too",
        id="upstream",
    ),
]


@pytest.mark.parametrize("values, line", TWICE)
def test_a_name_twice_is_refused_with_both_places(values, line):
    plan, problems = planned(**values)
    assert plan == {} and any(problem.startswith(line) for problem in problems), problems


WRONG = [
    pytest.param(
        {"publish_apps_x": [app("a"), app("b", proceses=2)]},
        "publish_apps_x[1].proceses: there is no such setting; did you mean processes?",
        id="setting",
    ),
    pytest.param(
        {"publish_apps": {"shop": {"source": "x", "module": "manage", "threads": 0}}},
        "publish_apps.shop.threads: ",
        id="value",
    ),
    pytest.param({"publish_apps_x": "shop"}, "publish_apps_x: what is given is not a list that can be told", id="text"),
    pytest.param({"publish_apps_x": [app("a"), 3]}, "publish_apps_x[1]: what is given is not a mapping", id="number"),
    pytest.param({"publish_apps": {"shop": 3}}, "publish_apps.shop: what is given is not a mapping", id="in a dict"),
    pytest.param({"publish_sites_x": True}, "publish_sites_x: True is not a list", id="bool"),
    pytest.param(
        {"publish_apps_x": app("shop")},
        "publish_apps_x: is a dictionary of settings, and not one of applications by name; write a list",
        id="one application",
    ),
    pytest.param(
        {"publish_apps_x": {"shop": app("blog")}},
        "publish_apps_x.shop.name: is another one than the key, 'shop', which is the name of the application",
        id="key",
    ),
    pytest.param(
        {"publish_sites_x": {"a.test": {"server_name": ["b.test"]}}},
        "publish_sites_x['a.test'].server_name: is another one than the key",
        id="key of a site",
    ),
    pytest.param(
        {"publish_app_defaults": {"proceses": 2}},
        "publish_app_defaults.proceses: there is no such setting; did you mean processes?",
        id="setting of the defaults",
    ),
    pytest.param(
        {"publish_app_defaults": {"processes": "many"}},
        "publish_app_defaults.processes: 'many' is not a whole number",
        id="value of the defaults",
    ),
    pytest.param({"publish_app_defaults": [1]}, "publish_app_defaults: what is given is not a mapping", id="no dict"),
    pytest.param(
        {"publish_app_defaults": {"name": "x"}}, "publish_app_defaults.name: is what makes one application", id="name"
    ),
    pytest.param(
        {"publish_site_defaults": {"server_name": ["x"]}},
        "publish_site_defaults.server_name: is what makes one site another one than the next",
        id="name of all sites",
    ),
    pytest.param(
        {"publish_apps_x": [app("a")], "publish_app_defaults": {"threads": 0}},
        "publish_app_defaults.threads (for publish_apps[0]): ",
        id="sense of the defaults",
    ),
]


@pytest.mark.parametrize("values, line", WRONG)
def test_what_is_wrong_is_told_by_the_place_where_it_is_written(values, line):
    values.setdefault("publish_apps", [app("plain")])
    plan, problems = planned(**values)
    assert plan == {} and any(problem.startswith(line) for problem in problems), problems
    assert len(problems) == 1, problems


def test_a_message_repeats_no_value_of_an_environment():
    values = {"publish_apps_x": {"shop": "canary"}, "publish_app_defaults": {"env": "canary"}}
    _plan, problems = planned(**values, publish_apps=["canary"], publish_apps_y="canary")
    assert len(problems) == 4 and "canary" not in "".join(problems)


def test_what_an_item_says_itself_wins_and_dictionaries_are_joined_setting_by_setting():
    defaults = {"env": {"A": "1", "B": "1"}, "options": {"harakiri": 30}, "exclude": ["a"], "processes": 4}
    defaults["threads"] = 2
    own = {"env": {"B": "2", "C": "2"}, "exclude": ["b"], "processes": 1, "threads": None}
    found = join({"publish_apps": [app("shop", **own), "x"], "publish_app_defaults": defaults}, OPTIONS)
    assert found.values["publish_apps"] == [
        app(
            "shop",
            env={"A": "1", "B": "2", "C": "2"},
            exclude=["b"],
            processes=1,
            threads=None,
            options={"harakiri": 30},
        ),
        "x",
    ]
    assert found.inherited["publish_apps"] == [{"options"}, set()]


def test_half_of_a_dictionary_may_stand_in_the_defaults():
    """A certificate for all, say, and what only one has of its own: the whole is what has to be complete."""
    half = {"tls": {"certificate": "/etc/ssl/all.pem"}}
    sites = [site("a.test", "shop", tls={"key": "/etc/ssl/a.key"})]
    plan, problems = planned(publish_apps=[app("shop")], publish_sites=sites, publish_site_defaults=half)
    assert problems == [] and plan["site_bundle"]["files"]
    _plan, problems = planned(
        publish_apps=[app("shop")], publish_sites=[site("a.test", "shop")], publish_site_defaults=half
    )
    (problem,) = problems
    assert problem.startswith("publish_site_defaults.tls.key (for publish_sites[0]): ")


@pytest.mark.parametrize(
    "value", ['{"shop": {"source": "s"}}', "{'shop': {'source': 's'}}", '[{"name": "shop", "source": "s"}]']
)
def test_a_text_is_read_as_what_it_stands_for(value):
    found = join({"publish_apps_x": value, "publish_app_defaults": '{"module": "manage"}'}, OPTIONS)
    assert found.problems == []
    assert found.values["publish_apps"] == [{"name": "shop", "source": "s", "module": "manage"}]
    assert join({"publish_apps_x": "", "publish_apps": "{}"}, OPTIONS).values == {"publish_apps": []}


@pytest.mark.parametrize(
    "name, meant",
    [
        ("publish_app_shop", "publish_apps_shop"),
        ("publish_site_of_shop", "publish_sites_of_shop"),
        ("publish_upstream_pool", "publish_upstreams_pool"),
        ("publish_aps_shop", "publish_apps_shop"),
        ("publish_app", "publish_apps"),
        ("publish_app_default", "publish_app_defaults"),
        ("publish_site_templates", "publish_site_template"),
    ],
)
def test_what_looks_like_one_that_adds_up_is_told(name, meant):
    (line,) = planning.misspelt("publish", OPTIONS, {name, *OPTIONS})
    assert line.startswith(f"{name}: ") and line.endswith(f"did you mean {meant}?")


def test_what_is_somebody_elses_or_adds_up_is_not_taken_for_misspelt():
    names = {"publish_apps_shop", "publish_sites_x", "publish_upstream_weight", "publish_hosts", "publish_serial"}
    assert planning.misspelt("publish", OPTIONS, {*names, *OPTIONS}) == []
    assert planning.misspelt("nginx", SPECS["nginx"], {"publish_app_shop"}) == []


def test_what_may_go_is_yes_no_or_confirm():
    plan, problems = planned(publish_apps=[app("a")], publish_prune="maybe")
    assert plan == {} and problems == [
        "publish_prune: 'maybe' is not true or false nor confirm; write true, false or confirm"
    ]
    for given, prune in (("confirm", True), ("yes", True), (False, False), (None, True)):
        plan, problems = planned(publish_apps=[app("a")], publish_prune=given)
        assert problems == [] and plan["settings"]["prune"] is prune


def test_what_the_guide_shows_adds_up():
    text = (Path(__file__).resolve().parents[4] / "docs/guide/groups.md").read_text()
    block = re.search(r"^```yaml\n(.*?)^```", text, re.DOTALL | re.MULTILINE)[1]
    plan, problems = planned(**yaml.safe_load(block))
    assert problems == [] and list(plan["instances_by_app"]) == ["blog", "shop"]
    blog, shop = plan["preflights"]
    assert shop["environment"] == {"REGION": "eu", "CURRENCY": "EUR"} and blog["user"] == "web"
