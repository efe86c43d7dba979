"""How an existing stack is moved over: what is asked of it, how its nginx is led to our sockets, what it is tried with.

nginx stays the one that it is, be it Debian's or EPEL's: where it names a socket of an application's, it is given ours.
"""

from __future__ import annotations

import hashlib
import posixpath
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.graceful.wsgi.plugins.module_utils import stack_files

from . import import_inventory, import_nginx, import_sites, layout, site_listen
from .import_apps import FoundApp
from .import_nginx import Node, written
from .import_report import DECIDE
from .import_sites import Table, Targets
from .text_values import printable

UNKNOWN = "adopt-unknown.invalid"
NOWHERE = "graceful-adopt-no-such-page"
# A path of such a name may do what it says, whoever asks for it.
_DOES = re.compile(
    r"(?i)log[-_]?out|sign[-_]?out|delete|remove|unsubscribe|reset|destroy|purge|flush|reload|restart|shutdown|cron"
    r"|hook|trigger|cancel|confirm|activate"
)
# Beside the old stack these would be done twice.
_TWICE = re.compile(r"(smart-|)attach-daemon2?|.*cron2?|mules?|farm|spooler.*|timer|rb-timer|import|shared-import")
_HTTP = re.compile(r"(http://)(unix:[^:]+|[^/:]+:\d+):?(.*)")
# What two nginx at a time would both write, or both take.
_OWN = {"access_log", "error_log", "pid", "daemon", "master_process", "worker_processes"}
_FLAGS = ("ssl", "http2", "proxy_protocol", "default_server", "default")
_MAIN = {"user", "env", "load_module", "pcre_jit", "worker_rlimit_nofile", "include", "events", "http"}


class AdoptProblem(Exception):
    """Why this stack is not moved; nothing was changed."""


@dataclass
class Lead:
    """A directive that names a socket of the old application's, and what it is to say."""

    node: Node
    app: str
    address: str
    args: list[str]


@dataclass
class Adoption:
    """One adoption: applications as the host module takes them, edits of files, the trial and the requests."""

    apps: list[dict[str, Any]] = field(default_factory=list)
    edits: list[dict[str, str]] = field(default_factory=list)
    requests: list[dict[str, Any]] = field(default_factory=list)
    unasked: list[str] = field(default_factory=list)
    # The main file of nginx's that was read.
    main: str = ""
    text: str = ""
    ports: int = 0


def theirs(found: Mapping[str, Any]) -> dict[str, Any]:
    """What a host has without what this collection has put there: an earlier run has published beside."""
    files = {
        path: text
        for path, text in found["files"].items()
        if not (path.startswith("/etc/uwsgi/") and "/run/uwsgi-" in text and "safe-pidfile" in text)
        and not re.match(r"/etc/systemd/system/uwsgi@(\.service\Z|.*\.service\.d/)", path)
    }
    running = [
        one
        for one in found.get("processes") or []
        if not (re.match(r"uwsgi@.*\.service\Z", str(one.get("unit"))) and "/etc/uwsgi/" in " ".join(one["command"]))
    ]
    return {**found, "files": files, "processes": running}


# -- how nginx is led --------------------------------------------------------------------------------------------------


def leads(http: Iterable[Node], targets: Targets) -> list[Lead]:
    """The directives by which nginx reaches an application that was found."""
    found = []
    for top in http:
        for node in top.walk():
            if node.name == "uwsgi_pass":
                address, before, after = node.first(), "", ""
            elif node.name == "proxy_pass" and (split := _HTTP.fullmatch(node.first())):
                address, before = split[2], split[1]
                # Behind a socket's path a colon ends it.
                after = ":" + split[3] if split[3] else ""
            elif node.name == "server" and node.children is None and top.name == "upstream" and node is not top:
                address, before, after = node.first(), "", ""
            else:
                continue
            if node.name != "server" and address in targets.nodes:
                continue
            led = targets.apps.get(import_sites.address(address))
            if led is not None:
                name = led[1].app["name"]
                word = f"{before}unix:{layout.link(name)}{after}"
                found.append(Lead(node, name, import_sites.address(address), [word, *node.args[1:]]))
    return found


def edited(files: Mapping[str, str], found: Iterable[Lead]) -> list[dict[str, str]]:
    """The files with the leads in place, and what they were by their digests."""
    texts: dict[str, str] = {}
    for lead in found:
        node = lead.node
        text = texts.get(node.file, files[node.file])
        lines = text.splitlines(keepends=True)
        start = sum(len(line) for line in lines[: node.line - 1])
        word = re.escape(node.first())
        pattern = re.compile(rf"(\b{node.name}\s+)([\"']?){word}\2(?=[\s;])")
        match = pattern.search(text, start)
        if match is None:
            where = f"{node.file}:{node.line}: {node.shown()}"
            raise AdoptProblem(f"{where} is written in a way that is not changed here; rewrite it plainly")
        texts[node.file] = text[: match.start()] + match[1] + lead.args[0] + text[match.end() :]
    return [
        {"path": path, "sha256": hashlib.sha256(files[path].encode()).hexdigest(), "content": text}
        for path, text in sorted(texts.items())
    ]


