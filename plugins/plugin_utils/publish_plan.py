"""The plan of the publish role: both ends of every socket, derived from what an application says once.

In: the role's variables (normalised by spec.check), the other roles' variables, what is known of the host.
Out: accounts, folders, files, releases and units, in the shape that the role's tasks and templates print.
"""

from __future__ import annotations

import dataclasses
import posixpath
from collections.abc import Iterable, Mapping
from typing import Any

from . import (
    account_plan,
    app_emit,
    app_plan,
    app_secrets,
    auto_default,
    auto_plan,
    background_plan,
    command_plan,
    dns_names,
    effect_plan,
    feature_plan,
    fleet_plan,
    hook_plan,
    inherited_plan,
    kept_settings,
    kit_plan,
    layout,
    log_plan,
    maintenance_plan,
    probe_plan,
    prune_plan,
    python_plan,
    served_plan,
    shared_plan,
    site_listen,
    site_plan,
    spec,
    takeover_plan,
    text_values,
    unit_plan,
    uv_plan,
    uwsgi_options,
    uwsgi_plan,
    worker_plan,
)
from .layout import NGINX_DIR
from .model import (
    Account,
    App,
    Bundle,
    Check,
    FirstRun,
    Member,
    OwnerChange,
    Preflight,
    PublishPlan,
    PublishSettings,
    Release,
    Site,
    Uwsgi,
)
from .problem import Problem, Problems
from .publish_bundles import app_bundle_of, site_bundle_of
from .publish_check import by_name, check, published_names

