"""The plan of the publish role: both ends of every socket, derived from what an application says once.

In: the role's variables (normalised by spec.check), the other rooms' variables, what is known of the host.
Out: accounts, folders, files, releases and units, in the shape that the role's tasks and templates print.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable
from typing import Any

from .nginx_tree import directives
from .problem import Problem, close_match

SAFE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}\Z")
HOST_PORT = re.compile(r"(?P<host>\[[0-9a-fA-F:.]+\]|[A-Za-z0-9_.-]*|\*):(?P<port>\d{1,5})\Z")
SOURCES = ("source", "archive", "repo", "path")
# Where the nginx role puts its things; they are no variables of it.
NGINX_DIR = "/etc/nginx"
NGINX_LOG_DIR = "/var/log/nginx"
NGINX_PIDFILE = "/run/nginx.pid"
# Symlinks to the applications' sockets: nginx is led to another generation of one by a rename, without knowing it.
LINK_DIR = "/run/wsgi"
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
    "env",
    "log",
    "user",
    "group",
)
PLUGINS = {"plugin", "plugins", "need-plugin", "need-plugins", "dlopen"}
ANY_HOST = {"", "*", "0.0.0.0", "[::]"}

# What the plan itself writes into an application's configuration, and the setting that states it.
OWNED = {
    "socket": "socket",
    "uwsgi-socket": "socket",
    "http-socket": "protocol: http and socket",
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
REFUSED = {*OWNED, "daemonize", "daemonize2"}


class _Problems(list[Problem]):
    def say(self, path: str, says: str, mend: str) -> None:
        self.append(Problem(path, says, mend))


def _items(value: Any) -> Iterable[Any]:
    return value if isinstance(value, list) else [value]


def _word(value: Any) -> str:
    """A value as uWSGI reads it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def _check_text(value: Any, path: str, problems: _Problems) -> None:
    """Refuse what would break out of its line; every template relies on it."""
    if isinstance(value, dict):
        for name, item in value.items():
            _check_text(str(name), path, problems)
            _check_text(item, f"{path}.{name}", problems)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _check_text(item, f"{path}[{index}]", problems)
    elif isinstance(value, str) and ("\n" in value or "\r" in value or "\0" in value):
        problems.say(path, "holds a line break", "write it on one line; a list repeats a directive")


# -- applications ----------------------------------------------------------------------------------------------------


def _endpoint(app: dict[str, Any], path: str, problems: _Problems) -> tuple[str, int | None]:
    """The socket as uWSGI binds it, and its port where it has one."""
    socket = app["socket"]
    if not socket:
        return f"/run/uwsgi-{app['name']}/sock", None
    if socket.startswith("/"):
        if posixpath.normpath(socket).startswith(("/tmp/", "/var/tmp/")):
            says = "lies in a folder that each unit has to itself, so that nginx would not see it"
            problems.say(f"{path}.socket", says, "leave it out, or put it below /run or the project")
        return socket, None
    found = HOST_PORT.match(socket)
    # nginx writes * for any address, uWSGI does not know it.
    if not found or found["host"] == "*" or not 0 < int(found["port"]) < 65536:
        problems.say(
            f"{path}.socket",
            f"{socket!r} is neither host:port nor an absolute path",
            "write e.g. 127.0.0.1:5051, or leave it out for a unix socket",
        )
        return socket, None
    return socket, int(found["port"])


