"""Has what a module says of a failure printed once, as text."""

from __future__ import annotations

from typing import Any

from ansible import constants as C
from ansible import context
from ansible.plugins.action import ActionBase

from ansible_collections.graceful.wsgi.plugins.plugin_utils.report_once import report_once


class ReportingAction(ActionBase):
    """Base of actions whose failures take more than a line to tell."""

    def _reported(self, result: dict[str, Any], task_vars: dict[str, Any] | None) -> dict[str, Any]:
        """The result, whose message is printed where Ansible would print it badly, or twice."""
        host = str((task_vars or {}).get("inventory_hostname") or "")

        def display(text: str) -> None:
            self._display.display(text, color=C.COLOR_ERROR)

        # `ansible -m MODULE` shows the result alone, whose message has to be whole.
        if not context.CLIARGS.get("module_name"):
            report_once(result, self._task, host, C.DEFAULT_STDOUT_CALLBACK, display)
        return result


class RunsModule(ReportingAction):
    """Runs a module as it is."""

    TRANSFERS_FILES = False
    _supports_check_mode = True
    _supports_diff = True
    _supports_async = True
    MODULE = ""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        result.update(
            self._execute_module(module_name=self.MODULE, task_vars=task_vars, wrap_async=self._task.async_val)
        )
        return self._reported(result, task_vars)


class ActionModule(RunsModule):
    """Controller side of graceful.wsgi.uwsgi_instances."""

    MODULE = "graceful.wsgi.uwsgi_instances"
