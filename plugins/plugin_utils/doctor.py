"""Names what is wrong with an existing stack, by its files and by what is known of its host."""

from __future__ import annotations

import datetime
import json
import posixpath
import re
import ssl
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from . import doctor_programs, import_nginx, import_uwsgi, layout, site_listen, site_location, uwsgi_options
from .doctor_findings import KINDS, SERIOUS, SEVERITIES, Finding
from .import_apps import located
from .import_nginx import Node
from .import_sites import address
from .import_uwsgi import Option, Source
from .problem import close_match

# A certificate that ends sooner than this is not being renewed.
SOON = datetime.timedelta(days=14)
_UNITS = {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3}
_TIMES = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_LOOPBACK = ("127.", "localhost", "[::1]")
_COMMANDS = ("attach-daemon", "attach-daemon2", "smart-attach-daemon", "smart-attach-daemon2", "mule", "cron", "cron2")


class Stack:
    """What is known. ``found``: as module_utils/stack_files.py tells it; ``looked``: what is there, by path;
    ``programs``: what binaries can do, by path."""

    def __init__(
        self,
        found: Mapping[str, Any],
        looked: Mapping[str, Any] | None = None,
        programs: Mapping[str, Any] | None = None,
    ) -> None:
        self.files: Mapping[str, str] = found["files"]
        self.processes = list(found.get("processes") or [])
        self.limits: Mapping[str, Any] = found.get("limits") or {}
        self.enabled = set(found.get("enabled") or [])
        # Without a host nothing is known of what is there besides the files.
        self.live = "processes" in found
        self.looked: Mapping[str, Any] = looked or {}
        self.programs: Mapping[str, Any] = programs or {}
        reader = import_nginx.Reader(self.files, str(found.get("main") or ""))
        self.main, self.events, self.http = import_nginx.http_level(reader.read())
        self.nginx_messages, self.nginx_files = reader.messages, sorted(reader.used)
        masters = [one for one in self.processes if one.get("kind") == "uwsgi"]
        self.sources, self.messages = import_uwsgi.applications(self.files, masters)
        self.servers = [node for node in self.http if node.name == "server"]
        self.upstreams = {node.first(): node for node in self.http if node.name == "upstream"}

    def is_there(self) -> bool:
        """Whether there is anything of nginx or uWSGI at all; what is not there has no faults, and is not healthy."""
        return bool(self.main or self.http or self.sources or self.processes or self.nginx_messages)

    def locations(self) -> Iterator[tuple[Node, Node]]:
        """(server, location) of all of them, those in others too."""
        for server in self.servers:
            for node in server.walk():
                if node.name == "location" and node.children is not None:
                    yield server, node

    def addresses(self, text: str) -> list[str]:
        """Where an address of nginx's leads, by an upstream to each of its servers."""
        node = self.upstreams.get(text)
        return [address(one.first()) for one in node.all("server")] if node is not None else [address(text)]

    def effective(self, name: str, *blocks: Node) -> Node | None:
        """The directive that counts in the innermost of these blocks, or around them."""
        for block in reversed(blocks):
            if block.one(name) is not None:
                return block.one(name)
        return next((node for node in reversed(self.http) if node.name == name), None)

    def paths(self) -> list[str]:
        """The paths of which has to be known what is there."""
        found = doctor_programs.paths(self)
        for node in (one for top in (*self.main, *self.http) for one in top.walk()):
            first = node.first()
            if not first.startswith("/") or "$" in first or first.startswith("/dev/"):
                continue
            if node.name in ("access_log", "error_log"):
                found.add(posixpath.dirname(first))
            elif node.name in ("alias", "root", "ssl_certificate"):
                found.add(first)
        for source in self.sources:
            for option in source.options:
                if option.name in ("daemonize", "logto", "logto2") and option.value.startswith("/"):
                    found.add(posixpath.dirname(option.value))
                elif option.name in ("pidfile", "pidfile2", "safe-pidfile") and option.value.startswith("/"):
                    found |= {option.value, posixpath.dirname(option.value)}
        return sorted(found)


def _at(kind: str, where: Node | Option, evidence: str) -> Finding:
    return Finding(kind, where.file, where.line, evidence)


def _sockets(source: Source) -> Iterator[tuple[str, Option, str]]:
    """(protocol, option, address) of what an application listens to."""
    for option in source.options:
        name = import_uwsgi.normal(option.name)
        if name in ("socket", "uwsgi-socket", "s", "http-socket", "http"):
            spoken = "http" if name.startswith("http") or source.last("protocol") == "http" else "uwsgi"
            for part in option.value.split(","):
                if part.strip() and not part.strip().startswith("="):
                    yield spoken, option, located(source, part.strip())


