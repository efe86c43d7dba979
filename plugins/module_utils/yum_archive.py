# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Points repositories of yum at another place, in the files that define them, and leaves all else in these as it is."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import glob
import os
import re
import stat

from ansible_collections.graceful.wsgi.plugins.module_utils.disk import encoded
from ansible_collections.graceful.wsgi.plugins.module_utils.whole_files import content_of, lstat, replace_bytes, unlink

# For what no other file defines. yum reads *.repo only, so that what is kept must not end in that.
OURS = "graceful-wsgi.repo"
KEPT = ".before-graceful-wsgi"
HEAD = "# Written by Ansible (graceful.wsgi.centos7): repositories that no other file defines.\n"
# What leads to mirrors.
GONE = ("mirrorlist", "metalink")

_SECTION = re.compile(r"\[([^\]]+)\]")
_ENTRY = re.compile(r"([^\s=:#;\[][^=:]*?)\s*[=:]\s*(.*)")


def _text(value):
    """As the files are read: each byte a character, so that what is not understood comes out as it went in."""
    return encoded(value).decode("latin-1")


def _entries(lines):
    """The settings in a section's lines: [key, value, numbers of its lines]."""
    found = []
    for number, line in enumerate(lines):
        if not line.strip() or line[0] in "#;":
            continue
        if line[0].isspace():
            if found:
                found[-1][1] += " " + line.strip()
                found[-1][2].append(number)
            continue
        match = _ENTRY.match(line)
        if match:
            found.append([match.group(1).lower(), match.group(2), [number]])
    return found


def _wanted(repository, settings, found):
    """What a section must say, where ``found`` is what it says (or an empty mapping): ordered pairs."""
    pairs = [("name", repository["name"])] if "name" not in found else []
    pairs.append(("baseurl", repository["url"]))
    if repository["enabled"] and found.get("enabled", "1").strip() not in ("1", "yes", "true", "True"):
        pairs.append(("enabled", "1"))
    pairs.append(("gpgcheck", "1"))
    # The key that the host trusts already is better than one that comes the way of the packages.
    key = repository["gpgkey"] or ("" if found.get("gpgkey", "").strip() else repository["default_gpgkey"])
    if key:
        pairs.append(("gpgkey", key))
    return pairs + sorted(settings.items())


def _section(lines, repository, settings):
    """The lines of a section, as they are to be."""
    entries = _entries(lines)
    pairs = [(key, _text(value)) for key, value in _wanted(repository, settings, dict(e[:2] for e in entries))]
    wanted = dict(pairs)
    times = [key for key, _value, _numbers in entries]
    # New lines by the number of the old one whose place they take; the others of what is replaced go.
    placed, dropped, done = {}, set(), set()
    for key, value, numbers in entries:
        target = key
        if key in GONE:
            target = "baseurl" if "baseurl" not in times else None
        elif key not in wanted:
            continue
        elif times.count(key) == 1 and " ".join(value.split()) == wanted[key]:
            done.add(key)
            continue
        dropped.update(numbers)
        if target and target not in done:
            placed[numbers[0]] = "%s=%s" % (target, wanted[target])
            done.add(target)
    # What is missing comes after the last setting: comments below that are often about the next section.
    end = max([number for entry in entries for number in entry[2]] + [-1]) + 1
    result = []
    for number, line in enumerate(lines):
        if number == end:
            result += ["%s=%s" % pair for pair in pairs if pair[0] not in done]
        if number in placed:
            result.append(placed[number])
        if number not in dropped:
            result.append(line)
    if end == len(lines):
        result += ["%s=%s" % pair for pair in pairs if pair[0] not in done]
    return result


def rewritten(text, repositories, settings):
    """A file's text as it is to be, and the ids of ``repositories`` that it defines."""
    wanted = dict((_text(repository["id"]), repository) for repository in repositories)
    # Not splitlines(): that takes more for the end of a line than yum does.
    parts = [(None, None, [])]
    for line in text.split("\n"):
        match = _SECTION.match(line)
        if match:
            parts.append((match.group(1).strip(), line, []))
        else:
            parts[-1][2].append(line)
    lines, ids = [], []
    for name, head, body in parts:
        if head is not None:
            lines.append(head)
        if name in wanted:
            ids.append(name)
            # The last line's end is no line of its own.
            tail = [body.pop()] if body and not body[-1] else []
            body = _section(body, wanted[name], settings) + tail
        lines += body
    return "\n".join(lines), ids


def added(repositories, settings):
    """The text of the file of ours."""
    text = []
    for repository in repositories:
        pairs = _wanted(repository, settings, {})
        text.append("".join(["[%s]\n" % _text(repository["id"])] + ["%s=%s\n" % (k, _text(v)) for k, v in pairs]))
    return _text(HEAD) + "\n" + "\n".join(text) if text else None


def survey(folder, main, repositories, settings):
    """What differs from what is wanted: [{path, before, after}], texts or None, and the ids that this is about."""
    changes, found = [], []
    ours = os.path.join(folder, OURS)
    paths = set(os.path.realpath(path) for path in [main] + glob.glob(os.path.join(folder, "*.repo")))
    for path in sorted(paths - set([os.path.realpath(ours)])):
        before = content_of(path)
        if before is None:
            continue
        before = before.decode("latin-1")
        after, ids = rewritten(before, repositories, settings)
        found += ids
        if after != before:
            changes.append({"path": path, "before": before, "after": after, "ids": ids})
    missing = [one for one in repositories if one["enabled"] and _text(one["id"]) not in found]
    before, after = content_of(ours), added(missing, settings)
    before = before if before is None else before.decode("latin-1")
    if after != before:
        changes.append({"path": ours, "before": before, "after": after, "ids": [_text(one["id"]) for one in missing]})
    return changes


def write(change, relabel):
    """Put one change on the disk in one step, keeping the original of what is not ours, once."""
    path = change["path"]
    if change["after"] is None:
        unlink(path)
        return
    found = lstat(path)
    mode = 0o644 if found is None else stat.S_IMODE(found.st_mode)
    owner = (0, 0) if found is None else (found.st_uid, found.st_gid)
    if found is not None and os.path.basename(path) != OURS and lstat(path + KEPT) is None:
        replace_bytes(path + KEPT, change["before"].encode("latin-1"), mode, owner)
        relabel(path + KEPT, path)
    replace_bytes(path, change["after"].encode("latin-1"), mode, owner)
    relabel(path, path)