def _check_app(app: dict[str, Any], path: str, problems: _Problems) -> None:
    given = [key for key in SOURCES if app[key]]
    if len(given) != 1:
        says = "has no code" if not given else f"takes its code from {' and '.join(given)}"
        problems.say(path, says, f"give exactly one of {', '.join(SOURCES)}")
    if app["version"] and not app["repo"]:
        problems.say(f"{path}.version", "goes with repo only", "give repo, or leave version out")
    if app["path"] and not app["path"].startswith("/"):
        problems.say(f"{path}.path", f"{app['path']!r} is not absolute", "write the folder's whole path on the host")
    if not app["module"] and not app["wsgi_file"]:
        problems.say(path, "says nothing of what to run", "give module (manage for manage.py) or wsgi_file")
    if app["gevent"] and app["threads"]:
        problems.say(
            f"{path}.threads",
            "means nothing under gevent, which serves requests in greenlets",
            "leave threads out, or leave gevent out",
        )
    for key in ("processes", "threads", "gevent"):
        if app[key] is not None and app[key] < 1:
            problems.say(f"{path}.{key}", f"{app[key]} is too few", "write 1 or more")
    if app["virtualenv"] and app["requirements"]:
        problems.say(
            f"{path}.requirements",
            "go into the application's own virtualenv, but virtualenv names another",
            "leave virtualenv or requirements out",
        )
    wanted = app["requirements"]
    if wanted is not None and not isinstance(wanted, str):
        if not isinstance(wanted, list) or not all(isinstance(line, str) for line in wanted):
            problems.say(f"{path}.requirements", f"{wanted!r} is neither a file name nor a list", "write one of them")
    elif wanted and (wanted.startswith("/") or ".." in wanted.split("/")):
        problems.say(f"{path}.requirements", f"{wanted!r} is outside the code", "write a path below the code's folder")
    if app["log"] not in ("system", "project", "journal") and not app["log"].startswith("/"):
        problems.say(
            f"{path}.log", f"{app['log']!r} is not known", "write system, project, journal or an absolute path"
        )
    for name in app["options"]:
        _check_option(name, f"{path}.options.{name}", problems)
    for key in LITERAL:
        _check_literal(app[key], f"{path}.{key}", app["config_format"], problems)
    for key, value in app.items():
        _check_text(value, f"{path}.{key}", problems)


def _check_literal(value: Any, path: str, kind: str, problems: _Problems) -> None:
    """Refuse what uWSGI would read as something else than it says; a % can be written so that it stays one."""
    if isinstance(value, dict):
        for name, item in value.items():
            _check_literal(item, f"{path}.{name}", kind, problems)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _check_literal(item, f"{path}[{index}]", kind, problems)
    elif isinstance(value, str):
        if "$(" in value or "@(" in value:
            says = "holds $( or @(, which uWSGI replaces by a variable or a file"
            problems.say(path, says, "for an environment variable use service_options: {Environment: ...}")
        if value != value.strip():
            problems.say(path, "begins or ends with a blank, which uWSGI drops", "leave the blank out")
        if kind == "yaml" and "#" in value:
            problems.say(
                path, "holds #, which begins a comment in uWSGI's YAML wherever it stands", "use config_format: ini"
            )


def _check_known(app: dict[str, Any], path: str, known: Iterable[str], problems: _Problems) -> None:
    """Refuse options that this uWSGI does not have; it would ignore them, or under strict end at once."""
    # What a plugin brings along is known only once it is loaded.
    if not known or PLUGINS.intersection(app["options"]):
        return
    for name in app["options"]:
        if name not in known and name.replace("_", "-") not in REFUSED:
            meant = close_match(name, known)
            mend = (
                f"did you mean {meant}?" if meant else "see `uwsgi --help`; a variable of your own is a set-placeholder"
            )
            problems.say(f"{path}.options.{name}", "uWSGI has no such option", mend)


def _check_option(name: str, path: str, problems: _Problems) -> None:
    name = name.replace("_", "-")
    if name in ("daemonize", "daemonize2"):
        problems.say(
            path,
            "under systemd it detaches the master from its unit, which then takes it for dead",
            "leave it out, and say where the log goes with log (system, project, journal or a path)",
        )
    elif name in OWNED:
        mend = f"state it with {OWNED[name]}" if OWNED[name] else "leave it out"
        problems.say(path, "is written by the plan itself, and a second one would contradict it", mend)


def _code(app: dict[str, Any], root: str) -> str:
    return app["path"] or posixpath.join(root, app["name"], "current")


