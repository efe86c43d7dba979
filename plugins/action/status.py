"""Writes what the hosts tell of themselves into one file of the controller, where one is named."""

from __future__ import annotations

import fcntl
import json
import os
import tempfile
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ansible_collections.graceful.wsgi.plugins.module_utils import status_page
from ansible_collections.graceful.wsgi.plugins.plugin_utils import cache_pruning


def merged(path: Path, host: str, told: Any, hosts: list[str]) -> None:
    """Put one host's status into the file, beside those of the other hosts of the play; whole at any moment."""
    # The folder itself is the lock: nothing of it is left there.
    lock = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            before = json.loads(path.read_text()) if path.exists() else {}
        except ValueError:
            raise AnsibleActionFail(f"status_file: {path} holds no JSON; name another file, or remove it") from None
        known = before if isinstance(before, dict) else {}
        # What an earlier run told of a host that is not asked now would be taken for its present state.
        kept = {name: value for name, value in known.items() if name in hosts}
        handle, fresh = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        with os.fdopen(handle, "w") as target:
            json.dump({**kept, host: told}, target, indent=1, sort_keys=True)
            target.write("\n")
        os.chmod(fresh, 0o644)
        os.rename(fresh, path)
    finally:
        os.close(lock)


def caches(folders: dict[str, Any]) -> list[dict[str, Any]]:
    """What the controller keeps of what it, or another host, has built for hosts."""
    paths = {name: os.path.abspath(os.path.expanduser(path)) for name, path in folders.items() if path}
    told = {name: cache_pruning.holds(path) for name, path in paths.items()}
    return [{"of": name, **held} for name, held in told.items() if held]


class ActionModule(ActionBase):
    """Controller side of graceful.wsgi.status."""

    TRANSFERS_FILES = False
    _supports_check_mode = True
    _supports_diff = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        task_vars = task_vars or {}
        args = dict(self._task.args)
        file, kind = args.pop("file", "") or "", args.pop("format", "text")
        if kind not in ("text", "json"):
            raise AnsibleActionFail(f"status_format: {kind!r} is not known; write text or json")
        if not isinstance(file, str) or os.path.isdir(os.path.expanduser(file)):
            raise AnsibleActionFail(f"status_file: {file!r} is no file that can be written; name one on the controller")
        folders = args.pop("caches", None) or {}
        path = Path(os.path.abspath(os.path.expanduser(file))) if file else None
        if path and not path.parent.is_dir():
            raise AnsibleActionFail(f"status_file: there is no folder {path.parent} on the controller; make it first")
        result.update(self._execute_module("graceful.wsgi.status", args, task_vars=task_vars))
        if "status" in result:
            held = result["status"]["disk"]["controller"] = caches(folders)
            names = {"nginx": "nginx", "uwsgi": "uWSGI"}
            result["page"] += [
                f"  on the controller, {names[one['of']]} as built for hosts: {status_page.size(one['bytes'])}"
                f" ({one['kept']} in {one['folder']})"
                for one in held
            ]
        if path and not result.get("failed"):
            hosts = list(task_vars.get("ansible_play_hosts_all") or [])
            merged(path, task_vars["inventory_hostname"], result["status"], hosts)
        result["shown"] = result.get("status" if kind == "json" else "page")
        return result
