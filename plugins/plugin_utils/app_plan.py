"""The applications of the publish role's plan: code, socket, configuration and unit of each."""

from __future__ import annotations

import dataclasses
import posixpath
import re
from collections.abc import Iterable, Mapping
from typing import Any

from . import (
    account_plan,
    app_environment,
    background_plan,
    client_plan,
    layout,
    log_plan,
    request_plan,
    unit_plan,
    uwsgi_values,
)
from .app_environment import word
from .model import App, Code, File, FirstQuestion, Instance, Preflight, Probe, Release, Reload, UwsgiInstance
from .nginx_tree import Directive, idle, slug
from .problem import Problems

# The role's own template of a unit's drop-in, which prints what the plan says of its service and nothing else.
INSTANCE_TEMPLATE = "instance.conf.j2"
SAFE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}\Z")
HOST_PORT = re.compile(r"(?P<host>\[[0-9a-fA-F:.]+\]|[A-Za-z0-9_.-]*|\*):(?P<port>\d{1,5})\Z")
SOURCES = ("source", "archive", "repo", "path")
# Settings whose text must reach the application as it is written, not as uWSGI's configuration language reads it.
LITERAL = (
    "path",
    "module",
    "wsgi_file",
    "callable",
    "pythonpath",
    "chdir",
    "socket",
    "virtualenv",
    "log",
    "user",
    "group",
)
ANY_HOST = {"", "*", "0.0.0.0", "[::]"}

# What the plan itself writes into an application's configuration, and the setting that states it.
OWNED = {
    "socket": "socket",
    "uwsgi-socket": "socket",
    "http-socket": "protocol: http and socket",
    "protocol": "protocol of the application",
    "socket-protocol": "protocol of the application",
    "module": "module",
    "wsgi": "module",
    "wsgi-file": "wsgi_file",
    "file": "wsgi_file",
    "callable": "callable",
    "processes": "processes",
    "workers": "processes",
    "threads": "threads",
    "gevent": "gevent",
    "pythonpath": "pythonpath",
    "python-path": "pythonpath",
    "pp": "pythonpath",
    "chdir": "chdir",
    "virtualenv": "virtualenv or requirements",
    "venv": "virtualenv or requirements",
    "home": "virtualenv or requirements",
    "pyhome": "virtualenv or requirements",
    "env": "env",
    "logto": "log",
    "logto2": "log",
    "log-master": "log",
    "log-reopen": "log",
    "uid": "user",
    "gid": "group",
    "pidfile": "",
    "pidfile2": "",
    "safe-pidfile": "",
    "safe-pidfile2": "",
    "master": "",
    "master-fifo": "",
    "stats": "",
    "strict": "",
}
# What an ini from elsewhere says of its socket, and means nothing for one in the folder that only nginx reaches.
SOCKET_MODES = {"chmod", "chmod-socket", "chown-socket"}
REFUSED = {*OWNED, "daemonize", "daemonize2"}
# What no name of a file holds: a version, extras, or an address (`flask==3.1.2`, `gunicorn[gevent]`, `git+https://...`).
_REQUIREMENT = re.compile(r"[=<>!~]=|[<>]|\w\[[^\]]*\]\s*\Z|\w://|\s@\s")
# gevent itself, what is made for it (gevent-websocket), or an extra of that name (gunicorn[gevent]).
_GEVENT = re.compile(r"gevent|[\w.-]+\s*\[[^\]]*\bgevent\b", re.IGNORECASE)
HOW = "write the name of a file in the code, such as requirements.txt, or a list such as [Flask, gevent]"
# Greenlets of an application with WebSockets that states none: as many sockets are open at most.
GREENLETS = 1000
# Options that contradict sockets which stay open, and what to do about it.
AGAINST_SOCKETS = {
    "harakiri": ("ends the worker, with all its sockets, once one has been open that long", "leave it out"),
    "worker-reload-mercy": ("is how long open sockets may stay when their worker is to end", "state websocket_mercy"),
}


