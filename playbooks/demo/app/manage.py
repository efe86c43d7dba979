"""The demo application: a page that says which process, release and versions answered it."""

import os
import platform
import socket
import time
from importlib.metadata import version
from pathlib import Path

from flask import Flask, jsonify, render_template, request

try:
    import uwsgi
except ImportError:  # Under `flask run` there is no uWSGI around the application.
    uwsgi = None

app = Flask(__name__)
HERE = Path(__file__).resolve().parent
STARTED = time.time()
# What cannot change while this process runs is looked up once: a package's version is parsed from a file.
HOST = socket.gethostname()
SYSTEM = f"{platform.system()} {platform.release()}"
FLASK, PYTHON = version("flask"), platform.python_version()


def text(value):
    return value.decode() if isinstance(value, bytes) else value


def worker():
    if uwsgi is None:
        return {"id": 1, "of": 1, "requests": None}
    workers = uwsgi.workers()
    own = uwsgi.worker_id()
    return {
        "id": own,
        "of": len(workers),
        "requests": next(one["requests"] for one in workers if one["id"] == own),
    }


def release():
    """The release's folder name where the code runs from one, else the plain folder."""
    return HERE.name if HERE.parent.name == "releases" else str(HERE)


def whoami():
    return {
        "host": HOST,
        "pid": os.getpid(),
        "worker": worker(),
        "worker_age": round(time.time() - STARTED),
        "release": release(),
        "folder": str(HERE),
        "system": SYSTEM,
        "versions": {
            "nginx": request.environ.get("NGINX_VERSION"),
            "uwsgi": text(uwsgi.version) if uwsgi else None,
            "flask": FLASK,
            "python": PYTHON,
        },
    }


@app.get("/")
def page():
    return render_template("page.html", me=whoami())


@app.get("/api/whoami")
def api():
    answer = jsonify(whoami())
    answer.headers["Cache-Control"] = "no-store"
    return answer
