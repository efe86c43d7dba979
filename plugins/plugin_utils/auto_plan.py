"""``requirements: auto`` on its way: in the plan, which knows code that lies on the controller, and in what hosts get.

Where the code lies on the controller the plan knows what auto stands for, and refuses what cannot be. Of a repository
and of code that is on the host already (``repo``, ``path``) only the host can tell: graceful.wsgi.requirement_files
reads there what choose() then makes sense of.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ansible_collections.graceful.wsgi.plugins.module_utils import auto_files

from . import auto_default
from .auto_default import ANYWHERE, Sources
from .lock_files import LockError
from .problem import Problems
from .requirements_auto import AUTO, OTHERWISE, Found, choose, wrong_python

# Where the code is not there yet, which only a run in check mode meets: no virtualenv has this name.
UNKNOWN = {"file": "", "digest": "unknown", "local": False}
IN_A_KIT = "export it to a requirements file with the tool that wrote it, and name that file"
OTHER_PYTHON = f"lock anew for it, name another Python in uwsgi_python, or {OTHERWISE}"


def is_auto(app: Mapping[str, Any]) -> bool:
    return app.get("requirements") == AUTO and not app.get("virtualenv")


def is_wanted(app: Mapping[str, Any]) -> bool:
    """Whether its code is to be looked at: it says auto, or nothing."""
    return is_auto(app) or auto_default.is_unsaid(app)


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
        known = told.get(app["name"]) if named and is_wanted(app) else None
        said = known.requirements if isinstance(known, Found) else None
        found.append({**app, "requirements": said} if said else app)
    return found


def settle(
    apps: Iterable[Mapping[str, Any]],
    told: Mapping[str, Found | LockError],
    python: str | None,
    problems: Problems,
    sources: Sources = ANYWHERE,
    unsaid: Collection[str] = (),
    pythons: Mapping[str, str | None] | None = None,
) -> tuple[list[dict[str, Any]], list[str]]:
    """The applications with what auto stands for, and what is to be told of it.

    ``told``: by application, what look() found; ``unsaid``: those that say nothing themselves; ``pythons``: of those
    that have one of their own. Of a lock, and of what only the host knows, auto remains.
    """
    settled: list[dict[str, Any]] = []
    notes: list[str] = []
    bare: dict[str, list[str]] = {}
    of_all = python
    for index, app in enumerate(apps):
        python = (pythons or {}).get(app["name"], of_all)
        path, found = f"publish_apps[{index}].requirements", told.get(app["name"])
        settled.append(dict(app))
        if app["name"] in unsaid or auto_default.is_unsaid(app):
            settled[-1]["requirements"], said = auto_default.choose(app, found, python, sources)
            if isinstance(found, Found) and not found.file:
                bare.setdefault("; ".join(said), []).append(app["name"])
            else:
                notes += [f"{path}: {app['name']}: {note}" for note in said]
            if settled[-1]["requirements"] == AUTO:
                settled[-1]["auto"] = auto_default.MARK
            continue
        wrong = wrong_python(found, python) if isinstance(found, Found) else None
        if wrong:
            problems.add(path, f"{wrong}, and the host's is {python}", OTHER_PYTHON)
        if app["requirements"] != AUTO:
            continue
        if app["virtualenv"]:
            settled[-1]["requirements"] = None
        elif isinstance(found, LockError):
            problems.add(path, found.message, found.hint)
        elif found is not None:
            if found.steps and sources.kit:
                problems.add(path, f"a kit has no wheels for {found.file}", IN_A_KIT)
            if not found.steps:
                settled[-1]["requirements"] = found.requirements
            notes += [f"{path}: {app['name']}: {note}" for note in found.notes]
    return settled, notes + [auto_default.nothing_found(names, note) for note, names in bare.items()]


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


def is_default(item: Mapping[str, Any]) -> bool:
    """Whether nobody has said auto of this item of graceful.wsgi.releases."""
    return bool((item.get("auto") or {}).get("default"))


def in_name(item: Mapping[str, Any]) -> dict[str, Any]:
    """A resolved item as its release is named: by what it installs, whoever has said auto or whether anybody has."""
    wanted = item["requirements"] or (AUTO if (item.get("auto") or {}).get("steps") else None)
    if wanted is None:
        # Such a release has the name that it has had since before auto was the default.
        return {**item, "requirements": None, "bounds": None, "constraints": None}
    return {**item, "requirements": wanted}


def light(item: Mapping[str, Any]) -> dict[str, Any]:
    """An item without the lines of a lock, which only the filling of a virtualenv needs: its name is in the digest."""
    auto = item.get("auto")
    return {**item, "auto": {key: auto[key] for key in auto if key != "steps"}} if auto else dict(item)
