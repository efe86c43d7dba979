"""A folder of code on the controller: its digest, which names the release, and its archive."""

from __future__ import annotations

import fnmatch
import gzip
import hashlib
import lzma
import os
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from ansible_collections.graceful.wsgi.plugins.module_utils import releases

# What the unpackers raise of archives that are cut short, garbled or hostile.
_BROKEN = (
    EOFError,
    NotImplementedError,
    OSError,
    RuntimeError,
    ValueError,
    lzma.LZMAError,
    releases.ReleaseError,
    shutil.ReadError,
    zipfile.BadZipFile,
    zlib.error,
)


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


def digest(root: str | Path, exclude: list[str], shared: str | None = None) -> str:
    """Name of the release: the first 12 hex digits of the sha256 of all names, modes and contents.

    Refuses links that lead out of the tree; ``shared``: the folder on the host into which they may lead.
    """
    total = hashlib.sha256()
    try:
        for relative, path, found in _entries(Path(root), exclude):
            if stat.S_ISLNK(found.st_mode):
                releases.check_link(relative, os.readlink(path), shared)
                kind, content = b"l", os.fsencode(os.readlink(path))
            elif stat.S_ISDIR(found.st_mode):
                kind, content = b"d", b""
            else:
                kind, content = b"f", path.read_bytes()
            name = os.fsencode(relative)
            mode = 0 if kind == b"l" else stat.S_IMODE(found.st_mode) & 0o755
            # Both lengths are told, so that no two trees give the same bytes.
            total.update(b"%s %o %d %d %s" % (kind, mode, len(content), len(name), name))
            total.update(hashlib.sha256(content).digest())
    except releases.ReleaseError as error:
        raise SourceError(str(error)) from error
    except OSError as error:
        raise SourceError(f"{root} cannot be read: {error}; mend it, or exclude the file") from error
    return total.hexdigest()[:12]


def pack(root: str | Path, exclude: list[str], target: str | Path) -> None:
    """Write the tree as a tar.gz whose bytes depend on nothing but what digest() reads."""
    with (
        open(target, "wb") as out,
        gzip.GzipFile(filename="", mode="wb", compresslevel=6, fileobj=out, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for relative, path, found in _entries(Path(root), exclude):
            member = tarfile.TarInfo(relative)
            member.mode = stat.S_IMODE(found.st_mode) & 0o755
            if stat.S_ISLNK(found.st_mode):
                member.type, member.linkname = tarfile.SYMTYPE, os.readlink(path)
                archive.addfile(member)
            elif stat.S_ISDIR(found.st_mode):
                member.type = tarfile.DIRTYPE
                archive.addfile(member)
            else:
                # Each name is a file of its own, also where the tree has hard links.
                member.size = found.st_size
                with path.open("rb") as source:
                    archive.addfile(member, source)


def _unpack_zip(archive: str | Path, folder: Path) -> None:
    """As a tar archive is unpacked: members that would land outside are refused, modes and symlinks are kept."""
    links = []
    with zipfile.ZipFile(archive) as packed:
        for member in packed.infolist():
            mode = member.external_attr >> 16 if member.create_system == 3 else 0
            kind = stat.S_IFMT(mode)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK):
                raise SourceError(f"the archive's member {member.filename!r} is neither file, folder nor link")
            target = Path(releases.place(member.filename, str(folder)))
            if kind == stat.S_IFLNK:
                # Last, so that nothing is written through one.
                links.append((member, target))
            elif member.is_dir():
                target.mkdir(exist_ok=True)
                target.chmod(0o755)
            else:
                with packed.open(member) as source, open(target, "wb") as out:
                    shutil.copyfileobj(source, out)
                target.chmod(stat.S_IMODE(mode) & 0o755 or 0o644)
        for member, target in links:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(os.fsdecode(packed.read(member)))


def unpack(archive: str | Path, folder: str | Path) -> Path:
    """Unpack any archive that shutil knows into an empty folder; returns the code's root in it.

    Where its links lead is for digest() to judge, which knows the root.
    """
    try:
        # Pythons before 3.10.12 and 3.11.4 unpack tar archives of hostile content without a filter; ours refuses it.
        if os.path.isfile(archive) and tarfile.is_tarfile(archive):
            releases.unpack(str(archive), str(folder), checked=False)
        elif os.path.isfile(archive) and zipfile.is_zipfile(archive):
            _unpack_zip(archive, Path(folder))
        else:
            shutil.unpack_archive(archive, folder)
    except (*_BROKEN, SourceError) as error:
        raise SourceError(f"{archive} cannot be unpacked: {error}") from error
    found = list(Path(folder).iterdir())
    return found[0] if len(found) == 1 and found[0].is_dir() and not found[0].is_symlink() else Path(folder)
