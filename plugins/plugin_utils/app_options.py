"""The configuration of an application: the options that uWSGI is given, in their order."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from typing import Any, TypeAlias

from . import (
    background_plan,
    log_plan,
    request_plan,
)
from .app_environment import word
from .text_values import items
from .uwsgi_meanings import SOCKET_MODES

# (name, value) in the order in which uWSGI reads them.
Options: TypeAlias = list[tuple[str, Any]]


def entry(app: Mapping[str, Any]) -> str:
    """The WSGI application as ``module:callable``; a module that names its callable itself counts."""
    module = app["module"] or posixpath.splitext(posixpath.basename(app["wsgi_file"]))[0]
    return module if ":" in module else f"{module}:{app['callable']}"


def configuration(app: dict[str, Any], planned: dict[str, Any]) -> list[list[str]]:
    """The application's configuration, in order: [[option, value], ...]."""
    options = [
        *_process(app, planned),
        *_code(app, planned),
        ("callable", app["callable"]),
        ("processes", app["processes"]),
        *_concurrency(app),
        *request_plan.options(app),
        *_log(planned),
        # Before all routes of the user's own.
        *planned["packet_routes"],
    ]
    # In every language of uWSGI's a bare % begins a variable of its own, an unknown one being empty.
    literal = [[name, word(value).replace("%", "%%")] for name, value in options]
    stated = {
        name: value
        for name, value in app["options"].items()
        # They would shut nginx out of our folder, or hand the socket to an account that uWSGI is none of.
        if planned["port"] is not None or app["socket"] or name.replace("_", "-") not in SOCKET_MODES
    }
    return literal + [
        [name, background_plan.placed(name, word(item), planned["chdir"])]
        for name, value in stated.items()
        for item in items(value)
    ]


def _process(app: dict[str, Any], planned: dict[str, Any]) -> Options:
    """The master, what it is asked and told by, and its socket."""
    run = planned["run_dir"]
    options: Options = [
        ("strict", True),
        ("master", True),
        ("need-app", True),
        *background_plan.lazy_apps(app),
        ("vacuum", True),
        ("safe-pidfile", planned["pidfile"]),
        ("master-fifo", f"{run}/fifo"),
        ("stats", f"{run}/stats"),
        ("http-socket" if app["protocol"] == "http" else "socket", planned["socket"]),
    ]
    if planned["port"] is None:
        # In our own folder the folder keeps everybody else out; elsewhere nginx is one of the application's group.
        options.append(("chmod-socket", "660" if app["socket"] else "666"))
    return options


def _code(app: dict[str, Any], planned: dict[str, Any]) -> Options:
    """Where the code and what it imports lie, and what of it is loaded."""
    options: Options = []
    if planned["virtualenv"]:
        options.append(("virtualenv", planned["virtualenv"]))
        # Of uWSGI's own virtualenv this much: uwsgidecorators. Whatever the code has of that name comes before it.
        options.append(("pythonpath", posixpath.join(planned["uwsgi_home"], "modules")))
    options += [("pythonpath", folder) for folder in planned["pythonpath"]]
    if app["path"] or planned["needs_new_master"]:
        # Where the master begins anew with each release, it may stand in it with all that it starts.
        options.append(("chdir", planned["chdir"]))
    else:
        # The master keeps its folder over a reload: only the workers may stand in a release. Where that folder is gone
        # the hook chdir would end the master with all workers, as if it had been told to; chdir2 ends the one worker.
        options += [("chdir", "/"), ("hook-post-fork", f"call:chdir {planned['chdir']}"), ("chdir2", planned["chdir"])]
    script = posixpath.join(planned["code"], app["wsgi_file"]) if app["wsgi_file"] else ""
    # uWSGI loads what is mounted by itself; nothing else is loaded where nothing else is asked for.
    if app["module"] and app["unmounted"]:
        options.append(("module", app["module"]))
    if script and app["unmounted"]:
        options.append(("wsgi-file", script))
    if app["mounts"]:
        loaded = entry(app) if app["module"] else script
        options += [("mount", f"{path}={loaded}") for path in app["mounts"]]
        given = {name.replace("_", "-") for name in app["options"]}
        # Without the latter each is loaded by a Python interpreter of its own, which many C extensions do not bear.
        options += [(name, True) for name in ("manage-script-name", "single-interpreter") if name not in given]
    return options


def _concurrency(app: dict[str, Any]) -> Options:
    """By what requests are served side by side in a process."""
    if app["gevent"]:
        return [("gevent", app["gevent"]), *(_socket_options(app) if app["websocket"] else [])]
    return [("enable-threads", True), *([("threads", app["threads"])] if app["threads"] else [])]


def _log(planned: dict[str, Any]) -> Options:
    if not planned["log_file"]:
        return []
    return [
        # Only the master opens a log anew after a rotation, so the workers write through it; a reload that does not
        # open it again goes on writing to the old one.
        ("logto", planned["log_file"]),
        ("log-master", True),
        ("log-reopen", True),
        # logrotate has systemd send it: root opens no fifo in a folder of the application's.
        ("hook-master-start", f"unix_signal:{log_plan.REOPEN[1]} uwsgi_log_reopen"),
    ]


def _socket_options(app: dict[str, Any]) -> Options:
    options: Options = [
        # Before the code is imported: what waits for Redis or a lock must let the other greenlets go on.
        ("gevent-early-monkey-patch", True),
        # A socket never ends by itself.
        ("worker-reload-mercy", app["websocket_mercy"]),
    ]
    own = {name.replace("_", "-") for name in app["options"]}
    if own & {"http", "https"} and "http-websockets" not in own:
        options.append(("http-websockets", True))
    return options
