#!/usr/bin/env python3
"""Writes roles/*/README.md; `make docs` calls it.

Variables come from each role's meta/argument_specs.yml, longer guides from docs/roles/, what templates and tasks of
a user's own are given from the comments of plugins/plugin_utils/model.py.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import re
import sys
from pathlib import Path
from typing import Any

import yaml

DOCS = Path(__file__).resolve().parent
ROLES = DOCS.parent / "roles"
MODEL = DOCS.parent / "plugins/plugin_utils/model.py"
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
    if not options:
        return []
    lines = [f"## {heading}", "", "| name | what | type | default |", "| --- | --- | --- | --- |"]
    for name, option in options.items():
        lines.append(f"| `{name}` | {prose(option.get('description'))} | {kind(option)} | {default(option)} |")
    lines.append("")
    for name, option in options.items():
        if option.get("options"):
            lines += table(option["options"], f"Each of `{name}`")
    return lines


def model() -> Any:
    """The model of the plan, which needs no Ansible."""
    spec = importlib.util.spec_from_file_location("graceful_wsgi_model", MODEL)
    assert spec and spec.loader
    # Its classes look themselves up there.
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def given(role: str) -> list[str]:
    """What templates of a user's own are given, as a table with an example."""
    plan = model()
    if role not in plan.GIVEN:
        return []
    lines = ["## What a template of yours is given", "", "| name | what | in place of |", "| --- | --- | --- |"]
    for variable, (templates, item, name) in plan.GIVEN[role].items():
        said = plan.comments(item)
        if name:
            lines.append(f"| `{variable}` | {prose(said[name])} | `{templates}` |")
            continue
        for field in dataclasses.fields(item):
            if field.metadata.get("public"):
                lines.append(f"| `{variable}.{field.name}` | {prose(said[field.name])} | `{templates}` |")
    example = ["", "All else that it finds may change with any release. For example:", "", "```jinja"]
    return [*lines, *example, *plan.TEMPLATE_EXAMPLES[role].strip().splitlines(), "```", ""]


def told(role: str) -> list[str]:
    """What tasks of a user's own are told, as a table."""
    plan = model()
    lines: list[str] = []
    for variable, item in plan.TOLD.get(role, {}).items():
        said = plan.comments(item)
        lines += ["## What tasks of yours are told", "", "| name | what |", "| --- | --- |"]
        for field in dataclasses.fields(item):
            lines.append(f"| `{variable}.{field.name}` | {prose(said[field.name])} |")
        lines.append("")
    return lines


def entered(specs: dict[str, Any]) -> list[str]:
    """What else of the role may be included, as a table."""
    lines = []
    for name, entry in specs.items():
        if name != "variables" and not entry["short_description"].startswith("(internal)"):
            lines.append(f"| `{name}` | {prose([entry['short_description'] + '.', *entry['description']])} |")
    if not lines:
        return []
    lead = "By `include_role` with `tasks_from`; they read the variables above."
    return ["## Other entry points", "", lead, "", "| tasks_from | what |", "| --- | --- |", *lines, ""]


def readme(role: str) -> str:
    """The text of a role's README."""
    specs = yaml.safe_load((ROLES / role / "meta/argument_specs.yml").read_text())["argument_specs"]
    spec = specs["variables"]
    # What a table of variables cannot show, such as whole inventories.
    guide = DOCS / "roles" / f"{role}.md"
    sources, meant = "meta/argument_specs.yml", "that file"
    more = [f"docs/roles/{role}.md"] if guide.exists() else []
    more += ["plugins/plugin_utils/model.py"] if role in model().GIVEN else []
    if more:
        sources, meant = " and ".join([sources, *more]), "these"
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
    return (
        "\n".join(lines + table(spec["options"], "Variables") + entered(specs) + told(role) + given(role)).rstrip()
        + "\n"
    )


if __name__ == "__main__":
    for path in sorted(ROLES.iterdir()):
        (path / "README.md").write_text(readme(path.name))
