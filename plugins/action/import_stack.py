"""Reads an existing stack and writes it as an inventory; see plugin_utils/import_inventory.py."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ansible_collections.graceful.wsgi.plugins.action.plan import _options
from ansible_collections.graceful.wsgi.plugins.module_utils import stack_files
from ansible_collections.graceful.wsgi.plugins.plugin_utils import (
    import_inventory,
    import_nginx,
    import_report,
    import_speakers,
    model,
)
from ansible_collections.graceful.wsgi.plugins.plugin_utils import plan as planning
from ansible_collections.graceful.wsgi.plugins.plugin_utils.problem import Problem
from ansible_collections.graceful.wsgi.plugins.plugin_utils.text_values import printable

ROLES = ("nginx", "uwsgi", "publish")
MODULE = "graceful.wsgi.existing_stack"


def planner(given: Mapping[str, Any]) -> tuple[dict[str, model.Plan], list[Problem]]:
    """The plans of the roles that publish, for variables of an inventory."""
    specs = {role: _options(role) for role in planning.PLANNERS}
    roles = {
        role: {key: value for key, value in given.items() if key.startswith(f"{role}_")} for role in ROLES
    }
    return planning.plan(specs, roles, import_inventory.HOST)


class ReadsStack(ActionBase):
    """What import and doctor have in common."""

    _supports_check_mode = True

    def _called(self, task_vars: Mapping[str, Any] | None, **args: Any) -> dict[str, Any]:
        """The answer of the host; its texts may hold secrets and go no further than here."""
        answer: dict[str, Any] = self._execute_module(module_name=MODULE, module_args=args, task_vars=task_vars)
        if answer.get("failed"):
            raise AnsibleActionFail(str(answer.get("msg") or answer.get("module_stderr") or "the host gave no answer"))
        return answer

    def found(self, folder: str, task_vars: Mapping[str, Any] | None, paths: list[str]) -> dict[str, Any]:
        """What a folder on the controller, or the host, has."""
        if folder:
            where = os.path.expanduser(folder)
            if not os.path.isdir(where):
                raise AnsibleActionFail(
                    f"import_files: there is no folder {folder}; name one with files of nginx and uWSGI"
                )
            found: dict[str, Any] = stack_files.folder(where)
            return found
        return import_speakers.told(self._called(task_vars, paths=paths)["found"])

    def file(self, path: str, text: str, overwrite: bool) -> None:
        """Write a file that nobody else reads; what is there stays unless it may be overwritten."""
        target = Path(path)
        if target.exists() and not overwrite:
            raise AnsibleActionFail(f"{path} is there already; name another import_dir, or set import_overwrite=true")
        target.parent.mkdir(parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
        # Variables of an application's environment stand in it.
        with os.fdopen(os.open(target, flags, 0o600), "w", encoding="utf-8") as file:
            file.write(text)


class ActionModule(ReadsStack):
    """Controller side of graceful.wsgi.import_stack."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        _validation, args = self.validate_argument_spec(
            argument_spec={
                "dir": {"type": "path", "required": True},
                "files": {"type": "path"},
                "paths": {"type": "list", "elements": "path", "default": []},
                "overwrite": {"type": "bool", "default": False},
            }
        )
        host, folder = str((task_vars or {}).get("inventory_hostname") or "old"), str(args["files"] or "")
        found = self.found(folder, task_vars, args["paths"])
        processes = [one for one in found.get("processes") or [] if one.get("kind") == "uwsgi"]
        main = str(found.get("main") or "")
        try:
            imported = import_inventory.run(found["files"], planner, processes, main)
            paths = import_inventory.asked(imported)
            if paths and not folder:
                looked = self._called(task_vars, look=paths)["looked"]
                there = [path for path in paths if looked[path]["kind"] == "file"]
                imported = import_inventory.run(found["files"], planner, processes, main, there)
        except import_nginx.ParserMissing as error:
            raise AnsibleActionFail(str(error)) from error
        imported.messages = [*(found.get("messages") or []), *imported.messages]
        if not (imported.variables.get("publish_apps") or imported.variables.get("publish_sites")):
            told = "; ".join([f"neither nginx nor uWSGI was found in {folder or host}", *imported.messages[:5]])
            raise AnsibleActionFail(told)
        name = re.sub(r"[^\w.-]+", "-", os.path.basename(folder.rstrip("/")) or "imported") if folder else host
        where = os.path.abspath(os.path.expanduser(str(args["dir"])))
        written = {"inventory": os.path.join(where, f"{name}.yml"), "table": os.path.join(where, f"{name}.md")}
        report = import_report.markdown(imported)
        if not self._task.check_mode:
            overwrite = args["overwrite"]
            self.file(written["inventory"], import_report.inventory(imported, name), overwrite)
            self.file(written["table"], report, overwrite)
        self._display.display(printable(report))
        questions = [row.plain() for row in imported.questions()]
        result.update(changed=not self._task.check_mode, summary=imported.summary(), questions=questions, **written)
        return result
