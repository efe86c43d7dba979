"""What is known of nginx's releases: until when a branch had fixes, and faults that this plan's own directives reach.

From nginx's list of security advisories and the dates of its releases. A fault of what nothing here writes (mp4, dav,
mail, HTTP/3, SSI, charset_map, slice, grpc) is not listed: whoever writes that reads those advisories himself.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from .known_releases import DATA
from .problem import Problem

# A branch ends with the first release of the next stable one.
ENDED: dict[tuple[int, ...], str] = {
    tuple(int(part) for part in branch.split(".")): ended for branch, ended in DATA["mended_until"]["nginx"].items()
}
SUPPORT = "support"


class Fault(NamedTuple):
    """A fault in nginx: since when, the first release of each branch in which it is fixed, and what reaches it."""

    name: str
    since: tuple[int, ...]
    fixed: tuple[tuple[int, ...], ...]
    message: str


FAULTS = (
    Fault(
        "CVE-2026-42945",
        (0, 6, 27),
        ((1, 30, 1), (1, 31, 0)),
        "memory is overwritten by `rewrite` with captures (proxy_pass with a path), which has been exploited",
    ),
    Fault(
        "CVE-2026-9256",
        (0, 1, 17),
        ((1, 30, 2), (1, 31, 1)),
        "memory is overwritten by `rewrite` with captures that overlap (options of yours)",
    ),
    Fault(
        "CVE-2026-42533",
        (0, 9, 6),
        ((1, 30, 4), (1, 31, 3)),
        "memory is overwritten where a `map` with regexes is used beside captures (each site's port and headers)",
    ),
    Fault(
        "CVE-2026-42946",
        (0, 8, 42),
        ((1, 30, 1), (1, 31, 0)),
        "an application's answer over the uwsgi protocol lets memory be read",
    ),
    Fault(
        "CVE-2026-1642",
        (1, 3, 0),
        ((1, 28, 2), (1, 29, 5)),
        "whoever is on the way to an https:// upstream can put plain text into its answers (proxy_pass)",
    ),
    Fault(
        "CVE-2025-23419",
        (1, 11, 4),
        ((1, 26, 3), (1, 27, 4)),
        "a TLS session of one site passes by another's client certificates (ssl_verify_client in options)",
    ),
)


def numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])


def has(version: tuple[int, ...], fault: Fault) -> bool:
    """Whether this release has the fault: it is older than the fix in its branch, or its branch never got one."""
    if version < fault.since or version >= fault.fixed[-1]:
        return False
    return not any(version[:2] == fixed[:2] and version >= fixed for fixed in fault.fixed)


def _fixes(fault: Fault) -> str:
    return " and ".join(".".join(map(str, fixed)) for fixed in fault.fixed)


def check(values: Mapping[str, Any], problems: list[Problem]) -> None:
    known = [SUPPORT, *(fault.name for fault in FAULTS)]
    for index, name in enumerate(values["nginx_accepted_faults"]):
        if name not in known:
            hint = f"write names out of: {', '.join(known)}"
            problems.append(Problem(f"nginx_accepted_faults[{index}]", f"{name!r} is no fault known here", hint))


def warnings(values: Mapping[str, Any], newest: str) -> list[str]:
    """What to tell at each run of the nginx that is wanted; ``newest``: the release that this role takes by default."""
    version, accepted = numbers(values["nginx_version"]), values["nginx_accepted_faults"]
    found = []
    ended = next((since for branch, since in ENDED.items() if branch == version[:2]), None)
    if ended and SUPPORT not in accepted:
        branch = ".".join(map(str, version[:2]))
        found.append(f"{SUPPORT}: nothing is mended in {branch} since {ended}")
    faults = [fault for fault in FAULTS if fault.name not in accepted and has(version, fault)]
    found += [f"{fault.name}: {fault.message}; fixed in {_fixes(fault)}" for fault in faults]
    if not found:
        return []
    lines = "\n".join(f"- {line}" for line in found)
    message = (
        f"nginx_version {values['nginx_version']} has known faults; take {newest}, or name in nginx_accepted_faults"
    )
    return [f"{message} what is fine with you:\n{lines}"]
