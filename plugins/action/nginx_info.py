"""Asks the host what of nginx is there, and has what it refuses printed once, as text."""

from __future__ import annotations

from typing import Any

from ansible_collections.graceful.wsgi.plugins.action.uwsgi_instances import ReportingAction


class AsksHost(ReportingAction):
    """Runs the one module that answers for nginx, uWSGI and the applications: Ansible packs it once in a run."""

    TRANSFERS_FILES = False
    _supports_check_mode = True
    ABOUT = ""

    def _answer(self, wanted: dict[str, Any], task_vars: dict[str, Any] | None) -> dict[str, Any]:
        """What the module tells of this, as if it had been a module of this action's name."""
        told: dict[str, Any] = self._execute_module(
            module_name="graceful.wsgi.host_info",
            module_args={"about": self.ABOUT, "wanted": wanted},
            task_vars=task_vars,
        )
        return {**told, **(told.pop("found", None) or {})}


class AsksAsGiven(AsksHost):
    """Asks just what the task says."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        result.update(self._answer(dict(self._task.args), task_vars))
        return self._reported(result, task_vars)


class ActionModule(AsksAsGiven):
    """Controller side of graceful.wsgi.nginx_info."""

    ABOUT = "nginx"
