"""The sites of the publish role's plan: the server blocks, led to the applications' sockets."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Mapping
from typing import Any

from . import (
    access_plan,
    client_plan,
    inherited_plan,
    layout,
    maintenance_plan,
    nginx_plan,
    request_plan,
    server_names,
    upstream_plan,
)
from .app_plan import ANY_HOST, HOST_PORT, SAFE_NAME, check_text
from .layout import NGINX_LOG_DIR
from .model import App
from .model import Site as PlannedSite
from .nginx_tree import Directive, directives, first_words, quoted, slug
from .problem import Problems, close_match

# From here on HTTP/2 is a directive; a parameter of listen before.
_HTTP2_SINCE = (1, 25, 1)
# Which links nginx follows to a file.
LINKS = "disable_symlinks"
# Which HTTP the upstreams are spoken to.
VERSION = "proxy_http_version"
TARGETS = ("app", "proxy_pass", "upstream", "static", "redirect", "return")
_NOTHING = '""'
# Parameters of listen that nginx takes from one server at each address, and from no second one.
_OF_A_SOCKET = re.compile(
    r"(bind|deferred|multipath|reuseport)\Z|(accept_filter|backlog|fastopen|ipv6only|rcvbuf|setfib|sndbuf|so_keepalive)="
)
_PATH = re.compile(r"(=|~\*|~|\^~|)\s*(\S.*)\Z")
_ADDRESS = re.compile(r"(?P<base>https?://(?:unix:[^:]+:?|[^/?#]+))(?P<path>/.*)?\Z")
GZIP_TYPES = (
    "text/plain text/css text/csv text/xml text/javascript application/javascript application/json application/ld+json"
    " application/manifest+json application/xml application/atom+xml application/rss+xml application/wasm image/svg+xml"
)
# A handshake that is taken up again needs no tickets; one megabyte holds about 4000 of them.
TLS = {"ssl_prefer_server_ciphers": "off", "ssl_session_cache": "shared:publish:10m", "ssl_session_tickets": "off"}


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


def modern(nginx: Mapping[str, Any]) -> bool:
    """Whether this nginx has HTTP/2 as a directive."""
    return at_least(nginx["nginx_version"], _HTTP2_SINCE)


def at_least(nginx_version: str, since: tuple[int, ...]) -> bool:
    return tuple(int(part) for part in re.findall(r"\d+", nginx_version)[:3]) >= since


def endpoint(listen: str) -> tuple[str, int | None]:
    """Address and port of a listen directive; the port is None for a unix socket."""
    address = listen.split()[0] if listen.split() else ""
    if address.isdigit():
        return "*", int(address)
    match = HOST_PORT.match(address)
    if match:
        return "*" if match["host"] == "0.0.0.0" else match["host"] or "*", int(match["port"])
    return address, None if address.startswith("unix:") else 80


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


def _claims(site: dict[str, Any]) -> list[tuple[str, int | None]]:
    """Where the site says that it is the default server."""
    if site["default_server"]:
        return listens(site)
    return [endpoint(line) for line, _tls in sockets(site) if {"default_server", "default"}.intersection(line.split())]


def check_defaults(sites: list[dict[str, Any]], problems: Problems) -> None:
    claimed: dict[tuple[str, int | None], int] = {}
    for index, site in enumerate(sites):
        if site["default_server"] is False and _claims(site):
            message = "is false, and listen says default_server"
            problems.add(f"publish_sites[{index}].default_server", message, "leave one of the two out")
        for key in dict.fromkeys(_claims(site)):
            if key in claimed:
                message = f"publish_sites[{claimed[key]}] is the default server on {key[1] or key[0]} already"
                problems.add(f"publish_sites[{index}].default_server", message, "let one site be it on each port")
            claimed.setdefault(key, index)


def defaults(sites: list[dict[str, Any]]) -> list[set[tuple[str, int | None]]]:
    """For each site, where it is the default server: as they say, else the one that is named _."""
    claims = [set(_claims(site)) for site in sites]
    taken = set().union(*claims)
    for site, claim in zip(sites, claims, strict=True):
        if site["default_server"] is None and "_" in (site["server_name"] or ["_"]):
            claim |= set(listens(site)) - taken
            taken |= claim
    return claims


def check_rights(sites: list[dict[str, Any]], nginx: Mapping[str, Any], problems: Problems) -> None:
    """Refuse what the unit keeps nginx from: it would find out at its next start only."""
    for index, site in enumerate(sites):
        for key in ("access_log", "error_log"):
            log = posixpath.normpath((site[key].split() or [""])[0])
            variable = nginx_plan.closed_to(nginx, log)
            if variable:
                hint = f"put it elsewhere, or set {variable}: false"
                problems.add(f"publish_sites[{index}].{key}", f"{log} lies where nginx's unit may not write", hint)
    open_to_all = not nginx["nginx_hardening"] or "CapabilityBoundingSet" in nginx["nginx_unit_options"]
    if open_to_all or "CAP_NET_RAW" in nginx_plan.capabilities(nginx):
        return
    for index, site in enumerate(sites):
        path = f"publish_sites[{index}]"
        blocks = {path: site, **{f"{path}.locations[{at}]": block for at, block in enumerate(site["locations"])}}
        for where, block in blocks.items():
            if nginx_plan.transparent(block["options"]):
                message = "takes addresses of clients for nginx's own (transparent), for which its unit has no right"
                problems.add(f"{where}.options", message, "set nginx_capabilities: [CAP_NET_RAW]")


def checks(sites: list[dict[str, Any]], apps: Mapping[str, App], nginx: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What only the host can tell: whether nginx will follow the way to folders that are no release's."""
    found = []
    for index, site in enumerate(sites):
        for at, location in enumerate(site["locations"]):
            app = apps.get(location["app"])
            said = LINKS in {**nginx["nginx_conf_options"], **site["options"], **location["options"]}
            if location["static"] and (app is None or app.path) and not said:
                path = posixpath.join(app.code if app else "/", location["static"])
                variable = f"publish_sites[{index}].locations[{at}].static"
                found.append({"kind": "static_link", "variable": variable, "path": path})
    return found


