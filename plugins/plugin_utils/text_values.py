"""Values that several plans read alike: names of files, addresses, texts of one line."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from .problem import Problems

SAFE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}\Z")
HOST_PORT = re.compile(r"(?P<host>\[[0-9a-fA-F:.]+\]|[A-Za-z0-9_.-]*|\*):(?P<port>\d{1,5})\Z")
ANY_HOST = {"", "*", "0.0.0.0", "[::]"}


def items(value: Any) -> Iterable[Any]:
    return value if isinstance(value, list) else [value]


def check_text(value: Any, path: str, problems: Problems) -> None:
    """Refuse what would break out of its line; every template relies on it."""
    if isinstance(value, dict):
        for name, item in value.items():
            check_text(str(name), path, problems)
            check_text(item, f"{path}.{name}", problems)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            check_text(item, f"{path}[{index}]", problems)
    elif isinstance(value, str) and ("\n" in value or "\r" in value or "\0" in value):
        problems.add(path, "holds a line break", "write it on one line; a list repeats a directive")


def printable(line: str) -> str:
    """A line that a program has said, without what a terminal would obey."""
    return re.sub(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", "?", line)