def entry(app: Mapping[str, Any]) -> str:
    """The WSGI application as ``module:callable``; a module that names its callable itself counts."""
    module = app["module"] or posixpath.splitext(posixpath.basename(app["wsgi_file"]))[0]
    return module if ":" in module else f"{module}:{app['callable']}"


def items(value: Any) -> Iterable[Any]:
    return value if isinstance(value, list) else [value]


def check_text(value: Any, path: str, problems: Problems) -> None:
    """Refuse what would break out of its line; every template relies on it."""
    if isinstance(value, dict):
        for name, item in value.items():
            check_text(str(name), path, problems)
            check_text(item, f"{path}.{name}", problems)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            check_text(item, f"{path}[{index}]", problems)
    elif isinstance(value, str) and ("\n" in value or "\r" in value or "\0" in value):
        problems.add(path, "holds a line break", "write it on one line; a list repeats a directive")


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


def endpoint(app: dict[str, Any], path: str, problems: Problems) -> tuple[str, int | None]:
    """The socket as uWSGI binds it, and its port where it has one."""
    socket = app["socket"]
    if not socket:
        return layout.socket(app["name"]), None
    if socket.startswith("/"):
        if posixpath.normpath(socket).startswith(("/tmp/", "/var/tmp/")):
            message = (
                f"{socket!r} lies in a folder that each unit has to itself (PrivateTmp), where nginx does not see it"
            )
            problems.add(f"{path}.socket", message, "leave it out, or put it below /run or the project")
        return socket, None
    found = HOST_PORT.match(socket)
    # nginx writes * for any address, uWSGI does not know it.
    if not found or found["host"] == "*" or not 0 < int(found["port"]) < 65536:
        problems.add(
            f"{path}.socket",
            f"{socket!r} is neither host:port nor an absolute path",
            "write e.g. 127.0.0.1:5051, or leave it out for a unix socket",
        )
        return socket, None
    return socket, int(found["port"])