def _log_file(app: dict[str, Any], values: dict[str, Any], log_dir: str) -> str | None:
    log = app["log"]
    if log == "journal":
        return None
    if log == "project":
        folder = app["path"] or posixpath.join(values["publish_root"], app["name"], "logs")
        return posixpath.join(folder, "server.log")
    if log == "system":
        return posixpath.join(log_dir, app["name"], "server.log")
    return log


def _virtualenv(app: dict[str, Any], values: dict[str, Any]) -> str | None:
    if app["requirements"]:
        # A release brings its virtualenv along, so that one rename switches code and requirements.
        if app["path"]:
            return posixpath.join(values["publish_root"], app["name"], "venv")
        return posixpath.join(_code(app, values["publish_root"]), ".venv")
    return app["virtualenv"]


def _uwsgi_options(app: dict[str, Any], planned: dict[str, Any]) -> list[list[str]]:
    """The application's configuration, in order: [[option, value], ...]."""
    run, code = planned["run_dir"], planned["code"]
    options: list[tuple[str, Any]] = [
        ("strict", True),
        ("master", True),
        ("need-app", True),
        ("lazy-apps", True),
        ("vacuum", True),
        ("safe-pidfile", planned["pidfile"]),
        ("master-fifo", f"{run}/fifo"),
        ("stats", f"{run}/stats"),
        ("http-socket" if app["protocol"] == "http" else "socket", planned["socket"]),
    ]
    if planned["port"] is None:
        # uWSGI runs as the application's user, so it may hand the socket only to a group that it is a member of.
        options += [("chmod-socket", "660"), ("chown-socket", f"{planned['user']}:{planned['web_group']}")]
    if planned["virtualenv"]:
        options.append(("virtualenv", planned["virtualenv"]))
    options += [("pythonpath", folder) for folder in planned["pythonpath"]]
    if app["path"]:
        options.append(("chdir", planned["chdir"]))
    else:
        # The master keeps its folder over a reload: only the workers may stand in a release.
        options += [("chdir", "/"), ("hook-post-fork", f"chdir:{planned['chdir']}")]
    if app["module"]:
        options.append(("module", app["module"]))
    if app["wsgi_file"]:
        options.append(("wsgi-file", posixpath.join(code, app["wsgi_file"])))
    options += [("callable", app["callable"]), ("processes", app["processes"])]
    if app["gevent"]:
        options.append(("gevent", app["gevent"]))
    else:
        options.append(("enable-threads", True))
        if app["threads"]:
            options.append(("threads", app["threads"]))
    # Cookies and long addresses of today do not fit into uWSGI's 4 KiB.
    if not any(name.replace("_", "-") == "buffer-size" for name in app["options"]):
        options.append(("buffer-size", 32768))
    if planned["log_file"]:
        # Only the master opens a log anew after a rotation, so the workers write through it; a reload that does not
        # open it again goes on writing to the old one.
        options += [("logto", planned["log_file"]), ("log-master", True), ("log-reopen", True)]
    options += [("env", f"{name}={_word(value)}") for name, value in app["env"].items()]
    # In every language of uWSGI's a bare % begins a variable of its own, an unknown one being empty.
    literal = [[name, _word(value).replace("%", "%%")] for name, value in options]
    return literal + [[name, _word(item)] for name, value in app["options"].items() for item in _items(value)]


def _binary(host: dict[str, Any]) -> str:
    return (host.get("uwsgi") or {}).get("binary") or "/opt/uwsgi/current/bin/uwsgi"