# -- both ends -------------------------------------------------------------------------------------------------------


def ends(stack: Stack) -> Iterator[Finding]:
    """Sockets that are spoken to in the wrong protocol, or that nobody listens at."""
    listening: dict[str, tuple[str, Option]] = {}
    for source in stack.sources:
        for spoken, option, text in _sockets(source):
            listening.setdefault(address(text), (spoken, option))
        name = posixpath.splitext(posixpath.basename(source.file))[0]
        for spoken, option, text in _sockets(source):
            if text.startswith(f"{layout.socket_dir(name)}/"):
                listening.setdefault(f"unix:{layout.link(name)}", (spoken, option))
    for _server, location in stack.locations():
        for node in location.children or []:
            if node.name not in ("uwsgi_pass", "proxy_pass") or "$" in node.first():
                continue
            asked = "uwsgi" if node.name == "uwsgi_pass" else "http"
            text = re.sub(r"\Ahttps?://(unix:[^:]+|[^/]+).*", r"\1", node.first()) if asked == "http" else node.first()
            if asked == "uwsgi" and re.match(r"https?://", node.first()):
                yield _at("protocol", node, f"{node.shown()}: an address of HTTP's")
                continue
            for where in stack.addresses(text):
                if where in listening and listening[where][0] != asked:
                    option = listening[where][1]
                    evidence = f"{node.shown()}; {option.name} = {option.value} in {option.file}:{option.line}"
                    yield _at("protocol", node, evidence)
                elif where not in listening and asked == "uwsgi" and listening and _local(where):
                    there = ", ".join(sorted(listening))
                    yield _at("nobody-listens", node, f"{node.shown()}; uWSGI listens at {there}")


def _local(where: str) -> bool:
    return where.startswith(("unix:", *_LOOPBACK))


# -- uWSGI -----------------------------------------------------------------------------------------------------------


def applications(stack: Stack) -> Iterator[Finding]:
    """What one application's own configuration says against itself."""
    for source in stack.sources:
        for option in source.options:
            yield from _option(source, option)
        first = source.options[0] if source.options else Option("", "", source.file)
        several = _number(source.last("processes", "workers", "p")) > 1
        if several and not source.has("master"):
            yield _at("no-master", first, f"{source.last('processes', 'workers', 'p')} processes and no master")
        if source.has("daemonize") and not source.has("pidfile", "safe-pidfile", "pidfile2"):
            [option] = [one for one in source.options if one.name == "daemonize"][:1]
            yield _at("no-pidfile", option, "daemonize, and no pidfile")


def _number(text: str) -> int:
    return int(text) if text.isdigit() else 0


def _option(source: Source, option: Option) -> Iterator[Finding]:
    shown = f"{option.name} = {option.value}"
    gevent = source.has("gevent")
    units = [one for one in source.starters if one.kind == "systemd"]
    if option.name == "threads" and gevent and _number(option.value) > 1:
        yield _at("gevent-threads", option, f"{shown} beside gevent = {source.last('gevent')}")
    elif option.name == "async" and gevent:
        yield _at("gevent-async", option, f"{shown} beside gevent = {source.last('gevent')}")
    elif option.name in ("processes", "workers") and source.has("http-websockets") and _number(option.value) > 1:
        yield _at("websocket-processes", option, f"{shown} with http-websockets")
    elif option.name == "daemonize" and units:
        yield _at("daemonize", option, f"{shown}, started by {units[0].file}")
    elif option.name in ("uid", "user") and option.value in ("root", "0"):
        yield _at("root", option, shown)
    elif option.name in _COMMANDS and not source.has("chdir") and re.search(r"(^|[\s=])\.{1,2}/", option.value):
        yield _at("relative-daemon", option, shown)
    elif not _is_known(source, option):
        meant = close_match(option.name, uwsgi_options.OPTIONS)
        yield _at("unknown-option", option, f"{option.name}{f', perhaps {meant}' if meant else ''}")
    if option.name in ("socket", "uwsgi-socket", "s", "http-socket"):
        yield from _socket(source, option)


def _is_known(source: Source, option: Option) -> bool:
    name = option.name
    known = {name, name.replace("-", "_")} & {*uwsgi_options.OPTIONS, *source.used, *import_uwsgi.SHORT}
    # Built with other features it has more; what a plugin's file brings is not known here.
    return bool(known or uwsgi_options.feature_of(name) or option.condition or source.has("autoload"))


