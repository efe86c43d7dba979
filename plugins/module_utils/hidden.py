# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a diff may show of files that hold secrets: which values there are, and that one changed, never the values."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import re

HIDDEN = "(hidden)"
CHANGED = "(hidden, changed)"

_NAME = re.compile(r"\s*[\"']?([A-Za-z_][A-Za-z0-9_]*)\s*=")
_TEXT = r'"(?:[^"\\]|\\.)*"'
# The option env in uWSGI's languages: what stands before its value, the value, what stands behind it.
_INI = re.compile(r"^([^\S\n]*env[^\S\n]*=)(.*)()$", re.MULTILINE)
_YAML = re.compile(r"^([^\S\n]*[\"']?env[\"']?\s*:[^\S\n]*)([^\n]*(?:\n\s*-[^\n]*)*)()$", re.MULTILINE)
_XML = re.compile(r"(<env>)(.*?)(</env>)", re.DOTALL)
_JSON = re.compile(r'("env"\s*:\s*)(%s|\[(?:\s*%s\s*,?)*\s*\])()' % (_TEXT, _TEXT))
_STRING = re.compile(_TEXT)


def _mark(raw, other):
    """What stands for one NAME=value. ``other``: all such texts of the other side, or None where it has none."""
    found = _NAME.match(raw)
    name = found.group(1) if found else ""
    as_it_was = other is None or raw in other
    known = other is not None and any(_NAME.match(text) and _NAME.match(text).group(1) == name for text in other)
    return "%s%s" % (name + "=" if name else "", CHANGED if known and not as_it_was else HIDDEN)


def _lines(text, other):
    return "".join((line if line.startswith("#") else _mark(line, other)) + "\n" for line in text.splitlines())


def secrets(before, after):
    """Both sides of a file that holds nothing but NAME=value, and comments."""
    return _lines(before, None), _lines(after, before.splitlines())


def _pairs(kind, value):
    """The texts in one value of the option, which may be a list of them."""
    if kind is _JSON:
        return _STRING.findall(value)
    if kind is _YAML and "\n" in value:
        return [line.strip().lstrip("- ") for line in value.splitlines()[1:]]
    return [value.strip()]


def _language(text):
    start = text.lstrip()[:1]
    if start in ("{", "<"):
        return _JSON if start == "{" else _XML
    return _YAML if re.search(r"^\w+:\s*$", text, re.MULTILINE) else _INI


def _all_pairs(text):
    kind = _language(text)
    return [pair for found in kind.findall(text) for pair in _pairs(kind, found[1])]


def _masked(text, other):
    kind = _language(text)

    def stand_in(found):
        marks = ", ".join(_mark(pair, other) for pair in _pairs(kind, found.group(2)))
        return found.group(1).rstrip() + (" " if kind is not _XML else "") + marks + found.group(3)

    return kind.sub(stand_in, text)


def environment(before, after):
    """Both sides of any other file, less what uWSGI's option env says in them."""
    return _masked(before, None), _masked(after, _all_pairs(before))
