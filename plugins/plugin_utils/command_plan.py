"""Commands of an application's own: before a release goes live, after it did, and by hand; words, never a shell's text.

The role's tasks hand them to graceful.wsgi.app_commands; what /usr/local/bin/wsgi needs is a file for each application.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping
from typing import Any

from . import layout
from .model import App, AppCommands, Command, File, Served
from .problem import Problems, close_match

POINTS = ("before_live", "after_live")
TIMEOUT = 600
# A day: what takes longer is nothing that a deploy is to wait for.
LONGEST = 86400
_KEYS = ("command", "name", "once", "timeout")
_EXAMPLE = "write it as python manage.py migrate --noinput, in words without a shell, or as sh -c 'a && b'"
# As a shell has them between commands, and before a file; a sign in quotes is none, as its word begins with the quote.
_SHELL = re.compile(r"(&&|\|\|?&?|;;?|&|(\d*|&)(>>?|<<?<?)[&|]?[^=\s]*)\Z")
_ASSIGNED = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")
# Parts of a release's folder that are not the code's own.
_OURS = (".venv",)


def read_words(text: Any, path: str, problems: Problems) -> list[str]:
    """The words of a command; what a shell alone would understand stays what it is."""
    if not isinstance(text, str):
        problems.add(path, f"{text!r} is no command", _EXAMPLE)
        return []
    if any(character in text for character in "\n\r\0"):
        problems.add(path, "holds a line break", "write one line for each command, in a list")
        return []
    try:
        words = shlex.split(text)
    except ValueError as error:
        problems.add(path, f"{text!r} is not to be read: {error}", "close the quote, or write \\' for a quote itself")
        return []
    if not words or not words[0]:
        problems.add(path, "is an empty command", _EXAMPLE)
    _check_shell(text, path, problems)
    return words


def _check_shell(text: str, path: str, problems: Problems) -> None:
    """Refuse what a shell alone would understand: the program would get it as an argument, and might well go on."""
    try:
        words = shlex.split(text, posix=False)
    except ValueError:
        return
    found = [word for word in words if _SHELL.match(word) or (word.endswith(";") and not word.endswith("\\;"))]
    if found:
        hint = f"write sh -c {shlex.quote(text)}, or put the sign in quotes where the program is to have it"
        problems.add(path, f"{found[0]!r} is for a shell, and no shell reads the command", hint)
    elif words and _ASSIGNED.match(words[0]):
        message = f"{words[0].partition('=')[0]}= is set by a shell, and no shell reads the command"
        problems.add(path, message, "state it with env or secrets of the application, or begin the command with env")


def _command(given: Any, path: str, problems: Problems) -> Command:
    """One item of before_live or after_live, a text or a mapping."""
    item = dict(given) if isinstance(given, Mapping) else {"command": given}
    for key in sorted(map(str, set(item) - set(_KEYS))):
        meant = close_match(key, _KEYS)
        hint = f"did you mean {meant}?" if meant else f"known here: {', '.join(_KEYS)}"
        problems.add(f"{path}.{key}", "there is no such setting", hint)
    where = f"{path}.command" if isinstance(given, Mapping) else path
    if "command" not in item:
        problems.add(where, "is missing", _EXAMPLE)
    words = read_words(item["command"], where, problems) if "command" in item else []
    once, timeout = item.get("once", False), item.get("timeout", TIMEOUT)
    if not isinstance(once, bool):
        problems.add(f"{path}.once", f"{once!r} is not true or false", "write once: true, or leave it out")
    if isinstance(timeout, bool) or not isinstance(timeout, int) or not 1 <= timeout <= LONGEST:
        message = f"{timeout!r} is no number of seconds from 1 to {LONGEST}"
        problems.add(f"{path}.timeout", message, f"write a whole number, or leave it out for {TIMEOUT}")
        timeout = TIMEOUT
    name = item.get("name")
    if name is not None and (not isinstance(name, str) or not name.strip() or not name.isprintable()):
        problems.add(f"{path}.name", f"{name!r} is no name", "write one line of text, or leave it out")
        name = None
    return Command(name=str(name or item.get("command")), words=words, once=bool(once), timeout=timeout)


def _commands(app: Mapping[str, Any], point: str, path: str, problems: Problems) -> list[Command]:
    return [_command(item, f"{path}.{point}[{index}]", problems) for index, item in enumerate(app[point])]


def _check_writable(app: Mapping[str, Any], path: str, problems: Problems) -> None:
    """Refuse folders that are not the release's own, or of which one holds another."""
    for index, name in enumerate(app["writable"]):
        where = f"{path}.writable[{index}]"
        parts = str(name).strip("/").split("/")
        if str(name).startswith("/") or any(part in ("", ".", "..") for part in parts) or parts[0] in _OURS:
            hint = "write a path below the code's folder, such as staticfiles; what outlives a release is shared"
            problems.add(where, f"{name!r} is no folder of the release", hint)
            continue
        inside = [other for other in app["writable"] if f"{name}/".startswith(f"{str(other).strip('/')}/")]
        if len(inside) > 1:
            problems.add(where, f"{name!r} lies in {inside[0]!r}, or stands twice", "leave one of them out")
        for other in app["shared"]:
            one, two = f"{str(name).strip('/')}/", f"{str(other).strip('/')}/"
            if one.startswith(two) or two.startswith(one):
                message = f"{name!r} and {other!r} of shared are one in another, and what is shared is writable anyway"
                problems.add(where, message, "leave one of them out")
    if app["writable"] and not app["before_live"]:
        message = "lets the application's account write while commands of before_live run, and there are none"
        problems.add(f"{path}.writable", message, "add the command to before_live, or leave writable out")


