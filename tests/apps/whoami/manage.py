"""Says who answered and what arrived, as JSON; the tests' own application."""

import os
import sys
import threading

from flask import Flask, jsonify, request

try:
    import uwsgi
except ImportError:
    uwsgi = None

app = Flask(__name__)
SEEN = ("UWSGI_CHDIR", "UWSGI_SCRIPT", "SCRIPT_NAME", "PATH_INFO", "HTTP_HOST") + (
    "HTTP_X_REAL_IP",
    "HTTP_X_FORWARDED_FOR",
)


def _text(value):
    return value.decode() if isinstance(value, bytes) else value


@app.route("/", defaults={"path": ""})
@app.route("/<path:path>")
def whoami(path):
    """What the request looks like from here; query env=NAME adds an environment variable."""
    name = request.args.get("env")
    answer = {
        "pid": os.getpid(),
        "uid": os.getuid(),
        "cwd": os.getcwd(),
        "file": os.path.realpath(__file__),
        "prefix": sys.prefix,
        "python": "%d.%d" % sys.version_info[:2],
        "threads": threading.active_count(),
        "uri": request.environ.get("REQUEST_URI", ""),
        "seen": dict((key, request.environ[key]) for key in SEEN if key in request.environ),
        "env": os.environ.get(name) if name else None,
    }
    if uwsgi is not None:
        answer["worker"] = uwsgi.worker_id()
        answer["options"] = dict(
            (_text(key), [_text(item) for item in value] if isinstance(value, list) else _text(value))
            for key, value in uwsgi.opt.items()
        )
    return jsonify(answer)
