"""The plan of the publish role: both ends of every socket, derived from what an application says once.

In: the role's variables (normalised by spec.check), the other rooms' variables, what is known of the host.
Out: accounts, folders, files, releases and units, in the shape that the role's tasks and templates print.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable
from typing import Any

from . import (
    account_plan,
    app_environment,
    app_plan,
    auto_plan,
    background_plan,
    concurrency_plan,
    dns_names,
    effect_plan,
    feature_plan,
    inherited_plan,
    kit_plan,
    log_plan,
    probe_plan,
    refusal_plan,
    request_plan,
    served_plan,
    site_plan,
    spec,
    takeover_plan,
    unit_plan,
    upstream_plan,
    uv_plan,
    uwsgi_options,
    uwsgi_plan,
)
from .app_plan import ANY_HOST, LINK_DIR, NGINX_DIR, NGINX_LOG_DIR, SAFE_NAME
from .nginx_tree import Directive
from .problem import Problem, Problems

# A name that leaves room for the number behind it.
BUILD_ACCOUNT = re.compile(r"[a-z_][a-z0-9_-]{0,26}\Z")

# Folders of git's account with one of each application's name: its clone, and what lets git in.
GIT_ROOTS = ("/var/lib/graceful-wsgi/git/repos", "/var/lib/graceful-wsgi/git/.graceful-wsgi")
# What the role's tasks read of its variables.
READ = ("keep_releases", "prune", "prune_data", "reload", "root", "timeout")


def _check_names(
    values: dict[str, Any],
    host: dict[str, Any],
    upstreams: dict[str, dict[str, Any]],
    rooms: dict[str, Any],
    problems: Problems,
) -> None:
    facts = {"systemd": host.get("systemd"), "routing": account_plan.has_routes(host, rooms["uwsgi"])}
    known, told = uwsgi_options.known(host, rooms["uwsgi"]), host
    requirements = host.get("requirements") or {}
    names: dict[str, int] = {}
    units: dict[str, int] = {}
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
        for unit in app_plan.unit_names(app):
            other = units.setdefault(unit, index)
            if other != index and values["publish_apps"][other]["name"] != name:
                says = f"{unit!r} would be an instance of this one and of publish_apps[{other}]"
                problems.say(f"{path}.name", says, "rename one of them")
        app_plan.check(app, path, problems)
        background_plan.check(app, posixpath.join(values["publish_root"], name, "current"), path, problems)
        log_plan.check(app, path, values, NGINX_LOG_DIR, problems)
        probe_plan.check(app, path, problems)
        app_plan.check_gevent(app, path, requirements.get(name), problems)
        concurrency_plan.check(app, app_plan.settled(app)["gevent"], path, rooms["uwsgi"], problems)
        uwsgi_options.check(app, path, known, app_plan.REFUSED, problems)
        uwsgi_options.check_plugins(app, path, problems)
        feature_plan.check(app, path, told, rooms["uwsgi"], problems)
        socket, port = app_plan.endpoint(app, path, problems)
        host = socket.rpartition(":")[0] if port else ""
        account_plan.check(app, path, values, rooms["nginx"], problems)
        account_plan.check_clients(app, path, port, host, facts, problems)
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
        site_plan.check(site, path, apps, upstreams, problems)
        name = site_plan.name_of(site)
        same = []
        for address, port in site_plan.listens(site):
            for server_name in site_plan.names(site):
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
            mend = "join the two sites' locations, or change a name or port"
            if other == index:
                says = f"{server_name!r} on port {port} stands twice in the site"
                mend = "leave out the one in server_name, aliases or listen that is too many"
            problems.say(f"{path}.server_name", says, mend)
        if name == f"publish-{values['publish_set']}":
            problems.say(f"{path}.name", f"{name!r} names the file of what all sites share", "give it another name")
        if name in files and not same:
            says = f"{name!r} names the file of publish_sites[{files[name]}] too"
            problems.say(f"{path}.name", says, "give one of them a name of its own")
        files.setdefault(name, index)
    site_plan.check_defaults(values["publish_sites"], problems)


def _named(values: dict[str, Any]) -> dict[str, list[str]]:
    """What a set publishes, by name; an empty list says nothing of what is to go."""
    apps = [app["name"] for app in values["publish_apps"]]
    return {"publish_apps": apps, "publish_sites": [site_plan.name_of(site) for site in values["publish_sites"]]}


def _check_set(values: dict[str, Any], host: dict[str, Any], problems: Problems) -> None:
    if not SAFE_NAME.match(values["publish_set"]):
        says = f"{values['publish_set']!r} is no safe file name"
        problems.say("publish_set", says, "use letters, digits, '_', '.' and '-', a letter or digit first")
    earlier = (host.get("published") or {}).get(values["publish_set"]) or {}
    for key, names in _named(values).items():
        if names and earlier.get(key) and sorted(names) != sorted(earlier[key]) and values["publish_prune"]:
            had = ", ".join(earlier[key])
            says = f"the set {values['publish_set']!r} had {had} earlier in this run, which would go"
            problems.say(key, says, "give each include of the role its own publish_set, or set publish_prune: false")


def _folder(path: str, owner: str, group: str, mode: str = "0755", force: bool = True) -> dict[str, Any]:
    """A folder; without ``force`` nothing is set on one that is there already."""
    return {"path": path, "owner": owner, "group": group, "mode": mode, "force": force}


def _checks(values: dict[str, Any], apps: dict[str, dict[str, Any]], uwsgi: dict[str, Any]) -> list[dict[str, Any]]:
    """What only the host can judge, as module_utils/host_checks.py takes it."""
    logs = [
        (f"publish_apps[{index}].log", unit)
        for index, app in enumerate(values["publish_apps"])
        for unit in apps[app["name"]]["units"]
    ]
    # The two of uWSGI's are made root's, which only helps where nobody else can change what they lie in.
    folders = {"publish_root": values["publish_root"]}
    folders.update((name, posixpath.dirname(uwsgi[name])) for name in ("uwsgi_conf_dir", "uwsgi_log_dir"))
    log_dir = uwsgi["uwsgi_log_dir"]
    roots = [{"kind": "root_only", "variable": name, "path": path} for name, path in folders.items()]
    return [*roots, *log_plan.app_checks(logs, values, log_dir), *log_plan.site_checks(values["publish_sites"])]


def _packets(app: str, sites: list[dict[str, Any]], problems: Problems) -> dict[str, Any]:
    """What the sites' locations say to an application beyond a request; see account_plan.packets()."""
    locations, options = [], []
    for index, site in enumerate(sites):
        for number, location in enumerate(site["locations"]):
            if location["app"] != app or location["static"]:
                continue
            locations.append(location)
            options += [location["options"], site["options"]]
            path = f"publish_sites[{index}].locations[{number}].options.uwsgi_param"
            account_plan.check_packets(account_plan.packets([], [location["options"]]), app, path, problems)
    return account_plan.packets(locations, options)


