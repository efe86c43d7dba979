"""What a planner says of bad input: where it stands, what is wrong, how to mend it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple


class Problem(NamedTuple):
    """One refusal. ``path`` is the variable's path as a user would write it, e.g. ``publish_apps[2].socket``."""

    path: str
    message: str
    hint: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}; {self.hint}"


def close_match(name: str, known: Iterable[str]) -> str | None:
    """The known name that ``name`` was probably meant to be, or None."""
    return next(iter(difflib.get_close_matches(name, list(known), n=1, cutoff=0.75)), None)


class Problems(list[Problem]):
    """What is wrong, gathered."""

    def add(self, path: str, message: str, hint: str) -> None:
        self.append(Problem(path, message, hint))


def unknown_host(path: str, name: str, builder: Mapping[str, Any]) -> list[Problem]:
    """A problem where ``name`` is said to build and nobody knows it; ``builder`` holds ``known`` and ``hosts``."""
    if not name or builder.get("known", True):
        return []
    meant = close_match(name, builder.get("hosts") or [])
    hint = f"did you mean {meant}?" if meant else "write localhost, a name in the inventory, or nothing"
    return [Problem(path, f"there is no host {name!r}", hint)]
