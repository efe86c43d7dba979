"""What number and age take of the controller's folders of built artifacts, and how much they hold."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import stat
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ansible_collections.graceful.wsgi.plugins.module_utils import nginx_artifact
from ansible_collections.graceful.wsgi.plugins.plugin_utils import artifact_cache

DAY = 24 * 3600
# As the roles name what they keep: a version, of a wheel its Python's ABI, and the digest of what it is made of.
NAME = re.compile(r"\d[\w.]*-(?:[\w.]+-)?[0-9a-f]{12}")
# What a killed play has left, while it stored an artifact or removed one.
_LEFT = re.compile(rf"\.{NAME.pattern}\..+")


def _stored(path: Path) -> float | None:
    """When a host last got the artifact; None for what the roles have not made, or what more than that lies in."""
    try:
        found = path.lstat()
        if not NAME.fullmatch(path.name) or not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
            return None
        file = path / nginx_artifact.MANIFEST
        told = json.loads(file.read_text())
        names = {entry.name for entry in os.scandir(path) if entry.is_file(follow_symlinks=False)}
        if not path.name.startswith(f"{told['version']}-") or not told["about"]:
            return None
        whole = names == {nginx_artifact.MANIFEST, *told["files"]} and len(os.listdir(path)) == len(names)
        return file.stat().st_mtime if whole else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def stored(folder: str) -> dict[str, float]:
    """{name: when a host last got it} of what the roles keep in the folder."""
    try:
        told = {path.name: _stored(path) for path in Path(folder).iterdir()}
    except OSError:
        return {}
    return {name: when for name, when in told.items() if when is not None}


def _left(folder: str) -> list[str]:
    try:
        found = [entry for entry in os.scandir(folder) if _LEFT.fullmatch(entry.name)]
        return [
            entry.name
            for entry in found
            if entry.is_dir(follow_symlinks=False)
            and entry.stat().st_uid == os.geteuid()
            and time.time() - entry.stat().st_mtime > DAY
        ]
    except OSError:
        return []


def old(folder: str, keep: int, days: int, wanted: Iterable[str] = ()) -> list[str]:
    """Names that are to go: not ``wanted``, not among the ``keep`` that were used last, not used for ``days``.

    What is wanted counts among those that stay, be it there already or not.
    """
    if days < 1 or not os.access(folder, os.W_OK):
        return []
    stays = set(wanted)
    others = {name: when for name, when in stored(folder).items() if name not in stays}
    order = sorted(others, key=lambda name: (others[name], name), reverse=True)[max(keep - len(stays), 0) :]
    return sorted([name for name in order if time.time() - others[name] > days * DAY] + _left(folder))


def prune(folder: str, keep: int, days: int, wanted: Iterable[str] = (), check: bool = False) -> list[str]:
    """Remove them; returns their names."""
    stays = list(wanted)
    if check or not old(folder, keep, days, stays):
        return old(folder, keep, days, stays)
    with artifact_cache.locked(Path(folder)):
        names = old(folder, keep, days, stays)
        for name in names:
            path = Path(folder) / name
            if not name.startswith("."):
                # In one step: what is removed by halves is never taken for an artifact.
                aside = Path(folder) / f".{name}.old"
                shutil.rmtree(aside, ignore_errors=True)
                path = path.rename(aside)
            shutil.rmtree(path)
    return names


def use(path: Path) -> None:
    """Note that a host gets the artifact now; a folder that this account may only read takes no note."""
    with contextlib.suppress(OSError):
        os.utime(path / nginx_artifact.MANIFEST)


def holds(folder: str) -> dict[str, Any] | None:
    """{folder, kept, bytes} of what the roles keep there; None where there is nothing."""
    names = stored(folder)
    if not names:
        return None
    files = [entry.stat() for name in names for entry in os.scandir(Path(folder) / name)]
    return {"folder": folder, "kept": len(names), "bytes": sum(found.st_blocks * 512 for found in files)}
