"""Server blocks as they were found, as items of publish_sites and publish_upstreams."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from . import layout, site_emit, site_listen, site_location
from .import_apps import FoundApp
from .import_nginx import Node, written
from .import_report import CARRIED, CHANGED, DECIDE, DROPPED, KEPT, Row

REDIRECTS = (301, 302, 303, 307, 308)
PROTOCOLS = ("TLSv1.2", "TLSv1.3")
# Directives of a redirecting server that say nothing of their own beside the redirect.
_SILENT = {"listen", "server_name", "access_log", "error_log", "server_tokens", "root", "index", "charset", "http2"}
_ALIAS = re.compile(
    r"(?:\$\w+_scheme|\$scheme|https)://([\w.-]+)(?::\d+)?(?:\$publish_\w+_port)?(\$request_uri)?\Z"
)
_REAL_IP = ("set_real_ip_from", "real_ip_header", "real_ip_recursive")
_MAINTENANCE = "/.graceful-maintenance/"
_OWN_REFUSAL = re.compile(r"publish-[\w.-]+\.invalid\Z")
_LISTEN_WORDS = {"ssl", "http2", "default_server", "default"}


class Table:
    """What became of each node, and of which no one has said anything yet."""

    def __init__(self) -> None:
        self.rows: dict[int, Row] = {}
        self.nodes: list[Node] = []

    def say(self, node: Node, state: str, how: str, choices: Iterable[str] = (), deep: bool = True) -> None:
        """Note what became of a node, and of all in it where nothing else was said of that."""
        for one in node.walk() if deep else [node]:
            if one is node or id(one) not in self.rows:
                if id(one) not in self.rows:
                    self.nodes.append(one)
                what = list(choices) if one is node else []
                self.rows[id(one)] = Row(one.file, one.line, one.shown(), state, how, what)

    def state(self, node: Node) -> str:
        """What became of a node; empty where nothing was said."""
        row = self.rows.get(id(node))
        return row.state if row else ""

    def sorted(self) -> list[Row]:
        """All rows by their places."""
        return sorted((self.rows[id(node)] for node in self.nodes), key=lambda row: (row.file, row.line))


@dataclass
class Location:
    """A location on its way; ``rest``: what is no variable, ``verbatim``: why all of it is an option of the site."""

    node: Node
    values: dict[str, Any] = field(default_factory=dict)
    rest: list[Node] = field(default_factory=list)
    structure: list[Node] = field(default_factory=list)
    verbatim: str = ""


@dataclass
class Draft:
    """A site on its way."""

    node: Node
    values: dict[str, Any] = field(default_factory=dict)
    rest: list[Node] = field(default_factory=list)
    locations: list[Location] = field(default_factory=list)
    plain: list[tuple[str, Node]] = field(default_factory=list)
    secure: list[tuple[str, Node]] = field(default_factory=list)
    claims: set[tuple[str, int | None]] = field(default_factory=set)
    others: list[Node] = field(default_factory=list)

    def names(self) -> list[str]:
        """The names that it answers to."""
        found: list[str] = self.values.get("server_name") or ["_"]
        return found

    def endpoints(self) -> list[tuple[str, int | None]]:
        """Where it listens."""
        return [site_listen.endpoint(line) for line, _node in [*self.plain, *self.secure]]


def address(text: str) -> str:
    """An address as both ends would write it: unix:/path or host:port."""
    text = re.sub(r"\Aunix:/*", "unix:/", text.strip()).rstrip(":") if text.startswith("unix:") else text.strip()
    if text.startswith(("/", "@")):
        return "unix:" + text
    host, colon, port = text.rpartition(":")
    if not colon or text.startswith("unix:"):
        return text
    return f"127.0.0.1:{port}" if host in ("", "localhost", "0.0.0.0", "*", "[::]", "[::1]") else text


class Targets:
    """Where addresses of nginx lead: to an application that was found, an upstream, or elsewhere."""

    def __init__(self, apps: Iterable[FoundApp], http: Iterable[Node], table: Table) -> None:
        self.table = table
        self.apps: dict[str, tuple[str, FoundApp]] = {}
        self.found: list[FoundApp] = list(apps)
        for one in self.found:
            for protocol, where in one.addresses:
                self.apps.setdefault(address(where), (protocol, one))
            # Our own configuration leads to a link.
            self.apps.setdefault(f"unix:{layout.link(one.app['name'])}", ("uwsgi", one))
        self.nodes = {node.first(): node for node in http if node.name == "upstream"}
        self.upstreams: dict[str, dict[str, Any]] = {}
        self.joined: set[str] = set()

    def app(self, text: str) -> tuple[str, FoundApp] | None:
        """The application behind an address or an upstream of one server, and the protocol that it speaks."""
        node = self.nodes.get(text)
        if node is not None:
            servers = [one for one in node.all("server") if "down" not in one.args]
            if len(servers) != 1:
                return None
            text = servers[0].first()
            if address(text) in self.apps:
                self.joined.add(node.first())
        return self.apps.get(address(text))

    def upstream(self, text: str, protocol: str) -> str:
        """The name in publish_upstreams of what an address or an upstream leads to."""
        node = self.nodes.get(text)
        plain = re.sub(r"\Apublish-main-", "", text.removeprefix("unix:"))
        name = re.sub(r"[^A-Za-z0-9_.-]+", "-", plain).strip("-.")[:60] or "upstream"
        if name not in self.upstreams:
            self.upstreams[name] = {"name": name, "servers": [], "protocol": protocol}
            if node is None:
                self.upstreams[name]["servers"] = [{"address": address(text)}]
            else:
                self._servers(node, self.upstreams[name])
        return name

    def _servers(self, node: Node, upstream: dict[str, Any]) -> None:
        self.table.say(node, CARRIED, f"publish_upstreams: {upstream['name']}", deep=False)
        for one in node.children or []:
            if one.name == "server":
                self._server(one, upstream)
            elif one.name == "least_conn" and not one.args:
                upstream["balance"] = "least_conn"
                self.table.say(one, CARRIED, "balance: least_conn")
            elif one.name == "ip_hash":
                upstream["balance"] = "address"
                how = "balance: address, by the client's whole address; a client may find another server once"
                self.table.say(one, CHANGED, how)
            elif one.name == "keepalive" and one.first() == "0":
                self.table.say(one, CARRIED, "said always")
            elif one.name == "hash" and one.args == ["$binary_remote_addr", "consistent"]:
                upstream["balance"] = "address"
                self.table.say(one, CARRIED, "balance: address")
            elif one.name == "hash" and one.first().startswith("$"):
                upstream["balance"] = f"hash {one.first()}"
                self.table.say(one, CARRIED, "balance")
            elif one.name == "keepalive" and upstream["protocol"] == "http" and one.first().isdigit():
                upstream["keepalive"] = int(one.first())
                self.table.say(one, CARRIED, "keepalive")
            elif one.name == "keepalive":
                self.table.say(one, DROPPED, "means nothing for uwsgi, whose connections serve one request each")
            elif one.name == "zone":
                self.table.say(one, CARRIED, "each upstream has a zone")
            else:
                self.table.say(one, DROPPED, "publish_upstreams has no variable for it; nginx's default stands")

    def _server(self, one: Node, upstream: dict[str, Any]) -> None:
        server: dict[str, Any] = {"address": _with_port(one.first())}
        left = []
        for word in one.args[1:]:
            key, _equals, value = word.partition("=")
            if key in ("weight", "max_fails") and value.isdigit():
                server[key] = int(value)
            elif key == "fail_timeout":
                server[key] = value
            elif word in ("backup", "down"):
                server[word] = True
            else:
                left.append(word)
        upstream["servers"].append(server)
        self.table.say(one, CHANGED if left else CARRIED, f"servers{'; without ' + ' '.join(left) if left else ''}")


def _with_port(text: str) -> str:
    text = address(text) if text.startswith("unix:") else text
    return text if text.startswith("unix:") or re.search(r":\d+\Z", text) else f"{text}:80"


class Sites:
    """All server blocks of a configuration."""

    def __init__(self, http: list[Node], apps: Iterable[FoundApp], table: Table, main: Iterable[Node] = ()) -> None:
        self.http, self.table = http, table
        self.main = list(main)
        self.targets = Targets(apps, http, table)
        self.comments: dict[tuple[int, int | None], list[str]] = {}
        self.drafts: list[Draft] = []
        self.refusing: set[tuple[str, int | None]] = set()

    def outer(self, name: str) -> Node | None:
        """What the blocks around all servers say."""
        return next((node for node in reversed([*self.main, *self.http]) if node.name == name), None)

    def all(self) -> list[Draft]:
        """The sites, in the order of their server blocks."""
        for node in self.http:
            if node.name == "server":
                self._server(node)
        self._join_redirects()
        self._join_aliases()
        self._defaults()
        for draft in self.drafts:
            self._listens(draft)
        self._names()
        return self.drafts

    # -- a server block ------------------------------------------------------------------------------------------------

    def _server(self, node: Node) -> None:
        names = [name for one in node.all("server_name") for name in one.args]
        draft = Draft(node)
        for one in node.all("listen"):
            secure = "ssl" in one.args or "quic" in one.args or _is_on(node.one("ssl"))
            line = " ".join(word for word in one.args if word not in _LISTEN_WORDS)
            (draft.secure if secure else draft.plain).append((line, one))
            if {"default_server", "default"}.intersection(one.args):
                draft.claims.add(site_listen.endpoint(line))
        if not draft.plain and not draft.secure:
            draft.plain.append(("80", node))
        if len(names) == 1 and _OWN_REFUSAL.match(names[0]):
            self.refusing |= set(draft.endpoints())
            self.table.say(node, CARRIED, "what refuses names that no site has is written anyhow")
            return
        self.table.say(node, CARRIED, "publish_sites", deep=False)
        draft.values["server_name"] = [*names] or ["_"]
        for one in node.all("server_name"):
            self.table.say(one, CARRIED, "server_name")
        for one in node.children or []:
            self._of_server(draft, one)
        self._site_values(draft)
        self.drafts.append(draft)

    def _of_server(self, draft: Draft, one: Node) -> None:
        if one.name in ("listen", "server_name"):
            return
        if one.name == "location" and one.args[-1].startswith(_MAINTENANCE):
            self.table.say(one, CARRIED, "maintenance is written anyhow")
            return
        if one.name == "location" and one.children is not None:
            draft.locations.append(self.location(one))
        elif one.name == "ssl" and len(one.args) == 1:
            self.table.say(one, CARRIED if _is_on(one) else DROPPED, "tls")
        elif one.name == "http2" and len(one.args) == 1:
            self.table.say(one, CARRIED, "http2")
        else:
            draft.rest.append(one)

    def _take(self, nodes: list[Node], name: str) -> Node | None:
        """A directive that stands once among what is left, taken out of it."""
        found = [node for node in nodes if node.name == name]
        if len(found) != 1 or found[0].children is not None:
            return None
        nodes.remove(found[0])
        return found[0]

    def _site_values(self, draft: Draft) -> None:
        values, rest = draft.values, draft.rest
        # What we add unasked, off; what the original has in our own words switches it on again.
        values.update(security_headers=False, gzip=False)
        for kind in ("access", "error"):
            self._log(draft, kind)
        size = self._take(rest, "client_max_body_size")
        if size is not None:
            values["client_max_body_size"] = size.first()
            self.table.say(size, CARRIED, "client_max_body_size")
        elif self.outer("client_max_body_size") is None:
            values["client_max_body_size"] = "1m"
        self._headers(values, rest)
        self._real_ip(draft)
        self._usual(draft)
        if draft.secure:
            self._tls(draft)
        returned = self._take(rest, "return")
        if returned is not None:
            target = re.fullmatch(r"(https?://[^\s$/?#]+(?:/[^\s$?#]*)?)\$request_uri", returned.args[-1])
            status = returned.first()
            if target and not draft.locations and status.isdigit() and int(status) in REDIRECTS:
                values.update(redirect=target[1], **({} if status == "301" else {"redirect_status": int(status)}))
                self.table.say(returned, CARRIED, "redirect")
            else:
                rest.append(returned)

    def _log(self, draft: Draft, kind: str) -> None:
        name = f"{kind}_log"
        own = self._take(draft.rest, name)
        inherited = None if any(node.name == name for node in draft.rest) else self.outer(name)
        node = own or inherited
        default = "off" if kind == "access" else ""
        if node is None:
            draft.values[name] = f"/var/log/nginx/{kind}.log"
            return
        text, place = " ".join(written(node.args)), node.first()
        if place.startswith("/dev/") or place in ("stderr", "stdout") or place.startswith("syslog:"):
            if own:
                draft.rest.append(own)
            elif not place.startswith("syslog:"):
                draft.values[name] = text
            return
        if place == default and kind == "access":
            draft.values[name] = "off"
        elif place.startswith("/"):
            draft.values[name] = text
        else:
            whole = posixpath.join(layout.NGINX_LOG_DIR, posixpath.basename(place))
            draft.values[name] = " ".join([whole, *node.args[1:]])
        if own:
            same = draft.values[name] == text
            self.table.say(own, CARRIED if same else CHANGED, name if same else f"{name}: {draft.values[name]}")

    def _real_ip(self, draft: Draft) -> None:
        """Proxies that are believed, where the server says all of it."""
        nodes = {name: [one for one in draft.rest if one.name == name] for name in _REAL_IP}
        believed, header, recursive = nodes.values()
        if not believed or len(header) != 1 or len(recursive) != 1 or recursive[0].args != ["on"]:
            return
        if any("unix:" in one.args for one in believed) or header[0].first() == "proxy_protocol":
            return
        draft.values["real_ip"] = {"from": [one.first() for one in believed], "header": header[0].first()}
        for one in (*believed, *header, *recursive):
            draft.rest.remove(one)
            self.table.say(one, CARRIED, "real_ip")

    def _headers(self, values: dict[str, Any], rest: list[Node]) -> None:
        """add_header lines that say always and stand alone, as headers."""
        lines = [node for node in rest if node.name == "add_header"]
        names = [node.first().lower() for node in lines]
        for node in lines:
            fine = len(node.args) == 3 and node.args[2] == "always" and names.count(node.first().lower()) == 1
            if fine and "publish_" not in node.args[1] and node.first().lower() != "strict-transport-security":
                values.setdefault("headers", {})[node.first()] = node.args[1]
                rest.remove(node)
                self.table.say(node, CARRIED, f"headers: {node.first()}")

    def _usual(self, draft: Draft) -> None:
        """What we would add by ourselves, where the original has it in the same words."""
        has = {(node.name, " ".join(node.args)) for node in draft.rest}
        gzip = {("gzip", "on"), ("gzip_vary", "on"), ("gzip_proxied", "any"), ("gzip_types", site_emit.GZIP_TYPES)}
        gzip.add(("gzip_min_length", "1024"))
        draft.values["gzip"] = gzip <= has
        draft.values["security_headers"] = any(
            name == "add_header" and re.search(r"\$publish_\w+_x_content_type_options", text) for name, text in has
        )

    def _tls(self, draft: Draft) -> None:
        tls: dict[str, Any] = {"redirect": False, "hsts": 0}
        for key, name in (("certificate", "ssl_certificate"), ("key", "ssl_certificate_key")):
            node = self._take(draft.rest, name)
            found = node or self.outer(name)
            if found is not None:
                tls[key] = posixpath.join(layout.NGINX_DIR, found.first())
            if node is not None:
                self.table.say(node, CARRIED, f"tls: {key}")
        protocols = self._take(draft.rest, "ssl_protocols")
        if protocols is not None:
            tls["protocols"] = [word for word in protocols.args if word in PROTOCOLS] or [*PROTOCOLS]
            gone = [word for word in protocols.args if word not in PROTOCOLS]
            how = f"tls: protocols{'; ' + ', '.join(gone) + ' is broken and refused' if gone else ''}"
            self.table.say(protocols, CHANGED if gone else CARRIED, how)
        ciphers = self._take(draft.rest, "ssl_ciphers")
        if ciphers is not None:
            tls["ciphers"] = ciphers.first()
            self.table.say(ciphers, CARRIED, "tls: ciphers")
        for node in [one for one in draft.rest if one.name == "add_header"]:
            age = re.fullmatch(r"max-age=(\d+)", node.args[1]) if len(node.args) > 1 else None
            if node.first().lower() == "strict-transport-security" and age and node.args[2:] == ["always"]:
                tls["hsts"] = int(age[1])
                draft.rest.remove(node)
                self.table.say(node, CARRIED, "tls: hsts")
        if not ("certificate" in tls and "key" in tls):
            how = "the server speaks TLS, and no certificate was found for it"
            choices = ["tls: certificate and key, whole paths on the host", "leave tls out"]
            self.table.say(draft.node, DECIDE, how, choices, deep=False)
            tls.setdefault("certificate", "/etc/ssl/certs/ssl-cert-snakeoil.pem")
            tls.setdefault("key", "/etc/ssl/private/ssl-cert-snakeoil.key")
        draft.values["tls"] = tls
        on = any("http2" in node.args for _line, node in draft.secure) or _is_on(draft.node.one("http2"))
        draft.values["http2"] = on or _is_on(self.outer("http2"))

    # -- locations -----------------------------------------------------------------------------------------------------

    def location(self, node: Node) -> Location:
        """One location: where it leads, what of it is a variable, and the rest."""
        found = Location(node, {"path": " ".join(written(node.args))}, list(node.children or []))
        self.table.say(node, CARRIED, f"locations: {found.values['path']}", deep=False)
        led = self._led(found)
        if not led:
            found.verbatim = "it leads to nothing that locations has a variable for"
            return found
        for name, key in (("client_max_body_size", "client_max_body_size"), ("expires", "expires")):
            one = self._take(found.rest, name)
            if one is not None:
                found.values[key] = " ".join(written(one.args))
                self.table.say(one, CARRIED, key)
        self._headers(found.values, found.rest)
        internal = self._take(found.rest, "internal")
        if internal is not None:
            found.values["internal"] = True
            self.table.say(internal, CARRIED, "internal")
        if led in ("uwsgi", "http"):
            self._spoken(found, led)
        return found

    def _led(self, found: Location) -> str:
        """uwsgi, http, or files and the like, by what the location says of where it leads; empty where it does not."""
        for name in ("uwsgi_pass", "proxy_pass"):
            one = self._take(found.rest, name)
            if one is not None:
                found.structure.append(one)
                return self._uwsgi(found, one) if name == "uwsgi_pass" else self._http(found, one)
        if any(node.name.endswith("_pass") or node.name == "try_files" for node in found.rest):
            return ""
        one = self._take(found.rest, "return")
        if one is not None:
            return self._returned(found, one)
        return self._files(found)

    def _uwsgi(self, found: Location, one: Node) -> str:
        app = self.targets.app(one.first())
        if "$" in one.first():
            found.rest.append(one)
            return ""
        if app is not None:
            protocol, target = app
            found.values["app"] = target.app["name"]
            self._mounted(found, target)
            if protocol == "uwsgi":
                self.table.say(one, CARRIED, f"app: {target.app['name']}, whose socket this is")
            else:
                how = f"app: {target.app['name']}. Its socket speaks HTTP and was asked by uwsgi;"
                how += " the role asks as it speaks"
                self.table.say(one, CHANGED, how)
            return "uwsgi" if protocol == "uwsgi" else "http"
        name = self.targets.upstream(one.first(), "uwsgi")
        found.values["upstream"] = name
        if one.first() in self.targets.nodes:
            self.table.say(one, CARRIED, f"upstream: {name}")
        else:
            choices = ["add the application's configuration and import again", "leave it: it runs elsewhere"]
            self.table.say(one, DECIDE, f"upstream: {name}; no application was found at {one.first()}", choices)
        return "uwsgi"

    @staticmethod
    def _mounted(found: Location, app: FoundApp) -> None:
        bare = site_location.Path(found.values["path"]).bare
        if bare and bare in app.mounts:
            found.values["mount"] = True

    def _http(self, found: Location, one: Node) -> str:
        match = re.match(r"(https?)://((?:unix:[^:]+:?)|[^/?#]+)(.*)\Z", one.first())
        if not match:
            found.values["proxy_pass"] = one.first()
            self.table.say(one, CARRIED, "proxy_pass")
            return "http"
        scheme, base, rest = match.groups()
        rest = rest or self._replaced(found)
        app = self.targets.app(base) if scheme == "http" else None
        if app is not None and (not rest or rest == found.values["path"]):
            found.values["app"] = app[1].app["name"]
            self._mounted(found, app[1])
            wrong = app[0] == "uwsgi"
            how = f"app: {app[1].app['name']}"
            more = ". Its socket speaks uwsgi and was asked by HTTP; the role asks as it speaks"
            self.table.say(one, CHANGED if wrong else CARRIED, how + (more if wrong else ""))
            return "uwsgi" if wrong else "http"
        if base in self.targets.nodes:
            name = self.targets.upstream(base, "http")
            if scheme == "http" and not rest:
                found.values["upstream"] = name
                self.table.say(one, CARRIED, f"upstream: {name}")
                return "http"
        found.values["proxy_pass"] = f"{scheme}://{base}{rest}" if "strip_prefix" not in found.values else f"{scheme}://{base}"
        self.table.say(one, CARRIED, "proxy_pass")
        return "http"

    def _replaced(self, found: Location) -> str:
        """The path that takes the place of the location's, where a rewrite says it as this collection does."""
        path = site_location.Path(found.values["path"]).text
        rewrites = [node for node in found.rest if node.name == "rewrite"]
        returns = [node for node in found.rest if node.name == "return" and node.args == ["400"]]
        if len(rewrites) != 1 or len(returns) != 1 or rewrites[0].args[2:] != ["break"]:
            return ""
        pattern, target = rewrites[0].args[:2]
        if pattern != f"^{re.escape(path)}(.*)$" or not target.endswith("$1"):
            return ""
        for node in (*rewrites, *returns):
            found.rest.remove(node)
            self.table.say(node, CARRIED, "proxy_pass")
        prefixes = [node for node in found.rest if node.first() == "X-Forwarded-Prefix" and node.args[1:] != [""]]
        if target == "/$1" and prefixes:
            found.values["strip_prefix"] = True
            return ""
        return target[:-2]

    def _returned(self, found: Location, one: Node) -> str:
        found.structure.append(one)
        status = one.first()
        target = one.args[1] if len(one.args) == 2 else ""
        plain = re.match(r"/|\$|[A-Za-z][A-Za-z0-9+.-]*:", target)
        if status.isdigit() and int(status) in REDIRECTS and plain:
            found.values.update(redirect=target, **({} if status == "301" else {"redirect_status": int(status)}))
            self.table.say(one, CARRIED, "redirect")
        else:
            found.values["return"] = " ".join(written(one.args))
            self.table.say(one, CARRIED, "return")
        return "return"

    def _files(self, found: Location) -> str:
        path = site_location.Path(found.values["path"])
        one = self._take(found.rest, "alias") or self._take(found.rest, "root")
        if one is None or path.named or "$" in one.first() or not one.first().startswith("/"):
            if one is not None:
                found.rest.append(one)
            return ""
        found.structure.append(one)
        folder, how = one.first(), "static"
        if one.name == "root" and path.prefix and path.text != "/" or one.name == "root" and path.exact:
            folder = one.first().rstrip("/") + path.text
        elif one.name == "alias" and path.regex:
            found.rest.append(one)
            return ""
        state = CARRIED
        if path.prefix and not path.text.endswith("/") and not posixpath.splitext(path.text)[1]:
            found.values["path"] += "/"
            folder = folder.rstrip("/") + "/"
            state = CHANGED
            how = f"static of {found.values['path']}: without the slash {path.text}../ would lead out of the folder"
        elif path.prefix and not path.text.endswith("/"):
            found.values["path"] = f"= {path.text}"
            state, how = CHANGED, f"static of = {path.text}, the one file"
        found.values["static"] = folder.rstrip("/") or "/"
        self.table.say(one, state, how)
        return "static"

    def _spoken(self, found: Location, kind: str) -> None:
        """Lines for one protocol beside the other, WebSockets, time-outs, and what is said of the application."""
        other = "proxy_" if kind == "uwsgi" else "uwsgi_"
        for node in [one for one in found.rest if one.name.startswith(other)]:
            found.rest.remove(node)
            asks = "uwsgi_pass" if kind == "uwsgi" else "proxy_pass"
            self.table.say(node, DROPPED, f"does nothing beside {asks}")
        for node in [one for one in found.rest if one.name == "include"]:
            if posixpath.basename(node.first()) in ("uwsgi_params", "uwsgi_param"):
                found.rest.remove(node)
                if posixpath.basename(node.first()) == "uwsgi_param":
                    self.table.say(node, CHANGED, "uwsgi_params, which was meant: there is no file uwsgi_param")
                else:
                    what = "the role includes it" if kind == "uwsgi" else "does nothing beside proxy_pass"
                    self.table.say(node, CARRIED if kind == "uwsgi" else DROPPED, what)
        if kind == "uwsgi":
            self._params(found)
        else:
            self._upgrade(found)
        self._timeouts(found, "uwsgi" if kind == "uwsgi" else "proxy")

    def _params(self, found: Location) -> None:
        app = self._app_of(found)
        for node in [one for one in found.rest if one.name == "uwsgi_param" and len(one.args) > 1]:
            name, value = node.first(), node.args[1]
            if name == "UWSGI_CHDIR" and app and value.rstrip("/") in self._folders(app):
                found.values["uwsgi_chdir"] = True
                self.table.say(node, CARRIED, "uwsgi_chdir")
            elif name == "UWSGI_SCRIPT" and app and value in self._scripts(app):
                found.values["uwsgi_script"] = True
                self.table.say(node, CARRIED, "uwsgi_script")
            elif name.startswith("UWSGI_") and app:
                self.table.say(node, DROPPED, "the application says it itself, and refuses requests that say otherwise")
            else:
                continue
            found.rest.remove(node)

    def _app_of(self, found: Location) -> FoundApp | None:
        return next((one for one in self.targets.found if one.app["name"] == found.values.get("app")), None)

    @staticmethod
    def _folders(app: FoundApp) -> set[str]:
        return {str(app.app.get("chdir") or app.app["path"]).rstrip("/")}

    @staticmethod
    def _scripts(app: FoundApp) -> set[str]:
        script = posixpath.splitext(posixpath.basename(str(app.app.get("wsgi_file", ""))))[0]
        module = str(app.app.get("module") or script)
        return {module if ":" in module else f"{module}:{app.app.get('callable', 'app')}"}

    def _upgrade(self, found: Location) -> None:
        lines = [node for node in found.rest if node.name == "proxy_set_header"]
        upgrade = [node for node in lines if [word.lower() for word in node.args] == ["upgrade", "$http_upgrade"]]
        connection = [node for node in lines if node.first().lower() == "connection" and len(node.args) == 2]
        if not upgrade or not connection:
            return
        found.values["websocket"] = True
        for node in [*upgrade, *connection, *[one for one in found.rest if one.name == "proxy_http_version"]]:
            found.rest.remove(node)
            self.table.say(node, CARRIED, "websocket")

    def _timeouts(self, found: Location, kind: str) -> None:
        reading, sending = (
            [node for node in found.rest if node.name == f"{kind}_{verb}_timeout"] for verb in ("read", "send")
        )
        if len(reading) == 1 and len(sending) == 1 and reading[0].args == sending[0].args:
            found.values["timeout"] = reading[0].first()
            for node in (*reading, *sending):
                found.rest.remove(node)
                self.table.say(node, CARRIED, "timeout")

    # -- several server blocks -----------------------------------------------------------------------------------------

    def _join_redirects(self) -> None:
        """A server that only leads to TLS, and the one that it leads to, are one site."""
        for draft in list(self.drafts):
            if draft.secure or not _leads_to_tls(draft.node):
                continue
            same = [one for one in self.drafts if one.secure and set(draft.names()) <= set(one.names())]
            same = [one for one in same if not one.plain and set(draft.names()) == set(one.names())]
            if not same:
                continue
            same[0].plain += draft.plain
            same[0].claims |= draft.claims
            same[0].values["tls"]["redirect"] = True
            same[0].others.append(draft.node)
            self.table.say(draft.node, CARRIED, "tls: redirect")
            for node in draft.node.walk():
                if self.table.state(node) != CARRIED:
                    self.table.say(node, CARRIED, "tls: redirect", deep=False)
            self.drafts.remove(draft)

    def _join_aliases(self) -> None:
        """A server that our own configuration has for aliases belongs to its site."""
        for draft in list(self.drafts):
            returned = [node for node in draft.rest if node.name == "return"]
            text = str(draft.values.get("redirect") or (returned[0].args[-1] if returned else ""))
            found = _ALIAS.match(text)
            same = [one for one in self.drafts if found and one is not draft and one.names()[0] == found[1]]
            ours = any("$publish_" in str(node.args) for node in draft.node.walk()) or (
                same and [line for line, _node in draft.secure] == [line for line, _node in same[0].secure]
            )
            if not same or draft.locations or not ours or not (draft.secure or "$publish_" in text):
                continue
            plain = {line for line, _node in draft.plain}
            if plain != {line for line, _node in same[0].plain}:
                continue
            same[0].values["aliases"] = draft.names()
            same[0].others.append(draft.node)
            for node in draft.node.walk():
                self.table.say(node, CARRIED, "aliases", deep=False)
            self.drafts.remove(draft)

    def _defaults(self) -> None:
        """For names that no site has nginx asks the default server, else the first at that address."""
        claimed = set().union(*(draft.claims for draft in self.drafts)) if self.drafts else set()
        taken = claimed | self.refusing
        for draft in self.drafts:
            for one in draft.endpoints():
                if one not in taken:
                    draft.claims.add(one)
                    taken.add(one)

    def _listens(self, draft: Draft) -> None:
        values, whole = draft.values, set(draft.endpoints()) == draft.claims

        def line(text: str) -> str:
            partly = not whole and site_listen.endpoint(text) in draft.claims
            return f"{text} default_server" if partly else text

        values["listen"] = list(dict.fromkeys(line(text) for text, _node in draft.plain))
        if draft.secure:
            values["tls"]["listen"] = list(dict.fromkeys(line(text) for text, _node in draft.secure))
        if whole:
            values["default_server"] = True
        for text, node in [*draft.plain, *draft.secure]:
            if node.name != "listen":
                continue
            said = bool({"default_server", "default"} & {*node.args})
            by_accident = site_listen.endpoint(text) in draft.claims and not said
            more = "; default_server, since the first server at an address answers for names that no site has"
            name = "tls: listen" if (text, node) in draft.secure else "listen"
            self.table.say(node, CARRIED, name + (more if by_accident else ""))

    def _names(self) -> None:
        """Each site a name of its own, which its files are called by."""
        taken: set[str] = set()
        for draft in self.drafts:
            site = {"name": None, "server_name": draft.names()}
            name = site_listen.name_of(site)
            safe = re.sub(r"[^A-Za-z0-9_.-]+", "-", name).strip("-.")[:50] or "site"
            own, count = safe, 2
            while own.lower() in taken:
                own, count = f"{safe}-{count}", count + 1
            taken.add(own.lower())
            if own != name:
                draft.values = {"name": own, **draft.values}


