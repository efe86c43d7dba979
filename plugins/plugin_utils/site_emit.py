"""The server block of a site."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from typing import Any

from . import (
    access_plan,
    client_plan,
    inherited_plan,
    layout,
    maintenance_plan,
    nginx_versions,
    request_plan,
    server_names,
)
from .layout import NGINX_LOG_DIR
from .location_emit import VERSION, leads_to
from .model import App
from .model import Site as PlannedSite
from .nginx_tree import Directive, directives, first_words, quoted, slug
from .site_listen import endpoint, name_of, prefix_of, sockets
from .site_location import LINKS, Path, address_of, asks_program, is_internal

# From here on HTTP/2 is a directive; a parameter of listen before.
_HTTP2_SINCE = (1, 25, 1)
# Parameters of listen that nginx takes from one server at each address, and from no second one.
_OF_A_SOCKET = re.compile(
    r"(bind|deferred|multipath|reuseport)\Z|(accept_filter|backlog|fastopen|ipv6only|rcvbuf|setfib|sndbuf|so_keepalive)="
)

GZIP_TYPES = (
    "text/plain text/css text/csv text/xml text/javascript application/javascript application/json application/ld+json"
    " application/manifest+json application/xml application/atom+xml application/rss+xml application/wasm image/svg+xml"
)

# A handshake that is taken up again needs no tickets; one megabyte holds about 4000 of them.
TLS = {"ssl_prefer_server_ciphers": "off", "ssl_session_cache": "shared:publish:10m", "ssl_session_tickets": "off"}


def modern(nginx: Mapping[str, Any]) -> bool:
    """Whether this nginx has HTTP/2 as a directive."""
    return at_least(nginx["nginx_version"], _HTTP2_SINCE)


def at_least(nginx_version: str, since: tuple[int, ...]) -> bool:
    return nginx_versions.numbers(nginx_version) >= since


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
        pages: Mapping[str, maintenance_plan.Page] | None = None,
    ):
        # The applications as the user states them, and their pages of maintenance.
        self.given, self.pages = given or {}, pages or {}
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
        known = location["app"] and asks_program(location)
        return [maintenance_plan.guard(self.own, location["app"])] if known else []

    def _maintenance(self) -> list[Directive]:
        """The locations that answer meanwhile, with the site's own headers."""
        nothing: dict[str, Any] = {"headers": {}, "options": {}}
        found = []
        for app in maintenance_plan.led_to([self.site]):
            self.http += maintenance_plan.outside(self.own, self.given[app], self.pages)
            line = maintenance_plan.location(self.own, self.given[app], self._headers(nothing, more=True))
            found.append([line[0], line[1], inherited_plan.completed(line[2] or [], self.inner)])
        return found

    def _refused(self, location: dict[str, Any]) -> list[Directive]:
        """What keeps from an application requests that its uWSGI cannot take."""
        if not (location["app"] and asks_program(location)):
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
            chain.append({name: f"${self.prefix}_{slug_of(name)}" for name in access_plan.SECURITY_HEADERS})
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
        if not (any(map(is_internal, locations)) and any(map(asks_program, locations))):
            return []
        variable = f"${self.own}_by"
        if is_internal(location):
            # Written so that no word needs quotes.
            others = f"^(?!{location['app'].replace('.', '[.]')}:)[^:]*:."
            return [
                ["uninitialized_variable_warn", "off", None],
                # nginx compares one variable. An error page has no such header.
                ["set", f"${self.own}_to {variable}:$upstream_http_x_accel_redirect", None],
                ["if", f"(${self.own}_to ~ {others})", [["return", "404", None]]],
            ]
        return [["set", f"{variable} {location['app'] or '-'}", None]] if asks_program(location) else []

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
        rest = address_of(location)[1]
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
        leads = leads_to(location, self.apps, self.upstreams, self.client, self.publish_set)
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


def slug_of(header: str) -> str:
    return header.lower().replace("-", "_")
