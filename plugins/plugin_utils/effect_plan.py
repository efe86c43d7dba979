"""What nginx would take and never act on: refused, with what to write instead."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import unquote

from . import client_plan, layout, refusal_plan, site_emit, site_listen, site_location
from .nginx_tree import quoted
from .problem import Problems

# The first nginx that knows the name before it settles the protocol of TLS.
PROTOCOLS_BY_NAME_SINCE = (1, 29, 2)
# Families of directives, each for locations that lead somewhere by that protocol.
FAMILIES = ("proxy", "uwsgi", "fastcgi", "scgi", "grpc", "memcached")
# What of proxy_ there is nothing like for uwsgi, and the other way round.
_ALONE = {
    "cookie_domain",
    "cookie_flags",
    "cookie_path",
    "headers_hash_bucket_size",
    "headers_hash_max_size",
    "http_version",
    "method",
    "modifier1",
    "modifier2",
    "redirect",
    "set_body",
}
# The server that nginx takes these from is chosen before it knows the name that is asked for; what they are untold.
_USUAL = {"ignore_invalid_headers": "on", "merge_slashes": "on", "underscores_in_headers": "off"}


def _said(value: Any) -> str:
    return ("off", "on")[value] if isinstance(value, bool) else " ".join(str(value).split())


def _nested(options: Mapping[str, Any]) -> Iterable[str]:
    """The names of all directives in a mapping and in the blocks in it."""
    for name, value in options.items():
        yield (str(name).split() or [""])[0]
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, Mapping):
                yield from _nested(item)


def _family(name: str) -> tuple[str, str]:
    family, _line, rest = name.partition("_")
    return (family, rest) if family in FAMILIES and rest else ("", "")


def _kind(location: Mapping[str, Any], apps: Mapping[str, Any], upstreams: Mapping[str, Any]) -> str:
    """The family that a location's answers come by; empty where nobody is asked."""
    if location["static"] or location["redirect"] or location["return"]:
        return ""
    if location["app"]:
        protocol = (apps.get(location["app"]) or {}).get("protocol")
        return "proxy" if protocol == "http" else "uwsgi"
    behind = upstreams.get(location["upstream"]) or {}
    return "uwsgi" if behind.get("protocol") == "uwsgi" else "proxy"


def _instead(name: str, value: Any, kind: str) -> str:
    family, rest = _family(name)
    if not kind:
        return "leave it out"
    first = value[0] if isinstance(value, list) and value else value
    words = str(first).split(None, 1)
    if rest == "set_header" and kind == "uwsgi" and len(words) == 2:
        return f"write uwsgi_param: {client_plan.cgi(words[0])} {words[1]}"
    if rest == "param" and kind == "proxy" and len(words) == 2:
        header = "-".join(part.capitalize() for part in words[0].removeprefix("HTTP_").split("_"))
        return f"write proxy_set_header: {header} {words[1]}"
    if rest in _ALONE or rest in ("set_header", "param") or {family, kind} - {"proxy", "uwsgi"}:
        return "leave it out"
    return f"write {kind}_{rest}"


def _check_families(options: Mapping[str, Any], kinds: set[str], path: str, where: str, problems: Problems) -> None:
    passed = {name.removesuffix("_pass") for name in _nested(options) if name.endswith("_pass")}
    kind = next(iter(sorted(kinds)), "") if len(kinds) == 1 else ""
    for name, value in options.items():
        family, rest = _family(str(name).strip())
        if not family or rest == "pass" or family in passed or family in kinds or value is None:
            continue
        asked = {"uwsgi": "by uwsgi", "proxy": "by HTTP"}.get(kind, "of nobody" if not kinds else "otherwise")
        problems.add(f"{path}.{name}", f"has no effect: {where} asks {asked}", _instead(name.strip(), value, kind))


def _check_path(location: Mapping[str, Any], site: Mapping[str, Any], path: str, problems: Problems) -> None:
    where = site_location.Path(location["path"])
    text, modifier = where.text, f"{where.modifier} " if where.modifier else ""
    if where.named:
        return
    if re.search(r"%[0-9a-fA-F]{2}", text):
        message = f"{location['path']!r} is never asked for: nginx compares paths once %20 and the like are read"
        problems.add(path, message, f"write {modifier}{quoted(unquote(text))}")
        return
    plain = re.search(r"\\\?", text) if where.regex else "?" in text
    if plain:
        message = f"{location['path']!r} holds a ?, and what follows it in an address is no part of the path"
        hint = "write the path alone; what the query says is $args, for an if in options"
        problems.add(path, message, hint)
    elif where.regex:
        return
    elif found := re.search(r"[*]|<[^/<>]*>", text):
        message = (
            f"{location['path']!r} holds {found[0]}, which nginx compares as it stands; no request has such a path"
        )
        start = text[: found.start()].rpartition("/")[0] + "/"
        problems.add(path, message, f"write {start}, which is all below it, or a regex that begins with ~")
    elif "#" in text:
        message = f"{location['path']!r} holds a #, and no browser sends what follows it"
        problems.add(path, message, "write the path without it")
    elif "//" in text and _said(site["options"].get("merge_slashes", "on")) != "off":
        message = f"{location['path']!r} is never asked for: nginx makes one / of several"
        problems.add(path, message, f"write {modifier}{re.sub('/+', '/', text)}")
    elif re.search(r"/\.\.?(/|\Z)", text):
        message = f"{location['path']!r} is never asked for: nginx follows . and .. before it compares"
        problems.add(path, message, "write the path that they lead to")


