# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A connection to a server, and an end for what is read from one that may send a byte now and then: a socket's time-out
is one for each read."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import contextlib
import socket
import ssl
import threading


def connected(address, seconds):
    """A connection to a path or to HOST:PORT; each wait for it, and on it, ends after so many seconds."""
    if address.startswith("/"):
        link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        link.settimeout(seconds)
        try:
            link.connect(address)
        except (IOError, OSError):
            link.close()
            raise
        return link
    host, _colon, port = address.rpartition(":")
    return socket.create_connection((host.strip("[]"), int(port)), seconds)


def secured(link, name):
    """TLS as of a visitor who asks for this name; whose certificate that is, is not for this to judge."""
    context = ssl.SSLContext(getattr(ssl, "PROTOCOL_TLS_CLIENT", ssl.PROTOCOL_SSLv23))
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context.wrap_socket(link, server_hostname=name)


class Cut:
    """Whether a connection was ended by us."""

    def __init__(self):
        self.done = False


@contextlib.contextmanager
def ended_after(link, seconds):
    """Within it a connection lives for so long; then whoever reads it reads its end. Yields a Cut."""
    cut = Cut()
    # Of the same connection, so that TLS, which takes the socket over, does not matter.
    other = socket.fromfd(link.fileno(), link.family, socket.SOCK_STREAM)

    def end():
        cut.done = True
        try:
            other.shutdown(socket.SHUT_RDWR)
        except (IOError, OSError):
            # The other side was faster.
            pass

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        yield cut
    finally:
        timer.cancel()
        timer.join()
        other.close()
