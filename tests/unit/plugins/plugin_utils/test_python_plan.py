"""An application that names a Python: which uWSGI it gets, what it is built by, and what is refused."""

import copy

import plans
import pytest

from ansible_collections.graceful.wsgi.plugins.plugin_utils import auto_plan, model, python_plan
from ansible_collections.graceful.wsgi.plugins.plugin_utils import plan as planning
from ansible_collections.graceful.wsgi.plugins.plugin_utils.problem import Problems
from ansible_collections.graceful.wsgi.plugins.plugin_utils.requirements_auto import Found

MAIN = {"name": "main", "source": "apps/main", "module": "manage", "requirements": ["flask"]}
OLD = {**MAIN, "name": "old", "python": "python2.7", "workers": [{"name": "w", "command": "python -m w"}]}
BINARY = "/opt/uwsgi/2.0.31-python2.7/bin/uwsgi"


def planned(*apps, **host):
    """({role: its plan}, problems) of these applications."""
    given = {"publish": {"publish_apps": list(apps)}, "uwsgi": {}, "nginx": {}}
    return plans.plain(planning.plan(plans.SPECS, given, {**plans.DEBIAN, "role": "publish", **host}))


def part(found, kind, name):
    return next(item for item in found["publish"][kind] if item["name"] == name)


def test_an_application_gets_the_uwsgi_of_its_python_and_all_others_theirs():
    found, problems = planned(MAIN, OLD)
    assert not problems
    old, main = (part(found, "instances", name) for name in ("old", "main"))
    assert ["ExecStart", f"{BINARY} --ini /etc/uwsgi/old.ini"] in old["service"]
    assert old["uwsgi_home"] == "/opt/uwsgi/2.0.31-python2.7"
    assert ["ExecStart", f"{plans.UWSGI['binary']} --ini /etc/uwsgi/main.ini"] in main["service"]
    assert part(found, "preflights", "old")["binary"] == BINARY and "binary" not in part(found, "preflights", "main")
    home = plans.UWSGI["homes"]["python2.7"]
    assert part(found, "releases", "old")["own_python"] == {
        "python": "2.7",
        "venv_command": home["venv_command"],
        "pip": "pip<=20.3.4",
    }
    # What pip keeps to is that of the Python, too.
    assert part(found, "releases", "old")["bounds"] == ["flask<2"]
    assert not part(found, "releases", "main").get("bounds") and "own_python" not in part(found, "releases", "main")
    assert found["publish"]["uwsgi"]["python"] == "3.11"


def test_where_no_application_names_one_nothing_is_told_of_it():
    found, problems = planned(MAIN)
    assert not problems and found["uwsgi"]["pythons"] == []
    assert not [check for check in found["publish"]["checks"] if check["kind"] == "python"]


def test_the_role_uwsgi_is_told_each_python_once_and_the_host_is_asked_for_each_application():
    found, problems = planned(MAIN, OLD, {**OLD, "name": "older"})
    assert not problems
    assert found["uwsgi"]["pythons"] == [{"python": "python2.7", "variable": "publish_apps[1].python"}]
    asked = [check["variable"] for check in found["publish"]["checks"] if check["kind"] == "python"]
    assert asked == ["publish_apps[1].python", "publish_apps[2].python"]


def test_a_fact_that_tells_nothing_of_a_python_is_no_known_uwsgi():
    """A play without the role uwsgi, or with a fact of an earlier one, looks once more."""
    uwsgi = copy.deepcopy(plans.UWSGI)
    del uwsgi["homes"]["python2.7"]
    found, problems = planned(MAIN, OLD, uwsgi=uwsgi)
    assert not problems and found["publish"]["uwsgi"] is None
    assert planned(MAIN, uwsgi=uwsgi)[0]["publish"]["uwsgi"]["binary"] == plans.UWSGI["binary"]


def test_a_home_that_tells_nothing_of_options_has_those_of_the_main_one():
    assert python_plan.of(OLD, plans.DEBIAN)["options"] == plans.UWSGI["options"]


@pytest.mark.parametrize(
    ("python", "host", "words"),
    [
        ("python 2", {}, "publish_apps[0].python: 'python 2' is neither a command's name nor an absolute path; write"),
        (
            "python2.7",
            {"kit": {"folder": "/kit", "collecting": True, "manifest": None, "wrong": [], "texts": {}}},
            "publish_apps[0].python: a kit holds uWSGI and wheels for the Python of uwsgi_python only; leave",
        ),
    ],
)
def test_what_cannot_be_is_refused_with_its_cure(python, host, words):
    problems = planned({**OLD, "python": python}, **host)[1]
    assert any(str(problem).startswith(words) for problem in problems), [str(problem) for problem in problems]


def test_a_lock_for_another_python_is_judged_by_the_one_of_its_application():
    found, problems = Found(file="uv.lock", python=[["python_version >= 3.8"]], steps=[{}]), Problems()
    app = {"name": "old", "requirements": "auto", "virtualenv": None}
    auto_plan.settle([app], {"old": found}, "3.11", problems, pythons={"old": "2.7"})
    assert ["the host's is 2.7" in str(problem) for problem in problems] == [True]


@pytest.mark.parametrize(("item", "version"), [({}, "3.11"), ({"own_python": {"python": "2.7"}}, "2.7")])
def test_a_release_is_named_by_the_python_that_it_has(item, version):
    assert python_plan.version_of(item, "3.11") == version


def test_unchecked_applications_tell_their_pythons():
    wanted = [model.WantedPython(python="python3", variable="publish_apps[1].python")]
    assert python_plan.wanted([None, {"python": "python3"}, {"python": 3}, {}]) == wanted
    assert python_plan.wanted("none") == []
