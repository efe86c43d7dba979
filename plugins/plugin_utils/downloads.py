"""What is downloaded: from where, under which name, and with which known checksum."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from .problem import Problem

# From Debian's signed source index; zlib's, which Debian repacks, as distributions pin it; zig's and uv's from PyPI's
# index.
CHECKSUMS = {
    "nginx-1.30.6": "3cf46f5ed7504d460125866b7bea99fb357f31d887e2e63b35503310e9b8b6c8",
    "nginx-1.26.3": "69ee2b237744036e61d24b836668aad3040dda461fe6f570f1787eab570c75aa",
    "pcre2-10.49": "929f0b20e62879252a15886b06c89f1edef61a363cbd5826fb041080a5e557ae",
    "pcre2-10.46": "8d28d7f2c3b970c3a4bf3776bcbb5adfc923183ce74bc8df1ebaad8c1985bd07",
    "openssl-3.6.5": "a2157c2830efdec3788939b00c9b0638306d3f0bbb76dc4832ee503bb397df98",
    "openssl-3.5.7": "a8c0d28a529ca480f9f36cf5792e2cd21984552a3c8e4aa11a24aa31aeac98e8",
    "openssl-3.5.6": "deae7c80cba99c4b4f940ecadb3c3338b13cb77418409238e57d7f31f2a3b736",
    "zlib-1.3.1": "9a93b2b7dfdac77ceba5a558a580e74667dd6fede4585b91eefb60f03b72df23",
    "zig-0.15.2-x86_64": "806316453d1ede7174ed3fefb8e5348154629089c3bb5fe812dfd0e172fac130",
    "zig-0.15.2-aarch64": "edc0aa60ec964a4cf462d40f68d7de242ddf37fd9a80f2afaee6397059463230",
    "uv-0.13.9-x86_64": "2c45530751517d6c3bbc69a19473f6effe47cce047bede01ffd8af7ea7b36b25",
    "uv-0.13.9-aarch64": "5435c5ce14a56431208ca0996416d310f1598e8c2c8ba707688985a16bb82dbe",
}

UPSTREAM = {
    "nginx": "https://nginx.org/download/{file}",
    "pcre2": "https://github.com/PCRE2Project/pcre2/releases/download/pcre2-{version}/{file}",
    "zlib": "https://zlib.net/fossils/{file}",
    "openssl": "https://github.com/openssl/openssl/releases/download/openssl-{version}/{file}",
}

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
