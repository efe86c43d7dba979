# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Values of an application's environment, which no message repeats, whoever has printed them."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import json
import os
import re

from ansible_collections.graceful.wsgi.plugins.module_utils import (
    environment_file,
    procfs,
    published_names,
    safe_path,
)
from ansible_collections.graceful.wsgi.plugins.module_utils.disk import native
from ansible_collections.graceful.wsgi.plugins.module_utils.trial_unit import parse

HIDDEN = "(hidden)"
# No file with an environment is longer.
LARGEST = 1 << 20
_TELLING = re.compile(r"secret|token|pass|pwd|key|dsn|cred|auth|salt", re.IGNORECASE)
_PASSWORD = re.compile(r"://[^:/@\s]*:([^@/\s]+)@")
# systemd tells, value and all, which line of an EnvironmentFile it does not take.
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-~")
_SYSTEMD = re.compile(r"((?:environment|variable) (?:assignment|definition)s?,? ?(?:ignoring)?:?).*", re.IGNORECASE)


def _plain(value):
    value = value.strip()
    if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
        value = re.sub(r"\\(.)", r"\1", value[1:-1]) if value[0] == '"' else value[1:-1]
    return value


def _lines(value):
    """Each line of a value, as a journal shows it: line by line, without the blanks around it.

    A key of several lines often stands in one, with a backslash and an n between them.
    """
    lines = value.replace("\\r", "").replace("\\n", "\n").splitlines()
    return [line.strip() for line in lines] if len(lines) > 1 else []


def of(environment, hosts=()):
    """What of these variables may be secret. Short values, such as 1 or prod, are so only by their names.

    ``hosts``: names of hosts that are none, beside those that nginx publishes here.
    """
    found = set()
    for name, value in environment.items():
        value = native(value)
        # A path is none, and what is said of it is of use.
        if value.startswith("/") and "\n" not in value and not _TELLING.search(name):
            continue
        telling = _TELLING.search(name)
        least = 4 if telling else 8
        if len(value) >= least:
            parts = [value, _plain(value)] + [line for line in _lines(_plain(value)) if len(line) >= least]
            found.update(part for part in parts if not published_names.tells(part, hosts, above=not telling))
        found.update(part for part in _PASSWORD.findall(value) if len(part) >= 4)
    return sorted((value for value in found if value), key=len, reverse=True)


def _pairs(text):
    """What a file hands over, as an older and as a newer systemd reads it."""
    return environment_file.parse(text) + environment_file.parse(text, old=True)


def _of_pairs(pairs, hosts=()):
    """The same of (name, value) pairs, of which a file may have one name twice."""
    return set(value for pair in pairs for value in of(dict([pair]), hosts))


def of_secrets(text):
    """What of a file with secrets is one: all that is too long to stand in a message by chance, each line of it."""
    found = set()
    for _name, value in _pairs(text):
        value = native(value)
        found.update(part for part in [value] + _lines(value) if len(part) >= 4)
    return sorted(found, key=len, reverse=True)


def hosts_of(wanted):
    """The names by which an application is asked, as graceful.wsgi.uwsgi_preflight takes it: they are no secret."""
    return [(wanted.get(name) or {}).get("host") for name in ("probe", "question")]


def of_preflight(wanted):
    """What may be secret of an application as graceful.wsgi.uwsgi_preflight takes it."""
    files, found = wanted.get("files") or {}, set(of(wanted["environment"], hosts_of(wanted)))
    for path in wanted.get("secret_files") or []:
        found.update(of_secrets(native(files[path] if path in files else procfs.read(path))))
    return sorted(found, key=len, reverse=True)


def _handed(path):
    """The text of a file that a unit names: none through another account's link, and no fifo's or device's."""
    try:
        real = path if safe_path.untrusted_target(path) else os.path.realpath(path)
        return native(safe_path.read_file(real, LARGEST))
    except (safe_path.UnsafePath, IOError, OSError):
        return ""


def of_units(paths, hosts=()):
    """The same of what units of root's set, and the files that they name.

    ``paths``: units, drop-ins, files with an environment (``.env``) and files with secrets; ``hosts``: as of() has it.
    """
    found, files, secrets = [], [], []
    for path in paths:
        text = native(procfs.read(path))
        if path.endswith((".service", ".conf")):
            for section, name, value in parse(text):
                if (section, name) == ("Service", "EnvironmentFile"):
                    files.append(value.lstrip("-"))
                elif (section, name) == ("Service", "Environment"):
                    words = re.findall(r'"(?:[^"\\]|\\.)*"|\'[^\']*\'|\S+', value)
                    found += [_plain(word).partition("=")[::2] for word in words]
        elif path.endswith(".env"):
            files.append(path)
        else:
            secrets.append(path)
    for path in files:
        found += _pairs(_handed(path))
    values = _of_pairs(found, hosts)
    for path in secrets:
        values.update(of_secrets(native(procfs.read(path))))
    return sorted(values, key=len, reverse=True)


def of_files(texts, hosts=()):
    """The same of files that units hand over, by their texts."""
    return sorted(_of_pairs([pair for text in texts for pair in _pairs(native(text))], hosts), key=len, reverse=True)


def _quoted(value):
    """As Python shows it, alone or within a longer text, with whichever quotes that has."""
    for show in (repr, _other_repr):
        inner = show(value + "'\"").lstrip("bu")[1:-4]
        for one in (inner, inner.replace("\\'", "'")):
            yield one


def _other_repr(value):
    """As Python shows it where the application has it as bytes and not as text, or as text and not as bytes."""
    return repr(value.encode("utf-8")) if not isinstance(value, bytes) else repr(value.decode("utf-8"))


def _percent(value):
    """As a part of an address or of a form."""
    codes = bytearray(value if isinstance(value, bytes) else value.encode("utf-8"))
    for own in ({"/": "/"}, {}, {" ": "+"}):
        signs = [own.get(chr(code), chr(code) if chr(code) in _UNRESERVED else "%%%02X" % code) for code in codes]
        yield "".join(signs)
        yield "".join(sign.lower() if len(sign) > 1 else sign for sign in signs)


def _in_json(value):
    text = value.decode("utf-8") if isinstance(value, bytes) else value
    for only_ascii in (True, False):
        found = native(json.dumps(text, ensure_ascii=only_ascii)[1:-1])
        yield found
        # As PHP and some others write it.
        yield found.replace("/", "\\/")


def spelt(values):
    """These values, and each as programs write it out: shown by Python, in JSON, in an address; the longest first."""
    found = set(values)
    for value in values:
        for spell in (_quoted, _percent, _in_json):
            try:
                found.update(spell(value))
            except UnicodeError:
                # No text: nothing writes it so.
                continue
    return sorted(found, key=len, reverse=True)


def mask(text, values):
    """The text without them, however a program has written them out."""
    for value in spelt(values):
        text = text.replace(value, HIDDEN)
    return _SYSTEMD.sub(r"\1 " + HIDDEN, text)
