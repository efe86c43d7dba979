"""What the import and the doctor are told by variables, refused by their names where it means nothing.

An empty folder is no folder: to read another host, or the controller, in its place would be a green lie.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# What each of these is, by the end of its variable's name.
_PLACES = {
    "files": "a folder with files of nginx and uWSGI",
    "dir": "a folder for the inventory",
    "compare": "a file of answers that import_ask=true has written",
    "file": "a file for the findings",
}
_TRUTHS = ("true", "false", "yes", "no", "on", "off", "1", "0")


def refusal(prefix: str, args: Mapping[str, Any]) -> str | None:
    """Why these arguments mean nothing, or None."""
    for name in _PLACES.keys() & args.keys():
        value = args[name]
        if not isinstance(value, (str, int)) or isinstance(value, bool) or not str(value).strip():
            return f"{prefix}_{name}: {value!r} names nothing; name {_PLACES[name]}, or leave it out"
    for name in ("overwrite", "ask"):
        if str(args.get(name, False)).lower() not in _TRUTHS:
            return f"{prefix}_{name}: {args[name]!r} is neither true nor false"
    paths = args.get("paths", [])
    given = [path for path in paths.split(",") if path] if isinstance(paths, str) else paths
    if not isinstance(given, (list, tuple)):
        return f"{prefix}_paths: {paths!r} is no list; write whole paths, or leave it out"
    for path in given:
        if not isinstance(path, str) or not path.strip().startswith("/"):
            return f"{prefix}_paths: {path!r} is no whole path; write it from the first slash on"
    return None
