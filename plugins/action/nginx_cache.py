"""Brings what was built once, nginx or another kind, from its builder to the controller, and from there to hosts."""

from __future__ import annotations

import os
from typing import Any

from ansible import context
from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ansible_collections.graceful.wsgi.plugins.module_utils import nginx_artifact
from ansible_collections.graceful.wsgi.plugins.plugin_utils import cache_pruning
from ansible_collections.graceful.wsgi.plugins.plugin_utils.artifact_cache import Cache, CacheError

STATES = ["claimed", "stored", "released", "awaited", "installed", "pruned"]
ARGUMENTS = {
    "state": {"type": "str", "required": True, "choices": STATES},
    "folder": {"type": "str", "required": True},
    "name": {"type": "str", "required": True},
    "version": {"type": "str"},
    "about": {"type": "dict"},
    "path": {"type": "str"},
    "timeout": {"type": "int", "default": 3600},
    "architecture": {"type": "str"},
    "glibc": {"type": "str"},
    "keep": {"type": "int"},
    "days": {"type": "int"},
    "wanted": {"type": "list", "elements": "str", "default": []},
}
REQUIRED = [
    ("state", "claimed", ["version", "about"]),
    ("state", "stored", ["version", "about", "path"]),
    ("state", "awaited", ["version", "about"]),
    ("state", "installed", ["version", "about", "path"]),
    ("state", "pruned", ["keep", "days"]),
]


class ActionModule(ActionBase):
    """Controller side of graceful.wsgi.nginx_artifact, or of another kind's module, for what another host built."""

    # Most states stay on the controller; the one that sends makes its own folder on the host.
    TRANSFERS_FILES = False
    _supports_check_mode = True
    _supports_diff = True

    # What another kind of artifact has of its own.
    kind = nginx_artifact.NGINX
    folder_variable = "nginx_artifact_dir"
    hint = "set nginx_build_toolchain: zig, or name a builder like it in nginx_build_host"
    receiver = "graceful.wsgi.nginx_artifact"

    def _crowded(self, batch: list[str]) -> str | None:
        forks = context.CLIARGS.get("forks") or 5
        if len(batch) <= forks:
            return None
        return (
            f"the strategy lets hosts run ahead of the one that has it built, and {len(batch)} of them waiting leave"
            f" no worker to build it; set forks to {len(batch)} or more, or take the strategy linear"
        )

    def _fetch(self, cache: Cache, path: str) -> None:
        cache.store(lambda name, local: self._connection.fetch_file(os.path.join(path, name), local))

    def _install(self, cache: Cache, args: dict[str, Any], told: dict[str, Any], task_vars: dict[str, Any]) -> Any:
        self._make_tmp_path()
        remote = self._connection._shell.join_path(self._connection._shell.tmpdir, self.kind.file)
        self._transfer_file(str(cache.binary), remote)
        module_args = {
            "path": args["path"],
            "source": remote,
            "version": args["version"],
            "about": args["about"],
            "checksum": told["files"][self.kind.file],
        }
        return self._execute_module(module_name=self.receiver, module_args=module_args, task_vars=task_vars)

    def _prune(self, args: dict[str, Any]) -> dict[str, Any]:
        wanted = {args["name"], *args["wanted"]}
        removed = cache_pruning.prune(args["folder"], args["keep"], args["days"], wanted, self._task.check_mode)
        paths = [os.path.join(args["folder"], name) for name in removed]
        text = "".join(f"{path}\n" for path in paths)
        return {"changed": bool(paths), "removed": paths, "diff": {"before": text, "after": ""} if paths else {}}

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        task_vars = task_vars or {}
        _validation, args = self.validate_argument_spec(argument_spec=ARGUMENTS, required_if=REQUIRED)
        what = (args["name"], args["version"] or "", args["about"] or {}, args["timeout"], self.kind)
        cache = Cache(args["folder"], *what)
        # The worker that runs this is a child of the play; the play is what may end.
        host, play = task_vars["inventory_hostname"], os.getppid()
        playing = list(task_vars.get("ansible_play_hosts") or [host])
        check = self._task.check_mode
        result["changed"] = False
        try:
            if args["state"] == "pruned":
                result.update(self._prune(args))
            elif args["state"] == "claimed":
                if not check:
                    # Before it is looked for: another play that prunes now takes none that this one is about to copy.
                    cache_pruning.use(cache.path)
                result["claimed"] = cache.found() is None if check else cache.claim(host, play, playing)
            elif args["state"] == "released":
                if not check:
                    cache.release(host, play)
            elif args["state"] == "stored":
                result["changed"] = cache.found() is None
                if result["changed"] and not check:
                    self._fetch(cache, args["path"])
            else:
                batch = list(task_vars.get("ansible_play_batch") or playing)
                told = cache.found() if check else cache.wait(play, playing, self._crowded(batch))
                unfit = nginx_artifact.unfit(told, args["architecture"], args["glibc"]) if told else None
                if unfit:
                    message = f"{cache.path} cannot run here: {unfit}. It was not copied; for this host {self.hint}"
                    raise CacheError(message)
                if not check:
                    cache_pruning.use(cache.path)
                result["manifest"] = told or {}
                result["changed"] = args["state"] == "installed"
                if result["changed"] and not check:
                    result.update(self._install(cache, args, told or {}, task_vars))
                    result.pop("invocation", None)
        except CacheError as error:
            raise AnsibleActionFail(str(error)) from error
        except OSError as error:
            hint = f"set {self.folder_variable} to a folder that this account may write"
            raise AnsibleActionFail(f"{error}; {hint}") from error
        return result
