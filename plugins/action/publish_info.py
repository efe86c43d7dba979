"""Digests the code and renders the files on the controller, so that the host can say what of it is there."""

from __future__ import annotations

import tempfile
from typing import Any

from ansible.errors import AnsibleError

from ansible_collections.graceful.wsgi.plugins.action.file_bundle import Rendering, Variables, digest_of
from ansible_collections.graceful.wsgi.plugins.action.nginx_info import AsksHost
from ansible_collections.graceful.wsgi.plugins.action.play_lock import in_turn
from ansible_collections.graceful.wsgi.plugins.action.releases import Identifier
from ansible_collections.graceful.wsgi.plugins.plugin_utils import auto_plan


class ActionModule(Identifier, Rendering, AsksHost):
    """Controller side of graceful.wsgi.publish_info."""

    _supports_diff = False
    ABOUT = "publish"

    def _digest(self, bundle: dict[str, Any], task_vars: Variables) -> str:
        """As file_bundle notes it; empty where its files cannot be rendered yet, since tasks of a user's own come
        before them."""
        try:
            files = [self._file(item, "files", task_vars) for item in bundle["files"]]
        except AnsibleError:
            return ""
        return digest_of(files, [dict(item) for item in bundle["directories"]], bool(bundle.get("prune")))

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        args = dict(self._task.args)
        variables = Variables(task_vars or {})
        with tempfile.TemporaryDirectory(prefix="graceful-wsgi-") as scratch:
            checkouts = args.pop("checkouts", None) or {}
            found = [self._identify(item, checkouts, scratch) for item in args.get("releases") or []]
            more = {"checkouts": checkouts, "git_user": args.pop("git_user", None), "python": args.get("python")}
            more["releases"] = args.get("releases")
            items = [item for item, _root in self._found(found, more, task_vars or {})]
        args["releases"] = [auto_plan.light(item) for item in items]
        bundles = args.get("bundles") or []
        args["bundles"] = [bundle["name"] for bundle in bundles]
        # What nginx.conf has left for the sites to bring is work, whatever stands of the sites themselves.
        due = args.pop("carried", None)
        args["digests"] = {} if due else {bundle["name"]: self._digest(bundle, variables) for bundle in bundles}
        lock = args.pop("lock", None)

        def ask(who: dict[str, Any]) -> dict[str, Any]:
            return self._answer({**args, **({"lock": {**lock, **who}} if lock else {})}, task_vars)

        told = in_turn(ask, float((lock or {}).get("timeout") or 0))
        result.update(told)
        return self._reported(self._tell(result, items), task_vars)
