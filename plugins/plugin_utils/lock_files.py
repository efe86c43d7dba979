"""What lock files of uv, Poetry, PDM, Pipenv and PEP 751 pin, for the default group and without extras.

They are read here and not exported by their own tools: those would have to be on every host, of which some have
Python 2.7 only, and would ask an index. What they pin is whole, so that nothing has to be resolved any more; each file
that may be installed has its checksum, or what stands for it is pinned by a commit or lies in the code itself.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from . import pep508_markers as markers
from .pep508_markers import ALWAYS, NEVER, Marker, key

# Python has the first of them from 3.11 on.
_toml = next((import_module(name) for name in ("tomllib", "tomli") if find_spec(name)), None)

_NAME = re.compile(r"[A-Za-z0-9](?:[\w.-]*[A-Za-z0-9])?\Z")
_VERSION = re.compile(r"[A-Za-z0-9][\w.!+-]*\Z")
_HASH = re.compile(r"(sha256|sha384|sha512):[0-9a-f]{64,128}\Z")
_COMMIT = re.compile(r"[0-9a-f]{7,64}\Z")
_SPACE = re.compile(r"[\s\\'\";]")


class LockError(Exception):
    """A file cannot be installed from; ``hint`` says what to do about it."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message, self.hint = message, hint


@dataclass
class Pin:
    """One thing to install. Either a version with checksums, or an address or a path (``place``)."""

    name: str
    marker: Marker
    version: str = ""
    hashes: set[str] = field(default_factory=set)
    # `git+https://...@commit`, `https://...whl`, or a path in the code, `./lib`.
    place: str = ""
    # The index that it was locked from, where the lock tells.
    index: str = ""

    @property
    def hashed(self) -> bool:
        """Whether pip can be held to a checksum of it."""
        return bool(self.hashes)

    @property
    def local(self) -> bool:
        return self.place.startswith(".")

    @property
    def line(self) -> str:
        """As a requirements file has it; its dependencies are lines of their own."""
        if self.local:
            said = self.place
        else:
            said = f"{self.name} @ {self.place}" if self.place else f"{self.name}=={self.version}"
        if self.place.startswith("git+file:"):
            # Before pip 23.3 an address without a host is none behind a name.
            said = f"{self.place}{'&' if '#' in self.place else '#'}egg={self.name}"
        condition = markers.text(self.marker)
        return "".join(
            [said, f" ; {condition}" if condition else "", *(f" --hash={one}" for one in sorted(self.hashes))]
        )


@dataclass(frozen=True)
class Lock:
    """What a lock file pins, and the Pythons that it was made for."""

    pins: list[Pin]
    python: Marker = ALWAYS


def toml(text: str, file: str) -> dict[str, Any]:
    """The content of a TOML file."""
    if _toml is None:
        message = f"{file} is TOML, which the Python of the controller reads from 3.11 on, or with the package tomli"
        raise LockError(message, "install tomli for it (pip install tomli), or name a requirements file")
    try:
        read: dict[str, Any] = _toml.loads(text)
    except (ValueError, RecursionError) as error:
        raise LockError(f"{file} cannot be read: {error}", "mend it") from error
    return read


def _again(file: str, command: str) -> str:
    return f"lock anew ({command}), or name a requirements file"


def _joined(file: str, hint: str, pins: Iterable[Pin]) -> list[Pin]:
    """One pin for each thing, by name; refuses what no line of requirements can say."""
    found: dict[tuple[str, str, str], Pin] = {}
    for pin in pins:
        if pin.marker == NEVER:
            continue
        pin.hashes = {one for one in pin.hashes if _HASH.match(one)}
        if not _NAME.match(pin.name) or not (pin.place or _VERSION.match(pin.version)) or _SPACE.search(pin.place):
            raise LockError(f"{file} holds {pin.name!r} in a form that no requirement can have", hint)
        if not pin.place and not pin.hashes:
            raise LockError(f"{file} has no checksum of {pin.name} {pin.version}", hint)
        one = found.setdefault((key(pin.name), pin.version, pin.place), pin)
        if one is not pin:
            one.marker = markers.either(one.marker, pin.marker)
            one.hashes |= pin.hashes
    return [found[name] for name in sorted(found)]


