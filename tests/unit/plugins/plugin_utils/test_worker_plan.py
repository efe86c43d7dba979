"""Workers and timers as they are written: their units, and what is refused of them."""

import re
import shlex
import subprocess

import pytest
from plans import CENTOS7, DEBIAN, SPECS, plain

from ansible_collections.graceful.wsgi.plugins.plugin_utils import publish_plan, spec, timer_schedule, worker_plan

FOLDER = "/etc/systemd/system"


def attempt(*apps, host=DEBIAN, **uwsgi):
    """(plan, problems as text) of applications that say this."""
    base = {"source": "apps/shop", "module": "manage", "requirements": ["flask"]}
    given = [{"name": "shop", **base, **app} for app in apps]
    problems = []
    values = spec.check({"publish_apps": given}, SPECS["publish"], problems)
    roles = {"nginx": spec.check({}, SPECS["nginx"], []), "uwsgi": spec.check(uwsgi, SPECS["uwsgi"], [])}
    if not problems:
        plan, problems = plain(publish_plan.plan(values, host, roles))
        return plan, [str(problem) for problem in problems]
    return {}, [str(problem) for problem in problems]


def worker(**more):
    return {"name": "jobs", "command": "python -m jobs", **more}


def timer(**more):
    return {"name": "tick", "command": "python -m tick", "schedule": "daily", **more}


def files(plan):
    """{path: text} of the units."""
    return {one["dest"]: one["content"] for one in plan["app_bundle"]["files"] if "/wsgi-" in one["dest"]}


def settings(text, name):
    return re.findall(rf"(?m)^{name}=(.*)", text)


def test_a_worker_is_a_unit_for_each_of_its_processes():
    plan, problems = attempt({"workers": [worker(count=2, stop_timeout=300)], "env": {"A": "b"}, "secrets": {"K": "v"}})
    assert problems == []
    [(path, text)] = files(plan).items()
    assert path == f"{FOLDER}/wsgi-shop-jobs@.service"
    assert [one["unit"] for one in plan["background"]] == ["wsgi-shop-jobs@1.service", "wsgi-shop-jobs@2.service"]
    first = plan["background"][0]
    assert first["unit_files"] == [path, "/etc/uwsgi/shop.env", "/etc/uwsgi/shop.secrets"]
    assert first["links"] == ["/srv/wsgi/shop/current", "/srv/wsgi/shop/current/.venv"] and first["job"] is None
    assert settings(text, "EnvironmentFile") == first["unit_files"][1:]
    assert settings(text, "TimeoutStopSec") == ["300"] and settings(text, "KillMode") == ["mixed"]
    assert settings(text, "User")[-1] == "wsgi-shop" and settings(text, "WantedBy") == ["multi-user.target"]
    # What holds of it, a run that waits for all of them says nothing.
    assert plan["background_lease"] == 900 + 2 * 300


def test_a_worker_has_the_sandbox_and_the_limits_of_the_application():
    service = {"LimitNOFILE": 4321, "ExecStartPre": "/bin/migrate", "MemoryLow": "1M", "IOWeight": "%i"}
    service["Type"] = "notify"
    one = {"workers": [worker()], "timers": [timer()], "service_options": service}
    more = {"uwsgi_memory_limit": "1G", "uwsgi_unit_options": {"ProtectSystem": "strict", "Restart": "no"}}
    plan, problems = attempt(one, **more)
    assert problems == []
    texts = files(plan)
    for name in ("jobs@.service", "tick.service"):
        text = texts[f"{FOLDER}/wsgi-shop-{name}"]
        assert settings(text, "NoNewPrivileges") == ["yes"] and settings(text, "ProtectSystem") == ["strict"]
        assert settings(text, "MemoryMax") == ["1G"] and settings(text, "LimitNOFILE")[-1] == "4321"
        # The unit that it is said for, not this one.
        assert settings(text, "IOWeight") == ["shop"] and settings(text, "MemoryLow") == ["1M"]
        assert not settings(text, "ExecStartPre") and not settings(text, "RuntimeDirectory.*") and "UWSGI_" not in text
    assert settings(texts[f"{FOLDER}/wsgi-shop-jobs@.service"], "Type") == ["simple"]
    assert settings(texts[f"{FOLDER}/wsgi-shop-jobs@.service"], "Restart") == ["always"]


