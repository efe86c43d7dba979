"""An application as it will run: its code, socket, account, folders and unit, of each of its instances."""

from __future__ import annotations

import dataclasses
import posixpath
from collections.abc import Mapping
from typing import Any

from . import (
    account_plan,
    app_endpoint,
    app_environment,
    app_options,
    app_secrets,
    background_plan,
    client_plan,
    layout,
    request_plan,
    shared_plan,
)
from .app_environment import word
from .model import App, Instance, UwsgiInstance
from .nginx_tree import slug
from .text_values import items

# Greenlets of an application with WebSockets that states none: as many sockets are open at most.
GREENLETS = 1000


def with_defaults(app: dict[str, Any]) -> dict[str, Any]:
    """The application with what it leaves to us said."""
    alone = app["websocket"] or app["instances"] > 1
    return {
        **app,
        "processes": app["processes"] or (1 if alone else 2),
        "gevent": app["gevent"] or (GREENLETS if app["websocket"] else None),
        "affinity": app["affinity"] or ("cookie" if app["websocket"] and app["instances"] > 1 else None),
    }


def unit_names(app: dict[str, Any]) -> list[str]:
    """What the application's instances are called; the only one bears its own name."""
    name, count = app["name"], app["instances"]
    return [f"{name}-{number}" for number in range(1, count + 1)] if count > 1 else [name]


def _code(app: dict[str, Any], root: str) -> str:
    return app["path"] or layout.current(root, app["name"])


def _log_file(app: dict[str, Any], unit: str, values: dict[str, Any], log_dir: str) -> str | None:
    log: str = app["log"]
    if log == "journal":
        return None
    if log == "project":
        log = posixpath.join(app["path"] or layout.logs(values["publish_root"], app["name"]), "server.log")
    if log == "system":
        log = posixpath.join(log_dir, app["name"], "server.log")
    stem, extension = posixpath.splitext(posixpath.normpath(log))
    return f"{stem}{unit.removeprefix(app['name'])}{extension}"


def _virtualenv(app: dict[str, Any], values: dict[str, Any]) -> str | None:
    if app["requirements"]:
        # A release brings its virtualenv along, so that one rename switches code and requirements.
        if app["path"]:
            return layout.venv(values["publish_root"], app["name"])
        return posixpath.join(_code(app, values["publish_root"]), ".venv")
    stated: str | None = app["virtualenv"]
    return stated


def _binary(host: dict[str, Any]) -> str:
    return (host.get("uwsgi") or {}).get("binary") or "/opt/uwsgi/current/bin/uwsgi"


def variable(*parts: str) -> str:
    """A name for nginx's variables and cookies."""
    return "_".join(("publish", *map(slug, parts)))


def plan(app: dict[str, Any], values: dict[str, Any], roles: dict[str, Any], host: dict[str, Any]) -> App:
    """The application as if it were one instance, and its ``instances``, which are that one or several like it."""
    app = with_defaults(app)
    own = _instance(app, app["name"], values, roles, host)
    several = app["instances"] > 1
    names = unit_names(app)
    return App(
        **vars(own),
        instances=[_instance(app, name, values, roles, host) for name in names] if several else [own],
        websocket=app["websocket"],
        affinity=app["affinity"],
        # publish_upstreams have names of their own beside it.
        upstream=f"instances-{slug(values['publish_set'])}-{slug(app['name'])}" if several else None,
        cookie=variable(values["publish_set"], app["name"]),
    )


def alike(item: type[Instance] | type[UwsgiInstance], values: Mapping[str, Any]) -> dict[str, Any]:
    """The values that are called as fields of a class of the model."""
    return {field.name: values[field.name] for field in dataclasses.fields(item) if field.name in values}


