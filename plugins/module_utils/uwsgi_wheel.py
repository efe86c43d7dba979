# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""uWSGI's wheel as an artifact: what the binary inside asks of a host, and how pip wants the file to be named."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import hashlib
import io
import os
import re
import struct
import zipfile
import zlib

from ansible_collections.graceful.wsgi.plugins.module_utils import elf, uwsgi_home
from ansible_collections.graceful.wsgi.plugins.module_utils.nginx_artifact import ArtifactError, Kind, read, unfit

# What Python's own zip reader raises at one that was tampered with.
BROKEN = (zipfile.BadZipfile, zlib.error, struct.error, EOFError, IOError, RuntimeError, ValueError)


def _opened(data):
    """(the archive, the names in it, the binary)"""
    archive = zipfile.ZipFile(io.BytesIO(data))
    names = "\n".join(archive.namelist())
    binary = re.search(r"^[^/\n]+\.data/scripts/uwsgi$", names, re.M)
    if not binary:
        raise elf.ElfError("is no wheel of uWSGI")
    return archive, names, archive.read(binary.group(0))


def describe(data):
    """What elf.describe() tells of the binary in the wheel, and the wheel's name, told from what lies in it."""
    try:
        archive, names, binary = _opened(data)
        about = re.search(r"^([\w.+!]+-[\w.+!]+)\.dist-info/WHEEL$", names, re.M)
        if not about:
            raise elf.ElfError("is no wheel of uWSGI")
        tag = re.search(r"^Tag: *(\w[\w.]*-\w+-\w[\w.]*)\s*$", archive.read(about.group(0)).decode("utf-8"), re.M)
    except BROKEN as error:
        raise elf.ElfError("is no wheel: %s" % error)
    if not tag:
        raise elf.ElfError("does not say which Python it is for")
    return dict(elf.describe(binary), wheel="%s-%s.whl" % (about.group(1), tag.group(1)))


def program(data):
    """The binary in the wheel."""
    return _opened(data)[2]


WHEEL = Kind("uwsgi.whl", 0o644, describe)


def the_wheel(folder):
    """The path of the one wheel in the folder."""
    names = [name for name in os.listdir(folder) if name.endswith(".whl")]
    if len(names) != 1:
        raise ArtifactError("%s should hold one wheel and holds %s" % (folder, ", ".join(sorted(names)) or "none"))
    return os.path.join(folder, names[0])


def examine(path, kind, glibc):
    """(what uwsgi_home.examine() would tell of the binary, what is wrong with the wheel for a host of that kind).

    For one that cannot run here: all of it is read from the wheel. ``glibc`` is the host's, None where it has none.
    """
    data = read(path)
    try:
        told = describe(data)
        binary = program(data)
    except elf.ElfError as error:
        raise ArtifactError("%s %s" % (path, error))
    cross = uwsgi_home.cross_of(kind)
    _project, version, python_tag, abi_tag, platform_tag = told["wheel"][: -len(".whl")].split("-")
    linked = [name for name in told["libraries"] if name.startswith("libpython")]
    wrong = []
    unfitting = unfit(told, kind["architecture"], glibc)
    if unfitting:
        wrong.append(unfitting)
    tags = [cross[name] for name in ("python_tag", "abi_tag", "platform_tag")]
    if [python_tag, abi_tag, platform_tag] != tags:
        wrong.append("it is named for %s-%s-%s, not %s" % (python_tag, abi_tag, platform_tag, "-".join(tags)))
    if linked != [cross["library"]]:
        wrong.append("it is linked with %s, not with %s" % (" and ".join(linked) or "no Python", cross["library"]))
    found = {
        "runs": True,
        "says": "",
        "version": version,
        "python": cross["python"],
        "features": uwsgi_home.compiled_with(binary) or [],
        "sha256": hashlib.sha256(binary).hexdigest(),
        "options": [],
    }
    return found, wrong


def packages(binary, libraries, run, family):
    """Packages of this host that hold the libraries which the binary names, as far as packages hold them.

    ``run(argv)`` returns (status, stdout, stderr); ``family`` is Ansible's os_family.
    """
    _status, out, _err = run(["ldd", binary])
    # "libssl.so.3 => /lib/x86_64-linux-gnu/libssl.so.3 (0x7f1)"; /lib may be a link to /usr/lib.
    found = dict(re.findall(r"^\s*(\S+) => (/\S+) \(", out, re.M))
    paths = dict((os.path.realpath(path), name) for name, path in found.items() if name in libraries)
    if not paths:
        return []
    if family != "Debian":
        out = run(["rpm", "-qf", "--qf", "%{NAME}\\n"] + sorted(paths))[1]
        return sorted(set(line for line in out.splitlines() if re.match(r"\S+$", line)))
    owners = set()
    # "libssl3:amd64: /usr/lib/x86_64-linux-gnu/libssl.so.3", by whichever of the two paths it was packed.
    for line in run(["dpkg-query", "-S"] + ["*/" + name for name in sorted(paths.values())])[1].splitlines():
        names, _colon, path = line.rpartition(": ")
        if os.path.realpath(path) in paths:
            owners.update(name.split(":")[0] for name in names.split(", "))
    return sorted(owners)


def receive(folder, source, checksum):
    """Put the wheel ``source`` into ``folder`` under the name that pip wants, if it is what was sent; its path."""
    content = read(source)
    arrived = hashlib.sha256(content).hexdigest()
    if arrived != checksum:
        raise ArtifactError(
            "the wheel that arrived here as %s has the sha256 %s and should have %s; run the play again"
            % (source, arrived, checksum)
        )
    try:
        path = os.path.join(folder, describe(content)["wheel"])
    except elf.ElfError as error:
        raise ArtifactError("%s %s" % (source, error))
    with open(path, "wb") as target:
        target.write(content)
    # The account that builds reads it.
    os.chmod(path, 0o644)
    return path
