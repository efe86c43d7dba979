"""Renders the configuration of applications that have a template of their own, so that what it makes is preflighted."""

from __future__ import annotations

from typing import Any

from ansible_collections.graceful.wsgi.plugins.action.file_bundle import Renderer


class ActionModule(Renderer):
    """Controller side of graceful.wsgi.uwsgi_preflight."""

    TRANSFERS_FILES = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result = super().run(tmp, task_vars)
        task_vars = task_vars or {}
        args = dict(self._task.args)
        apps = []
        for index, item in enumerate(args.get("apps") or []):
            sent = {key: value for key, value in item.items() if key not in ("template", "vars")}
            if item.get("template"):
                sent["text"] = str(self._render(item, f"apps[{index}]", task_vars))
            apps.append(sent)
        args["apps"] = apps
        result.update(
            self._execute_module(module_name="graceful.wsgi.uwsgi_preflight", module_args=args, task_vars=task_vars)
        )
        # The options may hold secrets of the application's environment.
        result.pop("invocation", None)
        return result
