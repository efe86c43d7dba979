"""Applications without code of their own: what is refused of them, and what names their releases."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from ansible_collections.graceful.wsgi.plugins.module_utils import constraints, releases
from ansible_collections.graceful.wsgi.plugins.module_utils.requirements_alone import SOURCES, is_alone

from .problem import Problems

CODE = f"give one of {', '.join(SOURCES)}"


def check_code(app: Mapping[str, Any], path: str, problems: Problems) -> None:
    """Refuse an application whose code is nowhere, or in two places at once."""
    given = [key for key in SOURCES if app[key]]
    if len(given) > 1:
        message = f"its code is to come from {' and '.join(given)}"
        problems.add(path, message, f"give exactly one of {', '.join(SOURCES)}")
    elif not given and not is_alone(app):
        hint = f"{CODE}, or what it consists of as a list of requirements, such as [httpbin==0.10.2]"
        if isinstance(app["requirements"], str):
            message = f"requirements: {app['requirements']} is looked for in its code, and nothing says where that is"
        else:
            message = "nothing says where its code is"
        problems.add(path, message, hint)
    elif not given:
        _check_alone(app, path, problems)


def _check_alone(app: Mapping[str, Any], path: str, problems: Problems) -> None:
    """Refuse what would lie in code that there is none of."""
    # Others are refused wherever the code is.
    for line in releases.as_lines([line for line in app["requirements"] if isinstance(line, str)]):
        include = releases._INCLUDE.match(line)
        if releases.is_local(line) or (include and "://" not in include[2]):
            message = f"{line!r} lies in the application's code, and nothing says where that is"
            problems.add(f"{path}.requirements", message, f"{CODE}, or write what an index has")
    if app["wsgi_file"] and not app["wsgi_file"].startswith("/"):
        message = "is looked for in the application's code, and the requirements alone are the application"
        problems.add(f"{path}.wsgi_file", message, "write module: with the name that the package is imported by")


def digest(item: Mapping[str, Any], python: str | None) -> str:
    """The name of a release by all that decides what is installed in its virtualenv."""
    lines = releases.as_lines(item["requirements"])
    limits = constraints.wanted(item.get("bounds") or [], item.get("constraints") or [], "\n".join(lines))
    return hashlib.sha256(json.dumps(["alone", lines, limits, python]).encode()).hexdigest()[:12]
