"""Workers and timers of an application: units of their own beside uWSGI's, with the settings of the application's.

A worker is a template unit of which so many are started; a timer starts a unit that ends by itself. What runs is a
command's words in the live release, which is looked up when it begins: what runs on keeps the code that it began with.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.graceful.wsgi.plugins.module_utils import trial_unit

from . import command_plan, layout, timer_schedule, uwsgi_unit
from .model import App, Background, File
from .problem import Problems

KINDS = ("workers", "timers")
# More processes than that are a mistake in a number.
MOST = 100
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}\Z")
# In a worker's command, the number of the process.
NUMBER = "{number}"
# How long a run may be silent for all else, see module_utils/play_lock.py.
_LEASE = 900
# Seconds that a timer's job is given to finish.
_JOB_STOP = 30
# Settings of the application's unit that a unit of its own has no use for: the folder of uWSGI's run files, and what
# runs before uWSGI.
_WEB_ONLY = re.compile(r"RuntimeDirectory|Exec(StartPre|StopPost)\Z")
# What is printed is in the journal when it is printed, and not when a buffer is full.
_ENVIRONMENT = "TMPDIR=/var/tmp PYTHONUNBUFFERED=1"


def _seconds(item: Mapping[str, Any], key: str, path: str, problems: Problems) -> None:
    value = item[key]
    if not 1 <= value <= command_plan.LONGEST:
        message = f"{value!r} is no number of seconds from 1 to {command_plan.LONGEST}"
        problems.add(f"{path}.{key}", message, "write a whole number, or leave it out")


def _check_one(
    item: Mapping[str, Any], kind: str, path: str, systemd: int | None, seen: dict[str, str], problems: Problems
) -> None:
    name = item["name"]
    if not _NAME.match(name):
        hint = "write up to 32 lower-case letters, digits, '_' and '-', a letter or digit first"
        problems.add(f"{path}.name", f"{name!r} is no name that a unit can bear", hint)
    if name in seen:
        problems.add(f"{path}.name", f"{name!r} is the name of {seen[name]} too", "give one of them another name")
    seen.setdefault(name, path)
    command_plan.read_words(item["command"], f"{path}.command", problems)
    if kind == "workers":
        if not 1 <= item["count"] <= MOST:
            hint = "write how many processes there are to be, or leave the worker out for none"
            problems.add(f"{path}.count", f"{item['count']} is no number from 1 to {MOST}", hint)
        _seconds(item, "stop_timeout", path, problems)
        return
    why = timer_schedule.wrong(item["schedule"], systemd)
    if why:
        problems.add(f"{path}.schedule", why, timer_schedule.EXAMPLE)
    _seconds(item, "time_limit", path, problems)


def check(app: Mapping[str, Any], path: str, systemd: int | None, problems: Problems) -> None:
    """Refuse what could not be run as it is written. ``systemd``: the host's, None where nobody knows it."""
    seen: dict[str, str] = {}
    for kind in KINDS:
        for index, item in enumerate(app[kind]):
            _check_one(item, kind, f"{path}.{kind}[{index}]", systemd, seen, problems)


def check_all(apps: Iterable[Mapping[str, Any]], problems: Problems) -> None:
    """Refuse two that would have one unit: a dash is in the names of applications as well."""
    units: dict[str, tuple[str, str]] = {}
    for index, app in enumerate(apps):
        for kind in KINDS:
            for number, item in enumerate(app[kind]):
                path = f"publish_apps[{index}].{kind}[{number}].name"
                stem = layout.background_stem(app["name"], item["name"])
                other = units.setdefault(stem, (app["name"], path))
                if other[0] != app["name"]:
                    message = f"its unit would be {stem}, as that of {other[1].removesuffix('.name')}"
                    problems.add(path, message, "give one of them another name")


def lease(apps: Iterable[Mapping[str, Any]]) -> int:
    """Seconds for which a run may be silent while workers end: forth, and back where a new one fails."""
    return _LEASE + 2 * max((item["stop_timeout"] for app in apps for item in app["workers"]), default=0)


