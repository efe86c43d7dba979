"""``requirements: auto`` on its way: in the plan, which knows code that lies on the controller, and in what hosts get.

Where the code lies on the controller the plan knows what auto stands for, and refuses what cannot be. Of a repository
and of code that is on the host already (``repo``, ``path``) only the host can tell: graceful.wsgi.requirement_files
reads there what choose() then makes sense of.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ansible_collections.graceful.wsgi.plugins.module_utils import auto_files

from .lock_files import LockError
from .problem import Problems
from .requirements_auto import AUTO, OTHERWISE, Found, choose, wrong_python

# Where the code is not there yet, which only a run in check mode meets: no virtualenv has this name.
UNKNOWN = {"file": "", "digest": "unknown", "local": False}
IN_A_KIT = "export it to a requirements file with the tool that wrote it, and name that file"
OTHER_PYTHON = f"lock anew for it, name another Python in uwsgi_python, or {OTHERWISE}"


def is_auto(app: Mapping[str, Any]) -> bool:
    return app.get("requirements") == AUTO and not app.get("virtualenv")


def look(root: str | Path, exclude: Sequence[str]) -> Found:
    """What code in a folder of the controller needs. Raises LockError."""
    try:
        read = auto_files.read(str(root), exclude)
    except (auto_files.AutoFileError, OSError) as error:
        raise LockError(f"what says what it needs cannot be read: {error}", OTHERWISE) from error
    return choose(read["names"], read["texts"])


def stated(apps: Iterable[Any], told: Mapping[str, Found | LockError]) -> list[Any]:
    """The applications, yet unchecked, as they would be if they said themselves what can be said in auto's place."""
    found = []
    for app in apps:
        named = isinstance(app, Mapping) and isinstance(app.get("name"), str)
        known = told.get(app["name"]) if named and is_auto(app) else None
        said = known.requirements if isinstance(known, Found) else None
        found.append({**app, "requirements": said} if said else app)
    return found


def settle(
    apps: Iterable[Mapping[str, Any]],
    told: Mapping[str, Found | LockError],
    python: str | None,
    problems: Problems,
    kit: bool = False,
) -> tuple[list[dict[str, Any]], list[str]]:
    """The applications with what auto stands for, and what is to be told of it.

    ``told``: by application, what look() found; ``kit``: wheels come out of one. Of a lock, and of what only the host
    knows, auto remains.
    """
    settled, notes = [], []
    for index, app in enumerate(apps):
        path, found = f"publish_apps[{index}].requirements", told.get(app["name"])
        settled.append(dict(app))
        wrong = wrong_python(found, python) if isinstance(found, Found) else None
        if wrong:
            problems.say(path, f"{wrong}, and the host's is {python}", OTHER_PYTHON)
        if app["requirements"] != AUTO:
            continue
        if app["virtualenv"]:
            settled[-1]["requirements"] = None
        elif isinstance(found, LockError):
            problems.say(path, found.message, found.hint)
        elif found is not None:
            if found.steps and kit:
                problems.say(path, f"a kit has no wheels for {found.file}", IN_A_KIT)
            if not found.steps:
                settled[-1]["requirements"] = found.requirements
            notes += [f"{path}: {app['name']}: {note}" for note in found.notes]
    return settled, notes


def resolved(item: Mapping[str, Any], found: Found | None, python: str | None = None) -> dict[str, Any]:
    """An item of graceful.wsgi.releases in which nothing says auto any more. Raises LockError.

    ``found``: None where nobody knows yet. A virtualenv there will be in any case: the configuration names it already.
    """
    if found is None:
        return {**item, "requirements": None, "auto": UNKNOWN}
    wrong = wrong_python(found, python)
    if wrong:
        raise LockError(f"{wrong}, and the host's is {python}", OTHER_PYTHON)
    if found.requirements:
        return {**item, "requirements": found.requirements, "auto": None}
    return {**item, "requirements": None, "auto": found.told()}


def light(item: Mapping[str, Any]) -> dict[str, Any]:
    """An item without the lines of a lock, which only the filling of a virtualenv needs: its name is in the digest."""
    auto = item.get("auto")
    return {**item, "auto": {key: auto[key] for key in auto if key != "steps"}} if auto else dict(item)
