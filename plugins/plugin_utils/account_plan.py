"""Who runs an application, and what keeps the others away from it: account, groups, socket, packets.

uWSGI loads what a packet of its own protocol names (``UWSGI_FILE`` and the like), and Python's plugin is only one of
those that a packet can choose. Whoever reaches the socket is therefore kept out by the folder it lies in, and what
comes in is looked at by routes, which uWSGI goes through before any plugin sees the request.
"""

from __future__ import annotations

import hashlib
import ipaddress
import posixpath
import re
from collections.abc import Iterable, Mapping
from typing import Any

from . import group_plan
from .problem import Problems
from .text_values import HOST_PORT
from .uwsgi_meanings import PLUGINS

# Longer names are refused by useradd.
LONGEST = 31
NAME = re.compile(r"[a-z_][a-z0-9_-]*\Z")
# Names of accounts that somebody else has made, in a directory service say.
_ACCOUNT = re.compile(r"[A-Za-z_][A-Za-z0-9_.@-]*[$]?\Z")
# What ends like a digest of ours gets one too, so that no two applications have the same account.
DIGESTED = re.compile(r".*-[0-9a-f]{6}\Z")
# What git and builds run as, by default.
TAKEN = re.compile(r"(wsgi-(git|build(-[0-9]+)?)|uwsgi-build|nginx-build)\Z")
# What a packet may say to have code loaded, or another place, environment, virtualenv, body or cached page used.
REFUSED_VARIABLES = (
    "UWSGI_FILE",
    "UWSGI_MODULE",
    "UWSGI_CALLABLE",
    "UWSGI_HOME",
    "UWSGI_PYHOME",
    "UWSGI_APPID",
    "UWSGI_SETENV",
    "UWSGI_POSTFILE",
    "UWSGI_TOUCH_RELOAD",
    "UWSGI_CACHE_GET",
)
# What a location may send, and then nothing else.
LOCATION_VARIABLES = ("UWSGI_SCRIPT", "UWSGI_CHDIR")
REFUSAL = "break:403 Forbidden"
# The first systemd with IPAddressAllow=.
ADDRESSES_SINCE = 235
# Options of uWSGI's that open a socket on which a packet says who asks, and by which scheme.
_BELIEVED_SOCKETS = {
    "fastcgi-socket",
    "fastcgi-nph-socket",
    "scgi-socket",
    "scgi-nph-socket",
    "puwsgi-socket",
    "suwsgi-socket",
    "fastrouter",
}
LOOPBACK_NAMES = {"localhost", "ip6-localhost", "ip6-loopback"}


def own_account(app: str) -> str:
    """The name of the account that an application has to itself; another one for each name of an application."""
    name = f"wsgi-{app}"
    if NAME.match(name) and len(name) <= LONGEST and not DIGESTED.match(name) and not TAKEN.match(name):
        return name
    stem = re.sub(r"[^a-z0-9]+", "-", app.lower()).strip("-")
    digest = hashlib.sha256(app.encode()).hexdigest()[:6]
    return "-".join(part for part in ("wsgi", stem[: LONGEST - 12].strip("-"), digest) if part)


def account(app: Mapping[str, Any], values: Mapping[str, Any]) -> tuple[str, str]:
    """User and group of an application."""
    if app["user"]:
        return app["user"], app["group"] or app["user"]
    if values["publish_user"]:
        return values["publish_user"], app["group"] or values["publish_group"] or values["publish_user"]
    name = own_account(app["name"])
    return name, app["group"] or values["publish_group"] or name


def _named(app: Mapping[str, Any], values: Mapping[str, Any], path: str) -> tuple[str, str]:
    """The variables that say an application's user and group."""
    user = f"{path}.user" if app["user"] or not values["publish_user"] else "publish_user"
    group = "publish_group" if values["publish_group"] and not (app["user"] or app["group"]) else f"{path}.group"
    return user, group


def _check_name(user: str, says_user: str, says_group: str, group: str, problems: Problems) -> None:
    """Refuse root, by whichever name, and what names no account; ``says_group``: empty where it is the user's."""
    # systemd and chown take a number for an account, and 0 for root.
    if user == "root" or (user.isdigit() and not int(user)):
        hint = "leave it out for an account of its own, or name one without privileges"
        problems.add(says_user, "root would run the application", hint)
        return
    for says, name in ((says_user, user), (says_group, group)):
        if says and not _ACCOUNT.match(name):
            hint = "write its name: letters, digits, '_', '.' and '-', no digit first; or leave it out"
            problems.add(says, f"{name!r} is no name of an account", hint)


