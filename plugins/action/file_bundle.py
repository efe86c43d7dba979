"""Renders the files of a bundle with Ansible's own templating and sends them in one round trip."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.loader import lookup_loader
from ansible.release import __version__

from ansible_collections.graceful.wsgi.plugins.action.uwsgi_instances import ReportingAction

CORE = tuple(int(part) for part in __version__.split(".")[:2])


class Variables(dict[str, Any]):
    """A play's variables for the template lookup, which copies them deeply for every file and only adds to its copy.

    With fifty applications among the variables, a deep copy takes longer than the rest of the rendering.
    """

    def __deepcopy__(self, memo: dict[int, Any]) -> dict[str, Any]:
        return dict(self)


def without(item: dict[str, Any], *keys: str) -> dict[str, Any]:
    """The item less these keys."""
    return {key: value for key, value in item.items() if key not in keys}


def digest_of(files: list[dict[str, Any]], directories: list[dict[str, Any]], prune: bool) -> str:
    """What tells one set of files from another, as the module notes it on the host."""
    wanted = json.dumps([files, directories, prune], sort_keys=True, default=str)
    return hashlib.sha256(wanted.encode()).hexdigest()[:16]


class Rendering(ReportingAction):
    """Renders templates of items as the template module does."""

    def _render(self, item: dict[str, Any], path: str, task_vars: Variables) -> str:
        if (item.get("template") is None) == (item.get("content") is None):
            raise AnsibleActionFail(f"{path}: give either template or content")
        if item.get("content") is not None:
            return str(item["content"])
        source = self._find_needle("templates", item["template"])
        lookup = lookup_loader.get("ansible.builtin.template", loader=self._loader, templar=self._templar)
        # Before 2.19 the lookup would turn text that looks like JSON into data; later it never does and says so.
        as_text = {} if CORE >= (2, 19) else {"convert_data": False}
        return str(lookup.run([source], variables=task_vars, template_vars=item.get("vars") or {}, **as_text)[0])

    def _file(self, item: dict[str, Any], path: str, task_vars: Variables) -> dict[str, Any]:
        """A file of a bundle as the module takes it."""
        text = self._render(item, path, task_vars)
        return {**without(item, "template", "vars"), "content": base64.b64encode(text.encode()).decode()}


class Renderer(Rendering):
    """Runs a module with a list of items (``LIST``), whose templates it renders as the template module does."""

    TRANSFERS_FILES = False
    _supports_check_mode = True
    MODULE = ""
    LIST = ""

    def _sent(self, item: dict[str, Any], path: str, task_vars: Variables) -> dict[str, Any]:
        """The item as the module takes it."""
        raise NotImplementedError

    def _answer(self, args: dict[str, Any]) -> dict[str, Any] | None:
        """The module's result where the host need not be asked for it."""
        return None

    def _complete(self, result: dict[str, Any], args: dict[str, Any]) -> None:
        """Add to the module's result what only this side has."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        task_vars = task_vars or {}
        variables = Variables(task_vars)
        args = dict(self._task.args)
        items = enumerate(args.get(self.LIST) or [])
        args[self.LIST] = [self._sent(item, f"{self.LIST}[{index}]", variables) for index, item in items]
        answer = self._answer(args)
        if answer is None:
            answer = self._execute_module(module_name=self.MODULE, module_args=args, task_vars=task_vars)
        result.update(answer)
        self._complete(result, args)
        # The module's arguments hold whole files, and the secrets in them; fifty unchanged ones are no news either.
        result.pop("invocation", None)
        return self._reported(result, task_vars)


class ActionModule(Renderer):
    """Controller side of graceful.wsgi.file_bundle."""

    MODULE = "graceful.wsgi.file_bundle"
    LIST = "files"
    _supports_diff = True

    def _sent(self, item: dict[str, Any], path: str, task_vars: Variables) -> dict[str, Any]:
        return self._file(item, path, task_vars)

    def _complete(self, result: dict[str, Any], args: dict[str, Any]) -> None:
        left = result.get("left")
        if left:
            # All that the task of another bundle needs to bring these files in this one's place.
            files = [item for item in args["files"] if item["dest"] in left["files"]]
            whole = {"mode": "0644", "owner": "root", "group": "root", "force": True, "secret": False}
            left["files"] = [{**whole, **without(item, "validate")} for item in files]
            left.update(name=args["name"], take_over=bool(args.get("take_over")))

    def _answer(self, args: dict[str, Any]) -> dict[str, Any] | None:
        verified_digest = args.pop("verified_digest", None)
        directories = [dict(item) for item in args.get("directories") or []]
        args["digest"] = digest_of(args["files"], directories, bool(args.get("prune")))
        if verified_digest != args["digest"] or args.get("undo") or args.get("remove") or args.get("carried"):
            return None
        return {
            "changed": False,
            "files": [{"dest": item["dest"], "state": "unchanged"} for item in args["files"]],
            "directories": [{"path": item["path"], "state": "unchanged"} for item in directories],
            "validated": True,
            "activated": False,
            "kept": [],
            "stale": [],
            "taken": [],
            "others": [],
            "belongs_to": {},
            "left": {},
            "carried": False,
            "run": None,
        }