# -- the trial ---------------------------------------------------------------------------------------------------------


class Trial:
    """The old nginx's configuration as it will be, on ports of its own."""

    def __init__(self, files: Mapping[str, str], base: str, found: Iterable[Lead]) -> None:
        self.files, self.base = files, base
        self.led = {id(lead.node): lead.args for lead in found}
        # Where the old one listens, in the order of the ports.
        self.endpoints: list[tuple[str, int]] = []
        self.count = 0

    def text(self, nodes: Iterable[Node]) -> str:
        """All of it."""
        head = ["worker_processes 1;", "pid @TRIAL@/nginx.pid;", "error_log @TRIAL@/error.log;"]
        return "\n".join([*head, *self._lines(node for node in nodes if node.name in _MAIN)]) + "\n"

    def _lines(self, nodes: Iterable[Node], depth: int = 0, port: str = "") -> list[str]:
        lines: list[str] = []
        for node in nodes:
            if node.name in _OWN:
                continue
            if node.name == "server" and node.children is not None:
                lines += self._server(node, depth)
                continue
            if node.name == "include" and node.children is None and (inner := self._included(node)) is not None:
                lines += self._lines(inner, depth, port)
                continue
            lines += self._one(node, depth, port)
        return lines

    def _one(self, node: Node, depth: int, port: str) -> list[str]:
        pad = "    " * depth
        args = self.led.get(id(node), node.args)
        if node.name.endswith("_cache_path") and args:
            self.count += 1
            args = [f"@TRIAL@/cache{self.count}", *args[1:]]
        words = written(args, node.name)
        if port:
            words = [re.sub(r"\$server_port\b|\$\{server_port\}", port, word) for word in words]
        head = " ".join([*written([node.name]), *words])
        if node.children is None:
            return [f"{pad}{head};"]
        inner = self._lines(node.children, depth + 1, port)
        if node.name == "http":
            inner.insert(0, f"{pad}    access_log off;")
        return [f"{pad}{head} {{", *inner, f"{pad}}}"]

    def _included(self, node: Node) -> list[Node] | None:
        """What a file of parameters says, whose variables are put in its place."""
        path = posixpath.normpath(posixpath.join(self.base, node.first()))
        return import_nginx.parse(self.files[path], path, []) if path in self.files else None

    def _server(self, node: Node, depth: int) -> list[str]:
        """A server block, once for each port that it answers at: its own number is to be the old one."""
        lines: list[str] = []
        for listen in listens(node):
            where = endpoint(listen)
            if where is None:
                continue
            if where not in self.endpoints:
                self.endpoints.append(where)
            flags = [word for word in listen.args[1:] if word in _FLAGS]
            words = " ".join([f"127.0.0.1:@PORT{self.endpoints.index(where)}@", *flags])
            rest = [one for one in node.children or [] if one.name != "listen"]
            inner = self._lines(rest, depth + 1, str(where[1]))
            pad = "    " * depth
            lines += [f"{pad}server {{", f"{pad}    listen {words};", *inner, f"{pad}}}"]
        return lines


def listens(server: Node) -> list[Node]:
    """Where a server block listens; at port 80 where it does not say."""
    return server.all("listen") or [Node("listen", ["80"])]


def endpoint(listen: Node) -> tuple[str, int] | None:
    """Where a directive listens; None for what nobody is asked at."""
    host, port = site_listen.endpoint(listen.first())
    return None if port is None or "quic" in listen.args else (host, port)


def reached(where: tuple[str, int]) -> str:
    """The address by which the host itself reaches it."""
    host, port = where
    return f"{ {'*': '127.0.0.1', '[::]': '[::1]'}.get(host, host) }:{port}"


# -- what is asked -----------------------------------------------------------------------------------------------------


