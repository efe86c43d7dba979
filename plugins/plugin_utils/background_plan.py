"""What of an application is no worker: mules, spoolers, attached daemons, crons, as far as its options say."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.graceful.wsgi.plugins.module_utils import background

from . import layout
from .model import App
from .problem import Problems
from .uwsgi_meanings import COMMANDS, IN_MASTER, IN_SPOOLER, OWN_RELOADS

FALSE = ("false", "no", "off", "0")
PIDFILE = re.compile(r"(?:^|,)pidfile=([^,]*)")


def _pairs(app: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """(name as it was written, name as uWSGI lists it, value) of each option."""
    for name, value in app["options"].items():
        for item in value if isinstance(value, list) else [value]:
            yield name, background.normal(name), str(item)


def _off(app: dict[str, Any], *names: str) -> bool:
    said = [value for _name, name, value in _pairs(app) if name in names]
    return bool(said) and said[-1].lower() in FALSE


def _lazy(app: dict[str, Any]) -> bool:
    own = any(name == "lazy" and value.lower() not in FALSE for _name, name, value in _pairs(app))
    if own or _says_lazy(app):
        return own or not _off(app, "lazy-apps", "lazy-app")
    return not _left_without_code(app)


def _says_lazy(app: dict[str, Any]) -> bool:
    return any(name in ("lazy-apps", "lazy-app") for _name, name, _value in _pairs(app))


def _left_without_code(app: dict[str, Any]) -> list[str]:
    """The options that make processes which, under lazy-apps, have none of the application's functions.

    A spooler leaves its tasks where they are, and a mule drops what it is sent; either has the code where the master
    has loaded it, or a file of its own.
    """
    pairs = list(_pairs(app))
    if any(IN_MASTER.fullmatch(name) for _written, name, _value in pairs):
        return []
    imported = any(IN_SPOOLER.fullmatch(name) for _written, name, _value in pairs)
    return [
        written
        for written, name, value in pairs
        if (name == "spooler" and not imported)
        or (name == "mules" and value != "0")
        or (name == "mule" and not value.endswith(".py") and ":" not in value)
    ]


def lazy_apps(app: dict[str, Any]) -> list[tuple[str, bool]]:
    """What the plan writes of lazy-apps: of two that contradict each other the last one counts, but not everywhere."""
    return [] if _says_lazy(app) else [("lazy-apps", _lazy(app))]


def needs_new_master(app: dict[str, Any]) -> bool:
    """Whether new code takes a new master: replacing the workers one by one would leave something as it was."""
    pairs = [(name, value) for _name, name, value in _pairs(app)]
    return (
        bool(background.needs_new_master(pairs))
        or any(COMMANDS.fullmatch(name) for name, _v in pairs)
        or not _lazy(app)
    )


def needs_standby(app: dict[str, Any], link: str | None) -> bool:
    """Whether new code is taken up by a second generation beside the first."""
    pairs = [(name, value) for _name, name, value in _pairs(app)]
    return bool(link) and (app["websocket"] or (needs_new_master(app) and not background.has_daemons(pairs)))


def warnings(apps: list[dict[str, Any]], planned: Mapping[str, App]) -> list[str]:
    """What is done otherwise than for most applications, though nothing is lost by it.

    nginx is led to a second process by a link, and a port has none. Refused it is not: where nginx runs on another
    host, there is no other way.
    """
    found = []
    for index, app in enumerate(apps):
        one = planned[app["name"]]
        if not app["websocket"] or one.port is None:
            continue
        shorter = "" if app["websocket_mercy"] < 3 else "a shorter websocket_mercy"
        other = "" if app["socket_clients"] else "no socket at all, for a unix socket"
        hint = " or ".join(filter(None, (other, shorter)))
        if hint:
            found.append(
                f"publish_apps[{index}].socket: {app['name']} has WebSockets on a port, where no second process can "
                f"take over from the first: with new code all its requests wait until its sockets have ended, "
                f"for websocket_mercy ({app['websocket_mercy']} s) at most; write {hint}"
            )
    return found


def check(app: dict[str, Any], code: str, path: str, problems: Problems) -> None:
    """Refuse what a release would take along with it when the next one comes. ``code``: the link to it."""
    for written in _left_without_code(app) if _lazy(app) else []:
        message = (
            "under lazy-apps it has none of the application's functions: its tasks and messages are never worked on"
        )
        hint = "leave lazy-apps out, or load them there (spooler-import, mule: FILE.py, shared-import)"
        problems.add(f"{path}.options.{written}", message, hint)
    if app["path"]:
        return
    for written, name, value in _pairs(app):
        where = f"{path}.options.{written}"
        if OWN_RELOADS.fullmatch(name) and (name.startswith("py") or _inside(value, code)):
            message = (
                "has uWSGI reload by itself when a release comes, beside the role's reload, which cuts requests off"
            )
            problems.add(where, message, "leave it out, each run of the role takes up new code")
        elif name in ("spooler", "spooler-external") and _inside(value, code):
            message = f"{value!r} lies in a release, which the next one leaves behind with the tasks that wait in it"
            problems.add(where, message, f"write a path outside of it, such as /var/lib/{app['name']}/spool")
        for pidfile in _pidfiles(name, value):
            if _inside(pidfile, code):
                message = f"the pidfile {pidfile!r} lies in a release, where the next one does not find it"
                problems.add(
                    where, message, f"write a path outside of it, such as {layout.run_dir(app['name'])}/daemon.pid"
                )


def _inside(value: str, code: str) -> bool:
    full = posixpath.normpath(posixpath.join(code, value))
    # Variables of uWSGI's are not known here.
    return "%" not in value and "$" not in value and (full == code or full.startswith(code + "/"))


def _pidfiles(name: str, value: str) -> list[str]:
    if name in ("smart-attach-daemon", "smart-attach-daemon2"):
        return [value.partition(" ")[0].partition(",")[0]]
    return PIDFILE.findall(value) if name == "attach-daemon2" else []


def placed(name: str, value: str, folder: str) -> str:
    """An option's value; uWSGI looks for a spooler's folder before it goes into the code's."""
    if background.normal(name) in ("spooler", "spooler-external") and "%" not in value and "$" not in value:
        return posixpath.join(folder, value)
    return value
