"""Who speaks for each text of an existing stack: root alone, or an account that could have written what it likes.

A host tells it with its files (module_utils/stack_files.py). Those of a folder on the controller are spoken for by
whoever gave them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Speaker:
    """An account that is not root's; ``name`` is empty for what several may have written."""

    uid: int
    name: str = ""
    groups: tuple[str, ...] = ()

    def may_be(self, key: str, value: str) -> bool:
        """Whether it may say that something runs as this user, or group: as itself only."""
        own = (self.name, str(self.uid)) if key == "user" else self.groups
        return bool(self.name) and value in own

    @property
    def shown(self) -> str:
        """As a message names it."""
        return self.name or "more than one account"


class HostText(str):
    """A text of a host's file, with who speaks for it, and the accounts that may read it besides root."""

    speaker: Speaker | None = None
    readers: frozenset[int] = frozenset()


def _speaker(uid: object, accounts: Mapping[str, Any]) -> Speaker:
    about = accounts.get(str(uid)) or {}
    groups = tuple(str(group) for group in about.get("groups") or [])
    return Speaker(int(str(uid)), str(about.get("name") or ""), groups)


def told(found: dict[str, Any]) -> dict[str, Any]:
    """What a host has told, with all that it says of speakers put to what they speak for."""
    speakers, readers, accounts = (found.get(key) or {} for key in ("speakers", "readers", "accounts"))
    files: dict[str, str] = {}
    for path, text in found["files"].items():
        one = HostText(text)
        one.speaker = _speaker(speakers[path], accounts) if path in speakers else None
        one.readers = frozenset(readers.get(path) or ())
        files[str(path)] = one
    running = [dict(process) for process in found.get("processes") or []]
    for process in running:
        process["speaker"] = _speaker(process["by"], accounts) if process.get("by") is not None else None
    return {**found, "files": files, "processes": running}


def speaker(text: str) -> Speaker | None:
    """Who speaks for a text besides root."""
    return text.speaker if isinstance(text, HostText) else None


def may_read(text: str, by: Speaker | None) -> bool:
    """Whether what an account has written may include a text."""
    return by is None or not isinstance(text, HostText) or by.uid in text.readers


def first(*speakers: Speaker | None) -> Speaker | None:
    """The one that counts of a way that begins with the first: what an account has named is its to say."""
    return next((one for one in speakers if one is not None), None)


def is_given(text: str) -> bool:
    """Whether a text is no host's own, so that its path may be another one than it was there."""
    return not isinstance(text, HostText)
