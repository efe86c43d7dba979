# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What this host's systemd says of directives that a user adds to a [Service] section, before any unit has them.

systemd drops a line that it does not know or cannot read, and says so in the journal only: the unit starts, and the
limit or the confinement that was asked for is not there.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import difflib
import os
import re
import shutil
import tempfile

from ansible_collections.graceful.wsgi.plugins.module_utils.disk import encoded, native

# An instance, as the units are that get the lines: %i would be empty in any other.
_UNIT = "graceful-check@check.service"
# systemd 219 writes "[FILE:LINE] ...", newer ones "FILE:LINE: ...", of the units that one depends on as well.
_COMPLAINT = re.compile(r"\[?/[^\s:]+/%s:(\d+)[\]:]+ (.+)" % re.escape(_UNIT))
_UNKNOWN = re.compile(r"Unknown (?:lvalue|key(?: name)?) ")
# What systemd still does as it is told, and only advises against.
_ADVICE = re.compile(r"(?i)(?!.*ignor)(?:Unit uses |Special user |.* (?:obsolete|legacy|deprecated|please update)\b)")
# What it was built without, or does without by now: other hosts have it, and the variables may be for those.
_WITHOUT = re.compile(r"Support for option \S+ (?:has been|was) (?:disabled|removed)")
# Two names that are no further apart than this are one and a slip of the pen.
_SLIP = 0.9
# Directives that are as close to an older one and no slip: a systemd before 253 does not know them.
_NEWER = ("MemoryZSwapMax", "StartupMemoryZSwapMax")
# Directives of which not even a part of the value is repeated.
_SECRET = ("Environment", "Exec", "SetCredential")
_SYSTEMD = ("/usr/lib/systemd/systemd", "/lib/systemd/systemd")
_ANALYZE = ("/usr/bin/systemd-analyze", "/bin/systemd-analyze")


def _program(paths):
    return next((path for path in paths if os.path.exists(path)), None)


def _is_advice(text):
    return bool(_ADVICE.match(text))


def _complaints(lines, run_command):
    """{number of the line, from 0: what systemd says of it}; none where it cannot be asked."""
    program = _program(_ANALYZE)
    if program is None:
        return {}
    folder = tempfile.mkdtemp(prefix="graceful-")
    try:
        path = os.path.join(folder, _UNIT)
        head = ["[Service]", "Type=oneshot", "ExecStart=/bin/true"]
        with open(path, "wb") as unit:
            unit.write(encoded("\n".join(head + lines + [""])))
        _status, out, err = run_command([program, "verify", path])
        found = {}
        for line in native(out + err).splitlines():
            match = _COMPLAINT.match(line.strip())
            if match and int(match.group(1)) > len(head):
                found.setdefault(int(match.group(1)) - len(head) - 1, []).append(match.group(2))
        # Of several, what drops the line comes before what only advises.
        return dict((number, sorted(texts, key=_is_advice)[0]) for number, texts in found.items())
    finally:
        shutil.rmtree(folder)


def _known(run_command):
    """The directives of a [Service] section that this host's systemd knows."""
    program = _program(_SYSTEMD)
    if program is None:
        return []
    _status, out, _err = run_command([program, "--dump-configuration-items"])
    section, found = "", []
    for line in native(out).splitlines():
        if line.startswith("["):
            section = line.strip()
        elif section == "[Service]" and "=" in line:
            found.append(line.partition("=")[0])
    return found


def _without_value(name, text):
    """What systemd says without the value, which may be nobody's to read."""
    said = re.split(r",? ignoring|: ", text)[0]
    return re.split("[\"']", said)[0].strip() if name.startswith(_SECRET) else said


def unit_directives(checks, tools):
    """Refuse directives that systemd cannot read, and names that are a slip; tell of those that it is too old for."""
    lines, owners = [], []
    for check in checks:
        for name, value in check["lines"]:
            lines.append("%s=%s" % (native(name), native(value)))
            owners.append((check["variable"], native(name)))
    said = _complaints(lines, tools.run_command)
    known = _known(tools.run_command) if any(_UNKNOWN.match(text) for text in said.values()) else []
    found, told = [], set()
    for number, text in sorted(said.items()):
        variable, name = owners[number]
        path = "%s.%s" % (variable, name)
        if path in told:
            continue
        if _is_advice(text):
            tools.warn("%s: this host's systemd takes it, and says: %s" % (path, text))
            continue
        told.add(path)
        if _WITHOUT.match(text):
            tools.warn("%s: this host's systemd drops it: %s; leave it out for this host" % (path, text))
            continue
        if not _UNKNOWN.match(text):
            hint = "write it as systemd.exec(5), systemd.service(5) or systemd.resource-control(5) has it"
            found.append((path, "this host's systemd would drop it: %s" % _without_value(name, text), hint))
            continue
        slips = dict((one.lower(), one) for one in known)
        meant = difflib.get_close_matches(name.lower(), sorted(slips), n=1, cutoff=_SLIP)
        message = "this host's systemd knows no such directive in [Service], and would drop it"
        if meant and name not in _NEWER:
            found.append((path, message, "did you mean %s?" % slips[meant[0]]))
        else:
            tools.warn("%s: %s; leave it out for this host, or let it have a newer systemd" % (path, message))
    return found


KINDS = {"unit_directives": unit_directives}
