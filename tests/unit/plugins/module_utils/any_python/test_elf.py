"""What a program needs, read from crafted ELF files of both widths and orders, and from this machine's own."""

from __future__ import absolute_import, division, print_function

import os
import struct
import subprocess

import pytest

from ansible_collections.graceful.wsgi.plugins.module_utils import elf

BASE = 0x400000


def crafted(machine=62, libraries=(), versions=(), loader=False, wide=True, order="<", dynamic=True):
    """An ELF file with nothing in it but what the parser reads; ``versions`` are asked of the first library."""
    strings = b"\0" + b"".join(text.encode("ascii") + b"\0" for text in list(libraries) + list(versions))

    def offset(text):
        return strings.index(b"\0" + text.encode("ascii") + b"\0") + 1

    head, segment, entry = (64, 56, 16) if wide else (52, 32, 8)
    kinds = [1] + ([2] if dynamic else []) + ([3] if loader else [])
    strings_at = head + segment * len(kinds)
    needs = b""
    for number, text in enumerate(versions):
        following = 16 if number + 1 < len(versions) else 0
        needs += struct.pack(order + "IHHII", 0, 0, 2, offset(text), following)
    if versions:
        needs = struct.pack(order + "HHIII", 1, len(versions), offset(libraries[0]), 16, 0) + needs
    needs_at = strings_at + len(strings)
    told = [(1, offset(text)) for text in libraries] + [(5, BASE + strings_at)]
    if versions:
        told += [(0x6FFFFFFE, BASE + needs_at), (0x6FFFFFFF, 1)]
    told.append((0, 0))
    table = b"".join(struct.pack(order + ("qQ" if wide else "iI"), *pair) for pair in told) if dynamic else b""
    table_at = needs_at + len(needs)
    size = table_at + len(table)
    ident = b"\x7fELF" + (b"\x02" if wide else b"\x01") + (b"\x01" if order == "<" else b"\x02") + b"\x01" + b"\0" * 9
    made = ident + struct.pack(order + "HHI", 3, machine, 1)
    made += struct.pack(order + ("QQQ" if wide else "III"), BASE, head, 0)
    made += struct.pack(order + "IHHHHHH", 0, head, segment, len(kinds), 0, 0, 0)
    for kind in kinds:
        at, length = {1: (0, size), 2: (table_at, len(table)), 3: (strings_at, 1)}[kind]
        if wide:
            made += struct.pack(order + "IIQQQQQQ", kind, 4, at, BASE + at, BASE + at, length, length, 8)
        else:
            made += struct.pack(order + "IIIIIIII", kind, at, BASE + at, BASE + at, length, length, 4, 8)
    return made + strings + needs + table


@pytest.mark.parametrize("wide", [True, False])
@pytest.mark.parametrize("order", ["<", ">"])
def test_what_is_crafted_is_read(wide, order):
    data = crafted(
        libraries=["libc.so.6", "libz.so.1"],
        versions=["GLIBC_2.9", "GLIBC_2.34", "GLIBC_2.4", "OPENSSL_3.0.0", "GLIBC_PRIVATE"],
        loader=True,
        wide=wide,
        order=order,
    )
    assert elf.describe(data) == {
        "architecture": "x86_64",
        "static": False,
        "glibc": "2.34",
        "libraries": ["libc.so.6", "libz.so.1"],
    }


@pytest.mark.parametrize(
    ("data", "static", "glibc"),
    [
        (crafted(dynamic=False), True, None),
        # A static program that may lie anywhere has a dynamic table, and nobody but itself to read it.
        (crafted(), True, None),
        (crafted(libraries=["libc.so"], loader=True), False, None),
        (crafted(libraries=["libc.so.6"], versions=["GLIBC_2.2.5"], loader=True), False, "2.2.5"),
        (crafted(libraries=["libc.so.6"], versions=["GLIBC_2.2.5", "GLIBC_ABI_DT_RELR"], loader=True), False, "2.36"),
    ],
)
def test_static_or_the_oldest_glibc(data, static, glibc):
    found = elf.describe(data)
    assert (found["static"], found["glibc"]) == (static, glibc)


@pytest.mark.parametrize(
    ("machine", "order", "name"),
    [(62, "<", "x86_64"), (183, "<", "aarch64"), (21, ">", "ppc64"), (21, "<", "ppc64le"), (9999, "<", "machine 9999")],
)
def test_architecture(machine, order, name):
    assert elf.describe(crafted(machine=machine, order=order))["architecture"] == name


def test_what_is_cut_short_or_garbled_is_an_error_and_nothing_else():
    data = crafted(libraries=["libc.so.6"], versions=["GLIBC_2.34"], loader=True)
    for end in range(len(data)):
        with pytest.raises(elf.ElfError):
            elf.describe(data[:end])
    for at in range(len(data)):
        for byte in (b"\0", b"\x7f", b"\xff"):
            try:
                elf.describe(data[:at] + byte + data[at + 1 :])
            except elf.ElfError:
                pass
    for text in (b"", b"#!/bin/sh\n", b"\x7fELF"):
        with pytest.raises(elf.ElfError, match="is no ELF program"):
            elf.describe(text)


def test_a_real_program_as_its_own_loader_sees_it():
    with open("/bin/ls", "rb") as source:
        found = elf.describe(source.read())
    shown = subprocess.check_output(["ldd", "/bin/ls"]).decode("utf-8")
    assert found["libraries"] and not found["static"]
    assert all(name in shown for name in found["libraries"])
    assert (2, 2) <= elf.numbers(found["glibc"]) <= (2, 99)


def test_a_real_static_program():
    # Every glibc brings this one, linked statically since it mends what dynamic linking needs.
    path = "/sbin/ldconfig.real" if os.path.exists("/sbin/ldconfig.real") else "/sbin/ldconfig"
    with open(path, "rb") as source:
        found = elf.describe(source.read())
    assert (found["static"], found["glibc"], found["libraries"]) == (True, None, [])


def test_glibc_is_told_as_a_number_or_not_at_all(monkeypatch):
    assert tuple(map(int, elf.glibc().split("."))) >= (2, 17)
    for answer in (None, "", "glibc", "musl 1.2", "glibc 2.x"):
        monkeypatch.setattr(os, "confstr", lambda name, answer=answer: answer)
        assert elf.glibc() is None
