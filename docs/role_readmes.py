#!/usr/bin/env python3
"""Writes roles/*/README.md from each role's meta/argument_specs.yml and docs/roles/; `make docs` calls it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

DOCS = Path(__file__).resolve().parent
ROLES = DOCS.parent / "roles"
MARKUP = re.compile(r"\b([CVOMBI])\(([^)]*)\)")


def prose(value: Any) -> str:
    """Ansible's markup as Markdown, on one line fit for a table."""
    text = " ".join(value if isinstance(value, list) else [value or ""])
    text = MARKUP.sub(lambda found: f"**{found[2]}**" if found[1] in "BI" else f"`{found[2]}`", " ".join(text.split()))
    return text.replace("|", "\\|")


def kind(option: dict[str, Any]) -> str:
    text = option.get("type", "str")
    if option.get("elements"):
        text = f"{text} of {option['elements']}"
    if option.get("choices"):
        text = " or ".join(f"`{choice}`" for choice in option["choices"])
    return text


def default(option: dict[str, Any]) -> str:
    if option.get("required"):
        return "**required**"
    value = option.get("default")
    if value is None:
        return ""
    if isinstance(value, bool):
        value = str(value).lower()
    return f"`{value}`" if value != "" else "`''`"


def table(options: dict[str, Any], heading: str) -> list[str]:
    lines = [f"## {heading}", "", "| name | what | type | default |", "| --- | --- | --- | --- |"]
    for name, option in options.items():
        lines.append(f"| `{name}` | {prose(option.get('description'))} | {kind(option)} | {default(option)} |")
    lines.append("")
    for name, option in options.items():
        if option.get("options"):
            lines += table(option["options"], f"Each of `{name}`")
    return lines


def readme(role: str) -> str:
    """The text of a role's README."""
    spec = yaml.safe_load((ROLES / role / "meta/argument_specs.yml").read_text())["argument_specs"]["main"]
    # What a table of variables cannot show, such as whole inventories.
    guide = DOCS / "roles" / f"{role}.md"
    sources, meant = "meta/argument_specs.yml", "that file"
    if guide.exists():
        sources, meant = f"{sources} and docs/roles/{role}.md", "these"
    lines = [
        f"<!-- Written by `make docs` from {sources}: change {meant}, not this one. -->",
        f"# graceful.wsgi.{role}",
        "",
        f"{spec['short_description']}.",
        "",
    ]
    description = spec.get("description") or []
    for paragraph in description if isinstance(description, list) else [description]:
        lines += [prose(paragraph), ""]
    if guide.exists():
        lines += [guide.read_text().rstrip(), ""]
    return "\n".join(lines + table(spec["options"], "Variables")).rstrip() + "\n"


if __name__ == "__main__":
    for path in sorted(ROLES.iterdir()):
        (path / "README.md").write_text(readme(path.name))
