"""The plan of the role kit: whose facts are wanted, before all else can be planned for a host that is not reached."""

from __future__ import annotations

from typing import Any

from .model import KitPlan
from .problem import Problem

# What is read of the other roles' variables.
READ = {"uwsgi": ("uwsgi_python",)}


def plan(
    values: dict[str, Any], _host: dict[str, Any], roles: dict[str, dict[str, Any]]
) -> tuple[KitPlan | None, list[Problem]]:
    """What graceful.wsgi.kit_host is asked; the folder of the kit is asked for where it is filled."""
    return KitPlan(facts=values["kit_facts"], python=roles["uwsgi"]["uwsgi_python"]), []
