"""Runs a command of an application by the host's own /usr/local/bin/wsgi, and prints what it said."""

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ansible_collections.graceful.wsgi.plugins.plugin_utils import command_plan, layout, text_values

# What wsgi ends with where it has run nothing, and a shell where there is no wsgi.
REFUSED = 64
NO_PROGRAM = 127
# How it begins to say that the host has no such application, which a command may say and end with as well.
NOT_HERE = "wsgi: there is no application "


class ActionModule(ActionBase):
    """Controller side of graceful.wsgi.run_command."""

    TRANSFERS_FILES = False
    _supports_check_mode = True
    _supports_diff = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        for name in ("app", "command"):
            # As a text, a list would be a command of brackets.
            if isinstance(self._task.args.get(name), (list, dict)):
                raise AnsibleActionFail(f"{name}: {self._task.args[name]!r} is no text; write -e {name}=WORDS")
        _validation, args = self.validate_argument_spec(
            argument_spec={"app": {"type": "str", "required": True}, "command": {"type": "str", "required": True}},
        )
        app, host = args["app"], str((task_vars or {}).get("inventory_hostname") or "")
        if not app:
            raise AnsibleActionFail("app: is missing; name an application: -e app=shop")
        try:
            words = command_plan.words(args["command"])
        except ValueError as error:
            raise AnsibleActionFail(str(error)) from error
        result["changed"] = True
        if self._task.check_mode:
            result["msg"] = f"{app}: would run {args['command']}"
            return result
        argv = [layout.HOST_COMMAND, app, *words]
        shown = " ".join(self._connection._shell.quote(word) for word in argv)
        told = self._low_level_execute_command(shown + " 2>&1 </dev/null")
        said = [text_values.printable(line) for line in str(told.get("stdout") or "").splitlines()]
        status = told.get("rc")
        result.update(rc=status, said=said, here=True, names=[app])
        if status == 0:
            self._display.display("\n".join([f"[{host}] {app}: {args['command']}", *(f"  {line}" for line in said)]))
            return result
        result["failed"] = True
        names = self._names() if status == REFUSED and said and said[-1].startswith(NOT_HERE) else None
        if names is not None and app not in names:
            self._display.display(f"[{host}] has no application {app}; it is left out")
            return {**result, "failed": False, "changed": False, "skipped": True, "here": False, "names": names}
        if status == REFUSED and said and said[-1].startswith("wsgi: "):
            result["msg"] = f"app: {said[-1].removeprefix('wsgi: ')}"
        elif status == NO_PROGRAM and any(layout.HOST_COMMAND in line for line in said):
            result["msg"] = f"there is no {layout.HOST_COMMAND} on this host; run graceful.wsgi.site first"
        else:
            result["msg"] = "\n".join([f"{app}: {args['command']} failed (status {status})", *said])
            self._display.display("\n".join(said))
            result["msg"] = result["msg"].splitlines()[0]
        return result

    def _names(self) -> list[str] | None:
        """The applications of the host, which no command of theirs has a say in; None where it does not tell."""
        told = self._low_level_execute_command(f"{layout.HOST_COMMAND} 2>/dev/null </dev/null")
        return str(told.get("stdout") or "").split() if told.get("rc") == 0 else None