def check(app: dict[str, Any], path: str, problems: Problems) -> None:
    given = [key for key in SOURCES if app[key]]
    if len(given) != 1:
        message = "nothing says where its code is" if not given else f"its code is to come from {' and '.join(given)}"
        problems.add(path, message, f"give exactly one of {', '.join(SOURCES)}")
    if app["version"] and not app["repo"]:
        message = "a version is one of a git repository, and repo names none"
        problems.add(f"{path}.version", message, "give repo, or leave version out")
    if app["path"] and not app["path"].startswith("/"):
        problems.add(f"{path}.path", f"{app['path']!r} is not absolute", "write the folder's whole path on the host")
    if not app["module"] and not app["wsgi_file"]:
        problems.add(path, "nothing says what is to be run", "give module (manage for manage.py) or wsgi_file")
    if (app["gevent"] or app["websocket"]) and app["threads"]:
        problems.add(
            f"{path}.threads",
            "threads mean nothing under gevent, which serves requests in greenlets",
            f"leave threads out, or leave {'gevent' if app['gevent'] else 'websocket'} out",
        )
    for key in ("processes", "threads", "gevent", "instances", "websocket_mercy"):
        if app[key] is not None and app[key] < 1:
            problems.add(f"{path}.{key}", f"{app[key]} is too few", "write 1 or more")
    if app["virtualenv"] and app["requirements"]:
        problems.add(
            f"{path}.requirements",
            "the requirements are installed in a virtualenv of the application's own, and virtualenv names another one",
            "leave virtualenv out, or leave requirements out",
        )
    wanted = app["requirements"]
    if wanted is not None and not isinstance(wanted, str):
        if not isinstance(wanted, list) or not all(isinstance(line, str) for line in wanted):
            problems.add(f"{path}.requirements", f"{wanted!r} is neither a file name nor a list", HOW)
    elif wanted and _REQUIREMENT.search(wanted):
        message = f"{wanted!r} is a requirement, and a text names a file in the code"
        problems.add(f"{path}.requirements", message, f"write it as a list: [{wanted!r}]")
    elif wanted and (wanted.startswith("/") or ".." in wanted.split("/")):
        problems.add(f"{path}.requirements", f"{wanted!r} is outside the code", "write a path below the code's folder")
    _check_instances(app, path, problems)
    request_plan.check(app, path, problems)
    uwsgi_values.check(app, path, problems)
    unit_plan.check_options(f"{path}.service_options", app["service_options"], problems)
    command = app["service_options"].get("ExecStart", [])
    commands = list(items(command))
    if commands and all(item in ("", None) for item in commands):
        message = "takes the role's command away and has none in its place, which systemd refuses"
        problems.add(f"{path}.service_options.ExecStart", message, "leave it out")
    elif commands and (len(commands) == 1 or commands[0] not in ("", None)):
        message = "the role writes one itself, and systemd takes no unit with a second one"
        hint = "leave it out, what runs before is ExecStartPre; or begin a list with '', which takes the role's away"
        problems.add(f"{path}.service_options.ExecStart", message, hint)
    if app["virtualenv"] and not app["virtualenv"].startswith("/"):
        message = f"{app['virtualenv']!r} is not absolute" + (
            "" if app["path"] else ", and a release brings none along"
        )
        whole = posixpath.join(app["path"], app["virtualenv"]) if app["path"] else "the whole path on the host"
        problems.add(f"{path}.virtualenv", message, f"write {whole}, or state requirements instead")
    if app["log"] not in ("system", "project", "journal") and not app["log"].startswith("/"):
        problems.add(
            f"{path}.log", f"{app['log']!r} is not known", "write system, project, journal or an absolute path"
        )
    for name in app["options"]:
        _check_option(name, f"{path}.options.{name}", problems)
        given = app["options"][name]
        _check_language("" if given is None else given, f"{path}.options.{name}", app["config_format"], problems)
    for key in LITERAL:
        _check_language(app[key], f"{path}.{key}", app["config_format"], problems)
        _check_literal(app[key], f"{path}.{key}", problems)
    app_environment.check(app["env"], f"{path}.env", problems)
    for key, value in app.items():
        if key != "env":
            check_text(value, f"{path}.{key}", problems)


def _check_instances(app: dict[str, Any], path: str, problems: Problems) -> None:
    several, processes = app["instances"] > 1, app["processes"] or 1
    if processes > 1 and (app["websocket"] or app["affinity"]):
        message = f"{processes} processes share one socket, so that one may get requests of a session it does not know"
        hint = f"write instances: {max(processes, app['instances'])} and leave processes out"
        problems.add(f"{path}.processes", message, hint)
    if several and app["socket"]:
        message = f"{app['socket']!r} is one socket, and {app['instances']} instances need one each"
        problems.add(
            f"{path}.socket", message, "leave it out, each has its own below /run then; or leave instances out"
        )
    if app["affinity"] and not several:
        message = "nothing is to be chosen for a client, since there is one instance only"
        problems.add(f"{path}.affinity", message, "set instances to 2 or more, or leave affinity out")
    for name in app["options"] if app["websocket"] else ():
        if name.replace("_", "-") in AGAINST_SOCKETS:
            problems.add(f"{path}.options.{name}", *AGAINST_SOCKETS[name.replace("_", "-")])


