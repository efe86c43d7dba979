# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A bundle as a task of the module file_bundle asks for it."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import base64

from ansible_collections.graceful.wsgi.plugins.module_utils.bundle import Bundle
from ansible_collections.graceful.wsgi.plugins.module_utils.bundle_entries import File, Folder, octal
from ansible_collections.graceful.wsgi.plugins.module_utils.module_calls import relabeller, runner
from ansible_collections.graceful.wsgi.plugins.module_utils.whole_files import lstat

_ENTRY = {
    "mode": {"type": "str"},
    "owner": {"type": "str", "default": "root"},
    "group": {"type": "str", "default": "root"},
}
SPEC = {
    "name": {"type": "str", "required": True},
    "directories": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": dict(
            _ENTRY,
            path={"type": "path", "required": True},
            mode={"type": "str", "default": "0755"},
            force={"type": "bool", "default": True},
        ),
    },
    "files": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": dict(
            _ENTRY,
            dest={"type": "path", "required": True},
            template={"type": "str"},
            content={"type": "str"},
            vars={"type": "dict", "default": {}},
            mode={"type": "str", "default": "0644"},
            force={"type": "bool", "default": True},
            secret={"type": "bool", "default": False},
            belongs_to={"type": "str"},
            validate={"type": "str"},
            reader={"type": "str"},
        ),
    },
    "validate": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "tree": {"type": "path", "required": True},
            "command": {"type": "str", "required": True},
        },
    },
    "activate": {"type": "str"},
    "nginx_pid_file": {"type": "path"},
    "leave_to_others": {"type": "list", "elements": "path", "default": []},
    "carried": {"type": "dict", "default": {}},
    "prune": {"type": "bool", "default": False},
    "remove": {"type": "list", "elements": "path", "default": []},
    "take_over": {"type": "bool", "default": False},
    "undo": {"type": "str"},
    "verified_digest": {"type": "str"},
    "digest": {"type": "str"},
}


def unread(item, find):
    """Whether the program that would read the file is not on this host, and the file is not there either."""
    return bool(item.get("reader")) and find(item["reader"]) is None and lstat(item["dest"]) is None


class Task:
    """What a task is given, and the Bundle of it; ``unread``: files that are left out since nothing here reads them."""

    def __init__(self, module):
        self.module = module
        self.given = module.params
        self.unread = [item for item in self.given["files"] if unread(item, module.get_bin_path)]

    def _attributes(self, item):
        about = dict((name, item[name]) for name in ("owner", "group", "force"))
        return dict(about, mode=octal(item["mode"]), check_mode=self.module.check_mode)

    def _file(self, item):
        # The action plugin sends text as base64, so that no byte of it is taken for something else.
        content = base64.b64decode(item["content"])
        about = dict(self._attributes(item), secret=item["secret"], belongs_to=item.get("belongs_to"))
        return File(item["dest"], content, item.get("validate"), **about)

    def _files(self, items):
        return [self._file(item) for item in items if not unread(item, self.module.get_bin_path)]

    def _bundle(self, name, folders, files, trees, **more):
        return Bundle(
            name,
            folders,
            files,
            trees,
            runner(self.module),
            relabeller(self.module),
            check_mode=self.module.check_mode,
            **more
        )

    def _carried(self):
        left = self.given["carried"]
        if not left:
            return None
        return self._bundle(left["name"], [], self._files(left["files"]), [], take_over=left["take_over"])

    def bundle(self):
        """The Bundle, not run yet."""
        given = self.given
        carried = self._carried()
        return self._bundle(
            given["name"],
            [Folder(item["path"], **self._attributes(item)) for item in given["directories"]],
            self._files(given["files"]),
            given["validate"],
            prune=given["prune"],
            undo=given["undo"],
            remove=given["remove"],
            # What was left out is asked for again by each run.
            digest=None if self.unread else given["digest"],
            take_over=given["take_over"],
            activate=given["activate"],
            nginx=given["nginx_pid_file"],
            leave_to_others=given["leave_to_others"],
            carried=carried,
        )
