"""The sites of the publish role's plan: the server blocks, led to the applications' sockets."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable
from typing import Any

from .app_plan import ANY_HOST, HOST_PORT, NGINX_DIR, NGINX_LOG_DIR, SAFE_NAME, check_text, items
from .nginx_tree import Directive, directives
from .problem import Problems, close_match


def name_of(site: dict[str, Any]) -> str:
    if site["name"]:
        return site["name"]
    first = site["server_name"][0] if site["server_name"] else "_"
    return "default" if first == "_" else first.replace("*", "wildcard").lstrip(".")


def listens(site: dict[str, Any]) -> list[tuple[str, int | None]]:
    """Address and port of each listen directive; the port is None for a unix socket."""
    found: list[tuple[str, int | None]] = []
    for listen in site["listen"]:
        address = listen.split()[0] if listen.split() else ""
        if address.isdigit():
            found.append(("*", int(address)))
            continue
        match = HOST_PORT.match(address)
        if match:
            found.append(("*" if match["host"] == "0.0.0.0" else match["host"] or "*", int(match["port"])))
        else:
            found.append((address, None if address.startswith("unix:") else 80))
    return found


def _check_location(location: dict[str, Any], path: str, apps: Iterable[str], problems: Problems) -> None:
    app, proxy = location["app"], location["proxy_pass"]
    if bool(app) == bool(proxy):
        says = "has both app and proxy_pass" if app else "has neither app nor proxy_pass"
        problems.say(path, says, "give exactly one of them: app for one of publish_apps, proxy_pass for anything else")
    if app and app not in apps:
        meant = close_match(app, apps)
        mend = f"did you mean {meant}?" if meant else "add it to publish_apps, or name one of them"
        problems.say(f"{path}.app", f"there is no application {app!r}", mend)
    if proxy and not proxy.startswith(("http://", "https://", "$")):
        problems.say(f"{path}.proxy_pass", f"{proxy!r} is no address", "write http://host:port or https://host:port")
    for key in ("uwsgi_chdir", "uwsgi_script"):
        if location[key] and not app:
            problems.say(f"{path}.{key}", "goes with app only", "leave it out")
    for name in ("uwsgi_pass", "proxy_pass"):
        if name in location["options"]:
            says = "is written by the plan itself, so that it fits the application's socket"
            problems.say(
                f"{path}.options.{name}", says, "name the application with app, or use proxy_pass of the location"
            )
    directives(location["options"], f"{path}.options", problems)
    for key in ("path", "app", "proxy_pass"):
        check_text(location[key], f"{path}.{key}", problems)


def check(site: dict[str, Any], path: str, apps: Iterable[str], problems: Problems) -> None:
    name = name_of(site)
    if not SAFE_NAME.match(name):
        problems.say(
            f"{path}.{'name' if site['name'] else 'server_name'}",
            f"{name!r} is no safe file name",
            "give the site a name of letters, digits, '_', '.' and '-'",
        )
    if not site["listen"]:
        problems.say(f"{path}.listen", "is empty", "write e.g. 80")
    for key in ("access_log", "error_log"):
        first = site[key].split()[0] if site[key].split() else ""
        fine = ("system", "off") if key == "access_log" else ("system",)
        if first not in fine and not first.startswith("/"):
            problems.say(
                f"{path}.{key}", f"{site[key]!r} is not known", f"write {' or '.join(fine)} or an absolute path"
            )
    seen: dict[str, int] = {}
    for index, location in enumerate(site["locations"]):
        where = f"{path}.locations[{index}]"
        _check_location(location, where, apps, problems)
        key = " ".join(location["path"].split())
        if key in seen:
            says = f"{location['path']!r} stands in locations[{seen[key]}] too"
            problems.say(f"{where}.path", says, "nginx takes a path once a site: join or drop one")
        seen.setdefault(key, index)
    directives(site["options"], f"{path}.options", problems)
    for key in ("name", "server_name", "listen", "access_log", "error_log"):
        check_text(site[key], f"{path}.{key}", problems)


PROXY_HEADERS = {
    "Host": "$http_host",
    "X-Real-IP": "$remote_addr",
    "X-Forwarded-For": "$proxy_add_x_forwarded_for",
    "X-Forwarded-Proto": "$scheme",
}


def _own_headers(options: dict[str, Any]) -> set[str]:
    return {str(line).split()[0].lower() for line in items(options.get("proxy_set_header", [])) if str(line).split()}


def _proxy(address: str, options: dict[str, Any]) -> list[list[Any]]:
    own = _own_headers(options)
    headers = [[f"{name} {value}"] for name, value in PROXY_HEADERS.items() if name.lower() not in own]
    return [["proxy_pass", address, None]] + [["proxy_set_header", header[0], None] for header in headers]


def _upstream(app: dict[str, Any]) -> str:
    """The application's socket, or the upstream of several, as nginx writes it."""
    if app["upstream"]:
        return app["upstream"]
    if app["link"]:
        return f"unix:{app['link']}"
    host = app["socket"].rpartition(":")[0]
    return f"{'127.0.0.1' if host in ANY_HOST else host}:{app['port']}"


