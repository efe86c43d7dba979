"""A folder of code on the controller: its digest, which names the release, and its archive."""

from __future__ import annotations

import fnmatch
import hashlib
import os
import shutil
import stat
import tarfile
from collections.abc import Iterator
from pathlib import Path


class SourceError(Exception):
    """The code cannot be read; the text says why and what to mend."""


def _entries(root: Path, exclude: list[str]) -> Iterator[tuple[str, Path, os.stat_result]]:
    """(relative name, path, lstat) of everything in the tree, sorted, without what is excluded."""

    def left_out(relative: str) -> bool:
        name = relative.rpartition("/")[2]
        return any(fnmatch.fnmatch(name, pattern) or fnmatch.fnmatch(relative, pattern) for pattern in exclude)

    def walk(folder: Path, prefix: str) -> Iterator[tuple[str, Path, os.stat_result]]:
        for path in sorted(folder.iterdir()):
            relative = f"{prefix}{path.name}"
            if left_out(relative):
                continue
            found = path.lstat()
            if not (stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode) or stat.S_ISLNK(found.st_mode)):
                continue
            yield relative, path, found
            if stat.S_ISDIR(found.st_mode):
                yield from walk(path, f"{relative}/")

    if not root.is_dir():
        raise SourceError(f"{root} is not a folder on the controller")
    yield from walk(root, "")


def digest(root: str | Path, exclude: list[str]) -> str:
    """Name of the release: the first 12 hex digits of the sha256 of all names, modes and contents."""
    total = hashlib.sha256()
    for relative, path, found in _entries(Path(root), exclude):
        if stat.S_ISLNK(found.st_mode):
            kind, content = b"l", os.readlink(path).encode()
        elif stat.S_ISDIR(found.st_mode):
            kind, content = b"d", b""
        else:
            kind, content = b"f", path.read_bytes()
        mode = stat.S_IMODE(found.st_mode) & 0o755
        line = b"%s %o %d %s " % (kind, 0 if kind == b"l" else mode, len(content), os.fsencode(relative))
        total.update(line + hashlib.sha256(content).digest())
    return total.hexdigest()[:12]


def pack(root: str | Path, exclude: list[str], target: str | Path) -> None:
    """Write the tree as a tar.gz whose bytes depend on nothing but what digest() reads."""

    def plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
        member.uid = member.gid = 0
        member.uname = member.gname = ""
        member.mtime = 0
        member.mode &= 0o755
        return member

    with tarfile.open(target, "w:gz", compresslevel=6) as archive:
        for relative, path, _found in _entries(Path(root), exclude):
            archive.add(path, arcname=relative, recursive=False, filter=plain)


def unpack(archive: str | Path, folder: str | Path) -> Path:
    """Unpack any archive that shutil knows into an empty folder; returns the code's root in it."""
    try:
        safe = {} if str(archive).endswith(".zip") else {"filter": "data"}
        shutil.unpack_archive(archive, folder, **safe)
    except (OSError, ValueError, shutil.ReadError, tarfile.TarError) as error:
        raise SourceError(f"{archive} cannot be unpacked: {error}") from error
    found = list(Path(folder).iterdir())
    return found[0] if len(found) == 1 and found[0].is_dir() else Path(folder)
