"""Says who runs the play, and prints the history of releases as a table."""

from __future__ import annotations

from typing import Any

from ansible_collections.graceful.wsgi.plugins.action.uwsgi_instances import ReportingAction
from ansible_collections.graceful.wsgi.plugins.plugin_utils import history_table, play_identity

KEYS = ("name", "home", "path", "id")


class ActionModule(ReportingAction):
    """Controller side of graceful.wsgi.release_records."""

    TRANSFERS_FILES = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        args = {**self._task.args, "by": play_identity.who()}
        # An address of code or of an index may hold a password, and none is needed.
        args["releases"] = [{key: one.get(key) for key in KEYS} for one in args.get("releases") or []]
        told = self._execute_module(module_name="graceful.wsgi.release_records", module_args=args, task_vars=task_vars)
        told.pop("invocation", None)
        if told.get("kept"):
            # Registered, and shown to nobody: environments of applications are in it, and warnings would be hidden too.
            for warning in told.pop("warnings", None) or []:
                self._display.warning(str(warning))
            told["_ansible_no_log"] = True
        result.update(told)
        if "history" in result:
            host = str((task_vars or {}).get("inventory_hostname") or "")
            result["msg"] = history_table.lines(host, result["history"])
            # Ansible would print it as JSON, in one line.
            self._display.display("\n".join(["", *result["msg"]]))
        return self._reported(result, task_vars)
