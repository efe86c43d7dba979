"""Answers with what it saw of the request, as JSON; the application of the scenario paths."""

import os
import time
from collections import Counter

from flask import Flask, Response, jsonify, request, url_for

try:
    import uwsgi
except ImportError:
    uwsgi = None

# What is below /static/ is nginx's.
app = Flask(__name__, static_folder=None)
# One process each, so that its counts are the application's.
seen = Counter()


@app.route("/count")
def count():
    """How often a path was asked for, however it was answered."""
    return jsonify(seen[request.args["path"]])


@app.route("/", defaults={"path": ""}, methods=["GET", "POST", "HEAD"])
@app.route("/<path:path>", methods=["GET", "POST", "HEAD"])
def mirror(path):
    """The query asks for more: header=NAME:VALUE (repeated), status=N, sleep=SECONDS, size=BYTES."""
    seen[request.environ.get("SCRIPT_NAME", "") + request.environ.get("PATH_INFO", "")] += 1
    time.sleep(float(request.args.get("sleep", 0)))
    answer = jsonify(
        app=os.environ["NAME"],
        uri=request.environ["REQUEST_URI"],
        script_name=request.environ.get("SCRIPT_NAME") or "",
        path_info=request.environ.get("PATH_INFO", ""),
        query=request.query_string.decode(),
        method=request.method,
        scheme=request.headers.get("X-Forwarded-Proto", request.environ.get("REQUEST_SCHEME", "")),
        host=request.host,
        address=request.headers.get("X-Real-Ip", request.environ.get("REMOTE_ADDR", "")),
        prefix=request.headers.get("X-Forwarded-Prefix", ""),
        body=len(request.get_data()),
        url=url_for("mirror", path="a/b"),
        whole_url=url_for("mirror", path="a/b", _external=True),
    )
    if "size" in request.args:
        answer = Response("x" * int(request.args["size"]), content_type="text/plain")
    answer.status_code = int(request.args.get("status", 200))
    for header in request.args.getlist("header"):
        name, _colon, value = header.partition(":")
        answer.headers[name] = value
    return answer


def with_websockets(flask):
    """Flask does not know that uWSGI answers a WebSocket by itself."""

    def answer(environ, start_response):
        if not environ["PATH_INFO"].endswith("/websocket"):
            return flask(environ, start_response)
        uwsgi.websocket_handshake()
        uwsgi.websocket_send("hello from %s" % os.environ["NAME"])
        return []

    return answer


app.wsgi_app = with_websockets(app.wsgi_app)