def _plan_app(
    app: dict[str, Any], values: dict[str, Any], rooms: dict[str, Any], host: dict[str, Any]
) -> dict[str, Any]:
    name, root = app["name"], values["publish_root"]
    code = _code(app, root)
    user = app["user"] or values["publish_user"]
    group = app["group"] or (app["user"] or values["publish_group"])
    run_dir = f"/run/uwsgi-{name}"
    config = posixpath.join(rooms["uwsgi"]["uwsgi_conf_dir"], f"{name}.{app['config_format']}")
    planned: dict[str, Any] = {
        "name": name,
        "unit": f"uwsgi@{name}.service",
        "user": user,
        "group": group,
        "web_group": rooms["nginx"]["nginx_group"],
        "home": posixpath.join(root, name),
        "path": app["path"],
        "processes": app["processes"],
        "code": code,
        "chdir": posixpath.join(code, app["chdir"] or "").rstrip("/"),
        "pythonpath": [posixpath.join(code, folder) for folder in app["pythonpath"] or [""]],
        "run_dir": run_dir,
        "pidfile": f"{run_dir}/pid",
        "config": config,
        "config_format": app["config_format"],
        "template": app["template"] or values["publish_app_template"],
        "protocol": app["protocol"],
        "log_file": _log_file(app, values, rooms["uwsgi"]["uwsgi_log_dir"]),
        "virtualenv": _virtualenv(app, values),
        "probe": {key: value for key, value in (app["probe"] or {}).items() if value is not None},
        "script": f"{app['module'] or posixpath.splitext(posixpath.basename(app['wsgi_file']))[0]}:{app['callable']}",
    }
    # A release's virtualenv hangs below it, so that its path says all; that of code not ours has a link of its own.
    planned["links"] = [] if app["path"] else [code]
    if app["requirements"]:
        planned["links"].append(planned["virtualenv"])
    planned["pythonpath"] = [folder.rstrip("/") for folder in planned["pythonpath"]]
    planned["socket"], planned["port"] = _endpoint(app, "", _Problems())
    planned["link"] = posixpath.join(LINK_DIR, f"{name}.sock") if planned["port"] is None else None
    planned["options"] = _uwsgi_options(app, planned)
    planned["dropin"] = f"/etc/systemd/system/uwsgi@{name}.service.d/10-publish.conf"
    planned["service"] = [
        ["ExecStart", ""],
        ["ExecStart", f"{_binary(host)} --{app['config_format']} {config}"],
        ["User", user],
        ["Group", group],
        ["SupplementaryGroups", planned["web_group"]],
    ] + [[key, _word(item)] for key, value in app["service_options"].items() for item in _items(value)]
    return planned


def _document(planned: dict[str, Any]) -> dict[str, Any]:
    """The configuration for languages whose keys are unique: a repeated option is a list."""
    gathered: dict[str, list[str]] = {}
    for name, value in planned["options"]:
        gathered.setdefault(name, []).append(value)
    return {"uwsgi": {name: found if len(found) > 1 else found[0] for name, found in gathered.items()}}


def _config(planned: dict[str, Any]) -> dict[str, Any]:
    """The application's configuration, as a template and its variables."""
    return {
        "template": planned["template"] or f"app.{planned['config_format']}.j2",
        "vars": {"app": planned, "document": _document(planned)},
    }


def _app_files(planned: dict[str, Any], instance_template: str) -> list[dict[str, Any]]:
    """The files of an application, as graceful.wsgi.file_bundle takes them."""
    files: list[dict[str, Any]] = [
        {
            "dest": planned["config"],
            **_config(planned),
            # Environment variables may hold secrets; the master reads this as the application's user.
            "mode": "0640",
            "group": planned["group"],
        },
        {"dest": planned["dropin"], "template": instance_template, "vars": {"app": planned}},
    ]
    if planned["log_file"]:
        owner = {"owner": planned["user"], "group": planned["group"], "mode": "0640"}
        files.append({"dest": planned["log_file"], "content": "", "force": False, **owner})
    return files


def _instance(planned: dict[str, Any]) -> dict[str, Any]:
    """The instance, as graceful.wsgi.uwsgi_instances takes it, without its release."""
    return {
        "name": planned["name"],
        "unit": planned["unit"],
        "unit_files": ["/etc/systemd/system/uwsgi@.service", planned["dropin"]],
        "config": planned["config"],
        "pidfile": planned["pidfile"],
        "socket": planned["socket"],
        "run_dir": planned["run_dir"],
        "link": planned["link"],
        # With cheaper uWSGI starts fewer, and more as they are needed.
        "processes": 1
        if any(name.startswith("cheaper") for name, _value in planned["options"])
        else planned["processes"],
        "links": planned["links"],
        "probe": planned["probe"],
        "log_file": planned["log_file"],
    }


