"""What became of each directive of an existing stack: the rows of the table, and an inventory with its comments."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

CARRIED, KEPT, DROPPED = "carried", "kept as options", "dropped"
CHANGED, DECIDE = "changed in meaning", "to be decided"
STATES = (DECIDE, CHANGED, DROPPED, KEPT, CARRIED)


@dataclass
class Row:
    """What became of one directive or option. ``how``: the variable, or why; ``choices``: what one may answer."""

    file: str
    line: int
    text: str
    state: str
    how: str
    choices: list[str] = field(default_factory=list)

    def plain(self) -> dict[str, Any]:
        """The row as data."""
        found = {"file": self.file, "line": self.line, "directive": self.text, "state": self.state, "how": self.how}
        return {**found, **({"choices": self.choices} if self.choices else {})}


@dataclass
class Imported:
    """An inventory and how it came about; ``comments``: of the original, by the place in the inventory."""

    variables: dict[str, Any] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)
    comments: dict[tuple[Any, ...], list[str]] = field(default_factory=dict)
    messages: list[str] = field(default_factory=list)
    # How the generated configuration differs, a line each: missing there, or there only.
    missing: list[str] = field(default_factory=list)
    added: list[str] = field(default_factory=list)
    locations: tuple[int, int, int] = (0, 0, 0)

    def questions(self) -> list[Row]:
        """The rows that somebody has to answer."""
        return [row for row in self.rows if row.state == DECIDE]

    def summary(self) -> str:
        """The outcome in one line."""
        whole, options, total = self.locations
        text = f"{whole} of {total} locations carried; {options} as options"
        count = {state: sum(row.state == state for row in self.rows) for state in STATES}
        told = ", ".join(f"{count[state]} {state}" for state in reversed(STATES) if count[state])
        left = f"{len(self.missing)} directives are missing in what is generated" if self.missing else ""
        return "; ".join(part for part in (text, f"directives: {told}" if told else "", left) if part)


def _cell(text: str) -> str:
    return re.sub(r"\s+", " ", text).replace("|", "\\|").strip()


def _code(text: str) -> str:
    text = _cell(text)
    return f"`` {text} ``" if "`" in text else f"`{text}`" if text else ""


def table(rows: Iterable[Row]) -> list[str]:
    """The rows as a table of Markdown, what wants an answer first."""
    lines = ["| where | directive | became | how |", "| --- | --- | --- | --- |"]
    for state in STATES:
        for row in (one for one in rows if one.state == state):
            where = f"{row.file}:{row.line}" if row.line else row.file
            how = _cell(row.how) + (f" Choices: {_cell('; '.join(row.choices))}." if row.choices else "")
            lines.append(f"| {_cell(where)} | {_code(row.text)} | {row.state} | {how} |")
    return lines


def markdown(imported: Imported) -> str:
    """The report that is written beside the inventory."""
    lines = ["# What became of each directive", "", imported.summary() + ".", "", *table(imported.rows)]
    for title, found in (
        ("Not read", imported.messages),
        ("In the original, and not in what is generated", imported.missing),
        ("In what is generated, and not in the original", imported.added),
    ):
        if found:
            lines += ["", f"## {title}", "", *(f"- {_code(line)}" for line in found)]
    return "\n".join(lines) + "\n"


def _scalar(value: Any) -> str:
    text: str = yaml.safe_dump(value, width=100000, allow_unicode=True, default_flow_style=True)
    text = text.removesuffix("\n").removesuffix("\n...")
    # Ansible would look for a template in it.
    if isinstance(value, str) and ("{{" in value or "{%" in value or "{#" in value):
        return "!unsafe " + (text if text[:1] in "'\"" else "'" + value.replace("'", "''") + "'")
    return text


def _emit(value: Any, place: tuple[Any, ...], comments: Mapping[tuple[Any, ...], list[str]], depth: int) -> list[str]:
    pad, lines = "  " * depth, []
    items = list(value.items()) if isinstance(value, dict) else list(enumerate(value))
    for key, item in items:
        here = (*place, key)
        lines += [f"{pad}# {line.lstrip('#').strip()}" for line in comments.get(here, []) if line.strip("# ")]
        head = f"{pad}{_scalar(key)}:" if isinstance(value, dict) else f"{pad}-"
        plain = not isinstance(item, (dict, list)) or not item
        if plain:
            lines.append(f"{head} {_scalar(item)}")
            continue
        if isinstance(item, list) and all(isinstance(one, str) and len(one) < 40 for one in item) and len(item) < 4:
            lines.append(f"{head} {_list(item)}")
            continue
        inner = _emit(item, here, comments, depth + 1)
        if isinstance(value, list) and isinstance(item, dict):
            lines += _hung(head, inner, depth)
        else:
            lines += [head, *inner]
    return lines


def _list(items: list[str]) -> str:
    if any("{{" in one or "{%" in one or "{#" in one for one in items):
        return "[" + ", ".join(_scalar(one) for one in items) + "]"
    return _scalar(items)


def _hung(head: str, inner: list[str], depth: int) -> list[str]:
    """The first key of an item beside its dash; comments before it go above."""
    pad = "  " * (depth + 1)
    above = []
    while inner and inner[0].lstrip().startswith("#"):
        above.append("  " * depth + inner.pop(0).lstrip())
    return [*above, f"{head} {inner[0][len(pad) :]}", *inner[1:]] if inner else [*above, f"{head} {{}}"]


def inventory(imported: Imported, host: str, connection: Mapping[str, Any] | None = None) -> str:
    """The inventory as a file: one host, and the variables with the original's comments."""
    said = "# Written by graceful.wsgi.import; what became of each directive says the .md file beside it."
    lines = ["---", said, "all:"]
    lines += ["  hosts:", f"    {_scalar(host)}:" + ("" if connection else " {}")]
    lines += [f"      {key}: {_scalar(value)}" for key, value in (connection or {}).items()]
    body = _emit(imported.variables, (), imported.comments, 2)
    return "\n".join([*lines, "  vars:", *body]) + "\n" if body else "\n".join(lines) + "\n"
