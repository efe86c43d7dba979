"""The plan: every room's variables in, every room's plan or all the problems out. Pure, controller only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from . import centos7_plan, kit_plan, nginx_plan, old_hosts, publish_plan, remove_plan, spec, uwsgi_plan
from .problem import Problem, close_match

# Where nginx.conf has the files of the publish role included.
SITE_FOLDERS = ["/etc/nginx/conf.d", "/etc/nginx/default.d"]
# In the order of the house; only publish sees the variables of the rooms before it.
PLANNERS = {
    "centos7": lambda values, host, _rooms: centos7_plan.plan(values, host),
    "nginx": lambda values, host, _rooms: nginx_plan.plan(values, host),
    "uwsgi": lambda values, host, _rooms: uwsgi_plan.plan(values, host),
    "publish": publish_plan.plan,
    "remove": remove_plan.plan,
}
# Rooms that are planned only where they are asked for, and by themselves; which variables of the others they read.
ALONE = {"remove": remove_plan.READ}


def _outgrown(host: Mapping[str, Any], variables: Mapping[str, Mapping[str, Any] | None]) -> list[Problem]:
    """The problem of a host that the running Ansible is too new for."""
    if host.get("os_family") != "RedHat" or host.get("version") != "7":
        return []
    builders = {(variables.get(room) or {}).get(f"{room}_build_host") or "" for room in ("nginx", "uwsgi")}
    if (host.get("kit") or {}).get("collecting") and builders <= {"", "localhost"}:
        # No package is installed on this host for a kit, nor on one like it.
        return []
    says = old_hosts.el7(host.get("ansible") or old_hosts.LAST, f"{host.get('distribution')} 7")
    return [Problem("ansible_version", says, old_hosts.MEND.rstrip())] if says else []


def plan(
    specs: Mapping[str, Mapping[str, Any]],
    variables: Mapping[str, Mapping[str, Any] | None],
    host: Mapping[str, Any],
) -> tuple[dict[str, dict[str, Any]], list[Problem]]:
    """Plan all rooms whose variables are given.

    ``specs``: the options of each room's argument spec; ``variables``: each room's variables, or None for a room that
    the play does not show (its defaults then stand for it); ``host``: distribution, version, os_family, arch, systemd,
    selinux, python, the fact uwsgi_installed as uwsgi, the ansible that runs and the room that is asked for (each may
    be None).
    A room's plan is missing where its variables have a wrong type: no planner sees such values.
    """
    plans: dict[str, dict[str, Any]] = {}
    problems = _outgrown(host, variables)
    rooms: dict[str, dict[str, Any]] = {}
    for room, planner in PLANNERS.items():
        wrong: list[Problem] = []
        given = variables.get(room)
        rooms[room] = spec.check(given or {}, specs[room], wrong)
        if wrong:
            # The other rooms' planners go on with its defaults, so that what is wrong with these is told as well.
            bad = {problem.path.partition(".")[0].partition("[")[0] for problem in wrong}
            rooms[room].update((name, specs[room][name].get("default")) for name in bad)
        rooms[room].update(kit_plan.derived(room, rooms[room], host.get("kit")))
        asked = host.get("room")
        if given is None or (room != asked and (room in ALONE or asked in ALONE)):
            continue
        if not wrong:
            plans[room], wrong = planner(rooms[room], dict(host), rooms)
        problems += wrong

    def limits(python: str) -> dict[str, list[str]]:
        return uwsgi_plan.limits(rooms["uwsgi"], {**host, "uwsgi": {"python": python}})

    problems += kit_plan.check(rooms, plans, host, limits)
    if plans.get("nginx"):
        # Whether what nginx.conf and the sites only take together may wait for the role that brings the sites.
        plans["nginx"]["leave_to_others"] = SITE_FOLDERS if "publish" in plans else []
    questions = kit_plan.checks(rooms, plans, host, limits)
    first = plans.get("nginx") or plans.get("publish")
    if questions and first:
        first["checks"] = [*first["checks"], *questions]
    return plans, problems


def untouched(room: str, earlier: Sequence[str]) -> str:
    """What may be said of the host where a role is refused. ``earlier``: roles of this run that were not."""
    if not earlier:
        return "nothing on the host was changed"
    others = [name for name in earlier if name != room]
    done = f"what {' and '.join(others)} did before stays" if others else "what it did earlier in this run stays"
    return f"the role {room} has changed nothing for them, and {done}"


def misspelt(room: str, options: Mapping[str, Any], names: set[str]) -> list[str]:
    """A line for each variable that bears the room's prefix, is not in its spec and looks like one that is."""
    lines = []
    for name in sorted(names):
        if name.startswith(f"{room}_") and name not in options:
            meant = close_match(name, options)
            if meant and meant not in names:
                lines.append(f"{name}: no variable of the role {room} has this name; did you mean {meant}?")
    return lines
