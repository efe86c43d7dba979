"""The plan of the role remove as a function, and that it stands by itself."""

from pathlib import Path

import pytest
import yaml
from plans import plain

from ansible_collections.graceful.wsgi.plugins.plugin_utils import plan as planning

ROLES = Path(__file__).resolve().parents[4] / "roles"
SPECS = {
    role: yaml.safe_load((ROLES / role / "meta/argument_specs.yml").read_text())["argument_specs"]["variables"][
        "options"
    ]
    for role in planning.PLANNERS
}


def attempt(publish=None, **variables):
    given = dict.fromkeys(planning.PLANNERS) | {"remove": variables, "publish": publish}
    plans, problems = plain(planning.plan(SPECS, given, {"role": "remove"}))
    return plans.get("remove"), [str(problem) for problem in problems]


@pytest.mark.parametrize(
    "variables, said",
    [
        ({"remove_all": True, "remove_set": "main"}, "remove_all: takes all off the host, and remove_set only a part"),
        (
            {"remove_all": "true", "remove_apps": "a,b"},
            "remove_all: takes all off the host, and remove_apps only a part",
        ),
        ({"remove_data": "true"}, "remove_data: is true, and nothing says what is to go"),
        ({"remove_apps": ["shop", "../x"]}, "remove_apps[1]: '../x' is no name of an application"),
        ({"remove_set": "a b"}, "remove_set: 'a b' is no name of a set"),
        # A variable that turned out empty is not the wish to take a whole set.
        ({"remove_set": "main", "remove_apps": []}, "remove_apps: is an empty list, and remove_set without one takes"),
        ({"remove_set": "main", "remove_apps": ""}, "remove_apps: is an empty list, and remove_set without one takes"),
        ({"remove_set": "main", "remove_apps": "[]"}, "remove_apps: is an empty list, and remove_set without one"),
        ({"remove_all": "perhaps"}, "remove_all: 'perhaps' is not true or false"),
    ],
)
def test_what_says_nothing_certain_is_refused(variables, said):
    _plan, problems = attempt(**variables)
    assert len(problems) == 1
    assert problems[0].startswith(said)


def test_what_is_named_arrives_however_it_is_written():
    plan, problems = attempt(remove_apps="shop, blog", remove_data="yes")
    assert not problems
    assert plan["wanted"] == {"apps": ["shop", "blog"], "set": "", "all": False, "data": True}
    assert plan["accounts"] == {"shop": "wsgi-shop", "blog": "wsgi-blog"}
    assert not plan["nothing"]
    assert attempt()[0]["nothing"] and attempt(remove_apps=[])[0]["nothing"]
    assert attempt(remove_set="main", remove_apps=None)[0]["wanted"]["apps"] == []


def test_an_inventory_that_is_wrong_by_now_does_not_matter():
    plan, problems = attempt({"publish_root": "/apps", "publish_apps": [{"nme": 1}]}, remove_all=True)
    assert not problems
    assert plan["roots"][0] == "/apps"
    assert plan["places"] == {
        "root": "/apps",
        "homes": "/apps",
        "uwsgi_home": "/opt/uwsgi",
        "conf_dir": "/etc/uwsgi",
    }


def test_a_folder_that_is_everybodys_is_not_ours():
    assert attempt({"publish_root": "/srv"}, remove_all=True)[0]["places"]["root"] == ""


def test_other_roles_are_not_planned_with_it_nor_it_with_them():
    given = {role: {} for role in planning.PLANNERS} | {"remove": {"remove_data": True}}
    plans, problems = plain(planning.plan(SPECS, given, {"role": "nginx", "distribution": "Debian", "version": "12"}))
    assert "remove" not in plans
    assert not [problem for problem in problems if problem.path.startswith("remove")]


@pytest.mark.parametrize("root", ["/srv/", "//srv", "/srv/."])
def test_everybodys_folder_is_known_however_it_is_written(root):
    plan, problems = attempt({"publish_root": root}, remove_apps=["shop"])
    assert not problems
    assert (plan["places"]["root"], plan["places"]["homes"], plan["roots"][0]) == ("", "/srv", "/srv")


def test_a_folder_that_is_not_absolute_is_refused():
    _plan, problems = attempt({"publish_root": "srv/wsgi"}, remove_all=True)
    assert problems[0].startswith("publish_root: 'srv/wsgi' is not absolute")