def _socket(source: Source, option: Option) -> Iterator[Finding]:
    for text in option.value.split(","):
        text = text.strip()
        host, colon, _port = text.rpartition(":")
        if colon and not text.startswith(("/", "unix:")):
            if not host.startswith(_LOOPBACK) and option.name != "http-socket":
                yield _at("open-socket", option, f"{option.name} = {text}")
        elif text.startswith("/") and not text.startswith(f"{layout.socket_dir('x').rpartition('/')[0]}/"):
            mode = source.last("chmod-socket", "chmod", "C")
            if mode in ("666", "777", "667", "776", "true"):
                yield _at("world-socket", option, f"{text} with chmod-socket = {mode}")


def accounts(stack: Stack) -> Iterator[Finding]:
    """Applications that run as root, or that nobody starts at boot."""
    for source in stack.sources:
        named = source.last("uid") or next((one.user for one in source.starters if one.user), "")
        units = [one for one in source.starters if one.kind == "systemd"]
        first = source.options[0] if source.options else Option("", "", source.file)
        if not named and units and not any("DynamicUser" in one.options for one in units):
            yield _at("root", first, f"no uid, and no User= in {units[0].file}")
        running = [one for one in source.starters if one.kind == "process"]
        if running and running[0].user == "root" and not source.last("uid"):
            yield _at("root", first, f"{running[0].file} runs as root")
        if running and not [one for one in source.starters if one.kind != "process"]:
            yield _at("no-boot", first, f"{running[0].file} runs, and no unit, supervisor or emperor starts it")
        for unit in units if running else []:
            name = posixpath.basename(unit.file)
            if stack.live and name.endswith(".service") and "@" not in name and name not in stack.enabled:
                yield Finding("no-boot", unit.file, unit.line, f"{name} is not enabled")


# -- nginx -----------------------------------------------------------------------------------------------------------


def includes(stack: Stack) -> Iterator[Finding]:
    """Lines that nginx does not take."""
    for node in (one for top in (*stack.main, *stack.http) for one in top.walk()):
        if node.name == "include" and posixpath.basename(node.first()) == "uwsgi_param":
            yield _at("uwsgi-param", node, node.shown())
    for text in stack.nginx_messages:
        place = re.match(r"(.+?):(?:(\d+):)? (// begins|unexpected|.*expecting|blocks lie)", text)
        if place and "includes itself" not in text:
            yield Finding("syntax", place[1], int(place[2] or 0), text)


def dead(stack: Stack) -> Iterator[Finding]:
    """Lines for one protocol in a location of the other."""
    for _server, location in stack.locations():
        if location.one("uwsgi_pass") is None:
            continue
        for node in location.children or []:
            if node.name.startswith("proxy_"):
                yield _at("dead-directive", node, node.shown())


def paths(stack: Stack) -> Iterator[Finding]:
    """Slashes and prefixes."""
    for _server, location in stack.locations():
        path = site_location.Path(" ".join(location.args))
        if not path.prefix or path.text == "/":
            continue
        alias, proxy = location.one("alias"), location.one("proxy_pass")
        if alias is not None and alias.first().endswith("/") and not path.text.endswith("/"):
            yield _at("alias-traversal", alias, f"{location.shown()} with {alias.shown()}")
        if proxy is None or "$" in proxy.first() or location.one("rewrite") is not None:
            continue
        rest = re.sub(r"\Ahttps?://(?:unix:[^:]+:?|[^/?#]+)", "", proxy.first())
        if not rest or rest == path.text:
            continue
        if rest.endswith("/") != path.text.endswith("/"):
            yield _at("slash", proxy, f"{location.shown()} with {proxy.shown()}")
        elif rest != "/" and location.one("proxy_redirect") is None:
            yield _at("prefix", proxy, f"{location.shown()} with {proxy.shown()}")


def regexes(stack: Stack) -> Iterator[Finding]:
    """Regular expressions that answer for files of a prefix."""
    for server in stack.servers:
        inside = server.all("location")
        regex = [node for node in inside if site_location.Path(" ".join(node.args)).regex]
        for node in inside:
            path = site_location.Path(" ".join(node.args))
            files = node.one("alias") or node.one("root")
            if not path.prefix or path.modifier == "^~" or path.text == "/" or files is None:
                continue
            for other in regex:
                theirs = other.one("alias") or other.one("root")
                if theirs is not None and theirs.args == files.args:
                    continue
                if _shadows(other.args[-1], path.text):
                    yield _at("regex-shadow", other, f"{other.shown()} before {node.shown()} of line {node.line}")


