"""What each role asks its host before it takes a place there: files, applications, sites and units of somebody else.

The questions are answered by module_utils/takeover_checks.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import layout
from .layout import HOST_COMMAND, NGINX_CONF, NGINX_DIR, NGINX_UNIT, UWSGI_UNIT
from .model import App, Bundle, Site

# What nginx itself brings, and what cannot hold a comment, bears no mark of Ansible's.
NGINX_TABLES = [f"{NGINX_DIR}/{name}" for name in ("mime.types", "uwsgi_params", "fastcgi_params", "scgi_params")]
# Templates of what a set's applications or sites share that begin with the mark; what has none is written as it is.
MARKED = ("logrotate.j2", "http.conf.j2")
Check = dict[str, Any]


def _unit(variable: str, name: str, path: str, instance: bool = False) -> Check:
    return {"kind": "unit", "variable": variable, "unit": name, "path": path, "instance": instance}


def nginx(values: Mapping[str, Any]) -> list[Check]:
    """What the nginx role asks."""
    unmarked = list(NGINX_TABLES)
    for path, variable, own in (
        (NGINX_CONF, "nginx_conf_template", "nginx.conf.j2"),
        (NGINX_UNIT, "nginx_unit_template", "nginx.service.j2"),
    ):
        unmarked += [path] if values[variable] != own else []
    return [
        {
            "kind": "nginx",
            "variable": "nginx_take_over",
            "allowed": values["nginx_take_over"],
            "binary": layout.NGINX_BINARY,
            "conf": NGINX_CONF,
            "bundle": "nginx",
            "files": [NGINX_CONF, *NGINX_TABLES, NGINX_UNIT, layout.logrotate("nginx")],
            "unmarked": unmarked,
        },
        _unit("nginx_unit_template", "nginx.service", NGINX_UNIT),
    ]


def uwsgi(values: Mapping[str, Any]) -> list[Check]:
    """What the uwsgi role asks."""
    own = values["uwsgi_unit_template"] == "uwsgi@.service.j2"
    return [
        {
            "kind": "owned",
            "variable": "uwsgi_unit_template",
            "take_over": "uwsgi_take_over",
            "allowed": values["uwsgi_take_over"],
            "bundle": "uwsgi",
            "files": [UWSGI_UNIT, HOST_COMMAND],
            "unmarked": [] if own else [UWSGI_UNIT],
        },
        _unit("uwsgi_unit_template", "uwsgi@.service", UWSGI_UNIT),
    ]


class _Set:
    """A set of applications and sites, as its checks have to know it."""

    def __init__(self, values: Mapping[str, Any], app_bundle: Bundle, site_bundle: Bundle):
        self.values = values
        self.bundles = {"apps": app_bundle, "sites": site_bundle}
        # The files of single applications and sites; all others are shared.
        self.said: set[str] = set()

    def check(self, kind: str, check: str, variable: str, **more: Any) -> Check:
        """A check of somebody's files that may be allowed to be taken over."""
        base = {"kind": check, "variable": variable, "bundle": self.bundles[kind].name}
        return {**base, "take_over": "publish_take_over", "allowed": self.values["publish_take_over"], **more}

    def of_app(self, index: int, app: App) -> list[Check]:
        units, variable = app.instances, f"publish_apps[{index}]"
        stated = self.values["publish_apps"][index]["socket"]
        sockets = [unit.socket for unit in units if unit.link is None or stated]
        instances = [unit.name for unit in units]
        files = [path for unit in units for path in (unit.config, unit.dropin)]
        own_template = bool(app.template) or self.values["publish_instance_template"] != "instance.conf.j2"
        unmarked = list(files) if own_template or app.config_format == "json" else []
        # Its environment, its secrets and what has its commands run.
        more = [one for one in self.bundles["apps"].files if one.belongs_to == app.name and one.force is not False]
        more = [one for one in more if one.dest not in files]
        files += [one.dest for one in more]
        unmarked += [one.dest for one in more if one.template not in MARKED]
        self.said.update(files)
        return [
            self.check("apps", "application", variable, name=app.name, instances=instances, sockets=sockets),
            self.check("apps", "owned", f"{variable}.name", files=files, unmarked=unmarked),
            *(_unit(f"{variable}.name", unit.unit, UWSGI_UNIT, instance=True) for unit in units),
        ]

    def of_site(self, index: int, site: Site, names: list[list[str]]) -> list[Check]:
        variable, files = f"publish_sites[{index}]", [site.file]
        unmarked = files if site.template != "site.conf.j2" else []
        self.said.add(site.file)
        return [
            self.check("sites", "owned", f"{variable}.name", files=files, unmarked=unmarked),
            self.check("sites", "server", f"{variable}.server_name", names=names, file=site.file),
        ]

    def of_shared(self, kind: str) -> list[Check]:
        """What is only made where nothing is there takes nobody's place."""
        shared = [one for one in self.bundles[kind].files if one.force is not False and one.dest not in self.said]
        if not shared:
            return []
        unmarked = [file.dest for file in shared if file.template not in MARKED]
        return [self.check(kind, "owned", "publish_set", files=[file.dest for file in shared], unmarked=unmarked)]


def publish(
    values: Mapping[str, Any],
    apps: Mapping[str, App],
    sites: list[Site],
    app_bundle: Bundle,
    site_bundle: Bundle,
    server_names: list[list[list[str]]],
) -> list[Check]:
    """What the publish role asks. ``server_names``: the [port, name] pairs that each site answers for."""
    own, checks = _Set(values, app_bundle, site_bundle), []
    # The plan's applications stand in the order of the variable, and so do its sites.
    for index, app in enumerate(apps.values()):
        checks += own.of_app(index, app)
    for index, site in enumerate(sites):
        checks += own.of_site(index, site, server_names[index])
    for kind in own.bundles:
        checks += own.of_shared(kind)
    if values["publish_prune"]:
        checks.append(
            {
                "kind": "replaced",
                "variable": "publish_set",
                "set": values["publish_set"],
                "allowed": values["publish_replace"],
                "apps": list(apps),
                "sites": [site.name for site in sites],
                "prune_data": values["publish_prune_data"],
                "confirmed": values["publish_prune_confirmed"],
            }
        )
    return checks
