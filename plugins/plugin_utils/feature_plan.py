"""What an application takes of the uWSGI that it runs on: features that one was compiled with and another was not.

The role uwsgi sees to those of ``uwsgi_features``, by the binary's own flags. pip builds with whatever else it finds:
whether that is there, the options tell that a binary lists (`uwsgi --dump-options`), of which each feature has some.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from . import uwsgi_options
from .problem import Problems

# One option of each feature, by which it is known whatever the version.
MARKS = {
    "capabilities": "cap",
    "gevent": "gevent",
    "json": "json",
    "pcre": "log-drain",
    "routing": "route-if-not",
    "ssl": "legion",
    "xml": "xml",
    "yaml": "yaml",
    "zlib": "load-file-in-cache-gzip",
}


class Need(NamedTuple):
    """A feature that an application takes: by which variable, what would become of it without, and the cure."""

    path: str
    feature: str
    why: str
    hint: str
    # Whether it has to be known beforehand; otherwise one that pip may bring along is waited for.
    strict: bool = False


def add(feature: str) -> str:
    return f"add {feature} to uwsgi_features"


def needs(app: Mapping[str, Any], path: str, asked: Iterable[str]) -> list[Need]:
    """What an application takes beyond the features that are ``asked`` for, which are there once uWSGI is."""
    found = []
    if app["websocket"]:
        why = "uWSGI answers the handshake of a WebSocket by it, and without ends the connection (502)"
        found.append(Need(f"{path}.websocket", "ssl", why, add("ssl"), strict=True))
    # A plugin's file may bring it.
    if (app["gevent"] or app["websocket"]) and not uwsgi_options.brings_more(app["options"]):
        key = "gevent" if app["gevent"] else "websocket"
        hint = f"take a profile with gevent in uwsgi_build_env, or none, which has it; or leave {key} out"
        found.append(Need(f"{path}.{key}", "gevent", "it serves the requests", hint))
    if app["protocol"] == "http":
        why = "by routes the application is told its client's address, and whether that spoke TLS"
        found.append(Need(f"{path}.protocol", "routing", why, f"{add('routing')}, or leave protocol out", strict=True))
    if app["config_format"] != "ini":
        kind = app["config_format"]
        why = "its configuration could not be read"
        found.append(Need(f"{path}.config_format", kind, why, f"write ini, or {add(kind)}"))
    asked = set(asked)
    return [need for need in found if need.feature not in asked]


def check(
    app: Mapping[str, Any], path: str, host: Mapping[str, Any], uwsgi: Mapping[str, Any], problems: Problems
) -> None:
    """Refuse what the host's uWSGI, once it is installed, was built without."""
    told = (host.get("uwsgi") or {}).get("options")
    for need in needs(app, path, uwsgi["uwsgi_features"]) if told else ():
        if MARKS[need.feature] not in told:
            problems.say(need.path, f"takes {need.feature}, which this uWSGI was built without: {need.why}", need.hint)


def checks(apps: list[dict[str, Any]], uwsgi: Mapping[str, Any], host: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The same for a uWSGI that is on the host already, or is not, as module_utils/uwsgi_checks.py takes it."""
    if (host.get("uwsgi") or {}).get("options"):
        return []
    return [
        {
            "kind": "uwsgi_features",
            "variable": need.path,
            **uwsgi_options.wanted(uwsgi),
            "feature": need.feature,
            "option": MARKS[need.feature],
            "why": need.why,
            "hint": need.hint,
            "strict": need.strict,
        }
        for index, app in enumerate(apps)
        for need in needs(app, f"publish_apps[{index}]", uwsgi["uwsgi_features"])
    ]