# -- what systemd is to do --------------------------------------------------------------------------------------------


def of(app: Mapping[str, Any], planned: App) -> list[Background]:
    """The processes and timers of an application, as they are started."""
    name, found = planned.app, []
    more = [planned.env_file] if planned.env_file else []
    more += planned.secret_files
    for item in app["workers"]:
        files = [layout.worker_template(name, item["name"]), *more]
        for number in range(1, item["count"] + 1):
            unit = layout.worker_unit(name, item["name"], number)
            said, links = f"the worker {item['name']}", list(planned.links)
            found.append(_one(planned, unit, None, said, files, links, item["stop_timeout"]))
    for item in app["timers"]:
        unit, job = layout.timer_unit(name, item["name"]), layout.job_unit(name, item["name"])
        files = [layout.unit_file(unit), layout.unit_file(job)]
        found.append(_one(planned, unit, job, f"the timer {item['name']}", files, [], _JOB_STOP))
    return found


def _one(
    planned: App, unit: str, job: str | None, said: str, files: list[str], links: list[str], stop_timeout: int
) -> Background:
    return Background(
        name=unit.rpartition(".")[0],
        app=planned.app,
        said=said,
        unit=unit,
        job=job,
        unit_files=files,
        links=links,
        stop_timeout=stop_timeout,
    )


def paths(app: Mapping[str, Any]) -> list[str]:
    """The files of its units."""
    name = app["name"]
    found = [layout.worker_template(name, item["name"]) for item in app["workers"]]
    for item in app["timers"]:
        found += [layout.unit_file(unit(name, item["name"])) for unit in (layout.timer_unit, layout.job_unit)]
    return found


def _below(path: str, code: str) -> str:
    """A path as the shell of a unit has it, in the release that its link leads to when it begins."""
    if path != code and not path.startswith(f"{code}/"):
        return shlex.quote(path)
    rest = path[len(code) :]
    return '"$code"' + (shlex.quote(rest) if rest else "")


def _script(planned: App, words: Iterable[str]) -> list[str]:
    """What the shell of a unit runs; the last of it takes the shell's place."""
    code = planned.code
    virtualenv = _below(command_plan.virtualenv(planned), code)
    folders = ":".join(_below(folder, code) for folder in planned.pythonpath)
    return [
        f"code=$(cd -P -- {shlex.quote(code)} && pwd -P) || exit 126;",
        f"cd -- {_below(planned.chdir, code)} || exit 126;",
        f"PATH={virtualenv}/bin:${{PATH:-/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin}};",
        f"VIRTUAL_ENV={virtualenv};",
        f"PYTHONPATH={folders}${{PYTHONPATH:+:$PYTHONPATH}};",
        "export PATH VIRTUAL_ENV PYTHONPATH;",
        f"exec {' '.join(map(shlex.quote, words))}",
    ]


def _command(planned: App, item: Mapping[str, Any], numbered: bool) -> str:
    """The command of a unit, in several lines: systemd 219 takes none of 2048 characters."""
    lines = _script(planned, command_plan.read_words(item["command"], "", Problems()))
    text = " \\\n  ".join(re.sub(r'(["\\])', r"\\\1", line).replace("$", "$$").replace("%", "%%") for line in lines)
    return '/bin/sh -c "' + (text.replace(NUMBER, "%i") if numbered else text) + '"'


def _settings(planned: App, uwsgi: dict[str, Any], host: dict[str, Any]) -> list[list[str]]:
    """What the application's unit says of account, sandbox, limits, environment and secrets."""
    first = planned.instances[0]
    found = [["Environment", _ENVIRONMENT]]
    for name, value in [*uwsgi_unit.service_of(uwsgi, host), *first.service]:
        if trial_unit.DROPPED.match(name) or _WEB_ONLY.match(name) or value == uwsgi_unit.ENVIRONMENT:
            continue
        found.append([name, trial_unit.specifiers(value, first.unit)])
    return found


