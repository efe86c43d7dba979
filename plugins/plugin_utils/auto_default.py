"""``requirements: auto`` where nobody has said it: the default of code that a release is made of.

What nobody has asked for is no reason to refuse an application that ran without it: where it cannot be installed, that
is told, and nothing is installed. Code at ``path`` is run where it lies, often with a virtualenv that its owner fills
beside it, so that nothing is installed for it unless it is said.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from .lock_files import LockError
from .requirements_auto import AUTO, Found, wrong_python

SOURCES = ("source", "archive", "repo")
# A marker in an item of graceful.wsgi.releases, in the place of what auto stands for there.
MARK = {"default": True}
INSTEAD = "write requirements: [] where nothing is to be installed"


@dataclass(frozen=True)
class Sources:
    """Where what is installed comes from."""

    # Whether a kit is filled or published from, and whether it has what an application's requirements name.
    kit: bool = False
    carried: Callable[[str], bool] = lambda _name: True
    no_index: bool = False


ANYWHERE = Sources()


def is_unsaid(app: Mapping[str, Any]) -> bool:
    """Whether nothing is said of what the code needs, and auto is the default of such code."""
    said = app.get("requirements") is not None or app.get("virtualenv")
    return not said and any(app.get(name) for name in SOURCES)


def names(apps: Iterable[Any]) -> set[str]:
    """The applications, yet unchecked, of which that is so."""
    return {
        app["name"]
        for app in apps
        if isinstance(app, Mapping) and isinstance(app.get("name"), str) and is_unsaid(app)
    }


def _why_not(app: Mapping[str, Any], found: Found | None, python: str | None, sources: Sources) -> str:
    """Why nothing is installed of what was found; empty where it is, or where nothing was found."""
    if not (found.steps or found.requirements) if found else not app.get("repo"):
        return ""
    what = found.file if found else "what its repository says"
    wrong = wrong_python(found, python) if found else None
    if wrong:
        return f"{wrong}, and the host's is {python}"
    if sources.kit and (found is None or found.steps or not sources.carried(app["name"])):
        return f"a kit has no wheels for {what}"
    if sources.no_index and not sources.kit:
        return f"no index may be asked (uwsgi_pip_no_index) for {what}"
    return ""


def choose(
    app: Mapping[str, Any], told: Found | LockError | None, python: str | None, sources: Sources
) -> tuple[Any, list[str]]:
    """(what is to be installed, notes on it); the former is auto where only the host knows, or a lock says it."""
    if isinstance(told, LockError):
        return None, [f"{told.message}; nothing is installed: {told.hint}, or {INSTEAD}"]
    why = _why_not(app, told, python, sources)
    if why:
        return None, [f"{why}; nothing is installed: name a requirements file that has what it takes, or {INSTEAD}"]
    if told is None:
        # Of code on the controller that nobody could look at, whoever sends it says what is wrong.
        return (AUTO if app.get("repo") else None), []
    return (AUTO if told.steps else told.requirements), list(told.notes)


def nothing_found(apps: Iterable[str], note: str) -> str:
    """One line for all applications in whose code nothing was found."""
    return f"publish_apps: {', '.join(apps)}: {note}; {INSTEAD}"


def going_back(apps: Iterable[Any], bare: Iterable[str]) -> list[Any]:
    """The applications, yet unchecked, on the way back to releases, of which the ``bare`` ones have no virtualenv.

    What its code on the controller says by now is not what such a release was made of.
    """
    found = []
    for app in apps:
        if not isinstance(app, Mapping) or app.get("path"):
            found.append(app)
        elif app.get("name") in list(bare):
            # It was made of code, wherever that was, if by now the requirements alone are the application.
            code = {} if any(app.get(name) for name in SOURCES) else {"source": "."}
            found.append({**app, "requirements": None if app.get("virtualenv") else [], **code})
        else:
            found.append({**app, "requirements": AUTO} if is_unsaid(app) else app)
    return found
