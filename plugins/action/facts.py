"""Gathers facts as ansible.builtin.setup does, and says what to do where it cannot."""

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleConnectionFailure, AnsibleError
from ansible.module_utils import basic
from ansible.plugins.action import ActionBase
from ansible.release import __version__

from ansible_collections.graceful.wsgi.plugins.plugin_utils import becoming, old_hosts


class ActionModule(ActionBase):
    """Controller side of graceful.wsgi.facts."""

    _supports_check_mode = True
    _supports_diff = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        _validation, args = self.validate_argument_spec(
            argument_spec={"gather_subset": {"type": "list", "elements": "str", "default": ["all"]}}
        )
        raised = None
        try:
            found = self._execute_module(module_name="ansible.builtin.setup", module_args=args, task_vars=task_vars)
        except AnsibleConnectionFailure:
            raise
        except AnsibleError as error:
            raised, found = error, {"failed": True, "msg": str(error)}
        if found.get("failed"):
            complaint = " ".join(str(found.get(key) or "") for key in ("msg", "module_stderr", "module_stdout"))
            message = becoming.refusal(complaint)
            if message:
                return {**result, "failed": True, "msg": f"Nothing on the host was changed. {message}"}
            # An ansible-core without such a tuple is one that speaks to Python 2.7.
            oldest = getattr(basic, "_PY_MIN", None)
            oldest = oldest if isinstance(oldest, tuple) else (2, 7)
            told = self._low_level_execute_command(old_hosts.ASK)
            message = old_hosts.refusal(__version__, oldest, str(told.get("stdout") or ""), complaint)
            if message:
                return {**result, "failed": True, "msg": f"Nothing on the host was changed. {message}"}
            if raised:
                raise raised
        result.update(found)
        result.pop("invocation", None)
        return result