class Path:
    """A location's path as nginx reads it."""

    def __init__(self, text: str):
        found = _PATH.match(text.strip())
        self.modifier, self.text = (found[1], found[2]) if found else ("", text)
        if len(self.text) > 1 and self.text[0] in "\"'" and self.text[0] == self.text[-1]:
            self.text = self.text[1:-1]
        self.regex = self.modifier in ("~", "~*")
        self.named = self.text.startswith("@") and not self.modifier
        self.exact = self.modifier == "="
        self.prefix = not (self.regex or self.named or self.exact)
        # nginx takes /a and ^~ /a for the same.
        self.key = ("" if self.prefix else self.modifier, self.text)

    @property
    def bare(self) -> str:
        """A prefix that ends in a slash, without it; empty where there is none."""
        return self.text[:-1] if self.prefix and self.text.endswith("/") else ""


def _address(location: dict[str, Any]) -> tuple[str, str]:
    """An address of proxy_pass in two: what is asked, and the path there (empty where there is none)."""
    found = _ADDRESS.match(location["proxy_pass"] or "")
    if not found:
        return location["proxy_pass"] or "", ""
    base, path = found["base"], found["path"] or ""
    if "://unix:" in base and base.endswith(":"):
        base = base[:-1]
    return base, path


def _upstream_of(location: dict[str, Any], upstreams: Mapping[str, Any]) -> dict[str, Any] | None:
    """The one of publish_upstreams that the location leads to."""
    name = location["upstream"] or _address(location)[0].partition("://")[2]
    return upstreams.get(name)


def _check_targets(location: dict[str, Any], path: str, problems: Problems) -> None:
    given = [key for key in TARGETS if location[key]]
    if given == ["app", "static"] and not location["static"].startswith("/"):
        return
    if given == ["app", "proxy_pass"]:
        hint = "give exactly one of them: app for one of publish_apps, proxy_pass for anything else"
        problems.add(path, "has both app and proxy_pass", hint)
    elif len(given) > 1:
        hint = "give exactly one of them; static beside app is a folder in its code"
        problems.add(path, f"has {' and '.join(given)}", hint)
    elif not given:
        problems.add(path, "says nothing of where it leads", f"give exactly one of {', '.join(TARGETS)}")
    elif given == ["static"] and not location["static"].startswith("/"):
        hint = "write the whole path on the host, or name the app in whose code it lies"
        problems.add(f"{path}.static", f"{location['static']!r} is not absolute", hint)


def _check_proxy(location: dict[str, Any], path: str, upstreams: Mapping[str, Any], problems: Problems) -> None:
    proxy, where = location["proxy_pass"], Path(location["path"])
    base, rest = _address(location)
    strip = location["strip_prefix"]
    if not proxy and not location["upstream"]:
        if strip is not None:
            hint = "write mount: true" if location["app"] else "leave it out"
            problems.add(f"{path}.strip_prefix", "goes with proxy_pass and upstream only", hint)
        return
    name = location["upstream"]
    if name and name not in upstreams:
        meant = close_match(name, upstreams)
        hint = f"did you mean {meant}?" if meant else "add it to publish_upstreams, or name one of them"
        problems.add(f"{path}.upstream", f"there is no upstream {name!r}", hint)
    if proxy and not proxy.startswith(("http://", "https://", "$")):
        problems.add(f"{path}.proxy_pass", f"{proxy!r} is no address", "write http://host:port or https://host:port")
        return
    if re.search(r"\s", proxy or ""):
        problems.add(f"{path}.proxy_pass", f"{proxy!r} holds a blank", "write %20 for it")
    behind = _upstream_of(location, upstreams) or {"protocol": "http"}
    if proxy and behind["protocol"] == "uwsgi":
        message = f"asks by HTTP, and {behind['name']} speaks uwsgi"
        problems.add(f"{path}.proxy_pass", message, f"write upstream: {behind['name']}")
    if strip is not None and behind["protocol"] == "uwsgi":
        message = "strip_prefix is for HTTP, and this upstream is asked by uwsgi_pass"
        problems.add(f"{path}.strip_prefix", message, "leave it out, and mount the application where it runs")
    elif "$" in (proxy or ""):
        # nginx sends such an address as it comes out, whatever the location.
        if strip is not None:
            message = "does not work with a variable in the address, which says the whole path itself"
            problems.add(f"{path}.strip_prefix", message, "leave it out, or write the address without variables")
    elif rest and strip is not None:
        message = f"contradicts the path in {proxy!r}, which takes the place of the location's"
        problems.add(f"{path}.strip_prefix", message, "leave it out, or the path of the address")
    elif where.regex or where.named:
        kind = "a regex" if where.regex else "a named location"
        if rest:
            message = f"has the path {rest}, and in {kind} there is no prefix that it could take the place of"
            problems.add(f"{path}.proxy_pass", message, f"write {base}")
        if strip:
            problems.add(
                f"{path}.strip_prefix", f"is true, and {kind} has no prefix", "leave it out, or write a prefix"
            )
    elif where.exact:
        if strip:
            problems.add(f"{path}.strip_prefix", "would leave nothing of an exact path", f"write {base}/ as proxy_pass")
    elif rest and rest.endswith("/") != where.text.endswith("/"):
        wrong = f"{where.text}a would be asked for as {rest}a" if where.bare else f"{where.text}/a as {rest}/a"
        hint = f"let both end in a slash, or neither: {where.text.rstrip('/')}/ and {base}{rest.rstrip('/')}/"
        problems.add(f"{path}.proxy_pass", f"has the path {rest}, and the location {where.text}: {wrong}", hint)
    elif strip and not where.bare:
        message = f"is true, and {where.text} does not end in a slash: of {where.text}a it would leave a"
        problems.add(f"{path}.strip_prefix", message, f"write {where.text}/")


