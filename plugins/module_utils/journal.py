# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the journal has of a unit: what it printed before it opened its log, and what systemd says of its end."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os
import re
import subprocess
import time

from ansible_collections.graceful.wsgi.plugins.module_utils.disk import native

# What systemd says when all goes well.
_WELL = re.compile(
    r"(Starting|Started|Stopping|Stopped|Reloading|Reloaded|Created slice|Removed slice|Scheduled restart job)\b"
    r"|.*(Scheduled restart job, restart counter|Service RestartSec=|holdoff time over|Consumed .* CPU time"
    r"|Deactivated successfully|Succeeded\.$)"
)


# Whatever an application writes there is read, and the last of it is what counts.
MOST = 16 << 20


def _ask(words):
    try:
        with open(os.devnull, "w") as nowhere:
            asked = subprocess.Popen(
                ["journalctl", "--no-pager", "--quiet", "--output=cat"] + words,
                stdout=subprocess.PIPE,
                stderr=nowhere,
                env=dict(os.environ, LC_ALL="C"),
                close_fds=True,
            )
    except (IOError, OSError):
        return []
    out = asked.stdout.read(MOST)
    cut = len(out) == MOST
    if cut:
        asked.kill()
    asked.stdout.close()
    return native(out).splitlines() if asked.wait() == 0 or cut else []


def lines_since(since, *words):
    """What the journal has since this time (seconds) of what these words choose; nothing where there is no journal."""
    # Every journalctl takes a time of its own zone in this form; 219 knows no invocations.
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(since))
    return _ask(["--since=" + when] + list(words))


def said(unit, since, lines=20, by_systemd=False, wait=1.0):
    """The last lines that the journal has of a unit since this time (seconds); empty where there is no journal.

    ``by_systemd``: only what systemd says of how it went wrong; ``wait``: how long the journal may take to have any.
    """
    of_unit = ["_PID=1", "UNIT=" + unit] if by_systemd else ["--unit=" + unit]
    limit = time.time() + wait
    while True:
        found = lines_since(since, "--lines=400", *of_unit)
        if by_systemd:
            found = [line for line in found if not _WELL.match(line)]
        if found or time.time() > limit:
            return "\n".join(found[-lines:])
        time.sleep(0.2)
