"""Options and plugins of uWSGI, before there is one to ask."""

import pytest

from ansible_collections.graceful.wsgi.plugins.plugin_utils import plan, uwsgi_options
from ansible_collections.graceful.wsgi.plugins.plugin_utils.problem import Problems
from ansible_collections.graceful.wsgi.plugins.plugin_utils.report_once import report_once

UWSGI = {
    "uwsgi_version": "2.0.31",
    "uwsgi_build_env": {},
    "uwsgi_pip_extra_args": [],
    "uwsgi_build_toolchain": "host",
    "uwsgi_home": "/opt/uwsgi",
    "uwsgi_features": ["routing"],
}


def said(options, host=None, **uwsgi):
    app, problems = {"options": options}, Problems()
    known = uwsgi_options.known(host or {}, {**UWSGI, **uwsgi})
    uwsgi_options.check(app, "a", known, {"master"}, problems)
    uwsgi_options.check_plugins(app, "a", problems)
    return [str(problem) for problem in problems]


@pytest.mark.parametrize(
    "options, words",
    [
        ({"plugins": "python3", "harakri": 20}, ["did you mean harakiri?", "'python3': Python is built into"]),
        ({"plugin": "0:python"}, ["leave plugin out"]),
        ({"need-plugins": "python27, /opt/geoip"}, ["leave python27 out"]),
        ({"need-plugin": ["http", "logfile_plugin.so"]}, ["'http', 'logfile': built into"]),
        ({"plugins": "gevnt"}, ["if gevent is meant"]),
        ({"plugins-dir": "/x", "harakri": 1}, ["harakiri"]),
        ({"import": "os", "dlopen": "/x.so", "harakri": 1}, ["harakiri"]),
        ({"declare-option": "shop=set-placeholder=x=$1", "shop": 1}, []),
        ({"master": True}, []),
    ],
)
def test_options_are_judged_whatever_else_is_named(options, words):
    found = said(options)
    assert len(found) == len(words) and all(any(word in line for line in found) for word in words), found


@pytest.mark.parametrize(
    "options",
    [
        {"plugins": "/opt/geoip", "geoip-country": "/x"},
        {"plugins-dir": "/opt", "plugin": "python3,lua", "lua-x": 1},
        {"autoload": True, "plugins-dir": "/opt", "lua-x": 1},
    ],
)
def test_what_a_plugins_file_may_bring_is_left_to_the_preflight(options):
    assert not [line for line in said(options) if "no such option" in line]


def test_a_uwsgi_that_is_there_counts_and_one_that_is_built_otherwise_is_asked_later():
    options = {"harakri": 1, "own": 1}
    assert len(said(options)) == 2
    assert said(options, {"uwsgi": {"options": ["harakri", "own"]}}) == []
    assert said(options, uwsgi_version="2.0.20") == [] == said(options, uwsgi_build_env={"UWSGI_PROFILE": "mine"})


def test_what_the_host_is_asked_by_the_first_role():
    apps = [{"options": {}}, {"options": {"b": 1, "a": 1}}, {"options": {"plugin": "/opt/x"}}]
    (check,) = uwsgi_options.checks(apps, {**UWSGI, "uwsgi_build_env": {"N": 1}}, {})
    assert check["variable"] == "publish_apps[1].options" and check["options"] == ["a", "b"]
    assert check["build"] == {"env": {"N": "1"}, "extra_args": []}
    assert uwsgi_options.checks(apps, UWSGI, {"uwsgi": {"options": ["a"]}}) == []


def test_options_that_come_with_a_feature_name_it():
    [line] = said({"https": ":443"}, {"uwsgi": {"options": ["harakiri"]}})
    assert "a.options.https: this uWSGI has no such option, since it was built without ssl; add ssl to" in line
    # It is built anew with what is asked for, whatever the one that is there has.
    apps = [{"options": {"route-run": "x", "https": ":443", "listen": 9}}, {"options": {"route": "x"}}]
    [check] = uwsgi_options.checks(apps, UWSGI, {})
    assert check["options"] == ["https", "listen"] and check["features"] == {"https": "ssl"}


@pytest.mark.parametrize(
    "feature, options",
    [
        ("ssl", "legion legion-cron unique-cron-legion https2 http-to-https sni-dir ssl-verbose sslrouter-to"),
        ("ssl", "suwsgi-socket subscriptions_sign_check"),
        ("routing", "route route-if error-route-status final_route response-route-run routers-list"),
        ("pcre", "log-drain log-req-route not-log-alarm if-hostname-match pcre-jit static-expires-uri-mtime"),
        ("json", "js json"),
        ("xml", "xmlconfig"),
        ("yaml", "yml"),
        ("zlib", "http-auto-gzip"),
        ("capabilities", "cap emperor-cap vassals-cap"),
        (None, "listen http http-websockets harakiri alarm log-x-forwarded-for static-expires-type logger cheap"),
        (None, "subscribe subscription-algo static-gzip-all if-not-hostname vassals-set gevent"),
    ],
)
def test_the_feature_of_an_option(feature, options):
    assert {name: uwsgi_options.feature_of(name) for name in options.split()} == dict.fromkeys(options.split(), feature)


def test_nothing_is_said_to_be_as_it_was_once_a_role_has_worked():
    assert plan.untouched("nginx", []) == "nothing on the host was changed"
    assert plan.untouched("publish", ["nginx", "uwsgi"]).endswith("what nginx and uwsgi did before stays")
    assert "earlier in this run" in plan.untouched("publish", ["publish"])


class Task:
    no_log = ignore_errors = False
    failed_when, until = [], []


def told(result, callback="default", **task):
    said_, one = [], Task()
    for name, value in task.items():
        setattr(one, name, value)
    report_once(result, one, "web1", callback, said_.append)
    return said_, result["msg"]


def test_a_failure_is_printed_once():
    assert told({"failed": True, "msg": "3 problems:\n- a\n- b"}) == (
        ["[web1] 3 problems:\n- a\n- b"],
        "3 problems (told above)",
    )
    # From ansible-core 2.19 on it prints the text itself.
    assert told({"failed": True, "msg": "a:\nb", "exception": object()}) == ([], "a (told above)")


@pytest.mark.parametrize(
    "result, more",
    [
        ({"failed": True, "msg": "a\nb"}, {"callback": "json"}),
        ({"failed": True, "msg": "a\nb"}, {"no_log": True}),
        ({"failed": True, "msg": "a\nb"}, {"ignore_errors": True}),
        ({"failed": True, "msg": "a\nb"}, {"failed_when": [False]}),
        ({"failed": True, "msg": "a\nb"}, {"until": ["x"]}),
        ({"failed": True, "msg": "a\nb", "_ansible_no_log": True}, {}),
        ({"failed": False, "msg": "a\nb"}, {}),
        ({"failed": True, "msg": "a"}, {}),
    ],
)
def test_what_others_look_at_or_must_not_see_stays_as_it_is(result, more):
    before = result["msg"]
    assert told(result, **more) == ([], before)
