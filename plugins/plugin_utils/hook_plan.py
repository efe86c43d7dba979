"""Points before and after each stage of a deploy at which tasks of a user's own run, and what these are told."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Mapping
from typing import Any

from . import worker_plan
from .model import App, HookRelease
from .problem import Problems

STAGES = ("fetch", "build", "verify", "prepare", "switch", "reload", "prune")
POINTS = tuple(f"{side}_{stage}" for stage in STAGES for side in ("before", "after"))
PREFIX = "publish_"
VARIABLES = tuple(f"{PREFIX}{point}" for point in POINTS)
# How a release is called whose virtualenv nobody can name before the code is there.
UNKNOWN = "unknown"


def check(values: Mapping[str, Any], host: Mapping[str, Any], problems: Problems) -> None:
    """Refuse files that are not there or that Ansible would not run.

    Ansible reads them when it comes to them, and then ends the whole run without going back.
    """
    found = host.get("hooks") or {}
    for variable in VARIABLES:
        for index, file in enumerate(values[variable]):
            told = found.get(variable, {}).get(file)
            if not told:
                continue
            where = f"{variable}[{index}]"
            if told["path"] is None:
                hint = "write its whole path, as in '{{ inventory_dir }}/hooks/migrate.yml'"
                problems.add(where, f"there is no file {file!r} beside the playbook or the inventory", hint)
            elif told["wrong"]:
                message = f"Ansible does not take {told['path']}: {told['wrong']}"
                problems.add(where, message, "correct the file, a list of tasks")
            elif told["ends"]:
                message = f"{told['path']} says meta: {told['ends']}, which leaves a deploy half done"
                problems.add(where, message, "have a task fail, or skip what is not to run by when")


def files(values: Mapping[str, Any], host: Mapping[str, Any]) -> dict[str, list[str]]:
    """{point: paths of files of tasks}, each point among them."""
    found = host.get("hooks") or {}
    return {
        point: [str(found.get(f"{PREFIX}{point}", {}).get(file, {}).get("path") or file) for file in values[variable]]
        for point, variable in zip(POINTS, VARIABLES, strict=True)
    }


def release(app: Mapping[str, Any], planned: App, sites: Iterable[Mapping[str, Any]]) -> HookRelease:
    """What is known of an application before the host is asked. ``sites``: publish_sites."""
    served = [
        posixpath.normpath(posixpath.join(planned.code, location["static"]))
        for site in sites
        for location in site["locations"]
        if location["static"] and location["app"] == planned.app
    ]
    configuration = [path for unit in planned.instances for path in (unit.config, unit.dropin)]
    configuration += worker_plan.paths(app)
    return HookRelease(
        name=planned.app,
        home=planned.home,
        code=planned.code,
        path=planned.code,
        chdir=planned.chdir,
        virtualenv=planned.virtualenv,
        static=list(dict.fromkeys(served)),
        user=planned.user,
        group=planned.group,
        env_file=planned.env_file,
        env_names=sorted(map(str, app["env"])),
        secret_files=planned.secret_files,
        configuration=configuration + ([planned.env_file] if planned.env_file else []) + planned.secret_files,
        instances=[unit.name for unit in planned.instances],
        units=[unit.unit for unit in planned.instances],
        from_git=bool(app["repo"]),
    )


def concerned(
    releases: Iterable[Mapping[str, Any]],
    point: str,
    found: Mapping[str, Any],
    made: Mapping[str, Any],
    written: Mapping[str, Any],
    gone: Iterable[str],
) -> list[dict[str, Any]]:
    """The applications for which the stage of this point has something to do, as tasks of a user's own see them.

    ``releases``: HookRelease of each, made plain; ``found``: what publish_info told; ``made``: what releases told;
    ``written``: what file_bundle told of the applications' files; ``gone``: names of those that are published no more.
    What has not been asked yet in this run, at this point, may be of an earlier one and is not looked at.
    """
    side, _line, stage = point.partition("_")
    if stage == "prune":
        return [{"name": name} for name in sorted(gone)]
    if stage == "fetch":
        return [dict(item) for item in releases if item["from_git"]]
    began = {item["name"]: item for item in found["releases"]}
    there = made if found["deploy"] and point != "before_build" else found
    now = {item["name"]: item for item in there["releases"]}
    changed = set()
    if stage in ("switch", "reload") or point == "after_prepare":
        changed = {item["dest"] for item in written["files"] if item["state"] != "unchanged"}
    told = []
    for item in releases:
        name, state = item["name"], began[item["name"]]
        # One that is on the host and not live is as new: the run that brought it has failed.
        due = bool(state["changed"]) or state["id"] != state["current"]
        if stage in ("verify", "prepare", "reload"):
            due = due or name in found["preflight"]
        if stage == "reload":
            due = due or not set(item["instances"]).isdisjoint(found["pending"])
        if stage == "reload" or point == "after_prepare":
            due = due or not set(item["configuration"]).isdisjoint(changed)
        if due:
            told.append(_moved(item, state, now[name]))
    return told


def _moved(item: Mapping[str, Any], began: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    """An application whose paths lead to the release that is to be live, and not to the one that is."""
    # A virtualenv hangs below the code and is elsewhere: the longer path is the nearer one.
    leads = sorted((now.get("replace") or {}).items(), key=lambda pair: -len(pair[0]))

    def lead(path: str | None) -> str | None:
        for live, other in leads:
            if path and f"{path}/".startswith(f"{live}/"):
                return None if posixpath.basename(other) == UNKNOWN else other + path[len(live) :]
        return path

    return {
        **item,
        **{key: lead(item[key]) for key in ("path", "chdir", "virtualenv")},
        "static": [path for path in map(lead, item["static"]) if path],
        "id": now["id"],
        "previous": began["current"],
        "new_code": now["id"] != began["current"],
    }
