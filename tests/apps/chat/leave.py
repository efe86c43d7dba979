"""Tells clients to go when their process is to end, so that they connect again at once and none is answered with 400.

uWSGI sends a process under gevent SIGHUP when it is to end, waits for what is open until worker-reload-mercy is over,
and cuts off the rest. nginx leads to another process by then.
"""

import os
import signal
from urllib.parse import parse_qs

import gevent
import uwsgi

# WebSocket's frame that ends a connection, with the code 1001: going away.
GOING_AWAY = b"\x88\x02\x03\xe9"
# Engine.IO's packet that ends a session which polls.
CLOSE = b"1"


class Leaving:
    """A WSGI application in front of Socket.IO's; ``sessions``: those of the Engine.IO server behind it."""

    def __init__(self, wsgi_app, sessions):
        self.wsgi_app, self.sessions, self.sockets = wsgi_app, sessions, set()
        gevent.signal_handler(signal.SIGHUP, self.leave)

    def leave(self):
        for socket in self.sockets:
            os.write(socket, GOING_AWAY)
        for session in list(self.sessions.values()):
            if not session.upgraded:
                session.close(wait=False)

    def __call__(self, environ, start_response):
        upgrade = environ.get("HTTP_UPGRADE", "").lower() == "websocket"
        asked = parse_qs(environ.get("QUERY_STRING", "")).get("sid")
        if asked and asked[0] not in self.sessions:
            # Another process knew it. What is sent is not taken, and not said to be.
            polls = environ["REQUEST_METHOD"] == "GET" and not upgrade
            start_response("200 OK" if polls else "410 Gone", [("Content-Type", "text/plain")])
            return [CLOSE]
        if not upgrade:
            return self.wsgi_app(environ, start_response)
        socket = uwsgi.connection_fd()
        self.sockets.add(socket)
        try:
            return self.wsgi_app(environ, start_response)
        finally:
            self.sockets.discard(socket)
