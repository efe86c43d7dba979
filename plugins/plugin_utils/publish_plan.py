"""The plan of the publish role: both ends of every socket, derived from what an application says once.

In: the role's variables (normalised by spec.check), the other roles' variables, what is known of the host.
Out: accounts, folders, files, releases and units, in the shape that the role's tasks and templates print.
"""

from __future__ import annotations

import dataclasses
import posixpath
import re
from collections.abc import Iterable, Mapping
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
    hook_plan,
    inherited_plan,
    kit_plan,
    layout,
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
from .app_plan import ANY_HOST, SAFE_NAME
from .layout import NGINX_DIR, NGINX_LOG_DIR
from .model import (
    Account,
    App,
    Bundle,
    Check,
    File,
    FirstRun,
    Folder,
    Instance,
    Member,
    OwnerChange,
    PublishPlan,
    PublishSettings,
    Site,
    SiteBundle,
    Uwsgi,
    Validation,
)
from .nginx_tree import Directive
from .problem import Problem, Problems

# A name that leaves room for the number behind it.
BUILD_ACCOUNT = re.compile(r"[a-z_][a-z0-9_-]{0,26}\Z")

# What the role's tasks read of its variables.
READ = tuple(field.name for field in dataclasses.fields(PublishSettings))
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
        app_plan.check(app, path, problems)
        background_plan.check(app, layout.current(values["publish_root"], name), path, problems)
        log_plan.check(app, path, values, NGINX_LOG_DIR, problems)
        probe_plan.check(app, path, problems)
        app_plan.check_gevent(app, path, requirements.get(name), problems)
        concurrency_plan.check(app, app_plan.with_defaults(app)["gevent"], path, roles["uwsgi"], problems)
        uwsgi_options.check(app, path, known, app_plan.REFUSED, problems)
        uwsgi_options.check_plugins(app, path, problems)
        feature_plan.check(app, path, told, roles["uwsgi"], problems)
        socket, port = app_plan.endpoint(app, path, problems)
        address = socket.rpartition(":")[0] if port else ""
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
    apps = list(_by_name(values["publish_apps"]))
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
    site_plan.check_defaults(values["publish_sites"], problems)


def _named(values: dict[str, Any]) -> dict[str, list[str]]:
    """What a set publishes, by name; an empty list says nothing of what is to go."""
    apps = [app["name"] for app in values["publish_apps"]]
    return {"publish_apps": apps, "publish_sites": [site_plan.name_of(site) for site in values["publish_sites"]]}


def _check_set(values: dict[str, Any], host: dict[str, Any], problems: Problems) -> None:
    if not SAFE_NAME.match(values["publish_set"]):
        message = f"{values['publish_set']!r} is no safe file name"
        problems.add("publish_set", message, "use letters, digits, '_', '.' and '-', a letter or digit first")
    earlier = (host.get("published") or {}).get(values["publish_set"]) or {}
    for key, names in _named(values).items():
        if names and earlier.get(key) and sorted(names) != sorted(earlier[key]) and values["publish_prune"]:
            had = ", ".join(earlier[key])
            message = f"the set {values['publish_set']!r} had {had} earlier in this run, which would go"
            problems.add(key, message, "give each include of the role its own publish_set, or set publish_prune: false")


def _folder(path: str, owner: str, group: str, mode: str = "0755", force: bool = True) -> Folder:
    """A folder; without ``force`` nothing is set on one that is there already."""
    return Folder(path=path, owner=owner, group=group, mode=mode, force=force)


