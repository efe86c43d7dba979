"""Of which kind a host is: from the host, or from a file that was written where the host can be reached."""

from __future__ import annotations

import fcntl
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure
from ansible.plugins.action import ActionBase

from ansible_collections.graceful.wsgi.plugins.plugin_utils.kit import KIND
from ansible_collections.graceful.wsgi.plugins.plugin_utils.kit_plan import FORMAT

FACTS = ("distribution", "distribution_major_version", "os_family", "architecture")
TOLD = ("facts", "kind", "python", "glibc")
COLLECT = "ansible-playbook graceful.wsgi.kit_facts -i INVENTORY -e kit_facts=FILE"


def read(file: Path) -> dict[str, Any]:
    """What a file tells of hosts, by their names in the inventory."""
    try:
        told = json.loads(file.read_text())
        hosts = told["hosts"] if told["format"] == FORMAT else None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise AnsibleActionFail(f"kit_facts: {file} cannot be read: {error!r}; write it anew: {COLLECT}") from error
    if not isinstance(hosts, dict):
        raise AnsibleActionFail(f"kit_facts: {file} is none that this release reads; write it anew: {COLLECT}")
    return hosts


def sound(told: Any) -> bool:
    """Whether this tells of a host all that is asked of it; the file may have been written by hand."""
    if not isinstance(told, dict) or set(told) != set(TOLD) or not isinstance(told["glibc"], str):
        return False
    parts = {"facts": FACTS, "kind": KIND, "python": ("version", "full_version", "abi", "executable")}
    texts = [told[part].get(name) if isinstance(told[part], dict) else None for part in parts for name in parts[part]]
    return all(isinstance(text, str) for text in texts) and bool(re.match(r"(?:\d+\.\d+)?\Z", told["glibc"]))


def write(file: Path, name: str, told: Mapping[str, Any]) -> bool:
    """Put what is known of a host into the file; whether that changed it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with open(file, "a+") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        hosts = read(file) if file.stat().st_size else {}
        if hosts.get(name) == told:
            return False
        hosts[name] = dict(told)
        text = json.dumps({"format": FORMAT, "hosts": hosts}, indent=2, sort_keys=True) + "\n"
        # In place, since the lock is the file's.
        handle.truncate(0)
        handle.write(text)
        return True


class ActionModule(ActionBase):
    """Controller side of graceful.wsgi.kit_host."""

    _supports_check_mode = True
    _supports_diff = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result = super().run(tmp, task_vars)
        task_vars = task_vars or {}
        _validation, args = self.validate_argument_spec(
            argument_spec={
                "python": {"type": "str", "default": ""},
                "facts": {"type": "str", "default": ""},
                "dest": {"type": "str", "default": ""},
            }
        )
        name = task_vars["inventory_hostname"]
        if "dest" in self._task.args and not args["dest"]:
            raise AnsibleActionFail(
                "kit_facts: is missing; name the file that is to be written: -e kit_facts=./hosts.json"
            )
        if args["facts"]:
            file = Path(os.path.abspath(os.path.expanduser(args["facts"])))
            told = read(file).get(name)
            if not sound(told):
                raise AnsibleActionFail(f"kit_facts: {file} does not tell of {name}; have it do so: {COLLECT}")
            return {**result, **told, "changed": False, "ansible_facts": told["facts"]}
        try:
            result.update(
                self._execute_module(
                    module_name="graceful.wsgi.kit_host", module_args={"python": args["python"]}, task_vars=task_vars
                )
            )
        except AnsibleConnectionFailure as error:
            says = f"{name} cannot be reached from here, so what it needs is not known: {error}"
            hint = f"have a machine that reaches it write that down, {COLLECT}, and name FILE here in kit_facts"
            raise AnsibleActionFail(f"{says}; {hint}") from None
        result.pop("invocation", None)
        if result.get("failed"):
            return result
        facts = task_vars.get("ansible_facts") or {}
        result["facts"] = {fact: facts.get(fact) for fact in FACTS}
        if args["dest"]:
            file = Path(os.path.abspath(os.path.expanduser(args["dest"])))
            told = {key: result[key] for key in TOLD}
            known = read(file) if file.is_file() and file.stat().st_size else {}
            result["changed"] = known.get(name) != told if self._task.check_mode else write(file, name, told)
        return result
