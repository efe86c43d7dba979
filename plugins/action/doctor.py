"""Names what is wrong with an existing stack, on a host or in a folder; see plugin_utils/doctor.py."""

from __future__ import annotations

import os
from typing import Any

from ansible.errors import AnsibleActionFail

from ansible_collections.graceful.wsgi.plugins.action.import_stack import ReadsStack
from ansible_collections.graceful.wsgi.plugins.plugin_utils import (
    doctor,
    doctor_findings,
    doctor_programs,
    import_nginx,
)
from ansible_collections.graceful.wsgi.plugins.plugin_utils.text_values import printable

FORMATS = ["text", "json"]


class ActionModule(ReadsStack):
    """Controller side of graceful.wsgi.doctor."""

    PREFIX = "doctor"

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        kind = self._task.args.get("format", "text")
        if kind not in FORMATS:
            # Ansible's own refusal does not name the variable.
            raise AnsibleActionFail(f"doctor_format: {kind!r} is not known; write text or json")
        self._refuse_odd()
        _validation, args = self.validate_argument_spec(
            argument_spec={
                "files": {"type": "path"},
                "paths": {"type": "list", "elements": "path", "default": []},
                "format": {"type": "str", "choices": FORMATS, "default": "text"},
                "file": {"type": "path"},
            }
        )
        file, folder = str(args["file"] or ""), str(args["files"] or "")
        found = self.found(folder, task_vars, args["paths"])
        try:
            stack = doctor.Stack(found)
            if not stack.is_there():
                where = folder or str((task_vars or {}).get("inventory_hostname") or "the host")
                told = [f"neither nginx nor uWSGI was found in {where}", *(found.get("messages") or [])[:5]]
                raise AnsibleActionFail("; ".join(told))
            paths, programs = stack.paths(), doctor_programs.asked(stack)
            if not folder and (paths or programs):
                known = self._called(task_vars, look=paths, programs=programs)
                stack.looked, stack.programs = known["looked"], known["programs"]
            findings = doctor.examine(stack)
        except import_nginx.ParserMissing as error:
            raise AnsibleActionFail(str(error)) from error
        messages = [*(found.get("messages") or []), *stack.nginx_messages, *stack.messages]
        text = doctor.document(findings, messages) if kind == "json" else doctor.told(findings, messages) + "\n"
        if file and not self._task.check_mode:
            self.file(os.path.abspath(os.path.expanduser(file)), text, True)
        self._display.display(printable(text))
        result.update(changed=False, findings=[one.plain() for one in findings], failed=doctor.is_serious(findings))
        if result["failed"]:
            serious = sum(one.severity == doctor_findings.SERIOUS for one in findings)
            result["msg"] = f"{serious} of {len(findings)} findings are serious"
        return result
