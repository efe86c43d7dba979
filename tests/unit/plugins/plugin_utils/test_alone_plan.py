"""Applications without code of their own: what is refused, what the plan makes of them, and what names a release."""

import pytest
from plans import SPECS, plain

from ansible_collections.graceful.wsgi.plugins.plugin_utils import alone_plan, publish_plan, spec

APP = {"name": "echo", "module": "httpbin:app", "requirements": ["httpbin==0.10.2"]}


def planned(**more):
    problems = []
    app = {key: value for key, value in {**APP, **more}.items() if value is not None}
    values = spec.check({"publish_apps": [app]}, SPECS["publish"], problems)
    roles = {"nginx": spec.check({}, SPECS["nginx"], []), "uwsgi": spec.check({}, SPECS["uwsgi"], [])}
    plan, said = plain(publish_plan.plan(values, {}, roles))
    return plan, [str(problem) for problem in problems + said]


def test_requirements_alone_are_an_application_with_releases():
    plan, said = planned()
    assert said == []
    release, instance = plan["releases"][0], plan["instances"][0]
    assert [release[name] for name in ("source", "archive", "repo", "path")] == [None] * 4
    assert instance["virtualenv"] == "/srv/wsgi/echo/current/.venv"
    assert ["module", "httpbin:app"] in instance["options"]
    assert planned(shared=["data/"])[1] == []


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"requirements": None}, "publish_apps[0]: nothing says where its code is; give one of source, archive, re"),
        ({"requirements": []}, "publish_apps[0]: nothing says where its code is"),
        ({"requirements": "auto"}, "publish_apps[0]: requirements: auto is looked for in its code, and nothing says"),
        ({"requirements": "r.txt"}, "publish_apps[0]: requirements: r.txt is looked for in its code"),
        ({"requirements": ["."]}, "publish_apps[0].requirements: '.' lies in the application's code"),
        ({"requirements": ["-r", "r.txt"]}, "publish_apps[0].requirements: '-r r.txt' lies in the application's code"),
        ({"requirements": ["a", "./b.whl"]}, "publish_apps[0].requirements: './b.whl' lies in"),
        ({"module": None, "wsgi_file": "run.py"}, "publish_apps[0].wsgi_file: is looked for in the application's code"),
        ({"source": "a", "repo": "b"}, "publish_apps[0]: its code is to come from source and repo; give exactly one"),
        ({"version": "v1"}, "publish_apps[0].version: a version is one of a git repository"),
    ],
)
def test_what_would_lie_in_code_that_there_is_none_of_is_refused(more, message):
    plan, said = planned(**more)
    assert not plan and said[0].startswith(message), said


def test_the_cure_names_the_list():
    said = planned(requirements=None)[1][0]
    assert "or what it consists of as a list of requirements, such as [httpbin==0.10.2]" in said


def test_release_is_named_by_what_decides_its_virtualenv():
    def name(python="3.11", **more):
        return alone_plan.digest({"requirements": ["httpbin==0.10.2"], **more}, python)

    assert len(name()) == 12
    # Bounds hold for what the requirements say nothing of: they decide too.
    others = [name("3.12"), name(requirements=["httpbin"]), name(constraints=["flask<3"]), name(bounds=["flask<2"])]
    assert len({name(), *others}) == 5
    assert name(bounds=["httpbin<1"]) == name(bounds=None, constraints=[]) == name()