def _sockets(app: dict[str, Any], options: dict[str, Any]) -> list[Directive]:
    """What a location adds for an application with WebSockets, and for one whose sessions stay at one instance."""
    block: list[Directive] = []
    if app["websocket"]:
        kind = "proxy" if app["protocol"] == "http" else "uwsgi"
        lines = [(f"{kind}_read_timeout", "1h"), (f"{kind}_send_timeout", "1h")]
        if kind == "proxy":
            lines.append(("proxy_http_version", "1.1"))
            own = _own_headers(options)
            headers = {"Upgrade": "$http_upgrade", "Connection": app["connection"]}
            block += [["proxy_set_header", f"{k} {v}", None] for k, v in headers.items() if k.lower() not in own]
        block += [[name, value, None] for name, value in lines if name not in options]
    if app["affinity"] == "cookie":
        block.append(["add_header", f"Set-Cookie ${app['cookie']}_new always", None])
    return block


def _location(location: dict[str, Any], apps: dict[str, dict[str, Any]]) -> list[Any]:
    if location["proxy_pass"]:
        block = _proxy(location["proxy_pass"], location["options"])
    else:
        app = apps[location["app"]]
        if app["protocol"] == "http":
            block = _proxy(f"http://{_upstream(app)}", location["options"])
        else:
            block = [["include", "uwsgi_params", None], ["uwsgi_pass", _upstream(app), None]]
        param = "uwsgi_param" if app["protocol"] == "uwsgi" else None
        if location["uwsgi_chdir"] and param:
            block.append([param, f"UWSGI_CHDIR {app['chdir']}", None])
        if location["uwsgi_script"] and param:
            block.append([param, f"UWSGI_SCRIPT {app['script']}", None])
        block += _sockets(app, location["options"])
    return ["location", location["path"], block + directives(location["options"], "", [])]


def plan(site: dict[str, Any], apps: dict[str, dict[str, Any]], template: str) -> dict[str, Any]:
    name = name_of(site)
    access, error = site["access_log"], site["error_log"]
    if access == "system":
        access = posixpath.join(NGINX_LOG_DIR, f"{name}.access.log")
    if error == "system":
        error = posixpath.join(NGINX_LOG_DIR, f"{name}.error.log")
    logs = [line.split()[0] for line in (access, error) if line.startswith("/")]
    block = [["listen", listen, None] for listen in site["listen"]]
    block.append(["server_name", " ".join(site["server_name"]) or "_", None])
    block += [["access_log", access, None], ["error_log", error, None]]
    block += directives(site["options"], "", [])
    block += [_location(location, apps) for location in site["locations"]]
    return {
        "name": name,
        "file": posixpath.join(NGINX_DIR, "conf.d", f"{name}.conf"),
        "logs": logs,
        "template": site["template"] or template,
        # What stands outside of the server block and is this site's alone.
        "http": [],
        "server": ["server", "", block],
    }
