"""What each role asks its host before it takes a place there: files, applications, sites and units of somebody else.

The questions are answered by module_utils/takeover_checks.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import layout
from .layout import NGINX_CONF, NGINX_DIR, NGINX_UNIT, UWSGI_UNIT
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
            "binary": "/usr/sbin/nginx",
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
            "files": [UWSGI_UNIT],
            "unmarked": [] if own else [UWSGI_UNIT],
        },
        _unit("uwsgi_unit_template", "uwsgi@.service", UWSGI_UNIT),
    ]


def publish(
    values: Mapping[str, Any],
    apps: Mapping[str, App],
    sites: list[Site],
    app_bundle: Bundle,
    site_bundle: Bundle,
    server_names: list[list[list[str]]],
) -> list[Check]:
    """What the publish role asks. ``server_names``: the [port, name] pairs that each site answers for."""
    bundles = {"apps": app_bundle, "sites": site_bundle}
    names = {kind: bundle.name for kind, bundle in bundles.items()}
    # What is only made where nothing is there takes nobody's place.
    written = {kind: [file for file in bundle.files if file.force is not False] for kind, bundle in bundles.items()}

    def allowed(kind: str, check: str, variable: str, **more: Any) -> Check:
        bundle, may = names[kind], values["publish_take_over"]
        base = {"kind": check, "variable": variable, "bundle": bundle}
        return {**base, "take_over": "publish_take_over", "allowed": may, **more}

    checks: list[Check] = []
    said: set[str] = set()
    # The plan's applications stand in the order of the variable, and so do its sites.
    for index, app in enumerate(apps.values()):
        units = app.instances
        sockets = [unit.socket for unit in units if unit.link is None or values["publish_apps"][index]["socket"]]
        variable = f"publish_apps[{index}]"
        instances = [unit.name for unit in units]
        checks.append(allowed("apps", "application", variable, name=app.name, instances=instances, sockets=sockets))
        files = [path for unit in units for path in (unit.config, unit.dropin)]
        own_template = bool(app.template) or values["publish_instance_template"] != "instance.conf.j2"
        unmarked = files if own_template or app.config_format == "json" else []
        checks.append(allowed("apps", "owned", f"{variable}.name", files=files, unmarked=unmarked))
        checks += [_unit(f"{variable}.name", unit.unit, UWSGI_UNIT, instance=True) for unit in units]
        said.update(files)
    for index, site in enumerate(sites):
        variable = f"publish_sites[{index}]"
        own_template = site.template != "site.conf.j2"
        files = [site.file]
        checks.append(
            allowed("sites", "owned", f"{variable}.name", files=files, unmarked=files if own_template else [])
        )
        checks.append(allowed("sites", "server", f"{variable}.server_name", names=server_names[index], file=site.file))
        said.add(site.file)
    for kind, given_files in written.items():
        shared = [file for file in given_files if file.dest not in said]
        if shared:
            unmarked = [file.dest for file in shared if file.template not in MARKED]
            paths = [file.dest for file in shared]
            checks.append(allowed(kind, "owned", "publish_set", files=paths, unmarked=unmarked))
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