def check_gevent(app: dict[str, Any], path: str, file: Iterable[str] | None, problems: Problems) -> None:
    """Refuse gevent where the requirements do not name it. ``file``: the lines of their file, if they are known."""
    wanted = app["requirements"]
    given = wanted if isinstance(wanted, list) else file or ()
    lines = [re.sub(r"(\A|\s)#.*", "", str(line)).strip() for line in given]
    # What another file, or a project at a path or an address, brings along is not known here.
    unknown = any(line.startswith(("-", ".")) or "/" in line for line in lines)
    if not (app["gevent"] or app["websocket"]) or not lines or unknown:
        return
    if not any(_GEVENT.match(line) for line in lines):
        key = "gevent" if app["gevent"] else "websocket"
        where = wanted if isinstance(wanted, str) else "the list"
        message = f"the requirements name no gevent, and {key} needs it"
        problems.add(f"{path}.requirements", message, f"add gevent to {where}, or leave {key} out")


def _check_literal(value: Any, path: str, problems: Problems) -> None:
    """Refuse what uWSGI would read as something else than it says; a % can be written so that it stays one."""
    if isinstance(value, dict):
        for name, item in value.items():
            _check_literal(item, f"{path}.{name}", problems)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _check_literal(item, f"{path}[{index}]", problems)
    elif isinstance(value, str) and ("$(" in value or "@(" in value):
        message = "holds $( or @(, which uWSGI replaces by a variable or a file"
        problems.add(path, message, "write what it stands for, as text")


def _check_language(value: Any, path: str, kind: str, problems: Problems) -> None:
    """Refuse what uWSGI would read only a part of, or nothing, in this language of its own (found out on 2.0.31)."""
    if isinstance(value, dict):
        for name, item in value.items():
            _check_language(item, f"{path}.{name}", kind, problems)
        return
    if isinstance(value, list):
        for index, item in enumerate(value):
            _check_language(item, f"{path}[{index}]", kind, problems)
        return
    text = word(value)
    if text != text.strip():
        problems.add(path, "begins or ends with a blank, which uWSGI drops", "leave the blank out")
    message = _LANGUAGES.get(kind, lambda _text: None)(text)
    if message and value is not None:
        problems.add(path, message, "use config_format: ini, or json")


def _in_yaml(text: str) -> str | None:
    if "#" in text:
        return "holds #, which begins a comment in uWSGI's YAML wherever it stands"
    if text[:1] in ("'", '"') or text[-1:] in ("'", '"'):
        return "begins or ends with a quote, which one uWSGI's YAML keeps and another's does not"
    return None


def _in_xml(text: str) -> str | None:
    if not text:
        return "is empty, which uWSGI's XML takes for 1"
    if _NOT_IN_XML.search(text):
        return "holds a control character, which no XML may"
    if "]]>" in text or ("]" in text and ("&" in text or "<" in text)):
        return "holds ] beside & or <, which uWSGI's XML cuts off"
    return None


_NOT_IN_XML = re.compile("[\x00-\x08\x0b-\x1f\ud800-\udfff\ufffe\uffff]")
_LANGUAGES = {"yaml": _in_yaml, "xml": _in_xml}


def _xml(text: str) -> str:
    """A value as uWSGI's XML reads all of it: with an entity in it, it would take what stands before that."""
    return f"<![CDATA[{text}]]>" if "&" in text or "<" in text else text


def _check_option(name: str, path: str, problems: Problems) -> None:
    name = name.replace("_", "-")
    if name in ("daemonize", "daemonize2"):
        problems.add(
            path,
            "under systemd it detaches the master from its unit, which then takes it for dead",
            "leave it out, and say where the log goes with log (system, project, journal or a path)",
        )
    elif name in OWNED:
        hint = f"state it with {OWNED[name]}" if OWNED[name] else "leave it out"
        problems.add(path, "the role writes it itself, and a second one would contradict it", hint)


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


