"""Moves an existing stack over to this collection, step by step; see plugin_utils/adopt_plan.py."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleActionFail

from ansible_collections.graceful.wsgi.plugins.action.import_stack import COMPARE, ReadsStack, planner
from ansible_collections.graceful.wsgi.plugins.action.plan import _options
from ansible_collections.graceful.wsgi.plugins.plugin_utils import (
    adopt_plan,
    foreign_nginx,
    import_inventory,
    import_nginx,
)

STATES = ["beside", "moved", "back"]
HOST = "graceful.wsgi.adopted_stack"
RECORD = "answers.json"


class ActionModule(ReadsStack):
    """Controller side of graceful.wsgi.adopt."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        state = self._task.args.get("state", "beside")
        if state not in STATES:
            raise AnsibleActionFail(f"adopt_state: {state!r} is not known; write {', '.join(STATES)}")
        _validation, args = self.validate_argument_spec(
            argument_spec={
                "state": {"type": "str", "choices": STATES, "default": "beside"},
                "step": {"type": "str", "choices": ["look", "compare", "move"], "required": True},
                "accept": {"type": "list", "elements": "str", "default": []},
                "accept_twice": {"type": "bool", "default": False},
                "paths": {"type": "list", "elements": "str", "default": []},
                "stop": {"type": "bool", "default": True},
                "timeout": {"type": "int", "default": 60},
                "report": {"type": "path"},
                "found": {"type": "dict", "default": {}},
            }
        )
        try:
            step = {"look": self._look, "compare": self._compare, "move": self._move}[args["step"]]
            result.update(step(args, task_vars))
        except (adopt_plan.AdoptProblem, import_nginx.ParserMissing) as error:
            raise AnsibleActionFail(str(error)) from error
        return result

    # -- look ----------------------------------------------------------------------------------------------------------

    def _wanted(self, args: Mapping[str, Any], task_vars: Mapping[str, Any] | None) -> list[dict[str, Any]]:
        for path in args["paths"]:
            if not path.startswith("/"):
                raise AnsibleActionFail(f"adopt_paths: {path!r} is no path; write it from the first slash on")
        if args["state"] == "back":
            # What is wrong with an inventory bars no way back.
            return []
        known, options = task_vars or {}, _options("publish")
        given = {name: self._templar.template(known[name]) for name in foreign_nginx.of_apps(options, known)}
        apps, problems = foreign_nginx.wanted(given, options)
        if problems:
            listed = "\n".join(f"- {problem}" for problem in problems)
            raise AnsibleActionFail(f"these applications cannot be moved; nothing was changed.\n{listed}")
        return apps

    def _look(self, args: Mapping[str, Any], task_vars: Mapping[str, Any] | None) -> dict[str, Any]:
        """What there is to do, and everything that speaks against it."""
        apps = self._wanted(args, task_vars)
        there = self._module(HOST, task_vars, step="asked")
        if args["state"] == "back" or there["phase"]:
            # What was moved is read from the host's own record; publishing again is for a new release.
            published = [{key: value for key, value in app.items() if key != "socket"} for app in apps]
            going = args["state"] != "back" and there["phase"] == "moved"
            more = {"_ansible_no_log": True, "plan": {}, "nginx": there["nginx"]}
            return {**more, "phase": there["phase"], "apps": published if going else []}
        found = adopt_plan.theirs(self.found("", task_vars, []))
        processes = [one for one in found["processes"] if one.get("kind") == "uwsgi"]
        imported, result = self._imported(found, processes, task_vars)
        if not apps:
            open_ones = adopt_plan.questions(imported)
            if open_ones:
                told = "; ".join(open_ones)
                hint = "run graceful.wsgi.import, answer them in the inventory that it writes, and give that"
                raise AnsibleActionFail(f"what it runs leaves {len(open_ones)} questions: {told}; {hint}")
            apps = [dict(app) for app in result.variables.get("publish_apps") or []]
        twice = adopt_plan.doubled(apps)
        if twice and not args["accept_twice"]:
            hint = "if it may be done twice for as long as both run, say adopt_accept_twice: true"
            raise AnsibleActionFail(f"both stacks would run {', '.join(twice)} at a time; {hint}")
        made = adopt_plan.plan(found, imported, apps, args["paths"])
        given = {"edits": made.edits, "apps": made.apps, "main": made.main, "stop": args["stop"]}
        checked = self._module(HOST, task_vars, step="checked", **given)
        whole, options, total = result.locations
        return {
            # Values of an environment may stand in it.
            "_ansible_no_log": True,
            "phase": "",
            "apps": [{key: value for key, value in app.items() if key != "socket"} for app in apps],
            "nginx": there["nginx"],
            "starters": checked["starters"],
            "summary": f"{whole} of {total} locations carried; {options} as options",
            "plan": vars(made),
        }

    def _imported(
        self, found: Mapping[str, Any], processes: list[dict[str, Any]], task_vars: Mapping[str, Any] | None
    ) -> tuple[import_inventory.Import, Any]:
        """The import of what runs, told which files are there."""
        there: list[str] = []
        for _time in range(2):
            one = import_inventory.Import(found["files"], planner, processes, str(found.get("main") or ""), there)
            result = one.run()
            paths = import_inventory.asked(result)
            if not paths or there:
                break
            looked = self._called(task_vars, look=paths)["looked"]
            there = [path for path in paths if looked[path]["kind"] == "file"]
        return one, result

    # -- compare -------------------------------------------------------------------------------------------------------

    def _compare(self, args: Mapping[str, Any], task_vars: Mapping[str, Any] | None) -> dict[str, Any]:
        """The old stack and ours, side by side; fails where they differ."""
        plan = args["found"]["plan"]
        if self._task.check_mode:
            return {"changed": False}
        given = {"text": plan["text"], "ports": plan["ports"], "main": plan["main"]}
        trial = self._module(HOST, task_vars, step="trial", **given)
        try:
            asked = adopt_plan.with_ports(plan["requests"], trial["ports"])
            record = os.path.join(trial["home"], RECORD)
            compared = self._module(COMPARE, task_vars, requests=asked, record=record)
        finally:
            self._module(HOST, task_vars, step="ended")
        text, count = adopt_plan.report(args["found"]["summary"], compared, plan["unasked"], args["accept"])
        if args["report"]:
            self.file(os.path.abspath(os.path.expanduser(str(args["report"]))), text, True)
        self._display.display(text)
        if count:
            msg = f"{count} differences, told above; nothing was moved. adopt_accept_differences names what may differ"
            return {"failed": True, "msg": msg, "differences": compared["differences"]}
        return {"changed": False, "differences": compared["differences"], "varying": compared["varying"]}

    # -- move ----------------------------------------------------------------------------------------------------------

    def _move(self, args: Mapping[str, Any], task_vars: Mapping[str, Any] | None) -> dict[str, Any]:
        """There or back; what fails on the way there goes back."""
        phase, plan, wait = args["found"]["phase"], args["found"]["plan"], args["timeout"]
        told: list[str] = []
        if args["state"] == "back":
            if not phase:
                return {"changed": False, "told": ["nothing was moved: nginx leads to the old stack"]}
            answer = self._module(HOST, task_vars, step="back", timeout=wait)
            return {"changed": True, "told": [*answer["told"], *_serving(answer)]}
        if phase == "moving":
            raise AnsibleActionFail("an earlier run was cut off as it moved; say adopt_state=back, then move again")
        if not phase and not self._task.check_mode:
            given = {"edits": plan["edits"], "apps": plan["apps"], "main": plan["main"], "stop": args["stop"]}
            moved = self._module(HOST, task_vars, step="moved", timeout=wait, **given)
            told += [*moved["told"], *_serving(moved)]
            self._answers_still(args, plan, moved["home"], task_vars)
            if moved["serving"] and args["stop"]:
                told.append("the old applications still serve and were not ended; run it again later")
                return {"changed": True, "told": told}
        if not args["stop"]:
            return {"changed": not phase, "told": told}
        stopped = self._module(HOST, task_vars, step="stopped", timeout=wait)
        told += [*stopped["told"], *stopped["left"]]
        return {"changed": bool(not phase or stopped["told"]), "told": told}

    def _answers_still(
        self, args: Mapping[str, Any], plan: Mapping[str, Any], home: str, task_vars: Mapping[str, Any] | None
    ) -> None:
        """What visitors get now, beside what they got before; where that differs nginx is led back."""
        asked = [{key: value for key, value in one.items() if key != "new"} for one in plan["requests"]]
        compared = self._module(COMPARE, task_vars, requests=asked, against=os.path.join(home, RECORD))
        text, count = adopt_plan.report("moved", compared, [], args["accept"])
        if count:
            self._module(HOST, task_vars, step="back", timeout=args["timeout"])
            raise AnsibleActionFail(f"{count} answers differ once nginx is led over, and it was led back:\n{text}")


def _serving(answer: Mapping[str, Any]) -> list[str]:
    found = answer.get("serving") or []
    return [f"nginx's workers {', '.join(map(str, found))} still serve requests of before"] if found else []