def _checks(values: dict[str, Any], apps: Mapping[str, App], uwsgi: dict[str, Any]) -> list[Check]:
    """What only the host can judge, as module_utils/host_checks.py takes it."""
    logs = [
        (f"publish_apps[{index}].log", unit)
        for index, app in enumerate(values["publish_apps"])
        for unit in apps[app["name"]].instances
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
    apps: Mapping[str, App], values: dict[str, Any], nginx: dict[str, Any]
) -> tuple[list[Check], list[Member], list[OwnerChange]]:
    """What of the accounts is asked of the host: checks, whose groups nginx is one of, and what moves with them."""
    checks: list[Check] = []
    members, changes = [], []
    folders = account_plan.static_folders(values["publish_sites"])
    for index, app in enumerate(values["publish_apps"]):
        path, planned = f"publish_apps[{index}]", apps[app["name"]]
        user, group = planned.user, planned.group
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
        for unit in planned.instances:
            changes.append(
                OwnerChange(
                    name=unit.name,
                    dropin=unit.dropin,
                    user=user,
                    group=group,
                    # What only the application writes, made by earlier runs.
                    files=[unit.log_file] if unit.log_file else [],
                    folders=[unit.socket_dir] if unit.socket_dir else [],
                )
            )
        checks.append(
            {
                "kind": "old_account",
                **own,
                "dropins": [unit.dropin for unit in planned.instances],
                "paths": list(dict.fromkeys(named)),
                "logs": [unit.log_file for unit in planned.instances if unit.log_file],
            }
        )
        if app["socket_clients"]:
            checks.append({"kind": "socket_clients", "variable": f"{path}.socket_clients"})
        if account_plan.nginx_reads(app, planned.home, folders) or (planned.link and app["socket"]):
            members.append(Member(user=nginx["nginx_user"], group=group))
    return checks, list({member.group: member for member in members}.values()), changes


def _first_runs(apps: Iterable[App]) -> list[FirstRun]:
    """What a first run makes of each application and, where it fails, goes again; see module_utils/left_data.py."""
    found = []
    for app in apps:
        home, units = app.home, app.instances
        parts = [home] + [posixpath.join(home, part) for part in layout.PARTS]
        for unit in units:
            parts += [posixpath.dirname(unit.log_file)] if unit.log_file else []
            parts += [path for path in (unit.socket_dir, posixpath.dirname(unit.dropin)) if path]
        found.append(
            FirstRun(
                name=app.app,
                dropins=[unit.dropin for unit in units],
                folders=list(dict.fromkeys(parts)),
                files=[unit.log_file for unit in units if unit.log_file],
                clones=[posixpath.join(root, app.app) for root in layout.GIT_ROOTS],
            )
        )
    return found


def _links(instances: list[Instance], name: str) -> list[File]:
    """The file by which systemd makes the links of nginx anew at boot."""
    lines = [f"L {one.link} - - - - {one.socket}\n" for one in instances if one.link]
    folders = [f"d {one.socket_dir} 0710 {one.user} {one.web_group} -\n" for one in instances if one.socket_dir]
    content = "".join([f"d {layout.LINK_DIR} 0755 root root -\n", *folders, *lines])
    return [File(dest=layout.tmpfiles(name), content=content)] if lines else []


def _rotation(name: str, logs: list[dict[str, Any]], keep: int) -> list[File]:
    """The file that rotates these logs; none where there is nothing to rotate."""
    # A host can do without the program; it is told.
    given = {"logs": logs, "keep": keep}
    file = File(dest=layout.logrotate(name), template="logrotate.j2", vars=given, reader="logrotate")
    return [file] if logs else []


def _uwsgi(host: dict[str, Any]) -> Uwsgi | None:
    """The uWSGI that applications run on; None while nobody knows it."""
    found = host.get("uwsgi")
    return Uwsgi(**{key: found.get(key) for key in ("binary", "python", "venv_command", "pip")}) if found else None


def _once(folders: Iterable[Folder]) -> list[Folder]:
    """Each path once, as it is said last."""
    return list({folder.path: folder for folder in folders}.values())


def _check(values: dict[str, Any], host: dict[str, Any], roles: dict[str, Any], problems: Problems) -> None:
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
    _check_sites(values, _by_name(values["publish_upstreams"]), ports, problems)
    site_plan.check_rights(values["publish_sites"], roles["nginx"], problems)
    effect_plan.check(values, roles["nginx"], problems)
    apps = _by_name(values["publish_apps"])
    request_plan.check_sites(values["publish_sites"], apps, roles["nginx"]["nginx_conf_options"], problems)
    served_plan.check(values["publish_sites"], roles["nginx"], problems)
    hook_plan.check(values, host, problems)
    problems += kit_plan.unreadable(values, host.get("kit"))


