"""Mules, spoolers, daemons and crons in the publish role's plan."""

from pathlib import Path

import pytest
import yaml
from plans import plain

from ansible_collections.graceful.wsgi.plugins.plugin_utils import publish_plan, spec

ROLES = Path(__file__).resolve().parents[4] / "roles"


def attempt(options, **more):
    """(plan, problems) of one application with these options."""

    def specs(role):
        text = (ROLES / role / "meta/argument_specs.yml").read_text()
        return yaml.safe_load(text)["argument_specs"]["variables"]["options"]

    code = {} if "path" in more else {"source": "apps/shop"}
    app = {"name": "shop", "module": "web", "options": options, **code, **more}
    problems = []
    values = spec.check({"publish_apps": [app], "publish_sites": []}, specs("publish"), problems)
    roles = {role: spec.check({}, specs(role), problems) for role in ("nginx", "uwsgi")}
    assert not problems
    return plain(publish_plan.plan(values, {"uwsgi": {"binary": "/opt/uwsgi", "options": []}}, roles))


def planned(options, **more):
    plan, problems = attempt(options, **more)
    assert not problems, [str(problem) for problem in problems]
    return plan


@pytest.mark.parametrize(
    ("options", "crosses"),
    [
        ({"mule": "work.py"}, True),
        ({"mules": 2}, True),
        ({"spooler": "/var/lib/shop/spool"}, True),
        ({"cron": "0 3 -1 -1 -1 ./clean"}, True),
        ({"cron2": "minute=-5 ./clean"}, True),
        ({"shared-import": "settings"}, True),
        ({"lazy-apps": False}, True),
        # A daemon's port is not there twice.
        ({"attach-daemon": "./worker"}, False),
        ({"attach-daemon": ["./a", "./b"], "mule": "work.py"}, False),
        ({"smart-attach-daemon2": "/run/x.pid ./worker"}, False),
    ],
)
def test_what_new_code_takes_a_new_master_for(options, crosses):
    plan = planned(options)
    assert plan["uwsgi_instances"][0]["needs_new_master"] is True
    assert plan["reloaded_by_standby"] == (["shop"] if crosses else [])
    given = plan["instances"][0]["options"]
    # The master stands in the release that it was started with.
    assert ["chdir", "/srv/wsgi/shop/current"] in given
    assert not [value for name, value in given if name == "hook-post-fork"]
    # Two that contradict each other are never written.
    assert len([name for name, _value in given if name.replace("_", "-") == "lazy-apps"]) == 1
    assert planned(options, socket="127.0.0.1:5051")["reloaded_by_standby"] == []


@pytest.mark.parametrize(
    "options", [{}, {"lazy": True, "lazy-apps": False}, {"harakiri": 20}, {"spooler-external": "/var/spool/other"}]
)
def test_what_is_replaced_worker_by_worker(options):
    plan = planned(options)
    assert plan["uwsgi_instances"][0]["needs_new_master"] is False and plan["reloaded_by_standby"] == []
    assert ["chdir", "/"] in plan["instances"][0]["options"]


def test_sockets_that_stay_open_are_crossed_over_as_before():
    plan = planned({}, websocket=True)
    assert plan["reloaded_by_standby"] == ["shop"] and plan["uwsgi_instances"][0]["needs_new_master"] is False


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"socket": "127.0.0.1:5051"}, ["publish_apps[0].socket: ", "(10 s)", "no socket at all", "or a shorter"]),
        ({"socket": "127.0.0.1:5051", "protocol": "http", "websocket_mercy": 60}, ["(60 s)"]),
        ({"socket": "127.0.0.1:5051", "websocket_mercy": 2}, ["(2 s) at most; write no socket at all, for a unix"]),
        ({"socket": "0.0.0.0:5051", "socket_clients": ["10.0.0.5"]}, ["; write a shorter websocket_mercy"]),
    ],
)
def test_that_sockets_on_a_port_are_waited_for_is_said(more, words):
    plan = planned({}, websocket=True, **more)
    assert plan["reloaded_by_standby"] == []
    [warning] = plan["warnings"]
    assert all(word in warning for word in words), warning


@pytest.mark.parametrize(
    "more",
    [
        {"websocket": True},
        {"websocket": True, "instances": 2},
        {"websocket": True, "socket": "/run/own.sock"},
        {"socket": "127.0.0.1:5051"},
        {"gevent": 9, "socket": "127.0.0.1:5051"},
        {"websocket": True, "socket": "0.0.0.0:5051", "socket_clients": ["10.0.0.5"], "websocket_mercy": 2},
    ],
)
def test_nothing_is_said_where_nobody_waits_or_nothing_can_be_done(more):
    assert planned({}, **more)["warnings"] == []


