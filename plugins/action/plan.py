"""Door to plugin_utils/plan.py: reads the rooms' variables, returns one room's plan or fails with every problem."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail, AnsibleError, AnsibleUndefinedVariable
from ansible.module_utils.common.yaml import yaml_load
from ansible.release import __version__

from ansible_collections.graceful.wsgi.plugins.action.uwsgi_instances import Telling
from ansible_collections.graceful.wsgi.plugins.plugin_utils import (
    artifact_cache,
    auto_plan,
    kit_plan,
    source_tree,
    spec,
    uwsgi_plan,
    wheel_plan,
)
from ansible_collections.graceful.wsgi.plugins.plugin_utils import plan as planning
from ansible_collections.graceful.wsgi.plugins.plugin_utils.kit import Kit, KitError, requirements, secret
from ansible_collections.graceful.wsgi.plugins.plugin_utils.lock_files import LockError
from ansible_collections.graceful.wsgi.plugins.plugin_utils.requirements_auto import Found

# A fact of the host: {set: {publish_apps: [names], publish_sites: [names]}}, for as long as the run lasts.
PUBLISHED = "_graceful_wsgi_published"
FACTS = {
    "distribution": "distribution",
    "version": "distribution_major_version",
    "os_family": "os_family",
    "arch": "architecture",
}
# What a role has registered once it changes things.
WORKED = {
    "centos7": "__centos7_planned",
    "nginx": "__nginx_files",
    "uwsgi": "__uwsgi_files",
    "publish": "__publish_planned",
}
# Where the controller builds, a folder for each room; what it built is then copied into the room's artifact_dir.
CONTROLLER_HOME = "~/.cache/graceful-wsgi"
# What unpacks packages of headers on the controller.
UNPACKERS = ("bsdtar", "cpio", "dpkg-deb", "rpm2cpio")
ROLES = Path(__file__).resolve().parents[2] / "roles"


def _options(room: str) -> dict[str, Any]:
    spec = yaml_load((ROLES / room / "meta" / "argument_specs.yml").read_text())
    return spec["argument_specs"]["main"]["options"]


def _builder(task_vars: Mapping[str, Any], room: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """What is known of the host that builds nginx, or uWSGI, for this one, and the controller's folders."""
    cache = values.get(f"{room}_artifact_dir")
    found: dict[str, Any] = {"home": os.path.expanduser(f"{CONTROLLER_HOME}/{room}")}
    found["cache"] = os.path.abspath(os.path.expanduser(cache)) if isinstance(cache, str) and cache else None
    folder = values.get(f"{room}_source_dir")
    if isinstance(folder, str) and folder and os.path.isdir(folder):
        found["wheels"] = [file for file in os.listdir(folder) if file.endswith(".whl")]
    name = values.get(f"{room}_build_host")
    if not name or not isinstance(name, str):
        return found
    hostvars = task_vars.get("hostvars") or {}
    # The controller is there whether the inventory names it or not.
    found.update(known=name == "localhost" or name in hostvars, hosts=sorted(hostvars))
    facts = (hostvars[name].get("ansible_facts") or {}) if name in hostvars else {}
    found.update({ours: facts.get(theirs) for ours, theirs in FACTS.items()}, system=facts.get("system"))
    return found