@pytest.mark.parametrize("host", [DEBIAN, CENTOS7])
def test_no_line_is_longer_than_systemd_219_reads(host):
    long = {"name": "s" * 60, "workers": [worker()], "chdir": "c" * 200, "pythonpath": ["p" * 99]}
    plan, problems = attempt(long, host=host)
    assert problems == []
    assert max(len(line) for text in files(plan).values() for line in text.splitlines()) < 2048


def command(plan, path):
    """What systemd runs, as it reads the line: continued, quoted, and with its own signs put in."""
    text = files(plan)[path].replace("\\\n", " ")
    [line] = settings(text, "ExecStart")
    words = shlex.split(line.replace("%%", "\0").replace("%i", "7").replace("\0", "%"))
    return [word.replace("$$", "$") for word in words]


def test_the_words_of_a_command_arrive_as_they_are_written(tmp_path):
    code = tmp_path / "releases/one"
    (code / "web dir/.venv/bin").mkdir(parents=True)
    (code / ".venv/bin").mkdir(parents=True)
    program = code / ".venv/bin/say"
    program.write_text('#!/bin/sh\npwd; printf "%s\\n" "$VIRTUAL_ENV" "$PYTHONPATH" "$@"\n')
    program.chmod(0o755)
    (tmp_path / "current").symlink_to("releases/one")
    odd = """say {number} '$HOME' "it's" 'a"b' 'c\\d' '100%' '`id`' 'x;y'"""
    plan, problems = attempt({"workers": [worker(command=odd)], "chdir": "web dir", "pythonpath": ["lib", "/opt/x"]})
    assert problems == []
    words = command(plan, f"{FOLDER}/wsgi-shop-jobs@.service")
    assert words[:2] == ["/bin/sh", "-c"]
    script = words[2].replace("/srv/wsgi/shop/current", str(tmp_path / "current"))
    said = subprocess.run([words[0], "-c", script], capture_output=True, text=True, check=True).stdout.splitlines()
    # By the release itself: what runs on must not load code of the next one.
    assert said[:3] == [f"{code}/web dir", f"{code}/.venv", f"{code}/lib:/opt/x"]
    assert said[3:] == ["7", "$HOME", "it's", 'a"b', "c\\d", "100%", "`id`", "x;y"]


def test_an_application_without_requirements_has_the_python_of_its_uwsgi():
    plan, problems = attempt({"workers": [worker()], "requirements": None})
    assert problems == []
    assert "VIRTUAL_ENV=/opt/uwsgi/" in files(plan)[f"{FOLDER}/wsgi-shop-jobs@.service"]


def test_a_timer_starts_a_job_when_it_is_time():
    plan, problems = attempt({"timers": [timer(schedule="Mon..Fri 03:30", time_limit=90)]})
    assert problems == []
    texts = files(plan)
    assert list(texts) == [f"{FOLDER}/wsgi-shop-tick.timer", f"{FOLDER}/wsgi-shop-tick.service"]
    when, job = texts.values()
    assert settings(when, "OnCalendar") == ["Mon-Fri 03:30"] and settings(when, "WantedBy") == ["timers.target"]
    assert settings(job, "Type") == ["oneshot"] and settings(job, "TimeoutStartSec") == ["90"]
    [one] = plan["background"]
    assert (one["unit"], one["job"], one["links"]) == ("wsgi-shop-tick.timer", "wsgi-shop-tick.service", [])
    assert one["unit_files"] == list(texts)


