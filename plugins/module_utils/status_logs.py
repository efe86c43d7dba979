# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What logs tell of the last hour: answers by nginx's access log, tracebacks by an application's own."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import calendar
import os
import re
import time

from ansible_collections.graceful.wsgi.plugins.module_utils import request_log, safe_path
from ansible_collections.graceful.wsgi.plugins.module_utils.disk import native

# Not more of a log is read, from its end.
MOST = 16 << 20
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
# nginx's own format, combined, and whatever is added behind it.
_ANSWER = re.compile(r'\[(\d\d)/(\w{3})/(\d{4}):(\d\d):(\d\d):(\d\d) ([+-])(\d\d)(\d\d)\] "[^"]*" (\d{3}) ')
# As uWSGI tells a time: [Sat Nov 28 19:45:24 2026], or at the beginning of a line with log-date.
_STAMP = re.compile(r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) (\w{3}) +(\d{1,2}) (\d\d):(\d\d):(\d\d) (\d{4})\b")


def _text(path, since):
    """(text, whether all of it, the time of its last change) of the end of a log; None where it cannot be read."""
    try:
        folder, name = safe_path.split(path)
        with folder:
            handle = folder.open_file(name)
            with os.fdopen(handle, "rb") as source:
                found = os.fstat(source.fileno())
                if found.st_nlink > 1 and not folder.trusted:
                    # A second name for somebody else's file.
                    return None
                if found.st_mtime < since:
                    return "", True, found.st_mtime
                source.seek(max(0, found.st_size - MOST))
                return native(source.read(MOST)), found.st_size <= MOST, found.st_mtime
    except (safe_path.UnsafePath, IOError, OSError):
        return None


def moment(found):
    """The time of a match of a line of an access log, in seconds since 1970."""
    day, month, year, hour, minute, second, sign, hours, minutes = found.groups()[:9]
    if month not in MONTHS:
        return 0
    local = calendar.timegm((int(year), MONTHS.index(month) + 1, int(day), int(hour), int(minute), int(second)))
    return local - (1 if sign == "+" else -1) * (int(hours) * 3600 + int(minutes) * 60)


def answers(paths, since):
    """{requests, errors, whole} since a time, by these access logs and what was rotated since; None where none tells.

    ``errors``: answers of 500 and more; ``whole``: whether the logs were read back to that time.
    """
    told, seen = {"requests": 0, "errors": 0, "whole": True}, False
    for path in paths:
        for name in (path, path + ".1"):
            read = _text(name, since)
            if read is None:
                continue
            text, whole, _when = read
            matches = list(_ANSWER.finditer(text))
            # A format of somebody's own tells nothing here.
            seen = seen or not text.strip() or bool(matches)
            recent = [found for found in matches if moment(found) >= since]
            told["requests"] += len(recent)
            told["errors"] += sum(1 for found in recent if found.group(10) >= "500")
            told["whole"] = told["whole"] and (whole or len(recent) < len(matches))
    return told if seen else None


def _stamp(line):
    found = _STAMP.search(line)
    if not found or found.group(1) not in MONTHS:
        return None
    month, day, hour, minute, second, year = found.groups()
    return time.mktime(
        (int(year), MONTHS.index(month) + 1, int(day), int(hour), int(minute), int(second), 0, 0, -1)
    )


def tracebacks(path, since):
    """How many tracebacks a log has since a time: by the last time that was told before; None where it cannot be said.

    uWSGI tells a time with each request where it logs them, and when it starts.
    """
    count, doubtful, when = 0, 0, None
    read = None
    for name in (path + ".1", path):
        found = _text(name, since)
        read = found or read
        for line in found[0].splitlines() if found else ():
            told = _stamp(line)
            when = told or when
            if request_log.TRACEBACK.match(line):
                if when is None or when < since:
                    doubtful += 1
                else:
                    count += 1
    if read is None:
        return None
    # Of those behind an older time nobody knows whether they are as old.
    return None if doubtful and not count else count