def _kept(found: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """What manifests tell of the wheels of uWSGI that were built once, which headers and what unpacks them."""
    told: dict[str, Any] = {"kept": []}
    if values.get("uwsgi_build_host") and found["cache"]:
        told["kept"] = artifact_cache.kept(found["cache"])
    folder = values.get("uwsgi_headers_dir")
    if isinstance(folder, str) and folder:
        path = Path(folder).expanduser()
        told["headers"] = sorted(file.name for file in path.iterdir()) if path.is_dir() else []
        told["tools"] = [name for name in UNPACKERS if shutil.which(name)]
    return told


def _groups(task_vars: Mapping[str, Any], publish: Mapping[str, Any]) -> dict[str, Any]:
    """The hosts of the groups that publish_upstreams names, and under "" the names of all groups."""
    groups, hostvars = task_vars.get("groups") or {}, task_vars.get("hostvars") or {}
    found: dict[str, Any] = {"": sorted(groups)}
    upstreams = publish.get("publish_upstreams")
    for upstream in upstreams if isinstance(upstreams, list) else []:
        group = upstream.get("group") if isinstance(upstream, Mapping) else None
        if not isinstance(group, str) or group not in groups:
            continue
        found[group] = []
        for name in groups[group]:
            known = hostvars[name]
            member = {"address": str(known.get("ansible_host") or name)}
            for key in ("weight", "backup"):
                if known.get(f"publish_upstream_{key}") is not None:
                    member[key] = known[f"publish_upstream_{key}"]
            found[group].append(member)
    return found


def _requirements(apps: Any) -> dict[str, list[str]]:
    """The lines of the requirements files that lie in a folder on the controller, by application."""
    found = {}
    for app in apps if isinstance(apps, list) else ():
        names = [app.get(key) for key in ("name", "source", "requirements")] if isinstance(app, Mapping) else [None]
        if all(isinstance(name, str) and name for name in names):
            path = Path(names[1]).expanduser() / names[2]
            if path.is_file():
                found[names[0]] = path.read_text(errors="replace").splitlines()
    return found


def _auto(apps: Any, exclude: Any, find: Callable[[str], str]) -> dict[str, Found | LockError]:
    """What ``requirements: auto`` stands for, by application, where the code lies on the controller."""
    found: dict[str, Found | LockError] = {}
    for app in apps if isinstance(apps, list) else ():
        name = app.get("name") if isinstance(app, Mapping) else None
        if not isinstance(name, str) or not auto_plan.is_auto(app):
            continue
        source, archive = (app.get(key) for key in ("source", "archive"))
        lists = [one for one in (exclude, app.get("exclude")) if isinstance(one, list)]
        with tempfile.TemporaryDirectory(prefix="graceful-wsgi-") as scratch:
            try:
                if archive:
                    root = source_tree.unpack(find(archive), scratch)
                elif source:
                    root = Path(find(source))
                else:
                    continue
                found[name] = auto_plan.look(root, [pattern for one in lists for pattern in one])
            except LockError as error:
                found[name] = error
            except (AnsibleError, source_tree.SourceError, AttributeError, OSError, TypeError):
                # Whoever checks the variables, or puts the code on the host, says what is wrong with it.
                continue
    return found


def _texts(apps: Any, find: Callable[[str], str]) -> dict[str, str | None]:
    """The text of the applications' requirements; None where it cannot be read here."""
    found: dict[str, str | None] = {}
    for app in apps if isinstance(apps, list) else ():
        name = app.get("name") if isinstance(app, Mapping) else None
        if not isinstance(name, str) or not app.get("requirements"):
            continue
        with tempfile.TemporaryDirectory(prefix="graceful-wsgi-") as scratch:
            try:
                read = requirements(app, find, Path(scratch))
            except (KitError, AnsibleError, source_tree.SourceError, OSError, TypeError):
                # Whoever puts the code on the host says what is wrong with it.
                read = None
        found[name] = read[1] if read else None
    return found


def _constraints(given: Any, find: Callable[[str], str]) -> dict[str, str | None]:
    """Constraints for pip by the Python that they hold for, ``*`` for any; None where there is no such file."""
    if given is None or given == uwsgi_plan.OWN_CONSTRAINTS:
        files = sorted((ROLES / "uwsgi" / "files").glob("constraints-*.txt"))
        return {file.stem.partition("-")[2]: file.read_text() for file in files}
    if not isinstance(given, str) or not given:
        return {}
    try:
        return {"*": Path(find(os.path.expanduser(given))).read_text(errors="replace")}
    except (AnsibleError, OSError):
        return {"*": None}


def _host(task_vars: Mapping[str, Any], args: dict[str, Any]) -> dict[str, Any]:
    facts = task_vars.get("ansible_facts") or {}
    systemd = facts.get("systemd") or {}
    python = facts.get("python_version")
    selinux = facts.get("selinux")
    return {
        **{ours: facts.get(theirs) for ours, theirs in FACTS.items()},
        "room": args["room"],
        "systemd": systemd.get("version"),
        # Before the fact had its present form it was false where there is none.
        "selinux": isinstance(selinux, Mapping) and selinux.get("status") == "enabled",
        "python": ".".join(str(python).split(".")[:2]) if python else None,
        "uwsgi": args["uwsgi"],
        "published": facts.get(PUBLISHED),
        "ansible": __version__,
    }


def _earlier(task_vars: Mapping[str, Any]) -> list[str]:
    """The roles that may have changed the host in this run already."""
    return [room for room, registered in WORKED.items() if registered in task_vars]


def _confidential(plan: Mapping[str, Any]) -> bool:
    """Whether values of an application's environment, or a password of an index or a repository, are in it."""
    environment = any(item["environment"] for item in plan.get("preflights", ()))
    return environment or secret(json.dumps(plan, default=str))


class ActionModule(Telling):
    """Plan a room on the controller; nothing is sent to the host."""

    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True
    _supports_diff = False

    def _visible(self, options: dict[str, Any], task_vars: dict[str, Any], strict: bool) -> dict[str, Any] | None:
        """The room's variables, templated, text read as the list it stands for; None where another's are incomplete."""
        found = {}
        for name in options:
            if name in task_vars:
                try:
                    found[name] = spec.from_text(self._templar.template(task_vars[name]), options[name])
                except AnsibleUndefinedVariable:
                    if strict:
                        raise
                    return None
        return found or None

    def _settle_auto(self, variables: dict[str, dict[str, Any] | None]) -> dict[str, Found | LockError]:
        """What ``requirements: auto`` stands for; the variables then say so, but for what a lock pins."""
        publish = variables["publish"]
        if not publish or not isinstance(publish.get("publish_apps"), list):
            return {}
        apps = publish["publish_apps"]
        found = _auto(apps, publish.get("publish_exclude"), lambda path: self._find_needle("files", path))
        variables["publish"] = {**publish, "publish_apps": auto_plan.stated(apps, found)}
        return found

    def _kit(self, host: dict[str, Any], apps: Any, task_vars: Mapping[str, Any], collecting: bool) -> Any:
        """What is known of the kit that is filled, or published from; None without one."""
        name = "kit_dir" if collecting else "publish_kit"
        folder = self._templar.template(task_vars.get(name) or "")
        if not folder or not isinstance(folder, str):
            if collecting:
                raise AnsibleActionFail("kit_dir: is missing; name the folder of the kit: -e kit_dir=./kit")
            return None
        texts = {} if collecting else _texts(apps, lambda path: self._find_needle("files", path))
        return Kit(os.path.abspath(os.path.expanduser(folder))).known(host, texts, collecting)

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result = super().run(tmp, task_vars)
        task_vars = task_vars or {}
        _validation, args = self.validate_argument_spec(
            argument_spec={
                "collecting": {"type": "bool", "default": False},
                "kit": {"type": "bool", "default": True},
                "room": {"type": "str", "required": True, "choices": sorted(planning.PLANNERS)},
                "uwsgi": {"type": "dict"},
            },
        )
        own = args["room"]
        specs = {room: _options(room) for room in planning.PLANNERS}
        variables: dict[str, dict[str, Any] | None] = {}
        for room, options in specs.items():
            if own in planning.ALONE and room != own:
                options = {name: options[name] for name in planning.ALONE[own].get(room, ())}
            variables[room] = self._visible(options, task_vars, strict=room == own)
        variables[own] = variables[own] or {}
        host = _host(task_vars, args)
        host["auto"] = self._settle_auto(variables)
        host["kit"] = None
        if args["kit"] and own not in planning.ALONE:
            host["kit"] = self._kit(
                host, (variables["publish"] or {}).get("publish_apps"), task_vars, args["collecting"]
            )
        folders = kit_plan.folders(host["kit"]["folder"]) if host["kit"] else {}
        for room, name in (("nginx", "builder"), ("uwsgi", "uwsgi_builder")):
            values = {**(variables[room] or {}), **folders.get(room, {})}
            host[name] = _builder(task_vars, room, values)
            if room == "uwsgi":
                host[name].update(_kept(host[name], values))
            if kit_plan.publishing(host):
                # Nobody builds here, and where the kit was made the builder was known.
                host[name].update(kit_plan.builder(host["kit"], (variables[room] or {}).get(f"{room}_build_host")))
        host["groups"] = _groups(task_vars, variables["publish"] or {})
        host["requirements"] = _requirements((variables["publish"] or {}).get("publish_apps"))
        # What a lock pins is known as well as what a file names.
        host["requirements"].update(
            (name, found.lines) for name, found in host["auto"].items() if isinstance(found, Found) and found.steps
        )
        given = (variables["uwsgi"] or {}).get("uwsgi_pip_constraints")
        host["constraints"] = _constraints(given, lambda path: self._find_needle("files", path))
        wheels = f"{host['kit']['folder']}/{kit_plan.TOOLS}" if kit_plan.publishing(host) else None
        host["wheels"] = wheel_plan.read(wheels or (variables["uwsgi"] or {}).get("uwsgi_wheel_dir"))
        plans, problems = planning.plan(specs, variables, host)
        for warning in planning.misspelt(own, specs[own], set(task_vars)):
            # Not by the result, which ansible-core 2.16 would hide with the plan.
            self._display.warning(warning)
        if problems:
            result["failed"] = True
            counted = f"{len(problems)} problem{'s' if len(problems) > 1 else ''} in the variables"
            listed = "\n".join(f"- {problem}" for problem in problems)
            earlier = [] if self._task.check_mode else _earlier(task_vars)
            result["msg"] = f"{counted}; {planning.untouched(own, earlier)}.\n{listed}"
            return self._told(result, task_vars)
        for warning in plans[own].get("warnings", ()):
            self._display.warning(warning)
        # The first role of a play asks the host for all of them, before it changes anything.
        checks = [check for room in plans.values() for check in room.get("checks") or []]
        result.update(changed=False, plan={**plans[own], "checks": checks})
        if args["collecting"]:
            result["kit_folder"] = host["kit"]["folder"]
        # Registered, and shown to nobody.
        result["_ansible_no_log"] = _confidential(plans[own])
        if own == "publish":
            result["ansible_facts"] = {PUBLISHED: {**(host["published"] or {}), **plans[own]["published"]}}
        return result