class Requests:
    """What is asked of both stacks: GET and HEAD, and nothing whose name says that it does something."""

    def __init__(self, endpoints: list[tuple[str, int]], more: Iterable[str] = ()) -> None:
        self.endpoints, self.more = endpoints, list(more)
        self.found: list[dict[str, Any]] = []
        self.unasked: list[str] = []
        self.seen: set[tuple[str, ...]] = set()

    def add(self, about: Mapping[str, Any], host: str, path: str, method: str = "GET", folder: str = "") -> None:
        """One request, once."""
        if _DOES.search(path):
            text = f"{host}{path}: its name says that it does something"
            self.unasked += [text] if text not in self.unasked else []
            return
        key = (about["old"], host, path, method)
        if key not in self.seen:
            self.seen.add(key)
            one = {**about, "host": host, "path": path, "method": method}
            self.found.append({**one, "folder": folder} if folder else one)

    def of(self, servers: Iterable[Node]) -> None:
        """The requests of these server blocks."""
        for node in servers:
            names = [name for one in node.all("server_name") for name in one.args]
            for listen in listens(node):
                where = endpoint(listen)
                if where is None:
                    continue
                secure = "ssl" in listen.args or (node.one("ssl") or Node("", [""])).first() == "on"
                about = {"port": where[1], "old": reached(where), "new": f"@PORT{self.endpoints.index(where)}@"}
                about |= {"tls": secure, "proxy_protocol": "proxy_protocol" in listen.args}
                plain = [name for name in names if not name.startswith("~") and name not in ("", "_")]
                hosts = [name.replace("*", "adopt").lstrip(".") for name in plain]
                for host in hosts[:3] or [UNKNOWN]:
                    self._site(node, about, host)
                self.add(about, UNKNOWN, "/")

    def _site(self, node: Node, about: Mapping[str, Any], host: str) -> None:
        self.add(about, host, "/")
        self.add(about, host, "/", "HEAD")
        self.add(about, host, f"/{NOWHERE}?adopt=1")
        for path in self.more:
            self.add(about, host, path)
        root = (node.one("root") or Node("", [""])).first()
        for one in node.all("location"):
            self._location(one, about, host, root)

    def _location(self, node: Node, about: Mapping[str, Any], host: str, root: str) -> None:
        words = list(node.key()[1])
        path = words[-1]
        if words[0] in ("~", "~*"):
            text = f"{host} location {' '.join(words)}: no path can be made of it; adopt_paths names some"
            self.unasked += [text] if text not in self.unasked else []
            return
        if path.startswith("@") or node.one("internal") is not None or not path.startswith("/"):
            return
        alias, own = node.one("alias"), node.one("root")
        folder = alias.first() if alias else (own.first() if own else root).rstrip("/") + path if own or root else ""
        passes = any(one.name.endswith("_pass") for one in node.children or [])
        if words[0] == "=":
            self.add(about, host, path)
            return
        bare = path.rstrip("/")
        if bare:
            self.add(about, host, bare)
        static = folder if folder.startswith("/") and "$" not in folder and not passes else ""
        self.add(about, host, f"{bare}/", folder=static)
        for inner in node.all("location"):
            self._location(inner, about, host, root)


# -- all of it ---------------------------------------------------------------------------------------------------------


def requests_of(found: Mapping[str, Any], more: Iterable[str] = ()) -> Requests:
    """What is asked of the nginx that a host has."""
    nodes = import_nginx.Reader(found["files"], str(found.get("main") or "")).read()
    _main, _events, http = import_nginx.http_level(nodes)
    servers = [node for node in http if node.name == "server"]
    places = [endpoint(one) for node in servers for one in listens(node)]
    asked = Requests(list(dict.fromkeys(place for place in places if place)), more)
    asked.of(servers)
    return asked


def questions(imported: import_inventory.Import) -> list[str]:
    """What the import leaves to be decided about applications; of nginx nothing is written anew."""
    rows = [row for found in imported.apps for row in found.rows if row.state == DECIDE]
    return [f"{row.file}:{row.line} {row.text}: {row.how}" for row in rows]


def doubled(apps: Iterable[Mapping[str, Any]]) -> list[str]:
    """What would be done twice while both stacks run."""
    found = []
    for app in apps:
        names = [str(name) for name in app.get("options") or {}]
        names = [name for name in names if _TWICE.fullmatch(name) and not name.startswith("no-")]
        for setting, called in (("workers", "worker"), ("timers", "timer")):
            items = app.get(setting)
            named = [one for one in (items if isinstance(items, list) else []) if isinstance(one, Mapping)]
            names += [f"{called} {one.get('name')}" for one in named]
        found += [f"{app.get('name')}: {name}" for name in names]
    return found


def _starters(app: FoundApp, files: Mapping[str, str]) -> dict[str, Any]:
    units, programs = [], []
    for one in app.source.starters:
        if one.kind == "systemd" and one.file.startswith(tuple(f"{folder}/" for folder in stack_files.UNITS)):
            path = re.sub(r"\.service\.d/.*", ".service", one.file)
            units.append(posixpath.basename(path))
        elif one.kind == "supervisor":
            above = files[one.file].splitlines()[: one.line]
            heads = [line.strip() for line in above if line.startswith("[program:")]
            if heads:
                programs.append({"name": heads[-1][len("[program:") :].rstrip("]").strip(), "file": one.file})
    ruled = any(one.kind == "emperor" for one in app.source.starters)
    vassals = [app.source.file] if ruled and app.source.file.startswith("/") else []
    return {"units": sorted(set(units)), "programs": programs, "vassals": vassals}


