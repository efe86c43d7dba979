# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Takes a host out of a balancer's upstreams and puts it back; runs on the balancer."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import binascii
import contextlib
import fcntl
import glob
import json
import os
import socket
import stat
import time

from ansible_collections.graceful.wsgi.plugins.module_utils import drained, layout, ownership
from ansible_collections.graceful.wsgi.plugins.module_utils.disk import encoded, native
from ansible_collections.graceful.wsgi.plugins.module_utils.visitor import Visit, shown
from ansible_collections.graceful.wsgi.plugins.module_utils.whole_files import content_of, replace_bytes, sha256

# Seconds to wait for a run that writes the balancer's own sites, and for an answer of a host that was just updated.
PATIENCE, WARMING = 60, 5
_ESTABLISHED = "01"


class DrainError(Exception):
    """The upstreams are as they were; the text says why and what to do."""


@contextlib.contextmanager
def locked(state_dir, clock=time, patience=PATIENCE):
    """Nobody else writes sites of this balancer: file_bundle takes the same locks."""
    names = sorted(os.listdir(state_dir)) if os.path.isdir(state_dir) else []
    names = [name for name in names if (layout.parse_bundle(native(name)) or ("", ""))[1] == "sites"]
    handles = []
    try:
        limit = clock.time() + patience
        for name in names:
            handles.append(open(os.path.join(state_dir, name, "lock"), "a"))
            while True:
                try:
                    fcntl.flock(handles[-1], fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except (IOError, OSError):
                    if clock.time() > limit:
                        raise DrainError("another run has been writing %s for %d s; run it again" % (name, patience))
                    clock.sleep(0.2)
        yield
    finally:
        for handle in handles:
            handle.close()


def _address(text):
    """An address of /proc/net/tcp. Example: 0100007F is 127.0.0.1 on most machines."""
    raw = binascii.unhexlify(text)
    words = b"".join(raw[at: at + 4][::-1] for at in range(0, len(raw), 4))
    return socket.inet_ntop(socket.AF_INET if len(raw) == 4 else socket.AF_INET6, words)


def open_connections(endpoints, tables=("/proc/net/tcp", "/proc/net/tcp6")):
    """How many connections lead from here to one of these (address, port)."""
    found = 0
    for table in tables:
        for line in native(content_of(table) or b"").splitlines()[1:]:
            fields = line.split()
            address, _colon, port = fields[2].partition(":")
            found += fields[3] == _ESTABLISHED and (_address(address), int(port, 16)) in endpoints
    return found


def endpoint(server):
    """(host, port) of a server's address, as one connects to it."""
    host = drained.host_of(server)
    port = server[len(host) + 1:]
    return host.strip("[]"), int(port or 80)


def resolved(pairs):
    """The addresses that these names have."""
    found = set()
    for host, port in pairs:
        try:
            found.update(item[4][:2] for item in socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM))
        except socket.error:
            # nginx would not have started with it.
            continue
    return found


