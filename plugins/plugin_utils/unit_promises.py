"""What in [Service] breaks a promise some time after a green play: the service is ended, left down, or never ends.

What KillMode, KillSignal, SendSIGKILL, the limits of time and WatchdogSec do was seen with systemd 252; of Restart,
RemainAfterExit and Type it is what systemd.service(5) says. What a play itself would find out, such as a start that
takes too long, stays the user's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from .problem import Problem
from .text_values import items

_UNITS = {
    **dict.fromkeys(("us", "usec", "µs"), 1e-6),
    **dict.fromkeys(("ms", "msec"), 1e-3),
    **dict.fromkeys(("", "s", "sec", "second", "seconds"), 1.0),
    **dict.fromkeys(("m", "min", "minute", "minutes"), 60.0),
    **dict.fromkeys(("h", "hr", "hour", "hours"), 3600.0),
    **dict.fromkeys(("d", "day", "days"), 86400.0),
    **dict.fromkeys(("w", "week", "weeks"), 604800.0),
}
_PART = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([a-zµ]*)")
# Seconds that any request must have when an instance is stopped.
_LEAST = 5
OUT = "leave it out"


def seconds(text: str) -> float | None:
    """What systemd takes a span of time for; None for what never ends (0 and infinity) and for what is none."""
    found, at = 0.0, 0
    while at < len(text.rstrip()):
        part = _PART.match(text, at)
        if not part or part[2] not in _UNITS:
            return None
        found, at = found + float(part[1]) * _UNITS[part[2]], part.end()
    return found or None


def _is(*words: str) -> Callable[[str], bool]:
    return lambda text: text.strip().lower() in words


def _but(*words: str) -> Callable[[str], bool]:
    """Neither empty, which is systemd's own, nor one of these."""
    return lambda text: bool(text.strip()) and text.strip() not in words


def _some(text: str) -> bool:
    return seconds(text) is not None


def _short(text: str) -> bool:
    return (seconds(text) or _LEAST) < _LEAST


class Row(NamedTuple):
    """A directive, which of its values break what, and what to write."""

    name: str
    breaks: Callable[[str], bool]
    message: str
    hint: str


_NO, _YES = _is("no", "false", "off", "0", "n", "f"), _is("yes", "true", "on", "1", "y", "t")
_EVERY: list[Row] = [
    Row("RuntimeMaxSec", _some, "ends the service after that time, and loses what comes until it is back", OUT),
    Row("RemainAfterExit", _YES, "calls the service active once it has ended, so that nothing starts it again", OUT),
    Row(
        "Restart",
        lambda text: _NO(text) or _is("on-success", "on-watchdog")(text),
        "leaves the service down once it was killed or has crashed",
        "leave it out, or write on-failure or always",
    ),
    Row("SendSIGKILL", _NO, "leaves processes of an older release running that hang when they are to end", OUT),
]
_NONE = Row("KillMode", _is("none"), "ends none of its processes, so that those of older releases run on", OUT)
# Neither uWSGI nor nginx tells systemd that it lives.
_WATCHDOG = Row("WatchdogSec", _some, "kills it again and again, since it never says to systemd that it lives", OUT)
_UWSGI: list[Row] = [
    Row("KillMode", _is("control-group"), "tells the workers to end as well, which cuts off their requests", OUT),
    Row("KillMode", _is("process"), "leaves workers running that are still at a request when the time is up", OUT),
    Row("KillSignal", _but("SIGTERM", "TERM", "15"), "is no signal by which uWSGI lets its requests finish", OUT),
    Row(
        "Type",
        _is("forking", "oneshot", "dbus", "notify-reload"),
        "is not how uWSGI starts, which tells systemd when it is ready and stays its child",
        OUT,
    ),
    _WATCHDOG,
    *[
        Row(name, _short, "cuts off requests that take longer when it is stopped", f"write {_LEAST} or more")
        for name in ("TimeoutStopSec", "TimeoutSec")
    ],
]
_NGINX: list[Row] = [
    Row("Type", _but("forking"), "is not how nginx starts, and systemd would lose it at its first upgrade", OUT),
    _WATCHDOG,
]


def _check(variable: str, options: Mapping[str, Any], rows: list[Row], problems: list[Problem]) -> None:
    for row in rows:
        for item in items(options.get(row.name)):
            text = ("no", "yes")[item] if isinstance(item, bool) else "" if item is None else str(item)
            if row.breaks(text):
                problems.append(Problem(f"{variable}.{row.name}", f"{text!r} {row.message}", row.hint))


def check_uwsgi(variable: str, options: Mapping[str, Any], problems: list[Problem]) -> None:
    """Refuse what breaks one for an instance; what starts in the place of uWSGI has ways of its own."""
    own = [item for item in items(options.get("ExecStart")) if item]
    _check(variable, options, [*_EVERY, _NONE, *([] if own else _UWSGI)], problems)


def check_nginx(variable: str, options: Mapping[str, Any], problems: list[Problem]) -> None:
    _check(variable, options, [*_EVERY, _NONE, *_NGINX], problems)
