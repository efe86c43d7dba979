"""Where code cannot lie: in the whole file system, and where an instance sees another folder than everybody else."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from typing import Any

from .log_plan import NO_FILES, NONE_AT_ALL
from .problem import Problem

# What is gone after a boot.
_LOST = ("/run", "/var/run")


def _normal(path: str) -> str:
    return "/" + posixpath.normpath(path).lstrip("/")


def _below(path: str, folders: tuple[str, ...]) -> str | None:
    return next((one for one in folders if path == one or path.startswith(one + "/")), None)


def check_root(root: str, problems: list[Problem]) -> None:
    """Refuse a publish_root in which nothing stays, or that is everything."""
    variable, hint = "publish_root", "write a folder of its own, such as /srv/wsgi"
    place = _normal(root)
    if place == "/":
        problems.append(Problem(variable, "'/' would take the whole file system for applications", hint))
    elif _below(place, NONE_AT_ALL):
        message = f"{root!r} lies where each unit has a folder of its own (PrivateTmp), and where old files are removed"
        problems.append(Problem(variable, message, hint))
    elif _below(place, _LOST + NO_FILES):
        problems.append(Problem(variable, f"{root!r} lies where nothing is kept over a boot", hint))


def _has_private_tmp(app: Mapping[str, Any], uwsgi: Mapping[str, Any]) -> bool:
    """Whether the instance has a /tmp of its own, as the user loosens it."""
    given = {**uwsgi["uwsgi_unit_options"], **app["service_options"]}.get("PrivateTmp", uwsgi["uwsgi_hardening"])
    return str(given).strip().lower() not in ("false", "no", "off", "0", "none", "")


def check_path(app: Mapping[str, Any], path: str, uwsgi: Mapping[str, Any], problems: list[Problem]) -> None:
    """Refuse code, or a virtualenv, that is everything or that the instance would not see."""
    for key in ("path", "virtualenv"):
        place = _normal(app[key]) if (app[key] or "").startswith("/") else ""
        if place == "/":
            message = f"{app[key]!r} is the whole file system"
            problems.append(Problem(f"{path}.{key}", message, "write the application's own folder"))
        elif place and _below(place, NONE_AT_ALL) and _has_private_tmp(app, uwsgi):
            message = f"{app[key]!r} lies where each unit has a folder of its own (PrivateTmp), and is not there for it"
            problems.append(Problem(f"{path}.{key}", message, "have it elsewhere, in /srv or /opt"))