# What the role's tasks read of its variables.
READ = tuple(field.name for field in dataclasses.fields(PublishSettings))


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
        named += [shared_plan.folder(planned.home)] if app["shared"] else []
        named += [
            str(item).partition(" ")[0]
            for value in app["options"].values()
            for item in text_values.items(value)
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


def _uwsgi(apps: list[dict[str, Any]], host: dict[str, Any]) -> Uwsgi | None:
    """The uWSGI that applications run on which name no Python; None while nobody knows it, or those of the others."""
    found = host.get("uwsgi") if python_plan.are_known(apps, host) else None
    return Uwsgi(**{key: found.get(key) for key in ("binary", "python", "venv_command", "pip")}) if found else None


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
    checks += python_plan.checks(values["publish_apps"])
    for index, app in enumerate(values["publish_apps"]):
        checks += unit_plan.checks(f"publish_apps[{index}].service_options", app["service_options"])
        checks += app_secrets.checks(app, f"publish_apps[{index}]")
    return checks


def _settled(
    values: dict[str, Any], uwsgi: dict[str, Any], host: dict[str, Any]
) -> tuple[dict[str, Any], list[str], Problems]:
    """The variables with names as DNS has them and ``requirements: auto`` found out, and what to tell of the latter."""
    problems = Problems()
    values = prune_plan.settled(dns_names.sent(values, problems), problems)
    problems += uv_plan.check(values, host)
    python = (host.get("uwsgi") or {}).get("python")

    def carried(name: str) -> bool:
        known = kit_plan.publishing(host) and host["kit"]["manifest"]
        return not known or kit_plan.carries(
            host, name, lambda python: uwsgi_plan.limits(uwsgi, {**host, "uwsgi": {"python": python}})
        )

    sources = auto_default.Sources(bool(host.get("kit")), carried, uwsgi["uwsgi_pip_no_index"])
    given = values["publish_apps"]
    settled, notes = auto_plan.settle(
        given,
        host.get("auto") or {},
        python,
        problems,
        sources,
        host.get("unsaid") or (),
        python_plan.versions(given, host),
    )
    return {**values, "publish_apps": settled}, notes, problems


def _apps(
    values: dict[str, Any], packets: Mapping[str, Any], roles: dict[str, Any], host: dict[str, Any]
) -> dict[str, App]:
    """The applications' plans by name. ``packets``: what the sites say to each."""
    apps = {}
    for app in values["publish_apps"]:
        more = {**site_plan.mounts(values["publish_sites"], app["name"]), "packets": packets[app["name"]]}
        apps[app["name"]] = app_plan.plan({**app, **more}, values, roles, python_plan.host_of(app, host))
    return apps


def _all_checks(
    values: dict[str, Any],
    host: dict[str, Any],
    roles: dict[str, Any],
    apps: Mapping[str, App],
    sites: list[Site],
    bundles: tuple[Bundle, Bundle],
) -> list[Check]:
    """What is asked of the host before anything on it changes, but for accounts and what nginx serves."""
    checks = _more_checks(values, host, roles, apps, sites)
    names = [site_listen.names_by_port(site) for site in values["publish_sites"]]
    return checks + takeover_plan.publish(values, apps, sites, *bundles, names)


def _preflights(
    values: dict[str, Any], host: dict[str, Any], apps: Mapping[str, App], asked: Mapping[str, probe_plan.Asked]
) -> list[Preflight]:
    """The applications as their new code is loaded before it goes live. ``asked``: what each is asked then."""
    template = values["publish_instance_template"]
    found = []
    for app in values["publish_apps"]:
        one = asked[app["name"]]
        planned = app_emit.preflight(app, apps[app["name"]], template, one.probe, one.first)
        found.append(dataclasses.replace(planned, binary=python_plan.binary(app, host)))
    return found


def _releases(
    values: dict[str, Any], uwsgi: dict[str, Any], host: dict[str, Any], apps: Mapping[str, App]
) -> list[Release]:
    """The code of the applications, and what pip is to keep to for the Python of each."""
    found = []
    for app in values["publish_apps"]:
        limits = uwsgi_plan.limits(uwsgi, python_plan.host_of(app, host))
        planned = app_emit.release(app, apps[app["name"]], values, limits)
        found.append(dataclasses.replace(planned, own_python=python_plan.own(app, host)))
    return found


def _told_and_kept(values: dict[str, Any], apps: Mapping[str, App]) -> dict[str, list[Any]]:
    """What tasks of a user's own are told of the applications, and what is kept of them with their releases."""
    given, sites = values["publish_apps"], values["publish_sites"]
    return {
        "hook_releases": [hook_plan.release(app, apps[app["name"]], sites) for app in given],
        "kept_settings": [kept_settings.of(app) for app in given],
    }


def plan(
    values: dict[str, Any], host: dict[str, Any], roles: dict[str, Any]
) -> tuple[PublishPlan | None, list[Problem]]:
    """Plan accounts, folders, releases, units and server blocks.

    ``roles``: the variables of nginx and uwsgi, by role; ``host["uwsgi"]``: the fact uwsgi_installed, None if unknown.
    """
    values, notes, problems = _settled(values, roles["uwsgi"], host)
    nginx, uwsgi, given = roles["nginx"], roles["uwsgi"], by_name(values["publish_apps"])
    check(values, host, roles, problems)
    packets = {name: _packets(name, values["publish_sites"], problems) for name in given}
    if problems:
        return None, problems
    apps = _apps(values, packets, roles, host)
    sites = site_plan.plan(values, apps, by_name(values["publish_upstreams"]), roles, host.get("pages") or {})
    units, asked = [unit for one in apps.values() for unit in one.instances], probe_plan.plan(values, apps, sites)
    app_bundle = app_bundle_of(values, apps, uwsgi, worker_plan.all_files(given.values(), apps, uwsgi, host))
    site_bundle = site_bundle_of(values, apps, sites, host, nginx)
    account_checks, members, changes = _accounts(apps, values, nginx)
    served, served_later = served_plan.checks(values["publish_sites"], apps, nginx, [one.group for one in members])
    checks = _checks(values, apps, uwsgi) + account_checks + served
    checks += _all_checks(values, host, roles, apps, sites, (app_bundle, site_bundle))
    return PublishPlan(
        checks=checks,
        warnings=notes + background_plan.warnings(values["publish_apps"], apps) + effect_plan.warnings(values),
        settings=PublishSettings(**spec.told(values, "publish", READ)),
        take_over=values["publish_take_over"],
        carried=host.get("waiting") or {},
        uwsgi=_uwsgi(values["publish_apps"], host),
        members=members,
        **command_plan.fields(given.values(), apps, served_later),
        background=worker_plan.of_all(given.values(), apps),
        background_lease=worker_plan.lease(given.values()),
        owner_changes=changes,
        first_runs=_first_runs(apps.values()),
        roots=[values["publish_root"], uwsgi["uwsgi_log_dir"], *layout.GIT_ROOTS],
        app_variables=[f"publish_apps[{index}]" for index in range(len(apps))],
        set=values["publish_set"],
        published={values["publish_set"]: published_names(values)},
        instances=units,
        instances_by_app={name: [unit.name for unit in one.instances] for name, one in apps.items()},
        users=list({one.user: Account(name=one.user, group=one.group) for one in apps.values()}.values()),
        build_user=values["publish_build_user"],
        git_user=values["publish_git_user"],
        pip=uwsgi_plan.pip_settings(uwsgi),
        uv=uv_plan.plan(values, uwsgi, host),
        kit=kit_plan.wheels(values, host, lambda _python: uwsgi_plan.limits(uwsgi, host)),
        releases=_releases(values, uwsgi, host, apps),
        reloads=[app_emit.reload(unit, asked[unit.app].probe) for unit in units],
        preflights=_preflights(values, host, apps, asked),
        questions=[question for one in asked.values() for question in one.questions],
        maintenance=maintenance_plan.plan(values, {name: one.questions for name, one in asked.items()}, nginx),
        reloaded_by_standby=[unit.name for unit in units if unit.needs_standby],
        uwsgi_instances=[app_emit.instance(unit) for unit in units],
        app_bundle=app_bundle,
        site_bundle=site_bundle,
        balanced=fleet_plan.plan(values, host),
        hooks=hook_plan.files(values, host),
        **_told_and_kept(values, apps),
    ), problems
