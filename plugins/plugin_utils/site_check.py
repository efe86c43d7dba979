"""What is refused of a site, by itself and beside the others."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Mapping
from typing import Any

from . import access_plan, nginx_unit, server_names
from .location_check import check_location
from .nginx_tree import directives
from .problem import Problems
from .site_listen import claims, endpoint, name_of, wrong
from .site_location import Path
from .text_values import SAFE_NAME, check_text, items


def check_defaults(sites: list[dict[str, Any]], problems: Problems) -> None:
    claimed: dict[tuple[str, int | None], int] = {}
    for index, site in enumerate(sites):
        if site["default_server"] is False and claims(site):
            message = "is false, and listen says default_server"
            problems.add(f"publish_sites[{index}].default_server", message, "leave one of the two out")
        for key in dict.fromkeys(claims(site)):
            if key in claimed:
                message = f"publish_sites[{claimed[key]}] is the default server on {key[1] or key[0]} already"
                problems.add(f"publish_sites[{index}].default_server", message, "let one site be it on each port")
            claimed.setdefault(key, index)


def check_rights(sites: list[dict[str, Any]], nginx: Mapping[str, Any], problems: Problems) -> None:
    """Refuse what the unit keeps nginx from: it would find out at its next start only."""
    for index, site in enumerate(sites):
        for key in ("access_log", "error_log"):
            log = posixpath.normpath((site[key].split() or [""])[0])
            variable = nginx_unit.closed_to(nginx, log)
            if variable:
                hint = f"put it elsewhere, or set {variable}: false"
                problems.add(f"publish_sites[{index}].{key}", f"{log} lies where nginx's unit may not write", hint)
    open_to_all = not nginx["nginx_hardening"] or "CapabilityBoundingSet" in nginx["nginx_unit_options"]
    if open_to_all or "CAP_NET_RAW" in nginx_unit.capabilities(nginx):
        return
    for index, site in enumerate(sites):
        path = f"publish_sites[{index}]"
        blocks = {path: site, **{f"{path}.locations[{at}]": block for at, block in enumerate(site["locations"])}}
        for where, block in blocks.items():
            if nginx_unit.transparent(block["options"]):
                message = "takes addresses of clients for nginx's own (transparent), for which its unit has no right"
                problems.add(f"{where}.options", message, "set nginx_capabilities: [CAP_NET_RAW]")


def _check_listen(lines: list[str], path: str, problems: Problems) -> None:
    for index, line in enumerate(lines):
        why = wrong(line)
        if why:
            hint = "write a port (80), an address with a port (127.0.0.1:80, '[::1]:80') or unix:/absolute/path"
            problems.add(f"{path}[{index}]", why, hint)


def _check_tls(site: dict[str, Any], path: str, problems: Problems) -> None:
    tls = site["tls"]
    if not tls:
        return
    for key in ("certificate", "key"):
        if not tls[key].startswith("/"):
            problems.add(f"{path}.tls.{key}", f"{tls[key]!r} is not absolute", "write the whole path on the host")
    if not tls["listen"]:
        problems.add(f"{path}.tls.listen", "is empty", "write e.g. 443")
    _check_listen(tls["listen"], f"{path}.tls.listen", problems)
    plain = {endpoint(line) for line in site["listen"]}
    for index, line in enumerate(tls["listen"]):
        if endpoint(line) in plain:
            message = f"{line.split()[0]} stands in listen of the site too"
            problems.add(f"{path}.tls.listen[{index}]", message, "leave it in one of them")
    if tls["hsts"] < 0:
        problems.add(f"{path}.tls.hsts", f"{tls['hsts']} is too few", "write seconds, or 0 for none")
    for index, protocol in enumerate(tls["protocols"]):
        if protocol not in ("TLSv1.2", "TLSv1.3"):
            message = f"{protocol!r} is broken or not known"
            problems.add(f"{path}.tls.protocols[{index}]", message, "write TLSv1.2 or TLSv1.3")
    if not tls["protocols"]:
        problems.add(f"{path}.tls.protocols", "is empty", "write TLSv1.2 or TLSv1.3, or leave it out")
    directives({key: tls[key] for key in ("certificate", "key", "listen", "ciphers")}, f"{path}.tls", problems)


def _check_redirects(site: dict[str, Any], path: str, problems: Problems) -> None:
    first = site["server_name"][0] if site["server_name"] else "_"
    if site["aliases"] and (first == "_" or "*" in first or first.startswith(("~", "."))):
        message = f"aliases are redirected to the first server_name, and {first!r} is no name to go to"
        problems.add(f"{path}.aliases", message, "let server_name begin with a whole name")
    if site["redirect"]:
        if not re.fullmatch(r"https?://[^\s$/?#]+(/[^\s$?#]*)?", site["redirect"]):
            message = f"{site['redirect']!r} is no address"
            problems.add(
                f"{path}.redirect", message, "write http:// or https:// and a name, e.g. https://www.example.com"
            )
        for key in ("locations", "aliases"):
            if site[key]:
                message = f"{key} are never reached, since the whole site is redirected"
                problems.add(f"{path}.{key}", message, f"leave one of them out, {key} or redirect")


def _check_owned(options: Mapping[str, Any], path: str, problems: Problems) -> None:
    """Refuse names and sockets beside those that are checked against other sites, probed and have a default server."""
    for name, value in options.items():
        setting = (str(name).split() or [""])[0]
        # A socket of HTTP/3 is counted nowhere.
        others = [item for item in items(value) if "quic" not in f"{name} {item}".split()]
        if setting == "server_name" or (setting == "listen" and others):
            message = "the role writes it itself, and default server, probe and other sites know nothing of one here"
            hint = f"state it with {setting} of the site" + (", or of its tls" if setting == "listen" else "")
            problems.add(f"{path}.{name}", message, hint)


def check(
    site: dict[str, Any],
    path: str,
    apps: Iterable[str],
    upstreams: Mapping[str, Any],
    problems: Problems,
) -> None:
    name = name_of(site)
    fine = server_names.check(site, path, problems)
    if not SAFE_NAME.match(name) and (fine or site["name"]):
        problems.add(
            f"{path}.{'name' if site['name'] else 'server_name'}",
            f"{name!r} is no safe file name",
            "give the site a name of letters, digits, '_', '.' and '-'",
        )
    if not site["listen"] and not site["tls"]:
        problems.add(f"{path}.listen", "is empty", "write e.g. 80")
    _check_listen(site["listen"], f"{path}.listen", problems)
    for key in ("access_log", "error_log"):
        first = site[key].split()[0] if site[key].split() else ""
        known = ["system", "off"] if key == "access_log" else ["system"]
        if first not in known and not first.startswith("/"):
            problems.add(
                f"{path}.{key}", f"{site[key]!r} is not known", f"write {' or '.join(known)} or an absolute path"
            )
    taken = [Path(location["path"]).key for location in site["locations"]]
    seen: dict[Any, int] = {}
    for index, location in enumerate(site["locations"]):
        where = f"{path}.locations[{index}]"
        check_location(location, where, apps, upstreams, taken, problems)
        place = taken[index]
        if place in seen:
            message = f"{location['path']!r} stands in locations[{seen[place]}] too"
            problems.add(f"{where}.path", message, "nginx takes a path once in a site: join or drop one")
        seen.setdefault(place, index)
    _check_tls(site, path, problems)
    _check_redirects(site, path, problems)
    access_plan.check(site, path, problems)
    for index, text in enumerate((site["real_ip"] or {}).get("from") or []):
        access_plan.check_address(text, f"{path}.real_ip.from[{index}]", problems)
    if site["real_ip"] and not site["real_ip"]["from"]:
        hint = "name the proxies in front of the host, or leave real_ip out"
        problems.add(f"{path}.real_ip.from", "is an empty list, by which nobody is believed", hint)
    if site["real_ip"] and not access_plan.HEADER.match(site["real_ip"]["header"]):
        message = f"{site['real_ip']['header']!r} is no name of a header"
        problems.add(f"{path}.real_ip.header", message, "write e.g. X-Forwarded-For")
    _check_owned(site["options"], f"{path}.options", problems)
    directives(site["options"], f"{path}.options", problems)
    directives({key: site[key] for key in ("server_name", "aliases", "listen")}, path, problems)
    check_text(
        {key: value for key, value in site.items() if key not in ("locations", "options", "template")}, path, problems
    )
