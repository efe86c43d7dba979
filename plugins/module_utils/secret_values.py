# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Values of an application's environment, which no message repeats, whoever has printed them."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import re

from ansible_collections.graceful.wsgi.plugins.module_utils import procfs
from ansible_collections.graceful.wsgi.plugins.module_utils.disk import native
from ansible_collections.graceful.wsgi.plugins.module_utils.trial_unit import parse

HIDDEN = "(hidden)"
_TELLING = re.compile(r"secret|token|pass|pwd|key|dsn|cred|auth|salt", re.IGNORECASE)
_LINE = re.compile(r"^\s*(?:export\s+)?([A-Za-z_]\w*)=(.*)$", re.MULTILINE)
_PASSWORD = re.compile(r"://[^:/@\s]*:([^@/\s]+)@")
# systemd tells, value and all, which line of an EnvironmentFile it does not take.
_SYSTEMD = re.compile(r"((?:environment|variable) (?:assignment|definition)s?,? ?(?:ignoring)?:?).*", re.IGNORECASE)


def _plain(value):
    value = value.strip()
    if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
        value = re.sub(r"\\(.)", r"\1", value[1:-1]) if value[0] == '"' else value[1:-1]
    return value


def of(environment):
    """What of these variables may be secret. Short values, such as 1 or prod, are so only by their names."""
    found = set()
    for name, value in environment.items():
        value = native(value)
        # A path is none, and what is said of it is of use.
        if value.startswith("/") and "\n" not in value and not _TELLING.search(name):
            continue
        if len(value) >= (4 if _TELLING.search(name) else 8):
            found.update([value, _plain(value)])
        found.update(part for part in _PASSWORD.findall(value) if len(part) >= 4)
    return sorted((value for value in found if value), key=len, reverse=True)


def of_units(paths):
    """The same of what units of root's set, and the files that they name; ``paths``: units, drop-ins, such files."""
    found, files = {}, []
    for path in paths:
        text = native(procfs.read(path))
        if path.endswith((".service", ".conf")):
            for section, name, value in parse(text):
                if (section, name) == ("Service", "EnvironmentFile"):
                    files.append(value.lstrip("-"))
                elif (section, name) == ("Service", "Environment"):
                    words = re.findall(r'"(?:[^"\\]|\\.)*"|\'[^\']*\'|\S+', value)
                    found.update(_plain(word).partition("=")[::2] for word in words)
        else:
            files.append(path)
    for path in files:
        found.update((name, _plain(value)) for name, value in _LINE.findall(native(procfs.read(path))))
    return of(found)


def of_files(texts):
    """The same of files that units hand over, by their texts."""
    return of(dict((name, _plain(value)) for text in texts for name, value in _LINE.findall(native(text))))


def mask(text, values):
    """The text without them."""
    for value in values:
        text = text.replace(value, HIDDEN)
    return _SYSTEMD.sub(r"\1 " + HIDDEN, text)