def test_an_application_without_any_has_none():
    plan, _problems = attempt({})
    assert plan["background"] == [] and files(plan) == {} and plan["background_lease"] == 900


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"workers": [worker(name="Jobs")]}, "workers[0].name: 'Jobs' is no name that a unit can bear"),
        ({"workers": [worker(), worker()]}, "workers[1].name: 'jobs' is the name of publish_apps[0].workers[0] too"),
        ({"workers": [worker()], "timers": [timer(name="jobs")]}, "timers[0].name: 'jobs' is the name of"),
        ({"workers": [worker(count=0)]}, "workers[0].count: 0 is no number from 1 to 100"),
        ({"workers": [worker(count=101)]}, "workers[0].count: 101 is no number"),
        ({"workers": [worker(stop_timeout=0)]}, "workers[0].stop_timeout: 0 is no number of seconds"),
        ({"workers": [worker(command="a 'b")]}, "workers[0].command: \"a 'b\" is not to be read"),
        ({"workers": [worker(command="a\nb")]}, "workers[0].command: holds a line break"),
        ({"workers": [worker(command=" ")]}, "workers[0].command: is an empty command"),
        ({"workers": [worker(cuont=2)]}, "workers[0].cuont: there is no such setting; did you mean count?"),
        ({"timers": [timer(time_limit=90000)]}, "timers[0].time_limit: 90000 is no number of seconds"),
        ({"timers": [timer(schedule="0 3 * * *")]}, "timers[0].schedule: '0 3 * * *' is written as cron has it"),
        ({"timers": [{"name": "tick", "command": "a"}]}, "timers[0].schedule: is missing"),
    ],
)
def test_what_cannot_be_run_is_refused(more, said):
    _plan, problems = attempt(more)
    assert any(problem.startswith(f"publish_apps[0].{said}") for problem in problems), problems
    assert all("; " in problem for problem in problems)


def test_two_applications_whose_units_would_be_one_are_refused():
    one, other = {"workers": [worker(name="x-jobs")]}, {"name": "shop-x", "workers": [worker()]}
    _plan, problems = attempt(one, other)
    [said] = problems
    assert said.startswith("publish_apps[1].workers[0].name: its unit would be wsgi-shop-x-jobs, as that of publish")


@pytest.mark.parametrize(
    "schedule",
    [
        *("daily", "Weekly", "hourly", "03:30", "*:0/15", "*:*:0/2", "*-*-* 04:00:00", "*-*-1,15 04:00"),
        *("Mon", "Mon,Wed 12:00", "Sat..Sun 00:00", "Mon *-5-1..7 9..17:00", "2027-1-1", "12-24 18:00"),
        *("*-*-* 02:00 UTC", "*-2-29", "*-2,3-31", "*-2/3-31"),
    ],
)
def test_what_systemd_takes_is_no_problem(schedule):
    assert timer_schedule.wrong(schedule, 252) is None


@pytest.mark.parametrize(
    ("schedule", "systemd", "said"),
    [
        ("", 252, "is no time"),
        ("every day", 252, "is no time"),
        ("@daily", 252, "is no time"),
        ("5 minutes", 252, "is no time"),
        ("25:00", 252, "there is no hour 25"),
        ("*-02-30 04:00", 252, "no month 02 has a day 30"),
        ("*-4,6..6-31", 252, "no month 4,6..6 has a day 31"),
        ("*-13-1 04:00", 252, "there is no month 13"),
        ("*:0/99", 252, "every 99 minutes is no step"),
        ("04:00 04:00", 252, "is no time"),
        ("*/5 * * * *", 252, "is written as cron has it"),
        ("9..17:00", 219, "systemd 219 knows no range of numbers"),
        ("02:00 Europe/Berlin", 219, "systemd 219 knows no time zone"),
    ],
)
def test_what_systemd_would_not_take_is_told(schedule, systemd, said):
    assert said in timer_schedule.wrong(schedule, systemd)


def test_days_are_written_as_every_systemd_reads_them():
    assert timer_schedule.emitted("Mon..Fri 9..17:00") == "Mon-Fri 9..17:00"
    assert timer_schedule.emitted("daily") == "daily"


def test_tasks_of_a_users_own_are_told_its_units():
    plan, _problems = attempt({"workers": [worker()], "timers": [timer()]})
    assert set(files(plan)) <= set(plan["hook_releases"][0]["configuration"])
    assert worker_plan.paths({"name": "shop", "workers": [], "timers": []}) == []