def check(
    app: Mapping[str, Any], path: str, values: Mapping[str, Any], nginx: Mapping[str, Any], problems: Problems
) -> None:
    """Refuse accounts that would reach other applications, or everything."""
    user, group = account(app, values)
    says_user, says_group = _named(app, values, path)
    _check_name(user, says_user, says_group if group != user else "", group, problems)
    if TAKEN.match(user) or user in (values["publish_build_user"], values["publish_git_user"]):
        message = f"{user!r} is an account of the role's own, which has the keys of git or builds what others run"
        problems.add(says_user, message, "leave it out for an account of its own")
    reaches = "which reaches the sockets of all applications"
    if user == nginx["nginx_user"]:
        problems.add(says_user, f"{user!r} is nginx's account, {reaches}", "leave it out for an account of its own")
    if group == nginx["nginx_group"]:
        says = says_group if app["group"] or group != user else says_user
        problems.add(says, f"{group!r} is nginx's group, {reaches}", group_plan.NGINX)
    elif user != "root":
        group_plan.check_group(says_group if app["group"] or group != user else says_user, group, problems)
    _check_more_sockets(app, path, problems)
    for name in ("User", "Group"):
        if name in app["service_options"]:
            message = "the role writes it itself, and makes its files for another account"
            problems.add(f"{path}.service_options.{name}", message, f"state it with {name.lower()}")


def is_loopback(host: str) -> bool:
    """Whether an address of a socket can be reached from this host only."""
    host = host.strip("[]")
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host in LOOPBACK_NAMES


def check_clients(
    app: Mapping[str, Any], path: str, port: int | None, host: str, facts: Mapping[str, Any], problems: Problems
) -> None:
    """Refuse a socket that other hosts reach unless it is said which; ``facts``: of the host."""
    clients = app["socket_clients"]
    for index, client in enumerate(clients):
        try:
            ipaddress.ip_network(client, strict=False)
        except ValueError:
            message = f"{client!r} is neither an address nor a network"
            problems.add(f"{path}.socket_clients[{index}]", message, "write e.g. 10.0.0.5, 10.0.0.0/24 or fd00::/8")
    if port is None:
        if clients:
            message = "goes with a socket that other hosts reach, and this one is a unix socket"
            problems.add(f"{path}.socket_clients", message, "leave it out, or write a socket such as 0.0.0.0:5051")
        return
    if clients:
        systemd = facts.get("systemd")
        if systemd and systemd < ADDRESSES_SINCE:
            message = f"is kept by systemd {ADDRESSES_SINCE} or newer, and this host has {systemd}"
            problems.add(f"{path}.socket_clients", message, "leave it out and have the socket at 127.0.0.1")
    elif app["protocol"] == "uwsgi" and not is_loopback(host):
        message = f"{app['socket']!r} can be reached by other hosts, and whoever reaches it speaks for nginx"
        hint = f"write 127.0.0.1:{port}, or name the hosts that may connect in socket_clients"
        problems.add(f"{path}.socket", message, hint)
    if app["protocol"] == "uwsgi" and not facts["routing"]:
        message = (
            "can be reached by every account of this host, and this uWSGI has no routes to refuse code in a packet"
        )
        hint = "leave socket out for a unix socket, or add routing to uwsgi_features"
        problems.add(f"{path}.socket", message, hint)


def _check_more_sockets(app: Mapping[str, Any], path: str, problems: Problems) -> None:
    """Refuse sockets among the options that other hosts reach, and whose protocols say who the visitor is."""
    if app["socket_clients"]:
        return
    for name, value in app["options"].items():
        if str(name).replace("_", "-") not in _BELIEVED_SOCKETS:
            continue
        for item in _items(value):
            # Behind a comma are a certificate and its key.
            found = HOST_PORT.match(str(item).strip().lstrip("=").partition(",")[0])
            if found and not is_loopback(found["host"]):
                message = f"{item!r} can be reached by other hosts, and whoever reaches it speaks for nginx"
                hint = f"write 127.0.0.1:{found['port']}, or name the hosts that may connect in socket_clients"
                problems.add(f"{path}.options.{name}", message, hint)


def has_routes(host: Mapping[str, Any], uwsgi: Mapping[str, Any]) -> bool:
    """Whether the host's uWSGI knows routes; where it is not built yet, whether it will."""
    known = (host.get("uwsgi") or {}).get("options") or ()
    return "route-if-not" in known if known else "routing" in uwsgi["uwsgi_features"]


def clients(app: Mapping[str, Any]) -> list[list[str]]:
    """The unit's lines that let only these hosts in (and, as systemd filters, out)."""
    if not app["socket_clients"]:
        return []
    return [["IPAddressDeny", "any"], ["IPAddressAllow", "localhost"]] + [
        ["IPAddressAllow", client] for client in app["socket_clients"]
    ]


