"""The directives that say where a location leads."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from typing import Any

from . import app_endpoint, client_plan, inherited_plan, upstream_plan
from .model import App
from .nginx_tree import Directive, quoted
from .site_location import LINKS, Path, address_of, upstream_of
from .text_values import ANY_HOST

# Which HTTP the upstreams are spoken to.
VERSION = "proxy_http_version"
_NOTHING = '""'


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
    host = app_endpoint.parsed(app.socket).host
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


def leads_to(
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
    behind = upstream_of(location, upstreams)
    kind, block = "proxy", []
    app = apps.get(location["app"])
    if app and app.websocket:
        location = {**location, "websocket": True}
    if app:
        address, rest, kind = _upstream(app), "", "proxy" if app.protocol == "http" else "uwsgi"
        if kind == "proxy":
            address = f"http://{address}"
    elif behind:
        address, rest = upstream_plan.name_of(behind, publish_set), address_of(location)[1]
        if behind["protocol"] == "uwsgi":
            kind = "uwsgi"
        else:
            address = f"{(location['proxy_pass'] or 'http:').partition(':')[0]}://{address}"
    else:
        address, rest = address_of(location)
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
