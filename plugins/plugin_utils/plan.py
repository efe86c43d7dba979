"""The plan: every role's variables in, every role's plan or all the problems out. Pure, controller only."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from . import (
    el_plan,
    joined_variables,
    kit_plan,
    kit_role_plan,
    layout,
    nginx_plan,
    old_hosts,
    publish_plan,
    python_plan,
    remove_plan,
    spec,
    uwsgi_plan,
)
from .model import NginxPlan, Plan, UwsgiPlan
from .problem import Problem, close_match

# Where nginx.conf has the files of the publish role included.
SITE_FOLDERS = [f"{layout.NGINX_DIR}/conf.d", f"{layout.NGINX_DIR}/default.d"]
# In the order in which they run; publish sees the variables of the roles before it.
Planner = Callable[[dict[str, Any], dict[str, Any], dict[str, dict[str, Any]]], tuple[Plan | None, list[Problem]]]
PLANNERS: dict[str, Planner] = {
    "el": lambda values, host, _roles: el_plan.plan(values, host),
    "nginx": lambda values, host, _roles: nginx_plan.plan(values, host),
    "uwsgi": lambda values, host, _roles: uwsgi_plan.plan(values, host),
    "publish": publish_plan.plan,
    "remove": remove_plan.plan,
    "kit": kit_role_plan.plan,
}
# Roles that are planned only where they are asked for, and by themselves; which variables of the others they read.
ALONE: dict[str, Mapping[str, Sequence[str]]] = {"remove": remove_plan.READ, "kit": kit_role_plan.READ}


def _outgrown(host: Mapping[str, Any], variables: Mapping[str, Mapping[str, Any] | None]) -> list[Problem]:
    """The problem of a host that the running Ansible is too new for."""
    if host.get("os_family") != "RedHat" or host.get("version") != "7":
        return []
    builders = {(variables.get(role) or {}).get(f"{role}_build_host") or "" for role in ("nginx", "uwsgi")}
    if (host.get("kit") or {}).get("collecting") and builders <= {"", "localhost"}:
        # No package is installed on this host for a kit, nor on one like it.
        return []
    message = old_hosts.el7(host.get("ansible") or old_hosts.LAST, f"{host.get('distribution')} 7")
    return [Problem("ansible_version", message, old_hosts.HINT.rstrip())] if message else []


def plan(
    specs: Mapping[str, Mapping[str, Any]],
    variables: Mapping[str, Mapping[str, Any] | None],
    host: Mapping[str, Any],
) -> tuple[dict[str, Plan], list[Problem]]:
    """Plan all roles whose variables are given.

    ``specs``: the options of each role's argument spec; ``variables``: each role's variables, or None for a role that
    the play does not show (its defaults then stand for it); ``host``: distribution, version, os_family, arch, systemd,
    selinux, python, the fact uwsgi_installed as uwsgi, the ansible that runs and the role that is asked for (each may
    be None).
    A role's plan is missing where its variables are refused; no planner sees values of a wrong type.
    """
    plans: dict[str, Plan] = {}
    problems = _outgrown(host, variables)
    roles: dict[str, dict[str, Any]] = {}
    for role, planner in PLANNERS.items():
        wrong: list[Problem] = []
        given = variables.get(role)
        roles[role] = spec.check(given or {}, specs[role], wrong)
        if wrong:
            # The other roles' planners go on with its defaults, so that what is wrong with these is told as well.
            bad = {problem.path.partition(".")[0].partition("[")[0] for problem in wrong}
            roles[role].update((name, specs[role][name].get("default")) for name in bad)
        roles[role].update(kit_plan.derived(role, roles[role], host.get("kit")))
        asked = host.get("role")
        if given is None or (role != asked and (role in ALONE or asked in ALONE)):
            continue
        if not wrong:
            planned, wrong = planner(roles[role], dict(host), roles)
            if planned is not None:
                plans[role] = planned
        problems += wrong

    def limits(python: str) -> dict[str, list[str]]:
        return uwsgi_plan.limits(roles["uwsgi"], {**host, "uwsgi": {"python": python}})

    problems += kit_plan.check(roles, plans, host, limits)
    uwsgi = plans.get("uwsgi")
    if isinstance(uwsgi, UwsgiPlan) and variables.get("publish"):
        plans["uwsgi"] = replace(uwsgi, pythons=python_plan.wanted(roles["publish"]["publish_apps"]))
    nginx = plans.get("nginx")
    if isinstance(nginx, NginxPlan):
        # Whether what nginx.conf and the sites only take together may wait for the role that brings the sites.
        plans["nginx"] = replace(nginx, leave_to_others=SITE_FOLDERS if "publish" in plans else [])
    questions = kit_plan.checks(roles, plans, host, limits)
    first = next((role for role in ("nginx", "publish") if role in plans), None)
    if questions and first:
        plans[first] = replace(plans[first], checks=[*plans[first].checks, *questions])
    return plans, problems


def untouched(role: str, earlier: Sequence[str]) -> str:
    """What may be said of the host where a role is refused. ``earlier``: roles of this run that were not."""
    if not earlier:
        return "nothing on the host was changed"
    others = [name for name in earlier if name != role]
    done = f"what {' and '.join(others)} did before stays" if others else "what it did earlier in this run stays"
    return f"the role {role} has changed nothing for them, and {done}"


def misspelt(role: str, options: Mapping[str, Any], names: set[str]) -> list[str]:
    """A line for each variable that bears the role's prefix, is not in its spec and looks like one that is."""
    lines = []
    # One that adds up to another has a name of its user's own.
    adding = joined_variables.more(names) if role == "publish" else {}
    lost = joined_variables.misspelt(options, names) if role == "publish" else {}
    for name in sorted(names):
        if name in lost:
            line = "no variable of the role publish has this name, and nothing of it is published"
            lines.append(f"{name}: {line}; did you mean {lost[name]}?")
        elif name.startswith(f"{role}_") and name not in options and name not in adding:
            meant = close_match(name, options)
            if meant and meant not in names:
                lines.append(f"{name}: no variable of the role {role} has this name; did you mean {meant}?")
    return lines
