"""Renders the files of a bundle with Ansible's own templating and sends them in one round trip."""

from __future__ import annotations

import base64
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.plugins.loader import lookup_loader
from ansible.release import __version__

CORE = tuple(int(part) for part in __version__.split(".")[:2])


class Renderer(ActionBase):
    """What renders templates as the template module does."""

    def _render(self, item: dict[str, Any], path: str, task_vars: dict[str, Any]) -> str:
        if (item.get("template") is None) == (item.get("content") is None):
            raise AnsibleActionFail(f"{path}: give either template or content")
        if item.get("content") is not None:
            return item["content"]
        source = self._find_needle("templates", item["template"])
        lookup = lookup_loader.get("ansible.builtin.template", loader=self._loader, templar=self._templar)
        # Before 2.19 the lookup would turn text that looks like JSON into data; later it never does and says so.
        as_text = {} if CORE >= (2, 19) else {"convert_data": False}
        return lookup.run([source], variables=task_vars, template_vars=item.get("vars") or {}, **as_text)[0]


class ActionModule(Renderer):
    """Controller side of graceful.wsgi.file_bundle."""

    TRANSFERS_FILES = False
    _supports_check_mode = True
    _supports_diff = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result = super().run(tmp, task_vars)
        task_vars = task_vars or {}
        args = dict(self._task.args)
        files = []
        for index, item in enumerate(args.get("files") or []):
            text = self._render(item, f"files[{index}]", task_vars)
            sent = {key: value for key, value in item.items() if key not in ("template", "vars", "content")}
            sent["content"] = base64.b64encode(str(text).encode()).decode()
            files.append(sent)
        args["files"] = files
        result.update(
            self._execute_module(module_name="graceful.wsgi.file_bundle", module_args=args, task_vars=task_vars)
        )
        # Fifty unchanged files are no news; the module arguments (all contents) are none either.
        result.pop("invocation", None)
        return result