def _check_static(location: dict[str, Any], path: str, problems: Problems) -> None:
    static, where = location["static"], Path(location["path"])
    if not static:
        return
    if ".." in static.split("/"):
        problems.add(f"{path}.static", f"{static!r} holds ..", "write the path without it")
    if where.regex and re.search(r"\$\{?\d", static):
        message = f"{static!r} holds what the regex found, and the whole path is looked for below that"
        problems.add(f"{path}.static", message, "write the folder, and a path without a regex, such as /static/")
    if where.prefix and not where.text.endswith("/"):
        message = f"is served under {where.text}, and {where.text}../ would lead out of it"
        problems.add(f"{path}.path", message, f"write {where.text}/")


def _check_mount(location: dict[str, Any], path: str, problems: Problems) -> None:
    where = Path(location["path"])
    if not location["mount"]:
        return
    if not location["app"] or location["static"]:
        problems.add(f"{path}.mount", "goes with app only", "leave it out; proxy_pass has strip_prefix")
    elif not where.bare or re.search(r"[\s=%$@(),;{}\"'\\]", where.text):
        message = f"is true, and an application cannot be mounted at {location['path']}"
        problems.add(f"{path}.mount", message, "write a path such as /shop/, which begins and ends with a slash")


def _check_slash(location: dict[str, Any], path: str, taken: Iterable[Any], problems: Problems) -> None:
    where, slash = Path(location["path"]), location["slash"]
    if not slash:
        return
    if not where.bare or location["redirect"] or location["return"] or location["internal"]:
        message = "is for a path that ends in a slash and leads to an application or a folder"
        problems.add(f"{path}.slash", message, "leave it out")
    elif ("", where.bare) in taken or ("=", where.bare) in taken:
        problems.add(f"{path}.slash", f"the site has a location for {where.bare} itself", "leave one of the two out")
    elif slash == "serve" and location["static"]:
        problems.add(f"{path}.slash", "cannot be serve for a folder of files", "write redirect or 404")


def _check_location(
    location: dict[str, Any],
    path: str,
    apps: Iterable[str],
    upstreams: Mapping[str, Any],
    taken: Iterable[Any],
    problems: Problems,
) -> None:
    app, where = location["app"], Path(location["path"])
    _check_targets(location, path, problems)
    if app and app not in apps:
        meant = close_match(app, apps)
        hint = f"did you mean {meant}?" if meant else "add it to publish_apps, or name one of them"
        problems.add(f"{path}.app", f"there is no application {app!r}", hint)
    if (where.prefix or where.exact) and not where.text.startswith("/"):
        problems.add(f"{path}.path", f"no request has a path such as {where.text}", "begin it with a slash")
    _check_proxy(location, path, upstreams, problems)
    _check_static(location, path, problems)
    _check_mount(location, path, problems)
    _check_slash(location, path, taken, problems)
    access_plan.check(location, path, problems)
    for key in ("uwsgi_chdir", "uwsgi_script"):
        if location[key] and not app:
            problems.add(f"{path}.{key}", "goes with app only", "leave it out")
    if location["websocket"] and not (app or location["proxy_pass"] or location["upstream"]):
        problems.add(f"{path}.websocket", "goes with app, proxy_pass and upstream only", "leave it out")
    if location["timeout"] and not access_plan.TIME.match(location["timeout"]):
        problems.add(f"{path}.timeout", f"{location['timeout']!r} is no time", "write e.g. 90s or 5m")
    elif location["timeout"] and not re.search("[1-9]", location["timeout"]):
        message = f"{location['timeout']!r} ends each request at once, and nothing means for ever"
        problems.add(f"{path}.timeout", message, "write e.g. 1h")
    if location["redirect"] and not re.match(r"/|\$|[A-Za-z][A-Za-z0-9+.-]*:", location["redirect"]):
        message = (
            f"{location['redirect']!r} is neither an address nor a path, and leads below the one that was asked for"
        )
        problems.add(f"{path}.redirect", message, f"write https://{location['redirect']} or /{location['redirect']}")
    for name in ("uwsgi_pass", "proxy_pass"):
        if name in location["options"]:
            message = "the role writes it itself, so that it fits the application's socket"
            problems.add(
                f"{path}.options.{name}", message, "name the application with app, or use proxy_pass of the location"
            )
    directives(location["options"], f"{path}.options", problems)
    own = {key: location[key] for key in ("path", "proxy_pass", "return", "expires")}
    directives({f"location {own.pop('path')}": {}, **own}, path, problems)
    check_text({key: value for key, value in location.items() if key != "options"}, path, problems)


