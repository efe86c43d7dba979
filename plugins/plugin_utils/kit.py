"""A kit: the controller's folder of all that hosts need which reach nothing. Filled by one play at a time."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ansible_collections.graceful.wsgi.plugins.module_utils import constraints, nginx_artifact, releases, uwsgi_wheel
from ansible_collections.graceful.wsgi.plugins.plugin_utils import kit_plan, source_tree

MANIFEST = "manifest.json"
KIND = "distribution", "major", "architecture", "python", "abi", "interpreter"
EMPTY: dict[str, Any] = {"format": kit_plan.FORMAT, "files": {}, "builders": {}, "nginx": {}, "hosts": []}
# pip judges the markers of requirements by the Python that it runs under, whatever --python-version says.
RUN_PIP = """
import json, os, sys
from pip._vendor.packaging import markers
target = json.loads(os.environ.pop("GRACEFUL_WSGI_MARKERS"))
markers.default_environment.__call__
markers.default_environment = lambda: dict(target)
from pip._internal.cli.main import main
sys.exit(main(sys.argv[1:]))
"""
_MISSED = re.compile(r"No matching distribution found for (.+?)(?: \(from .*\))?$", re.M)
# What is to be built from source takes no wheel from any folder.
_URL = re.compile(r"\s*(?:-e|--editable)\b|.*\b[\w+]+://|\s*(?:-f|--find-links|--no-binary)\b")
_CREDENTIALS = re.compile(r"(?<=://)[^/\s]*@")
_INDEX = re.compile(r"\s*(?:-i|--index-url|--extra-index-url|--trusted-host)\b")


class KitError(Exception):
    """A kit cannot be filled or used; the text says why and what to mend."""


class Missed(KitError):
    """An index has no wheel of something; ``what`` names it as the requirement does."""

    def __init__(self, what: str, said: str) -> None:
        super().__init__(said)
        self.what = what


# -- requirements ---------------------------------------------------------------------------------------------------


def requirements(app: Mapping[str, Any], find: Callable[[str], str], scratch: Path) -> tuple[Path, str] | None:
    """(the folder of the code, the text of its requirements with all that they include); None where it cannot be read.

    ``app`` is an application with its keys source, archive and requirements, ``find(path)`` tells where that is on the
    controller.
    """
    wanted = app.get("requirements")
    if app.get("archive"):
        folder = scratch / "code"
        folder.mkdir()
        root = source_tree.unpack(find(app["archive"]), folder)
    elif app.get("source"):
        root = Path(find(app["source"]))
    elif isinstance(wanted, list):
        root = scratch
    else:
        return None
    if isinstance(wanted, list):
        lines = releases.as_lines(wanted)
        names = kit_plan.included(wanted)
        for name in names:
            if not (root / name).is_file():
                raise KitError(f"there is no {name} in {root}")
        return root, "\n".join([*lines, *(releases.read_requirements(str(root / name)) for name in names)])
    path = root / wanted
    if not path.is_file():
        raise KitError(f"there is no {wanted} in {root}")
    return root, releases.read_requirements(str(path))


def portable(root: Path, wanted: str | list[Any], limits: Sequence[str] = ()) -> dict[str, str]:
    """Requirements as files for a folder on another machine, of which ``wanted.txt`` names the others.

    ``limits``: lines of constraints that hold beside them.
    """
    lines = [f"-r {wanted}"] if isinstance(wanted, str) else releases.as_lines(wanted)
    sources = [root / match[2] for match in map(releases._INCLUDE.match, lines) if match and "://" not in match[2]]
    read = [item for source in sources for item in releases.requirement_files(str(source))]
    names = {path: f"{number}.txt" for number, (path, _text) in enumerate(read)}

    def led(line: str, folder: Path) -> str:
        match = releases._INCLUDE.match(line)
        name = names.get(os.path.realpath(folder / match[2])) if match and "://" not in match[2] else None
        return f"{match[1]}{name}" if match and name else line

    files = {
        names[path]: "\n".join(led(line, Path(path).parent) for line in text.splitlines()) + "\n" for path, text in read
    }
    # A list is a file of its own, so that no line of it is split into words here.
    wished = [led(line, root) for line in lines]
    if limits:
        wished.append("-c limits.txt")
        files["limits.txt"] = "\n".join(limits) + "\n"
    return {**files, "wanted.txt": "\n".join(wished) + "\n"}


def words(wanted: list[Any]) -> list[str]:
    """A list of requirements as words of a command: an option and its value may be one item of it, or two."""
    found = []
    for line in releases.as_lines(wanted):
        option = releases._OPTION.match(line)
        found += list(option.groups()) if option else [line]
    return [word for word in found if word]


def unbringable(text: str) -> str | None:
    """A line of requirements that a folder of wheels cannot stand for, such as an address or the code itself.

    It is for a message, so that a password in an address is left out.
    """
    for line in constraints._lines(text.replace("\ufeff", "")):
        if not _INDEX.match(line) and (_URL.match(line) or releases.is_local(line)):
            return _CREDENTIALS.sub("***@", line)
    return None


def secret(text: str) -> bool:
    """Whether an address in it has a user or a password."""
    return bool(_CREDENTIALS.search(text))


# -- the folder -----------------------------------------------------------------------------------------------------


def _texts(*lists: Any) -> bool:
    return all(isinstance(told, list) and all(isinstance(text, str) for text in told) for told in lists)


def _files(told: Any) -> list[str]:
    """The files that a part of a manifest names."""
    if not _texts(told["files"]):
        raise TypeError("files")
    return told["files"]


def sound(told: Any) -> bool:
    """Whether a manifest is made as docs/kit.md says and names files of the kit only; nobody need ask again."""
    try:
        if told["format"] != kit_plan.FORMAT or set(told) != set(EMPTY) or not isinstance(told["hosts"], list):
            return False
        named = [path for one in told["nginx"].values() for path in _files(one)]
        texts = [one["architecture"] for one in told["nginx"].values()] + list(told["files"].values())
        for one in told["hosts"]:
            named += _files({"files": one["tools"]})
            named += [path for part in (*one["uwsgi"].values(), *one["requirements"].values()) for path in _files(part)]
            texts += [one["glibc"], *(one["kind"][name] for name in KIND)]
            lists = [part[name] for part in one["uwsgi"].values() for name in ("features", "libraries", "packages")]
            if not _texts(*lists, *(part["apps"] for part in one["requirements"].values())):
                return False
        inside = all(not path.startswith("/") and ".." not in path.split("/") for path in told["files"])
        known = all(isinstance(one, dict) for one in told["builders"].values())
        return inside and known and _texts(texts) and set(named) <= set(told["files"])
    except (AttributeError, KeyError, TypeError):
        return False


class Kit:
    """The folder ``folder``; see docs/kit.md for what lies in it."""

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)

    def read(self) -> dict[str, Any] | None:
        """The manifest; None where there is none."""
        file = self.folder / MANIFEST
        try:
            told = json.loads(file.read_text())
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise KitError(f"{file} cannot be read: {error}") from error
        if not sound(told):
            raise KitError(f"{file} is no manifest of a kit that this release of the collection reads")
        return told

    def known(self, host: Mapping[str, Any], texts: Mapping[str, str | None], collecting: bool) -> dict[str, Any]:
        """What the plan is told of the kit for this host; see kit_plan.py."""
        told: dict[str, Any] = {"folder": str(self.folder), "collecting": collecting, "manifest": None, "wrong": []}
        told["texts"] = dict(texts)
        if collecting:
            return told
        try:
            told["manifest"] = self.read()
            if told["manifest"] is None:
                told["wrong"] = [f"there is no {self.folder / MANIFEST}"]
            else:
                told["wrong"] = self.wrong(told["manifest"], kit_plan.relevant(told["manifest"], host))
        except KitError as error:
            told["wrong"] = [str(error)]
        return told

    def wrong(self, manifest: Mapping[str, Any], paths: Sequence[str]) -> list[str]:
        """What is wrong with these files, a text for each."""
        found = []
        for path in paths:
            wanted = manifest["files"].get(path)
            try:
                there = nginx_artifact.sha256(str(self.folder / path))
            except OSError as error:
                # On a medium with other accounts' files.
                found.append(f"{self.folder / path} is not for this account to read: {error.strerror}")
                continue
            if there is None:
                found.append(f"{self.folder / path} is missing")
            elif there != wanted:
                found.append(f"{self.folder / path} has the sha256 {there} and should have {wanted}")
        return found

    @contextlib.contextmanager
    def filling(self) -> Iterator[dict[str, Any]]:
        """The manifest to add to; it is written, whole, where the block ends well and anything was added."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with open(self.folder / ".lock", "a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            manifest = self.read() or json.loads(json.dumps(EMPTY))
            before = json.dumps(manifest, sort_keys=True)
            yield manifest
            if json.dumps(manifest, sort_keys=True) != before:
                partial = self.folder / f".{MANIFEST}.new"
                partial.write_text(json.dumps(manifest, indent=2, sort_keys=True) + "\n")
                partial.rename(self.folder / MANIFEST)

    def note(self, manifest: dict[str, Any], paths: Sequence[str]) -> list[str]:
        """Put the checksums of these files of the kit into its manifest."""
        for path in paths:
            checksum = nginx_artifact.sha256(str(self.folder / path))
            if checksum is None:
                raise KitError(f"{self.folder / path} is no regular file; remove it and run the play again")
            manifest["files"][path] = checksum
        return sorted(paths)

    def take(self, files: Sequence[Path], part: str) -> list[str]:
        """Move files into a part of the kit; their paths in it."""
        target = self.folder / part
        target.mkdir(parents=True, exist_ok=True)
        found = []
        for file in files:
            partial = target / f".{file.name}.new"
            shutil.copyfile(file, partial)
            partial.chmod(0o644)
            partial.rename(target / file.name)
            found.append(f"{part}/{file.name}")
        return sorted(found)

    def artifact(self, part: str, name: str) -> dict[str, Any]:
        """The manifest of what was built and kept in a part of the kit."""
        kind = uwsgi_wheel.WHEEL if part == kit_plan.UWSGI else nginx_artifact.NGINX
        told = nginx_artifact.load(str(self.folder / part / name), kind)
        if told is None:
            raise KitError(f"{self.folder / part / name} is not whole; remove it and run the play again")
        files = [nginx_artifact.MANIFEST, kind.file]
        return {**told, "paths": [f"{part}/{name}/{file}" for file in files]}