def _preflight(app: dict[str, Any], planned: dict[str, Any]) -> dict[str, Any]:
    """The application, as graceful.wsgi.uwsgi_preflight takes it."""
    return {
        "name": app["name"],
        "user": planned["user"],
        "group": planned["group"],
        "options": planned["options"],
        # What another template makes of the options is not known here.
        **({"format": planned["config_format"], **_config(planned)} if planned["template"] else {}),
        "probe": planned["probe"],
    }


def _release(app: dict[str, Any], planned: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """What graceful.wsgi.releases is to do for an application."""
    return {
        "name": app["name"],
        "home": planned["home"],
        "group": planned["group"],
        "source": app["source"],
        "archive": app["archive"],
        "repo": app["repo"],
        "version": app["version"] or "HEAD",
        "path": app["path"],
        "exclude": values["publish_exclude"] + app["exclude"],
        "requirements": app["requirements"],
    }


# -- sites -----------------------------------------------------------------------------------------------------------


def _site_name(site: dict[str, Any]) -> str:
    if site["name"]:
        return site["name"]
    first = site["server_name"][0] if site["server_name"] else "_"
    return "default" if first == "_" else first.replace("*", "wildcard").lstrip(".")


def _listens(site: dict[str, Any]) -> list[tuple[str, int | None]]:
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


def _check_location(location: dict[str, Any], path: str, apps: Iterable[str], problems: _Problems) -> None:
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
        _check_text(location[key], f"{path}.{key}", problems)


def _check_site(site: dict[str, Any], path: str, apps: Iterable[str], problems: _Problems) -> None:
    name = _site_name(site)
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
        _check_text(site[key], f"{path}.{key}", problems)


PROXY_HEADERS = {
    "Host": "$http_host",
    "X-Real-IP": "$remote_addr",
    "X-Forwarded-For": "$proxy_add_x_forwarded_for",
    "X-Forwarded-Proto": "$scheme",
}


def _proxy(address: str, options: dict[str, Any]) -> list[list[Any]]:
    own = {str(line).split()[0].lower() for line in _items(options.get("proxy_set_header", [])) if str(line).split()}
    headers = [[f"{name} {value}"] for name, value in PROXY_HEADERS.items() if name.lower() not in own]
    return [["proxy_pass", address, None]] + [["proxy_set_header", header[0], None] for header in headers]


def _upstream(app: dict[str, Any]) -> str:
    """The application's socket as nginx writes it."""
    if app["link"]:
        return f"unix:{app['link']}"
    host = app["socket"].rpartition(":")[0]
    return f"{'127.0.0.1' if host in ANY_HOST else host}:{app['port']}"


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
    return ["location", location["path"], block + directives(location["options"], "", [])]


def _plan_site(site: dict[str, Any], apps: dict[str, dict[str, Any]], template: str) -> dict[str, Any]:
    name = _site_name(site)
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
        "server": ["server", "", block],
    }


# -- the whole -------------------------------------------------------------------------------------------------------


