"""Runs commands of applications one after the other, prints what each said; one host runs what is once a play."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

from ansible import constants as C

from ansible_collections.graceful.wsgi.plugins.action.uwsgi_preflight import ActionModule as Preflight
from ansible_collections.graceful.wsgi.plugins.plugin_utils import text_values
from ansible_collections.graceful.wsgi.plugins.plugin_utils.once_a_play import Turn

# Lines of a command's that are printed without -v.
SHOWN = 40


class ActionModule(Preflight):
    """Controller side of graceful.wsgi.app_commands."""

    MODULE = "graceful.wsgi.app_commands"

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        task_vars = task_vars or {}
        self._given = dict(self._task.args)
        self._vars = task_vars
        self._host = str(task_vars.get("inventory_hostname") or "")
        point = str(self._given["point"])
        try:
            told = self._call(tmp, state="due")
            if told.get("failed"):
                return told
            due = [item for item in self._given["commands"] if item["name"] in told["due"]]
            if self._task.check_mode:
                return self._would_run(point, due)
            return self._run_due(tmp, point, due)
        finally:
            self._task.args = self._given

    def _reported(self, result: dict[str, Any], task_vars: dict[str, Any] | None) -> dict[str, Any]:
        """Of each run of the module as it is; what is to be printed is the end of all of them."""
        return result

    def _call(self, tmp: str | None, **args: Any) -> dict[str, Any]:
        """One run of the module, with other arguments than the task's."""
        commands: list[dict[str, Any]] = args.get("commands") or self._given["commands"]
        names = {item["name"] for item in commands}
        # Whatever is not worked on is not sent.
        apps = [] if args["state"] != "run" else [app for app in self._given["apps"] if app["name"] in names]
        self._task.args = {**self._given, "apps": apps, **args}
        result: dict[str, Any] = super().run(tmp, self._vars)
        result.pop("invocation", None)
        return result

    def _would_run(self, point: str, due: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        points = ("before_live", "after_live") if point == "before_live" else (point,)
        lines = [f"{item['name']}: {one}: {command['name']}" for item in due for one in points for command in item[one]]
        for line in lines:
            self._display.display(f"[{self._host}] would run {line}", color=C.COLOR_CHANGED)
        return {"changed": bool(lines), "due": [item["name"] for item in due], "would_run": lines, "ran": []}

    def _run_due(self, tmp: str | None, point: str, due: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        result: dict[str, Any] = {"changed": False, "due": [item["name"] for item in due], "ran": []}
        releases = {item["name"]: item.get("id") for item in self._given.get("releases") or []}
        with contextlib.ExitStack() as stack:
            turns, queues = [], {}
            # Always in one order, so that no two hosts wait for each other.
            for item in sorted(due, key=lambda one: str(one["name"])):
                name, commands = str(item["name"]), list(item[point])
                shared = [command["words"] for command in commands if command["once"]]
                if shared:
                    about = [self._play(), point, name, releases.get(name), shared]
                    turn = stack.enter_context(Turn(str(C.DEFAULT_LOCAL_TMP), about, self._host))
                    if turn.earlier and turn.earlier["failed"]:
                        return {**result, "failed": True, "msg": self._failed_elsewhere(name, point, turn.earlier)}
                    turns.append(turn)
                    if turn.earlier:
                        commands = [command for command in commands if not command["once"]]
                queues[name] = commands
            failed = self._run_queues(tmp, point, due, queues, result)
            for turn in turns:
                turn.end(failed=bool(failed))
            if failed:
                return self._ended(point, {**result, **failed, "ran": result["ran"], "changed": result["changed"]})
        if point == "after_live" and due:
            told = self._call(tmp, state="settled", commands=list(due))
            if told.get("failed"):
                return told
        return result

    def _run_queues(
        self,
        tmp: str | None,
        point: str,
        due: Sequence[Mapping[str, Any]],
        queues: Mapping[str, Sequence[Any]],
        result: dict[str, Any],
    ) -> dict[str, Any] | None:
        """Run the first command of each application, then the second ones; what the module said where one fails."""
        for number in range(max(map(len, queues.values()), default=0)):
            step = [
                {**item, point: [queues[item["name"]][number]]}
                for item in due
                if number < len(queues[item["name"]])
            ]
            told = self._call(tmp, state="run", commands=step)
            self._show(told.get("ran") or [])
            result["ran"] += told.get("ran") or []
            result["changed"] = True
            if told.get("failed"):
                return told
        return None

    def _show(self, ran: Sequence[Mapping[str, Any]]) -> None:
        for one in ran:
            head = f"[{self._host}] {one['app']}: {one['name']}: {_told(one['status'])} after {one['took']} s"
            said = [text_values.printable(line) for line in one["said"]]
            left = 0 if self._display.verbosity else max(0, len(said) - SHOWN)
            lines = [head, *([f"  ({left} lines before, all of them with -v)"] if left else [])]
            lines += [f"  {line}" for line in said[left:]]
            # What a failed one said is told by its message.
            self._display.display("\n".join(lines if one["status"] == 0 else lines[:1]), color=C.COLOR_CHANGED)

    def _ended(self, point: str, result: dict[str, Any]) -> dict[str, Any]:
        """The failure, with what became of the release."""
        head, newline, body = str(result.get("msg")).partition("\n")
        stays = (
            "nothing is live of what this run brings, and the next one tries again"
            if point == "before_live"
            else "the release is live and stays so; the next run tries these commands again"
        )
        result["msg"] = f"{head.rstrip(':')}; {stays}{':' if body else ''}{newline}{body}"
        return super()._reported(result, self._vars)

    def _failed_elsewhere(self, name: str, point: str, earlier: Mapping[str, Any]) -> str:
        end = "nothing of it goes live here" if point == "before_live" else "the release stays live"
        return f"{name}: {point}: a command that runs once in a play failed on {earlier['host']}; {end}"

    def _play(self) -> str:
        """What tells this play from another one of the same run; the batches of one are the same."""
        play = getattr(getattr(self._task, "_parent", None), "_play", None)
        return str(getattr(play, "_uuid", "") or "")


def _told(status: Any) -> str:
    if status == 0:
        return "done"
    return "ended at its time limit" if status == "timeout" else f"failed ({status})"