def _path(file: str, name: str, path: str) -> str:
    """A path of the lock's as one in the code, which a builder has a copy of."""
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if path.startswith(("/", "~")) or ".." in parts or re.match(r"\w+:", path):
        message = f"{file} takes {name} from {path}, which is outside the code"
        raise LockError(message, f"put {name} into the code, or have the lock take it from an index or a repository")
    return "./" + "/".join(parts)


def _git(file: str, name: str, url: str, commit: str, subdirectory: str | None) -> str:
    if not _COMMIT.match(commit or ""):
        raise LockError(f"{file} pins no commit of {name}, which comes from {url}", "lock anew, or name a commit")
    address = url if url.startswith("git+") else f"git+{url}"
    return f"{address}@{commit}" + (f"#subdirectory={subdirectory}" if subdirectory else "")


# -- uv ---------------------------------------------------------------------------------------------------------------

_UV = "uv lock"


def uv(text: str) -> Lock:
    """uv.lock: a graph, whose edges tell by their markers when they hold."""
    file = "uv.lock"
    data = toml(text, file)
    packages = data.get("package") or []
    if data.get("version") != 1:
        message = f"{file} has the format {data.get('version')!r}, and 1 is known"
        raise LockError(
            message, "write it with a uv that writes that one, or export it (uv export -o requirements.txt)"
        )
    numbers: dict[str, list[int]] = {}
    for number, package in enumerate(packages):
        numbers.setdefault(package["name"], []).append(number)

    def meant(edge: Mapping[str, Any]) -> int:
        fits = [
            number
            for number in numbers.get(edge["name"], [])
            if all(packages[number].get(part) == edge[part] for part in ("version", "source") if part in edge)
        ]
        if len(fits) != 1:
            raise LockError(f"{file} has {len(fits)} packages {edge['name']} where one is meant", _again(file, _UV))
        return fits[0]

    def leading(edges: Iterable[Mapping[str, Any]]) -> Iterator[tuple[tuple[int, str], Marker]]:
        for edge in edges:
            number, marker = meant(edge), markers.parse(edge.get("marker"))
            for extra in ("", *edge.get("extra", ())):
                yield (number, extra), marker

    edges = {}
    for number, package in enumerate(packages):
        edges[number, ""] = list(leading(package.get("dependencies", ())))
        for extra, more in package.get("optional-dependencies", {}).items():
            edges[number, extra] = list(leading(more))
    members = set(data.get("manifest", {}).get("members", ()))
    own = [number for number, package in enumerate(packages) if _uv_path(package) == "."]
    # A workspace without a project at its top is all of its members.
    roots = own or [number for number, package in enumerate(packages) if package["name"] in members]
    if not roots:
        raise LockError(f"{file} belongs to no project", _again(file, _UV))
    pins = []
    for (number, extra), marker in markers.reached([((root, ""), ALWAYS) for root in roots], edges).items():
        if extra or number in own:
            continue
        pin = _uv_pin(file, packages[number], marker)
        if pin:
            pins.append(pin)
    return Lock(_joined(file, _again(file, _UV), pins), markers.of_python(data.get("requires-python")))


def _uv_path(package: Mapping[str, Any]) -> str | None:
    source = package.get("source", {})
    return next((source[kind] for kind in ("virtual", "editable", "directory") if kind in source), None)