def _uwsgi_options(app: dict[str, Any], planned: dict[str, Any]) -> list[list[str]]:
    """The application's configuration, in order: [[option, value], ...]."""
    run, code = planned["run_dir"], planned["code"]
    options: list[tuple[str, Any]] = [
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
    # uWSGI loads what is mounted by itself; nothing else is loaded where nothing else is asked for.
    if app["module"] and app["unmounted"]:
        options.append(("module", app["module"]))
    if app["wsgi_file"] and app["unmounted"]:
        options.append(("wsgi-file", posixpath.join(code, app["wsgi_file"])))
    if app["mounts"]:
        loaded = entry(app) if app["module"] else posixpath.join(code, app["wsgi_file"])
        options += [("mount", f"{path}={loaded}") for path in app["mounts"]]
        given = {name.replace("_", "-") for name in app["options"]}
        # Without the latter each is loaded by a Python interpreter of its own, which many C extensions do not bear.
        options += [(name, True) for name in ("manage-script-name", "single-interpreter") if name not in given]
    options += [("callable", app["callable"]), ("processes", app["processes"])]
    if app["gevent"]:
        options.append(("gevent", app["gevent"]))
        options += _socket_options(app) if app["websocket"] else []
    else:
        options.append(("enable-threads", True))
        if app["threads"]:
            options.append(("threads", app["threads"]))
    options += request_plan.options(app)
    if planned["log_file"]:
        # Only the master opens a log anew after a rotation, so the workers write through it; a reload that does not
        # open it again goes on writing to the old one.
        options += [("logto", planned["log_file"]), ("log-master", True), ("log-reopen", True)]
        # logrotate has systemd send it: root opens no fifo in a folder of the application's.
        options.append(("hook-master-start", f"unix_signal:{log_plan.REOPEN[1]} uwsgi_log_reopen"))
    # In every language of uWSGI's a bare % begins a variable of its own, an unknown one being empty.
    # Before all routes of the user's own.
    options += planned["packet_routes"]
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


def _socket_options(app: dict[str, Any]) -> list[tuple[str, Any]]:
    options: list[tuple[str, Any]] = [
        # Before the code is imported: what waits for Redis or a lock must let the other greenlets go on.
        ("gevent-early-monkey-patch", True),
        # A socket never ends by itself.
        ("worker-reload-mercy", app["websocket_mercy"]),
    ]
    own = {name.replace("_", "-") for name in app["options"]}
    if own & {"http", "https"} and "http-websockets" not in own:
        options.append(("http-websockets", True))
    return options


def _binary(host: dict[str, Any]) -> str:
    return (host.get("uwsgi") or {}).get("binary") or "/opt/uwsgi/current/bin/uwsgi"


def _variable(*parts: str) -> str:
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
        cookie=_variable(values["publish_set"], app["name"]),
    )


def _alike(item: type[Instance] | type[UwsgiInstance], values: Mapping[str, Any]) -> dict[str, Any]:
    """The values that are called as fields of a class of the model."""
    return {field.name: values[field.name] for field in dataclasses.fields(item) if field.name in values}


