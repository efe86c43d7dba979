"""The article's application with a WebSocket, for Python 2.7 too: what is said on it comes back, and who answers."""

import os
import sys

import gevent
import pkg_resources
from flask import Flask, jsonify
from flask_socketio import SocketIO, emit

app = Flask(__name__)
socketio = SocketIO(app)


@app.route("/")
def about():
    packages = dict((item.key, item.version) for item in pkg_resources.working_set)
    python = "%d.%d" % sys.version_info[:2]
    return jsonify(python=python, packages=packages, pid=os.getpid(), mode=socketio.async_mode)


@socketio.on("say")
def say(text):
    gevent.sleep(0.01)
    emit("said", {"text": text, "pid": os.getpid()}, broadcast=True)