def _instance(
    app: dict[str, Any], unit: str, values: dict[str, Any], roles: dict[str, Any], host: dict[str, Any]
) -> Instance:
    name, root = app["name"], values["publish_root"]
    code = _code(app, root)
    user, group = account_plan.account(app, values)
    run_dir = layout.run_dir(unit)
    # A field that is called as a variable of the application is that, unless it is made of it here.
    planned: dict[str, Any] = alike(Instance, app)
    planned |= {
        "name": unit,
        "app": name,
        "unit": layout.unit(unit),
        "user": user,
        "group": group,
        "web_group": roles["nginx"]["nginx_group"],
        "home": layout.home(root, name),
        "mercy": app["websocket_mercy"] if app["websocket"] else None,
        "needs_new_master": background_plan.needs_new_master(app),
        "code": code,
        "chdir": posixpath.join(code, app["chdir"] or "").rstrip("/"),
        "pythonpath": [posixpath.join(code, folder).rstrip("/") for folder in app["pythonpath"] or [""]],
        "run_dir": run_dir,
        "pidfile": f"{run_dir}/pid",
        "config": layout.config(roles["uwsgi"]["uwsgi_conf_dir"], unit, app["config_format"]),
        "template": app["template"] or values["publish_app_template"],
        "packet_size": request_plan.packet_size(app),
        "log_file": _log_file(app, unit, values, roles["uwsgi"]["uwsgi_log_dir"]),
        "virtualenv": _virtualenv(app, values),
        "uwsgi_home": posixpath.dirname(posixpath.dirname(_binary(host))),
        "env_file": app_environment.path_of(app, roles["uwsgi"]["uwsgi_conf_dir"]),
        "secret_files": app_secrets.paths(app, roles["uwsgi"]["uwsgi_conf_dir"]),
        "script": app_options.entry(app),
        "dropin": layout.dropin(unit, name),
    }
    # A release's virtualenv hangs below it, so that its path says all; that of code not ours has a link of its own.
    planned["links"] = [] if app["path"] else [code]
    if app["requirements"]:
        planned["links"].append(planned["virtualenv"])
    planned["socket"], _host, planned["port"] = app_endpoint.of(app, unit)
    planned["link"] = layout.link(unit) if planned["port"] is None else None
    planned["socket_dir"] = layout.socket_dir(unit) if planned["link"] else None
    # A uWSGI without routes would end at the first of them.
    routes = account_plan.has_routes(host, roles["uwsgi"])
    planned["packet_routes"] = _routes(app, planned) if routes else []
    planned["needs_standby"] = background_plan.needs_standby(app, planned["link"])
    planned["options"] = app_options.configuration(app, planned)
    writable = shared_plan.writable(app, planned["home"], roles["uwsgi"]["uwsgi_unit_options"])
    planned["service"] = _service(app, planned, _binary(host), writable)
    return Instance(**planned)


def _routes(app: dict[str, Any], planned: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """What uWSGI does with each packet before any plugin of it sees the request."""
    own = {"UWSGI_SCRIPT": planned["script"], "UWSGI_CHDIR": planned["chdir"]}
    return [*account_plan.packet_routes(app, app["packets"], own), *client_plan.routes(app)]


def _service(
    app: dict[str, Any], planned: Mapping[str, Any], binary: str, writable: list[list[str]]
) -> list[list[str]]:
    """The unit's own lines of an instance, in its drop-in; ``writable``: those that let it write what is shared."""
    return [
        ["ExecStart", ""],
        ["ExecStart", f"{binary} --{app['config_format']} {planned['config']}"],
        ["User", planned["user"]],
        ["Group", planned["group"]],
        # Whoever reads the pid file, speaks to the fifo or asks for statistics is root or the application itself.
        ["RuntimeDirectoryMode", "0700"],
        *account_plan.clients(app),
        *([["EnvironmentFile", planned["env_file"]]] if planned["env_file"] else []),
        *[["EnvironmentFile", file] for file in planned["secret_files"]],
        *writable,
        # A graceful stop of uWSGI knows no mercy of its own, and waits for sockets for ever.
        *([["TimeoutStopSec", word(planned["mercy"])]] if planned["mercy"] else []),
    ] + [[key, word(item)] for key, value in app["service_options"].items() for item in items(value)]
