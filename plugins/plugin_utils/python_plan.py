"""A Python of an application's own, beside that of ``uwsgi_python``: a uWSGI built for it, in a home of its own."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from . import uwsgi_plan
from .model import Check, OwnPython, WantedPython
from .problem import Problems

_WORD = re.compile(r"(/[\w.+-]+)+|[\w.+-]+")
HINT = "write e.g. python2.7, or an absolute path such as /opt/python3.12/bin/python3.12"
IN_A_KIT = "leave python out, or publish such applications without a kit"


def check(app: Mapping[str, Any], path: str, host: Mapping[str, Any], problems: Problems) -> None:
    """Refuse what is no name of a Python, and what is not carried to hosts that reach nothing."""
    if not app["python"]:
        return
    if not _WORD.fullmatch(app["python"]):
        message = f"{app['python']!r} is neither a command's name nor an absolute path"
        problems.add(f"{path}.python", message, HINT)
    elif host.get("kit"):
        problems.add(f"{path}.python", "a kit holds uWSGI and wheels for the Python of uwsgi_python only", IN_A_KIT)


def wanted(apps: Any) -> list[WantedPython]:
    """The Pythons that applications name, each once, in their order. ``apps``: may be unchecked yet."""
    found: dict[str, WantedPython] = {}
    for index, app in enumerate(apps if isinstance(apps, list) else ()):
        python = app.get("python") if isinstance(app, Mapping) else None
        if python and isinstance(python, str):
            found.setdefault(python, WantedPython(python=python, variable=f"publish_apps[{index}].python"))
    return list(found.values())


def checks(apps: Iterable[Mapping[str, Any]]) -> list[Check]:
    """What is asked of the host before anything on it changes: whether those Pythons are there, and will do."""
    return [
        {"kind": "python", "variable": f"publish_apps[{index}].python", "python": app["python"]}
        for index, app in enumerate(apps)
        if app["python"]
    ]


def of(app: Mapping[str, Any], host: Mapping[str, Any]) -> dict[str, Any] | None:
    """The uWSGI that an application runs on, as the fact uwsgi_installed tells it; None while nobody knows it."""
    main: dict[str, Any] | None = host.get("uwsgi")
    if not main or not app.get("python"):
        return main
    home = (main.get("homes") or {}).get(app["python"])
    if not home:
        return None
    # One that was built in this very run has told nothing of its options yet: they are those of the same release.
    known = {key: value for key, value in home.items() if value}
    return {**main, **known, "pip": uwsgi_plan.PIP.get(home["python"], uwsgi_plan.PIP["*"])}


def host_of(app: Mapping[str, Any], host: dict[str, Any]) -> dict[str, Any]:
    """The host as an application knows it: as if its uWSGI were the only one."""
    return {**host, "uwsgi": of(app, host)} if app.get("python") else host


def are_known(apps: Iterable[Mapping[str, Any]], host: Mapping[str, Any]) -> bool:
    """Whether the uWSGI of each application is."""
    return all(of(app, host) for app in apps)


def versions(apps: Iterable[Mapping[str, Any]], host: Mapping[str, Any]) -> dict[str, str | None]:
    """The version of the Python of each application that names one. Example: {old: '2.7'}."""
    return {app["name"]: (of(app, host) or {}).get("python") for app in apps if app["python"]}


def own(app: Mapping[str, Any], host: Mapping[str, Any]) -> OwnPython | None:
    """How the virtualenv of an application is made that names a Python; None where it names none."""
    found = of(app, host)
    if not app["python"] or not found:
        return None
    return OwnPython(**{key: found.get(key) for key in ("python", "venv_command", "pip")})


def binary(app: Mapping[str, Any], host: Mapping[str, Any]) -> str | None:
    """The uWSGI of an application that names a Python; None where it names none."""
    return (of(app, host) or {}).get("binary") if app["python"] else None


def version_of(item: Mapping[str, Any], python: str | None) -> str | None:
    """The version of the Python of an item of graceful.wsgi.releases. ``python``: that of all others."""
    told: str | None = (item.get("own_python") or {}).get("python")
    return told or python
