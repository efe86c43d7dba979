"""Says who runs the play, whether the run that holds the lock died on this machine, and waits for it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from ansible_collections.graceful.wsgi.plugins.action.uwsgi_instances import ReportingAction
from ansible_collections.graceful.wsgi.plugins.module_utils.play_lock import refusal
from ansible_collections.graceful.wsgi.plugins.plugin_utils import play_identity

# Seconds between two looks at a lock that is held.
PAUSE = 2


def in_turn(ask: Callable[[dict[str, Any]], dict[str, Any]], limit: float) -> dict[str, Any]:
    """What a module returns that takes the lock, once no other run holds it; a failure where one does for too long.

    ``ask`` runs the module with C(holder) and C(dead); where another run holds the lock it returns that as C(held).
    """
    holder, began = play_identity.holder(), time.monotonic()
    dead: list[dict[str, Any]] = []
    while True:
        told = ask({"holder": holder, "dead": dead})
        held = told.get("held")
        if told.get("failed") or not held:
            return told
        waited = time.monotonic() - began
        if play_identity.is_gone(held) and held not in dead:
            dead.append(held)
        elif waited >= limit:
            return {**told, "failed": True, "msg": refusal(held, round(waited) if limit else 0)}
        else:
            time.sleep(min(PAUSE, max(limit - waited, 0.1)))


class ActionModule(ReportingAction):
    """Controller side of graceful.wsgi.play_lock."""

    TRANSFERS_FILES = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)

        def ask(who: dict[str, Any]) -> dict[str, Any]:
            args = {**self._task.args, **who}
            told: dict[str, Any] = self._execute_module(
                module_name="graceful.wsgi.play_lock", module_args=args, task_vars=task_vars
            )
            return told

        told = in_turn(ask, float(self._task.args.get("timeout") or 0))
        told.pop("invocation", None)
        result.update(told)
        return self._reported(result, task_vars)
