"""Digests the code on the controller, so that the host can say what of it is there."""

from __future__ import annotations

import tempfile
from typing import Any

from ansible_collections.graceful.wsgi.plugins.action.releases import Identifier


class ActionModule(Identifier):
    """Controller side of graceful.wsgi.publish_info."""

    TRANSFERS_FILES = False
    _supports_diff = False
    MODULE = "graceful.wsgi.publish_info"

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        args = dict(self._task.args)
        with tempfile.TemporaryDirectory(prefix="graceful-wsgi-") as scratch:
            checkouts = args.pop("checkouts", None) or {}
            items = [self._identify(item, checkouts, scratch)[0] for item in args.get("releases") or []]
        args["releases"] = items
        result.update(self._module(args, task_vars or {}))
        return self._reported(self._tell(result, items), task_vars)
