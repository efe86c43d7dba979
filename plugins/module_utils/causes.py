# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One message for each cause: fifty applications that fail for one reason are named, and the reason is told once."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import re

from ansible_collections.graceful.wsgi.plugins.module_utils import build_failure

# What uWSGI says of every application that did not load; behind a traceback it is no news.
_NOISE = re.compile(
    r"(\w{3} \w{3} +\d+ [\d:]+ \d{4} - )?(unable to load app \d+ |\*\*\* no app loaded|VACUUM: |goodbye to uWSGI"
    r"|OOPS ! failed loading app|need-app requested|SIGINT/SIGTERM received|worker \d+ buried|DAMN ! worker)"
)
_EXCEPTION = re.compile(r"^[A-Za-z_][\w.]*(?:Error|Exception|Exit|NotFound|Interrupt)(?::.*)?$", re.MULTILINE)
# What is to be written, by the variable.
_HINT = re.compile(r"^(?:requirements|module|callable|pythonpath|virtualenv): .*$", re.MULTILINE)
# What code says that ends by itself.
_ENDED = re.compile(r"^(?:Error|Fatal|FATAL|CRITICAL): .*$", re.MULTILINE)
# The head of build_failure.message().
_TOLD = re.compile(r" failed \(status -?\d+\): (.+?):?$")
# What differs between applications that fail for one reason: releases and digests, addresses; processes and times.
_PARTICULAR = re.compile(r"0x[0-9a-f]+|\b[0-9a-f]{12,}\b")
_NUMBER = re.compile(r"\d+")


def exception(text):
    """The last line of a text's last traceback, such as ``KeyError: 'TOKEN'``; empty where it holds none.

    What uWSGI itself fails to import it tells without a traceback.
    """
    lines = text.splitlines()
    starts = [number for number, line in enumerate(lines) if line.startswith("Traceback ")]
    source = False
    for line in lines[starts[-1] + 1:] if starts else []:
        # The journal of an old systemd has lines without the blanks at their left: a frame, then its line of code.
        frame = line.startswith('File "')
        code, source = source and not _EXCEPTION.match(line), frame
        if line and not line[0].isspace() and not frame and not code and line.strip("^~"):
            return line.strip()
    found = None if starts else _EXCEPTION.search(text)
    return found.group(0) if found else ""


def _cause(text, head=""):
    """The line that says why: of Python's, or of pip's, and of what pip has built."""
    if " -m pip " in head:
        told = _TOLD.search(head)
        return told.group(1) if told else build_failure.cause(text)
    errors = re.findall(r"^ERROR: .*$", text, re.MULTILINE)
    # Where there is no such callable, or code ends by itself (sys.exit), there is no traceback.
    return exception(text) or ([""] + _ENDED.findall(text) + _HINT.findall(text) + errors)[-1]


def without_noise(text):
    """What a program said, less the lines of uWSGI that tell no more than the traceback before them."""
    if not exception(text):
        return text
    return "\n".join(line for line in text.splitlines() if not _NOISE.match(line))


def _split(text):
    """What went wrong in one line, and what was said of it."""
    head, _newline, body = text.partition("\n")
    cause = _cause(body, head)
    head = head.rstrip().rstrip(":")
    return ("%s (%s)" % (head, cause) if cause and cause not in head else head), without_noise(body).strip("\n")


def _alike(name, text):
    """Two texts of which one is the same for all applications that fail for one reason."""
    # A name may hold digits, and be a word that all of them have.
    pattern = re.compile(r"(?<![A-Za-z0-9])%s(?![A-Za-z0-9])" % re.escape(name))
    return [_reason(pattern.sub("NAME", text)), _reason(text)]


def _reason(text):
    head, body = _split(text)
    cause = _cause(body, head)
    # By their own modules and folders alone two tracebacks of one reason differ, and by how soon uWSGI ends; what is
    # to be written may differ though.
    if cause:
        words = "\n".join([cause] + _HINT.findall(body)[-1:])
    else:
        words = _NUMBER.sub("N", _PARTICULAR.sub("N", "\n".join([head, body])))
    return _PARTICULAR.sub("N", words)


def message(failures):
    """What failed, told once for each cause. ``failures``: [(name of an application, why)], both text.

    Its first line alone says which applications failed and why.
    """
    groups, known = [], {}
    for name, text in sorted(failures):
        alike = _alike(name, text)
        members = next((known[key] for key in alike if key in known), None)
        if members is None:
            members = []
            groups.append(members)
        members.append((name, text))
        for key in alike:
            known.setdefault(key, members)
    heads, bodies = [], []
    for members in groups:
        first, text = members[0]
        head, body = _split(text)
        heads.append("%s: %s" % (", ".join(name for name, _text in members), head))
        if body and len(members) > 1:
            body = "%s says:\n%s" % (first, body)
        bodies.append(body)
    if len(heads) == 1:
        return "\n".join(part for part in (heads[0], bodies[0]) if part)
    parts = ["; ".join(heads)]
    parts += ["\n%s\n%s" % (head, bodies[number]) for number, head in enumerate(heads) if bodies[number]]
    return "\n".join(parts)