def _unit_text(app: str, sections: Mapping[str, Iterable[Iterable[str]]]) -> str:
    text = f"# Written by Ansible (graceful.wsgi.publish) {layout.background_mark(app)}"
    for section, lines in sections.items():
        text += f"\n[{section}]\n" + "".join(f"{name}={value}\n" for name, value in lines)
    return text


def _worker(planned: App, item: Mapping[str, Any], settings: list[list[str]]) -> str:
    stem = layout.background_stem(planned.app, item["name"])
    service = [
        ["Type", "simple"],
        *settings,
        ["ExecStart", _command(planned, item, numbered=True)],
        # It alone is told to finish; what it has started is its own matter until the time is up.
        ["KillMode", "mixed"],
        ["KillSignal", "SIGTERM"],
        ["TimeoutStopSec", str(item["stop_timeout"])],
        # A broker that is away for a night must find it there in the morning.
        ["Restart", "always"],
        ["RestartSec", "3"],
        ["StartLimitInterval", "0"],
        ["SyslogIdentifier", f"{stem}@%i"],
    ]
    about = [["Description", f"Worker {item['name']} of the application {planned.app}, process %i"]]
    about.append(["After", "network.target"])
    return _unit_text(
        planned.app, {"Unit": about, "Service": service, "Install": [["WantedBy", "multi-user.target"]]}
    )


def _job(planned: App, item: Mapping[str, Any], settings: list[list[str]]) -> str:
    service = [
        ["Type", "oneshot"],
        *settings,
        ["ExecStart", _command(planned, item, numbered=False)],
        ["TimeoutStartSec", str(item["time_limit"])],
        ["TimeoutStopSec", str(_JOB_STOP)],
        ["SyslogIdentifier", layout.background_stem(planned.app, item["name"])],
    ]
    about = [["Description", f"Timer {item['name']} of the application {planned.app}"], ["After", "network.target"]]
    return _unit_text(planned.app, {"Unit": about, "Service": service})


def _timer(planned: App, item: Mapping[str, Any]) -> str:
    when = [
        ["OnCalendar", timer_schedule.emitted(item["schedule"])],
        # systemd's own is a minute.
        ["AccuracySec", "1s"],
        # What was due while the host was down is done once it is up.
        ["Persistent", "true"],
    ]
    about = [["Description", f"Timer {item['name']} of the application {planned.app}"]]
    return _unit_text(planned.app, {"Unit": about, "Timer": when, "Install": [["WantedBy", "timers.target"]]})


def files(app: Mapping[str, Any], planned: App, uwsgi: dict[str, Any], host: dict[str, Any]) -> list[File]:
    """The units of an application's workers and timers. ``uwsgi``: the variables of the role uwsgi."""
    if not (app["workers"] or app["timers"]):
        return []
    name, settings = planned.app, _settings(planned, uwsgi, host)
    texts = {layout.worker_template(name, item["name"]): _worker(planned, item, settings) for item in app["workers"]}
    for item in app["timers"]:
        texts[layout.unit_file(layout.timer_unit(name, item["name"]))] = _timer(planned, item)
        texts[layout.unit_file(layout.job_unit(name, item["name"]))] = _job(planned, item, settings)
    return [File(dest=path, content=text, mode="0644", belongs_to=name) for path, text in texts.items()]


def of_all(apps: Iterable[Mapping[str, Any]], planned: Mapping[str, App]) -> list[Background]:
    """The processes and timers of all applications."""
    return [one for app in apps for one in of(app, planned[app["name"]])]


def all_files(
    apps: Iterable[Mapping[str, Any]], planned: Mapping[str, App], uwsgi: dict[str, Any], host: dict[str, Any]
) -> list[File]:
    """The units of all applications."""
    return [file for app in apps for file in files(app, planned[app["name"]], uwsgi, host)]
