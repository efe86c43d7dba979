"""``requirements: auto``: what an application needs, by the files that lie in its code.

Of module_utils/auto_files.ORDER the first that is there counts, and is installed as its own tool would without groups
for development and without extras. A lock is held to its checksums: what it pins is one step, of which pip and uv take
nothing that has none. What has no checksum by its nature, a commit of a repository or code in the application's own
folder, is a second step, and so is the project itself, where pyproject.toml says that it is a package.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.graceful.wsgi.plugins.module_utils.auto_files import ORDER, PROJECT

from . import lock_files, pep508_markers
from .lock_files import Lock, LockError
from .pep508_markers import ALWAYS, Marker, key

AUTO = "auto"
# Names a virtualenv together with what is in it: to be raised where the same lines would make another one.
FORMAT = 1
# Build backends that take any folder for a package need not be asked; these look for one of the project's name.
_POETRY = ("poetry.core.masonry.api", "poetry.masonry.api")
OTHERWISE = "write requirements: with the name of a requirements file in the code, or a list"


@dataclass(frozen=True)
class Step:
    """Lines of one call of pip or uv; ``hashed``: nothing without a checksum is taken."""

    lines: list[str]
    hashed: bool


@dataclass(frozen=True)
class Found:
    """What is to be installed.

    Either ``requirements``, as a user could have written it (None where nothing was found), or ``steps`` of a lock.
    """

    file: str = ""
    requirements: str | list[str] | None = None
    steps: list[Step] = field(default_factory=list)
    # The Pythons that it is for, and what is to be told of it.
    python: Marker = ALWAYS
    notes: list[str] = field(default_factory=list)

    @property
    def local(self) -> bool:
        """Whether it holds something of the code itself, so that each release has a virtualenv of its own."""
        return any(line.startswith(".") for step in self.steps for line in step.lines)

    @property
    def lines(self) -> list[str]:
        """All lines, for those who look for a package among them."""
        return [line for step in self.steps for line in step.lines]

    @property
    def digest(self) -> str:
        """Names the steps by what they say."""
        said = [FORMAT, [[step.hashed, step.lines] for step in self.steps]]
        return hashlib.sha256(json.dumps(said).encode()).hexdigest()

    def told(self) -> dict[str, Any]:
        """For graceful.wsgi.releases; without steps it is a virtualenv with nothing in it."""
        steps = [{"lines": step.lines, "hashed": step.hashed} for step in self.steps]
        return {"file": self.file, "digest": self.digest, "local": self.local, "steps": steps}


READERS: dict[str, Callable[[str, Mapping[str, Any]], Lock]] = {
    "uv.lock": lambda text, _project: lock_files.uv(text),
    "poetry.lock": lock_files.poetry,
    "pylock.toml": lambda text, _project: lock_files.pylock(text),
    "pdm.lock": lambda text, _project: lock_files.pdm(text),
    "Pipfile.lock": lambda text, _project: lock_files.pipenv(text),
}
# These say themselves whether the project is to be installed.
WHOLE = ("Pipfile.lock", "requirements.txt")


def choose(names: Sequence[str], texts: Mapping[str, str], in_place: bool = False) -> Found:
    """What the code needs, by what auto_files.read() told of it. Raises LockError.

    ``in_place``: it runs from the folder that its author works in (``path``), not from a release. An installed copy of
    it would be old as soon as a file in that folder changes, so that the project itself is not installed.
    """
    file = next((name for name in ORDER if name in names), "")
    if not file:
        return Found(notes=[_nothing(names)])
    if file == "requirements.txt":
        return Found(file, file)
    project = lock_files.toml(texts[PROJECT], PROJECT) if PROJECT in texts else {}
    try:
        package = file not in WHOLE and is_package(project, names)
        if file == PROJECT:
            return _declared(project, package, in_place, names)
        lock = READERS[file](texts[file], project)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        message = f"{file} has not the form that its tool writes ({type(error).__name__}: {error})"
        raise LockError(message, f"lock anew, or {OTHERWISE}") from error
    pinned = [pin.line for pin in lock.pins if pin.hashed]
    others = [pin.line for pin in lock.pins if not pin.hashed]
    local = next((pin for pin in lock.pins if pin.local), None)
    if in_place and local:
        message = f"{file} takes {local.name} from {local.place} in the code, of which path would run an old copy"
        raise LockError(message, f"publish the code by source, archive or repo, or {OTHERWISE}")
    notes = _indexes(file, lock)
    if package and not in_place:
        others.append(".")
    elif package:
        notes.append(
            f"the project itself runs from its folder and is not installed, although {PROJECT} makes it a package"
        )
    steps = [Step(lines, hashed) for lines, hashed in ((pinned, True), (others, False)) if lines]
    return Found(file, None, steps, lock.python, notes)


def _nothing(names: Sequence[str]) -> str:
    message = f"none of {', '.join(ORDER)} is in the code, so that nothing is installed"
    if "setup.py" in names:
        return f'{message}; to install by setup.py write requirements: ["."]'
    return message


def _indexes(file: str, lock: Lock) -> list[str]:
    """What is to be known where packages come from another index than most of the lock does."""
    found: dict[str, list[str]] = {}
    for pin in lock.pins:
        if pin.index:
            found.setdefault(re.sub(r"//[^/@]*@", "//", pin.index.rstrip("/")), []).append(pin.name)
    others = sorted(found.items(), key=lambda item: len(item[1]))[:-1]
    return [
        f"{file} takes {', '.join(names[:3])}{' and others' if len(names) > 3 else ''} from {index}, and the index "
        "that is asked is that of uwsgi_pip_index_url; what it has is held to the same checksums"
        for index, names in others
    ]


def is_package(project: Mapping[str, Any], names: Sequence[str]) -> bool:
    """Whether the project is one that is installed, as uv, PDM and Poetry judge it."""
    tool = project.get("tool", {})
    for name, switch in (("uv", "package"), ("pdm", "distribution"), ("poetry", "package-mode")):
        said = tool.get(name, {}).get(switch)
        if isinstance(said, bool):
            return said and (name != "poetry" or _poetry_has_one(project, names))
    backend = project.get("build-system", {}).get("build-backend")
    if "build-system" not in project or not ("project" in project or "poetry" in tool):
        return False
    return backend not in _POETRY or _poetry_has_one(project, names)


def _poetry_has_one(project: Mapping[str, Any], names: Sequence[str]) -> bool:
    """Whether Poetry's build finds a package; of a project without one `poetry install --no-root` installs the rest."""
    poetry = project.get("tool", {}).get("poetry", {})
    if poetry.get("packages") or poetry.get("include"):
        return True
    name = project.get("project", {}).get("name") or poetry.get("name") or ""
    modules = {re.sub(r"[-.]", "_", name), key(name).replace("-", "_")}
    return any(
        f"{folder}{module}{end}" in names for module in modules for folder in ("", "src/") for end in ("", ".py")
    )


