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
    adopt_plan,
    import_answers,
    import_given,
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
COMPARE = "graceful.wsgi.compare_answers"


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
    # How the variables of its playbook begin.
    PREFIX = "import"

    def _refuse_odd(self) -> None:
        """Fail by the variable's name where one says nothing that is known."""
        why = import_given.refusal(self.PREFIX, self._task.args)
        if why:
            raise AnsibleActionFail(why)
        if isinstance(self._task.args.get("paths"), str):
            self._task.args["paths"] = [path.strip() for path in self._task.args["paths"].split(",") if path.strip()]

    def _called(self, task_vars: Mapping[str, Any] | None, **args: Any) -> dict[str, Any]:
        """The answer of the host; its texts may hold secrets and go no further than here."""
        return self._module(MODULE, task_vars, **args)

    def _module(self, name: str, task_vars: Mapping[str, Any] | None, **args: Any) -> dict[str, Any]:
        answer: dict[str, Any] = self._execute_module(module_name=name, module_args=args, task_vars=task_vars)
        if answer.get("failed"):
            raise AnsibleActionFail(str(answer.get("msg") or answer.get("module_stderr") or "the host gave no answer"))
        return answer

    def found(self, folder: str, task_vars: Mapping[str, Any] | None, paths: list[str]) -> dict[str, Any]:
        """What a folder on the controller, or the host, has."""
        if folder:
            where = os.path.expanduser(folder)
            if not os.path.isdir(where):
                raise AnsibleActionFail(
                    f"{self.PREFIX}_files: there is no folder {folder}; name one with files of nginx and uWSGI"
                )
            found: dict[str, Any] = stack_files.folder(where)
            return found
        return import_speakers.told(self._called(task_vars, paths=paths)["found"])

    def file(self, path: str, text: str, overwrite: bool) -> None:
        """Write a file that nobody else reads; what is there stays unless it may be overwritten."""
        target = Path(path)
        if target.exists() and not overwrite:
            raise AnsibleActionFail(f"{path} is there already; name another import_dir, or set import_overwrite=true")
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            # Variables of an application's environment stand in it.
            with os.fdopen(os.open(target, flags, 0o600), "w", encoding="utf-8") as file:
                file.write(text)
        except OSError as error:
            told = f"{path} cannot be written ({error.strerror}: {error.filename or path}); name another place"
            raise AnsibleActionFail(told) from error


