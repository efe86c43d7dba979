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

from ansible_collections.graceful.wsgi.plugins.module_utils.disk import native

# systemd 219 writes "[FILE:LINE] ...", newer ones "FILE:LINE: ...".
_COMPLAINT = re.compile(r"\[?(?:/[^\s:]+):(\d+)[\]:]+ (.+)")
_UNKNOWN = re.compile(r"Unknown (?:lvalue|key(?: name)?) ")
# Two names that are no further apart than this are one and a slip of the pen.
_SLIP = 0.9
_SYSTEMD = ("/usr/lib/systemd/systemd", "/lib/systemd/systemd")
_ANALYZE = ("/usr/bin/systemd-analyze", "/bin/systemd-analyze")


def _program(paths):
    return next((path for path in paths if os.path.exists(path)), None)


def _complaints(lines, run_command):
    """{number of the line, from 0: what systemd says of it}; none where it cannot be asked."""
    program = _program(_ANALYZE)
    if program is None:
        return {}
    folder = tempfile.mkdtemp(prefix="graceful-")
    try:
        path = os.path.join(folder, "graceful-check.service")
        head = ["[Service]", "Type=oneshot", "ExecStart=/bin/true"]
        with open(path, "wb") as unit:
            unit.write("\n".join(head + lines + [""]).encode("utf-8"))
        _status, out, err = run_command([program, "verify", path])
        found = {}
        for line in native(out + err).splitlines():
            match = _COMPLAINT.match(line.strip())
            if match and int(match.group(1)) > len(head):
                found.setdefault(int(match.group(1)) - len(head) - 1, match.group(2))
        return found
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


def unit_directives(checks, tools):
    """Refuse directives that systemd cannot read, and names that are a slip; tell of those that it is too old for."""
    lines, owners = [], []
    for check in checks:
        for name, value in check["lines"]:
            lines.append(u"%s=%s" % (name, value))
            owners.append((check["variable"], native(name)))
    said = _complaints(lines, tools.run_command)
    known = _known(tools.run_command) if any(_UNKNOWN.match(text) for text in said.values()) else []
    found, told = [], set()
    for number, text in sorted(said.items()):
        variable, name = owners[number]
        path = "%s.%s" % (variable, name)
        if path in told:
            continue
        told.add(path)
        if not _UNKNOWN.match(text):
            # What follows is the value, which may be nobody's to read.
            hint = "write it as systemd.exec(5), systemd.service(5) or systemd.resource-control(5) has it"
            found.append((path, "this host's systemd would drop it: %s" % text.partition(", ignoring")[0], hint))
            continue
        slips = dict((one.lower(), one) for one in known)
        meant = difflib.get_close_matches(name.lower(), sorted(slips), n=1, cutoff=_SLIP)
        says = "this host's systemd knows no such directive in [Service], and would drop it"
        if meant:
            found.append((path, says, "did you mean %s?" % slips[meant[0]]))
        else:
            tools.warn("%s: %s; leave it out for this host, or let it have a newer systemd" % (path, says))
    return found


KINDS = {"unit_directives": unit_directives}