def _by_name(items: Iterable[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {item["name"]: item for item in items}


def _app_bundle(values: dict[str, Any], apps: Mapping[str, App], uwsgi: dict[str, Any]) -> Bundle:
    """Configurations and units of the applications, and the folders of their sockets and logs."""
    name, log_dir = layout.bundle(values["publish_set"], "apps"), uwsgi["uwsgi_log_dir"]
    units = [unit for one in apps.values() for unit in one.instances]
    logs = [(unit.log_file, unit) for unit in units if unit.log_file]
    # An image of a host may lack what is an empty folder elsewhere.
    shared = posixpath.normpath(values["publish_root"]) in log_plan.SHARED
    folders = [_folder(values["publish_root"], "root", "root", force=not shared)]
    folders.append(_folder(layout.TMPFILES_DIR, "root", "root"))
    folders += [_folder(posixpath.dirname(unit.dropin), "root", "root") for unit in units]
    # Nobody else passes through it to the socket.
    folders += [_folder(unit.socket_dir, unit.user, unit.web_group, "0710") for unit in units if unit.socket_dir]
    # The code's own folder belongs to whoever put it there; a log folder that we make is the application's.
    code = {one.code for one in apps.values()}
    folders += [
        log_plan.directory(log, unit, values, log_dir) for log, unit in logs if posixpath.dirname(log) not in code
    ]
    files = [file for unit in units for file in app_plan.files(unit, values["publish_instance_template"])]
    files += [file for app in values["publish_apps"] for file in app_environment.file(app, uwsgi["uwsgi_conf_dir"])]
    rotated = [log_plan.rotation(log, unit, values, log_dir) for log, unit in logs]
    files += _links(units, name) + _rotation(name, rotated, values["publish_log_keep"])
    return Bundle(name=name, directories=_once(folders), files=files)


def _site_bundle(
    values: dict[str, Any],
    apps: Mapping[str, App],
    sites: list[Site],
    groups: dict[str, Any],
    nginx: dict[str, Any],
) -> SiteBundle:
    """The server blocks, what several of them share, what refuses other names, and the folders of their logs."""
    publish_set, version = values["publish_set"], nginx["nginx_version"]
    name = layout.bundle(publish_set, "sites")
    # What lies in nginx's own folder is rotated with its other logs, and a device not at all.
    elsewhere = (NGINX_LOG_DIR, "/dev")
    logs = sorted({log for site in sites for log in site.logs if posixpath.dirname(log) not in elsewhere})
    folders = [_folder(posixpath.dirname(log), "root", "root", force=False) for log in logs]
    files = [File(dest=one.file, template=one.template, vars={"site": one}, belongs_to=one.name) for one in sites]
    # nginx lets no other file say it again.
    http: list[Directive] = site_plan.shared(sites, publish_set)
    http += [upstream_plan.plan(item, publish_set, groups, version) for item in values["publish_upstreams"]]
    http += app_plan.shared(apps.values(), publish_set, version)
    if http:
        dest = layout.site(layout.shared_site(publish_set))
        files.insert(0, File(dest=dest, template="http.conf.j2", vars={"http": http}))
    refusing = refusal_plan.plan(values["publish_sites"], publish_set, nginx)
    if refusing:
        dest = layout.refusing_site(publish_set)
        folders.append(_folder(posixpath.dirname(dest), "root", "root"))
        files.append(File(dest=dest, template="http.conf.j2", vars={"http": refusing}))
    reopen = log_plan.kill("USR1", "nginx.service")
    rotated = [{"path": log, "directives": [], "postrotate": reopen} for log in logs]
    # A pid file of its own: nginx -t makes the real one where nginx does not run.
    test = "/usr/sbin/nginx -t -q -c {tree}/nginx.conf -g 'pid {tree}/test.pid;'"
    return SiteBundle(
        name=name,
        # An empty list says nothing of what is to go.
        prune=values["publish_prune"] and bool(values["publish_sites"]),
        directories=_once(folders),
        files=files + _rotation(name, rotated, values["publish_log_keep"]),
        validate=[Validation(tree=NGINX_DIR, command=test)],
    )


def _more_checks(
    values: dict[str, Any], host: dict[str, Any], roles: dict[str, Any], apps: Mapping[str, App], sites: list[Site]
) -> list[Check]:
    """What only the host can judge of sites, options and units."""
    given, publish_set = values["publish_sites"], values["publish_set"]
    checks = site_plan.checks(given, apps, roles["nginx"])
    checks += inherited_plan.checks(given, sites, roles["nginx"]["nginx_conf_options"], NGINX_DIR)
    checks += effect_plan.checks(given, publish_set, posixpath.dirname(layout.refusing_site(publish_set)))
    checks += uwsgi_options.checks(values["publish_apps"], roles["uwsgi"], host)
    checks += feature_plan.checks(values["publish_apps"], roles["uwsgi"], host)
    for index, app in enumerate(values["publish_apps"]):
        checks += unit_plan.checks(f"publish_apps[{index}].service_options", app["service_options"])
    return checks


def plan(
    values: dict[str, Any], host: dict[str, Any], roles: dict[str, Any]
) -> tuple[PublishPlan | None, list[Problem]]:
    """Plan accounts, folders, releases, units and server blocks.

    ``roles``: the variables of the roles nginx and uwsgi, ``{"nginx": {...}, "uwsgi": {...}}``; ``host["uwsgi"]``: the
    fact uwsgi_installed, or None while not known.
    """
    problems = Problems()
    values = dns_names.sent(values, problems)
    problems += uv_plan.check(values, host)
    python = (host.get("uwsgi") or {}).get("python")
    settled, notes = auto_plan.settle(
        values["publish_apps"], host.get("auto") or {}, python, problems, bool(host.get("kit"))
    )
    values = {**values, "publish_apps": settled}
    nginx, uwsgi, given = roles["nginx"], roles["uwsgi"], _by_name(settled)
    _check(values, host, roles, problems)
    packets = {name: _packets(name, values["publish_sites"], problems) for name in given}
    if problems:
        return None, problems
    apps: dict[str, App] = {}
    for name, app in given.items():
        more = {**site_plan.mounts(values["publish_sites"], name), "packets": packets[name]}
        apps[name] = app_plan.plan({**app, **more}, values, roles, host)
    sites = site_plan.plan(values, apps, _by_name(values["publish_upstreams"]), roles)
    units = [unit for one in apps.values() for unit in one.instances]
    asked = probe_plan.plan(values, apps, sites)
    app_bundle = _app_bundle(values, apps, uwsgi)
    site_bundle = _site_bundle(values, apps, sites, host.get("groups") or {}, nginx)
    account_checks, members, changes = _accounts(apps, values, nginx)
    groups = [member.group for member in members]
    served, served_later = served_plan.checks(values["publish_sites"], apps, nginx, groups)
    checks = _checks(values, apps, uwsgi) + account_checks + served + _more_checks(values, host, roles, apps, sites)
    names = [site_plan.names_by_port(site) for site in values["publish_sites"]]
    checks += takeover_plan.publish(values, apps, sites, app_bundle, site_bundle, names)
    limits, template = uwsgi_plan.limits(uwsgi, host), values["publish_instance_template"]
    return PublishPlan(
        checks=checks,
        warnings=notes + background_plan.warnings(values["publish_apps"], apps) + effect_plan.warnings(values),
        settings=PublishSettings(**spec.told(values, "publish", READ)),
        take_over=values["publish_take_over"],
        carried=host.get("waiting") or {},
        uwsgi=_uwsgi(host),
        members=members,
        served=served_later,
        owner_changes=changes,
        first_runs=_first_runs(apps.values()),
        roots=[values["publish_root"], uwsgi["uwsgi_log_dir"], *layout.GIT_ROOTS],
        set=values["publish_set"],
        published={values["publish_set"]: _named(values)},
        instances=units,
        instances_by_app={name: [unit.name for unit in one.instances] for name, one in apps.items()},
        users=list({one.user: Account(name=one.user, group=one.group) for one in apps.values()}.values()),
        build_user=values["publish_build_user"],
        git_user=values["publish_git_user"],
        pip=uwsgi_plan.pip_settings(uwsgi),
        uv=uv_plan.plan(values, uwsgi, host),
        kit=kit_plan.wheels(values, host, lambda _python: limits),
        releases=[app_plan.release(app, apps[name], values, limits) for name, app in given.items()],
        reloads=[app_plan.reload(unit, asked[unit.app].probe) for unit in units],
        preflights=[
            app_plan.preflight(app, apps[name], template, asked[name].probe, asked[name].first)
            for name, app in given.items()
        ],
        questions=[question for one in asked.values() for question in one.questions],
        reloaded_by_standby=[unit.name for unit in units if unit.needs_standby],
        uwsgi_instances=[app_plan.instance(unit) for unit in units],
        app_bundle=app_bundle,
        site_bundle=site_bundle,
        hooks=hook_plan.files(values, host),
        hook_releases=[hook_plan.release(app, apps[name], values["publish_sites"]) for name, app in given.items()],
    ), problems
