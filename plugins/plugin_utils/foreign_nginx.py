"""What is published where nginx is, and stays, somebody else's, as playbooks/adopt.yml has it: applications alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import joined_variables
from .problem import Problem

APPS = "publish_apps"
DEFAULTS = joined_variables.KINDS[APPS].defaults
# Where the old application listens, as long as both run.
TAKEN = "socket"


def of_apps(options: Mapping[str, Any], names: Mapping[str, Any]) -> list[str]:
    """The variables that say which applications there are, of those that are set."""
    known = joined_variables.options(options, names)
    adding = joined_variables.more(known)
    return [name for name in known if name in names and (name in (APPS, DEFAULTS) or adding.get(name) == APPS)]


def wanted(given: Mapping[str, Any], options: Mapping[str, Any]) -> tuple[list[dict[str, Any]], list[Problem]]:
    """The applications of all these variables, joined as the plan joins them, and what cannot be moved of them.

    What else is wrong with them the plan refuses.
    """
    joined = joined_variables.join(given, options)
    apps, problems = joined.values.get(APPS, []), list(joined.problems)
    for app, place in zip(apps, joined.places.get(APPS, []), strict=True):
        if not isinstance(app, Mapping) or not app.get("name"):
            problems.append(Problem(place, "is no application with a name", "write its settings, with a name"))
        elif _instances(app) > 1:
            message = "what names a socket in the nginx that is there can lead to one instance only"
            problems.append(Problem(f"{place}.instances", message, "say instances: 1 until nginx is ours too"))
    return [] if problems else [dict(app) for app in apps], problems


def _instances(app: Mapping[str, Any]) -> int:
    try:
        return int(app.get("instances") or 1)
    except (TypeError, ValueError):
        # The plan says so.
        return 1


def alone(given: Mapping[str, Any]) -> dict[str, Any]:
    """The role's variables without sites and upstreams, and without a place to listen that all applications would have.

    ``given``: without variables that add up; publish_apps is all of them, joined.
    """
    found = {**given, "publish_sites": [], "publish_upstreams": []}
    defaults = given.get(str(DEFAULTS))
    if isinstance(defaults, Mapping):
        found[str(DEFAULTS)] = {name: value for name, value in defaults.items() if name != TAKEN}
    return found
