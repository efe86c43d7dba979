"""The releases of a host's applications as a table."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

HEAD = ("RELEASE", "STATUS", "WHEN (UTC)", "BY", "MADE FROM", "CONFIGURATION")
# What a status means to whoever reads it.
TOLD = {"unknown": "not recorded", "unfinished": "never live"}
# A digest and a commit are told apart by less than all of them.
SHORT = 12


def _row(one: Mapping[str, Any]) -> tuple[str, ...]:
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(one["at"])) if one["at"] else ""
    made = one["made"]
    origin = next((str(made[key]) for key in ("repo", "archive", "source", "requirements") if made.get(key)), "")
    if made.get("repo") and made.get("version"):
        origin += f" ({made['version']})"
    name = str(one["id"])
    # What is behind a digest tells two releases of one code apart.
    name = name if "-" in name else name[:SHORT]
    return name, TOLD.get(one["status"], one["status"]), when, str(one["by"]), origin, str(one["settings"])


def lines(host: str, history: Mapping[str, Any]) -> list[str]:
    """A table for each application of a host. ``history``: as graceful.wsgi.release_records tells it."""
    found: list[str] = []
    for name in sorted(history):
        releases: Sequence[Mapping[str, Any]] = history[name]
        found.append(f"{host}: {name}")
        if not releases:
            found += ["  no release; code at path is not kept in releases", ""]
            continue
        rows = [HEAD, *(_row(one) for one in releases)]
        widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD))]
        for index, row in enumerate(rows):
            cells = zip(row, widths, strict=True)
            found.append(("  " + "  ".join(cell.ljust(width) for cell, width in cells)).rstrip())
            why = releases[index - 1]["failed"] if index else {}
            if why:
                found.append(f"    failed ({why.get('stage')}): {why.get('why')}")
        found.append("")
    return found or [f"{host}: no applications"]