def _accounts(
    apps: dict[str, dict[str, Any]], values: dict[str, Any], nginx: dict[str, Any]
) -> tuple[list[dict[str, Any]], list[dict[str, str]], list[dict[str, Any]]]:
    """What of the accounts is asked of the host: checks, whose groups nginx is one of, and what moves with them."""
    checks: list[dict[str, Any]] = []
    members, moves = [], []
    folders = account_plan.static_folders(values["publish_sites"])
    for index, app in enumerate(values["publish_apps"]):
        path, planned = f"publish_apps[{index}]", apps[app["name"]]
        user, group = planned["user"], planned["group"]
        own = {"variable": f"{path}.user", "user": user, "group": group}
        member = {"variable": own["variable"], "user": user, "nginx_group": nginx["nginx_group"]}
        checks.append({"kind": "nginx_member", **member})
        named = [app["path"]] if app["path"] else []
        named += [
            str(item).partition(" ")[0]
            for value in app["options"].values()
            for item in app_plan.items(value)
            if str(item).startswith("/")
        ]
        for unit in planned["units"]:
            moves.append(
                {
                    "name": unit["name"],
                    "dropin": unit["dropin"],
                    "user": user,
                    "group": group,
                    # What only the application writes, made by earlier runs.
                    "files": [unit["log_file"]] if unit["log_file"] else [],
                    "folders": [unit["socket_dir"]] if unit["socket_dir"] else [],
                }
            )
        checks.append(
            {
                "kind": "old_account",
                **own,
                "dropins": [unit["dropin"] for unit in planned["units"]],
                "paths": list(dict.fromkeys(named)),
                "logs": [unit["log_file"] for unit in planned["units"] if unit["log_file"]],
            }
        )
        if app["socket_clients"]:
            checks.append({"kind": "socket_clients", "variable": f"{path}.socket_clients"})
        if account_plan.nginx_reads(app, planned["home"], folders) or (planned["link"] and app["socket"]):
            members.append({"user": nginx["nginx_user"], "group": group})
    return checks, _unique(members, "group"), moves


