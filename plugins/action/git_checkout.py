"""Takes user and password out of the addresses, so that no log and no result shows them."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase

from ansible_collections.graceful.wsgi.plugins.module_utils.git_checkout import without_credentials


class ActionModule(ActionBase):
    """Controller side of graceful.wsgi.git_checkout."""

    TRANSFERS_FILES = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        args = dict(self._task.args)
        repositories = []
        for item in args.get("repositories") or []:
            repo, credentials = without_credentials(str(item["repo"]))
            known = {key: item[key] for key in ("name", "version") if key in item}
            repositories.append({**known, "repo": repo, "credentials": credentials})
        args["repositories"] = repositories
        result.update(
            self._execute_module(module_name="graceful.wsgi.git_checkout", module_args=args, task_vars=task_vars)
        )
        result.pop("invocation", None)
        return result