class ActionModule(ReadsStack):
    """Controller side of graceful.wsgi.import_stack."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        self._refuse_odd()
        _validation, args = self.validate_argument_spec(
            argument_spec={
                "dir": {"type": "path", "required": True},
                "files": {"type": "path"},
                "paths": {"type": "list", "elements": "path", "default": []},
                "overwrite": {"type": "bool", "default": False},
                "ask": {"type": "bool", "default": False},
                "ask_paths": {"type": "list", "elements": "str", "default": []},
                "compare": {"type": "path"},
                "at": {"type": "str", "default": "127.0.0.1"},
                "ports": {"type": "dict", "default": {}},
                "accept": {"type": "list", "elements": "str", "default": []},
            }
        )
        try:
            step = self._compared if args["compare"] else self._written
            result.update(step(args, task_vars))
        except (import_nginx.ParserMissing, import_answers.AnswersProblem) as error:
            raise AnsibleActionFail(str(error)) from error
        return result

    def _imported(
        self, found: Mapping[str, Any], host: bool, task_vars: Mapping[str, Any] | None
    ) -> import_report.Imported:
        """What was found as an inventory; where a host is there, it is asked which files it has."""
        processes = [one for one in found.get("processes") or [] if one.get("kind") == "uwsgi"]
        main = str(found.get("main") or "")
        imported = import_inventory.run(found["files"], planner, processes, main)
        paths = import_inventory.asked(imported)
        if paths and host:
            looked = self._called(task_vars, look=paths)["looked"]
            there = [path for path in paths if looked[path]["kind"] == "file"]
            imported = import_inventory.run(found["files"], planner, processes, main, there)
        imported.messages = [*(found.get("messages") or []), *imported.messages]
        return imported

    def _written(self, args: Mapping[str, Any], task_vars: Mapping[str, Any] | None) -> dict[str, Any]:
        """The inventory and its table, and the old stack's answers where they are wanted."""
        host, folder = str((task_vars or {}).get("inventory_hostname") or "old"), str(args["files"] or "")
        if args["ask"] and folder:
            raise AnsibleActionFail("import_ask: files of a folder answer nothing; name a host by -i, or leave it out")
        found = self.found(folder, task_vars, args["paths"])
        imported = self._imported(found, not folder, task_vars)
        if not (imported.variables.get("publish_apps") or imported.variables.get("publish_sites")):
            told = "; ".join([f"neither nginx nor uWSGI was found in {folder or host}", *imported.messages[:5]])
            raise AnsibleActionFail(told)
        name = re.sub(r"[^\w.-]+", "-", os.path.basename(folder.rstrip("/")) or "imported") if folder else host
        where = os.path.abspath(os.path.expanduser(str(args["dir"])))
        written = {"inventory": os.path.join(where, f"{name}.yml"), "table": os.path.join(where, f"{name}.md")}
        report = import_report.markdown(imported)
        texts = {written["inventory"]: import_report.inventory(imported, name), written["table"]: report}
        summary = imported.summary()
        if args["ask"] and not self._task.check_mode:
            # What ends so is no inventory where its folder is given as one.
            written["answers"] = os.path.join(where, f"{name}.answers.txt")
            texts[written["answers"]], count = self._asked(found, imported, host, args["ask_paths"], task_vars)
            summary += f"; {count} requests asked, their answers are kept in {written['answers']}"
            report += f"\n{count} requests were asked, and their answers are kept in {written['answers']}.\n"
        if not self._task.check_mode:
            for path, text in texts.items():
                self.file(path, text, args["overwrite"])
        self._display.display(printable(report))
        questions = [row.plain() for row in imported.questions()]
        return {"changed": not self._task.check_mode, "summary": summary, "questions": questions, **written}

    def _asked(
        self,
        found: Mapping[str, Any],
        imported: import_report.Imported,
        host: str,
        more: list[str],
        task_vars: Mapping[str, Any] | None,
    ) -> tuple[str, int]:
        """The old stack's answers as a file, and how many they are."""
        wanted, unasked = import_answers.requests(found, more)
        told = self._module(COMPARE, task_vars, requests=wanted, tell=True)
        whole, options, total = imported.locations
        summary = f"{whole} of {total} locations carried; {options} as options"
        return import_answers.document(host, summary, unasked, told["answers"]), told["count"]

    def _compared(self, args: Mapping[str, Any], task_vars: Mapping[str, Any] | None) -> dict[str, Any]:
        """What ours answers beside what the old stack has answered; fails where they differ."""
        path = os.path.abspath(os.path.expanduser(str(args["compare"])))
        try:
            about = import_answers.read(Path(path).read_text(encoding="utf-8"), path)
        except (OSError, UnicodeDecodeError) as error:
            told = f"import_compare: {path} cannot be read ({error}); import_ask=true writes it"
            raise AnsibleActionFail(told) from error
        compared = self._module(COMPARE, task_vars, **import_answers.again(about, args["at"], args["ports"]))
        why = import_answers.nobody(compared, args["at"])
        if why:
            raise AnsibleActionFail(why)
        text, count = adopt_plan.report(about["summary"], compared, about["unasked"], args["accept"])
        table = re.sub(r"(\.answers)?(\.txt)?\Z", "", path, count=1) + ".answers.md"
        if not self._task.check_mode:
            self.file(table, text, True)
        self._display.display(text)
        outcome = {"summary": text.splitlines()[0], "differences": compared["differences"], "table": table}
        if count:
            msg = f"{count} differences, told above. import_accept_differences names what may differ"
            return {"changed": False, "failed": True, "msg": msg, **outcome}
        return {"changed": False, **outcome}