def _shadows(pattern: str, prefix: str) -> bool:
    endings = re.findall(r"[a-z0-9]+", (re.search(r"\\\.\(?(?:\?:)?([a-z0-9|]+)\)?\$", pattern) or [""])[0])
    samples = [prefix, f"{prefix.rstrip('/')}/x", *(f"{prefix.rstrip('/')}/x.{ending}" for ending in endings[:20])]
    # A pattern of a stranger's may take for ever to try.
    if len(pattern) > 200 or re.search(r"[+*)]\s*[+*{]|\([^)]*[+*][^)]*\)[+*{]", pattern):
        return False
    try:
        return any(re.search(pattern, sample) for sample in samples)
    except re.error:
        return False


def names(stack: Stack) -> Iterator[Finding]:
    """Server blocks that are never asked, and default servers that nobody chose."""
    seen: dict[tuple[Any, str], Node] = {}
    at: dict[Any, list[Node]] = {}
    chosen = set()
    for server in stack.servers:
        lines = [" ".join(node.args) for node in server.all("listen")] or ["80"]
        texts = [word for node in server.all("server_name") for word in node.args] or ['""']
        for line in dict.fromkeys(lines):
            place = site_listen.endpoint(line)
            if "quic" in line.split():
                continue
            at.setdefault(place, []).append(server)
            if {"default_server", "default"}.intersection(line.split()) or {"_", '""', ""} & {*texts}:
                chosen.add(place)
            for text in dict.fromkeys(name.lower() for name in texts):
                if (place, text) in seen and seen[place, text] is not server:
                    first = seen[place, text]
                    yield _at("shadowed-server", server, f"{text} at {line} is answered by {first.file}:{first.line}")
                seen.setdefault((place, text), server)
    for place, servers in at.items():
        first = servers[0]
        answered = [word for one in servers for node in one.all("server_name") for word in node.args]
        refuses = any(re.fullmatch(r"publish-[\w.-]+\.invalid", word) for word in answered)
        if place not in chosen and len({id(one) for one in servers}) > 1 and not refuses:
            named = first.one("server_name")
            shown = " ".join(named.args) if named is not None else "no name"
            yield _at("accidental-default", first, f"{len(servers)} servers at {place[1]}, the first is {shown}")


# -- limits ----------------------------------------------------------------------------------------------------------


def _size(text: str) -> int | None:
    found = re.fullmatch(r"(\d+)([kmg]?)", text.lower())
    return int(found[1]) * _UNITS[found[2]] if found else None


def _time(text: str) -> int | None:
    found = re.fullmatch(r"(\d+)([smhd]?)", text.lower())
    return int(found[1]) * _TIMES[found[2]] if found else None


def limits(stack: Stack) -> Iterator[Finding]:
    """Limits of both ends that disagree, and the kernel's."""
    sockets = {address(text): source for source in stack.sources for _spoken, _option, text in _sockets(source)}
    for server, location in stack.locations():
        node = location.one("uwsgi_pass") or location.one("proxy_pass")
        targets = stack.addresses(re.sub(r"\Ahttp://", "", node.first())) if node is not None else []
        source = next((sockets[one] for one in targets if one in sockets), None)
        if node is None or source is None:
            continue
        body = stack.effective("client_max_body_size", server, location)
        allowed, taken = _size(body.first()) if body is not None else 1024**2, _size(source.last("limit-post"))
        if taken and allowed is not None and (allowed > taken or allowed == 0):
            evidence = f"client_max_body_size {body.first() if body is not None else '1m'}; limit-post = {taken}"
            yield _at("body-limits", body or node, evidence)
        kind = "uwsgi" if node.name == "uwsgi_pass" else "proxy"
        waits = stack.effective(f"{kind}_read_timeout", server, location)
        seconds = _time(waits.first()) if waits is not None else 60
        harakiri = _number(source.last("harakiri", "t"))
        if harakiri and seconds is not None and harakiri > seconds:
            yield _at("timeouts", waits or node, f"{kind}_read_timeout {seconds}s; harakiri = {harakiri}")
    for source in stack.sources:
        for option in source.options:
            queue = stack.limits.get("somaxconn")
            if option.name in ("listen", "l") and queue and _number(option.value) > queue:
                yield _at("listen-queue", option, f"listen = {option.value}; net.core.somaxconn = {queue}")
    if stack.limits.get("overflows") and stack.sources:
        yield Finding("overflows", "/proc/net/netstat", 0, f"ListenOverflows {stack.limits['overflows']}")
    if stack.limits.get("denials"):
        yield Finding("selinux", "/var/log/audit/audit.log", 0, f"{stack.limits['denials']} denials")


# -- what is there ---------------------------------------------------------------------------------------------------


