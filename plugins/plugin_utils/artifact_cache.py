"""The controller's folder of built artifacts: each there whole or not at all, and built by one play at a time."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ansible_collections.graceful.wsgi.plugins.module_utils import nginx_artifact, procfs

# Fetching sources and copying what was built comes on top of the time that a compiler may take.
GRACE = 900


class CacheError(Exception):
    """What is kept cannot be used; the text says why and what to mend."""


def _runs(pid: int, started: int | None) -> bool:
    """Whether the process is still there, and no other has its number."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return bool(procfs.process_start(pid) == started)


def kept(folder: str) -> list[dict[str, Any]]:
    """What the manifests in the folder tell of what their builders found out: name, version, about and features.

    For the plan; whoever installs one looks whether it is what its manifest says.
    """
    told = []
    for file in sorted(Path(folder).glob(f"[!.]*/{nginx_artifact.MANIFEST}")):
        try:
            manifest = json.loads(file.read_text())
            found = manifest["found"]
            if nginx_artifact.found_sha256(found) == manifest["found_sha256"]:
                about = {"version": manifest["version"], "about": dict(manifest["about"])}
                told.append({"name": file.parent.name, **about, "features": list(found["features"])})
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return told


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Nobody else stores, removes or claims in the folder meanwhile."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / ".lock", "a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


class Cache:
    """One artifact in the folder: ``<folder>/<name>/`` with file and manifest, and beside it who builds it now."""

    def __init__(
        self,
        folder: str,
        name: str,
        version: str,
        about: dict[str, Any],
        timeout: int,
        kind: nginx_artifact.Kind = nginx_artifact.NGINX,
    ) -> None:
        self.kind = kind
        self.folder = Path(folder)
        self.name = name
        self.path = self.folder / name
        self.binary = self.path / kind.file
        self.version = version
        self.about = about
        self.timeout = timeout
        self._claim = self.folder / f".{name}.claim"

    def found(self) -> dict[str, Any] | None:
        """The manifest of what is kept, None where there is none; what is damaged is refused."""
        if not os.path.lexists(self.path):
            return None
        file = self.path / nginx_artifact.MANIFEST
        hint = f"remove the folder {self.path} on the controller, and the next run has it built or fetched anew"
        try:
            told = json.loads(file.read_text())
            wanted = told["files"][self.kind.file]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CacheError(f"{file} cannot be read ({error}), so it was not installed; {hint}") from error
        checksum = nginx_artifact.sha256(str(self.binary))
        if checksum != wanted:
            message = f"its sha256 is {checksum} and should be {wanted}" if checksum else "it is no regular file"
            raise CacheError(f"{self.binary} is not what was built: {message}. It was not installed; {hint}")
        try:
            tells = nginx_artifact.manifest(str(self.binary), self.version, self.about, self.kind, told.get("found"))
        except nginx_artifact.ArtifactError as error:
            raise CacheError(f"{error}. It was not installed; {hint}") from error
        if told != tells:
            raise CacheError(f"{file} does not tell of {self.binary}. It was not installed; {hint}")
        return dict(told)

    def claimed(self) -> dict[str, Any] | None:
        """Who builds it now; the claim of a play that has ended without giving it back is none."""
        try:
            claim: dict[str, Any] = json.loads(self._claim.read_text())
            late = time.time() > claim["since"] + claim["timeout"] + GRACE
            here = claim["controller"] == socket.gethostname()
            over = late or (here and not _runs(claim["pid"], claim["started"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return None if over else claim

    def mine(self, claim: dict[str, Any], pid: int) -> bool:
        """Whether the claim is one of this very play's hosts."""
        return bool(claim["controller"] == socket.gethostname() and claim["pid"] == pid)

    def claim(self, host: str, pid: int, playing: list[str]) -> bool:
        """Whether ``host`` is the one to have it built: nothing is kept, and nobody else who still can builds it.

        ``pid`` is the play's, ``playing`` names its hosts that have not failed.
        """
        # What is there already can be had of a folder that this account may only read.
        if self.found():
            return False
        with locked(self.folder):
            if self.found():
                return False
            claim = self.claimed()
            if claim and not (self.mine(claim, pid) and (claim["host"] == host or claim["host"] not in playing)):
                return False
            # What a killed play left; nobody writes one without a claim.
            for left in self.folder.glob(f".{self.name}.*"):
                if left.is_dir():
                    shutil.rmtree(left)
            said = {"host": host, "pid": pid, "started": procfs.process_start(pid), "controller": socket.gethostname()}
            partial = self.folder / f".{self.name}.claim.new"
            partial.write_text(json.dumps({**said, "since": time.time(), "timeout": self.timeout}))
            partial.rename(self._claim)
            return True

    def release(self, host: str, pid: int) -> None:
        """Give the claim back, if it is this host's."""
        if not self.folder.is_dir():
            return
        with locked(self.folder):
            claim = self.claimed()
            if claim and self.mine(claim, pid) and claim["host"] == host:
                self._claim.unlink()

    def store(self, fetch: Callable[[str, str], None]) -> dict[str, Any]:
        """Keep what ``fetch(name, local path)`` brings of the builder's artifact; returns the manifest."""
        with locked(self.folder):
            scratch = Path(tempfile.mkdtemp(prefix=f".{self.name}.", dir=self.folder))
        try:
            for name in (nginx_artifact.MANIFEST, self.kind.file):
                fetch(name, str(scratch / name))
            told = nginx_artifact.load(str(scratch), self.kind)
            if told is None:
                raise CacheError(f"{self.name} did not arrive from its builder as it is there; run the play again")
            file, found = str(scratch / self.kind.file), told.get("found")
            try:
                nginx_artifact.write(str(self.path), file, self.version, self.about, None, self.kind, found)
            except nginx_artifact.ArtifactError as error:
                raise CacheError(str(error)) from error
        finally:
            shutil.rmtree(scratch)
        kept = self.found()
        if kept is None:
            raise CacheError(f"{self.path} was removed while it was made; run the play again")
        return kept

    def wait(self, pid: int, playing: list[str], crowded: str | None, pause: float = 2.0) -> dict[str, Any]:
        """The manifest, once whoever builds it is done. ``crowded`` says why this play cannot wait for itself."""
        while True:
            claim = self.claimed()
            # Asked for after the claim, so that what is stored in between is not missed.
            found = self.found()
            if found:
                return found
            if claim is None or (self.mine(claim, pid) and claim["host"] not in playing):
                raise CacheError(f"{self.path} was not built; the play that was to build it says why")
            if self.mine(claim, pid) and crowded:
                raise CacheError(f"{self.path} is being built, and this host cannot wait for it: {crowded}")
            time.sleep(pause)
