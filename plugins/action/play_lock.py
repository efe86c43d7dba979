"""Says who runs the play, whether the run that holds the lock died on this machine, and waits for it."""

from __future__ import annotations

import time
from typing import Any

from ansible_collections.graceful.wsgi.plugins.action.uwsgi_instances import ReportingAction
from ansible_collections.graceful.wsgi.plugins.module_utils.play_lock import refusal
from ansible_collections.graceful.wsgi.plugins.plugin_utils import play_identity

# Seconds between two looks at a lock that is held.
PAUSE = 2


class ActionModule(ReportingAction):
    """Controller side of graceful.wsgi.play_lock."""

    TRANSFERS_FILES = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        holder = play_identity.holder()
        began, limit = time.monotonic(), float(self._task.args.get("timeout") or 0)
        dead: list[dict[str, Any]] = []
        while True:
            args = {**self._task.args, "holder": holder, "dead": dead}
            told = self._execute_module(module_name="graceful.wsgi.play_lock", module_args=args, task_vars=task_vars)
            held = told.get("held")
            if told.get("failed") or not held:
                break
            waited = time.monotonic() - began
            if play_identity.is_gone(held) and held not in dead:
                dead.append(held)
            elif waited >= limit:
                told.update(failed=True, msg=refusal(held, round(waited) if limit else 0))
                break
            else:
                time.sleep(min(PAUSE, max(limit - waited, 0.1)))
        told.pop("invocation", None)
        result.update(told)
        return self._reported(result, task_vars)