def entry(manifest: dict[str, Any], kind: Mapping[str, Any], glibc: str) -> dict[str, Any]:
    """What the manifest tells of hosts of this kind, for what is to be added to it."""
    for one in manifest["hosts"]:
        if one["kind"] == kind:
            return one
    made = {"kind": dict(kind), "glibc": glibc, "tools": [], "uwsgi": {}, "requirements": {}}
    manifest["hosts"].append(made)
    manifest["hosts"].sort(key=lambda one: json.dumps(one["kind"], sort_keys=True))
    return made


# -- pip on this machine --------------------------------------------------------------------------------------------


class Pip:
    """pip of the machine that fills a kit, asked for wheels of another machine's kind."""

    def __init__(self, scratch: Path, environment: Mapping[str, str], run: Callable[..., Any] = subprocess.run) -> None:
        self.scratch = scratch
        own = {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1", "PIP_REQUIRE_VIRTUALENV": "0"}
        self.environment = {**os.environ, **own, **environment}
        self._run = run
        self._python: str | None = None

    def _ran(self, words: Sequence[str], environment: Mapping[str, str], cwd: Path | None = None) -> Any:
        return self._run(
            list(words), env=dict(environment), cwd=cwd, capture_output=True, text=True, errors="replace", check=False
        )

    @property
    def python(self) -> str:
        """An interpreter that has pip: the one that Ansible runs under, or a virtualenv of it."""
        if self._python is None:
            self._python = sys.executable
            if self._ran([sys.executable, "-m", "pip", "--version"], self.environment).returncode:
                made = self._ran([sys.executable, "-m", "venv", str(self.scratch / "pip")], self.environment)
                if made.returncode:
                    says = f"{sys.executable} has no pip, and makes no virtualenv ({made.stderr.strip()[-300:]})"
                    raise KitError(f"{says}; install pip for it (python3-pip, or python3-venv)")
                self._python = str(self.scratch / "pip/bin/python")
        return self._python

    def download(
        self, words: Sequence[str], host: Mapping[str, Any], links: Sequence[str] = (), cwd: Path | None = None
    ) -> list[Path]:
        """The wheels of these requirements and of all that they require, as a host of this kind takes them."""
        kind, python = host["kind"], host["python"]
        if not kind["abi"] or not host["glibc"]:
            raise KitError("wheels can be had for CPython and glibc only, and this host has another Python or libc")
        target = Path(tempfile.mkdtemp(dir=self.scratch))
        options = ["--only-binary=:all:", "--implementation=cp", f"--python-version={python['full_version']}"]
        options += [f"--abi={kind['abi']}", f"--dest={target}", "--quiet", "--no-cache-dir"]
        options += [f"--platform={name}" for name in kit_plan.platforms(kind["architecture"], host["glibc"])]
        options += [f"--find-links={link}" for link in links]
        told = kit_plan.markers(kind["python"], python["full_version"], kind["architecture"])
        environment = {**self.environment, "GRACEFUL_WSGI_MARKERS": json.dumps(told)}
        ran = self._ran([self.python, "-c", RUN_PIP, "download", *options, *words], environment, cwd)
        if ran.returncode:
            said = "\n".join((ran.stderr or ran.stdout).strip().splitlines()[-8:])
            missed = _MISSED.search(ran.stderr)
            if missed:
                raise Missed(missed[1].strip(), said)
            raise KitError(f"pip ended with status {ran.returncode}: {said}")
        return sorted(target.iterdir())