def _check_loop(site: Mapping[str, Any], index: int, path: str, problems: Problems) -> None:
    """Refuse a redirect to a path that leads back to it, as far as the site's own locations say who answers there."""
    locations = [site_location.Path(location["path"]) for location in site["locations"]]
    target = re.split(r"[?#]", site["locations"][index]["redirect"] or "")[0]
    others = any(where.regex for where in locations) or {"include", "location"} & set(_nested(site["options"]))
    if not re.match(r"/(?!/)", target) or "$" in target or others or site["template"]:
        return
    found = [at for at, where in enumerate(locations) if where.exact and where.text == target]
    if not found:
        prefixes = [at for at, where in enumerate(locations) if where.prefix and target.startswith(where.text)]
        found = sorted(prefixes, key=lambda at: len(locations[at].text))[-1:]
    if found == [index] and not site["locations"][index]["options"]:
        message = f"{target!r} is answered by this location, too, which sends a browser there for ever"
        problems.add(f"{path}.redirect", message, f"add a location for {target}, or let path be exact: = /old")


def _holds_code(folder: str, app: Mapping[str, Any], root: str) -> bool:
    """Whether a folder is one that an application's code lies in: of one that is published, its release or its home."""
    if app["path"]:
        return f"{posixpath.normpath(app['path'])}/".startswith(folder.rstrip("/") + "/")
    home = posixpath.join(root, app["name"])
    return bool(re.fullmatch(re.escape(home) + r"(/current|/releases(/[^/]+)?)?", folder))


def warnings(values: Mapping[str, Any]) -> list[str]:
    """Folders of files by which anyone can read an application's code, and the settings that lie beside it.

    Refused they are not: an application may be nothing but files, and what is published stays so.
    """
    root, found = posixpath.normpath(values["publish_root"]), []
    for index, site in enumerate(values["publish_sites"]):
        for at, location in enumerate(site["locations"]):
            # Two slashes at the beginning are kept by normpath, and one to Linux.
            static = re.sub(r"\A//+", "/", posixpath.normpath(location["static"] or "static"))
            if location["app"]:
                named = [location["app"]] if static == "." else []
            else:
                named = [app["name"] for app in values["publish_apps"] if _holds_code(static, app, root)]
            for name in named[:1] if not location["internal"] else []:
                found.append(
                    f"publish_sites[{index}].locations[{at}].static: {location['static']!r} holds the code of {name}, "
                    "which anyone can read with what lies beside it; name the folder of the files that are for "
                    "everyone, such as static"
                )
    return found


def _check_proxy_protocol(sites: list[dict[str, Any]], problems: Problems) -> None:
    """Refuse a client's address by a protocol that is spoken at none of the site's sockets."""
    spoken = {site_listen.endpoint(line) for site in sites for line, _tls in site_listen.sockets(site) if _speaks(line)}
    for index, site in enumerate(sites):
        asked = site["real_ip"] and site["real_ip"]["header"] == "proxy_protocol"
        own = {site_listen.endpoint(line) for line, _tls in site_listen.sockets(site)}
        if asked and not own & spoken and "listen" not in site["options"] and not site["template"]:
            message = "has no effect: no address in listen speaks the PROXY protocol"
            hint = "write e.g. listen: ['80 proxy_protocol'], or the header that names the client"
            problems.add(f"publish_sites[{index}].real_ip.header", message, hint)


def _speaks(line: str) -> bool:
    return "proxy_protocol" in line.split()


def _sockets(site: Mapping[str, Any]) -> Iterable[tuple[Any, bool]]:
    """Where the site itself answers, and whether TLS is spoken there."""
    moved = site["tls"] and site["tls"]["redirect"] and not site["redirect"] and not client_plan.believed(site, {})
    for line, tls in site_listen.sockets(dict(site)):
        if tls or not moved:
            yield site_listen.endpoint(line), tls or "ssl" in line.split()


def _text(value: Any) -> str:
    return str([_said(line) for line in (value if isinstance(value, list) else [value])])


