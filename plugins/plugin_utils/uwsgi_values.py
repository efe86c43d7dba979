"""Values of uWSGI's options that it would read as something else than they say: refused, with what to write."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from .problem import Problems
from .uwsgi_meanings import UNIT_OF

# How its own unit may be written beside a number: uWSGI reads what is meant.
_OWN = {
    "bytes": ("b", "byte", "bytes"),
    "seconds": ("s", "sec", "secs", "second", "seconds"),
    "milliseconds": ("ms", "millisecond", "milliseconds"),
    "megabytes": ("m", "mb", "mib", "megabyte", "megabytes"),
    "kilobytes": ("k", "kb", "kib", "kilobyte", "kilobytes"),
}
_KILO = {"k": 1, "kb": 1, "kib": 1, "m": 2, "mb": 2, "mib": 2, "g": 3, "gb": 3, "gib": 3}
_TIMES = {"ms": 1, "s": 1000, "sec": 1000, "m": 60_000, "min": 60_000, "h": 3_600_000, "d": 86_400_000}
_TIMES |= {"minute": 60_000, "minutes": 60_000, "hour": 3_600_000, "hours": 3_600_000, "day": 86_400_000}
_BASE = {"bytes": 0, "kilobytes": 1, "megabytes": 2}
_NUMBER = re.compile(r"(\d+)([.]\d+)?\s*([A-Za-z]*)\Z")
# Modes of files.
_MODES = {"chmod", "chmod-socket", "logfile-chmod"}
_OFF = ("false", "no", "off")
_FIRST = re.compile(r"-?\d*")
# What stands for another text, which uWSGI puts in first.
_STANDS_FOR = re.compile(r"[$@%]")


def _in_unit(number: int, word: str, unit: str) -> int | None:
    """What was meant, in the option's own unit; None where nobody can tell or nothing whole comes of it."""
    if unit in _BASE:
        power = _KILO.get(word, 0) - _BASE[unit]
        return number * 1024**power if word in _KILO and power >= 0 else None
    factor = 1000 if unit == "seconds" else 1
    found, rest = divmod(number * _TIMES.get(word, 0), factor)
    return found if found and not rest else None


def _is_lost_octal(name: str, value: Any) -> bool:
    """Whether uWSGI would take for another mode what YAML has read by eights and written by tens."""
    if isinstance(value, bool) or not isinstance(value, int):
        return False
    # 0600 to 0777 are 384 to 511 to YAML; no owner of a socket or a log has less than 6.
    return (name == "umask" and value != 0) or (name in _MODES and str(value)[0] not in "67")


def check(app: Mapping[str, Any], path: str, problems: Problems) -> None:
    for name, value in app["options"].items():
        for index, item in enumerate(value if isinstance(value, list) else [value]):
            where = f"{path}.options.{name}" + (f"[{index}]" if isinstance(value, list) else "")
            if isinstance(item, (Mapping, list)):
                message = "is not one text, which an option of uWSGI takes"
                problems.add(where, message, "write it as in the ini, such as a=b; a list repeats the option")
                continue
            if _is_lost_octal(str(name).replace("_", "-"), item):
                message = f"is the number {item}, and may have been {item:04o}, of which YAML makes {item}"
                problems.add(where, message, "put it in quotes, such as '660' for a mode or '0027' for a umask")
            unit, text = UNIT_OF.get(str(name).replace("_", "-")), str(item).strip()
            # What is off is 0 to uWSGI, as it is meant.
            if not unit or item is None or not text or text.lower() in _OFF or _STANDS_FOR.search(text):
                continue
            found = _NUMBER.match(text)
            word = found[3].lower() if found else ""
            if re.fullmatch(r"-?\d+", text) or (found and not found[2] and word in _OWN[unit]):
                continue
            meant = _in_unit(int(found[1]), word, unit) if found and not found[2] else None
            hint = f"write {meant}" if meant is not None else f"write a number of {unit}"
            read = (_FIRST.match(text) or [""])[0].strip("-") or "0"
            more = "knows no other unit here" if word else "reads no more of it"
            problems.add(where, f"{item!r} is {read} {unit} to uWSGI, which {more}", hint)