def _declared(project: Mapping[str, Any], package: bool, in_place: bool, names: Sequence[str]) -> Found:
    """What pyproject.toml alone says."""
    about = project.get("project", {})
    python = pep508_markers.of_python(about.get("requires-python"))
    if package and not in_place:
        return Found(PROJECT, ["."], python=python)
    if "dependencies" in about.get("dynamic", ()):
        message = f"{PROJECT} leaves the dependencies to its build backend, which tells them of a package only"
        raise LockError(message, OTHERWISE)
    if about.get("dependencies"):
        lines = list(about["dependencies"])
        if not all(isinstance(line, str) for line in lines):
            raise TypeError("dependencies hold what is no text")
        return Found(PROJECT, lines, python=python)
    if project.get("tool", {}).get("poetry", {}).get("dependencies"):
        message = f"{PROJECT} holds dependencies in Poetry's own form, which only Poetry can resolve"
        raise LockError(message, f"lock them (poetry lock), or {OTHERWISE}")
    if "project" in project:
        return Found(PROJECT, notes=[f"{PROJECT} names no dependencies, so that nothing is installed"])
    return Found(notes=[f"{PROJECT} holds no project; {_nothing(names)}"])


def wrong_python(found: Found, python: str | None) -> str | None:
    """Why this Python (``3.9``) is none of those that a lock was made for; None where it is, or nobody knows."""
    match = re.match(r"(\d+)\.(\d+)\Z", python or "")
    if not match or found.python == ALWAYS:
        return None
    # Of a release only its first two numbers are known: what depends on the third may be right.
    own = (int(match[1]), int(match[2]))
    if any(all(_fits(condition, own) for condition in way) for way in found.python):
        return None
    wanted = pep508_markers.text(found.python)
    return f"{found.file} is for another Python ({wanted})"


def _fits(condition: str, own: tuple[int, int]) -> bool:
    name, sign, version = condition.split(" ")
    numbers = tuple(int(number) for number in version.strip('"').split("."))
    top = numbers[:2]
    if len(numbers) > 2:
        return {"<": own <= top, "<=": own <= top, ">": own >= top, ">=": own >= top, "==": own == top}.get(sign, True)
    return {
        "<": own < top,
        "<=": own <= top,
        ">": own > top,
        ">=": own >= top,
        "==": own == top,
        "===": own == top,
        "!=": own != top,
    }[sign]
