"""Digests the code on the controller and sends only the releases that the host does not have."""

from __future__ import annotations

import functools
import os
import tarfile
import tempfile
from collections.abc import Callable, Mapping
from typing import Any

from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure, AnsibleError

from ansible_collections.graceful.wsgi.plugins.action.uwsgi_instances import ReportingAction
from ansible_collections.graceful.wsgi.plugins.module_utils.git_checkout import without_credentials
from ansible_collections.graceful.wsgi.plugins.module_utils.requirements_alone import is_alone
from ansible_collections.graceful.wsgi.plugins.plugin_utils import (
    alone_plan,
    auto_default,
    auto_plan,
    play_identity,
    python_plan,
    shared_plan,
    source_tree,
)
from ansible_collections.graceful.wsgi.plugins.plugin_utils.kit import secret
from ansible_collections.graceful.wsgi.plugins.plugin_utils.lock_files import LockError
from ansible_collections.graceful.wsgi.plugins.plugin_utils.requirements_auto import Found, choose


class Identifier(ReportingAction):
    """Runs a module with applications (``releases``) whose releases are named by the digest of their code here."""

    _supports_check_mode = True
    MODULE = ""

    def _identify(self, item: dict[str, Any], checkouts: dict[str, Any], scratch: str) -> tuple[dict[str, Any], Any]:
        """The item with the id of its release, and the folder on the controller that holds its code."""
        item, python = dict(item), python_plan.version_of(item, self._task.args.get("python"))
        # What auto stands for is a part of the name, and not known yet.
        release_id = _code_alone if auto_plan.is_auto(item) else shared_plan.release_id
        # A password in it is for nobody but git.
        if item.get("repo"):
            item["repo"] = without_credentials(item["repo"])[0]
        if item.get("path") or item.get("id"):
            return item, None
        if item.get("repo"):
            # Check mode cannot know the commit of a repository that is not on the host yet.
            commit = (checkouts.get(item["name"]) or {}).get("after")
            item["id"] = release_id(commit, item, python) if commit else "unknown"
            return item, None
        if is_alone(item):
            item["id"] = release_id(alone_plan.digest(item, python), item, python)
            return item, None
        try:
            if item.get("archive"):
                folder = os.path.join(scratch, item["name"])
                os.mkdir(folder)
                root = source_tree.unpack(self._find_needle("files", item["archive"]), folder)
            else:
                root = self._find_needle("files", item["source"])
            digest = source_tree.digest(root, item.get("exclude") or [], f"{item['home']}/shared")
            item["id"] = release_id(digest, item, python)
        except source_tree.SourceError as error:
            raise AnsibleActionFail(f"{item['name']}: {error}") from error
        return item, root

    def _found(
        self, found: list[tuple[dict[str, Any], Any]], args: dict[str, Any], task_vars: dict[str, Any]
    ) -> list[tuple[dict[str, Any], Any]]:
        """The same items and folders, with what ``requirements: auto`` stands for; the host is asked where it lies."""
        wanted = [item for item, _root in found if auto_plan.is_auto(item)]
        if not wanted:
            return found
        there: dict[str, Any] = {}
        asked = [item for item in wanted if item.get("path") or item.get("repo")]
        if asked:
            more = {key: args[key] for key in ("checkouts", "git_user") if args.get(key)}
            told = self._execute_module(
                module_name="graceful.wsgi.requirement_files",
                module_args={"releases": [{**item, "requirements": None} for item in asked], **more},
                task_vars=task_vars,
            )
            if told.get("failed"):
                raise AnsibleActionFail(told.get("msg") or "the requirements of applications cannot be read")
            there = told["found"]

        def look(item: dict[str, Any], root: Any) -> Found | None:
            if root is not None:
                return auto_plan.look(root, item.get("exclude") or [])
            read = there.get(item["name"])
            if read and "error" in read:
                raise LockError(read["error"], "write the requirements as a list")
            return choose(read["names"], read["texts"], bool(item.get("path"))) if read else None

        named = {item["name"] for item in args.get("releases") or [] if item.get("id")}
        settled = []
        for item, root in found:
            if auto_plan.is_auto(item):
                python = python_plan.version_of(item, args.get("python"))
                item = self._settled(item, functools.partial(look, item, root), python)
                if item["name"] not in named and item.get("id") not in (None, "unknown"):
                    item["id"] = shared_plan.release_id(item["id"], auto_plan.in_name(item), python)
            settled.append((item, root))
        return settled

    def _settled(self, item: dict[str, Any], look: Callable[[], Found | None], python: str | None) -> dict[str, Any]:
        """The item with what auto stands for; what is to be told of it is."""
        name = item["name"]
        try:
            found = look()
            resolved = auto_plan.resolved(item, found, python)
        except LockError as error:
            if not auto_plan.is_default(item):
                raise AnsibleActionFail(f"{name}: requirements: auto: {error.message}; {error.hint}") from error
            found = Found(notes=[f"{error.message}; nothing is installed: {error.hint}, or {auto_default.INSTEAD}"])
            resolved = auto_plan.resolved(item, found, python)
        # Of code on the controller the plan has told it.
        for note in found.notes if found and (item.get("repo") or item.get("path")) else ():
            self._display.warning(f"{name}: requirements: {note}")
        return resolved

    def _module(self, args: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        told: dict[str, Any] = self._execute_module(module_name=self.MODULE, module_args=args, task_vars=task_vars)
        return told

    def _tell(self, result: dict[str, Any], items: list[dict[str, Any]]) -> dict[str, Any]:
        """Add what later tasks take as their items: the releases wanted, and those that are live in their place."""
        if result.get("failed"):
            # Addresses among the arguments may hold a password.
            result.pop("invocation", None)
            return result
        # What a later task is to make live is what was sent, whatever happens to the folder meanwhile.
        result["wanted"] = [
            auto_plan.light({key: value for key, value in item.items() if key != "sent"}) for item in items
        ]
        was = {item["name"]: item for item in result.get("releases") or []}
        result["before"] = [
            # With the virtualenv that it had: what the new release needs says nothing of the old one.
            {
                **item,
                "id": item.get("id") and was[item["name"]]["current"],
                "pinned": True,
                "had": was[item["name"]].get("had"),
                "bare": _had_none(was[item["name"]], item),
            }
            for item in result["wanted"]
            if _is_to_go_back(was.get(item["name"]) or {}, item)
        ]
        result.pop("invocation", None)
        # An index in a list of requirements: registered, and shown to nobody.
        if any(secret(str(item.get("requirements"))) for item in items):
            result["_ansible_no_log"] = True
        return result


def _is_to_go_back(was: Mapping[str, Any], item: Mapping[str, Any]) -> bool:
    """Whether another release is live, or this one with another virtualenv."""
    if was.get("current") not in (None, item.get("id")) or _had_none(was, item):
        return True
    return bool(was.get("had")) and was["had"] not in (was.get("replace") or {}).values()


def _had_none(was: Mapping[str, Any], item: Mapping[str, Any]) -> bool:
    """Whether this release is live without a virtualenv, and is to get one."""
    live = was.get("current") is not None and was["current"] == item.get("id") and not was.get("had")
    return live and any(path.endswith("/.venv") for path in was.get("replace") or {})


def _code_alone(id_of_code: str, _item: Mapping[str, Any], _python: str | None) -> str:
    return id_of_code


def _plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """A file of nobody's, whoever has it here."""
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    member.mode = 0o644
    return member


class ActionModule(Identifier):
    """Controller side of graceful.wsgi.releases."""

    TRANSFERS_FILES = True
    _supports_diff = True
    MODULE = "graceful.wsgi.releases"

    def _send(self, item: dict[str, Any], root: str, scratch: str) -> str:
        local = os.path.join(scratch, f"{item['name']}.tar.gz")
        source_tree.pack(root, item.get("exclude") or [], local)
        return self._transfer(local, f"{item['name']}.tar.gz", f"{item['name']}: its code cannot be sent")

    def _transfer(self, local: str, name: str, refusal: str) -> str:
        remote = self._connection._shell.join_path(self._connection._shell.tmpdir, name)
        try:
            return str(self._transfer_file(local, remote))
        except AnsibleConnectionFailure:
            raise
        except AnsibleError as error:
            message = f"{refusal} to {remote}: {error}"
            raise AnsibleActionFail(f"{message}; is there room on that file system (ansible_remote_tmp)?") from error

    def _send_wheels(self, kit: Mapping[str, Any], names: set[str], scratch: str) -> dict[str, Any]:
        """Bring the wheels of a kit that virtualenvs of these applications are filled from."""
        apps = {name: files for name, files in kit["apps"].items() if name in names}
        wanted = sorted({file for files in apps.values() for file in files})
        if not wanted:
            return {}
        local = os.path.join(scratch, "wheels.tar")
        try:
            # Wheels are packed already.
            with tarfile.open(local, "w") as archive:
                for path in wanted:
                    archive.add(os.path.join(kit["folder"], path), path, filter=_plain)
        except OSError as error:
            message = f"publish_kit: the wheels of {', '.join(sorted(apps))} cannot be gathered in {scratch}: {error}"
            raise AnsibleActionFail(
                f"{message}; is {kit['folder']} still there, and is there room (TMPDIR)?"
            ) from error
        sent = self._transfer(
            local, "wheels.tar", f"publish_kit: the wheels of {', '.join(sorted(apps))} cannot be sent"
        )
        return {"archive": sent, "apps": apps, "files": kit["files"]}

    def _send_uv(self, wanted: dict[str, Any], survey: dict[str, Any]) -> dict[str, Any]:
        """Bring the wheel of uv that lies on the controller, where something is to be filled and the host has none."""
        needed = survey.get("uv_missing") and any(item["incomplete"] for item in survey["releases"])
        if not wanted.get("wheel") or not needed or self._task.check_mode:
            return wanted
        wheel = os.path.expanduser(wanted["wheel"])
        return {**wanted, "sent": self._transfer(wheel, "uv.whl", f"publish_uv: {wheel} cannot be sent")}

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        args = {**self._task.args, "by": play_identity.who()}
        kit = args.pop("kit", None)
        task_vars = task_vars or {}
        with tempfile.TemporaryDirectory(prefix="graceful-wsgi-") as scratch:
            found = [self._identify(item, args.get("checkouts") or {}, scratch) for item in args.get("releases") or []]
            if args.get("state", "present") == "present":
                found = self._found(found, args, task_vars)
            items = [item for item, _root in found]
            args["releases"] = items
            names = {item["name"] for item in items if item.get("repo")}
            args["checkouts"] = {
                name: {"after": found.get("after")}
                for name, found in (args.get("checkouts") or {}).items()
                if name in names
            }
            if args.get("state", "present") == "present":
                asked = {**args, "releases": [auto_plan.light(item) for item in items], "survey": True}
                survey = self._module(asked, task_vars)
                if survey.get("failed"):
                    result.update(survey)
                    return self._reported(self._tell(result, items), task_vars)
                missing = {item["name"] for item in survey["releases"] if item["missing"]}
                if missing and not self._task.check_mode:
                    for item, root in found:
                        if item["name"] in missing and root is not None:
                            item["sent"] = self._send(item, root, scratch)
                if args.get("uv"):
                    args["uv"] = self._send_uv(args["uv"], survey)
                incomplete = {item["name"] for item in survey["releases"] if item["incomplete"]}
                # The lines of a large lock are half a megabyte.
                args["releases"] = [item if item["name"] in incomplete else auto_plan.light(item) for item in items]
                if kit and not self._task.check_mode:
                    args["wheels"] = self._send_wheels(kit, incomplete, scratch)
            result.update(self._module(args, task_vars))
        return self._reported(self._tell(result, items), task_vars)