def _check_tls(site: dict[str, Any], path: str, problems: Problems) -> None:
    tls = site["tls"]
    if not tls:
        return
    for key in ("certificate", "key"):
        if not tls[key].startswith("/"):
            problems.add(f"{path}.tls.{key}", f"{tls[key]!r} is not absolute", "write the whole path on the host")
    if not tls["listen"]:
        problems.add(f"{path}.tls.listen", "is empty", "write e.g. 443")
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
        _check_location(location, where, apps, upstreams, taken, problems)
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
    directives(site["options"], f"{path}.options", problems)
    directives({key: site[key] for key in ("server_name", "aliases", "listen")}, path, problems)
    check_text(
        {key: value for key, value in site.items() if key not in ("locations", "options", "template")}, path, problems
    )


def led_to(sites: list[dict[str, Any]]) -> dict[str, list[str]]:
    """{application: [files of the sites that lead to it]}."""
    found: dict[str, list[str]] = {}
    for site in sites:
        for app in dict.fromkeys(one["app"] for one in site["locations"] if one["app"] and _asks(one)):
            found.setdefault(app, []).append(layout.site(name_of(site)))
    return found


def mounts(sites: list[dict[str, Any]], app: str) -> dict[str, Any]:
    """Where an application is mounted, and whether a location uses it as it is (or none does)."""
    found = [location for site in sites for location in site["locations"] if location["app"] == app]
    found = [location for location in found if not location["static"]]
    mounted = [Path(location["path"]).bare for location in found if location["mount"]]
    return {"mounts": list(dict.fromkeys(mounted)), "unmounted": len(mounted) < len(found) or not found}


def _proxy(address: str, client: client_plan.Client, **more: str) -> list[Directive]:
    headers = {name: value for name, value in client.headers().items() if name.lower() not in client.said}
    headers.update(more)
    lines = [["proxy_set_header", f"{name} {value or _NOTHING}", None] for name, value in headers.items()]
    return [["proxy_pass", address, None], *lines]


def _upstream(app: App) -> str:
    """The application's socket, or the upstream of several, as nginx writes it."""
    if app.upstream:
        return app.upstream
    if app.link:
        return f"unix:{app.link}"
    host = app.socket.rpartition(":")[0]
    return f"{'127.0.0.1' if host in ANY_HOST else host}:{app.port}"


def _rewriting(options: Mapping[str, Any]) -> bool:
    return any(str(name).split()[0] in ("rewrite", "return", "set", "if", "break") for name in options)


def _replaced(
    location: dict[str, Any], base: str, path: str, client: client_plan.Client, replacement: str, **more: str
) -> list[Directive]:
    """A request for ``path`` and more is sent to ``base`` as ``replacement`` and more."""
    if replacement == path:
        pairs = []
    elif replacement == "/":
        # What the application sends away without knowing of the prefix comes back below it.
        pairs = [(f"{base}/", path), (f"~^/(?!/|{re.escape(path[1:])})(.*)$", f"{path}$1")]
    else:
        pairs = [(f"{start}{replacement}", path) for start in (base, f"{client.scheme}://$http_host", "")]
    answers = [["proxy_redirect", f"{quoted(sent)} {quoted(told)}", None] for sent, told in pairs]
    if replacement not in (path, "/"):
        answers.append(["proxy_cookie_path", f"{quoted(replacement)} {quoted(path)}", None])
    if _rewriting(location["options"]):
        return [*_proxy(f"{base}{replacement}", client, **more), *answers]
    # As nginx itself replaces it, but that a path with a line break in it is refused; the address stays without a path.
    rewrite = f"{quoted(f'^{re.escape(path)}(.*)$')} {quoted(f'{replacement}$1')} break"
    return [["rewrite", rewrite, None], ["return", "400", None], *_proxy(base, client, **more), *answers]


def _http(
    location: dict[str, Any], address: str, rest: str, client: client_plan.Client, keepalive: bool
) -> list[Directive]:
    """A location that asks by HTTP; ``rest``: the path in the address."""
    path, version = Path(location["path"]), "1.1"
    if location["strip_prefix"]:
        block = _replaced(location, address, path.text, client, "/", **{"X-Forwarded-Prefix": quoted(path.bare)})
    elif rest and path.prefix and "$" not in address + rest:
        block = _replaced(location, address, path.text, client, rest)
    else:
        block = _proxy(address + rest, client)
    if location["websocket"]:
        block.append(["proxy_set_header", "Upgrade $http_upgrade", None])
        connection = f"${client.prefix}_connection"
    elif location["app"] and not keepalive:
        # uWSGI's http-socket closes each connection, and hands no chunked body to WSGI: by 1.0 each has a length.
        version, connection = "1.0", "close"
    else:
        connection = '""'
    block.append(["proxy_set_header", f"Connection {connection}", None])
    # Said always, since nginx has other defaults for both from 1.29.7 on: see docs/nginx-defaults.md.
    block.insert(0, [VERSION, version, None])
    return block


