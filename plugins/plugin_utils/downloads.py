"""What is downloaded: from where, under which name, and with which known checksum."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from .known_releases import DATA
from .problem import Problem

# From Debian's signed source index; zlib's, which Debian repacks, as distributions pin it; zig's and uv's from PyPI's
# index.
CHECKSUMS: dict[str, str] = DATA["sha256"]

# The first of the places that are known: those of a mirror's user are said in nginx_urls and nginx_mirror.
UPSTREAM: dict[str, str] = {name: places[0] for name, places in DATA["places"].items()}

# The platforms in the names of zig's wheels; the middle one is what every pip knows.
ZIG_WHEELS = {
    "x86_64": ("manylinux_2_12_x86_64", "manylinux2010_x86_64", "musllinux_1_1_x86_64"),
    "aarch64": ("manylinux_2_17_aarch64", "manylinux2014_aarch64", "musllinux_1_1_aarch64"),
}

# By architecture the platform that pip is asked for, and the end of the name of uv's wheel. Linked to no C library, it
# runs on any Linux.
UV_WHEELS = {
    "x86_64": ("musllinux_1_1_x86_64", "py3-none-musllinux_1_1_x86_64"),
    "aarch64": (
        "musllinux_1_1_aarch64",
        "py3-none-manylinux_2_17_aarch64.manylinux2014_aarch64.musllinux_1_1_aarch64",
    ),
}

_SHA256 = re.compile(r"[0-9a-f]{64}")


def zig_wheel(version: str, arch: str) -> str:
    """The name that zig's wheel bears on PyPI."""
    return f"ziglang-{version}-py3-none-{'.'.join(ZIG_WHEELS[arch])}.whl"


def uv_wheel(version: str, arch: str) -> str:
    """The name that uv's wheel bears on PyPI."""
    return f"uv-{version}-{UV_WHEELS[arch][1]}.whl"


def stated(
    variable: str, checksums: Mapping[str, Any], release: re.Pattern[str], hint: str, problems: list[Problem]
) -> dict[str, str]:
    """The checksums that a variable states, by release; what is no release or no checksum is refused.

    ``release``: how the name of one looks; ``hint``: how to write it.
    """
    found = {}
    for key, checksum in checksums.items():
        path = f"{variable}.{key}"
        if not release.fullmatch(key):
            problems.append(Problem(path, "is no name of a release", hint))
        elif not isinstance(checksum, str) or not _SHA256.fullmatch(checksum.lower()):
            problems.append(Problem(path, f"{checksum!r} is no sha256", "write its 64 hexadecimal digits in quotes"))
        else:
            found[key] = checksum.lower()
    return found


def checksum_of(release: str, given: Mapping[str, Any]) -> str:
    """The checksum of a release: as it is stated, else as it is known here; empty where neither."""
    return str(given.get(release) or CHECKSUMS.get(release) or "").lower()
