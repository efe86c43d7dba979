"""When a timer runs, as systemd's OnCalendar has it (systemd.time(7)): what a host's systemd takes."""

from __future__ import annotations

import re

# Since this release a part of a date or a time may be a range, as in 9..17, and Mon..Fri is written with two dots.
RANGES_SINCE = 233
# Since this release another time zone than UTC may stand behind it.
ZONES_SINCE = 235
WORDS = ("minutely", "hourly", "daily", "weekly", "monthly", "quarterly", "semiannually", "yearly", "annually")
EXAMPLE = "write daily, 'Mon..Fri 03:30', '*-*-1 04:00' or '*:0/15', as systemd's OnCalendar has it"

_DAY = r"(?:mon(?:day)?|tue(?:sday)?|wed(?:nesday)?|thu(?:rsday)?|fri(?:day)?|sat(?:urday)?|sun(?:day)?)"
_DAYS = re.compile(rf"{_DAY}(?:(?:\.\.|-){_DAY})?(?:,{_DAY}(?:(?:\.\.|-){_DAY})?)*,?\Z", re.IGNORECASE)
_ONE = r"(?:\*|\d{1,4}(?:\.\.\d{1,4})?)(?:/\d{1,4})?"
_PART = rf"{_ONE}(?:,{_ONE})*"
_DATE = re.compile(rf"(?:({_PART})-)?({_PART})-({_PART})\Z")
_TIME = re.compile(rf"({_PART}):({_PART})(?::({_PART}))?\Z")
_CRON = re.compile(r"[\d*/,-]+(\s+[\d*/,-]+){4}\Z")
# The lowest and the highest of each part.
_OF_DATE = (("year", 1970, 2199), ("month", 1, 12), ("day", 1, 31))
_DAYS_OF = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_OF_TIME = (("hour", 0, 23), ("minute", 0, 59), ("second", 0, 59))


def _out_of_range(found: re.Match[str], limits: tuple[tuple[str, int, int], ...]) -> str | None:
    """What no calendar and no clock has."""
    for text, (name, lowest, highest) in zip(found.groups(), limits, strict=True):
        for one in (text or "*").split(","):
            start, _slash, step = one.partition("/")
            for number in start.split(".."):
                if number != "*" and not lowest <= int(number) <= highest:
                    return f"there is no {name} {number}"
            if step and not 1 <= int(step) <= highest:
                return f"every {step} {name}s is no step"
    return None


def _numbers(text: str) -> list[int] | None:
    """The numbers that a part may have, by its ranges; None where it may have any."""
    if "*" in text or "/" in text:
        return None
    bounds = [one.split("..") for one in text.split(",")]
    return [number for one in bounds for number in range(int(one[0]), int(one[-1]) + 1)]


def _never(date: re.Match[str]) -> str | None:
    """What no year has, though each part of it is there: systemd takes it, and the timer never runs."""
    months, days = _numbers(date[2]), _numbers(date[3])
    if months and days and min(days) > max(_DAYS_OF[month - 1] for month in months):
        return f"no month {date[2]} has a day {min(days)}, so that it would never run"
    return None


def wrong(schedule: str, systemd: int | None) -> str | None:
    """Why no timer can be made of it; None for nothing. ``systemd``: the host's, None where nobody knows it."""
    if schedule.lower() in WORDS:
        return None
    if _CRON.match(schedule):
        return f"{schedule!r} is written as cron has it"
    words, old = schedule.split(), systemd is not None and systemd < RANGES_SINCE
    zone = words.pop() if len(words) > 1 and re.match(r"[A-Za-z]+(/[A-Za-z_/+-]+)?\Z", words[-1]) else None
    if zone and zone != "UTC" and systemd is not None and systemd < ZONES_SINCE:
        return f"systemd {systemd} knows no time zone but its own and UTC"
    rest = words[1:] if words and _DAYS.match(words[0]) else words
    shapes = [(_DATE, _OF_DATE), (_TIME, _OF_TIME)]
    for word in rest:
        found = next(((shape.match(word), limits) for shape, limits in shapes if shape.match(word)), None)
        if found is None:
            return f"{schedule!r} is no time of systemd's"
        # A date stands before a time, and each once.
        shapes = shapes[[limits for _shape, limits in shapes].index(found[1]) + 1 :]
        why = _out_of_range(found[0], found[1]) if found[0] else None
        if not why and found[0] and found[1] is _OF_DATE:
            why = _never(found[0])
        if why:
            return why
        if ".." in word and old:
            return f"systemd {systemd} knows no range of numbers, as in {word}; write them one by one, as in 9,10,11"
    return None if words else f"{schedule!r} is no time of systemd's"


def emitted(schedule: str) -> str:
    """As every systemd reads it: with one dash between two days of the week."""
    head, blank, rest = schedule.partition(" ")
    return (head.replace("..", "-") if _DAYS.match(head) else head) + blank + rest
