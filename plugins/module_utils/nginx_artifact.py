# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What was built, nginx or another kind, with its manifest, in a folder that is there whole or not at all."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import collections
import hashlib
import json
import os
import shutil
import tempfile

from ansible_collections.graceful.wsgi.plugins.module_utils import elf
from ansible_collections.graceful.wsgi.plugins.module_utils.disk import make_folders
from ansible_collections.graceful.wsgi.plugins.module_utils.safe_path import UnsafePath, open_regular
from ansible_collections.graceful.wsgi.plugins.module_utils.whole_files import digest_of as sha256

BINARY = "nginx"
MANIFEST = "manifest.json"

# The one file of an artifact: its name and mode, and what tells of its content what it asks of a host.
Kind = collections.namedtuple("Kind", "file mode describe")
NGINX = Kind(BINARY, 0o755, elf.describe)


class ArtifactError(Exception):
    """What was built is not fit to be kept."""


def load(path, kind=NGINX):
    """The manifest of the artifact in ``path``, or None where it is missing, damaged or incomplete."""
    try:
        with open(os.path.join(path, MANIFEST), "rb") as source:
            manifest = json.loads(source.read().decode("utf-8"))
    except (IOError, OSError, ValueError):
        return None
    files = manifest.get("files") if isinstance(manifest, dict) else None
    if not isinstance(files, dict) or kind.file not in files:
        return None
    for name, checksum in files.items():
        if sha256(os.path.join(path, name)) != checksum:
            return None
    return manifest


def found_sha256(found):
    """The checksum of what a builder found out."""
    return hashlib.sha256(json.dumps(found, sort_keys=True).encode("utf-8")).hexdigest()


def manifest(binary, version, about, kind=NGINX, found=None):
    """What is to be remembered of a binary: all of it can be told again from the file and from what it was made of.

    ``found``, which the file does not tell, is what its builder found out; it gets a checksum of its own.
    """
    try:
        told = kind.describe(read(binary))
    except elf.ElfError as error:
        raise ArtifactError("%s %s" % (binary, error))
    told.update(version=version, about=about, files={kind.file: sha256(binary)})
    if found is not None:
        told.update(found=found, found_sha256=found_sha256(found))
    return told


def unfit(told, architecture, glibc):
    """Why a host of this architecture and glibc (None where it has none) cannot run the binary; None where it can."""
    if architecture and told["architecture"] != architecture:
        # Of a 32-bit ARM it is known only that it is one.
        if not (told["architecture"] == "arm" and architecture.startswith("arm")):
            return "it was built for %s, and this host is %s" % (told["architecture"], architecture)
    if told["glibc"] and not (glibc and elf.numbers(glibc) >= elf.numbers(told["glibc"])):
        return "it needs glibc %s or newer, and this host has %s" % (told["glibc"], glibc or "none")
    return None


def libraries(binary, run):
    """Names of all shared libraries that ``binary`` comes to need, as ldd shows them.

    ``run(argv)`` returns (status, stdout, stderr).
    """
    status, out, err = run(["ldd", binary])
    if status != 0:
        raise ArtifactError("ldd could not tell what the new binary needs: %s" % (out + err).strip())
    found = []
    for line in out.splitlines():
        words = line.split()
        if not words or words[0] in ("statically", "not"):
            continue
        name = os.path.basename(words[0])
        if "not found" in line:
            raise ArtifactError("the new binary needs %s, which this host does not have" % name)
        found.append(name)
    return found


def check(binary, told, run):
    """Refuse a binary that does not start, is of another version or needs any libpcre."""
    # Where there is no loader, ldd has nothing to ask.
    needed = [] if told["static"] else libraries(binary, run)
    pcre = [name for name in needed if name.startswith("libpcre")]
    if pcre:
        raise ArtifactError(
            "the new binary needs %s, though PCRE2 was to be linked in; see --with-pcre in the build log"
            % " and ".join(pcre)
        )
    status, out, err = run([binary, "-v"])
    if status != 0 or "nginx/%s" % told["version"] not in (out + err).split():
        raise ArtifactError(
            "the new binary is not nginx %s: its -v said (status %d) %s"
            % (told["version"], status, (out + err).strip())
        )


def _write(path, content, mode):
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(handle, "wb") as target:
        target.write(content)
        target.flush()
        os.fsync(target.fileno())
    os.chmod(path, mode)


def read(path):
    try:
        # The folder belongs to the account that built; only a plain file is taken from it.
        handle = open_regular(path)
    except UnsafePath:
        raise ArtifactError("%s is not a regular file" % path)
    except OSError as error:
        raise ArtifactError("there is no built binary at %s: %s" % (path, error.strerror))
    with os.fdopen(handle, "rb") as source:
        return source.read()


def write(path, source, version, about, check=None, kind=NGINX, found=None):
    """Make the folder ``path`` of the file ``source`` and its manifest; whole, or not at all.

    ``check(binary, manifest)`` may still refuse what has been copied.
    """
    parent, name = os.path.split(path)
    stage = tempfile.mkdtemp(prefix=".%s." % name, dir=parent)
    try:
        binary = os.path.join(stage, kind.file)
        _write(binary, read(source), kind.mode)
        os.chmod(stage, 0o755)
        told = manifest(binary, version, about, kind, found)
        if check:
            check(binary, told)
        text = json.dumps(told, indent=2, sort_keys=True) + "\n"
        _write(os.path.join(stage, MANIFEST), text.encode("utf-8"), 0o644)
        if os.path.lexists(path):
            # A damaged one goes aside first, since a folder cannot be renamed over a full one.
            aside = tempfile.mkdtemp(prefix=".%s.damaged." % name, dir=parent)
            os.rename(path, os.path.join(aside, name))
            shutil.rmtree(aside)
        os.rename(stage, path)
    finally:
        if os.path.isdir(stage):
            shutil.rmtree(stage)


def put(path, source, version, about, run, checksum=None):
    """Make an artifact in ``path`` of the binary ``source``; false where an intact one is there already."""
    if load(path) is not None:
        return False
    # Before anything is read out of it: one that was cut short says nothing that helps.
    arrived = sha256(source) if checksum else checksum
    if arrived != checksum:
        raise ArtifactError(
            "the nginx that arrived here has the sha256 %s and should have %s; run the play again" % (arrived, checksum)
        )
    make_folders(os.path.dirname(path))
    write(path, source, version, about, lambda binary, told: check(binary, told, run))
    return True
