# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What an application's log says of one request: its traceback, or what is wrong with the callable itself."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import re
import time

from ansible_collections.graceful.wsgi.plugins.module_utils import journal
from ansible_collections.graceful.wsgi.plugins.module_utils.log_files import said_after, size

# uWSGI's own line of a request, and what it says as an instance comes and goes.
NOISE = re.compile(r"^(\[pid: \d+\|app: |WSGI app \d+ \(mountpoint=|\*\*\* uWSGI|SIGINT/SIGTERM|goodbye to uWSGI)")
TRACEBACK = re.compile(r"^\s*(\+ )?(Exception Group )?Traceback \(most recent call last\):")
LINKED = re.compile(r"^(During handling of the above exception|The above exception was the direct cause)")
# Whoever calls the callable wrongly is uWSGI, in C: Python then tells of no frame, and there is no traceback.
BARE = re.compile(r"^TypeError: (.*)$")
UNHANDLED = re.compile(r"^\[ERROR\] Unhandled object from iterator: (.{0,60})")
# A deep recursion fills pages; its ends say all.
HEAD, TAIL = 8, 40
# How much of a journal is looked at.
MOST = 1 << 18
# Through the master's pipe a line may come later than the answer.
LATE = 1.0
ASGI = (
    "run it under an ASGI server (uvicorn, hypercorn) and lead a location to that with proxy_pass, or make a WSGI"
    " application of it in the code: a2wsgi's ASGIMiddleware(%s), with a2wsgi among the requirements"
)


def lines_of(text):
    """The lines of a log less what uWSGI says of each request."""
    return [line for line in text.splitlines() if not NOISE.match(line)]


def _end(lines, start):
    """Where the traceback that begins at this line ends; None where another one or the end of the text cuts it off."""
    number = start + 1
    while number < len(lines) and (lines[number][:1] in (" ", "\t") or not lines[number]):
        number += 1
    # The exception itself, in one line. Of two workers that fail at once the lines are mixed.
    if number == start + 1 or number >= len(lines) or TRACEBACK.match(lines[number]):
        return None
    number += 1
    follows = number
    while follows < len(lines) and not lines[follows]:
        follows += 1
    if follows < len(lines) and LINKED.match(lines[follows]):
        for more in range(follows + 1, min(follows + 4, len(lines))):
            if TRACEBACK.match(lines[more]):
                return _end(lines, more) or number
    return number


def traceback(text, path=None):
    """The traceback of a request for this path, or else the first one; empty where there is none."""
    lines, found, number = lines_of(text), [], 0
    while number < len(lines):
        if TRACEBACK.match(lines[number]):
            end = _end(lines, number)
            if end is None:
                number += 1
                continue
            # What a framework says of the request stands in the line before.
            named = path is not None and number > 0 and path in re.split(r"[\s\[\]'\"?]+", lines[number - 1])
            found.append((not named, number, lines[number:end]))
            number = end
        else:
            number += 1
    if not found:
        return ""
    chosen = min(found)[2]
    if len(chosen) > HEAD + TAIL:
        chosen = chosen[:HEAD] + ["  [...]"] + chosen[-TAIL:]
    return "\n".join(line.rstrip() for line in chosen)


def callable_fault(text, name):
    """What keeps this callable from being a WSGI application, by what uWSGI said as it called it; None if nothing does.

    ``name``: module:callable.
    """
    lines = lines_of(text)
    for number, line in enumerate(lines):
        found = BARE.match(line)
        if found and not (number and lines[number - 1][:1] in (" ", "\t")):
            fault = _type_error(found.group(1), name)
            if fault:
                return fault
        found = UNHANDLED.match(line)
        if found:
            return "%s yields something else than bytes (%s); encode() it" % (name, found.group(1))
    return None


def _type_error(message, name):
    if re.search(r"object is not callable", message):
        return "%s cannot be called (%s): let callable name the WSGI application itself" % (name, message)
    if re.search(r"'(coroutine|async_generator)' object is not iterable", message):
        cure = ASGI % name.rpartition(":")[2]
        return "%s is asynchronous, and WSGI awaits nothing (%s): %s" % (name, message, cure)
    if re.search(r"missing \d+ required positional", message):
        cure = ASGI % name.rpartition(":")[2]
        text = "%s is an ASGI application, or at least none of WSGI, which gives two arguments (%s): %s"
        return text % (name, message, cure)
    if re.search(r"takes (no|exactly|at most|at least|from|\d+) .*argument", message):
        text = (
            "%s takes other arguments than WSGI's environ and start_response (%s): of a factory let the module keep"
            " what it makes (app = create_app()), and name that with callable; of an ASGI application, %s"
        )
        return text % (name, message, ASGI % name.rpartition(":")[2])
    if "'NoneType' object is not iterable" in message:
        return "%s returns None: return a list of bytes, as WSGI wants it (a return is missing)" % name
    if "object is not iterable" in message:
        text = "%s returns no list of bytes (%s); of a factory name what it makes (app = create_app()) with callable"
        return text % (name, message)
    return None


class Logs:
    """What some logs say from now on. ``paths``: files; ``units``: whose journal is looked at."""

    def __init__(self, paths, units=()):
        self.units = list(units)
        self.before = [(path, size(path)) for path in paths]
        self.since = int(time.time())

    def read(self):
        """All that was said."""
        said = [said_after(path, before) for path, before in self.before]
        for unit in self.units:
            said.append("\n".join(journal.lines_since(self.since, "--unit=" + unit))[-MOST:])
        return "\n".join(said)

    def cause(self, path, late=LATE):
        """The traceback of a request for this path, or the last lines that say something; waits for them a moment."""
        limit = time.time() + late
        while True:
            text = self.read()
            found = traceback(text, path)
            if found or time.time() > limit:
                return found or "\n".join(lines_of(text)[-5:])
            time.sleep(0.1)
