# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""An end for what is read from somebody who may send a byte now and then: a socket's time-out is one for each read."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import contextlib
import socket
import threading


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