def _uv_pin(file: str, package: Mapping[str, Any], marker: Marker) -> Pin | None:
    name, source = package["name"], package.get("source", {})
    pin = Pin(name, marker, package.get("version", ""))
    files = [*([package["sdist"]] if "sdist" in package else []), *package.get("wheels", ())]
    hashes = {one["hash"] for one in files if one.get("hash")}
    if "registry" in source:
        return Pin(name, marker, pin.version, hashes, index=source["registry"])
    if "virtual" in source:
        return None
    if "git" in source:
        address, _sign, commit = source["git"].partition("#")
        address, _sign, query = address.partition("?")
        folder = re.search(r"(?:\A|&)subdirectory=([^&]*)", query)
        return Pin(name, marker, place=_git(file, name, address, commit, folder[1] if folder else None))
    if "url" in source:
        fragment = f"#subdirectory={source['subdirectory']}" if source.get("subdirectory") else ""
        return Pin(name, marker, hashes=hashes, place=source["url"] + fragment)
    for kind in ("editable", "directory", "path"):
        if kind in source:
            return Pin(name, marker, hashes=hashes if kind == "path" else set(), place=_path(file, name, source[kind]))
    message = f"{file} takes {name} from {' '.join(source)}, which is not known"
    raise LockError(message, "export it (uv export -o requirements.txt) and name requirements.txt")


# -- Poetry -----------------------------------------------------------------------------------------------------------

_POETRY = "poetry lock"


def poetry(text: str, project: Mapping[str, Any]) -> Lock:
    """poetry.lock; releases before Poetry 2 do not tell which packages are whose, so that the graph is walked.

    ``project``: pyproject.toml.
    """
    file = "poetry.lock"
    data = toml(text, file)
    packages, about = data.get("package") or [], data.get("metadata", {})
    again = _again(file, _POETRY)
    version = str(about.get("lock-version", "1.0"))
    if version.partition(".")[0] not in ("1", "2"):
        raise LockError(f"{file} has the format {version}, and 1 and 2 are known", again)
    if all("groups" in package for package in packages):
        found = [
            (package, _poetry_marker(package.get("markers"))) for package in packages if "main" in package["groups"]
        ]
    else:
        found = _poetry_walk(file, packages, project)
    pins = [_poetry_pin(file, package, about.get("files", {}), marker) for package, marker in found if marker != NEVER]
    try:
        python = markers.of_python(about.get("python-versions"))
    except markers.MarkerError:
        python = ALWAYS
    return Lock(_joined(file, again, pins), python)


def _poetry_marker(said: Any) -> Marker:
    return markers.parse(said.get("main") if isinstance(said, Mapping) else said)


def _poetry_pin(file: str, package: Mapping[str, Any], more: Mapping[str, Any], marker: Marker) -> Pin:
    name, source = package["name"], package.get("source", {})
    files = package.get("files") or more.get(name) or []
    hashes = {one["hash"] for one in files if one.get("hash")}
    kind, url = source.get("type"), source.get("url", "")
    if kind == "git":
        commit = source.get("resolved_reference", "")
        return Pin(name, marker, place=_git(file, name, url, commit, source.get("subdirectory")))
    if kind == "url":
        folder = f"#subdirectory={source['subdirectory']}" if source.get("subdirectory") else ""
        return Pin(name, marker, hashes=hashes, place=url + folder)
    if kind in ("directory", "file"):
        return Pin(name, marker, hashes=hashes if kind == "file" else set(), place=_path(file, name, url))
    return Pin(name, marker, package["version"], hashes, index=url if kind == "legacy" else "")


def _poetry_root(project: Mapping[str, Any]) -> Iterator[tuple[str, list[str], Marker]]:
    """(name, extras, marker) of what the project itself needs."""
    yield from _declared(project)
    for name, said in project.get("tool", {}).get("poetry", {}).get("dependencies", {}).items():
        if name.lower() == "python":
            continue
        for one in said if isinstance(said, list) else [said]:
            told = one if isinstance(one, Mapping) else {}
            if not told.get("optional"):
                marker = markers.both(markers.parse(told.get("markers")), markers.of_python(told.get("python")))
                yield name, told.get("extras", []), marker


