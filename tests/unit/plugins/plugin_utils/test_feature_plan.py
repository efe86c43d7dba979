"""What an application takes of its uWSGI, held against what that was built with."""

import pytest

from ansible_collections.graceful.wsgi.plugins.plugin_utils import feature_plan, uwsgi_meanings, uwsgi_options
from ansible_collections.graceful.wsgi.plugins.plugin_utils.problem import Problems

APP = {"gevent": None, "websocket": False, "protocol": "uwsgi", "config_format": "ini", "options": {}}
UWSGI = {
    "uwsgi_version": "2.0.31",
    "uwsgi_build_env": {},
    "uwsgi_pip_extra_args": [],
    "uwsgi_home": "/opt/uwsgi",
    "uwsgi_python": "python2.7",
    "uwsgi_build_host": "",
    "uwsgi_build_toolchain": "host",
    "uwsgi_zig_version": "0.15.2",
    "uwsgi_features": [],
}
ALL = sorted(uwsgi_options.OPTIONS | {"cap"})


def refused(app, lacks=(), features=()):
    marks = [uwsgi_meanings.FEATURE_MARKS[feature] for feature in lacks]
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
    assert refused({}, list(uwsgi_meanings.FEATURE_MARKS)) == []
    # A plugin's file may bring it.
    assert refused({"gevent": 9, "options": {"plugins": "/opt/x_plugin.so"}}, ["gevent"]) == []


def test_each_feature_has_a_mark_that_a_whole_uwsgi_lists():
    assert set(uwsgi_meanings.FEATURE_MARKS.values()) <= set(ALL)
    for feature, option in uwsgi_meanings.FEATURE_MARKS.items():
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


EL7 = {"distribution": "CentOS", "version": "7", "arch": "x86_64"}
KIND = {"distribution": "centos", "major": "7", "architecture": "x86_64", "python": "2.7"}
BUILD = {"env": {}, "extra_args": [], "version": "2.0.31", "python": "2.7"}


def kept(features, name="2.0.31-cp27mu-1", kind=(), build=(), asked=()):
    about = {"kind": {**KIND, **dict(kind)}, "build": {**BUILD, **dict(build)}, "features": list(asked)}
    return {"name": name, "version": "2.0.31", "about": about, "features": features}


def asked_with(builder, **variables):
    """Of the check for ssl, which nobody asked for: whether it must be asked for, and the wheel that lacks it."""
    host = {**EL7, "uwsgi_builder": builder, "wheels": {"wheels": builder.get("brought", [])}}
    found = feature_plan.checks([{**APP, "websocket": True}], {**UWSGI, **variables}, host)
    assert [(check["feature"], check["wheel"]) for check in found][1:] == [("gevent", "")]
    return found[0]["strict"], found[0]["wheel"]


def test_a_wheel_that_was_built_once_is_held_against_what_applications_take():
    builder = {"uwsgi_build_host": "builder1"}
    assert asked_with({"kept": []}, **builder) == (True, "")
    assert asked_with({"kept": [kept(["json"])]}, **builder) == (False, "2.0.31-cp27mu-1")
    assert asked_with({"kept": [kept(["json", "ssl"])]}, **builder) == (False, "")
    # Which of the two it would be, the plan does not know: the host's Python tells.
    other = kept(["ssl"], name="2.0.31-cp27m-2")
    assert asked_with({"kept": [kept([]), other]}, **builder) == (False, "")
    # Nobody takes one where each builds its own.
    assert asked_with({"kept": [kept(["json"])]}) == (True, "")


@pytest.mark.parametrize(
    "other",
    [
        {"kind": {"major": "8"}},
        {"kind": {"architecture": "aarch64"}},
        {"kind": {"python": "3.6"}},
        {"build": {"env": {"CFLAGS": "-O3"}}},
        {"build": {"toolchain": {"zig": "0.15.2"}}},
        {"asked": ["json"]},
    ],
)
def test_a_wheel_that_this_host_would_not_get_tells_nothing(other):
    assert asked_with({"kept": [kept([], **other)]}, uwsgi_build_host="builder1") == (True, "")


def test_a_wheel_that_is_brought_is_held_against_them_too():
    name = "uWSGI-2.0.31-cp27-cp27mu-linux_x86_64.whl"
    assert asked_with({"brought": [{"file": name, "features": ["json"]}]}) == (False, name)
    assert asked_with({"brought": [{"file": name, "features": ["ssl"]}]}) == (False, "")
    for other in (
        name.replace("27", "36"),
        name.replace("2.0.31", "2.0.30"),
        name.replace("x86_64", "aarch64"),
        "x.whl",
    ):
        assert asked_with({"brought": [{"file": other, "features": []}]}) == (True, "")
    assert asked_with({"brought": [{"file": name, "features": None}]}) == (True, "")
