# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a program asks of the host that is to run it, read from its ELF file."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os
import re
import struct

# As `uname -m` names them.
MACHINES = {3: "i386", 21: "ppc64", 22: "s390x", 40: "arm", 62: "x86_64", 183: "aarch64", 243: "riscv64"}
LOAD, DYNAMIC, INTERP = 1, 2, 3
NEEDED, STRTAB, RPATH, RUNPATH, VERNEED = 1, 5, 15, 29, 0x6FFFFFFE
# A symbol version without a number that a glibc has from this one on.
NAMED = {"GLIBC_ABI_DT_RELR": (2, 36)}


class ElfError(Exception):
    """The file is no program that could be read."""


class _File(object):
    def __init__(self, data):
        if data[:4] != b"\x7fELF" or len(data) < 52:
            raise ElfError("is no ELF program")
        self.data = data
        self.wide = data[4:5] == b"\x02"
        self.order = ">" if data[5:6] == b"\x02" else "<"
        self.machine = self.fields("H", 18)[0]
        if self.wide:
            table, size, count = self.fields("Q", 32) + self.fields("HH", 54)
        else:
            table, size, count = self.fields("I", 28) + self.fields("HH", 42)
        self.segments = [self._segment(table + number * size) for number in range(count)]

    def fields(self, form, offset):
        return struct.unpack_from(self.order + form, self.data, offset)

    def _segment(self, at):
        """(type, offset, address, size in the file)"""
        if self.wide:
            kind, _flags, offset, address, _physical, size = self.fields("IIQQQQ", at)
        else:
            kind, offset, address, _physical, size = self.fields("IIIII", at)
        return kind, offset, address, size

    def place(self, address):
        """Where in the file the loader finds what is at an address."""
        for kind, offset, start, size in self.segments:
            if kind == LOAD and start <= address < start + size:
                return offset + address - start
        raise ElfError("points outside itself")

    def text(self, offset):
        end = self.data.find(b"\0", offset)
        if end < 0 or offset < 0:
            raise ElfError("is cut short")
        return self.data[offset:end].decode("utf-8", "replace")

    def dynamic(self):
        """[(tag, value)] of what the dynamic loader is told."""
        found = []
        form, step = ("qQ", 16) if self.wide else ("iI", 8)
        for kind, at, _address, _size in self.segments:
            while kind == DYNAMIC:
                tag, value = self.fields(form, at)
                if tag == 0:
                    break
                found.append((tag, value))
                at += step
        return found

    def versions(self, address, strings):
        """Names of the symbol versions that are needed. Both chains end where nothing follows."""
        at, following = self.place(address), 1
        while following:
            _version, _count, _file, first, following = self.fields("HHIII", at)
            aux, step = at + first, 1
            while step:
                _hash, _flags, _other, name, step = self.fields("IHHII", aux)
                yield self.text(strings + name)
                aux += step
            at += following


def numbers(version):
    """A version as something to compare."""
    return tuple(int(part) for part in version.split("."))


def _glibc(names):
    """The oldest glibc that has all these versions, or None where none is glibc's."""
    found = []
    for name in names:
        matched = re.match(r"GLIBC_(\d+(?:\.\d+)+)$", name)
        if matched:
            found.append(numbers(matched.group(1)))
        elif name in NAMED:
            found.append(NAMED[name])
    return ".".join(str(part) for part in max(found)) if found else None


def describe(data):
    """Architecture, whether it runs without a loader, the glibc and the libraries that it needs."""
    try:
        program = _File(data)
        told = program.dynamic()
        known = dict(told)
        strings = program.place(known[STRTAB]) if STRTAB in known else 0
        libraries = [program.text(strings + value) for tag, value in told if tag == NEEDED]
        glibc = _glibc(program.versions(known[VERNEED], strings)) if VERNEED in known else None
        loaded = [segment for segment in program.segments if segment[0] == INTERP]
    except (struct.error, OverflowError):
        raise ElfError("is cut short")
    name = MACHINES.get(program.machine, "machine %d" % program.machine)
    if name == "ppc64" and program.order == "<":
        name = "ppc64le"
    return {"architecture": name, "static": not loaded and not libraries, "glibc": glibc, "libraries": libraries}


def library_paths(data):
    """Folders in which the program itself says that its libraries are looked for."""
    try:
        program = _File(data)
        told = program.dynamic()
        tables = [program.place(value) for tag, value in told if tag == STRTAB]
        found = [program.text(tables[0] + value) for tag, value in told if tables and tag in (RPATH, RUNPATH)]
    except (struct.error, OverflowError):
        raise ElfError("is cut short")
    return [path for text in found for path in text.split(":") if path]


def has_pointer(data, text, places=200):
    """Whether a table of the program names a text, as one of options does.

    That the text stands there says little: a linker lets one be the end of another, and whoever prints it has it too.
    """
    wanted = text.encode("utf-8") + b"\0"
    try:
        program = _File(data)
        form = program.order + ("Q" if program.wide else "I")
        at = data.find(wanted)
        while at >= 0 and places > 0:
            places -= 1
            for kind, offset, start, size in program.segments:
                if kind == LOAD and offset <= at < offset + size and struct.pack(form, start + at - offset) in data:
                    return True
            at = data.find(wanted, at + 1)
    except (struct.error, OverflowError):
        raise ElfError("is cut short")
    return False


def glibc():
    """The version of this host's glibc, or None."""
    try:
        # CS_GNU_LIBC_VERSION by its number, since Python 2.7 does not know its name.
        name, version = (os.confstr(2) or "").split()
    except (OSError, ValueError):
        return None
    return version if name == "glibc" and version.replace(".", "").isdigit() else None