def _instance(
    app: dict[str, Any], unit: str, values: dict[str, Any], roles: dict[str, Any], host: dict[str, Any]
) -> Instance:
    name, root = app["name"], values["publish_root"]
    code = _code(app, root)
    user, group = account_plan.account(app, values)
    run_dir = layout.run_dir(unit)
    config = layout.config(roles["uwsgi"]["uwsgi_conf_dir"], unit, app["config_format"])
    # A field that is called as a variable of the application is that, unless it is made of it here.
    planned: dict[str, Any] = _alike(Instance, app)
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
        "pythonpath": [posixpath.join(code, folder) for folder in app["pythonpath"] or [""]],
        "run_dir": run_dir,
        "pidfile": f"{run_dir}/pid",
        "config": config,
        "template": app["template"] or values["publish_app_template"],
        "packet_size": request_plan.packet_size(app),
        "log_file": _log_file(app, unit, values, roles["uwsgi"]["uwsgi_log_dir"]),
        "virtualenv": _virtualenv(app, values),
        "uwsgi_home": posixpath.dirname(posixpath.dirname(_binary(host))),
        "env_file": app_environment.path_of(app, roles["uwsgi"]["uwsgi_conf_dir"]),
        "script": entry(app),
    }
    # A release's virtualenv hangs below it, so that its path says all; that of code not ours has a link of its own.
    planned["links"] = [] if app["path"] else [code]
    if app["requirements"]:
        planned["links"].append(planned["virtualenv"])
    planned["pythonpath"] = [folder.rstrip("/") for folder in planned["pythonpath"]]
    planned["socket"], planned["port"] = endpoint({**app, "name": unit}, "", Problems())
    planned["link"] = layout.link(unit) if planned["port"] is None else None
    planned["socket_dir"] = layout.socket_dir(unit) if planned["link"] else None
    # A uWSGI without routes would end at the first of them.
    own = {"UWSGI_SCRIPT": planned["script"], "UWSGI_CHDIR": planned["chdir"]}
    routes = account_plan.has_routes(host, roles["uwsgi"])
    own_routes = account_plan.packet_routes(app, app["packets"], own)
    planned["packet_routes"] = [*own_routes, *client_plan.routes(app)] if routes else []
    planned["needs_standby"] = background_plan.needs_standby(app, planned["link"])
    planned["options"] = _uwsgi_options(app, planned)
    planned["dropin"] = layout.dropin(unit, name)
    planned["service"] = [
        ["ExecStart", ""],
        ["ExecStart", f"{_binary(host)} --{app['config_format']} {config}"],
        ["User", user],
        ["Group", group],
        # Whoever reads the pid file, speaks to the fifo or asks for statistics is root or the application itself.
        ["RuntimeDirectoryMode", "0700"],
        *account_plan.clients(app),
        *([["EnvironmentFile", planned["env_file"]]] if planned["env_file"] else []),
        # A graceful stop of uWSGI knows no mercy of its own, and waits for sockets for ever.
        *([["TimeoutStopSec", word(planned["mercy"])]] if planned["mercy"] else []),
    ] + [[key, word(item)] for key, value in app["service_options"].items() for item in items(value)]
    return Instance(**planned)


def shared(apps: Iterable[App], name: str, nginx_version: str = "") -> list[Directive]:
    """What the applications of a set need outside of all server blocks: upstreams and their maps."""
    apps = list(apps)
    secure = f"${_variable(name)}_secure"
    http: list[Directive] = []
    if any(app.affinity == "cookie" for app in apps):
        http.append(["map", f"$scheme {secure}", [["https", '"; Secure"', None], ["default", '""', None]]])
    for app in apps:
        if not app.upstream:
            continue
        servers: list[Directive] = [
            # One that fails once is not left for ten seconds: its sessions are nobody else's.
            ["server", f"unix:{unit.link}{' max_fails=0' if app.affinity else ''}", None]
            for unit in app.instances
        ]
        if app.affinity == "cookie":
            cookie = app.cookie
            # Nothing of what a client sends is sent back, and what is not ours counts as no cookie.
            ours, new = '"~^[0-9a-f]{32}$"', f'"{cookie}=$request_id; Path=/; HttpOnly; SameSite=Lax{secure}"'
            children = [[ours, f"$cookie_{cookie}", None], ["default", "$request_id", None]]
            http.append(["map", f"$cookie_{cookie} ${cookie}_key", children])
            # nginx leaves out a header that is empty.
            http.append(["map", f"$cookie_{cookie} ${cookie}_new", [[ours, '""', None], ["default", new, None]]])
            servers.insert(0, ["hash", f"${cookie}_key consistent", None])
        elif app.affinity == "address":
            servers.insert(0, ["hash", "$binary_remote_addr consistent", None])
        http.append(["upstream", app.upstream, servers + idle(nginx_version)])
    return http


def _document(planned: Instance) -> dict[str, Any]:
    """The configuration for languages whose keys are unique: a repeated option is a list."""
    gathered: dict[str, list[str]] = {}
    for name, value in planned.options:
        gathered.setdefault(name, []).append(value)
    return {"uwsgi": {name: found if len(found) > 1 else found[0] for name, found in gathered.items()}}