def check(app: Mapping[str, Any], path: str, problems: Problems) -> None:
    """Refuse commands that could not be run as they are written."""
    for point in POINTS:
        _commands(app, point, path, problems)
        if app[point] and app["path"]:
            message = "runs where a new release goes live, and code at path has no releases"
            hint = "run it by hand (graceful.wsgi.run), or give the code as source, archive or repo"
            problems.add(f"{path}.{point}", message, hint)
    _check_writable(app, path, problems)


def plan(app: Mapping[str, Any], planned: App) -> list[AppCommands]:
    """The application's commands; none for one without."""
    before, after = (_commands(app, point, "", Problems()) for point in POINTS)
    if not before and not after:
        return []
    return [
        AppCommands(
            name=planned.app,
            group=planned.group,
            code=planned.code,
            folder=planned.chdir,
            virtualenv=virtualenv(planned),
            pythonpath=planned.pythonpath,
            before_live=before,
            after_live=after,
            writable=[str(name).strip("/") for name in app["writable"]],
        )
    ]


def fields(
    given: Iterable[Mapping[str, Any]], apps: Mapping[str, App], served: Iterable[Served]
) -> dict[str, list[Any]]:
    """What the plan says of the commands of all applications, and of what nginx serves by when it is there."""
    commands = [one for app in given for one in plan(app, apps[app["name"]])]
    brought, made = _filled(served, commands)
    named = [one.name for one in commands if one.before_live]
    return {"commands": commands, "before_live": named, "served": brought, "served_filled": made}


def _filled(served: Iterable[Served], commands: Iterable[AppCommands]) -> tuple[list[Served], list[Served]]:
    """What nginx serves out of releases, in two parts: what these bring, and what their commands fill."""
    folders = [f"{one.code}/{name}/" for one in commands for name in one.writable]
    parts: tuple[list[Served], list[Served]] = ([], [])
    for item in served:
        parts[any(f"{item.path}/".startswith(folder) for folder in folders)].append(item)
    return parts


def virtualenv(planned: App) -> str:
    """The one whose programs come first: uWSGI's own has the Python that runs an application without one."""
    return planned.virtualenv or planned.uwsgi_home


def file(planned: App, conf_dir: str) -> list[File]:
    """What /usr/local/bin/wsgi reads of an application: the unit with its settings, and where its commands run."""
    about = {
        "unit": planned.instances[0].unit,
        "user": planned.user,
        "folder": planned.chdir,
        "virtualenv": virtualenv(planned),
        "pythonpath": ":".join(planned.pythonpath),
    }
    lines = [f"{name}={value}\n" for name, value in about.items()]
    content = "# Written by Ansible (graceful.wsgi.publish); /usr/local/bin/wsgi reads it.\n" + "".join(lines)
    dest = layout.command(conf_dir, planned.app)
    return [File(dest=dest, content=content, mode="0644", belongs_to=planned.app)]


def files(apps: Iterable[App], conf_dir: str) -> list[File]:
    """The same of all applications."""
    return [one for app in apps for one in file(app, conf_dir)]


def words(text: str) -> list[str]:
    """The words of a command that a person gives by -e; raises ValueError for one that cannot be read."""
    problems = Problems()
    found = read_words(text, "command", problems)
    if problems:
        raise ValueError(str(problems[0]))
    return found
