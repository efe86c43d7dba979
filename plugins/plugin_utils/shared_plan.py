"""What outlives a release: folders and files of an application's own, to which each release has links."""

from __future__ import annotations

import hashlib
import json
import posixpath
import re
from collections.abc import Mapping
from typing import Any

from . import layout
from .problem import Problems

# What this collection itself writes into a release, or makes beside what is shared for a moment.
_OURS = re.compile(r"\.venv\Z|\.(new|old|gone)-")
_PATTERN = re.compile(r"[*?\[\]]")
# Beside the ends of a line, which no text of an application's may have.
_CONTROL = re.compile(r"[\x01-\x09\x0b\x0c\x0e-\x1f\x7f]")


def _named(name: str) -> str:
    return name.rstrip("/")


def _check_name(name: str, path: str, problems: Problems) -> bool:
    """Refuse what is no name of a part of the code."""
    parts = _named(name).split("/")
    if not name or not _named(name) or parts == ["."]:
        message, hint = f"{name!r} is the whole code", "name what in it is to outlive a release, such as media/"
    elif name.startswith("/"):
        message, hint = f"{name!r} is absolute", "write a path in the code, such as media/"
    elif ".." in parts:
        message, hint = f"{name!r} leads out of the code", "write a path in the code, such as media/"
    elif _CONTROL.search(name):
        message, hint = "holds a control character", "give it another name in the code"
    elif _PATTERN.search(name):
        message, hint = f"{name!r} is a pattern", "name each, or the folder that they lie in"
    elif posixpath.normpath(name) != _named(name) or name.endswith("//"):
        message, hint = f"{name!r} is written in another way than it is", f"write {posixpath.normpath(name)}"
    elif _OURS.match(parts[0]):
        message, hint = f"{parts[0]!r} is a name of the role's own in a release", "give it another name in the code"
    else:
        return True
    problems.add(path, message, hint)
    return False


def _code_of(app: Mapping[str, Any]) -> dict[str, str]:
    """Files of the code that decide what runs, and what names them."""
    found = {}
    if isinstance(app["requirements"], str) and app["requirements"] != "auto":
        found[posixpath.normpath(app["requirements"])] = "requirements"
    if app["wsgi_file"]:
        found[posixpath.normpath(app["wsgi_file"])] = "wsgi_file"
    if app["module"]:
        found[f"{app['module'].partition(':')[0].replace('.', '/')}.py"] = "module"
    return found


def check(app: Mapping[str, Any], path: str, problems: Problems) -> None:
    """Refuse what cannot be shared, or twice."""
    if app["shared"] and app["path"]:
        message = "the code at path is run where it lies, and what it writes there outlives every run"
        problems.add(f"{path}.shared", message, "leave shared out, or publish the code by source, archive or repo")
        return
    seen: dict[str, int] = {}
    for index, name in enumerate(app["shared"]):
        where = f"{path}.shared[{index}]"
        if not _check_name(str(name), where, problems):
            continue
        own = _named(name)
        for file, variable in _code_of(app).items():
            if f"{file}/".startswith(f"{own}/"):
                message = f"{own} is or holds {file} ({variable}), which each release brings anew"
                problems.add(where, message, "share what the application writes only")
        for other, first in seen.items():
            if own == other:
                problems.add(where, f"{own} is shared[{first}] too", "leave one of the two out")
            elif f"{own}/".startswith(f"{other}/") or f"{other}/".startswith(f"{own}/"):
                message = f"one of {own} and {other} (shared[{first}]) lies in the other"
                problems.add(where, message, "leave out the inner one")
        seen.setdefault(own, index)


def folder(home: str) -> str:
    """Where it is kept. Example: /srv/wsgi/shop/shared."""
    return posixpath.join(home, layout.SHARED)


def writable(app: Mapping[str, Any], home: str, uwsgi_options: Mapping[str, Any]) -> list[list[str]]:
    """The unit's line that lets it write there, where a user closes the whole file system to it."""
    closed = {**uwsgi_options, **app["service_options"]}.get("ProtectSystem")
    return [["ReadWritePaths", f"-{folder(home)}"]] if app["shared"] and closed == "strict" else []


def release_id(id_of_code: str, item: Mapping[str, Any], python: str | None) -> str:
    """The name of a release whose links belong to this account: with other links it is another release.

    So it is with other requirements where commands write into it: what is live is not to be written into.
    """
    parts: list[Any] = [sorted(item["shared"]), item.get("user")] if item.get("shared") else []
    if item.get("writable"):
        # An empty list says what nothing says: that nothing is installed.
        wanted = item.get("requirements") or None
        parts += [item.get("writable"), wanted, item.get("bounds"), item.get("constraints"), python]
    if not parts:
        return id_of_code
    about = json.dumps(parts)
    return f"{id_of_code}-{hashlib.sha256(about.encode()).hexdigest()[:6]}"
