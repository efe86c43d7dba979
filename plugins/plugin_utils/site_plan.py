"""The sites of the publish role's plan: their server blocks, what these share, and what is asked of the host."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Mapping
from typing import Any

from . import access_plan, client_plan, maintenance_plan, request_plan
from .model import App
from .model import Site as PlannedSite
from .nginx_tree import Directive
from .site_emit import Site, slug_of
from .site_listen import defaults, prefix_of
from .site_location import LINKS, Path


def checks(sites: list[dict[str, Any]], apps: Mapping[str, App], nginx: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What only the host can tell: whether nginx will follow the way to folders that are no release's."""
    found = []
    for index, site in enumerate(sites):
        for at, location in enumerate(site["locations"]):
            app = apps.get(location["app"])
            said = LINKS in {**nginx["nginx_conf_options"], **site["options"], **location["options"]}
            if location["static"] and (app is None or app.path) and not said:
                path = posixpath.join(app.code if app else "/", location["static"])
                variable = f"publish_sites[{index}].locations[{at}].static"
                found.append({"kind": "static_link", "variable": variable, "path": path})
    return found


def mounts(sites: list[dict[str, Any]], app: str) -> dict[str, Any]:
    """Where an application is mounted, and whether a location uses it as it is (or none does)."""
    found = [location for site in sites for location in site["locations"] if location["app"] == app]
    found = [location for location in found if not location["static"]]
    mounted = [Path(location["path"]).bare for location in found if location["mount"]]
    return {"mounts": list(dict.fromkeys(mounted)), "unmounted": len(mounted) < len(found) or not found}


def plan(
    values: dict[str, Any],
    apps: Mapping[str, App],
    upstreams: Mapping[str, Any],
    roles: Mapping[str, Any],
    pages: Mapping[str, maintenance_plan.Page],
) -> list[PlannedSite]:
    """All sites.

    ``apps``: the applications' plans; ``upstreams``: those of publish_upstreams; ``pages``: those of maintenance.
    """
    sites = values["publish_sites"]
    let_in = request_plan.lets_in(roles["nginx"]["nginx_conf_options"], sites)
    # nginx takes it from one site for all at the same port.
    spellings = client_plan.underscores(roles["nginx"]["nginx_conf_options"], *(site["options"] for site in sites))
    given = {app["name"]: app for app in values["publish_apps"]}
    return [
        Site(
            site, apps, upstreams, default, values["publish_set"], roles["nginx"], let_in, spellings, given, pages
        ).plan(values["publish_site_template"])
        for site, default in zip(sites, defaults(sites), strict=True)
    ]


def shared(sites: Iterable[PlannedSite], publish_set: str) -> list[Directive]:
    """What the server blocks of several sites use and nginx must be told once: the maps of their variables."""
    prefix = prefix_of(publish_set)
    maps = [
        [
            "map",
            f"$http_host ${prefix}_port",
            [["default", '""', None], [f'"~(?<{prefix}_digits>:[0-9]+)$"', f"${prefix}_digits", None]],
        ],
        ["map", f"$http_upgrade ${prefix}_connection", [["default", "upgrade", None], ['""', '""', None]]],
    ]
    for name, value in access_plan.SECURITY_HEADERS.items():
        lines = [["default", '""', None], ['""', value, None]]
        maps.append(["map", f"$upstream_http_{slug_of(name)} ${prefix}_{slug_of(name)}", lines])
    maps += client_plan.maps(prefix)
    text = str([[site.http, site.server] for site in sites])
    found: list[Directive] = []
    # One may be made of another.
    while len(found) < len(found := [line for line in maps if _named_in(line, text)]):
        text += str(found)
    return found


def _named_in(line: Directive, text: str) -> bool:
    """Whether the variable that a map makes stands in a text, beside where the map itself says its name."""
    source, variable = line[1].rsplit(" ", 1)
    made = str([line[0], line[1], line[2]])
    return bool(re.search(re.escape(variable) + r"\b", text.replace(made, "")))
