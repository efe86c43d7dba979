"""What may go off a host: publish_prune says yes, no, or that the names of what goes have to be said."""

from __future__ import annotations

from typing import Any

from . import spec
from .problem import Problem, Problems

CONFIRM = "confirm"


def settled(values: dict[str, Any], problems: Problems) -> dict[str, Any]:
    """The variables with publish_prune true or false; publish_prune_confirmed is None where nobody has to confirm."""
    given = values["publish_prune"]
    if isinstance(given, str) and given.strip().lower() == CONFIRM:
        return {**values, "publish_prune": True}
    wrong: list[Problem] = []
    prune = spec.check({"publish_prune": given}, {"publish_prune": {"type": "bool"}}, wrong)["publish_prune"]
    for problem in wrong:
        problems.add(problem.path, f"{problem.message} nor confirm", "write true, false or confirm")
    return {**values, "publish_prune": bool(prune), "publish_prune_confirmed": None}
