"""Renders configurations and units that have a template of their own, so that what it makes is preflighted."""

from __future__ import annotations

from typing import Any

from ansible_collections.graceful.wsgi.plugins.action.file_bundle import Renderer, Variables, without


class ActionModule(Renderer):
    """Controller side of graceful.wsgi.uwsgi_preflight."""

    MODULE = "graceful.wsgi.uwsgi_preflight"
    LIST = "apps"

    def _sent(self, item: dict[str, Any], path: str, task_vars: Variables) -> dict[str, Any]:
        rendered = {"text": self._render(item, path, task_vars)} if item.get("template") else {}
        if item.get("service_template"):
            unit = {"template": item["service_template"], "vars": item.get("service_vars")}
            rendered["service_text"] = self._render(unit, path, task_vars)
        return {**without(item, "template", "vars", "service_template", "service_vars"), **rendered}
