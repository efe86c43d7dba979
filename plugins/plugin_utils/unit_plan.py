"""The [Service] section of a unit: what a host's systemd knows of a table of directives, and what a user adds."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from .problem import Problem

# The oldest systemd that units are written for, and what is assumed where the host's is not known.
OLDEST = 219
# Since this release a filter answers a system call that is newer than itself with "not implemented", on which programs
# fall back to an older one; before, with the filter's own error, on which they give up.
FILTER_SINCE = 247

# What neither nginx nor an application needs: directive, value, and the systemd that first knew it (its NEWS).
CONFINED: list[tuple[str, str, int]] = [
    ("RestrictRealtime", "yes", 231),
    ("ProtectKernelTunables", "yes", 232),
    ("ProtectKernelModules", "yes", 232),
    ("ProtectControlGroups", "yes", 232),
    ("RestrictNamespaces", "yes", 233),
    ("LockPersonality", "yes", 235),
    ("ProtectHostname", "yes", 242),
    ("RestrictSUIDSGID", "yes", 242),
    ("ProtectKernelLogs", "yes", 244),
    ("ProtectClock", "yes", 245),
]

_CAPABILITY = re.compile(r"CAP_[A-Z_]+")
_SYSTEM_CALL = re.compile(r"@?[a-z0-9_-]+")
_FAMILY = re.compile(r"AF_[A-Z0-9]+")


# systemd drops what stands in [Service] and belongs elsewhere, and says so in the journal only.
_ELSEWHERE = re.compile(
    r"(After|Before|Wants|Requires|Requisite|BindsTo|PartOf|Upholds|Conflicts|OnFailure|OnSuccess|Description"
    r"|Documentation|DefaultDependencies|StopWhenUnneeded|RefuseManualSt(art|op)|JoinsNamespaceOf|RequiresMountsFor"
    r"|PropagatesReloadTo|ReloadPropagatedFrom|PropagatesStopTo|StopPropagatedFrom|On(Failure|Success)JobMode"
    r"|WantsMountsFor|IgnoreOnIsolate|AllowIsolate|CollectMode|SourcePath|Job[A-Z].*|SuccessAction"
    r"|StartLimitIntervalSec|(Condition|Assert)[A-Z].*|WantedBy|RequiredBy|UpheldBy|DefaultInstance|Alias|Also)\Z"
)

# Modes of files, which systemd reads by eights.
_MODES = re.compile(r"UMask\Z|[A-Za-z]+Mode\Z")


def check_options(variable: str, options: Mapping[str, Any], problems: list[Problem]) -> None:
    """Refuse what would not be one line of a unit each."""
    for name, value in options.items():
        if not re.fullmatch(r"[A-Z][A-Za-z0-9]*", name):
            problems.append(Problem(f"{variable}.{name}", "is no systemd directive", "write e.g. LimitCORE: infinity"))
        elif _ELSEWHERE.match(name):
            message = "stands in another section of a unit than [Service], and systemd would drop it"
            problems.append(Problem(f"{variable}.{name}", message, "put it into a drop-in of your own for this unit"))
        for item in value if isinstance(value, list) else [value]:
            if _MODES.match(name) and isinstance(item, int) and not isinstance(item, bool) and item:
                # 0077 and 0o77 are 63 to YAML, and systemd would take that for 0063.
                message = f"is the number {item}, and may have been {item:04o}, of which YAML makes {item}"
                problems.append(Problem(f"{variable}.{name}", message, "put it in quotes, such as '0027'"))
            if isinstance(item, (dict, list)) or "\n" in str(item):
                message = "is not one line of text"
                problems.append(Problem(f"{variable}.{name}", message, "write text, or a list of texts"))


def _check_words(
    variable: str, words: Iterable[str], form: re.Pattern[str], message: str, hint: str, problems: list[Problem]
) -> None:
    for index, word in enumerate(words):
        if not form.fullmatch(word):
            problems.append(Problem(f"{variable}[{index}]", f"{word!r} is no {message}", hint))


def check_capabilities(variable: str, words: Iterable[str], problems: list[Problem]) -> None:
    _check_words(variable, words, _CAPABILITY, "capability", "write e.g. CAP_NET_RAW", problems)


def check_system_calls(variable: str, words: Iterable[str], problems: list[Problem]) -> None:
    message = "system call, nor a group of them"
    _check_words(variable, words, _SYSTEM_CALL, message, "write e.g. '@debug' or ptrace", problems)


def check_families(variable: str, words: Iterable[str], problems: list[Problem]) -> None:
    _check_words(variable, words, _FAMILY, "family of addresses", "write e.g. AF_CAN", problems)


def system_calls(words: Iterable[str]) -> list[tuple[str, str, int]]:
    """The rows that let only these through; none where the list is empty."""
    allowed = " ".join(words)
    if not allowed:
        return []
    # An error that programs know, in the place of a signal that ends them.
    return [("SystemCallFilter", allowed, FILTER_SINCE), ("SystemCallErrorNumber", "EPERM", FILTER_SINCE)]


def known(
    table: Iterable[tuple[str, str, int]], systemd: int | None, left_out: Collection[str] = ()
) -> list[tuple[str, str]]:
    """The rows of a table (directive, value, the systemd that first knew it) that this host's systemd knows."""
    return [(name, value) for name, value, first in table if first <= (systemd or OLDEST) and name not in left_out]


def with_options(
    lines: Iterable[tuple[str, str]], options: Mapping[str, Any], added: Collection[str] = ()
) -> list[list[str]]:
    """The lines with the user's directives in the place of those of the same name; ``added``: beside them."""
    found = [[name, value] for name, value in lines if name not in options or name in added]
    for name, value in options.items():
        for item in value if isinstance(value, list) else [value]:
            if item is not None:
                found.append([name, ("no", "yes")[item] if isinstance(item, bool) else str(item)])
    return found


def checks(variable: str, options: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What only the host's systemd can tell of a user's directives, as module_utils/unit_checks.py takes it."""
    # A directive of null is left out, or empties a list; neither can be wrong.
    lines = [line for line in with_options([], options) if line[1]]
    return [{"kind": "unit_directives", "variable": variable, "lines": lines}] if lines else []