def _template(planned: Instance) -> str:
    """The template of the application's configuration."""
    return planned.template or f"app.{planned.config_format}.j2"


def _vars(planned: Instance) -> dict[str, Any]:
    """The variables of that template."""
    elements = [[name, _xml(value)] for name, value in planned.options]
    return {"app": planned, "document": _document(planned), "elements": elements}


def files(planned: Instance, instance_template: str) -> list[File]:
    """The files of an instance."""
    found = [
        File(
            dest=planned.config,
            template=_template(planned),
            vars=_vars(planned),
            # Options of the user may hold secrets; the master reads this as the application's user.
            mode="0640",
            group=planned.group,
            belongs_to=planned.app,
        ),
        File(dest=planned.dropin, template=instance_template, vars={"app": planned}, belongs_to=planned.app),
    ]
    if planned.log_file:
        owner, group = planned.user, planned.group
        found.append(File(dest=planned.log_file, content="", force=False, owner=owner, group=group, mode="0640"))
    return found


def instance(planned: Instance) -> UwsgiInstance:
    """The instance as it is started, restarted and reloaded."""
    # With cheaper uWSGI starts fewer, and more as they are needed.
    cheaper = any(name.startswith("cheaper") for name, _value in planned.options)
    own = _alike(UwsgiInstance, vars(planned)) | {
        "unit_files": [
            layout.UWSGI_UNIT,
            planned.dropin,
            # systemd reads it when the instance starts, and uWSGI keeps its environment over a reload.
            *([planned.env_file] if planned.env_file else []),
        ],
        "standby": layout.standby_socket(planned.socket_dir) if planned.socket_dir else None,
        "processes": 1 if cheaper else planned.processes,
    }
    return UwsgiInstance(**own)


def reload(planned: Instance, probe: Probe | None) -> Reload:
    """The instance as it is reloaded by name."""
    return Reload(name=planned.name, pidfile=planned.pidfile, config=planned.config, probe=probe)


def preflight(
    app: dict[str, Any], planned: App, instance_template: str, probe: Probe | None, question: FirstQuestion
) -> Preflight:
    """The application as its new code is loaded before it goes live."""
    # Of several instances the first one's unit says what all of them have.
    first = planned.instances[0]
    own = instance_template != INSTANCE_TEMPLATE
    return Preflight(
        name=app["name"],
        user=planned.user,
        group=planned.group,
        options=planned.options,
        # Where a unit hands them over, by the file that it names and that is not live yet.
        environment=app_environment.words(app["env"]),
        files={planned.env_file: app_environment.content(app["env"])} if planned.env_file else {},
        # What another template makes of the options is not known here.
        format=planned.config_format if planned.template else None,
        template=_template(planned) if planned.template else None,
        vars=_vars(planned) if planned.template else None,
        probe=probe,
        question=question,
        unit=first.unit,
        dropin=first.dropin,
        service=first.service,
        code=Code(
            path=planned.code,
            module=app["module"],
            requirements=app["requirements"],
            virtualenv=app["virtualenv"],
        ),
        service_template=instance_template if own else None,
        service_vars={"app": first} if own else None,
    )


def release(app: dict[str, Any], planned: App, values: dict[str, Any], limits: Mapping[str, list[str]]) -> Release:
    """The code of the application. ``limits``: what pip is to keep to, ``bounds`` and ``constraints``."""
    kept_to = limits if app["requirements"] else {}
    return Release(
        name=app["name"],
        home=planned.home,
        group=planned.group,
        user=planned.user,
        source=app["source"],
        archive=app["archive"],
        repo=app["repo"],
        version=app["version"] or "HEAD",
        path=app["path"],
        exclude=values["publish_exclude"] + app["exclude"],
        requirements=app["requirements"],
        bounds=kept_to.get("bounds"),
        constraints=kept_to.get("constraints"),
    )