def _check_names(values: dict[str, Any], known: Iterable[str], problems: _Problems) -> None:
    names: dict[str, int] = {}
    sockets: dict[tuple[str, str], int] = {}
    ports: dict[int, list[tuple[str, str]]] = {}
    for index, app in enumerate(values["publish_apps"]):
        path = f"publish_apps[{index}]"
        name = app["name"]
        if not SAFE_NAME.match(name):
            says = f"{name!r} is no safe file name"
            problems.say(f"{path}.name", says, "use letters, digits, '_', '.' and '-', a letter or digit first")
        if name in names:
            problems.say(
                f"{path}.name", f"{name!r} is the name of publish_apps[{names[name]}] too", "rename one of them"
            )
        names.setdefault(name, index)
        _check_app(app, path, problems)
        _check_known(app, path, known, problems)
        socket, port = _endpoint(app, path, problems)
        host = socket.rpartition(":")[0] if port else ""
        taken = ("port", str(port)) if port else ("socket", posixpath.normpath(socket))
        for other_host, other in ports.get(port or 0, []) if port else []:
            if host == other_host or host in ANY_HOST or other_host in ANY_HOST:
                problems.say(f"{path}.socket", f"port {port} is taken by {other}", "give each application its own port")
        if port:
            ports.setdefault(port, []).append((host, path))
        elif taken in sockets:
            says = f"{socket!r} is the socket of publish_apps[{sockets[taken]}] too"
            problems.say(f"{path}.socket", says, "give each application its own, or leave it out")
        sockets.setdefault(taken, index)
    apps = list(names)
    files: dict[str, int] = {}
    servers: dict[tuple[str, int | None, str], int] = {}
    for index, site in enumerate(values["publish_sites"]):
        path = f"publish_sites[{index}]"
        _check_site(site, path, apps, problems)
        name = _site_name(site)
        same = []
        for address, port in _listens(site):
            for server_name in site["server_name"] or ["_"]:
                key = (address, port, server_name)
                if key in servers:
                    same.append((server_name, port or address, servers[key]))
                servers.setdefault(key, index)
            for host, other in ports.get(port or 0, []):
                if address in ANY_HOST or host in ANY_HOST or host == address:
                    says = f"port {port} is the socket of {other}"
                    problems.say(f"{path}.listen", says, "let nginx and the application have different ports")
        for server_name, port, other in sorted(set(same), key=str):
            says = f"{server_name!r} on port {port} is answered by publish_sites[{other}] already"
            problems.say(f"{path}.server_name", says, "join the two sites' locations, or change a name or port")
        if name in files and not same:
            says = f"{name!r} names the file of publish_sites[{files[name]}] too"
            problems.say(f"{path}.name", says, "give one of them a name of its own")
        files.setdefault(name, index)


def _named(values: dict[str, Any]) -> dict[str, list[str]]:
    """What a set publishes, by name; an empty list says nothing of what is to go."""
    apps = [app["name"] for app in values["publish_apps"]]
    return {"publish_apps": apps, "publish_sites": [_site_name(site) for site in values["publish_sites"]]}


def _check_set(values: dict[str, Any], host: dict[str, Any], problems: _Problems) -> None:
    if not SAFE_NAME.match(values["publish_set"]):
        says = f"{values['publish_set']!r} is no safe file name"
        problems.say("publish_set", says, "use letters, digits, '_', '.' and '-', a letter or digit first")
    earlier = (host.get("published") or {}).get(values["publish_set"]) or {}
    for key, names in _named(values).items():
        if names and earlier.get(key) and sorted(names) != sorted(earlier[key]) and values["publish_prune"]:
            had = ", ".join(earlier[key])
            says = f"the set {values['publish_set']!r} had {had} earlier in this run, which would go"
            problems.say(key, says, "give each include of the role its own publish_set, or set publish_prune: false")


def _folder(path: str, owner: str, group: str) -> dict[str, str]:
    return {"path": path, "owner": owner, "group": group, "mode": "0755"}


