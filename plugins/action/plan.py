"""Runs plugin_utils/plan.py: reads the roles' variables, returns one role's plan or fails with every problem."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import ansible.template
from ansible.errors import AnsibleActionFail, AnsibleError, AnsibleFileNotFound, AnsibleUndefinedVariable
from ansible.module_utils.common.yaml import yaml_load
from ansible.playbook.block import Block
from ansible.playbook.helpers import load_list_of_blocks
from ansible.playbook.task_include import TaskInclude
from ansible.release import __version__

from ansible_collections.graceful.wsgi.plugins.action.uwsgi_instances import ReportingAction
from ansible_collections.graceful.wsgi.plugins.plugin_utils import (
    artifact_cache,
    auto_default,
    auto_plan,
    cache_pruning,
    el_names,
    fleet_plan,
    foreign_nginx,
    hook_plan,
    joined_variables,
    kept_settings,
    kit_plan,
    maintenance_plan,
    model,
    pinned_plan,
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
# A variable that says that the nginx of the host is, and stays, somebody else's.
FOREIGN = "__publish_foreign_nginx"
FACTS = {
    "distribution": "distribution",
    "version": "distribution_major_version",
    "os_family": "os_family",
    "arch": "architecture",
    "package_manager": "pkg_mgr",
}
# What the role nginx left to the sites' role in this run.
WAITING = "__nginx_waiting"
# What a role has registered once it changes things. The plan is none of it: it is made again where more is known.
WORKED = {
    "el": {"__el_planned"},
    "nginx": {"__nginx_files"},
    "uwsgi": {"__uwsgi_files"},
    "publish": {"__publish_found", "__publish_sites_written"},
}
# Where the controller builds, a folder for each role; what it built is then copied into the role's artifact_dir.
CONTROLLER_HOME = "~/.cache/graceful-wsgi"
# What unpacks packages of headers on the controller.
UNPACKERS = ("bsdtar", "cpio", "dpkg-deb", "rpm2cpio")
ARGUMENTS = {
    "bare": {"type": "list", "elements": "str", "default": []},
    "collecting": {"type": "bool", "default": False},
    "kit": {"type": "bool", "default": True},
    "kept": {"type": "dict", "default": {}},
    "pins": {"type": "dict"},
    "role": {"type": "str", "required": True, "choices": sorted(planning.PLANNERS)},
    "uwsgi": {"type": "dict"},
}
ROLES = Path(__file__).resolve().parents[2] / "roles"


def _options(role: str) -> dict[str, Any]:
    spec = yaml_load((ROLES / role / "meta" / "argument_specs.yml").read_text())
    options: dict[str, Any] = spec["argument_specs"]["variables"]["options"]
    return options


def _builder(task_vars: Mapping[str, Any], role: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """What is known of the host that builds nginx, or uWSGI, for this one, and the controller's folders."""
    cache = values.get(f"{role}_artifact_dir")
    found: dict[str, Any] = {"home": os.path.expanduser(f"{CONTROLLER_HOME}/{role}")}
    found["controller_python"] = sys.executable
    found["cache"] = os.path.abspath(os.path.expanduser(cache)) if isinstance(cache, str) and cache else None
    folder = values.get(f"{role}_source_dir")
    if isinstance(folder, str) and folder and os.path.isdir(folder):
        found["wheels"] = [file for file in os.listdir(folder) if file.endswith(".whl")]
    name = values.get(f"{role}_build_host")
    if not name or not isinstance(name, str):
        return found
    hostvars = task_vars.get("hostvars") or {}
    # The controller is there whether the inventory names it or not.
    found.update(known=name == "localhost" or name in hostvars, hosts=sorted(hostvars))
    facts = (hostvars[name].get("ansible_facts") or {}) if name in hostvars else {}
    found.update({ours: facts.get(theirs) for ours, theirs in FACTS.items()}, system=facts.get("system"))
    return found


def _old(role: str, values: Mapping[str, Any], folder: str | None) -> list[str]:
    """What number and age take of the controller's folder of what was built; a kit is no cache."""
    try:
        keep, days = int(values[f"{role}_cache_keep"]), int(values[f"{role}_cache_days"])
    except (KeyError, TypeError, ValueError):
        # The plan of the role says what is wrong with it.
        return []
    return cache_pruning.old(folder, keep, days) if folder and values.get(f"{role}_build_host") else []


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
        given = [app.get(key) for key in ("name", "source", "requirements")] if isinstance(app, Mapping) else []
        names = [name for name in given if isinstance(name, str) and name]
        if len(names) == 3:
            path = Path(names[1]).expanduser() / names[2]
            if path.is_file():
                found[names[0]] = path.read_text(errors="replace").splitlines()
    return found


