"""At which names and addresses a site answers, and where it does for all other names."""

from __future__ import annotations

import ipaddress
import re
from typing import Any

from .nginx_tree import slug
from .text_values import HOST_PORT


def name_of(site: dict[str, Any]) -> str:
    if site["name"]:
        return str(site["name"])
    first: str = site["server_name"][0] if site["server_name"] else "_"
    return "default" if first == "_" else first.replace("*", "wildcard").lstrip(".")


def names(site: dict[str, Any]) -> list[str]:
    """All names that the site answers to."""
    return [*(site["server_name"] or ["_"]), *site["aliases"]]


def prefix_of(publish_set: str) -> str:
    """How the variables of a set begin."""
    return f"publish_{slug(publish_set)}"


def endpoint(listen: str) -> tuple[str, int | None]:
    """Address and port of a listen directive; the port is None for a unix socket."""
    address = listen.split()[0] if listen.split() else ""
    if address.isdigit():
        return "*", int(address)
    match = HOST_PORT.match(address)
    if match:
        return "*" if match["host"] == "0.0.0.0" else match["host"] or "*", int(match["port"])
    return address, None if address.startswith("unix:") else 80


# A name begins with a letter; what has digits and dots alone is an address or a slip (80.0).
_HOST = re.compile(r"(?=.*[A-Za-z])[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?\Z")


def wrong(listen: str) -> str | None:
    """Why nginx takes no such line of ``listen``; None where it does."""
    address = listen.split()[0] if listen.split() else ""
    if address.startswith("unix:"):
        return None if address.startswith("unix:/") else f"{address!r} names no absolute path"
    # nginx takes a range too (127.0.0.1:8000-8010), whose first port stands for it here.
    match = HOST_PORT.match(re.sub(r"(:\d{1,5})-\d{1,5}\Z", r"\1", address))
    host, port = (match["host"], match["port"]) if match else ("*", address) if address.isdigit() else (address, "80")
    if not 0 < int(port) < 65536:
        return f"there is no port {port}"
    plain = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    try:
        if plain != host or "." in plain and not _HOST.match(plain):
            ipaddress.ip_address(plain)
        elif host not in ("", "*") and not _HOST.match(host):
            return f"{address!r} is no port and no address"
    except ValueError:
        return f"{address!r} is no port and no address"
    return None


def _with_ipv6(lines: list[str], wanted: bool) -> list[str]:
    taken = {endpoint(line) for line in lines}
    twins = []
    for line in lines:
        host, port = endpoint(line)
        if wanted and host == "*" and ("[::]", port) not in taken:
            twins.append(" ".join([f"[::]:{port}", *line.split()[1:]]))
    return lines + twins


def sockets(site: dict[str, Any]) -> list[tuple[str, bool]]:
    """The site's listen directives, without what the plan adds to them, and whether TLS is spoken there."""
    tls = site["tls"]["listen"] if site["tls"] else []
    return [(line, False) for line in _with_ipv6(site["listen"], site["ipv6"])] + [
        (line, True) for line in _with_ipv6(tls, site["ipv6"])
    ]


def listens(site: dict[str, Any]) -> list[tuple[str, int | None]]:
    """Address and port of each listen directive; HTTP/3 has its ports beside those of the same number."""
    return [endpoint(line) for line, _tls in sockets(site) if "quic" not in line.split()]


def names_by_port(site: dict[str, Any]) -> list[list[str]]:
    """[port, name] of each name that the site answers to at each of its ports."""
    return [[str(port), name] for _host, port in listens(site) if port for name in names(site)]


def claims(site: dict[str, Any]) -> list[tuple[str, int | None]]:
    """Where the site says that it is the default server."""
    if site["default_server"]:
        return listens(site)
    return [endpoint(line) for line, _tls in sockets(site) if {"default_server", "default"}.intersection(line.split())]


def defaults(sites: list[dict[str, Any]]) -> list[set[tuple[str, int | None]]]:
    """For each site, where it is the default server: as they say, else the one that is named _."""
    found = [set(claims(site)) for site in sites]
    taken = set().union(*found)
    for site, claim in zip(sites, found, strict=True):
        if site["default_server"] is None and "_" in (site["server_name"] or ["_"]):
            claim |= set(listens(site)) - taken
            taken |= claim
    return found
