# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Asks a uWSGI instance over its own sockets: a request in either protocol, and its statistics."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import json
import os
import re
import socket
import struct
import time

from ansible_collections.graceful.wsgi.plugins.module_utils import procfs, safe_path

LOCAL = {"": "127.0.0.1", "*": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}


class ClientError(Exception):
    """No answer; the text says what was asked and what came."""


# Linux's number, which Python 2.7 does not know by its name.
SO_PEERCRED = getattr(socket, "SO_PEERCRED", 17)


def _peer(link):
    """The kernel's word on whoever listens: pid, uid and gid."""
    return struct.unpack("3i", link.getsockopt(socket.SOL_SOCKET, SO_PEERCRED, struct.calcsize("3i")))


def _listens(link, folder):
    """Refuse a peer that another account has led us to: whoever listens must be one who can put a socket there."""
    pid, uid, gid = _peer(link)
    owner = folder.stat().st_uid
    if uid == owner:
        return
    # A master that was started by root and has dropped its rights since bound its socket as root.
    now = (procfs.ids(pid) if pid > 0 else None) or {"uid": uid, "gid": gid, "groups": []}
    if now["uid"] == owner or (now["uid"] != 0 and safe_path.may_write(now, folder.path, True)):
        return
    who = safe_path.account_name(uid)
    raise ClientError("%s: is answered by %s, who could put no socket there" % (folder.path, who))


def _connect_path(link, path):
    """Connect to a unix socket; where another account can put something else at its path, it must be that account's."""
    try:
        folder, name = safe_path.split(path)
    except safe_path.UnsafePath as error:
        raise ClientError(str(error))
    with folder:
        if folder.trusted:
            link.connect(path)
            return
        link.connect(folder.at(name))
        _listens(link, folder)


def listener(path):
    """The pid and uid of whoever listens at a unix socket, where a connection to its path really leads."""
    link = connect(path, 5)
    try:
        return _peer(link)[:2]
    finally:
        link.close()


def connect(address, timeout, owner=None):
    """A connected socket. ``address``: a path, ``@name`` for an abstract socket, or host:port.

    ``owner``: the uid that must have opened a unix socket, or several of which one must have, where another account
    could lead us elsewhere.
    """
    if not re.match(r"[@/]|.*:[0-9]+\Z", address):
        raise ClientError("%s: is no address of a socket" % address)
    if address.startswith("@"):
        # uWSGI counts the byte behind an abstract name as part of it.
        family, target = socket.AF_UNIX, "\0" + address[1:] + "\0"
    elif address.startswith("/"):
        family, target = socket.AF_UNIX, address
    else:
        host, _colon, port = address.rpartition(":")
        host = host.strip("[]")
        host = LOCAL.get(host, host)
        family, target = socket.AF_INET6 if ":" in host else socket.AF_INET, (host, int(port))
    link = socket.socket(family, socket.SOCK_STREAM)
    link.settimeout(timeout)
    try:
        if address.startswith("/") and os.geteuid() == 0:
            _connect_path(link, address)
        else:
            link.connect(target)
    except ClientError:
        link.close()
        raise
    except (IOError, OSError) as error:
        link.close()
        raise ClientError("%s: %s" % (address, error))
    if owner is not None:
        uid = _peer(link)[1]
        if uid not in (owner if isinstance(owner, (list, tuple)) else (owner,)):
            link.close()
            raise ClientError("%s: leads to a socket of another account (uid %d)" % (address, uid))
    return link


def _receive(link, until, limit=1 << 20):
    chunks, size = [], 0
    while size < limit:
        # Whoever sends a byte now and then would hold us for ever.
        link.settimeout(max(0.001, until - time.time()))
        chunk = link.recv(65536)
        if not chunk:
            break
        chunks.append(chunk)
        size += len(chunk)
    return b"".join(chunks)


def _uwsgi_packet(variables):
    body = b""
    for name, value in sorted(variables.items()):
        name, value = name.encode("utf-8"), value.encode("utf-8")
        body += struct.pack("<H", len(name)) + name + struct.pack("<H", len(value)) + value
    return struct.pack("<BHB", 0, len(body), 0) + body


def ask(address, path, protocol="uwsgi", host="localhost", timeout=10, owner=None, tls=False, method="GET"):
    """Ask for a path over an instance's own socket; returns (status, text of the whole answer).

    ``tls``: whether the application is told that the visitor came by HTTPS, as nginx would tell it.
    """
    until = time.time() + timeout
    link = connect(address, timeout, owner)
    try:
        if protocol == "http":
            request = "%s %s HTTP/1.0\r\nHost: %s\r\nConnection: close\r\n" % (method, path, host)
            request += "X-Forwarded-Proto: %s\r\n\r\n" % ("https" if tls else "http")
            link.sendall(request.encode("utf-8"))
        else:
            script, _mark, query = path.partition("?")
            variables = {
                "REQUEST_METHOD": method,
                "REQUEST_URI": path,
                "PATH_INFO": script,
                "QUERY_STRING": query,
                "SERVER_PROTOCOL": "HTTP/1.1",
                "SERVER_NAME": host,
                "SERVER_PORT": "443" if tls else "80",
                "REQUEST_SCHEME": "https" if tls else "http",
                "HTTP_HOST": host,
                "REMOTE_ADDR": "127.0.0.1",
                "SCRIPT_NAME": "",
            }
            if tls:
                variables["HTTPS"] = "on"
            link.sendall(_uwsgi_packet(variables))
        answer = _receive(link, until)
    except (IOError, OSError) as error:
        raise ClientError("%s%s: %s" % (address, path, error))
    finally:
        link.close()
    found = re.match(br"HTTP/[0-9.]+ ([0-9]{3})", answer)
    if not found:
        raise ClientError("%s%s: answered %r, which is no status" % (address, path, answer[:60]))
    return int(found.group(1)), answer.decode("utf-8", "replace")


def statistics(address, timeout=2):
    """What an instance's stats server says, or None where it cannot be asked."""
    try:
        link = connect(address, timeout)
    except (ClientError, ValueError):
        return None
    try:
        text = _receive(link, time.time() + timeout, 1 << 26)
    except (IOError, OSError):
        return None
    finally:
        link.close()
    # Behind an http: stats server there are headers.
    start = text.find(b"{")
    try:
        return json.loads(text[start:].decode("utf-8", "replace")) if start >= 0 else None
    except (ValueError, RuntimeError):
        # RuntimeError: nested deeper than Python goes.
        return None
