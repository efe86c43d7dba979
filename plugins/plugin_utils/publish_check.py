"""What is refused of all that is published on a host: what no host can run, and what contradicts each other."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable
from typing import Any

from . import (
    account_plan,
    app_check,
    app_endpoint,
    app_plan,
    app_secrets,
    background_plan,
    command_plan,
    concurrency_plan,
    effect_plan,
    feature_plan,
    fleet_plan,
    hook_plan,
    kit_plan,
    layout,
    log_plan,
    maintenance_plan,
    probe_plan,
    python_plan,
    request_plan,
    served_plan,
    shared_plan,
    site_check,
    site_listen,
    upstream_plan,
    uwsgi_meanings,
    uwsgi_options,
    worker_plan,
)
from .layout import NGINX_LOG_DIR
from .problem import Problems
from .text_values import ANY_HOST, SAFE_NAME

# A name that leaves room for the number behind it.
BUILD_ACCOUNT = re.compile(r"[a-z_][a-z0-9_-]{0,26}\Z")
# The applications that listen at a port: (address, path of the variable).
Ports = dict[int, list[tuple[str, str]]]


def _check_apps(values: dict[str, Any], host: dict[str, Any], roles: dict[str, Any], problems: Problems) -> Ports:
    """Refuse applications that no host can run, or that contradict each other; the ports that they listen at."""
    facts = {"systemd": host.get("systemd"), "routing": account_plan.has_routes(host, roles["uwsgi"])}
    known, told = uwsgi_options.known(host, roles["uwsgi"]), host
    requirements = host.get("requirements") or {}
    names: dict[str, int] = {}
    units: dict[str, int] = {}
    sockets: dict[tuple[str, str], int] = {}
    ports: Ports = {}
    for index, app in enumerate(values["publish_apps"]):
        path = f"publish_apps[{index}]"
        name = app["name"]
        if not SAFE_NAME.match(name):
            message = f"{name!r} is no safe file name"
            problems.add(f"{path}.name", message, "use letters, digits, '_', '.' and '-', a letter or digit first")
        if name in names:
            problems.add(
                f"{path}.name", f"{name!r} is the name of publish_apps[{names[name]}] too", "rename one of them"
            )
        names.setdefault(name, index)
        for unit in app_plan.unit_names(app):
            other = units.setdefault(unit, index)
            if other != index and values["publish_apps"][other]["name"] != name:
                message = f"{unit!r} would be an instance of this one and of publish_apps[{other}]"
                problems.add(f"{path}.name", message, "rename one of them")
        app_check.check(app, path, problems)
        app_secrets.check(app, path, roles["uwsgi"]["uwsgi_conf_dir"], problems)
        shared_plan.check(app, path, problems)
        background_plan.check(app, layout.current(values["publish_root"], name), path, problems)
        log_plan.check(app, path, values, NGINX_LOG_DIR, problems)
        probe_plan.check(app, path, problems)
        python_plan.check(app, path, host, problems)
        command_plan.check(app, path, problems)
        worker_plan.check(app, path, host.get("systemd"), problems)
        app_check.check_gevent(app, path, requirements.get(name), problems)
        concurrency_plan.check(app, app_plan.with_defaults(app)["gevent"], path, roles["uwsgi"], problems)
        uwsgi_options.check(app, path, known, uwsgi_meanings.REFUSED, problems)
        uwsgi_options.check_plugins(app, path, problems)
        feature_plan.check(app, path, told, roles["uwsgi"], problems)
        app_endpoint.check(app, path, problems)
        socket, address, port = app_endpoint.of(app, name)
        account_plan.check(app, path, values, roles["nginx"], problems)
        account_plan.check_clients(app, path, port, address, facts, problems)
        taken = ("port", str(port)) if port else ("socket", posixpath.normpath(socket))
        for bound, owner in ports.get(port or 0, []) if port else []:
            if address == bound or address in ANY_HOST or bound in ANY_HOST:
                problems.add(f"{path}.socket", f"port {port} is taken by {owner}", "give each application its own port")
        if port:
            ports.setdefault(port, []).append((address, path))
        elif taken in sockets:
            message = f"{socket!r} is the socket of publish_apps[{sockets[taken]}] too"
            problems.add(f"{path}.socket", message, "give each application its own, or leave it out")
        sockets.setdefault(taken, index)
    return ports


def _check_sites(
    values: dict[str, Any], upstreams: dict[str, dict[str, Any]], ports: Ports, problems: Problems
) -> None:
    """Refuse sites that nginx would not take, or that contradict each other or an application."""
    apps = list(by_name(values["publish_apps"]))
    files: dict[str, int] = {}
    servers: dict[tuple[str, int | None, str], int] = {}
    for index, site in enumerate(values["publish_sites"]):
        path = f"publish_sites[{index}]"
        site_check.check(site, path, apps, upstreams, problems)
        name = site_listen.name_of(site)
        same = []
        for address, port in site_listen.listens(site):
            for server_name in site_listen.names(site):
                key = (address, port, server_name)
                if key in servers:
                    same.append((server_name, port or address, servers[key]))
                servers.setdefault(key, index)
            for bound, owner in ports.get(port or 0, []):
                if address in ANY_HOST or bound in ANY_HOST or bound == address:
                    message = f"port {port} is the socket of {owner}"
                    problems.add(f"{path}.listen", message, "let nginx and the application have different ports")
        for server_name, place, other in sorted(set(same), key=str):
            message = f"{server_name!r} on port {place} is answered by publish_sites[{other}] already"
            hint = "join the two sites' locations, or change a name or port"
            if other == index:
                message = f"{server_name!r} on port {place} stands twice in the site"
                hint = "leave out the one in server_name, aliases or listen that is too many"
            problems.add(f"{path}.server_name", message, hint)
        if name == layout.shared_site(values["publish_set"]):
            problems.add(f"{path}.name", f"{name!r} names the file of what all sites share", "give it another name")
        if name in files and not same:
            message = f"{name!r} names the file of publish_sites[{files[name]}] too"
            problems.add(f"{path}.name", message, "give one of them a name of its own")
        files.setdefault(name, index)
    site_check.check_defaults(values["publish_sites"], problems)


def published_names(values: dict[str, Any]) -> dict[str, list[str]]:
    """What a set publishes, by name; an empty list says nothing of what is to go."""
    apps = [app["name"] for app in values["publish_apps"]]
    return {"publish_apps": apps, "publish_sites": [site_listen.name_of(site) for site in values["publish_sites"]]}


def _check_set(values: dict[str, Any], host: dict[str, Any], problems: Problems) -> None:
    if not SAFE_NAME.match(values["publish_set"]):
        message = f"{values['publish_set']!r} is no safe file name"
        problems.add("publish_set", message, "use letters, digits, '_', '.' and '-', a letter or digit first")
    earlier = (host.get("published") or {}).get(values["publish_set"]) or {}
    for key, names in published_names(values).items():
        if names and earlier.get(key) and sorted(names) != sorted(earlier[key]) and values["publish_prune"]:
            had = ", ".join(earlier[key])
            message = f"the set {values['publish_set']!r} had {had} earlier in this run, which would go"
            problems.add(key, message, "give each include of the role its own publish_set, or set publish_prune: false")


def check(values: dict[str, Any], host: dict[str, Any], roles: dict[str, Any], problems: Problems) -> None:
    """Refuse what no host can make right."""
    if not values["publish_root"].startswith("/"):
        problems.add("publish_root", f"{values['publish_root']!r} is not absolute", "write the whole path")
    if values["publish_keep_releases"] < 1:
        problems.add("publish_keep_releases", f"{values['publish_keep_releases']} is too few", "write 1 or more")
    if values["publish_lock_timeout"] < 0:
        problems.add("publish_lock_timeout", f"{values['publish_lock_timeout']} is less than none", "write 0 or more")
    for variable in ("publish_build_user", "publish_git_user"):
        if not BUILD_ACCOUNT.match(values[variable]) or values[variable] == "root":
            message = f"{values[variable]!r} is no account's name that builds can run as"
            problems.add(variable, message, "write one such as wsgi-build, of lower-case letters, digits, '_' and '-'")
    _check_set(values, host, problems)
    upstream_plan.check(values["publish_upstreams"], host.get("groups") or {}, problems)
    ports = _check_apps(values, host, roles, problems)
    worker_plan.check_all(values["publish_apps"], problems)
    _check_sites(values, by_name(values["publish_upstreams"]), ports, problems)
    site_check.check_rights(values["publish_sites"], roles["nginx"], problems)
    effect_plan.check(values, roles["nginx"], problems)
    apps = by_name(values["publish_apps"])
    request_plan.check_sites(values["publish_sites"], apps, roles["nginx"]["nginx_conf_options"], problems)
    served_plan.check(values["publish_sites"], roles["nginx"], problems)
    hook_plan.check(values, host, problems)
    fleet_plan.check(values, host, problems)
    maintenance_plan.check_all(values, host.get("pages") or {}, problems)
    problems += kit_plan.unreadable(values, host.get("kit"))


def by_name(items: Iterable[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {item["name"]: item for item in items}
