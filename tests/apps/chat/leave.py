"""Lets the sessions of Flask-SocketIO go in order when their process is to end, so that no poll is answered with 400.

uWSGI tells a process under gevent by SIGHUP that it is to end, and then waits for what is open. nginx leads to another
process by then.
"""

import signal
from urllib.parse import parse_qs

import gevent

# Engine.IO's packet that says: this session is over, open another one.
CLOSE = b"1"


class Leaving:
    """A WSGI application in front of Socket.IO's, whose ``sessions`` are those of the Engine.IO server behind it."""

    def __init__(self, wsgi_app, sessions):
        self.wsgi_app, self.sessions = wsgi_app, sessions
        gevent.signal_handler(signal.SIGHUP, self.leave)

    def leave(self):
        for session in list(self.sessions.values()):
            gevent.spawn(session.close, wait=False)

    def __call__(self, environ, start_response):
        asked = parse_qs(environ.get("QUERY_STRING", ""))
        if "sid" not in asked or asked["sid"][0] in self.sessions:
            return self.wsgi_app(environ, start_response)
        # It was another process's. What it sent is not taken, and not said to be.
        fetches = environ["REQUEST_METHOD"] == "GET" and "HTTP_UPGRADE" not in environ
        start_response("200 OK" if fetches else "410 Gone", [("Content-Type", "text/plain")])
        return [CLOSE]