def _links(apps: Iterable[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    """The file by which systemd makes the links of nginx anew at boot."""
    lines = [f"L {app['link']} - - - - {app['socket']}\n" for app in apps if app["link"]]
    content = "".join([f"d {LINK_DIR} 0755 root root -\n", *lines])
    return [{"dest": f"/etc/tmpfiles.d/{name}.conf", "content": content}] if lines else []


def _rotation(name: str, logs: list[dict[str, Any]], keep: int) -> list[dict[str, Any]]:
    """The file that rotates these logs; none where there is nothing to rotate."""
    file = {"dest": f"/etc/logrotate.d/{name}", "template": "logrotate.j2", "vars": {"logs": logs, "keep": keep}}
    return [file] if logs else []


def _unique(items: Iterable[dict[str, Any]], key: str) -> list[dict[str, Any]]:
    return list({item[key]: item for item in items}.values())


def plan(values: dict[str, Any], host: dict[str, Any], rooms: dict[str, Any]) -> tuple[dict[str, Any], list[Problem]]:
    """Plan accounts, folders, releases, units and server blocks.

    ``rooms``: the variables of the roles nginx and uwsgi, ``{"nginx": {...}, "uwsgi": {...}}``; ``host["uwsgi"]``: the
    fact uwsgi_installed, or None while not known.
    """
    problems = _Problems()
    if not values["publish_root"].startswith("/"):
        problems.say("publish_root", f"{values['publish_root']!r} is not absolute", "write the whole path")
    if values["publish_keep_releases"] < 1:
        problems.say("publish_keep_releases", f"{values['publish_keep_releases']} is too few", "write 1 or more")
    _check_set(values, host, problems)
    _check_names(values, set((host.get("uwsgi") or {}).get("options") or ()), problems)
    if problems:
        return {}, problems
    apps = {app["name"]: _plan_app(app, values, rooms, host) for app in values["publish_apps"]}
    sites = [_plan_site(site, apps, values["publish_site_template"]) for site in values["publish_sites"]]
    app_logs = [app for app in apps.values() if app["log_file"]]
    site_logs = sorted({log for site in sites for log in site["logs"] if posixpath.dirname(log) != NGINX_LOG_DIR})
    keep = values["publish_log_keep"]
    folders = [_folder(values["publish_root"], "root", "root")]
    folders += [_folder(posixpath.dirname(app["dropin"]), "root", "root") for app in apps.values()]
    # The code's own folder belongs to whoever put it there; a log folder that we make is the application's.
    code = {app["code"] for app in apps.values()}
    folders += [
        _folder(posixpath.dirname(app["log_file"]), app["user"], app["group"])
        for app in app_logs
        if posixpath.dirname(app["log_file"]) not in code
    ]
    app_files = [file for app in apps.values() for file in _app_files(app, values["publish_instance_template"])]
    site_files = [{"dest": site["file"], "template": site["template"], "vars": {"site": site}} for site in sites]
    reopen_apps = [
        {
            "path": app["log_file"],
            "su": f"{app['user']} {app['group']}",
            "postrotate": "[ ! -p {0} ] || echo l > {0}".format(f"{app['run_dir']}/fifo"),
        }
        for app in app_logs
    ]
    reopen_nginx = f'[ ! -s {NGINX_PIDFILE} ] || kill -USR1 "$(cat {NGINX_PIDFILE})"'
    reopen_sites = [{"path": log, "su": None, "postrotate": reopen_nginx} for log in site_logs]
    apps_name, sites_name = (f"publish-{values['publish_set']}-{kind}" for kind in ("apps", "sites"))
    return {
        "published": {values["publish_set"]: _named(values)},
        "apps": list(apps.values()),
        "users": _unique(({"name": app["user"], "group": app["group"]} for app in apps.values()), "name"),
        "releases": [_release(app, apps[app["name"]], values) for app in values["publish_apps"]],
        "reloads": [{key: app[key] for key in ("name", "pidfile", "config", "probe")} for app in apps.values()],
        "preflights": [_preflight(app, apps[app["name"]]) for app in values["publish_apps"]],
        "instances": [_instance(app) for app in apps.values()],
        "app_bundle": {
            "name": apps_name,
            "directories": _unique(folders, "path"),
            "files": app_files + _links(apps.values(), apps_name) + _rotation(apps_name, reopen_apps, keep),
        },
        "site_bundle": {
            "name": sites_name,
            "directories": _unique([_folder(posixpath.dirname(log), "root", "root") for log in site_logs], "path"),
            "files": site_files + _rotation(sites_name, reopen_sites, keep),
            # A pid file of its own: nginx -t makes the real one where nginx does not run.
            "validate": [
                {
                    "tree": NGINX_DIR,
                    "command": "/usr/sbin/nginx -t -q -c {tree}/nginx.conf -g 'pid {tree}/test.pid;'",
                }
            ],
        },
    }, problems