def _fresh(apps: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """What a first run makes of each application and, where it fails, goes again; see module_utils/left_data.py."""
    found = []
    for app in apps:
        home, units = app["home"], app["units"]
        parts = [home] + [posixpath.join(home, part) for part in ("releases", "venvs", "logs", "current", "venv")]
        for unit in units:
            parts += [posixpath.dirname(unit["log_file"])] if unit["log_file"] else []
            parts += [path for path in (unit["socket_dir"], posixpath.dirname(unit["dropin"])) if path]
        found.append(
            {
                "name": app["app"],
                "dropins": [unit["dropin"] for unit in units],
                "folders": list(dict.fromkeys(parts)),
                "files": [unit["log_file"] for unit in units if unit["log_file"]],
                "clones": [posixpath.join(root, app["app"]) for root in GIT_ROOTS],
            }
        )
    return found


def _links(apps: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    """The file by which systemd makes the links of nginx anew at boot."""
    lines = [f"L {app['link']} - - - - {app['socket']}\n" for app in apps if app["link"]]
    folders = [f"d {app['socket_dir']} 0710 {app['user']} {app['web_group']} -\n" for app in apps if app["socket_dir"]]
    content = "".join([f"d {LINK_DIR} 0755 root root -\n", *folders, *lines])
    return [{"dest": f"/etc/tmpfiles.d/{name}.conf", "content": content}] if lines else []


def _rotation(name: str, logs: list[dict[str, Any]], keep: int) -> list[dict[str, Any]]:
    """The file that rotates these logs; none where there is nothing to rotate."""
    file = {
        "dest": f"/etc/logrotate.d/{name}",
        "template": "logrotate.j2",
        "vars": {"logs": logs, "keep": keep},
        # A host can do without; it is told.
        "reader": "logrotate",
    }
    return [file] if logs else []


def _unique(items: Iterable[dict[str, Any]], key: str) -> list[dict[str, Any]]:
    return list({item[key]: item for item in items}.values())


def plan(values: dict[str, Any], host: dict[str, Any], rooms: dict[str, Any]) -> tuple[dict[str, Any], list[Problem]]:
    """Plan accounts, folders, releases, units and server blocks.

    ``rooms``: the variables of the roles nginx and uwsgi, ``{"nginx": {...}, "uwsgi": {...}}``; ``host["uwsgi"]``: the
    fact uwsgi_installed, or None while not known.
    """
    problems = Problems()
    values = dns_names.sent(values, problems)
    if not values["publish_root"].startswith("/"):
        problems.say("publish_root", f"{values['publish_root']!r} is not absolute", "write the whole path")
    if values["publish_keep_releases"] < 1:
        problems.say("publish_keep_releases", f"{values['publish_keep_releases']} is too few", "write 1 or more")
    for variable in ("publish_build_user", "publish_git_user"):
        if not BUILD_ACCOUNT.match(values[variable]) or values[variable] == "root":
            says = f"{values[variable]!r} is no account's name that builds can run as"
            problems.say(variable, says, "write one such as wsgi-build, of lower-case letters, digits, '_' and '-'")
    _check_set(values, host, problems)
    problems += uv_plan.check(values, host)
    python = (host.get("uwsgi") or {}).get("python")
    settled, notes = auto_plan.settle(
        values["publish_apps"], host.get("auto") or {}, python, problems, bool(host.get("kit"))
    )
    values = {**values, "publish_apps": settled}
    groups = host.get("groups") or {}
    upstreams = {upstream["name"]: upstream for upstream in values["publish_upstreams"]}
    upstream_plan.check(values["publish_upstreams"], groups, problems)
    _check_names(values, host, upstreams, rooms, problems)
    site_plan.check_rights(values["publish_sites"], rooms["nginx"], problems)
    effect_plan.check(values, rooms["nginx"], problems)
    by_name = {app["name"]: app for app in values["publish_apps"]}
    request_plan.check_sites(values["publish_sites"], by_name, rooms["nginx"]["nginx_conf_options"], problems)
    served_plan.check(values["publish_sites"], rooms["nginx"], problems)
    problems += kit_plan.unreadable(values, host.get("kit"))
    packets = {app["name"]: _packets(app["name"], values["publish_sites"], problems) for app in values["publish_apps"]}
    if problems:
        return {}, problems
    apps = {}
    for app in values["publish_apps"]:
        more = {**site_plan.mounts(values["publish_sites"], app["name"]), "packets": packets[app["name"]]}
        apps[app["name"]] = app_plan.plan({**app, **more}, values, rooms, host)
    sites = site_plan.plan(values, apps, upstreams, rooms)
    units = [unit for app in apps.values() for unit in app["units"]]
    asked = probe_plan.plan(values, apps, sites)
    app_logs = [unit for unit in units if unit["log_file"]]
    # What lies in nginx's own folder is rotated with its other logs, and a device not at all.
    elsewhere = (NGINX_LOG_DIR, "/dev")
    site_logs = sorted({log for site in sites for log in site["logs"] if posixpath.dirname(log) not in elsewhere})
    log_dir = rooms["uwsgi"]["uwsgi_log_dir"]
    keep = values["publish_log_keep"]
    # An image of a host may lack what is an empty folder elsewhere.
    shared = posixpath.normpath(values["publish_root"]) in log_plan.SHARED
    folders = [_folder(values["publish_root"], "root", "root", force=not shared)]
    folders.append(_folder("/etc/tmpfiles.d", "root", "root"))
    folders += [_folder(posixpath.dirname(unit["dropin"]), "root", "root") for unit in units]
    # Nobody else passes through it to the socket.
    folders += [
        _folder(unit["socket_dir"], unit["user"], unit["web_group"], "0710") for unit in units if unit["socket_dir"]
    ]
    # The code's own folder belongs to whoever put it there; a log folder that we make is the application's.
    code = {app["code"] for app in apps.values()}
    folders += [
        log_plan.directory(app, values, log_dir) for app in app_logs if posixpath.dirname(app["log_file"]) not in code
    ]
    app_files = [file for unit in units for file in app_plan.files(unit, values["publish_instance_template"])]
    conf_dir = rooms["uwsgi"]["uwsgi_conf_dir"]
    app_files += [file for app in values["publish_apps"] for file in app_environment.file(app, conf_dir)]
    site_files = [{"dest": site["file"], "template": site["template"], "vars": {"site": site}} for site in sites]
    # What several sites share; nginx lets no other file say it again.
    http: list[Directive] = site_plan.shared(sites, values["publish_set"])
    version = rooms["nginx"]["nginx_version"]
    http += [upstream_plan.plan(item, values["publish_set"], groups, version) for item in values["publish_upstreams"]]
    http += app_plan.shared(apps.values(), values["publish_set"], version)
    if http:
        dest = posixpath.join(NGINX_DIR, "conf.d", f"publish-{values['publish_set']}.conf")
        site_files.insert(0, {"dest": dest, "template": "http.conf.j2", "vars": {"http": http}})
    site_folders = [_folder(posixpath.dirname(log), "root", "root", force=False) for log in site_logs]
    refusing = refusal_plan.plan(values["publish_sites"], values["publish_set"], rooms["nginx"])
    if refusing:
        folder = posixpath.join(NGINX_DIR, "default.d")
        site_folders.append(_folder(folder, "root", "root"))
        dest = posixpath.join(folder, f"publish-{values['publish_set']}.conf")
        site_files.append({"dest": dest, "template": "http.conf.j2", "vars": {"http": refusing}})
    reopen_apps = [log_plan.rotation(app, values, log_dir) for app in app_logs]
    reopen_nginx = log_plan.kill("USR1", "nginx.service")
    reopen_sites = [{"path": log, "su": None, "create": None, "postrotate": reopen_nginx} for log in site_logs]
    account_checks, members, moves = _accounts(apps, values, rooms["nginx"])
    apps_name, sites_name = (f"publish-{values['publish_set']}-{kind}" for kind in ("apps", "sites"))
    checks = _checks(values, apps, rooms["uwsgi"]) + account_checks
    served, served_later = served_plan.checks(
        values["publish_sites"], apps, rooms["nginx"], [member["group"] for member in members]
    )
    checks += served
    planned: dict[str, Any] = {
        # What only the host can judge, as module_utils/host_checks.py takes it.
        "checks": checks + site_plan.checks(values["publish_sites"], apps, rooms["nginx"]),
        "warnings": notes + background_plan.warnings(values["publish_apps"], apps) + effect_plan.warnings(values),
        "settings": spec.told(values, "publish", READ),
        "take_over": values["publish_take_over"],
        "members": members,
        # What nginx reads out of releases: asked of those that are there, and of the others once they are.
        "served": served_later,
        "moves": moves,
        "fresh": _fresh(apps.values()),
        # Where each application has a folder of its name.
        "roots": [values["publish_root"], log_dir, *GIT_ROOTS],
        "set": values["publish_set"],
        "published": {values["publish_set"]: _named(values)},
        # Each instance as an application of its own, and which of them an application has.
        "apps": units,
        "units": {name: [unit["name"] for unit in app["units"]] for name, app in apps.items()},
        "users": _unique(({"name": app["user"], "group": app["group"]} for app in apps.values()), "name"),
        # Who runs what other people wrote, and how it reaches an index.
        "build_user": values["publish_build_user"],
        "git_user": values["publish_git_user"],
        "pip": uwsgi_plan.pip_settings(rooms["uwsgi"]),
        "uv": uv_plan.plan(values, rooms["uwsgi"], host),
        # The wheels that virtualenvs are filled from, where no host reaches an index.
        "kit": kit_plan.wheels(values, host, lambda _python: uwsgi_plan.limits(rooms["uwsgi"], host)),
        "releases": [
            {
                **app_plan.release(app, apps[app["name"]], values),
                **(uwsgi_plan.limits(rooms["uwsgi"], host) if app["requirements"] else {}),
            }
            for app in values["publish_apps"]
        ],
        "reloads": [
            {**{key: unit[key] for key in ("name", "pidfile", "config")}, "probe": asked[unit["app"]]["probe"]}
            for unit in units
        ],
        "preflights": [
            {
                **app_plan.preflight(app, apps[app["name"]], values["publish_instance_template"]),
                **{key: asked[app["name"]][key] for key in ("probe", "question")},
            }
            for app in values["publish_apps"]
        ],
        # What is asked of each application and site once it is live.
        "questions": [question for app in asked.values() for question in app["questions"]],
        # Whose code is taken up by a second generation beside the first.
        "crossing": [unit["name"] for unit in units if unit["crosses"]],
        "instances": [app_plan.instance(unit) for unit in units],
        "app_bundle": {
            "name": apps_name,
            "directories": _unique(folders, "path"),
            "files": app_files + _links(units, apps_name) + _rotation(apps_name, reopen_apps, keep),
        },
        "site_bundle": {
            "name": sites_name,
            # An empty list says nothing of what is to go.
            "prune": values["publish_prune"] and bool(values["publish_sites"]),
            "directories": _unique(site_folders, "path"),
            "files": site_files + _rotation(sites_name, reopen_sites, keep),
            # A pid file of its own: nginx -t makes the real one where nginx does not run.
            "validate": [
                {
                    "tree": NGINX_DIR,
                    "command": "/usr/sbin/nginx -t -q -c {tree}/nginx.conf -g 'pid {tree}/test.pid;'",
                }
            ],
        },
    }
    conf, folder = rooms["nginx"]["nginx_conf_options"], posixpath.join(NGINX_DIR, "default.d")
    planned["checks"] += inherited_plan.checks(values["publish_sites"], sites, conf, NGINX_DIR)
    planned["checks"] += effect_plan.checks(values["publish_sites"], values["publish_set"], folder)
    planned["checks"] += uwsgi_options.checks(values["publish_apps"], rooms["uwsgi"], host)
    planned["checks"] += feature_plan.checks(values["publish_apps"], rooms["uwsgi"], host)
    for index, app in enumerate(values["publish_apps"]):
        planned["checks"] += unit_plan.checks(f"publish_apps[{index}].service_options", app["service_options"])
    planned["checks"] += takeover_plan.publish(values, apps, sites, planned["app_bundle"], planned["site_bundle"])
    return planned, problems