def _static(location: dict[str, Any], apps: Mapping[str, App]) -> list[Directive]:
    path, folder = Path(location["path"]), location["static"]
    app = apps[location["app"]] if location["app"] else None
    if app:
        folder = posixpath.join(app.code, folder)
    # The way to a release is root's own, and need not be looked at component by component.
    links = [[LINKS, f"if_not_owner {quoted('from=' + app.code)}", None]] if app and not app.path else []
    if path.exact:
        return [["alias", quoted(folder), None], *links]
    if path.text == "/" or not path.prefix:
        return [["root", quoted(folder.rstrip("/") or "/"), None], *links]
    return [["alias", quoted(folder.rstrip("/") + "/"), None], *links]


def _leads(
    location: dict[str, Any],
    apps: Mapping[str, App],
    upstreams: Mapping[str, Any],
    client: client_plan.Client,
    publish_set: str,
) -> list[Directive]:
    """The directives that say where a location leads."""
    if location["static"]:
        return _static(location, apps)
    if location["redirect"]:
        return [["return", f"{location['redirect_status']} {quoted(location['redirect'])}", None]]
    if location["return"]:
        return [["return", location["return"], None]]
    behind = _upstream_of(location, upstreams)
    kind, block = "proxy", []
    app = apps.get(location["app"])
    if app and app.websocket:
        location = {**location, "websocket": True}
    if app:
        address, rest, kind = _upstream(app), "", "proxy" if app.protocol == "http" else "uwsgi"
        if kind == "proxy":
            address = f"http://{address}"
    elif behind:
        address, rest = upstream_plan.name_of(behind, publish_set), _address(location)[1]
        if behind["protocol"] == "uwsgi":
            kind = "uwsgi"
        else:
            address = f"{(location['proxy_pass'] or 'http:').partition(':')[0]}://{address}"
    else:
        address, rest = _address(location)
    if kind == "proxy":
        block = _http(location, address, rest, client, bool(behind and behind["keepalive"]))
    else:
        said = {*client.said, *(inherited_plan.key(line) for line in inherited_plan.given(location["options"]))}
        block = [*client.params(said), ["uwsgi_pass", address, None]]
        if app and location["uwsgi_chdir"]:
            block.append(["uwsgi_param", f"UWSGI_CHDIR {app.chdir}", None])
        if app and location["uwsgi_script"]:
            block.append(["uwsgi_param", f"UWSGI_SCRIPT {app.script}", None])
    timeout = location["timeout"] or ("1h" if location["websocket"] else None)
    if timeout:
        block += [[f"{kind}_read_timeout", timeout, None], [f"{kind}_send_timeout", timeout, None]]
    if app and app.affinity == "cookie":
        block.append(["add_header", f"Set-Cookie ${app.cookie}_new always", None])
    return block


# Beside these of the plan's, the user's of the same name stand too.
REPEATED = {"include", "add_header", "proxy_set_header", "uwsgi_param", "listen", "geo", "if", "set"}


def _without(planned: list[Directive], options: Mapping[str, Any]) -> list[Directive]:
    """What the plan writes less what the user writes himself."""
    given = {str(name).strip() for name in options}
    own = first_words(options, "proxy_set_header")
    return [
        line
        for line in planned
        if (line[0] in REPEATED or line[0] not in given)
        and not (line[0] == "proxy_set_header" and line[1].split()[0].lower() in own)
    ]


def _own(given: list[Directive], planned: list[Directive]) -> list[Directive]:
    """The user's own lines less those that the plan has already in another form."""
    if not any(line[0] == "uwsgi_pass" for line in planned):
        return given
    return [line for line in given if line[0] != "include" or posixpath.basename(line[1]) != "uwsgi_params"]


def _asks(location: dict[str, Any]) -> bool:
    """Whether the location leads to a program, whose answer may send nginx elsewhere."""
    return bool(not location["static"] and (location["app"] or location["proxy_pass"] or location["upstream"]))


def _internal_of(location: dict[str, Any]) -> bool:
    """Whether only an application's own answers lead to this folder of it."""
    return bool(location["internal"] and location["static"] and location["app"])


def _log(text: str, name: str, kind: str) -> str:
    """A log as nginx writes it; a format or a level behind its place stays."""
    place, *rest = text.split()
    return " ".join([posixpath.join(NGINX_LOG_DIR, f"{name}.{kind}.log") if place == "system" else place, *rest])


