"""How many requests an application serves at once: refuses options by which another number than the stated one counts.

uWSGI (2.0.31) keeps one number of cores and one loop engine: ``gevent``, ``asyncio``, ``tornado`` set both, ``async``
the number and ``loop`` the engine, and whatever comes last in the configuration counts. ``threads`` takes the place of
the number of cores that ``async`` has set. No start fails of any of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from ansible_collections.graceful.wsgi.plugins.module_utils.background import normal

from .problem import Problems
from .uwsgi_meanings import GEVENT_ONLY, LOOPS, SUSPENDERS

# uWSGI takes each variable UWSGI_X of its environment for its option x.
_IN_ENVIRONMENT = re.compile(r"(?:^|[\s\"'])UWSGI_([A-Z0-9_]+)=([^\s\"']*)")
FALSE = ("false", "off", "no", "0")
# Where greenlets end though the kernel would let uWSGI open more files: it lowers their number to the limit in silence.
_LIMIT = re.compile(r"(?:\d+:)?(\d+)\Z")


class Given(NamedTuple):
    """An option of the user's: the variable it stands in, its name as it was written there, and its value."""

    where: str
    written: str
    value: str


def _given(app: Mapping[str, Any], path: str) -> dict[str, Given]:
    """The options by their names as uWSGI lists them, without switches that are off; of several values the last."""
    found = {}
    named = [
        (normal(name.lower()), Given(f"{path}.service_options.Environment", f"UWSGI_{name}", value))
        for item in _items(app["service_options"].get("Environment"))
        for name, value in _IN_ENVIRONMENT.findall(str(item))
    ]
    for written, value in app["options"].items():
        named += [(normal(written), Given(f"{path}.options.{written}", written, _text(item))) for item in _items(value)]
    for name, option in named:
        if name not in (*SUSPENDERS, *GEVENT_ONLY) or option.value.lower() not in FALSE:
            found[name] = option
    return found


def _items(value: Any) -> list[Any]:
    return [item for item in (value if isinstance(value, list) else [value]) if item is not None]


def _text(value: Any) -> str:
    return ("false", "true")[value] if isinstance(value, bool) else str(value).strip()


def _number(text: str) -> str:
    return text if text.isdigit() and int(text) > 1 else "NUMBER"


def _check_gevent(app: Mapping[str, Any], greenlets: int, given: Mapping[str, Given], problems: Problems) -> None:
    key = "gevent" if app["gevent"] else "websocket"
    for name, option in given.items():
        leave = f"leave {option.written} out"
        if name == "async" or (name == "gevent" and option.written != name):
            message = (
                f"sets the number of greenlets once more, and the later one counts: {option.value or 'no'} requests "
            )
            message += f"and sockets at once, not the {greenlets} of {key}"
            problems.add(option.where, message, f"{leave}, or write gevent: {_number(option.value)} beside options")
        elif name in LOOPS or (name == "loop" and option.value != "gevent"):
            engine = option.value if name == "loop" else name
            message = f"has requests served by {engine}, and {key} by gevent: the later one counts"
            problems.add(option.where, message, f"{leave}, or leave {key} out")
        elif name in SUSPENDERS:
            message = f"is for async without a loop engine, and {key} has requests served by gevent"
            problems.add(option.where, message, f"{leave}, or leave {key} out")


def _check_several(app: Mapping[str, Any], given: Mapping[str, Given], problems: Problems) -> None:
    """Options that contradict each other where no gevent is stated beside them."""
    number = given.get("async")
    if "loop" in given and given["loop"].value == "gevent":
        message = "has requests served by gevent, which the role must know of to reload it without a lost request"
        hint = f"write gevent: {_number(number.value if number else '')} beside options"
        leave = " and ".join(option.written for option in (given["loop"], number) if option)
        problems.add(given["loop"].where, message, f"{hint}, and leave {leave} out")
        return
    loops = [given[name] for name in given if name in LOOPS or (name == "loop" and given[name].value != "async")]
    stacks = [given[name] for name in given if name in SUSPENDERS]
    for options, what in ((loops, "serves requests"), (stacks, "switches between requests")):
        for option in options[1:]:
            message = f"{what} in the place of {options[0].written}, and only one of the two counts"
            problems.add(option.where, message, f"leave {options[0].written} or {option.written} out")
    numbered = [given[name] for name in LOOPS if name in given]
    if number and numbered:
        message = f"sets the number that {numbered[0].written} has set, and the later one counts"
        problems.add(number.where, message, f"leave {number.written} out")
    if app["threads"]:
        for option in loops or ([number] if number else []):
            message = f"serves requests in one way, and threads: {app['threads']} in another, whose number then counts"
            problems.add(option.where, message, f"leave {option.written} out, or leave threads out")


def _limits(
    app: Mapping[str, Any], given: Mapping[str, Given], path: str, uwsgi: Mapping[str, Any]
) -> Iterable[tuple[str, Any]]:
    """(variable, limit of open files) of all that hold for the application's processes."""
    own, unit = app["service_options"].get("LimitNOFILE"), uwsgi["uwsgi_unit_options"].get("LimitNOFILE")
    if own is not None:
        yield f"{path}.service_options.LimitNOFILE", own
    elif unit is not None:
        yield "uwsgi_unit_options.LimitNOFILE", unit
    else:
        yield "uwsgi_limit_nofile", uwsgi["uwsgi_limit_nofile"]
    if "max-fd" in given:
        yield given["max-fd"].where, given["max-fd"].value


def check(
    app: Mapping[str, Any], greenlets: int | None, path: str, uwsgi: Mapping[str, Any], problems: Problems
) -> None:
    """Refuse what would have uWSGI serve fewer requests at once than is said, or in another way.

    ``greenlets``: of gevent, stated or by default; ``uwsgi``: the variables of the role uwsgi.
    """
    given = _given(app, path)
    if not greenlets:
        _check_several(app, given, problems)
        for name in GEVENT_ONLY:
            if name in given and "loop" not in given:
                message = "has no effect: requests are not served by gevent"
                problems.add(given[name].where, message, f"state gevent: NUMBER, or leave {given[name].written} out")
        return
    if greenlets == 1:
        problems.add(f"{path}.gevent", "1 is no number of greenlets that uWSGI starts with", "write 2 or more")
    _check_gevent(app, greenlets, given, problems)
    for variable, value in _limits(app, given, path, uwsgi):
        limit = _LIMIT.match(_text(value))
        if limit and 0 < int(limit[1]) <= greenlets:
            message = f"lets a process open {limit[1]} files, of which each of its {greenlets} greenlets takes one"
            problems.add(variable, message, f"write {2 * greenlets} or more, or a gevent below {limit[1]}")
