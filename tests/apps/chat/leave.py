"""Tells clients to go when their process is to end, so that they connect again at once and none is answered with 400.

uWSGI sends a process under gevent SIGHUP when it is to end, waits for what is open until worker-reload-mercy is over,
and cuts off the rest. nginx leads to another process by then.
"""

import os
import signal
from urllib.parse import parse_qs

import gevent
import uwsgi
from engineio.packet import NOOP, Packet

# WebSocket's frame that ends a connection, with the code 1001: going away.
GOING_AWAY = b"\x88\x02\x03\xe9"


class Leaving:
    """A WSGI application in front of Socket.IO's; ``sessions``: those of the Engine.IO server behind it."""

    def __init__(self, wsgi_app, sessions):
        self.wsgi_app, self.sessions, self.sockets = wsgi_app, sessions, set()
        self.listens = False

    def leave(self):
        for socket in self.sockets:
            os.write(socket, GOING_AWAY)
        # A poll that waits is answered with what there is; the next one meets the other process.
        for session in list(self.sessions.values()):
            if not session.upgraded:
                session.queue.put(Packet(NOOP))

    def __call__(self, environ, start_response):
        if not self.listens:
            # Not while the code is imported: uWSGI sets a handler of its own after that, and gevent's must come last.
            self.listens = True
            gevent.signal_handler(signal.SIGHUP, self.leave)
        asked = parse_qs(environ.get("QUERY_STRING", "")).get("sid")
        if asked and asked[0] not in self.sessions:
            # The request is good, but its session ended with the process that had it: every client connects again.
            start_response("410 Gone", [("Content-Type", "text/plain")])
            return [b"this session has ended\n"]
        if environ.get("HTTP_UPGRADE", "").lower() != "websocket":
            return self.wsgi_app(environ, start_response)
        socket = uwsgi.connection_fd()
        self.sockets.add(socket)
        try:
            return self.wsgi_app(environ, start_response)
        finally:
            self.sockets.discard(socket)