class Site:
    """One site on its way to a plan."""

    def __init__(
        self,
        site: dict[str, Any],
        apps: Mapping[str, App],
        upstreams: Mapping[str, Any],
        default: set[tuple[str, int | None]],
        publish_set: str,
        nginx: Mapping[str, Any],
        let_in: tuple[int, int],
        spellings: bool = False,
        given: Mapping[str, Mapping[str, Any]] | None = None,
    ):
        # The applications as the user states them.
        self.given = given or {}
        self.let_in = let_in
        self.site, self.apps, self.upstreams, self.default = site, apps, upstreams, default
        self.publish_set, self.nginx = publish_set, nginx
        self.prefix = prefix_of(publish_set)
        self.own = f"publish_site_{slug(name_of(site))}"
        self.client = client_plan.Client(site, self.prefix, self.own, spellings, nginx["nginx_conf_options"])
        # What all of nginx, and the site, say for their locations too.
        self.outer = inherited_plan.given(nginx["nginx_conf_options"])
        self.inner = inherited_plan.around(inherited_plan.given(site["options"]), self.outer)
        self.said = self.inner
        self.client.said = {inherited_plan.key(line) for line in self.inner}
        self.http: list[Directive] = []
        # Each location has the lists of the site, where one has its own.
        self.scattered = any(
            location["allow"] is not None or location["deny"] is not None for location in site["locations"]
        )

    def _collect(self, found: tuple[list[Directive], list[Directive]]) -> list[Directive]:
        """What stands within the block; what stands outside of the server is kept for there."""
        self.http += [line for line in found[0] if line not in self.http]
        return found[1]

    def _maintained(self, location: dict[str, Any]) -> list[Directive]:
        """What leads elsewhere while the application is in maintenance."""
        return [maintenance_plan.guard(self.prefix, location["app"])] if location["app"] and _asks(location) else []

    def _maintenance(self) -> list[Directive]:
        """The locations that answer meanwhile, with the site's own headers."""
        led = dict.fromkeys(one["app"] for one in self.site["locations"] if one["app"] and _asks(one))
        nothing: dict[str, Any] = {"headers": {}, "options": {}}
        found = []
        for app in led:
            line = maintenance_plan.location(self.prefix, self.given[app], self._headers(nothing, more=True))
            found.append([line[0], line[1], inherited_plan.completed(line[2] or [], self.inner)])
        return found

    def _refused(self, location: dict[str, Any]) -> list[Directive]:
        """What keeps from an application requests that its uWSGI cannot take."""
        if not (location["app"] and _asks(location)):
            return []
        takes = self.apps[location["app"]].packet_size
        return self._collect(request_plan.refused(takes, self.let_in, f"{self.own}_{takes}"))

    def _denied(self, location: dict[str, Any] | None, name: str) -> list[Directive]:
        if (location is None) == self.scattered:
            return []
        own = location if location and (location["allow"] is not None or location["deny"] is not None) else None
        block, name = (own, name) if own else (self.site, self.own)
        return self._collect(access_plan.denied(block, name))

    def _guards(self, location: dict[str, Any] | None, name: str) -> list[Directive]:
        block = location or self.site
        return (
            self._denied(location, name)
            + self._collect(access_plan.denied_uri(block, name))
            + self._collect(access_plan.limits(block, name))
        )

    def _headers(self, location: dict[str, Any] | None = None, more: bool = False) -> list[Directive]:
        """The headers of the site or of a location; ``more``: the location adds some besides."""
        site = self.site
        chain = []
        if site["security_headers"]:
            chain.append({name: f"${self.prefix}_{_slug_of(name)}" for name in access_plan.SECURITY_HEADERS})
        if site["tls"] and site["tls"]["hsts"]:
            chain.append({"Strict-Transport-Security": f"max-age={site['tls']['hsts']}"})
        chain.append(site["headers"])
        if location is None:
            said = [line[1] for line in inherited_plan.listed(self.said, "add_header")]
            return access_plan.headers(chain, {"add_header": said})
        if not (more or location["headers"] or "add_header" in location["options"]):
            return []
        # A location that says one header for itself loses those of the server.
        own = {name.lower() for name in location["headers"]}
        said = [
            line[1] for line in inherited_plan.listed(self.said, "add_header") if inherited_plan.key(line) not in own
        ]
        options = inherited_plan.listed(inherited_plan.given(location["options"]), "add_header")
        return access_plan.headers(
            [*chain, location["headers"]], {"add_header": [*said, *(line[1] for line in options)]}
        )

    def _sender(self, location: dict[str, Any]) -> list[Directive]:
        """What keeps one application's internal folder from another's X-Accel-Redirect; empty where there is none.

        A variable that the location of a request sets outlives the redirect that the answer asks for.
        """
        locations = self.site["locations"]
        if not (any(map(_internal_of, locations)) and any(map(_asks, locations))):
            return []
        variable = f"${self.own}_by"
        if _internal_of(location):
            # Written so that no word needs quotes.
            others = f"^(?!{location['app'].replace('.', '[.]')}:)[^:]*:."
            return [
                ["uninitialized_variable_warn", "off", None],
                # nginx compares one variable. An error page has no such header.
                ["set", f"${self.own}_to {variable}:$upstream_http_x_accel_redirect", None],
                ["if", f"(${self.own}_to ~ {others})", [["return", "404", None]]],
            ]
        return [["set", f"{variable} {location['app'] or '-'}", None]] if _asks(location) else []

    def _slash(self, location: dict[str, Any], block: list[Directive]) -> list[Directive]:
        """What the location's path gets without its slash."""
        path = Path(location["path"])
        if not path.bare or location["redirect"] or location["return"] or location["internal"]:
            return []
        keys = {Path(other["path"]).key for other in self.site["locations"]}
        for option in self.site["options"]:
            words = str(option).split(None, 1)
            if len(words) == 2 and words[0] == "location":
                keys.add(Path(words[1]).key)
        if ("=", path.bare) in keys or ("", path.bare) in keys:
            return []
        slash = location["slash"] or "redirect"
        shown = f"= {quoted(path.bare)}"
        guards = [line for line in block if line[0] == "if"]
        limits = [line for line in block if line[0].startswith("limit_")]
        if slash == "404":
            return [["location", shown, [*guards, ["return", "404", None]]]]
        if slash == "redirect":
            target = quoted(f"{path.text}$is_args$args")
            return [["location", shown, [*guards, ["return", f"301 {target}", None]]]]
        rest = _address(location)[1]
        alike = {**location, "path": f"= {path.bare}", "strip_prefix": None}
        if rest and rest != "/":
            alike["proxy_pass"] = location["proxy_pass"][: -len(rest)] + rest.rstrip("/")
        elif rest or location["strip_prefix"]:
            name = location["proxy_pass"] or f"http://{location['upstream']}"
            alike.update(proxy_pass=name.rstrip("/") + "/", upstream=None)
        served = self._block(alike, "")
        others = [line for line in served if line[0] != "if" and line not in limits]
        return [["location", shown, [*guards, *limits, *others]]]

    def _block(self, location: dict[str, Any], name: str) -> list[Directive]:
        leads = _leads(location, self.apps, self.upstreams, self.client, self.publish_set)
        block: list[Directive] = [["internal", "", None]] if location["internal"] else []
        block += self._sender(location)
        if location["client_max_body_size"]:
            block.append(["client_max_body_size", location["client_max_body_size"], None])
        if location["expires"]:
            block.append(["expires", location["expires"], None])
        if name:
            block += self._guards(location, name) + self._maintained(location) + self._refused(location)
        if LINKS in {**self.nginx["nginx_conf_options"], **self.site["options"]}:
            leads = [line for line in leads if line[0] != LINKS]
        upgrades = ["proxy_set_header", "Upgrade $http_upgrade", None] in leads
        if VERSION in {**self.nginx["nginx_conf_options"], **self.site["options"]} and not upgrades:
            leads = [line for line in leads if line[0] != VERSION]
        block += leads + self._headers(location, any(line[0] == "add_header" for line in leads))
        options = location["options"]
        block = _without(block, options) + _own(directives(options, "", []), block)
        taken = {name.lower() for name, value in location["headers"].items() if value is None}
        return inherited_plan.completed(block, self.inner, taken)

    def _locations(self) -> list[Directive]:
        found: list[Directive] = []
        for index, location in enumerate(self.site["locations"]):
            block = self._block(location, f"publish_location_{index}_{slug(name_of(self.site))}")
            found += self._slash(location, block)
            found.append(["location", location["path"], block])
        return found

    def _listen(self, plain: bool, tls: bool, beside: bool = False) -> list[Directive]:
        """``beside``: another server of the site says of the same sockets what is said of a socket once."""
        http2_on = modern(self.nginx)
        lines = []
        for line, secure in sockets(self.site):
            if not (tls if secure else plain):
                continue
            words = [word for word in line.split() if not (beside and _OF_A_SOCKET.match(word))]
            if secure and "quic" not in words:
                words += ["ssl"] if "ssl" not in words else []
                words += ["http2"] if self.site["http2"] and not http2_on and "http2" not in words else []
            if endpoint(line) in self.default and not {"default_server", "default"}.intersection(words):
                words.append("default_server")
            lines.append(["listen", " ".join(words), None])
        if tls and self.site["tls"] and self.site["http2"] and http2_on:
            lines.append(["http2", "on", None])
        return lines

    def _tls(self) -> list[Directive]:
        tls = self.site["tls"]
        if not tls:
            return []
        return [
            ["ssl_certificate", quoted(tls["certificate"]), None],
            ["ssl_certificate_key", quoted(tls["key"]), None],
            ["ssl_protocols", " ".join(tls["protocols"]), None],
            ["ssl_ciphers", quoted(tls["ciphers"]), None],
            *([name, value, None] for name, value in TLS.items()),
        ]

    def _port(self) -> str:
        """What stands behind a name in an address that leads to TLS."""
        ports = [endpoint(line)[1] for line in self.site["tls"]["listen"]]
        return "" if 443 in ports or ports[0] is None else f":{ports[0]}"

    def _redirects(self, logs: list[Directive]) -> list[Directive]:
        """The server blocks beside the site's own, which lead to it."""
        site, found = self.site, []
        secure = site["tls"] and site["tls"]["redirect"] and not site["redirect"]
        believing = self.client.inside()
        start = [["server_name", server_names.written(site["server_name"]), None], *logs]
        if secure and site["listen"] and not believing:
            target = f"301 https://$host{self._port()}$request_uri"
            found.append(["server", "", [*self._listen(True, False), *start, ["return", target, None]]])
        if site["aliases"]:
            start = [["server_name", server_names.written(site["aliases"]), None], *logs, *believing]
            target = f"{self.client.scheme}://{site['server_name'][0]}${self.prefix}_port$request_uri"
            if secure:
                target = f"https://{site['server_name'][0]}{self._port()}$request_uri"
            default, self.default = self.default, set()
            block = [*self._listen(True, True, beside=True), *start, *self._tls()]
            self.default = default
            if site["tls"] and site["tls"]["hsts"]:
                block += access_plan.headers([{"Strict-Transport-Security": f"max-age={site['tls']['hsts']}"}], {})
            found.append(["server", "", [*block, ["return", f"301 {target}", None]]])
        return found

    def _usual(self) -> list[Directive]:
        """What every site has unless it, or all of nginx, has its own."""
        site = self.site
        block = [
            ["absolute_redirect", "off", None],
            ["client_max_body_size", site["client_max_body_size"], None],
            # Whoever writes a folder must not have nginx read for him what another account's link target is.
            [LINKS, "if_not_owner", None],
        ]
        if site["gzip"]:
            block += [
                ["gzip", "on", None],
                ["gzip_vary", "on", None],
                ["gzip_proxied", "any", None],
                ["gzip_min_length", "1024", None],
                ["gzip_types", GZIP_TYPES, None],
            ]
        return _without(block, self.nginx["nginx_conf_options"])

    def _real_ip(self) -> list[Directive]:
        real = self.site["real_ip"]
        if not real:
            return self.client.inside()
        lines = [["set_real_ip_from", access_plan.network(text), None] for text in real["from"]]
        lines += [["real_ip_header", real["header"], None], ["real_ip_recursive", "on", None]]
        return [*lines, *self.client.inside()]

    def _to_tls(self, wanted: bool) -> list[Directive]:
        if not (wanted and self.client.real and self.site["listen"]):
            return []
        target = f"301 https://$host{self._port()}$request_uri"
        return [["if", f"({self.client.scheme} = http)", [["return", target, None]]]]

    def plan(self, template: str) -> PlannedSite:
        site, name = self.site, name_of(self.site)
        access, error = (_log(site[f"{kind}_log"], name, kind) for kind in ("access", "error"))
        logs: list[Directive] = [["access_log", access, None], ["error_log", error, None]]
        redirects = self._redirects(logs)
        to_tls = site["tls"] and site["tls"]["redirect"] and not site["redirect"]
        self.http += self.client.outside()
        # A proxy that is believed may have spoken TLS already, and is not to be sent there once more.
        block = self._listen(not to_tls or bool(self.client.real), True)
        block.append(["server_name", server_names.written(site["server_name"]), None])
        block += logs
        more = [*self._tls(), *self._usual(), *self._real_ip(), *self._to_tls(bool(to_tls))]
        more += [*self._guards(None, self.own), *self._headers()]
        if site["redirect"]:
            target = quoted(f"{site['redirect'].rstrip('/')}$request_uri")
            more.append(["return", f"{site['redirect_status']} {target}", None])
        block += _without(more, site["options"]) + directives(site["options"], "", [])
        taken = {header.lower() for header, value in site["headers"].items() if value is None}
        block = inherited_plan.completed(block, self.outer, taken)
        self.inner = inherited_plan.around(block, self.outer, taken)
        block += self._locations() + self._maintenance()
        return PlannedSite(
            name=name,
            file=layout.site(name),
            logs=[line.split()[0] for line in (access, error) if line.startswith("/")],
            template=site["template"] or template,
            # What stands outside of the server block and is this site's alone.
            http=[*self.http, *redirects],
            server=["server", "", block],
        )


