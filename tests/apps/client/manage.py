"""Says who its client is, as JSON, by WSGI alone; the application of the tests of addresses, schemes and headers."""

import json
import os

SEEN = ("REMOTE_ADDR", "SERVER_PORT", "HTTPS", "REQUEST_SCHEME", "TWICE")


def app(environ, start_response):
    """All headers, what PEP 3333 says of the client."""
    found = dict((key, value) for key, value in environ.items() if key.startswith("HTTP_") or key in SEEN)
    found["scheme"] = environ["wsgi.url_scheme"]
    found["app"] = os.environ.get("NAME", "")
    body = json.dumps(found).encode("utf-8")
    headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
    start_response("200 OK", headers)
    return [body]
