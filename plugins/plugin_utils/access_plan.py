"""What a site and its locations have in common: who may ask, how often, and the headers of the answers."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from typing import Any

from .nginx_tree import Directive, first_words, quoted
from .problem import Problems

SIZE = re.compile(r"\d+[kKmMgG]?\Z")
TIME = re.compile(r"\d+(ms|[smhdw])?\Z")
_RATE = re.compile(r"[1-9]\d*r/[sm]\Z")
_ZONE = re.compile(r"([1-9]\d*[mM]|(3[2-9]|[4-9]\d|[1-9]\d{2,})[kK])\Z")
_KEY = re.compile(r"address|header [A-Za-z0-9-]+|\$[A-Za-z0-9_]+")
HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+\Z")
SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "SAMEORIGIN",
    "Referrer-Policy": "strict-origin-when-cross-origin",
}
# What add_header stands beside, and does not replace.
_NGINX_OWN = {
    "content-type": "set options: {default_type: text/plain}, or what the application sends",
    "content-length": "leave it out",
    "server": "leave it out; server_tokens in options says how much of it is told",
    "date": "leave it out",
    "connection": "leave it out",
    "transfer-encoding": "leave it out",
}


def network(text: str) -> str:
    """An address or a network as nginx wants it: without bits that mean nothing."""
    return str(ipaddress.ip_network(text, strict=False)).removesuffix("/32").removesuffix("/128")


def _networks(block: dict[str, Any], key: str, path: str, problems: Problems) -> list[str]:
    found = []
    for index, text in enumerate(block[key] or []):
        try:
            found.append(text if text == "all" else network(text))
        except ValueError:
            hint = "write an address, a network (10.0.0.0/8) or all"
            problems.add(f"{path}.{key}[{index}]", f"{text!r} is no address", hint)
    return found


def check_address(text: str, path: str, problems: Problems) -> None:
    try:
        network(text)
    except ValueError:
        problems.add(path, f"{text!r} is no address", "write an address or a network, e.g. 10.0.0.0/8")


def check(block: dict[str, Any], path: str, problems: Problems) -> None:
    # An expression that found no host writes this, too, and nginx would let everyone in. That nobody is denied is what
    # an empty list of those who are says.
    if block["allow"] == [] and not block["deny"]:
        hint = "write allow: [all] for everyone, deny: [all] for nobody, or leave it out"
        problems.add(f"{path}.allow", "is an empty list, by which everyone may ask", hint)
    both = set(_networks(block, "allow", path, problems)).intersection(_networks(block, "deny", path, problems))
    for text in sorted(both):
        problems.add(f"{path}.deny", f"{text} stands in allow too", "leave it in one of them; the narrower one counts")
    for index, pattern in enumerate(block["deny_uri"]):
        if not pattern.strip():
            problems.add(f"{path}.deny_uri[{index}]", "is empty, and would match anything", "leave it out")
    limit = block["limit_requests"]
    if limit:
        for key, known, hint in (
            ("rate", _RATE, "write e.g. 10r/s or 30r/m"),
            ("zone_size", _ZONE, "write 32k or more, e.g. 10m"),
        ):
            if not known.match(limit[key]):
                problems.add(f"{path}.limit_requests.{key}", f"{limit[key]!r} is not known", hint)
        if not _KEY.fullmatch(limit["key"]):
            hint = "write address, header NAME or one of nginx's variables"
            problems.add(f"{path}.limit_requests.key", f"{limit['key']!r} is not known", hint)
        if limit["burst"] < 0:
            problems.add(f"{path}.limit_requests.burst", f"{limit['burst']} is too few", "write 0 or more")
        if not 400 <= limit["status"] < 600:
            message = f"{limit['status']} is no status of a refusal"
            problems.add(f"{path}.limit_requests.status", message, "write 429, or another from 400 to 599")
    if block["limit_connections"] is not None and block["limit_connections"] < 1:
        message = f"{block['limit_connections']} is too few"
        problems.add(f"{path}.limit_connections", message, "write 1 or more, or leave it out")
    size = block["client_max_body_size"]
    if size is not None and not SIZE.match(size):
        problems.add(f"{path}.client_max_body_size", f"{size!r} is no size", "write e.g. 16m, or 0 for any")
    for name, value in block["headers"].items():
        at = f"{path}.headers.{name}"
        if not HEADER.match(name):
            problems.add(at, f"{name!r} is no name of a header", "write letters, digits and '-'")
        elif name.lower() in _NGINX_OWN and value is not None:
            message = "is a header that nginx writes itself, and an answer would have it twice"
            problems.add(at, message, _NGINX_OWN[name.lower()])
        if value is not None and (isinstance(value, bool) or not isinstance(value, (str, int, float))):
            problems.add(at, f"{value!r} is no text", "write text in quotes, or null to take the header away")


def _variable(kind: str, name: str) -> str:
    return f"${name}_{kind}"


def denied(block: dict[str, Any], name: str) -> tuple[list[Directive], list[Directive]]:
    """What stands outside of the server block, and what refuses the request, for ``allow`` and ``deny``.

    By geo and not by nginx's access module, which a redirect would pass by.
    """
    allow, deny = (_networks(block, key, "", Problems()) for key in ("allow", "deny"))
    if not allow and not deny:
        return [], []
    rest = "1" if "all" in deny or (allow and "all" not in allow) else "0"
    lines = [["default", rest, None]]
    for networks, value in ((allow, "0"), (deny, "1")):
        lines += [[network, value, None] for network in dict.fromkeys(networks) if network != "all"]
    variable = _variable("denied", name)
    return [["geo", variable, lines]], [refusal(variable)]


def refusal(variable: str) -> Directive:
    return ["if", f"({variable})", [["return", "403", None]]]


def denied_uri(block: dict[str, Any], name: str) -> tuple[list[Directive], list[Directive]]:
    """The same for ``deny_uri``: one map of the path as nginx understands it, one of what was sent."""
    if not block["deny_uri"]:
        return [], []
    path, sent = _variable("denied_path", name), _variable("denied_uri", name)
    patterns = [[quoted(f"~*{pattern}"), "1", None] for pattern in dict.fromkeys(block["deny_uri"])]
    maps = [
        ["map", f"$uri {path}", [["default", "0", None], *patterns]],
        ["map", f"$request_uri {sent}", [["default", path, None], *patterns]],
    ]
    return maps, [refusal(sent)]


def limits(block: dict[str, Any], name: str) -> tuple[list[Directive], list[Directive]]:
    """The same for limits of requests and connections."""
    zones: list[Directive] = []
    lines: list[Directive] = []
    limit = block["limit_requests"]
    if limit:
        key = limit["key"]
        if key == "address":
            key = "$binary_remote_addr"
        elif key.startswith("header "):
            key = "$http_" + key.partition(" ")[2].lower().replace("-", "_")
        zone = f"{name}_requests"
        zones.append(["limit_req_zone", f"{key} zone={zone}:{limit['zone_size']} rate={limit['rate']}", None])
        burst = f" burst={limit['burst']}" if limit["burst"] else ""
        nodelay = " nodelay" if limit["burst"] and limit["nodelay"] else ""
        lines += [["limit_req", f"zone={zone}{burst}{nodelay}", None], ["limit_req_status", str(limit["status"]), None]]
    if block["limit_connections"]:
        zone = f"{name}_connections"
        zones.append(["limit_conn_zone", f"$binary_remote_addr zone={zone}:10m", None])
        lines += [["limit_conn", f"{zone} {block['limit_connections']}", None], ["limit_conn_status", "429", None]]
    return zones, lines


def headers(chain: Iterable[dict[str, Any]], options: dict[str, Any]) -> list[Directive]:
    """The add_header lines of headers, the later of a name in the place of the earlier; ``options``: the user's own."""
    found: dict[str, tuple[str, Any]] = {}
    for given in chain:
        found.update({name.lower(): (name, value) for name, value in given.items()})
    theirs = first_words(options, "add_header")
    return [
        ["add_header", f"{name} {quoted(str(value), always=True)} always", None]
        for key, (name, value) in found.items()
        if value is not None and key not in theirs
    ]
