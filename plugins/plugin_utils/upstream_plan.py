"""Several servers behind one name: publish_upstreams as nginx's upstream blocks."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from .access_plan import TIME
from .nginx_tree import Directive, idle, slug
from .problem import Problems, close_match
from .text_values import SAFE_NAME, check_text

_ADDRESS = re.compile(r"unix:/[^\s;{}:]+|(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9_.-]+)(:\d{1,5})?")
_HASH = re.compile(r"hash \$[A-Za-z0-9_$]+")
BALANCES = ("round_robin", "least_conn", "address")


def _host(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def _member(member: Mapping[str, Any], port: Any) -> dict[str, Any]:
    """A host of a group as a server; what its variables say may be text."""
    weight, backup = member.get("weight", 1), member.get("backup", False)
    return {
        "address": f"{_host(member['address'])}:{port}",
        "weight": int(weight) if str(weight).isdigit() else weight,
        "max_fails": 1,
        "fail_timeout": "10s",
        "backup": str(backup).lower() in ("true", "yes", "on", "1"),
        "down": False,
    }


def servers(upstream: dict[str, Any], groups: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The servers that are named or, of a group, were found."""
    found = [_member(member, upstream["port"]) for member in groups.get(upstream["group"]) or []]
    return [*upstream["servers"], *found]


def _check_servers(upstream: dict[str, Any], path: str, groups: Mapping[str, Any], problems: Problems) -> None:
    group = upstream["group"]
    if bool(group) == bool(upstream["servers"]):
        message = "has both servers and group" if group else "has no servers"
        problems.add(path, message, "give exactly one of them: servers, or group for the hosts of an inventory group")
    if group and group not in groups:
        meant = close_match(group, groups.get("") or [])
        hint = f"did you mean {meant}?" if meant else "name a group of the inventory, or give servers"
        problems.add(f"{path}.group", f"there is no group {group!r}", hint)
    elif group and not groups[group]:
        problems.add(f"{path}.group", f"the group {group!r} has no hosts", "put hosts into it, or give servers")
    if group and not upstream["port"]:
        problems.add(f"{path}.port", "is missing", "give the port that the group's hosts listen on")
    if upstream["port"] is not None and not 0 < upstream["port"] < 65536:
        problems.add(f"{path}.port", f"{upstream['port']} is no port", "write 1 to 65535")
    if upstream["port"] and not group:
        problems.add(f"{path}.port", "goes with group only", "write it behind each server's address")
    seen: dict[str, int] = {}
    found = servers(upstream, groups)
    for index, server in enumerate(found):
        at = f"{path}.servers[{index}]" if upstream["servers"] else f"{path}.group"
        address = server["address"]
        if not _ADDRESS.fullmatch(address) and (upstream["servers"] or upstream["port"] is not None):
            problems.add(f"{at}.address", f"{address!r} is no address", "write host:port or unix:/path")
        if address in seen:
            problems.add(f"{at}.address", f"{address!r} is that of server {seen[address]} too", "drop one; see weight")
        seen.setdefault(address, index)
        for key, least in (("weight", 1), ("max_fails", 0)):
            value = server[key]
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                problems.add(f"{at}.{key}", f"{value!r} is too few", f"write a number, {least} or more")
        if not TIME.match(server["fail_timeout"]):
            problems.add(f"{at}.fail_timeout", f"{server['fail_timeout']!r} is no time", "write e.g. 10s")
        if server["backup"] and upstream["balance"] not in ("round_robin", "least_conn"):
            hint = "leave backup out, or take round_robin or least_conn"
            problems.add(f"{at}.backup", f"cannot be, balanced by {upstream['balance']}", hint)
    if found and all(server["backup"] or server["down"] for server in found):
        problems.add(path, "has servers that are backup or down only", "let one of them be neither")


def check(upstreams: list[dict[str, Any]], groups: Mapping[str, Any], problems: Problems) -> None:
    seen: dict[str, int] = {}
    for index, upstream in enumerate(upstreams):
        path, name = f"publish_upstreams[{index}]", upstream["name"]
        if not SAFE_NAME.match(name):
            problems.add(f"{path}.name", f"{name!r} is no safe name", "use letters, digits, '_', '.' and '-'")
        if name.lower() in seen:
            message = f"{name!r} is the name of publish_upstreams[{seen[name.lower()]}] too"
            problems.add(f"{path}.name", message, "rename one of them")
        seen.setdefault(name.lower(), index)
        if upstream["balance"] not in BALANCES and not _HASH.fullmatch(upstream["balance"]):
            hint = f"write {', '.join(BALANCES)} or hash and a variable of nginx's"
            problems.add(f"{path}.balance", f"{upstream['balance']!r} is not known", hint)
        if upstream["keepalive"] is not None and upstream["keepalive"] < 1:
            problems.add(f"{path}.keepalive", f"{upstream['keepalive']} is too few", "write 1 or more, or leave it out")
        if upstream["keepalive"] and upstream["protocol"] == "uwsgi":
            message = "means nothing for uwsgi, whose connections serve one request each"
            problems.add(f"{path}.keepalive", message, "leave it out, or set protocol: http")
        _check_servers(upstream, path, groups, problems)
        check_text({key: value for key, value in upstream.items() if key != "servers"}, path, problems)


def _server(server: dict[str, Any]) -> Directive:
    words = [server["address"]]
    for key, usual in (("weight", 1), ("max_fails", 1), ("fail_timeout", "10s")):
        words += [f"{key}={server[key]}"] if server[key] != usual else []
    words += [key for key in ("backup", "down") if server[key]]
    return ["server", " ".join(words), None]


def name_of(upstream: dict[str, Any], publish_set: str) -> str:
    """Its name in nginx, where another set may have one of the same name."""
    return f"publish-{slug(publish_set)}-{upstream['name']}".lower()


def plan(upstream: dict[str, Any], publish_set: str, groups: Mapping[str, Any], nginx_version: str = "") -> Directive:
    name, balance = name_of(upstream, publish_set), upstream["balance"]
    # nginx's workers share what they know of the servers.
    block: list[Directive] = [["zone", f"{name} 64k", None]]
    if balance == "least_conn":
        block.append(["least_conn", "", None])
    elif balance == "address":
        block.append(["hash", "$binary_remote_addr consistent", None])
    elif balance != "round_robin":
        block.append(["hash", f"{balance.split()[1]} consistent", None])
    block += [_server(server) for server in servers(upstream, groups)]
    # Behind what balances: it takes the balancer's place.
    return ["upstream", name, block + idle(nginx_version, upstream["keepalive"])]