def _is_on(node: Node | None) -> bool:
    return node is not None and node.args[:1] == ["on"]


def _leads_to_tls(node: Node) -> bool:
    """Whether a server block does nothing but lead to HTTPS under the same name."""
    led = False
    for one in node.children or []:
        if one.name in _SILENT:
            continue
        inner = one.children or []
        alone = len(inner) == 1
        asked = one.name == "if" and re.search(r"\$(host|scheme)\b", one.text())
        if alone and (asked or (one.name == "location" and one.args == ["/"])):
            one = inner[0]
        elif one.name == "return" and one.args == ["404"]:
            continue
        if not _is_secure(one, node):
            return False
        led = True
    return led


def _is_secure(one: Node, server: Node) -> bool:
    """Whether a directive leads to the same address by HTTPS."""
    names = [re.escape(name) for node in server.all("server_name") for name in node.args] or ["_"]
    known = "|".join((r"\$host", r"\$server_name", r"\$http_host", *names))
    target = one.args[-1] if one.args else ""
    if one.name == "return":
        goes = re.match(rf"https://(?:{known})(?::\d+)?(\$request_uri|\$uri)", target)
        return len(one.args) == 2 and one.first() in ("301", "302", "307", "308") and goes is not None
    target = one.args[1] if one.name == "rewrite" and len(one.args) > 1 else ""
    return re.match(rf"https://(?:{known})(?::\d+)?(\$request_uri|/\$1|\$1)", target) is not None


def options_row(table: Table, node: Node, where: str) -> None:
    """Note a node that is kept as an option, with all in it."""
    for one in node.walk():
        if one is node or not table.state(one) or table.state(one) in (CARRIED, KEPT):
            table.say(one, KEPT, where, deep=False)
