"""The servers that refuse names which no site has.

Of the servers at one address and port nginx takes the first for a name that none of them has, unless one says that it
is the default. Said twice that is an error, and two sets of one host know nothing of each other: so these servers do
not say it, and stand in files that nginx.conf includes before those of the sites.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import client_plan, site_emit, site_listen
from .nginx_tree import Directive, quoted

# Of a socket's words in listen these are said by each server; all others nginx takes from one of them only.
_PROTOCOLS = ("ssl", "http2", "proxy_protocol", "quic")
# What nginx takes from the default server of a socket for requests whose name it has not read yet.
UNREAD = (
    "client_header_buffer_size",
    "client_header_timeout",
    "connection_pool_size",
    "ignore_invalid_headers",
    "large_client_header_buffers",
    "merge_slashes",
    "request_pool_size",
    "underscores_in_headers",
)
# Likewise of the handshake.
_HANDSHAKE = (
    "ssl_buffer_size",
    "ssl_ciphers",
    "ssl_conf_command",
    "ssl_dhparam",
    "ssl_early_data",
    "ssl_ecdh_curve",
    "ssl_prefer_server_ciphers",
    "ssl_protocols",
    "ssl_session_cache",
    "ssl_session_ticket_key",
    "ssl_session_tickets",
    "ssl_session_timeout",
)


def _lines(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _shown(value: Any) -> str:
    return ("off", "on")[value] if isinstance(value, bool) else str(value).strip()


def _listen(site: dict[str, Any]) -> list[tuple[str, bool]]:
    """All lines of listen of a site, those of its options too, and whether TLS is spoken there."""
    more = [str(line) for line in _lines(site["options"].get("listen") or [])]
    found = [*site_listen.sockets(site), *((line, False) for line in more)]
    return [(line, tls or bool({"ssl", "quic"}.intersection(line.split()))) for line, tls in found if line.split()]


class Socket:
    """What all sites at one address and port say of it."""

    def __init__(self, address: str):
        self.address = address
        self.words: list[str] = []
        self.tls = False
        self.sites: list[dict[str, Any]] = []

    def add(self, line: str, tls: bool, site: dict[str, Any]) -> None:
        self.tls = self.tls or tls
        self.words += [word for word in line.split()[1:] if word in _PROTOCOLS and word not in self.words]
        if site not in self.sites:
            self.sites.append(site)

    def listen(self, modern: bool) -> str:
        words = list(self.words)
        if self.tls and not {"ssl", "quic"}.intersection(words):
            words.append("ssl")
        if self.tls and not modern and "http2" not in words and any(_http2(site, self.tls) for site in self.sites):
            words.append("http2")
        return " ".join([self.address, *words])

    def _said(self, names: tuple[str, ...]) -> dict[str, list[str]]:
        """Directives as the first site that says each of them says it."""
        found: dict[str, list[str]] = {}
        for site in self.sites:
            for name in names:
                if site["options"].get(name) is not None:
                    found.setdefault(name, [_shown(line) for line in _lines(site["options"][name]) if line is not None])
        return found

    def _handshake(self) -> dict[str, list[str]]:
        spoken = [site["tls"] for site in self.sites if site["tls"]]
        said = self._said(_HANDSHAKE)
        if not spoken:
            return said
        # One that is left out here could be spoken with none of them.
        protocols = sorted({protocol for tls in spoken for protocol in tls["protocols"]})
        usual = {"ssl_protocols": " ".join(protocols), "ssl_ciphers": quoted(spoken[0]["ciphers"]), **site_emit.TLS}
        return {**{name: [value] for name, value in usual.items()}, **said}

    def settings(self, modern: bool) -> list[Directive]:
        """What the server at this socket says beside its names."""
        said = {**(self._handshake() if self.tls else {}), **self._said(UNREAD)}
        lines = [[name, value, None] for name, values in said.items() for value in values]
        if modern and any(_http2(site, self.tls) for site in self.sites):
            lines.append(["http2", "on", None])
        if self.tls:
            # Whoever asks for no name that is there is told so, and shown no certificate.
            lines.append(["ssl_reject_handshake", "on", None])
        # nginx hangs up without a word; on one who shook hands for one name and asks for another, too.
        return [*lines, ["return", "444", None]]


def _http2(site: dict[str, Any], tls: bool) -> bool:
    """Whether the site's server speaks HTTP/2 at a socket; one that only leads to TLS does not."""
    spoken = (
        site["tls"]
        and site["http2"]
        and (
            # Where a proxy is believed, the site's own server answers there too.
            tls or bool(site["redirect"]) or bool(client_plan.believed(site, {})) or not site["tls"]["redirect"]
        )
    )
    return bool(spoken) or _shown(site["options"].get("http2")) == "on"


def server_name(publish_set: str) -> str:
    """A name that no site has and no other set's server bears: at one socket nginx warns of a name that comes twice."""
    return f"publish-{publish_set.lower()}.invalid"


def plan(sites: list[dict[str, Any]], publish_set: str, nginx: Mapping[str, Any]) -> list[Directive]:
    """The servers, one for each kind of socket, for all sockets at which no site is the default."""
    modern = site_emit.modern(nginx)
    answered: set[Any] = set()
    for site, default in zip(sites, site_listen.defaults(sites), strict=True):
        answered |= default
        for line, _tls in _listen(site):
            if {"default_server", "default"}.intersection(line.split()):
                answered.add(site_listen.endpoint(line))
    found: dict[Any, Socket] = {}
    for site in sites:
        for line, tls in _listen(site):
            key = site_listen.endpoint(line)
            if key not in answered:
                socket = found.setdefault((key, "quic" in line.split()), Socket(line.split()[0]))
                socket.add(line, tls, site)
    servers: dict[str, Directive] = {}
    for socket in found.values():
        settings = socket.settings(modern)
        name = ["server_name", server_name(publish_set), None]
        server = servers.setdefault(str(settings), ["server", "", [name, *settings]])
        server[2].insert(len(server[2]) - len(settings) - 1, ["listen", socket.listen(modern), None])
    return list(servers.values())
