"""Door to plugin_utils/plan.py: reads the rooms' variables, returns one room's plan or fails with every problem."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from ansible.errors import AnsibleUndefinedVariable
from ansible.plugins.action import ActionBase

from ansible_collections.graceful.wsgi.plugins.plugin_utils import plan as planning

# A fact of the host: {set: {publish_apps: [names], publish_sites: [names]}}, for as long as the run lasts.
PUBLISHED = "_graceful_wsgi_published"
ROLES = Path(__file__).resolve().parents[2] / "roles"


def _options(room: str) -> dict[str, Any]:
    spec = yaml.safe_load((ROLES / room / "meta" / "argument_specs.yml").read_text())
    return spec["argument_specs"]["main"]["options"]


def _host(facts: dict[str, Any], args: dict[str, Any]) -> dict[str, Any]:
    systemd = facts.get("systemd") or {}
    python = facts.get("python_version")
    return {
        "distribution": facts.get("distribution"),
        "version": facts.get("distribution_major_version"),
        "os_family": facts.get("os_family"),
        "arch": facts.get("architecture"),
        "systemd": systemd.get("version"),
        "python": ".".join(str(python).split(".")[:2]) if python else None,
        "uwsgi": args["uwsgi"],
        "published": facts.get(PUBLISHED),
    }


class ActionModule(ActionBase):
    """Plan a room on the controller; nothing is sent to the host."""

    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True
    _supports_diff = False

    def _visible(self, options: dict[str, Any], task_vars: dict[str, Any], strict: bool) -> dict[str, Any] | None:
        """The room's variables, templated; None where another room's are not complete yet."""
        found = {}
        for name in options:
            if name in task_vars:
                try:
                    found[name] = self._templar.template(task_vars[name])
                except AnsibleUndefinedVariable:
                    if strict:
                        raise
                    return None
        return found or None

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result = super().run(tmp, task_vars)
        task_vars = task_vars or {}
        _validation, args = self.validate_argument_spec(
            argument_spec={
                "room": {"type": "str", "required": True, "choices": sorted(planning.PLANNERS)},
                "uwsgi": {"type": "dict"},
            },
        )
        own = args["room"]
        specs = {room: _options(room) for room in planning.PLANNERS}
        variables: dict[str, dict[str, Any] | None] = {}
        for room, options in specs.items():
            variables[room] = self._visible(options, task_vars, strict=room == own)
        variables[own] = variables[own] or {}
        host = _host(task_vars.get("ansible_facts") or {}, args)
        plans, problems = planning.plan(specs, variables, host)
        warnings = planning.misspelt(own, specs[own], set(task_vars))
        if warnings:
            result["warnings"] = warnings
        if problems:
            result["failed"] = True
            result["problems"] = [problem._asdict() for problem in problems]
            counted = f"{len(problems)} problem{'s' if len(problems) > 1 else ''} in the variables"
            listed = "\n".join(f"- {problem}" for problem in problems)
            result["msg"] = f"{counted}; nothing on the host was changed.\n{listed}"
            return result
        result.update(changed=False, plan=plans[own])
        if own == "publish":
            result["ansible_facts"] = {PUBLISHED: {**(host["published"] or {}), **plans[own]["published"]}}
        return result
