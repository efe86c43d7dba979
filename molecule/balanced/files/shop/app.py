"""Says which version answers, and on which host."""

import socket

VERSION = "0"


def application(_environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{VERSION} {socket.gethostname()}".encode()]
