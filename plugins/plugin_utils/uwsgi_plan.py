"""The plan of the uwsgi role."""

from __future__ import annotations

from typing import Any

from .problem import Problem


def plan(values: dict[str, Any], host: dict[str, Any]) -> tuple[dict[str, Any], list[Problem]]:
    return {}, []
