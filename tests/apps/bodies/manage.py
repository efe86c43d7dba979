"""Takes bodies in every way that applications do, and answers in every way that servers get wrong."""

import hashlib
import io
import time

from flask import Flask, Response, jsonify, request

app = Flask(__name__)
PIECE = 65536


def _seen(**more):
    given = request.environ
    return jsonify(
        method=request.method,
        length=given.get("CONTENT_LENGTH", ""),
        coded=given.get("HTTP_TRANSFER_ENCODING"),
        script=request.script_root,
        **more
    )


def _digest(read):
    size, digest = 0, hashlib.md5()
    for piece in iter(lambda: read(PIECE), b""):
        size += len(piece)
        digest.update(piece)
    return {"size": size, "md5": digest.hexdigest()}


METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]


@app.route("/count", methods=METHODS)
def count():
    """The body as Werkzeug hands it on, piece by piece."""
    return _seen(**_digest(request.stream.read))


@app.route("/whole", methods=METHODS)
def whole():
    """All of it at once."""
    return _seen(**_digest(io.BytesIO(request.get_data()).read))


@app.route("/raw", methods=METHODS)
def raw():
    """The body as Django and whoever else goes by CONTENT_LENGTH reads it."""
    left = [int(request.environ.get("CONTENT_LENGTH") or 0)]

    def read(most):
        piece = request.environ["wsgi.input"].read(min(most, left[0]))
        left[0] -= len(piece)
        return piece

    return _seen(**_digest(read))


@app.route("/lines", methods=METHODS)
def lines():
    """The body line by line, which is a code path of its own in uWSGI."""
    found = list(request.environ["wsgi.input"])
    return _seen(lines=len(found), size=sum(map(len, found)))


@app.route("/json", methods=METHODS)
def as_json():
    return _seen(json=request.get_json())


@app.route("/form", methods=METHODS)
def form():
    return _seen(
        fields=request.form.to_dict(),
        files=dict((name, dict(_digest(file.stream.read), name=file.filename)) for name, file in request.files.items()),
    )


@app.route("/unread", methods=METHODS)
def unread():
    """An answer without a look at the body, as a view that wants a login gives it."""
    return Response("unread\n", int(request.args.get("status", 200)))


@app.route("/some", methods=METHODS)
def some():
    """An answer after a part of the body."""
    return _seen(size=len(request.environ["wsgi.input"].read(100)))


@app.route("/headers")
def headers():
    given = request.environ
    return _seen(
        query=len(given.get("QUERY_STRING", "")),
        path=len(given["PATH_INFO"]),
        headers=sum(len(value) for key, value in given.items() if key.startswith("HTTP_T_")),
        count=sum(key.startswith("HTTP_T_") for key in given),
        cookie=len(given.get("HTTP_COOKIE", "")),
    )


@app.route("/headers/<path:path>")
def longer(path):
    return headers()


@app.route("/send")
def send():
    """So many bytes, in pieces, with a length (length=1) or until the end."""
    size = int(request.args["size"])

    def pieces():
        for start in range(0, size, PIECE):
            yield b"x" * min(PIECE, size - start)

    answer = Response(pieces(), mimetype=request.args.get("type", "application/octet-stream"))
    if "length" in request.args:
        answer.headers["Content-Length"] = str(size)
    return answer


@app.route("/drip")
def drip():
    """Five lines with pauses between them; X-Accel-Buffering has nginx hand on each at once."""

    def pieces():
        for number in range(5):
            yield ("data: %d\n\n" % number).encode()
            time.sleep(0.15)

    answer = Response(pieces(), mimetype=request.args.get("type", "text/event-stream"))
    if "buffered" not in request.args:
        answer.headers["X-Accel-Buffering"] = "no"
    return answer


@app.route("/status", methods=METHODS)
def status():
    answer = Response("", int(request.args["status"]))
    if answer.status_code == 304:
        answer.headers["ETag"] = '"x"'
    return answer


@app.route("/file")
def file():
    """A file of 1,000 bytes that knows ranges and ETags."""
    data = b"".join(b"%09d\n" % number for number in range(100))
    answer = Response(data, mimetype="text/plain")
    answer.set_etag("one")
    return answer.make_conditional(request.environ, accept_ranges=True, complete_length=len(data))


@app.route("/slow")
def slow():
    time.sleep(1.1)
    return "slow\n"


@app.route("/boom", methods=METHODS)
def boom():
    raise RuntimeError("the view that fails")
