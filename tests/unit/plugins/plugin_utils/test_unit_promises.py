"""Directives of [Service] that end a service some time after a green play, leave it down, or never end it."""

import pytest

from ansible_collections.graceful.wsgi.plugins.plugin_utils import unit_promises


def refused(options, check=unit_promises.check_uwsgi):
    problems = []
    check("publish_apps[0].service_options", options, problems)
    return [problem.path.rpartition(".")[2] for problem in problems]


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("RuntimeMaxSec", [3600, "1d", "1h 30min", ["", "5min"]]),
        ("RemainAfterExit", [True, "yes", "1"]),
        ("Restart", ["no", False, "on-success", "on-watchdog"]),
        ("SendSIGKILL", [False, "no"]),
        ("KillMode", ["none", "control-group", "process"]),
        ("KillSignal", ["SIGQUIT", "SIGINT", "SIGHUP", 9]),
        ("Type", ["forking", "oneshot", "notify-reload"]),
        ("WatchdogSec", [30, "1min"]),
        ("TimeoutStopSec", [1, "4s", "900ms"]),
        ("TimeoutSec", [2]),
    ],
)
def test_what_breaks_a_promise_is_refused(name, values):
    for value in values:
        assert refused({name: value}) == [name], value


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("RuntimeMaxSec", ["infinity", None, 0, ""]),
        ("RemainAfterExit", [False, "no", None]),
        ("Restart", ["always", "on-failure", "on-abnormal", "on-abort", None, ""]),
        ("SendSIGKILL", [True, "yes"]),
        ("KillMode", ["mixed", None, ""]),
        ("KillSignal", ["SIGTERM", 15, None]),
        ("Type", ["notify", "simple", "exec"]),
        ("WatchdogSec", [0, "infinity", "off"]),
        ("TimeoutStopSec", [5, "10", "2min", "1min 30s", "infinity", 0, "what"]),
        ("LimitNOFILE", [1]),
    ],
)
def test_what_breaks_none_is_taken(name, values):
    for value in values:
        assert refused({name: value}) == [], value


def test_a_command_of_the_users_in_the_place_of_uwsgi_has_its_own_ways():
    own = {"ExecStart": ["", "/bin/x"], "Type": "forking", "KillSignal": "SIGQUIT", "WatchdogSec": 30}
    own["KillMode"] = "none"
    assert refused(own) == ["KillMode"]
    assert refused({**own, "ExecStart": [""]}) == ["KillMode", "KillSignal", "Type", "WatchdogSec"]


def test_nginx_ends_by_a_signal_of_its_own_and_forks():
    own = {"Type": "forking", "KillSignal": "SIGQUIT", "KillMode": "process", "TimeoutStopSec": 1}
    assert refused(own, unit_promises.check_nginx) == []
    broken = {"Type": "simple", "Restart": "no", "KillMode": "none", "WatchdogSec": 3, "RuntimeMaxSec": "1d"}
    assert sorted(refused(broken, unit_promises.check_nginx)) == sorted(broken)


@pytest.mark.parametrize(
    ("text", "found"),
    [("90", 90), ("1min 30s", 90), ("1h30m", 5400), ("250ms", 0.25), ("infinity", None), ("0", None), ("1 x", None)],
)
def test_spans_of_time_are_read_as_systemd_does(text, found):
    assert unit_promises.seconds(text) == found