def places(stack: Stack) -> Iterator[Finding]:
    """Folders, files and certificates, as far as the host was asked."""
    for node in (one for top in (*stack.main, *stack.http) for one in top.walk()):
        first = node.first()
        if node.name in ("access_log", "error_log") and _is_missing(stack, posixpath.dirname(first)):
            yield _at("log-folder", node, f"{posixpath.dirname(first)} does not exist")
        elif node.name in ("alias", "root") and first in stack.looked:
            about = stack.looked[first]
            if about["kind"] == "missing":
                yield _at("missing-static", node, f"{first} does not exist")
            elif about.get("closed"):
                yield _at("unreadable-static", node, f"others do not pass {about['closed']}")
        elif node.name == "ssl_certificate":
            yield from _certificate(stack, node)
    for source in stack.sources:
        for option in source.options:
            if option.name in ("daemonize", "logto") and _is_missing(stack, posixpath.dirname(option.value)):
                yield _at("log-folder", option, f"{posixpath.dirname(option.value)} does not exist")
            elif option.name in ("pidfile", "safe-pidfile") and option.value in stack.looked:
                yield from _pidfile(stack, option)


def _is_missing(stack: Stack, path: str) -> bool:
    return bool(stack.looked.get(path, {}).get("kind") == "missing")


def _pidfile(stack: Stack, option: Option) -> Iterator[Finding]:
    about, folder = stack.looked[option.value], stack.looked.get(posixpath.dirname(option.value), {})
    for what, found in ((option.value, about), (posixpath.dirname(option.value), folder)):
        mode = found.get("mode", 0)
        # Whoever may write a sticky folder cannot move what is another's there.
        sticky = found.get("kind") == "folder" and mode & 0o1000
        if found.get("kind") in ("file", "folder") and mode & 0o002 and not sticky:
            yield _at("open-pidfile", option, f"{what} has mode {mode:o}")
    if about["kind"] == "file" and about.get("alive") is False:
        yield _at("stale-pidfile", option, f"{option.value} names a process that is not there")


def _certificate(stack: Stack, node: Node) -> Iterator[Finding]:
    about = stack.looked.get(node.first()) or {}
    end = _ends(about.get("certificate") or "")
    now = datetime.datetime.now(datetime.timezone.utc)
    if end is not None and end - now < SOON:
        yield _at("certificate-end", node, f"{node.first()} {'ended' if end < now else 'ends'} {end:%Y-%m-%d}")
    begun = [one.get("read") for one in stack.processes if one.get("kind") == "nginx" and one.get("read")]
    if begun and about.get("changed", 0) > max(begun):
        yield _at("certificate-old", node, f"{node.first()} is newer than nginx's workers")


def _ends(text: str) -> datetime.datetime | None:
    """When a certificate ends."""
    if "BEGIN CERTIFICATE" not in text:
        return None
    with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
        file.write(text + "\n")
        file.flush()
        try:
            decoded = ssl._ssl._test_decode_cert(file.name)  # type: ignore[attr-defined]
            seconds = ssl.cert_time_to_seconds(decoded["notAfter"])
        except (ssl.SSLError, ValueError, KeyError):
            return None
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc)


CHECKS: tuple[Callable[[Stack], Iterable[Finding]], ...] = (
    ends,
    applications,
    accounts,
    includes,
    dead,
    paths,
    regexes,
    names,
    limits,
    places,
    *doctor_programs.CHECKS,
)


def examine(stack: Stack) -> list[Finding]:
    """All findings, the serious ones first."""
    found: list[Finding] = []
    for check in CHECKS:
        found += [one for one in check(stack) if one not in found]
    return sorted(found, key=lambda one: (SEVERITIES.index(one.severity), one.file, one.line, one.kind))


def told(findings: Iterable[Finding], messages: Iterable[str] = ()) -> str:
    """The findings as text."""
    lines: list[str] = []
    for one in findings:
        kind = KINDS[one.kind]
        where = f"{one.file}:{one.line}" if one.line else one.file
        lines += [f"{kind.severity}: {one.kind}: {where}", f"  evidence: {one.evidence}"]
        lines += [f"  consequence: {kind.consequence}", f"  cure: {kind.cure}"]
    lines += [f"not read: {text}" for text in messages]
    return "\n".join(lines) if lines else "nothing found"


def document(findings: Iterable[Finding], messages: Iterable[str] = ()) -> str:
    """The findings as JSON."""
    return json.dumps({"findings": [one.plain() for one in findings], "not_read": list(messages)}, indent=2) + "\n"


def is_serious(findings: Iterable[Finding]) -> bool:
    """Whether the stack cannot be left as it is."""
    return any(one.severity == SERIOUS for one in findings)