def _slug_of(header: str) -> str:
    return header.lower().replace("-", "_")


def plan(
    values: dict[str, Any], apps: Mapping[str, App], upstreams: Mapping[str, Any], roles: Mapping[str, Any]
) -> list[PlannedSite]:
    """All sites. ``apps``: the applications' plans; ``upstreams``: those of publish_upstreams; each by name."""
    sites = values["publish_sites"]
    let_in = request_plan.lets_in(roles["nginx"]["nginx_conf_options"], sites)
    # nginx takes it from one site for all at the same port.
    spellings = client_plan.underscores(roles["nginx"]["nginx_conf_options"], *(site["options"] for site in sites))
    given = {app["name"]: app for app in values["publish_apps"]}
    return [
        Site(site, apps, upstreams, default, values["publish_set"], roles["nginx"], let_in, spellings, given).plan(
            values["publish_site_template"]
        )
        for site, default in zip(sites, defaults(sites), strict=True)
    ]


def shared(sites: Iterable[PlannedSite], publish_set: str) -> list[Directive]:
    """What the server blocks of several sites use and nginx must be told once: the maps of their variables."""
    prefix = prefix_of(publish_set)
    maps = [
        [
            "map",
            f"$http_host ${prefix}_port",
            [["default", '""', None], [f'"~(?<{prefix}_digits>:[0-9]+)$"', f"${prefix}_digits", None]],
        ],
        ["map", f"$http_upgrade ${prefix}_connection", [["default", "upgrade", None], ['""', '""', None]]],
    ]
    for name, value in access_plan.SECURITY_HEADERS.items():
        lines = [["default", '""', None], ['""', value, None]]
        maps.append(["map", f"$upstream_http_{_slug_of(name)} ${prefix}_{_slug_of(name)}", lines])
    maps += client_plan.maps(prefix)
    text = str([[site.http, site.server] for site in sites])
    found: list[Directive] = []
    # One may be made of another.
    while len(found) < len(found := [line for line in maps if _named_in(line, text)]):
        text += str(found)
    return found


def _named_in(line: Directive, text: str) -> bool:
    """Whether the variable that a map makes stands in a text, beside where the map itself says its name."""
    source, variable = line[1].rsplit(" ", 1)
    made = str([line[0], line[1], line[2]])
    return bool(re.search(re.escape(variable) + r"\b", text.replace(made, "")))
