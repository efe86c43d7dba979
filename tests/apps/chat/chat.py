"""A chat over Flask-SocketIO whose room spans instances by way of Redis; says which of them answers."""

import json
import os

import redis
import uwsgi
from flask import Flask, jsonify
from flask_socketio import SocketIO
from leave import Leaving

RELEASE = os.path.basename(os.path.dirname(os.path.realpath(__file__)))
ROOM = os.environ.get("ROOM", "chat")

app = Flask(__name__)
socketio = SocketIO(app, message_queue="redis://127.0.0.1", channel=ROOM, ping_interval=10, ping_timeout=10)
if os.environ.get("LEAVE", "yes") == "yes":
    app.wsgi_app = Leaving(app.wsgi_app, socketio.server.eio.sockets)
store = redis.Redis()


def about():
    # /run/uwsgi-chat-1@next/pid is the second generation's; a preflight has none.
    pidfile = uwsgi.opt.get("safe-pidfile", b"/none/pid").decode()
    folder = os.path.basename(os.path.dirname(pidfile)).removeprefix("uwsgi-")
    name, _at, generation = folder.partition("@")
    return {"instance": name, "generation": generation or "first", "pid": os.getpid(), "release": RELEASE}


@app.route("/")
def page():
    return app.send_static_file("page.html")


@app.route("/who")
def who_answers():
    return jsonify(about())


@socketio.on("who")
def who():
    return about()


@socketio.on("say")
def say(message):
    """Keep a message, tell it to everybody, and only then say that it was taken."""
    number = store.rpush(ROOM, json.dumps(message))
    socketio.emit("said", {"number": number, "message": message, "by": about()})
    return dict(about(), number=number)


@socketio.on("since")
def since(number):
    """What was said after this one, for those who were away."""
    found = store.lrange(ROOM, number, -1)
    return [{"number": number + index, "message": json.loads(text)} for index, text in enumerate(found, 1)]