def _auto(apps: Any, exclude: Any, find: Callable[[str], str]) -> dict[str, Found | LockError]:
    """What ``requirements: auto`` stands for, by application, where the code lies on the controller."""
    found: dict[str, Found | LockError] = {}
    for app in apps if isinstance(apps, list) else ():
        name = app.get("name") if isinstance(app, Mapping) else None
        if not isinstance(name, str) or not auto_plan.is_wanted(app):
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
        "role": args["role"],
        "systemd": systemd.get("version"),
        # Before the fact had its present form it was false where there is none.
        "selinux": isinstance(selinux, Mapping) and selinux.get("status") == "enabled",
        "python": ".".join(str(python).split(".")[:2]) if python else None,
        "uwsgi": args["uwsgi"],
        "published": facts.get(PUBLISHED),
        "waiting": task_vars.get(WAITING),
        "ansible": __version__,
    }


def _earlier(task_vars: Mapping[str, Any]) -> list[str]:
    """The roles that may have changed the host in this run already."""
    return [role for role, registered in WORKED.items() if any(name in task_vars for name in registered)]


def _read_tasks(path: str, task: Any, loader: Any) -> dict[str, str]:
    """What is wrong with a file of tasks, and the first of them that ends the play for its host; empty for nothing.

    Read as Ansible will where it comes to them, when it could only end the run.
    """
    told = {"wrong": "", "ends": ""}
    try:
        # What a static import names may be a template.
        trusted = {"trusted_as_template": True} if hasattr(ansible.template, "trust_as_template") else {}
        tasks = loader.load_from_file(path, **trusted)
        if not isinstance(tasks, list):
            told["wrong"] = "it holds no list of tasks"
            return told
        known = {"role": task._role, "variable_manager": task._variable_manager, "loader": loader}
        # What it imports is searched for beside it.
        include = TaskInclude.load({"ansible.builtin.include_tasks": path}, block=task._parent, **known)
        play = getattr(task._parent, "_play", None)
        blocks = load_list_of_blocks(tasks, play=play, parent_block=include.build_parent_block(), **known)
    except (AnsibleError, OSError) as error:
        # ansible-core 2.16 goes on with the lines of the file.
        told["wrong"] = " ".join(str(error).split()).partition(" The error appears to be")[0][:300].rstrip(".")
        return told
    told["ends"] = next(_ends(blocks), "")
    return told


def _ends(parts: Sequence[Any]) -> Iterator[str]:
    """What among these tasks ends the play, the role or the host's part in it. Example: end_host."""
    for part in parts:
        if isinstance(part, Block):
            yield from _ends([*part.block, *part.rescue, *part.always])
        elif part.action.rpartition(".")[2] == "meta" and str(part.args.get("_raw_params")).startswith("end_"):
            yield str(part.args["_raw_params"])


def _confidential(plan: Mapping[str, Any]) -> bool:
    """Whether values of an application's environment, or a password of an index or a repository, are in it."""
    environment = any(item["environment"] for item in plan.get("preflights", ()))
    return environment or secret(json.dumps(plan, default=str))


def _checks_of(plans: Mapping[str, model.Plan], foreign: bool, pinned: bool) -> list[dict[str, Any]]:
    """What the host is asked: the first role of a play asks it for all of them, before it changes anything.

    ``foreign``: its nginx stays somebody else's, as playbooks/adopt.yml leaves it, and nothing is asked of it.
    """
    checks = [check for role, one in plans.items() if role != "nginx" or not foreign for check in one.checks]
    # Nothing is taken off on a way back, and so there is nothing to confirm.
    return [check for check in checks if check["kind"] != "replaced"] if pinned else checks


