"""Who the client is, as an application is told: scheme, host, port and address.

One rule for both protocols: what a request says of its client is believed where it comes from one of the site's
``real_ip.from``, and taken away where it comes from anyone else. uWSGI takes ``X-Forwarded-Proto`` for the scheme
whatever it says, and frameworks look at other headers of the kind.
"""

from __future__ import annotations

import contextlib
import ipaddress
from collections.abc import Collection, Mapping
from typing import Any

from .nginx_tree import Directive

# What nginx says itself; of the scheme it says what it believes.
ADDRESS = {"X-Real-IP": "$remote_addr", "X-Forwarded-For": "$remote_addr"}
# Headers by which proxies tell that a client spoke TLS, what they say then, and what else they say; the first counts.
SCHEMES = {
    "X-Forwarded-Proto": ("https", "http"),
    "X-Forwarded-Scheme": ("https", "http"),
    "X-Forwarded-Protocol": ("(https|ssl)", "http"),
    "X-Url-Scheme": ("https", "http"),
    "X-Scheme": ("https", "http"),
    "X-Forwarded-Ssl": ("(on|1)", "(off|0)"),
    "Front-End-Https": ("(on|1)", "(off|0)"),
}
# A proxy that is believed may say these; of anyone else they are taken away.
TOLD = (
    "Forwarded",
    "X-Forwarded-Host",
    "X-Forwarded-Port",
    "X-Forwarded-Prefix",
    "X-Forwarded-Server",
    "X-Client-IP",
    "X-Cluster-Client-IP",
    "True-Client-IP",
    "CF-Connecting-IP",
)
# The lines of uwsgi_params, for sites that say some of them otherwise: of two that are alike uWSGI gets both.
UWSGI_PARAMS = {
    "QUERY_STRING": "$query_string",
    "REQUEST_METHOD": "$request_method",
    "CONTENT_TYPE": "$content_type",
    "CONTENT_LENGTH": "$content_length",
    "REQUEST_URI": "$request_uri",
    "PATH_INFO": "$document_uri",
    "DOCUMENT_ROOT": "$document_root",
    "SERVER_PROTOCOL": "$server_protocol",
    "REQUEST_SCHEME": "$scheme",
    "HTTPS": "$https if_not_empty",
    "REMOTE_ADDR": "$remote_addr",
    "REMOTE_PORT": "$remote_port",
    "SERVER_PORT": "$server_port",
    "SERVER_NAME": "$server_name",
    # nginx gives every body a length; beside Transfer-Encoding the length would count for nothing.
    "HTTP_TRANSFER_ENCODING": '""',
}
# With these nginx lets names of headers pass that uWSGI's http-socket takes for others, - and _ being the same to it.
UNDERSCORES = {"underscores_in_headers": "on", "ignore_invalid_headers": "off"}


def _variable(header: str) -> str:
    return header.lower().replace("-", "_")


def cgi(header: str) -> str:
    return "HTTP_" + header.upper().replace("-", "_")


def _spellings(header: str) -> list[str]:
    """The name with _ in the place of some of its -, in all ways but its own."""
    found = [""]
    for letter in header:
        found = [name + other for name in found for other in (("-", "_") if letter == "-" else (letter,))]
    return [name for name in found if name != header]


def underscores(*options: Mapping[str, Any]) -> bool:
    """Whether one of these mappings of directives lets names with _ pass."""
    for given in options:
        for name, value in UNDERSCORES.items():
            said = given.get(name)
            if said is not None and ("on" if said is True else "off" if said is False else str(said).strip()) == value:
                return True
    return False


def believed(site: Mapping[str, Any], conf: Mapping[str, Any]) -> dict[str, Any] | None:
    """Whose headers are believed, as ``{from, header}``: as real_ip says, or the directives that it stands for."""
    real = site["real_ip"]
    if not real:
        said = site["options"] if "set_real_ip_from" in site["options"] else conf
        given = said.get("set_real_ip_from") or []
        header = str({**conf, **site["options"]}.get("real_ip_header", "X-Real-IP")).strip()
        real = {
            "from": [str(item).strip() for item in (given if isinstance(given, list) else [given])],
            "header": header,
        }
    networks = []
    for text in real["from"]:
        with contextlib.suppress(ValueError):
            networks.append(str(ipaddress.ip_network(text, strict=False)))
    # Who sends on what comes, byte by byte, sends on a client's own headers too.
    return {**real, "from": networks} if networks and real["header"] != "proxy_protocol" else None