class Balancer:
    """One balancer and one host. ``wanted``: host, address, timeout, questions, maintained, as the module has them."""

    def __init__(self, wanted, nginx, relabel=lambda path: None, visit=Visit, clock=time, folder=drained.FOLDER,
                 conf_dir=None, state_dir=ownership.STATE_DIR):
        self.wanted, self.nginx, self.relabel, self.visit, self.clock = wanted, nginx, relabel, visit, clock
        self.folder, self.state_dir = folder, state_dir
        self.conf_dir = conf_dir or os.path.dirname(layout.site("any"))
        self.told = []

    def _texts(self):
        paths = sorted(glob.glob(os.path.join(self.conf_dir, "*.conf")))
        texts = dict((path, content_of(path) or b"") for path in paths)
        return dict((path, native(text)) for path, text in texts.items() if b"upstream publish-" in text)

    def _servers(self):
        return [server for text in self._texts().values() for server in drained.servers(text)]

    def mine(self):
        """The servers that are this host."""
        return [one for one in self._servers() if drained.host_of(one.address) == self.wanted["address"]]

    def _change(self, addresses):
        """Write the upstreams for these notes and have nginx take them up, or leave all as it was; whether it did."""
        before = self._texts()
        after = dict((path, drained.applied(text, addresses)) for path, text in before.items())
        changed = [path for path in sorted(before) if before[path] != after[path]]
        if not changed:
            return False
        try:
            for path in changed:
                self._write(path, after[path])
            wrong = self.nginx.test()
            if wrong:
                raise DrainError("nginx does not take its configuration, nothing was changed: %s" % wrong)
            if self.nginx.running():
                self.nginx.reload()
        except BaseException:
            for path in changed:
                self._write(path, before[path])
            raise
        return True

    def _write(self, path, text):
        found, was = os.stat(path), sha256(content_of(path))
        replace_bytes(path, encoded(text), stat.S_IMODE(found.st_mode), (found.st_uid, found.st_gid))
        self.relabel(path)
        self._record(path, was, sha256(encoded(text)))

    def _record(self, path, was, now):
        """Let the bundle's manifest tell the file as it stands, so that nobody takes it for edited by hand."""
        for name in sorted(os.listdir(self.state_dir)) if os.path.isdir(self.state_dir) else []:
            manifest = os.path.join(self.state_dir, native(name), "manifest.json")
            told = json.loads((content_of(manifest) or b"{}").decode("utf-8"))
            if told.get("files", {}).get(path) != was:
                continue
            told["files"][path] = now
            noted = ((told.get("set") or {}).get("files") or {}).get(path)
            if noted:
                noted[0] = now
            replace_bytes(manifest, encoded(json.dumps(told, indent=1, sort_keys=True)))

    def _check(self, noted):
        """Refuse to leave an upstream without any server that answers; one that has no other server keeps this one."""
        out = set(noted) | set([self.wanted["address"]])
        for upstream in sorted(set(one.upstream for one in self.mine())):
            servers = [one for one in self._servers() if one.upstream == upstream]
            others = [one.address for one in servers if drained.host_of(one.address) != self.wanted["address"]]
            up = [one.address for one in servers if drained.host_of(one.address) not in out and not one.down]
            if not others:
                self.told.append("%s is the only server of the upstream %s and stays in it" % (
                    self.wanted["host"], upstream))
            elif not up:
                away = sorted(address for address in noted if address != self.wanted["address"])
                self._refuse(upstream, "; out already: " + ", ".join(away) if away else "")
            else:
                wrong = _silent(up)
                if wrong:
                    self._refuse(upstream, ": " + "; ".join(wrong))

    def _refuse(self, upstream, why):
        raise DrainError(
            "without %s nobody would serve the upstream %s%s. Let publish_serial name fewer hosts at a time than there"
            " are, or put back those that are out: a run of graceful.wsgi.site on them that ends well does"
            % (self.wanted["host"], upstream, why)
        )

    def drain(self, check_mode=False):
        """Lead nobody to the host any more, and wait until none of those is left who were led there before."""
        address = self.wanted["address"]
        if not self.mine():
            # A host that is new is led to once the balancer itself is published again.
            known = sorted(set(filter(None, (drained.host_of(one.address) for one in self._servers()))))
            self.told.append("no upstream leads to %s (%s)" % (address, "but to " + ", ".join(known) if known else
                                                               "there is none of publish_upstreams"))
            return False
        if check_mode:
            return address not in drained.notes(self.folder)
        with locked(self.state_dir, self.clock):
            noted = drained.notes(self.folder)
            self._check(noted)
            if address not in noted:
                drained.write(address, {"host": self.wanted["host"], "since": self.clock.time()}, self.folder)
            try:
                changed = self._change(set(noted) | set([address]))
            except BaseException:
                if address not in noted:
                    drained.forget(address, self.folder)
                raise
        self._await_end()
        return changed or address not in noted

    def _await_end(self):
        limit = self.clock.time() + self.wanted["timeout"]
        pairs = [endpoint(one.address) for one in self.mine() if one.down]
        endpoints = resolved(pairs)
        left = open_connections(endpoints)
        while left and self.clock.time() < limit:
            self.clock.sleep(0.1)
            left = open_connections(endpoints)
        if left:
            self.told.append("%d connections to %s are open after %d s; they go on, and so does the play" % (
                left, self.wanted["host"], self.wanted["timeout"]))

    def serve(self, check_mode=False):
        """Lead to the host again once it answers from here; whether it was out."""
        address = self.wanted["address"]
        if address not in drained.notes(self.folder):
            return False
        if check_mode:
            return True
        wrong = self._ask()
        if wrong:
            raise DrainError("%s is left out: %s" % (self.wanted["host"], "; ".join(wrong)))
        with locked(self.state_dir, self.clock):
            # The note goes last: a run that is killed before is made up for by the next one.
            self._change(set(drained.notes(self.folder)) - set([address]))
            drained.forget(address, self.folder)
        return True

    def _ask(self):
        """What is wrong with what the host answers to this balancer, a line each."""
        wrong = []
        for server in sorted(set(one.address for one in self.mine())):
            host, port = endpoint(server)
            asked = [one for one in self.wanted["questions"] if _port(one) == port]
            asked = [one for one in asked if one["app"] not in self.wanted["maintained"]]
            for question in asked:
                at = "%s:%d" % ("[%s]" % host if ":" in host else host, port)
                # Logs and files are the host's, and not here.
                none = {"logs": [], "units": [], "unit_files": [], "error_log": None, "maintenance": None}
                visit = self.visit(dict(question, nginx=at, sure=True, **none))
                if not visit.make(WARMING):
                    wrong.append("%s at %s %s" % (shown(question), at, visit.wrong))
            if not asked:
                wrong += _unreached(host, port)
        return wrong


def _port(question):
    """The port of nginx's that a question goes to, None for a socket."""
    port = (question.get("nginx") or "").rpartition(":")[2]
    return int(port) if port.isdigit() else None


def _silent(servers):
    """Why none of these servers answers, a line each; nothing where one does."""
    wrong = []
    for server in servers:
        found = [] if server.startswith("unix:") else _unreached(*endpoint(server))
        if not found:
            return []
        wrong += found
    return wrong


def _unreached(host, port):
    try:
        socket.create_connection((host, port), WARMING).close()
    except (IOError, OSError) as error:
        return ["nobody answers at %s:%d (%s)" % (host, port, error)]
    return []
