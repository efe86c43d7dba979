"""Where logs may lie, who makes them and who rotates them."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator
from typing import Any

from . import layout
from .model import Folder, Instance
from .problem import Problems

# Folders that are root's and everybody's: a log in one of them is made there as a file of its own, by root, and
# nothing is ever set on the folder.
SHARED = {
    "/",
    *("/home", "/media", "/mnt", "/opt", "/srv"),
    *("/var", "/var/cache", "/var/lib", "/var/log", "/var/opt", "/var/spool"),
}
# Where no log is made: what each unit has to itself, what is gone after a boot, what units may only read, no files.
NONE_AT_ALL = ("/tmp", "/var/tmp")
NO_FILES = ("/dev", "/proc", "/sys")
NOT_THEMSELVES = {
    *("/bin", "/boot", "/etc", "/lib", "/lib64", "/root", "/run", "/run/lock", "/sbin", "/var/lock", "/var/run"),
    *("/usr", "/usr/bin", "/usr/lib", "/usr/local", "/usr/sbin", "/usr/share"),
}
# uWSGI's master has no use of its own for it (an emperor has), and one that has not bound it ignores it.
REOPEN = ("URG", 23)
ELSEWHERE = "write system, or name a folder of the application's own, or a file such as /var/log/{0}.log"


def below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def by_root(log_file: str, home: str, values: dict[str, Any], log_dir: str) -> bool:
    """Whether the folder of a log is shared or ours, so that root makes that one file in it."""
    folder = posixpath.dirname(log_file)
    return folder in SHARED | {posixpath.normpath(path) for path in (values["publish_root"], home, log_dir)}


def check(app: dict[str, Any], path: str, values: dict[str, Any], nginx_log_dir: str, problems: Problems) -> None:
    """Refuse what no host can make right."""
    if not app["log"].startswith("/"):
        return
    log, home = posixpath.normpath(app["log"]), posixpath.join(values["publish_root"], app["name"])
    folder, cure, message = posixpath.dirname(log), ELSEWHERE.format(app["name"]), None
    if app["log"].endswith("/") or log == "/":
        message, cure = "names a folder", f"name the file, e.g. {posixpath.join(log, 'server.log')}"
    elif any(below(log, place) for place in NONE_AT_ALL):
        message = f"lies in {folder}, which each unit has to itself (PrivateTmp) and everybody else shares"
    elif any(below(log, place) for place in NO_FILES):
        message, cure = "is no file that can be rotated", "write journal, which systemd keeps, or system"
    elif folder in NOT_THEMSELVES:
        message = f"lies in {folder} itself, where the application cannot open it again after a boot or at all"
    elif folder == nginx_log_dir:
        message = f"lies in {folder}, where nginx's own rotation would take it too"
    elif not app["path"] and any(below(log, posixpath.join(home, part)) for part in layout.CODE_PARTS):
        message = "lies in a release, which the next deploy leaves and a later one removes"
    if message:
        problems.add(f"{path}.log", f"{app['log']!r} {message}", cure)


def app_checks(apps: Iterable[tuple[str, Instance]], values: dict[str, Any], log_dir: str) -> list[dict[str, Any]]:
    """What the host is asked about the logs of these applications, given as (variable, instance)."""
    return [
        {
            "kind": "log",
            "variable": variable,
            "path": planned.log_file,
            "user": planned.user,
            "group": planned.group,
            "by_root": by_root(planned.log_file, planned.home, values, log_dir),
            "dropin": planned.dropin,
        }
        for variable, planned in apps
        if planned.log_file
    ]


def directory(log_file: str, planned: Instance, values: dict[str, Any], log_dir: str) -> Folder:
    """The folder of a log; nothing is set on one that is there already."""
    shared = by_root(log_file, planned.home, values, log_dir)
    owner, group = ("root", "root") if shared else (planned.user, planned.group)
    return Folder(path=posixpath.dirname(log_file), owner=owner, group=group, mode="0755", force=False)


def rotation(log_file: str, planned: Instance, values: dict[str, Any], log_dir: str) -> dict[str, Any]:
    """How a log is rotated: as its account, or by root in root's own folder.

    Root opens nothing of the application's: systemd signals the master, which opens the log anew.
    """
    who = f"{planned.user} {planned.group}"
    shared = by_root(log_file, planned.home, values, log_dir)
    return {
        "path": log_file,
        # In a folder of root's the application could not make the next one.
        "directives": [f"create 0640 {who}"] if shared else [f"su {who}"],
        "postrotate": kill(REOPEN[0], planned.unit),
    }


def kill(signal: str, unit: str) -> str:
    """The words that signal a unit's main process, whatever any pid file says by now."""
    return f"/bin/systemctl kill --kill-who=main --signal={signal} {unit} >/dev/null 2>&1 || true"


def _raw(options: Any, path: str) -> Iterator[tuple[str, str]]:
    """access_log and error_log in options that nginx takes as they are, blocks in them too."""
    if isinstance(options, list):
        for index, item in enumerate(options):
            yield from _raw(item, f"{path}[{index}]")
    if not isinstance(options, dict):
        return
    for name, value in options.items():
        if str(name).split()[0:1] in (["access_log"], ["error_log"]):
            for item in value if isinstance(value, list) else [value]:
                yield f"{path}.{name}", str(item)
        else:
            yield from _raw(value, f"{path}.{name}")


def site_checks(sites: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """What the host is asked about the logs of these sites."""
    found: list[tuple[str, str]] = []
    for index, site in enumerate(sites):
        path = f"publish_sites[{index}]"
        found += [(f"{path}.{key}", site[key]) for key in ("access_log", "error_log")]
        found += _raw(site["options"], f"{path}.options")
        for number, location in enumerate(site["locations"]):
            found += _raw(location.get("options"), f"{path}.locations[{number}].options")
    return [
        {"kind": "site_log", "variable": variable, "path": text.split()[0]}
        for variable, text in found
        if text.startswith("/")
    ]