class Client:
    """The client of a site's requests. ``prefix``: how the variables of the set begin; ``own``: those of the site."""

    def __init__(self, site: Mapping[str, Any], prefix: str, own: str, spellings: bool, conf: Mapping[str, Any]):
        self.real, self.prefix, self.own, self.spellings = believed(site, conf), prefix, own, spellings
        self.scheme = f"${prefix}_scheme" if self.real else "$scheme"
        # Headers, in small letters, and variables that the user says for the whole site.
        self.said: set[str] = set()

    def outside(self) -> list[Directive]:
        """What stands outside of the server block."""
        if not self.real:
            return []
        networks = dict.fromkeys(text.removesuffix("/32").removesuffix("/128") for text in self.real["from"])
        lines = [["default", "0", None], *([network, "1", None] for network in networks)]
        # nginx itself takes the address that a proxy tells for the client's.
        return [["geo", f"$realip_remote_addr ${self.own}_believed", lines]]

    def inside(self) -> list[Directive]:
        """What stands in each server block of the site: whether this request comes from one that is believed."""
        return [["set", f"${self.prefix}_believed ${self.own}_believed", None]] if self.real else []

    def _told(self) -> dict[str, str]:
        names = [name for name in (*SCHEMES, *TOLD) if name != "X-Forwarded-Proto"]
        if self.real and self.real["header"].lower() not in map(str.lower, (*names, *ADDRESS, "proxy_protocol")):
            names.append(self.real["header"])
        return {
            name: f"${self.prefix}_{_variable(name)}" if self.real and name in (*SCHEMES, *TOLD) else ""
            for name in names
        }

    def headers(self) -> dict[str, str]:
        """The headers of a request by HTTP; an empty one is not sent."""
        found = {
            # The name that the request is for, not whatever else a client sends as Host beside it.
            "Host": f"$host${self.prefix}_port",
            **ADDRESS,
            "X-Forwarded-Proto": self.scheme,
            **self._told(),
        }
        if self.spellings:
            found.update((name, "") for header in list(found) for name in _spellings(header))
        return found

    def params(self, said: Collection[str] = ()) -> list[Directive]:
        """The variables of a request by uwsgi; a header whose variable stands here is not sent beside it.

        ``said``: those that the user says himself.
        """
        lines: list[Directive] = [["include", "uwsgi_params", None]]
        if self.real or set(said).intersection(UWSGI_PARAMS):
            own = {}
            if self.real:
                port, https = f"${self.prefix}_server_port", f"${self.prefix}_https if_not_empty"
                own = {"REQUEST_SCHEME": self.scheme, "HTTPS": https, "SERVER_PORT": port}
            lines = [["uwsgi_param", f"{name} {value}", None] for name, value in {**UWSGI_PARAMS, **own}.items()]
        ours = {"Host": f"$host${self.prefix}_port", **ADDRESS, "X-Forwarded-Proto": self.scheme}
        lines += [["uwsgi_param", f"{cgi(name)} {value}", None] for name, value in ours.items()]
        told = {name: value or '""' for name, value in self._told().items()}
        lines += [["uwsgi_param", f"{cgi(name)} {value} if_not_empty", None] for name, value in told.items()]
        return [line for line in lines if line[1].split()[0] not in said]


def maps(prefix: str) -> list[Directive]:
    """The variables of all sites of a set: what is told, if it is believed."""
    told, last = [], "$scheme"
    for header, (secure, plain) in reversed(SCHEMES.items()):
        variable = f"${prefix}_by_{_variable(header)}"
        # Of a list the last is what the nearest proxy says; what came before may be what a client told it.
        lines = [["default", "$scheme", None], ['""', last, None]]
        lines.append([f'"~*(^|,)[ ]*{secure}[ ]*$"', "https", None])
        lines.append([f'"~*(^|,)[ ]*{plain}[ ]*$"', "http", None])
        told.append(["map", f"$http_{_variable(header)} {variable}", lines])
        last = variable
    usual = [["default", "$server_port", None], ["http:https", "443", None], ["https:http", "80", None]]
    port = [["default", f"${prefix}_usual_port", None], ['"~^[0-9]+$"', f"${prefix}_x_forwarded_port", None]]
    found = [
        *told,
        ["map", f"${prefix}_believed ${prefix}_scheme", [["default", "$scheme", None], ["1", last, None]]],
        ["map", f"${prefix}_scheme ${prefix}_https", [["default", '""', None], ["https", "on", None]]],
        ["map", f"$scheme:${prefix}_scheme ${prefix}_usual_port", usual],
        ["map", f"${prefix}_x_forwarded_port ${prefix}_server_port", port],
    ]
    for header in (*SCHEMES, *TOLD):
        if header == "X-Forwarded-Proto":
            continue
        name = _variable(header)
        # That a client spoke TLS is passed on only where it is what the application is told in the other ways too.
        key, yes = f"${prefix}_believed", "1"
        if header in SCHEMES:
            key, yes = f"{key}:${prefix}_scheme", "1:https"
        lines = [["default", '""', None], [yes, f"$http_{name}", None]]
        found.append(["map", f"{key} ${prefix}_{name}", lines])
    return found


def routes(app: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """uWSGI's http-socket knows of nobody but nginx; what nginx says of the client takes its place.

    A request that says nothing of it, such as a probe's, is left as it is.
    """
    if app["protocol"] != "http":
        return []
    secure = "equal:${HTTP_X_FORWARDED_PROTO};https"
    return [
        ("route-if-not", "empty:${HTTP_X_REAL_IP} setremoteaddr:${HTTP_X_REAL_IP}"),
        ("route-if", f"{secure} addvar:HTTPS=on"),
        # Of two variables of one name the later counts.
        ("route-if", f"{secure} addvar:SERVER_PORT=443"),
        ("route-if", "regexp:${HTTP_HOST};:([0-9]+)$ addvar:SERVER_PORT=$1"),
        ("route-if", "regexp:${HTTP_X_FORWARDED_PORT};^([0-9]+)$ addvar:SERVER_PORT=$1"),
    ]
