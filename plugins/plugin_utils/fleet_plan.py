"""The balancers that a host is behind: who they are, and how it is called in their upstreams."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .model import Balanced
from .problem import Problems, close_match


def known(task_vars: Mapping[str, Any], publish: Mapping[str, Any]) -> dict[str, Any]:
    """What the inventory tells of the host and of the group that publish_balancers names."""
    groups, name = task_vars.get("groups") or {}, str(task_vars.get("inventory_hostname") or "")
    group = publish.get("publish_balancers")
    found = groups.get(group) if isinstance(group, str) and group else None
    # As the balancers' own plan reads it: a variable of the host may be a template, and hostvars has none.
    own = (task_vars.get("hostvars") or {}).get(name, task_vars)
    address = str(own.get("ansible_host") or name)
    return {
        "name": name,
        # As the upstreams of the balancers have it.
        "address": f"[{address}]" if ":" in address else address,
        "balancers": None if found is None else [str(one) for one in found],
        "groups": sorted(groups),
    }


def check(values: Mapping[str, Any], host: Mapping[str, Any], problems: Problems) -> None:
    """Refuse a group of balancers that there is not, and a time that is none."""
    group, fleet = values["publish_balancers"], host.get("fleet") or {}
    if (seconds := values["publish_drain_timeout"]) < 0:
        problems.add("publish_drain_timeout", f"{seconds} is too few", "write seconds, 0 or more")
    if not group or not fleet:
        return
    if fleet["balancers"] is None:
        meant = close_match(group, fleet["groups"])
        hint = f"did you mean {meant}?" if meant else "name a group of the inventory"
        problems.add("publish_balancers", f"there is no group {group!r}", hint)
    elif not fleet["balancers"]:
        problems.add("publish_balancers", f"the group {group!r} has no hosts", "put hosts into it, or leave it out")


def plan(values: Mapping[str, Any], host: Mapping[str, Any]) -> Balanced:
    """How the host is taken out of its balancers; one that is a balancer itself is behind none."""
    fleet = host.get("fleet") or {}
    balancers = list(fleet.get("balancers") or []) if values["publish_balancers"] else []
    return Balanced(
        name=fleet.get("name", ""),
        address=fleet.get("address", ""),
        balancers=[] if fleet.get("name") in balancers else balancers,
        timeout=values["publish_drain_timeout"],
    )