def test_commands_at_the_start_stand_in_the_code_too():
    plan = planned({"exec-pre-app": "./x"}, chdir="web")
    assert ["chdir", "/srv/wsgi/shop/current/web"] in plan["instances"][0]["options"]


def test_a_spool_folder_is_looked_for_where_chdir_says():
    given = planned({"spooler": ["spool", "/var/spool/x", "%(y)/z"]}, path="/home/shop/web")["instances"][0]["options"]
    found = [value for name, value in given if name == "spooler"]
    assert found == ["/home/shop/web/spool", "/var/spool/x", "%(y)/z"]


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        ({"spooler": "spool"}, "/var/lib/shop/spool"),
        ({"spooler": "/srv/wsgi/shop/current/../current/spool"}, "/var/lib/shop/spool"),
        ({"smart-attach-daemon": "x.pid,5 ./x"}, "/run/uwsgi-shop/daemon.pid"),
        ({"attach-daemon2": "cmd=./x,pidfile=x.pid"}, "/run/uwsgi-shop/daemon.pid"),
        ({"touch-reload": "/srv/wsgi/shop/current/web.py"}, "leave it out"),
        ({"touch-chain-reload": "web.py"}, "leave it out"),
        ({"fs-reload": "/srv/wsgi/shop/current"}, "leave it out"),
        ({"py-autoreload": 1}, "leave it out"),
        ({"python-auto-reload": 1}, "leave it out"),
    ],
)
def test_what_a_release_would_take_along_is_refused(options, hint):
    _plan, problems = attempt(options)
    assert [problem.path for problem in problems] == [f"publish_apps[0].options.{next(iter(options))}"]
    assert hint in str(problems[0])
    # Code that lies where it is has no releases.
    assert not attempt(options, path="/home/shop/web")[1]


@pytest.mark.parametrize(
    "options",
    [
        {"touch-reload": "/run/shop/reload"},
        {"spooler": "/var/spool/x"},
        {"attach-daemon2": "cmd=./x,pidfile=/run/x.pid"},
    ],
)
def test_what_lies_elsewhere_is_let_be(options):
    assert not attempt(options)[1]


@pytest.mark.parametrize(
    ("options", "lazy"),
    [
        ({}, "true"),
        # What isso and uwsgidecorators' @spool are documented with: the tasks are the application's own functions.
        ({"spooler": "/var/lib/shop/mail"}, "false"),
        ({"mules": 2}, "false"),
        ({"mule": True}, "false"),
        ({"mule": ["work.py", True]}, "false"),
        # What comes along with functions of its own leaves the workers as they are.
        ({"mule": "work.py"}, "true"),
        ({"mule": "work:run"}, "true"),
        ({"mules": 0}, "true"),
        ({"spooler": "/var/lib/shop/mail", "spooler-import": "tasks"}, "true"),
        ({"spooler": "/var/lib/shop/mail", "spooler-python-import": "tasks"}, "true"),
        ({"spooler": "/var/lib/shop/mail", "mules": 2, "shared-pyimport": "tasks"}, "true"),
        ({"spooler-external": "/var/lib/mailer/mail"}, "true"),
    ],
)
def test_code_that_other_processes_than_workers_need_is_loaded_before_they_are_forked(options, lazy):
    given = planned(options)["instances"][0]["options"]
    assert [value for name, value in given if name == "lazy-apps"] == [lazy]


@pytest.mark.parametrize(
    ("options", "place"),
    [
        ({"spooler": "/var/lib/shop/mail", "lazy-apps": True}, "spooler"),
        ({"spooler": "/var/lib/shop/mail", "lazy": True}, "spooler"),
        ({"mules": 2, "lazy-apps": "true"}, "mules"),
        ({"mule": "true", "lazy-apps": True}, "mule"),
    ],
)
def test_a_spooler_or_a_mule_without_the_code_is_refused(options, place):
    for more in ({}, {"path": "/srv/shop"}):
        _plan, problems = attempt(options, **more)
        assert len(problems) == 1
        told = str(problems[0])
        assert told.startswith(f"publish_apps[0].options.{place}: under lazy-apps") and "leave lazy-apps out" in told
