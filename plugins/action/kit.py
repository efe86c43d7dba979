"""Fills a kit on the controller with what one host needs; see plugin_utils/kit.py."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail, AnsibleError

from ansible_collections.graceful.wsgi.plugins.action.uwsgi_instances import ReportingAction
from ansible_collections.graceful.wsgi.plugins.module_utils import constraints, elf, kit_checks, uwsgi_home, uwsgi_wheel
from ansible_collections.graceful.wsgi.plugins.plugin_utils import kit_plan, source_tree
from ansible_collections.graceful.wsgi.plugins.plugin_utils.kit import (
    EMPTY,
    Kit,
    KitError,
    Missed,
    Pip,
    entry,
    portable,
    requirements,
    secret,
    unbringable,
    words,
)
from ansible_collections.graceful.wsgi.plugins.plugin_utils.problem import Problem
from ansible_collections.graceful.wsgi.plugins.plugin_utils.uwsgi_plan import VIRTUALENV


def _wheel(host: Mapping[str, Any], plan: Mapping[str, Any]) -> dict[str, Any]:
    """The name of the uWSGI wheel that the host takes, and what that is made of."""
    settings = plan["settings"]
    build = uwsgi_home.full_build(plan["build"], settings["version"], host["python"])
    wheel: dict[str, Any] = uwsgi_home.wheel_of(settings["version"], build, settings["features"], host["kind"])
    return wheel


class Collector:
    """One host's share of a kit. ``needs`` gathers what is not there yet, ``problems`` what cannot be had."""

    def __init__(self, kit: Kit, manifest: dict[str, Any], args: Mapping[str, Any], pip: Pip, check: bool) -> None:
        self.kit, self.manifest, self.args, self.pip, self.check = kit, manifest, args, pip, check
        self.host = args["host"]
        self.entry = entry(manifest, self.host["kind"], self.host["glibc"])
        self.needs: list[str] = []
        self.problems: list[Problem] = []
        # What has to be built by a host of this one's kind.
        self.lacking: list[dict[str, Any]] = []
        folder = args["uwsgi"]["settings"]["wheel_dir"]
        # What somebody made by hand is taken before an index is asked.
        # By its whole path: pip runs where an application's code is.
        self.links = [os.path.abspath(os.path.expanduser(folder))] if folder else []

    def _intact(self, files: list[str]) -> bool:
        return bool(files) and not self.kit.wrong(self.manifest, files)

    def nginx(self) -> None:
        plan = self.args["nginx"]
        name, held = plan["id"], self.manifest["nginx"].get(plan["id"])
        if held and self._intact(held["files"]):
            return
        self.needs.append(f"nginx {name}")
        if self.check:
            return
        told = self.kit.artifact(kit_plan.NGINX, name)
        files = self.kit.note(self.manifest, told["paths"])
        self.manifest["nginx"][name] = {"architecture": told["architecture"], "files": files}
        toolchain = plan["about"]["toolchain"]
        if toolchain["kind"] == "host":
            known = {key: toolchain[key] for key in ("distribution", "version", "arch")}
            known.update(os_family=plan["build"]["family"], system="Linux")
            self.manifest["builders"][plan["build"]["host"]] = known

    def uwsgi(self) -> None:
        plan, version = self.args["uwsgi"], self.args["uwsgi"]["settings"]["version"]
        built = bool(plan["builder"]["host"])
        name = _wheel(self.host, plan)["name"] if built else f"uWSGI {version}"
        held = self.entry["uwsgi"].get(name)
        if held and self._intact(held["files"]):
            return
        self.needs.append(f"uWSGI {name}" if built else name)
        if self.check:
            return
        if built:
            told = self.kit.artifact(kit_plan.UWSGI, name)
            paths, libraries = told["paths"], told["libraries"]
            found = told.get("found") or {}
            packages, features = found.get("packages") or [], found.get("features") or []
        else:
            try:
                wheels = self.pip.download([f"uWSGI=={version}", "--no-deps"], self.host, self.links)
            except Missed:
                kind = kit_plan.describe(self.host["kind"])
                message = f"is empty, and no wheel of uWSGI {version} is to be had for {kind}"
                hint = "name a host of that kind that builds it, or put such a wheel into the folder uwsgi_wheel_dir"
                hint += "; localhost builds it by uwsgi_build_toolchain: zig out of uwsgi_headers_dir"
                self.problems.append(Problem("uwsgi_build_host", message, hint))
                return
            data = wheels[0].read_bytes()
            libraries, packages = uwsgi_wheel.describe(data)["libraries"], []
            features = uwsgi_home.compiled_with(uwsgi_wheel.program(data)) or []
            paths = self.kit.take(wheels, kit_plan.TOOLS)
        files = self.kit.note(self.manifest, paths)
        told = {"features": features, "libraries": libraries, "packages": packages}
        self.entry["uwsgi"][name] = {**told, "files": files}

    def _builds(self) -> bool:
        """Whether who builds uWSGI may build what applications require, too; whoever is to do it looks closer."""
        builder, kind = self.args["uwsgi"]["builder"], self.host["kind"]
        if not builder.get("brought"):
            return bool(builder["host"])
        here = uwsgi_home.kind_of({}, *kit_checks.system())
        return all(here[name] == kind[name] for name in ("distribution", "major", "architecture"))

    def tools(self) -> None:
        """pip, and what a virtualenv takes where the host's Python has neither."""
        if self._intact(self.entry["tools"]):
            return
        python, plan = self.host["kind"]["python"], self.args["uwsgi"]
        self.needs.append(f"pip for Python {python}")
        if self.check:
            return
        wanted = [plan["pip"].get(python) or plan["pip"]["*"]]
        if python == "2.7":
            wanted.append(f"virtualenv=={VIRTUALENV}")
        elif tuple(map(int, python.split("."))) < (3, 12):
            # Virtualenvs of these have it.
            wanted.append("setuptools")
        found = self.pip.download([*wanted, "--no-deps"], self.host, self.links)
        top = [file for file in found if file.name.startswith("virtualenv-")]
        paths = self.kit.take(top, kit_plan.TOOLS)
        paths += self.kit.take([file for file in found if file not in top], f"{kit_plan.TOOLS}/{python}")
        self.entry["tools"] = self.kit.note(self.manifest, paths)

    def app(self, number: int, app: Mapping[str, Any], find: Callable[[str], str], scratch: Path) -> None:
        variable, name = f"{self.args['app_variables'][number]}.requirements", app["name"]
        try:
            read = requirements(app, find, scratch)
        except (AnsibleError, KitError, OSError, source_tree.SourceError) as error:
            return self.problems.append(Problem(variable, str(error), "name a file that the code has"))
        if read is None:
            return None
        root, text = read
        line = unbringable(text)
        if line is not None:
            message = f"no folder of wheels can stand for {line!r}"
            hint = "name the project and its version, and put a wheel of it into the folder uwsgi_wheel_dir"
            return self.problems.append(Problem(variable, message, hint))
        limits = constraints.wanted(app.get("bounds") or [], app.get("constraints") or [], text)
        named = kit_plan.digest(text, limits)
        held = self.entry["requirements"].get(named)
        if held and self._intact(held["files"]):
            held["apps"] = sorted({*held["apps"], name})
            return None
        self.needs.append(f"the wheels of {name}")
        if self.check:
            return None
        wanted = app["requirements"]
        asked = ["-r", str(root / wanted)] if isinstance(wanted, str) else words(wanted)
        if limits:
            file = scratch / "constraints.txt"
            file.write_text("\n".join(limits) + "\n")
            asked += ["-c", str(file)]
        try:
            found = self.pip.download(asked, self.host, self.links, root)
        except Missed as missed:
            if "--hash" in text:
                # A host would refuse what was built, which has a hash of its own.
                message = (
                    f"{missed.what} has no wheel for {kit_plan.describe(self.host['kind'])} with one of its hashes"
                )
                hint = "pin a version that has such a wheel, or leave the hashes out, and have it built"
                return self.problems.append(Problem(variable, message, hint))
            if self._builds():
                told = {"variable": variable, "name": name, "what": missed.what, "digest": named}
                self.lacking.append({**told, "files": portable(root, wanted, limits)})
                return None
            message = f"{missed.what} has no wheel for {kit_plan.describe(self.host['kind'])}"
            if self.args["uwsgi"]["builder"]["host"]:
                message += (
                    ", and the controller, which uwsgi_build_host names, builds nothing but uWSGI for another kind"
                )
            hint = "name a host of that kind in uwsgi_build_host, which builds it, or put a wheel into uwsgi_wheel_dir"
            return self.problems.append(Problem(variable, message, hint))
        except KitError as error:
            return self.problems.append(Problem(variable, str(error), "mend that and run the play again"))
        files = self.kit.note(self.manifest, self.kit.take(found, kit_plan.WHEELS))
        self.entry["requirements"][named] = {"apps": [name], "files": files}
        return None