def plan(
    found: Mapping[str, Any],
    imported: import_inventory.Import,
    published: Iterable[Mapping[str, Any]],
    more: Iterable[str],
) -> Adoption:
    """How a stack is moved. ``published``: publish_apps, as they will be; ``more``: paths to ask besides."""
    files = found["files"]
    # Read anew: the import has joined and moved what it read.
    nodes = import_nginx.Reader(files, str(found.get("main") or "")).read()
    _main, _events, http = import_nginx.http_level(nodes)
    targets = Targets(imported.apps, http, Table())
    led = leads(http, targets)
    wanted, result = {str(app["name"]): app for app in published}, Adoption(main=str(found.get("main") or ""))
    strange = sorted({lead.app for lead in led} - set(wanted))
    if strange:
        have = ", ".join(sorted(wanted)) or "none"
        raise AdoptProblem(f"publish_apps has {have}, and not {', '.join(strange)}, to which nginx leads; import again")
    for app in imported.apps:
        name = app.app["name"]
        own = sorted({lead.address for lead in led if lead.app == name})
        if name in wanted and not own:
            where = ", ".join(address for _protocol, address in app.addresses) or "nowhere"
            raise AdoptProblem(f"{name}: it listens at {where}, and nothing in nginx leads there; nothing can be moved")
        if own:
            about = {"name": name, "addresses": own, "lead": f"unix:{layout.link(name)}"}
            about |= {"protocol": app.addresses[0][0], "host": UNKNOWN}
            # Whom its own files may have named.
            rights = {key: str(wanted[name][key]) for key in ("user", "group") if wanted[name].get(key)}
            result.apps.append({**about, **rights, **_starters(app, files)})
    if not result.apps:
        raise AdoptProblem("no application was found to which nginx leads; adopt moves what runs and is served")
    result.edits = edited(files, led)
    trial = Trial(files, posixpath.dirname(str(found.get("main") or layout.NGINX_CONF)), led)
    result.text = trial.text(nodes)
    result.ports = len(trial.endpoints)
    asked = Requests(trial.endpoints, more)
    asked.of(node for node in http if node.name == "server")
    result.requests, result.unasked = asked.found, asked.unasked
    named = [one["host"] for one in asked.found if one["host"] != UNKNOWN]
    for about in result.apps:
        # Django and others answer to names that they know only.
        about["host"] = (named or [UNKNOWN])[0]
    return result


def with_ports(requests: Iterable[Mapping[str, Any]], ports: list[int]) -> list[dict[str, Any]]:
    """The requests with the ports that the trial has got."""
    return [{**one, "new": f"127.0.0.1:{ports[int(str(one['new'])[5:-1])]}"} for one in requests]


def accepted(row: Mapping[str, str], patterns: Iterable[str]) -> bool:
    """Whether the admin accepts a difference: by its request and part, or by one of both."""
    texts = (row["part"], row["request"], f"{row['request']} {row['part']}")
    return any(one in texts for one in patterns)


def report(
    summary: str, compared: Mapping[str, Any], unasked: Iterable[str], patterns: Iterable[str]
) -> tuple[str, int]:
    """What the comparison found, side by side, and how many differences nobody accepts."""
    rows, allowed = compared["differences"], list(patterns)
    open_ones = [row for row in rows if not accepted(row, allowed)]
    differing = list(dict.fromkeys(row["request"] for row in open_ones))
    told = f"{len(differing)} answers differ" if len(differing) != 1 else "1 answer differs"
    lines = [f"{summary}; {told} of {compared['count']}" + (f": {', '.join(differing)}" if differing else "")]
    if rows:
        lines += ["", "| request | part | old | ours | |", "| --- | --- | --- | --- | --- |"]
        for row in rows:
            # A page may say what a terminal would obey.
            cells = [printable(str(row[key])).replace("|", "\\|") for key in ("request", "part", "old", "new")]
            cells = [" ".join(cell.splitlines()) for cell in cells]
            lines.append(f"| {' | '.join(cells)} | {'accepted' if accepted(row, allowed) else ''} |")
    for request, names in sorted(compared["varying"].items()):
        lines.append(f"- {request}: {', '.join(names)} varies by itself")
    lines += [f"- not asked: {one}" for one in unasked]
    return printable("\n".join(lines)) + "\n", len(open_ones)