def _check_switches(sites: list[dict[str, Any]], conf: Mapping[str, Any], problems: Problems) -> None:
    """Refuse what one site says, and nginx takes from another that stands for all at a port.

    Where no site is the default there, the server that refuses unknown names says what one of them says. That does the
    others no harm where it is a size or a time, which they leave open.
    """
    plain: dict[Any, dict[int, None]] = {}
    for index, site in enumerate(sites):
        for socket, tls in _sockets(site):
            if not tls:
                plain.setdefault(socket, {})[index] = None
    defaults = site_listen.defaults(sites)
    told: set[tuple[int, str]] = set()
    for socket, indexes in plain.items():
        first = next((index for index in indexes if socket in defaults[index]), None)
        for name in refusal_plan.UNREAD:
            usual = conf.get(name, _USUAL.get(name))
            said = {index: sites[index]["options"].get(name, usual) for index in indexes}
            spoken = [index for index in indexes if sites[index]["options"].get(name) is not None]
            for index in spoken:
                others = [first] if first is not None else [other for other in indexes if other != index]
                if first is None and name not in _USUAL:
                    others = [other for other in spoken if other < index]
                other = next((other for other in others if _text(said[other]) != _text(said[index])), None)
                if other is None or (index, name) in told:
                    continue
                told.add((index, name))
                at = f"port {socket[1]}" if socket[1] else socket[0]
                message = f"is read before nginx knows which site is asked for: one site's counts for all on {at}"
                message += f", and publish_sites[{other}] says {'otherwise' if other in spoken else 'nothing of it'}"
                hint = f"say it in nginx_conf_options.{name} for all of nginx, or give the site a port of its own"
                problems.add(f"publish_sites[{index}].options.{name}", message, hint)


def _check_protocols(sites: list[dict[str, Any]], nginx_version: str, problems: Problems) -> None:
    """Before 1.29.2 nginx settled the protocol of TLS before it knew the name: what one site takes, all took."""
    if site_emit.at_least(nginx_version, PROTOCOLS_BY_NAME_SINCE):
        return
    spoken: dict[Any, tuple[int, set[str]]] = {}
    for index, site in enumerate(sites):
        for socket, tls in _sockets(site) if site["tls"] else ():
            if not tls:
                continue
            protocols = set(str(site["options"].get("ssl_protocols", "")).split() or site["tls"]["protocols"])
            other, theirs = spoken.setdefault(socket, (index, protocols))
            if theirs != protocols:
                message = f"differ from those of publish_sites[{other}] on port {socket[1]}, and nginx {nginx_version}"
                message += " settles them before it knows which site is asked for: each would take what the other does"
                since = ".".join(map(str, PROTOCOLS_BY_NAME_SINCE))
                hint = f"say the same in both, give the site a port of its own, or take nginx {since} or newer"
                problems.add(f"publish_sites[{index}].tls.protocols", message, hint)
                break


def check(values: Mapping[str, Any], nginx: Mapping[str, Any], problems: Problems) -> None:
    """All of it, for the sites of a set."""
    apps = {app["name"]: app for app in values["publish_apps"]}
    upstreams = {upstream["name"]: upstream for upstream in values["publish_upstreams"]}
    for index, site in enumerate(values["publish_sites"]):
        path, kinds = f"publish_sites[{index}]", set()
        for at, location in enumerate(site["locations"]):
            where = f"{path}.locations[{at}]"
            kind = _kind(location, apps, upstreams)
            kinds |= {kind} - {""}
            _check_path(location, site, f"{where}.path", problems)
            _check_loop(site, at, where, problems)
            _check_families(location["options"], {kind} - {""}, f"{where}.options", "the location", problems)
            if location["timeout"] and not kind:
                message = "has no effect: the location waits for nobody"
                problems.add(f"{where}.timeout", message, "leave it out")
            for key in ("uwsgi_chdir", "uwsgi_script"):
                if location[key] and location["app"] and kind == "proxy":
                    message = f"has no effect: {location['app']} is asked by HTTP, which knows no such variable"
                    problems.add(f"{where}.{key}", message, "leave it out, or set protocol: uwsgi of the application")
        # What a file or another template brings along is not known here.
        if kinds and "include" not in site["options"] and not site["template"]:
            _check_families(site["options"], kinds, f"{path}.options", "each location of the site", problems)
        if not any(tls for _socket, tls in _sockets(site)):
            for name in site["options"]:
                if str(name).startswith("ssl_") and "listen" not in site["options"]:
                    problems.add(f"{path}.options.{name}", "has no effect: the site speaks no TLS", "give it tls")
    _check_switches(values["publish_sites"], nginx["nginx_conf_options"], problems)
    _check_proxy_protocol(values["publish_sites"], problems)
    _check_protocols(values["publish_sites"], nginx["nginx_version"], problems)


def checks(sites: list[dict[str, Any]], publish_set: str, folder: str) -> list[dict[str, Any]]:
    """What only the host can tell: whether another set's server stands at a port before this set's."""
    defaults, found = site_listen.defaults(sites), []
    answered = set().union(*defaults)
    own = posixpath.join(folder, posixpath.basename(layout.refusing_site(publish_set)))
    for index, site in enumerate(sites):
        for line, tls in site_listen.sockets(site):
            socket = site_listen.endpoint(line)
            if tls or "ssl" in line.split() or socket in answered:
                continue
            for name in refusal_plan.UNREAD:
                value = site["options"].get(name)
                if value is not None and not isinstance(value, list):
                    check = {"kind": "first_server", "variable": f"publish_sites[{index}].options.{name}"}
                    place = {"folder": folder, "own": own, "listen": line.split()[0]}
                    found.append({**check, **place, "name": name, "value": _said(value)})
    return found