def _poetry_walk(
    file: str, packages: list[Mapping[str, Any]], project: Mapping[str, Any]
) -> list[tuple[Mapping[str, Any], Marker]]:
    known: dict[str, Mapping[str, Any]] = {}
    twice: set[str] = set()
    for package in packages:
        name = key(package["name"])
        twice |= {name} & set(known)
        known[name] = package
    edges: dict[tuple[str, str], list[tuple[tuple[str, str], Marker]]] = {}
    for name, package in known.items():
        offered = {key(extra): needs for extra, needs in package.get("extras", {}).items()}
        for extra in ("", *offered):
            edges[name, extra] = []
            brought = {key(_named(need)) for need in offered.get(extra, ())}
            for other, said in package.get("dependencies", {}).items():
                for one in said if isinstance(said, list) else [said]:
                    told = one if isinstance(one, Mapping) else {}
                    marker = told.get("markers")
                    if told.get("optional") and "extra" not in (marker or "") and key(other) not in brought:
                        continue
                    held = markers.both(
                        markers.parse(marker, [extra] if extra else ()), markers.of_python(told.get("python"))
                    )
                    edges[name, extra] += [
                        ((key(other), key(more) if more else ""), held) for more in ("", *told.get("extras", ()))
                    ]
    roots = [
        ((key(name), key(extra) if extra else ""), marker)
        for name, extras, marker in _poetry_root(project)
        for extra in ("", *extras)
    ]
    found: list[tuple[Mapping[str, Any], Marker]] = []
    for (name, extra), marker in markers.reached(roots, edges).items():
        if extra or marker == NEVER:
            continue
        if name in twice:
            message = f"{file} has several releases of {name} and does not tell which is for whom, as Poetry 2 does"
            raise LockError(message, "lock anew with Poetry 2 (poetry lock), or name a requirements file")
        if name not in known:
            raise LockError(f"{file} lacks {name}, which is needed", _again(file, _POETRY))
        found.append((known[name], marker))
    return found


# -- what a project declares ------------------------------------------------------------------------------------------

_DECLARED = re.compile(r"\s*([A-Za-z0-9][\w.-]*)\s*(?:\[([^\]]*)\])?\s*([^;]*?)(?:(?:\s|(?<=[^@\s]));\s*(.*))?\Z", re.S)


def _named(requirement: str) -> str:
    match = _DECLARED.match(requirement)
    return match[1] if match else requirement


def _declared(project: Mapping[str, Any]) -> Iterator[tuple[str, list[str], Marker]]:
    for line in project.get("project", {}).get("dependencies", ()):
        match = _DECLARED.match(line)
        if match:
            extras = [extra.strip() for extra in (match[2] or "").split(",") if extra.strip()]
            yield match[1], extras, markers.parse(match[4])


# -- PDM and PEP 751 --------------------------------------------------------------------------------------------------


def pdm(text: str) -> Lock:
    """pdm.lock, which tells of each package whose it is and when it is needed."""
    file, again = "pdm.lock", _again("pdm.lock", "pdm lock")
    data = toml(text, file)
    about = data.get("metadata", {})
    if "inherit_metadata" not in about.get("strategy", ()):
        message = f"{file} does not tell which packages are whose"
        raise LockError(message, _again(file, "pdm lock --strategy inherit_metadata"))
    pins = []
    for package in data.get("package") or []:
        if "default" not in package.get("groups", ()):
            continue
        name, marker = package["name"], markers.parse(package.get("marker"))
        hashes = {one["hash"] for one in package.get("files", ()) if one.get("hash")}
        folder = package.get("subdirectory")
        if package.get("git"):
            place = _git(file, name, package["git"], package.get("revision", ""), folder)
            pins.append(Pin(name, marker, place=place))
        elif package.get("url"):
            pins.append(
                Pin(name, marker, hashes=hashes, place=package["url"] + (f"#subdirectory={folder}" if folder else ""))
            )
        elif package.get("path"):
            pins.append(Pin(name, marker, hashes=hashes, place=_path(file, name, package["path"])))
        elif set(package) & {"hg", "svn", "bzr"}:
            raise LockError(f"{file} takes {name} from a repository that is none of git's", again)
        else:
            pins.append(Pin(name, marker, package["version"], hashes))
    targets = [markers.of_python(one.get("requires_python")) for one in about.get("targets", ())]
    python = markers.either(*targets) if targets else ALWAYS
    # The project itself is installed as pyproject.toml says.
    return Lock([pin for pin in _joined(file, again, pins) if pin.place != "./"], python)


