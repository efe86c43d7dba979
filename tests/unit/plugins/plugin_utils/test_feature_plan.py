"""What an application takes of its uWSGI, held against what that was built with."""

import pytest

from ansible_collections.graceful.wsgi.plugins.plugin_utils import feature_plan, uwsgi_options
from ansible_collections.graceful.wsgi.plugins.plugin_utils.problem import Problems

APP = {"gevent": None, "websocket": False, "protocol": "uwsgi", "config_format": "ini", "options": {}}
UWSGI = {
    "uwsgi_version": "2.0.31",
    "uwsgi_build_env": {},
    "uwsgi_pip_extra_args": [],
    "uwsgi_home": "/opt/uwsgi",
    "uwsgi_features": [],
}
ALL = sorted(uwsgi_options.OPTIONS | {"cap"})


def refused(app, lacks=(), features=()):
    marks = [feature_plan.MARKS[feature] for feature in lacks]
    host = {"uwsgi": {"options": [name for name in ALL if name not in marks]}}
    problems = Problems()
    feature_plan.check({**APP, **app}, "a", host, {**UWSGI, "uwsgi_features": list(features)}, problems)
    return [str(problem) for problem in problems]


@pytest.mark.parametrize(
    "app, lacks, words",
    [
        ({"websocket": True}, "ssl", ["a.websocket: takes ssl", "handshake", "add ssl to uwsgi_features"]),
        ({"websocket": True}, "gevent", ["a.websocket: takes gevent", "leave websocket out", "uwsgi_build_env"]),
        ({"gevent": 9}, "gevent", ["a.gevent: takes gevent", "leave gevent out"]),
        ({"protocol": "http"}, "routing", ["a.protocol: takes routing", "address", "leave protocol out"]),
        ({"config_format": "json"}, "json", ["a.config_format: takes json", "write ini, or add json to"]),
        ({"config_format": "xml"}, "xml", ["a.config_format: takes xml"]),
        ({"config_format": "yaml"}, "yaml", ["a.config_format: takes yaml"]),
    ],
)
def test_what_this_uwsgi_was_built_without_is_refused(app, lacks, words):
    [line] = refused(app, [lacks])
    assert all(word in line for word in words), line
    assert refused(app) == []
    if lacks != "gevent":
        # It is there once the role uwsgi is through.
        assert refused(app, [lacks], [lacks]) == []


def test_what_is_not_taken_may_lack():
    assert refused({}, list(feature_plan.MARKS)) == []
    # A plugin's file may bring it.
    assert refused({"gevent": 9, "options": {"plugins": "/opt/x_plugin.so"}}, ["gevent"]) == []


def test_each_feature_has_a_mark_that_a_whole_uwsgi_lists():
    assert set(feature_plan.MARKS.values()) <= set(ALL)
    for feature, option in feature_plan.MARKS.items():
        assert uwsgi_options.feature_of(option) == (None if feature == "gevent" else feature)


def test_the_first_role_asks_the_host_only_for_what_nobody_asks_of_the_build():
    apps = [{**APP}, {**APP, "websocket": True, "config_format": "json"}]
    found = feature_plan.checks(apps, {**UWSGI, "uwsgi_build_env": {"N": 1}}, {})
    assert [(check["variable"], check["feature"], check["option"], check["strict"]) for check in found] == [
        ("publish_apps[1].websocket", "ssl", "legion", True),
        ("publish_apps[1].websocket", "gevent", "gevent", False),
        ("publish_apps[1].config_format", "json", "json", False),
    ]
    assert found[0]["build"] == {"env": {"N": "1"}, "extra_args": []} and found[0]["home"] == "/opt/uwsgi"
    asked = feature_plan.checks(apps, {**UWSGI, "uwsgi_features": ["ssl", "json"]}, {})
    assert [check["feature"] for check in asked] == ["gevent"]
    # Once it is installed the plan knows.
    assert feature_plan.checks(apps, UWSGI, {"uwsgi": {"options": ["x"]}}) == []