class ActionModule(ReportingAction):
    """Controller side of what fills a kit; nothing is sent to the host that it is for."""

    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True
    _supports_diff = False

    def _built(self, args: dict[str, Any]) -> None:
        """Take what a builder made for one application, out of a folder of the controller."""
        kit, kind = Kit(args["folder"]), args["host"]["kind"]
        found = sorted(Path(args["source"]).glob("*.whl"))
        own = [file for file in found if file.name.endswith(f"-linux_{kind['architecture']}.whl")]
        with kit.filling() as manifest:
            # What was compiled on one distribution may have the name of what another one's compiler made.
            place = f"{kit_plan.WHEELS}/{kind['distribution']}-{kind['major']}-{kind['architecture']}".lower()
            paths = kit.take(own, place) + kit.take([file for file in found if file not in own], kit_plan.WHEELS)
            held = entry(manifest, kind, args["host"]["glibc"])["requirements"]
            held[args["digest"]] = {"apps": [args["name"]], "files": kit.note(manifest, paths)}

    def _collected(self, args: dict[str, Any]) -> tuple[list[str], list[Problem], list[dict[str, Any]]]:
        kit, check = Kit(args["folder"]), bool(self._task.check_mode)
        with tempfile.TemporaryDirectory(prefix="graceful-wsgi-") as folder:
            settings = args["pip"]
            environment = {name: "1" if value is True else str(value) for name, value in settings["env"].items()}
            if settings["cert"] and os.path.isfile(settings["cert"]):
                environment["PIP_CERT"] = settings["cert"]
            pip = Pip(Path(folder), environment)

            def collect(manifest: dict[str, Any]) -> Collector:
                collector = Collector(kit, manifest, args, pip, check)
                collector.nginx()
                collector.uwsgi()
                collector.tools()
                for number, app in enumerate(args["apps"]):
                    scratch = Path(folder) / f"app-{number}"
                    scratch.mkdir()
                    if app.get("requirements"):
                        collector.app(number, app, lambda path: self._find_needle("files", path), scratch)
                return collector

            if check:
                found = collect(kit.read() or {**EMPTY, "hosts": []})
            else:
                with kit.filling() as manifest:
                    found = collect(manifest)
        return found.needs, found.problems, found.lacking

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        _validation, args = self.validate_argument_spec(
            argument_spec={
                "state": {"type": "str", "required": True, "choices": ["wanted", "collected", "built"]},
                "folder": {"type": "str", "required": True},
                "host": {"type": "dict", "required": True},
                "uwsgi": {"type": "dict"},
                "nginx": {"type": "dict"},
                "pip": {"type": "dict"},
                "apps": {"type": "list", "elements": "dict", "default": []},
                "app_variables": {"type": "list", "elements": "str", "default": []},
                "source": {"type": "str"},
                "name": {"type": "str"},
                "digest": {"type": "str"},
            },
            required_if=[
                ("state", "wanted", ["uwsgi"]),
                ("state", "collected", ["nginx", "uwsgi", "pip"]),
                ("state", "built", ["source", "name", "digest"]),
            ],
        )
        result["changed"] = False
        if args["state"] == "wanted":
            return {**result, "wheel": _wheel(args["host"], args["uwsgi"])}
        try:
            if args["state"] == "built":
                if not self._task.check_mode:
                    self._built(args)
                return {**result, "changed": True}
            needs, problems, lacking = self._collected(args)
        except (KitError, OSError, elf.ElfError) as error:
            raise AnsibleActionFail(f"kit_dir: {error}") from error
        result.update(changed=bool(needs), collected=needs, lacking=lacking)
        if problems:
            counted = f"{len(problems)} problem{'s' if len(problems) > 1 else ''} with the kit"
            result.update(failed=True, msg="\n".join([f"{counted}:", *(f"- {problem}" for problem in problems)]))
            # Nothing is built for who is refused.
            result.update(lacking=[])
        # An index in requirements may be named with a password.
        if any(secret(text) for one in result["lacking"] for text in one["files"].values()):
            result["_ansible_no_log"] = True
        return self._reported(result, task_vars or {})
