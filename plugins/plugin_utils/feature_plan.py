"""What an application takes of the uWSGI that it runs on: features that one was compiled with and another was not.

The role uwsgi sees to those of ``uwsgi_features``, by the binary's own flags. pip builds with whatever else it finds:
whether that is there, the options tell that a binary lists (`uwsgi --dump-options`), of which each feature has some.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from . import uwsgi_options
from .problem import Problems
from .uwsgi_meanings import FEATURE_MARKS


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


def _wheels(uwsgi: Mapping[str, Any], host: Mapping[str, Any]) -> dict[str, list[str]]:
    """The wheels on the controller of which this host would get one, each with its features; empty where none is there.

    Which Python a name stands for only the host knows; where it may be any, several wheels may be the one.
    """
    known = host.get("uwsgi_builder") or {}
    version = re.fullmatch(r"(?:.*/)?python(\d\.\d+)", uwsgi["uwsgi_python"])
    python = version.group(1) if version else ""
    found = {}
    if not uwsgi["uwsgi_build_host"]:
        for wheel in (host.get("wheels") or {}).get("wheels") or []:
            # uWSGI-2.0.31-cp27-cp27mu-linux_x86_64.whl
            words = wheel["file"].split("-")
            if len(words) != 5 or words[1] != uwsgi["uwsgi_version"] or wheel["features"] is None:
                continue
            tag = f"cp{python.replace('.', '')}" if python else words[2]
            if words[2] == tag and words[4].endswith(f"_{host.get('arch')}.whl"):
                found[wheel["file"]] = wheel["features"]
        return found
    here = [str(host.get(name) or "").lower() for name in ("distribution", "version", "arch")]
    wanted = uwsgi_options.wanted(uwsgi)
    for kept in known.get("kept") or []:
        kind, build = kept["about"].get("kind") or {}, kept["about"].get("build") or {}
        if (
            kept["version"] == uwsgi["uwsgi_version"]
            and [str(kind.get(name)).lower() for name in ("distribution", "major", "architecture")] == here
            and python in ("", kind.get("python"))
            and kept["about"].get("features") == sorted(uwsgi["uwsgi_features"])
            and all(build.get(name) == wanted["build"].get(name) for name in ("env", "extra_args", "toolchain"))
        ):
            found[kept["name"]] = kept["features"]
    return found


def check(
    app: Mapping[str, Any], path: str, host: Mapping[str, Any], uwsgi: Mapping[str, Any], problems: Problems
) -> None:
    """Refuse what the host's uWSGI, once it is installed, was built without."""
    told = (host.get("uwsgi") or {}).get("options") or []
    for need in needs(app, path, uwsgi["uwsgi_features"]) if told else ():
        if FEATURE_MARKS[need.feature] not in told:
            problems.add(need.path, f"takes {need.feature}, which this uWSGI was built without: {need.why}", need.hint)


def checks(apps: list[dict[str, Any]], uwsgi: Mapping[str, Any], host: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The same for a uWSGI that is on the host already, or is not, as module_utils/uwsgi_checks.py takes it."""
    if (host.get("uwsgi") or {}).get("options"):
        return []
    wheels = _wheels(uwsgi, host)

    def lacking(feature: str) -> list[str]:
        """The wheels without it. Of gevent their flags do not tell."""
        return [] if feature == "gevent" else [name for name in sorted(wheels) if feature not in wheels[name]]

    return [
        {
            "kind": "uwsgi_features",
            "variable": need.path,
            **uwsgi_options.wanted(uwsgi),
            "feature": need.feature,
            "option": FEATURE_MARKS[need.feature],
            "why": need.why,
            "hint": need.hint,
            # A wheel that is there tells by itself, and where it may be one of several that differ, the binary later.
            "strict": need.strict and not wheels,
            "wheel": " or ".join(lacking(need.feature)) if len(lacking(need.feature)) == len(wheels) else "",
        }
        for index, app in enumerate(apps)
        for need in needs(app, f"publish_apps[{index}]", uwsgi["uwsgi_features"])
    ]
