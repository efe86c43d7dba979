# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Hosts that a balancer leads nobody to while they are worked on: notes, and what they make of upstream blocks.

A note lies beside nginx's configuration and so outlives a boot, as that does. Whoever writes an upstream block heeds
the notes: a run on the balancer neither leads back to such a host nor forgets one that is there again.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import json
import os
import re

from ansible_collections.graceful.wsgi.plugins.module_utils import layout
from ansible_collections.graceful.wsgi.plugins.module_utils.disk import encoded, make_folders, native
from ansible_collections.graceful.wsgi.plugins.module_utils.whole_files import content_of, replace_bytes, unlink

FOLDER = layout.DRAINED_DIR
# Tells a `down` of a note from one that a user has written.
MARK = " # drained"
_BLOCK = re.compile(r"(?ms)^upstream (publish-\S+) \{\n(.*?)^\}")
_SERVER = re.compile(r"(?m)^( +server )([^\s;]+)((?: [^;#\n]+)?);(%s)?$" % MARK)


class Server:
    """A line of an upstream block. ``down``: nobody is led there; ``backup``: only where no other is up."""

    def __init__(self, upstream, address, words):
        self.upstream, self.address = upstream, address
        self.down, self.backup = "down" in words.split(), "backup" in words.split()


def host_of(server):
    """The host of a server's address, as its note has it; None for a socket."""
    return None if server.startswith("unix:") else re.sub(r":\d+\Z", "", server)


def servers(text):
    """All servers of the upstream blocks that this collection wrote, a Server each."""
    found = []
    for block in _BLOCK.finditer(text):
        found += [Server(block.group(1), line[1], line[2]) for line in _SERVER.findall(block.group(2))]
    return found


def _line(found, addresses):
    """A server line as the notes of these hosts have it."""
    head, server, words, mark = found.groups()
    if mark:
        words = re.sub(r" down\b", "", words)
    takes = host_of(server) in addresses and "down" not in words.split()
    return "%s%s%s%s;%s" % (head, server, words, " down" if takes else "", MARK if takes else "")


def applied(text, addresses):
    """A configuration with the servers of these hosts down, and with none down that was so by an earlier note.

    An upstream that would have no server left keeps all that it has: a host at work answers better than nobody.
    """

    def block(found):
        lines = _SERVER.sub(lambda line: _line(line, addresses), found.group(2))
        if not [1 for line in _SERVER.findall(lines) if "down" not in line[2].split()]:
            lines = _SERVER.sub(lambda line: _line(line, ()), found.group(2))
        return "upstream %s {\n%s}" % (found.group(1), lines)

    return _BLOCK.sub(block, text)


def _path(address, folder):
    return os.path.join(folder, address + ".json")


def notes(folder=FOLDER):
    """{address: note} of the hosts that are worked on."""
    found = {}
    for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
        if name.endswith(".json"):
            try:
                note = json.loads((content_of(os.path.join(folder, name)) or b"").decode("utf-8"))
            except ValueError:
                # That it is there says enough.
                note = {}
            found[native(name[: -len(".json")])] = note if isinstance(note, dict) else {}
    return found


def write(address, note, folder=FOLDER):
    """Note that a host is worked on."""
    make_folders(folder)
    replace_bytes(_path(address, folder), encoded(json.dumps(note, sort_keys=True)), 0o644)


def forget(address, folder=FOLDER):
    """Take its note away."""
    unlink(_path(address, folder))


def settle(entries, folder=FOLDER):
    """Have the files of a bundle say of each host what its note does."""
    if not any(b"upstream publish-" in (entry.content or b"") for entry in entries):
        return
    addresses = set(notes(folder))
    for entry in entries:
        if b"upstream publish-" in (entry.content or b""):
            entry.content = encoded(applied(native(entry.content), addresses))
