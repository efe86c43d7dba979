"""What nginx's workers are to read of the host for the sites: asked of the host before it goes live."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping
from typing import Any

from .model import App, Check, Served
from .problem import Problems

# Each unit with PrivateTmp has folders of its own in these places.
PRIVATE = ("/tmp", "/var/tmp")
NAMES = ("root", "alias")


def _options(options: Mapping[str, Any], path: str) -> Iterator[tuple[str, str]]:
    """The folders that options name themselves, in blocks of theirs too, but for those with a variable."""
    for name, value in options.items():
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, Mapping):
                yield from _options(item, f"{path}.{name}")
            elif str(name).strip() in NAMES and isinstance(item, str):
                word = item.strip().strip("\"'")
                if word.startswith("/") and "$" not in word:
                    yield f"{path}.{name}", word


def _named(sites: list[dict[str, Any]]) -> Iterator[tuple[str, str | None, str, bool]]:
    """(variable, application or None, path, whether it is one file) of all that nginx is to serve by itself."""
    for index, site in enumerate(sites):
        here = f"publish_sites[{index}]"
        for variable, path in _options(site["options"], f"{here}.options"):
            yield variable, None, path, False
        for at, location in enumerate(site["locations"]):
            where = f"{here}.locations[{at}]"
            exact = location["path"].lstrip().startswith("=")
            if location["static"]:
                yield f"{where}.static", location["app"], location["static"], exact
            for variable, path in _options(location["options"], f"{where}.options"):
                # An alias in a location of one path is that file.
                yield variable, None, path, exact and variable.endswith(".alias")


def check(sites: list[dict[str, Any]], nginx: Mapping[str, Any], problems: Problems) -> None:
    """Refuse what the unit of nginx hides from it."""
    options = nginx["nginx_unit_options"]
    if not nginx["nginx_hardening"] or str(options.get("PrivateTmp", "yes")).lower() in ("no", "false", "off", "0"):
        return
    for variable, _app, path, _file in _named(sites):
        for folder in PRIVATE:
            if (posixpath.normpath(path) + "/").startswith(f"{folder}/"):
                message = f"{path} lies below {folder}, of which nginx sees one of its own (PrivateTmp in its unit)"
                problems.add(variable, message, "keep what is served elsewhere, below /srv say")


def checks(
    sites: list[dict[str, Any]], apps: Mapping[str, App], nginx: Mapping[str, Any], groups: list[str]
) -> tuple[list[Check], list[Served]]:
    """What is asked of the host at once, and what of releases, once they are unpacked; see served_checks.py.

    ``groups``: those of which nginx is or becomes a member.
    """
    at_once: list[Check] = []
    later = []
    for variable, name, path, file in _named(sites):
        app = apps.get(name or "")
        folder = posixpath.normpath(posixpath.join(app.code if app else "/", path))
        item = {"variable": variable, "path": folder, "file": file, "user": nginx["nginx_user"], "groups": groups}
        # What lies below the link to the live release is judged in the release that it is to lead to.
        owner = next(
            (other for other in apps.values() if not other.path and (folder + "/").startswith(other.code + "/")),
            None,
        )
        if owner:
            later.append(Served(**item, release=posixpath.relpath(folder, owner.code)))
        else:
            at_once.append({"kind": "served", **item})
    return at_once, later
