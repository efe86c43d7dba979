# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A second generation of an instance, which serves while systemd restarts the first.

nginx reaches an instance through a symlink to its socket. To restart a unit whose settings changed, a second instance
is started with the new ones under a unit of its own, the link is moved to it, the first is drained and restarted, and
the link moved back. Nothing of the second outlives a reboot.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os
import re
import shutil

from ansible_collections.graceful.wsgi.plugins.module_utils import layout
from ansible_collections.graceful.wsgi.plugins.module_utils.background import has_daemons
from ansible_collections.graceful.wsgi.plugins.module_utils.disk import (
    STATE_DIR,
    encoded,
    make_folders,
    native,
    switch_link,
)
from ansible_collections.graceful.wsgi.plugins.module_utils.procfs import read
from ansible_collections.graceful.wsgi.plugins.module_utils.uwsgi_client import statistics
from ansible_collections.graceful.wsgi.plugins.module_utils.uwsgi_config import load, load_as
from ansible_collections.graceful.wsgi.plugins.module_utils.uwsgi_preflight import in_memory
from ansible_collections.graceful.wsgi.plugins.module_utils.whole_files import replace_bytes, unlink

CONFIG_DIR = os.path.join(STATE_DIR, "next")
UNIT_DIR = layout.RUN_UNIT_DIR
SOCKET = re.compile(r"^(uwsgi-|http-|https-|fastcgi-|fastcgi-nph-|scgi-|scgi-nph-|raw-|suwsgi-|puwsgi-)?socket$")
# The path of a socket in any of uWSGI's languages.
NAMED = re.compile(r"""(?:^|[\s"'<])(?:http-|uwsgi-)?socket["']?\s*[=:>][\s"'\[]*(/[^\s"'<\],]+)""", re.MULTILINE)
RUN_FILES = {
    "pidfile": "pid",
    "pidfile2": "pid",
    "safe-pidfile": "pid",
    "safe-pidfile2": "pid",
    "master-fifo": "fifo",
    "stats": "stats",
    "stats-server": "stats",
}
# What binds more addresses, or must not run twice.
ONCE = re.compile(
    r"""^(
        (http|https|http2|sslrouter|rawrouter|fastrouter|forkptyrouter|httprouter|tuntap)([0-9-].*)?
        | shared-socket | undeferred-shared-socket | map-socket | abstract-socket | udp | snmp.* | carbon.*
        | .*cron.* | spooler.* | (smart-)?attach-daemon.* | attach-control-daemon | legion.* | emperor.* | zerg.*
        | subscribe.* | touch-.* | fs-.* | py-auto-?reload.* | cache-(store|udp|sync).*
    )$""",
    re.VERBOSE,
)


class Standby:
    """The second generation of one instance. ``wanted``: an item of graceful.wsgi.uwsgi_instances with a ``link``."""

    def __init__(self, wanted):
        self.wanted = wanted
        self._named = None
        self.unit = layout.standby_unit(wanted["unit"])
        self.run_dir = wanted["run_dir"] + layout.MARK
        # In a folder that nginx comes through, where the first one's is no such.
        self.socket = wanted.get("standby") or os.path.join(self.run_dir, "sock")
        self.config = os.path.join(CONFIG_DIR, wanted["name"] + ".ini")
        self.dropin = os.path.join(UNIT_DIR, self.unit + ".d", "90-next.conf")

    @property
    def left(self):
        """Whether there is one, be it of a run that was cut off."""
        return os.path.lexists(self.dropin)

    @property
    def serves(self):
        """Whether nginx is led to it."""
        link = self.wanted["link"]
        return os.path.islink(link) and os.readlink(link) == self.socket

    @property
    def leads_to(self):
        """The socket that nginx is led to, as far as there is a link."""
        link = self.wanted["link"]
        return os.readlink(link) if os.path.islink(link) else self.home

    @property
    def home(self):
        """The first one's socket by its configuration: after a run was put back that may be a former place."""
        if self._named is None:
            # The plan writes it into the file itself, so that nothing is read that others include in it.
            found = NAMED.search(native(read(self.wanted["config"])))
            self._named = found.group(1) if found else self.wanted["socket"]
        return self._named

    def _load(self, who):
        # The account's own files may be included: it must not be shown through them what it cannot read itself.
        return load_as(who, self.wanted["config"]) if who else load(self.wanted["config"])

    def can_replace(self, who=None):
        """Whether it can do all that the first one does. ``who``: uid, gid and groups of the account that runs it."""
        # Requests may count on them, and a port or a pidfile of theirs is not there twice.
        return not has_daemons(self._load(who))

    def _options(self, who):
        bound = False
        for name, value in self._load(who):
            if name in ("cache2", "sharedarea"):
                value = in_memory(value)
            if SOCKET.match(name):
                if not bound:
                    yield name, self.socket
                bound = True
            elif name in RUN_FILES:
                yield name, os.path.join(self.run_dir, RUN_FILES[name])
            elif name == "spooler":
                # It takes tasks into the same folder and leaves them to the first one's spooler.
                yield "spooler-external", value
            elif not ONCE.match(name) or name in ("spooler-external", "spooler-processes"):
                yield name, value.replace(self.wanted["run_dir"] + "/", self.run_dir + "/")

    def write(self, dropins, who=None):
        """Write its configuration and its unit's drop-in.

        ``dropins``: those of the first one's unit; ``who``: uid, gid and groups of the account that runs it.
        """
        found = os.stat(self.wanted["config"])
        make_folders(CONFIG_DIR)
        text = "[uwsgi]\n" + "".join("%s = %s\n" % pair for pair in self._options(who))
        # It holds the secrets that the first one's holds.
        replace_bytes(self.config, encoded(text), found.st_mode & 0o777, (found.st_uid, found.st_gid))
        text = "\n".join(native(read(path)) for path in dropins)
        text, named = re.subn(
            r"--\w+[ =]%s(?=\s|$)" % re.escape(self.wanted["config"]), "--ini " + self.config, text, flags=re.MULTILINE
        )
        if not named:
            raise IOError("%s: no drop-in of it names %s" % (self.wanted["unit"], self.wanted["config"]))
        make_folders(os.path.dirname(self.dropin))
        replace_bytes(self.dropin, encoded(text), 0o644)

    def remove(self):
        """Remove its files; the unit is stopped already."""
        shutil.rmtree(os.path.dirname(self.dropin), ignore_errors=True)
        unlink(self.config)

    def route_here(self):
        """Have new connections come to the second."""
        switch_link(self.wanted["link"], self.socket)

    def route_back(self):
        """Have new connections come to the first; returns whether they did not."""
        make_folders(os.path.dirname(self.wanted["link"]))
        return switch_link(self.wanted["link"], self.home)


def accepting(stats):
    """How many workers accept requests, as a stats server says; None where it does not answer."""
    said = statistics(stats)
    if said is None:
        return None
    return sum(1 for worker in said.get("workers", []) if worker.get("pid") and worker.get("accepting"))


def connections(socket, waiting=False):
    """How many connections to a unix socket are open, accepted or not, or only those that nobody has accepted yet."""
    count = 0
    for line in native(read("/proc/net/unix")).splitlines():
        fields = line.split(None, 7)
        # 00010000 is the listening socket itself, and the inode 0 a connection that is nobody's yet.
        if len(fields) == 8 and fields[7] == socket and fields[3] != "00010000" and not (waiting and fields[6] != "0"):
            count += 1
    return count