class ActionModule(ReportingAction):
    """Plan a role on the controller; nothing is sent to the host."""

    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True
    _supports_diff = False

    def _visible(self, options: dict[str, Any], task_vars: dict[str, Any], strict: bool) -> dict[str, Any] | None:
        """The role's variables, templated, text read as the list it stands for; None where another's are incomplete."""
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

    def _settle_auto(self, variables: dict[str, dict[str, Any] | None], args: Mapping[str, Any]) -> dict[str, Any]:
        """What ``requirements: auto`` stands for, and of whom it is the default.

        The variables then say so, but for what a lock pins.
        """
        publish = variables["publish"]
        found: dict[str, Found | LockError] = {}
        unsaid: set[str] = set()
        if not publish or not isinstance(publish.get("publish_apps"), list):
            return {"auto": found, "unsaid": unsaid}
        apps = publish["publish_apps"]
        if args["pins"] is not None:
            apps = auto_default.going_back(apps, args["bare"])
        else:
            unsaid = auto_default.names(apps)
            found = _auto(apps, publish.get("publish_exclude"), lambda path: self._find_needle("files", path))
            apps = auto_plan.stated(apps, found)
        variables["publish"] = {**publish, "publish_apps": apps}
        return {"auto": found, "unsaid": unsaid}

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

    def _beside(self, path: str, task_vars: Mapping[str, Any]) -> str:
        """A file of the inventory's folder, since the play is this collection's, or else as Ansible finds it."""
        file = os.path.join(task_vars.get("inventory_dir") or "/", os.path.expanduser(path))
        return file if os.path.isfile(file) else str(self._find_needle("files", path))

    def _hooks(self, publish: Mapping[str, Any], task_vars: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
        """{variable: {file: path on the controller or None, what is wrong with it}} of the user's own tasks."""
        # A role of the user's that includes this one comes before the play; what is in this collection's is not meant.
        folders = [path for path in self._task.get_search_path() if ROLES not in Path(path).resolve().parents]
        folders += [folder for name in ("playbook_dir", "inventory_dir") if (folder := task_vars.get(name))]
        found: dict[str, dict[str, Any]] = {}
        for variable in hook_plan.VARIABLES:
            given = publish.get(variable)
            for file in given if isinstance(given, list) else ():
                if not isinstance(file, str):
                    continue
                try:
                    path = self._loader.path_dwim_relative_stack(folders, "tasks", os.path.expanduser(file))
                except AnsibleFileNotFound:
                    path = None
                if path and os.path.isfile(path):
                    told = {"path": os.path.abspath(path), **_read_tasks(path, self._task, self._loader)}
                else:
                    told = {"path": None}
                found.setdefault(variable, {})[file] = told
        return found

    def _known(
        self, args: dict[str, Any], variables: dict[str, dict[str, Any] | None], task_vars: dict[str, Any]
    ) -> dict[str, Any]:
        """What planners are told of the host, of its builders and of files on the controller."""
        own = args["role"]
        host = _host(task_vars, args)
        host["foreign_nginx"] = FOREIGN in task_vars
        host.update(self._settle_auto(variables, args))
        host["kit"] = None
        # On a way back, a reload or the like nothing is installed: neither a lock nor a kit has a say in it.
        installs = args["kit"] and args["pins"] is None
        if not installs:
            host["auto"] = {name: one for name, one in host["auto"].items() if isinstance(one, Found)}
        if installs and own not in planning.ALONE:
            host["kit"] = self._kit(
                host, (variables["publish"] or {}).get("publish_apps"), task_vars, args["collecting"]
            )
        folders = kit_plan.folders(host["kit"]["folder"]) if host["kit"] else {}
        for role, name in (("nginx", "builder"), ("uwsgi", "uwsgi_builder")):
            values = {**(variables[role] or {}), **folders.get(role, {})}
            host[name] = _builder(task_vars, role, values)
            if not host["kit"]:
                host[name]["old"] = _old(role, values, host[name]["cache"])
            if role == "uwsgi":
                host[name].update(_kept(host[name], values))
            if kit_plan.publishing(host):
                # Nobody builds here, and where the kit was made the builder was known.
                host[name].update(kit_plan.builder(host["kit"], (variables[role] or {}).get(f"{role}_build_host")))
        host["fleet"] = fleet_plan.known(task_vars, variables["publish"] or {})
        host["groups"] = _groups(task_vars, variables["publish"] or {})
        host["requirements"] = _requirements((variables["publish"] or {}).get("publish_apps"))
        host["pages"] = maintenance_plan.read(
            (variables["publish"] or {}).get("publish_apps"),
            lambda path: self._beside(path, task_vars),
            lambda path: Path(path).read_bytes(),
        )
        host["hooks"] = self._hooks(variables["publish"] or {}, task_vars)
        # What a lock pins is known as well as what a file names.
        host["requirements"].update(
            (name, found.lines) for name, found in host["auto"].items() if isinstance(found, Found) and found.steps
        )
        given = (variables["uwsgi"] or {}).get("uwsgi_pip_constraints")
        host["constraints"] = _constraints(given, lambda path: self._find_needle("files", path))
        wheels = f"{host['kit']['folder']}/{kit_plan.TOOLS}" if kit_plan.publishing(host) else None
        host["wheels"] = wheel_plan.read(wheels or (variables["uwsgi"] or {}).get("uwsgi_wheel_dir"))
        return host

    def _variables(
        self, own: str, specs: Mapping[str, dict[str, Any]], task_vars: dict[str, Any]
    ) -> tuple[dict[str, dict[str, Any] | None], el_names.OldNames]:
        """{role: its variables}; another role's where they are complete, else None. And what was said by old names."""
        variables: dict[str, dict[str, Any] | None] = {}
        for role, options in specs.items():
            if own in planning.ALONE and role != own:
                options = {name: options[name] for name in planning.ALONE[own].get(role, ())}
            if role == "publish" and FOREIGN not in task_vars:
                options = joined_variables.options(options, task_vars)
            if role == "el":
                options = el_names.options(options)
            variables[role] = self._visible(options, task_vars, strict=role == own)
        variables[own] = variables[own] or {}
        if FOREIGN in task_vars and variables["publish"] is not None:
            # Nobody's sites get into another's nginx, and adopt has joined the applications of all groups.
            variables["publish"] = foreign_nginx.alone(variables["publish"])
        old = el_names.taken(variables["el"] or {}, specs["el"])
        variables["el"] = old.values if variables["el"] is not None else None
        return variables, old

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        task_vars = task_vars or {}
        _validation, args = self.validate_argument_spec(
            argument_spec=ARGUMENTS,
        )
        own = args["role"]
        specs = {role: _options(role) for role in planning.PLANNERS}
        variables, old = self._variables(own, specs, task_vars)
        joined = joined_variables.join(variables["publish"] or {}, specs["publish"])
        # On a way back, what was never live here stays as it is.
        joined = joined.without(name for name, pin in (args["pins"] or {}).items() if pin is None)
        # With what was kept of the releases that they have there.
        apps, notes = kept_settings.restored(joined.values.get("publish_apps"), args["kept"])
        joined.values.update({"publish_apps": apps} if args["kept"] else {})
        variables["publish"] = joined.values if variables["publish"] is not None else None
        host = self._known(args, variables, task_vars)
        # Nothing is pruned on a way back, so that nothing goes of what was planned before it was known what stays.
        known = host if args["pins"] is None else {**host, "published": None}
        plans, problems = planning.plan(specs, variables, known)
        problems = joined.refused(old.refused(problems))
        names = el_names.renamed(task_vars) if own == "el" else set(task_vars)
        for warning in planning.misspelt(own, specs[own], names):
            # Not by the result, which ansible-core 2.16 would hide with the plan.
            self._display.warning(warning)
        if problems:
            result["failed"] = True
            counted = f"{len(problems)} problem{'s' if len(problems) > 1 else ''} in the variables"
            listed = "\n".join(f"- {problem}" for problem in problems)
            earlier = [] if self._task.check_mode else _earlier(task_vars)
            result["msg"] = f"{counted}; {planning.untouched(own, earlier)}.\n{listed}"
            result["msg"] += kept_settings.refused(args["kept"], args["pins"] or {})
            return self._reported(result, task_vars)
        planned = plans.get(own)
        if planned is None:
            # A role that has nothing to do with this host is refused; nothing else has no plan.
            raise AnsibleActionFail(f"the role {own} has no plan for this host")
        if args["pins"] is not None and isinstance(planned, model.PublishPlan):
            planned = pinned_plan.pinned(planned, args["pins"])
        for warning in [*notes, *planned.warnings]:
            self._display.warning(joined.told(warning))
        checks = _checks_of(plans, FOREIGN in task_vars, args["pins"] is not None)
        # Here, and nowhere else, a plan becomes what tasks get.
        result.update(changed=False, plan=joined.plan(model.plain(dataclasses.replace(planned, checks=checks))))
        if args["collecting"]:
            result["kit_folder"] = host["kit"]["folder"]
        # Registered, and shown to nobody.
        result["_ansible_no_log"] = _confidential(result["plan"])
        if isinstance(planned, model.PublishPlan):
            before = host["published"] or {}
            # On a way back other roles plan all of the set once more, as the first look did.
            after = {**before, **planned.published} if args["pins"] is None else {**planned.published, **before}
            result["ansible_facts"] = {PUBLISHED: after}
        return result