def _literal(line: str) -> str:
    """The value of a directive of nginx's without its quotes."""
    line = line.strip()
    return line[1:-1] if len(line) > 1 and line[0] == line[-1] and line[0] in "\"'" else line


def _items(value: Any) -> Iterable[Any]:
    return value if isinstance(value, list) else [value]


def packets(locations: Iterable[Mapping[str, Any]], options: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """What the locations that lead to an application say in their packets beyond a request.

    ``options``: those of the locations and of the sites they stand in. Returns ``{script, chdir, params, modifiers}``.
    """
    locations = list(locations)
    params: dict[str, list[str]] = {}
    modifiers: list[str] = []
    for given in options:
        for item in _items(given.get("uwsgi_param") or []):
            name, _blank, value = str(item).strip().partition(" ")
            value = re.sub(r"\s+if_not_empty\Z", "", value)
            if name.startswith("UWSGI_"):
                params.setdefault(name, []).append(_literal(value))
        modifiers += [str(item).strip() for item in _items(given.get("uwsgi_modifier1") or [])]
    return {
        "script": any(location["uwsgi_script"] for location in locations),
        "chdir": any(location["uwsgi_chdir"] for location in locations),
        "params": params,
        "modifiers": modifiers if len(modifiers) == len(locations) else modifiers + ["0"],
    }


def check_packets(said: Mapping[str, Any], name: str, path: str, problems: Problems) -> None:
    """Refuse a value of a packet that is another one for each request: no route could tell it from an attacker's."""
    for variable, found in said["params"].items():
        if variable not in REFUSED_VARIABLES + LOCATION_VARIABLES:
            continue
        for value in found:
            if "$" in value:
                message = (
                    f"sends {variable} to {name} with a variable in it, so that a request could choose what is loaded"
                )
                problems.add(path, message, "write the value itself")


def _only(allowed: Mapping[str, Iterable[str]]) -> str:
    """The condition that each of these variables is missing or has one of its values, whatever signs they hold.

    A regular expression is compiled for each request, so that there is one for all.
    """
    subject = "/".join(f"${{hex[{name}]}}" for name in allowed)
    pattern = "/".join(
        f"({'|'.join(value.encode().hex() for value in dict.fromkeys(values))})?" for values in allowed.values()
    )
    return f"regexp:{subject};(?i)^{pattern}$"


def packet_routes(app: Mapping[str, Any], said: Mapping[str, Any], own: Mapping[str, str]) -> list[tuple[str, Any]]:
    """The routes that refuse, before any plugin sees it, a packet which asks for more than an answer.

    ``said``: see packets(); ``own``: UWSGI_SCRIPT and UWSGI_CHDIR as a location sends them.
    """
    names = [name.replace("_", "-") for name in app["options"]]
    if app["protocol"] == "http" and not any(name.endswith("socket") for name in names):
        # No header of HTTP becomes one of these variables.
        return []
    allowed = {name: list(found) for name, found in said["params"].items()}
    for key, variable in (("script", "UWSGI_SCRIPT"), ("chdir", "UWSGI_CHDIR")):
        if said[key]:
            allowed.setdefault(variable, []).append(own[variable])
    variables = [name for name in REFUSED_VARIABLES + LOCATION_VARIABLES if not allowed.get(name)]
    let_in = {name: allowed[name] for name in REFUSED_VARIABLES + LOCATION_VARIABLES if allowed.get(name)}
    # Both of one name: languages with unique keys keep no order between options of different names.
    routes: list[tuple[str, Any]] = [("route-if-not", f"{_only(let_in)} {REFUSAL}")] if let_in else []
    # One condition for all of them: each costs a request about a microsecond.
    routes.append(("route-if-not", f"empty:{''.join(f'${{{name}}}' for name in variables)} {REFUSAL}"))
    modifiers = set(said["modifiers"]) or {"0"}
    if len(modifiers) == 1 and not PLUGINS.intersection(names):
        # Otherwise a packet could be meant for the spooler, the cache, signals or an RPC function.
        routes.append(("route-run", f"setmodifier1:{modifiers.pop()}"))
    return routes


def static_folders(sites: Iterable[Mapping[str, Any]]) -> list[tuple[str | None, str]]:
    """What nginx reads for the sites: (application or None, folder), of all locations."""
    return [
        (location["app"], location["static"]) for site in sites for location in site["locations"] if location["static"]
    ]


def nginx_reads(app: Mapping[str, Any], home: str, folders: Iterable[tuple[str | None, str]]) -> bool:
    """Whether nginx serves files out of code that we keep."""
    if app["path"]:
        return False
    for name, folder in folders:
        if name == app["name"] and not folder.startswith("/"):
            return True
        if (posixpath.normpath(folder) + "/").startswith(home + "/"):
            return True
    return False
