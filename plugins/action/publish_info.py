"""Digests the code on the controller, so that the host can say what of it is there."""

from __future__ import annotations

import tempfile
from typing import Any

from ansible_collections.graceful.wsgi.plugins.action.releases import Identifier
from ansible_collections.graceful.wsgi.plugins.plugin_utils import auto_plan


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
            found = [self._identify(item, checkouts, scratch) for item in args.get("releases") or []]
            more = {"checkouts": checkouts, "git_user": args.pop("git_user", None), "python": args.get("python")}
            more["releases"] = args.get("releases")
            items = [item for item, _root in self._found(found, more, task_vars or {})]
        args["releases"] = [auto_plan.light(item) for item in items]
        result.update(self._module(args, task_vars or {}))
        return self._reported(self._tell(result, items), task_vars)
