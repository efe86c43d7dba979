"""The plan: every room's variables in, every room's plan or all the problems out. Pure, controller only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import nginx_plan, publish_plan, spec, uwsgi_plan
from .problem import Problem, close_match

PLANNERS = {
    "nginx": nginx_plan.plan,
    "uwsgi": uwsgi_plan.plan,
    "publish": publish_plan.plan,
}


def plan(
    room: str, options: Mapping[str, Any], variables: Mapping[str, Any], host: Mapping[str, Any]
) -> tuple[dict[str, Any], list[Problem]]:
    """Plan one room.

    ``options``: the room's argument spec; ``variables``: the host's variables, of which those in the spec are read;
    ``host``: distribution, version, os_family, arch, systemd, python (each may be None).
    The plan is empty where there are problems: no planner sees values of a wrong type.
    """
    problems: list[Problem] = []
    values = spec.check(variables, options, problems)
    if problems:
        return {}, problems
    planned, problems = PLANNERS[room](values, dict(host))
    return planned, problems


def misspelt(room: str, options: Mapping[str, Any], names: Mapping[str, Any] | set[str]) -> list[str]:
    """A line for each variable that bears the room's prefix, is not in its spec and looks like one that is."""
    lines = []
    for name in sorted(names):
        if name.startswith(f"{room}_") and name not in options:
            meant = close_match(name, options)
            if meant and meant not in names:
                lines.append(f"{name}: no variable of the role {room} has this name; did you mean {meant}?")
    return lines
