"""What is refused of an application by itself."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable
from typing import Any

from . import (
    alone_plan,
    app_environment,
    command_plan,
    request_plan,
    unit_plan,
    unit_promises,
    uwsgi_values,
)
from .app_environment import word
from .problem import Problems
from .text_values import check_text, items
from .uwsgi_meanings import AGAINST_SOCKETS, OWNED

# Settings whose text must reach the application as it is written, not as uWSGI's configuration language reads it.
LITERAL = (
    "path",
    "module",
    "wsgi_file",
    "callable",
    "pythonpath",
    "chdir",
    "socket",
    "virtualenv",
    "log",
    "user",
    "group",
)
# What no name of a file holds: a version, extras, or an address (`flask==3.1.2`, `gunicorn[gevent]`, `git+https://...`).
_REQUIREMENT = re.compile(r"[=<>!~]=|[<>]|\w\[[^\]]*\]\s*\Z|\w://|\s@\s")
# gevent itself, what is made for it (gevent-websocket), or an extra of that name (gunicorn[gevent]).
_GEVENT = re.compile(r"gevent|[\w.-]+\s*\[[^\]]*\bgevent\b", re.IGNORECASE)
HOW = "write the name of a file in the code, such as requirements.txt, or a list such as [Flask, gevent]"


def check(app: dict[str, Any], path: str, problems: Problems) -> None:
    """Refuse what no host can run, whatever else is published beside it."""
    _check_source(app, path, problems)
    _check_requests(app, path, problems)
    _check_requirements(app, path, problems)
    _check_instances(app, path, problems)
    request_plan.check(app, path, problems)
    uwsgi_values.check(app, path, problems)
    unit_plan.check_options(f"{path}.service_options", app["service_options"], problems)
    unit_promises.check_uwsgi(f"{path}.service_options", app["service_options"], problems)
    _check_command(app, path, problems)
    _check_places(app, path, problems)
    for name in app["options"]:
        _check_option(name, f"{path}.options.{name}", problems)
        given = app["options"][name]
        _check_language("" if given is None else given, f"{path}.options.{name}", app["config_format"], problems)
    for key in LITERAL:
        _check_language(app[key], f"{path}.{key}", app["config_format"], problems)
        _check_literal(app[key], f"{path}.{key}", problems)
    app_environment.check(app["env"], f"{path}.env", problems)
    for key, value in app.items():
        if key not in ("env", "secrets", "workers", "timers", *command_plan.POINTS):
            check_text(value, f"{path}.{key}", problems)


def _check_source(app: dict[str, Any], path: str, problems: Problems) -> None:
    alone_plan.check_code(app, path, problems)
    if app["version"] and not app["repo"]:
        message = "a version is one of a git repository, and repo names none"
        problems.add(f"{path}.version", message, "give repo, or leave version out")
    if app["path"] and not app["path"].startswith("/"):
        problems.add(f"{path}.path", f"{app['path']!r} is not absolute", "write the folder's whole path on the host")


def _check_requests(app: dict[str, Any], path: str, problems: Problems) -> None:
    """What is run, and by how many processes, threads and greenlets."""
    if not app["module"] and not app["wsgi_file"]:
        problems.add(path, "nothing says what is to be run", "give module (manage for manage.py) or wsgi_file")
    if (app["gevent"] or app["websocket"]) and app["threads"]:
        problems.add(
            f"{path}.threads",
            "threads mean nothing under gevent, which serves requests in greenlets",
            f"leave threads out, or leave {'gevent' if app['gevent'] else 'websocket'} out",
        )
    for key in ("processes", "threads", "gevent", "instances", "websocket_mercy"):
        if app[key] is not None and app[key] < 1:
            problems.add(f"{path}.{key}", f"{app[key]} is too few", "write 1 or more")


def _check_requirements(app: dict[str, Any], path: str, problems: Problems) -> None:
    if app["virtualenv"] and app["requirements"]:
        problems.add(
            f"{path}.requirements",
            "the requirements are installed in a virtualenv of the application's own, and virtualenv names another one",
            "leave virtualenv out, or leave requirements out",
        )
    wanted = app["requirements"]
    if wanted is not None and not isinstance(wanted, str):
        if not isinstance(wanted, list) or not all(isinstance(line, str) for line in wanted):
            problems.add(f"{path}.requirements", f"{wanted!r} is neither a file name nor a list", HOW)
    elif wanted and _REQUIREMENT.search(wanted):
        message = f"{wanted!r} is a requirement, and a text names a file in the code"
        problems.add(f"{path}.requirements", message, f"write it as a list: [{wanted!r}]")
    elif wanted and (wanted.startswith("/") or ".." in wanted.split("/")):
        problems.add(f"{path}.requirements", f"{wanted!r} is outside the code", "write a path below the code's folder")


def _check_command(app: dict[str, Any], path: str, problems: Problems) -> None:
    """A command of the user's in the place of uWSGI's, or beside it."""
    command = app["service_options"].get("ExecStart", [])
    commands = list(items(command))
    if commands and all(item in ("", None) for item in commands):
        message = "takes the role's command away and has none in its place, which systemd refuses"
        problems.add(f"{path}.service_options.ExecStart", message, "leave it out")
    elif commands and (len(commands) == 1 or commands[0] not in ("", None)):
        message = "the role writes one itself, and systemd takes no unit with a second one"
        hint = "leave it out, what runs before is ExecStartPre; or begin a list with '', which takes the role's away"
        problems.add(f"{path}.service_options.ExecStart", message, hint)


def _check_places(app: dict[str, Any], path: str, problems: Problems) -> None:
    if app["virtualenv"] and not app["virtualenv"].startswith("/"):
        message = f"{app['virtualenv']!r} is not absolute" + (
            "" if app["path"] else ", and a release brings none along"
        )
        whole = posixpath.join(app["path"], app["virtualenv"]) if app["path"] else "the whole path on the host"
        problems.add(f"{path}.virtualenv", message, f"write {whole}, or state requirements instead")
    if app["log"] not in ("system", "project", "journal") and not app["log"].startswith("/"):
        problems.add(
            f"{path}.log", f"{app['log']!r} is not known", "write system, project, journal or an absolute path"
        )


def _check_instances(app: dict[str, Any], path: str, problems: Problems) -> None:
    several, processes = app["instances"] > 1, app["processes"] or 1
    if processes > 1 and (app["websocket"] or app["affinity"]):
        message = f"{processes} processes share one socket, so that one may get requests of a session it does not know"
        hint = f"write instances: {max(processes, app['instances'])} and leave processes out"
        problems.add(f"{path}.processes", message, hint)
    if several and app["socket"]:
        message = f"{app['socket']!r} is one socket, and {app['instances']} instances need one each"
        problems.add(
            f"{path}.socket", message, "leave it out, each has its own below /run then; or leave instances out"
        )
    if app["affinity"] and not several:
        message = "nothing is to be chosen for a client, since there is one instance only"
        problems.add(f"{path}.affinity", message, "set instances to 2 or more, or leave affinity out")
    for name in app["options"] if app["websocket"] else ():
        if name.replace("_", "-") in AGAINST_SOCKETS:
            problems.add(f"{path}.options.{name}", *AGAINST_SOCKETS[name.replace("_", "-")])


def check_gevent(app: dict[str, Any], path: str, file: Iterable[str] | None, problems: Problems) -> None:
    """Refuse gevent where the requirements do not name it. ``file``: the lines of their file, if they are known."""
    wanted = app["requirements"]
    given = wanted if isinstance(wanted, list) else file or ()
    lines = [re.sub(r"(\A|\s)#.*", "", str(line)).strip() for line in given]
    # What another file, or a project at a path or an address, brings along is not known here.
    unknown = any(line.startswith(("-", ".")) or "/" in line for line in lines)
    if not (app["gevent"] or app["websocket"]) or not lines or unknown:
        return
    if not any(_GEVENT.match(line) for line in lines):
        key = "gevent" if app["gevent"] else "websocket"
        where = wanted if isinstance(wanted, str) else "the list"
        message = f"the requirements name no gevent, and {key} needs it"
        problems.add(f"{path}.requirements", message, f"add gevent to {where}, or leave {key} out")


def _check_literal(value: Any, path: str, problems: Problems) -> None:
    """Refuse what uWSGI would read as something else than it says; a % can be written so that it stays one."""
    if isinstance(value, dict):
        for name, item in value.items():
            _check_literal(item, f"{path}.{name}", problems)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _check_literal(item, f"{path}[{index}]", problems)
    elif isinstance(value, str) and ("$(" in value or "@(" in value):
        message = "holds $( or @(, which uWSGI replaces by a variable or a file"
        problems.add(path, message, "write what it stands for, as text")


def _check_language(value: Any, path: str, kind: str, problems: Problems) -> None:
    """Refuse what uWSGI would read only a part of, or nothing, in this language of its own (found out on 2.0.31)."""
    if isinstance(value, dict):
        for name, item in value.items():
            _check_language(item, f"{path}.{name}", kind, problems)
        return
    if isinstance(value, list):
        for index, item in enumerate(value):
            _check_language(item, f"{path}[{index}]", kind, problems)
        return
    text = word(value)
    if text != text.strip():
        problems.add(path, "begins or ends with a blank, which uWSGI drops", "leave the blank out")
    message = _LANGUAGES.get(kind, lambda _text: None)(text)
    if message and value is not None:
        problems.add(path, message, "use config_format: ini, or json")


def _in_yaml(text: str) -> str | None:
    if "#" in text:
        return "holds #, which begins a comment in uWSGI's YAML wherever it stands"
    if text[:1] in ("'", '"') or text[-1:] in ("'", '"'):
        return "begins or ends with a quote, which one uWSGI's YAML keeps and another's does not"
    return None


def _in_xml(text: str) -> str | None:
    if not text:
        return "is empty, which uWSGI's XML takes for 1"
    if _NOT_IN_XML.search(text):
        return "holds a control character, which no XML may"
    if "]]>" in text or ("]" in text and ("&" in text or "<" in text)):
        return "holds ] beside & or <, which uWSGI's XML cuts off"
    return None


_NOT_IN_XML = re.compile("[\x00-\x08\x0b-\x1f\ud800-\udfff\ufffe\uffff]")
_LANGUAGES = {"yaml": _in_yaml, "xml": _in_xml}


def _check_option(name: str, path: str, problems: Problems) -> None:
    name = name.replace("_", "-")
    if name in ("daemonize", "daemonize2"):
        problems.add(
            path,
            "under systemd it detaches the master from its unit, which then takes it for dead",
            "leave it out, and say where the log goes with log (system, project, journal or a path)",
        )
    elif name in OWNED:
        hint = f"state it with {OWNED[name]}" if OWNED[name] else "leave it out"
        problems.add(path, "the role writes it itself, and a second one would contradict it", hint)