def pylock(text: str) -> Lock:
    """pylock.toml (PEP 751)."""
    file, again = "pylock.toml", "lock anew, or name a requirements file"
    data = toml(text, file)
    version = str(data.get("lock-version"))
    if version.partition(".")[0] != "1":
        raise LockError(f"{file} has the format {version}, and 1 is known", again)
    groups = data.get("default-groups", ())
    pins = []
    for package in data.get("packages") or []:
        marker = markers.parse(package.get("marker"), (), groups)
        if marker != NEVER:
            pins.append(_pylock_pin(file, package, marker))
    found = [pin for pin in _joined(file, again, pins) if pin.place != "./"]
    return Lock(found, markers.of_python(data.get("requires-python")))


def _pylock_pin(file: str, package: Mapping[str, Any], marker: Marker) -> Pin:
    name = package["name"]

    def hashes(files: Iterable[Mapping[str, Any]]) -> set[str]:
        return {f"{kind}:{value}" for one in files for kind, value in one.get("hashes", {}).items()}

    if "vcs" in package:
        told = package["vcs"]
        if told.get("type") != "git":
            raise LockError(f"{file} takes {name} from a repository that is none of git's", "take it from git")
        url = told.get("url") or _path(file, name, told.get("path", ""))
        return Pin(name, marker, place=_git(file, name, url, told.get("commit-id", ""), told.get("subdirectory")))
    for kind in ("directory", "archive"):
        told = package.get(kind)
        if told:
            folder = f"#subdirectory={told['subdirectory']}" if told.get("subdirectory") else ""
            place = told["url"] if told.get("url") else _path(file, name, told.get("path", ""))
            return Pin(name, marker, hashes=hashes([told]) if kind == "archive" else set(), place=place + folder)
    files = [*([package["sdist"]] if "sdist" in package else []), *package.get("wheels", ())]
    if "version" not in package:
        message = f"{file} pins no version of {name}"
        raise LockError(message, "lock anew with a tool that does, or name a requirements file")
    return Pin(name, marker, package["version"], hashes(files), index=package.get("index") or "")


# -- Pipenv -----------------------------------------------------------------------------------------------------------


def pipenv(text: str) -> Lock:
    """Pipfile.lock."""
    file, again = "Pipfile.lock", _again("Pipfile.lock", "pipenv lock")
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise LockError(f"{file} cannot be read: {error}", "mend it") from error
    about = data.get("_meta", {})
    urls = {one.get("name"): one.get("url") for one in about.get("sources", ())}
    pins = []
    for name, told in data.get("default", {}).items():
        marker = markers.parse(told.get("markers"))
        hashes = set(told.get("hashes", ()))
        folder = told.get("subdirectory")
        if told.get("git"):
            pins.append(Pin(name, marker, place=_git(file, name, told["git"], told.get("ref", ""), folder)))
        elif told.get("file") and "://" in told["file"]:
            pins.append(Pin(name, marker, hashes=hashes, place=told["file"]))
        elif told.get("path") or told.get("file"):
            pins.append(Pin(name, marker, place=_path(file, name, told.get("path") or told["file"])))
        elif not str(told.get("version", "")).startswith("=="):
            raise LockError(f"{file} pins no version of {name}", again)
        else:
            version = told["version"].lstrip("=").strip()
            pins.append(Pin(name, marker, version, hashes, index=urls.get(told.get("index")) or ""))
    # The Python that it names is the one that the project was made with: Pipenv only warns of another one.
    return Lock(_joined(file, again, pins))
