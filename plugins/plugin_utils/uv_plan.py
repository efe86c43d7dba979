"""uv, by which virtualenvs are filled: which wheel of it, by what checksum, and where it comes from.

uv is one static program in a wheel, fetched from the index, the mirror or the folder that everything comes from, or
brought by the controller, and held to its checksum before root puts it where the accounts that build can run it.
"""

from __future__ import annotations

import re
from typing import Any

from . import kit_plan
from .downloads import UV_WHEELS, checksum_of, stated, uv_wheel
from .model import UvWheel
from .problem import Problem

VERSION = "0.13.9"
_VERSION = re.compile(r"\d+(\.\d+){1,3}")
_RELEASE = re.compile(rf"uv-{_VERSION.pattern}-({'|'.join(UV_WHEELS)})")


def _checksum(values: dict[str, Any], arch: str) -> str:
    return checksum_of(f"uv-{values['publish_uv_version']}-{arch}", values["publish_uv_checksums"])


def check(values: dict[str, Any], host: dict[str, Any]) -> list[Problem]:
    """What is wrong with the variables that say which uv."""
    problems: list[Problem] = []
    hint = "write uv-<version>-<architecture>"
    stated("publish_uv_checksums", values["publish_uv_checksums"], _RELEASE, hint, problems)
    version, arch = values["publish_uv_version"], host.get("arch")
    if not values["publish_uv"] or not version:
        return problems
    if not _VERSION.fullmatch(version):
        hint = f'write it in quotes, e.g. "{VERSION}"'
        problems.append(Problem("publish_uv_version", f"{version!r} is no version", hint))
    elif arch in UV_WHEELS and not _checksum(values, arch):
        release = f"uv-{version}-{arch}"
        hint = f"set publish_uv_checksums['{release}'] to that of {uv_wheel(version, arch)}, or write {VERSION}"
        problems.append(Problem("publish_uv_version", f"no sha256 is known for {release}", hint))
    return problems


def plan(values: dict[str, Any], uwsgi: dict[str, Any], host: dict[str, Any]) -> UvWheel | None:
    """What module_utils/uv_tool.py is to have; None where pip fills virtualenvs.

    ``uwsgi``: the variables of that role, whose index and folder of wheels are asked.
    """
    arch = host.get("arch")
    # Out of a kit pip fills, with what lies in it.
    if not values["publish_uv"] or arch not in UV_WHEELS or kit_plan.publishing(host):
        return None
    version, checksum = values["publish_uv_version"], _checksum(values, arch)
    name = uv_wheel(version, arch)
    files = (host.get("wheels") or {}).get("files", ())
    folder = uwsgi["uwsgi_wheel_dir"] if name in files else ""
    if uwsgi["uwsgi_pip_no_index"] and not folder:
        return None
    return UvWheel(
        sha256=checksum,
        requirement=f"uv=={version} --hash=sha256:{checksum}",
        # The Python that is told is one that the wheel is for; the program runs under none.
        pip=[
            f"--platform={UV_WHEELS[arch][0]}",
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
