"""Visitors of the trial: they ask until a file `stop` is there, and tell of each request that was no success.

Each line of told.jsonl is one that failed: when it began and ended, of which kind it was, and what was answered.
counted.json has, in the end, how many there were of each kind, which releases answered, and the digest of each upload
that was accepted.
"""

import collections
import hashlib
import http.client
import json
import os
import threading
import time

FOLDER = "/var/tmp/visitors"
SHOP, FLASK = "shop.example.com", "httpbin.example.com"
PAGE = b"Back in a minute"
lock = threading.Lock()
counted, releases, kept = collections.Counter(), collections.Counter(), {}


class Visitor:
    """One client, on a kept connection or on a new one for each request."""

    def __init__(self, keeps):
        self.keeps = keeps
        self.links = {}

    def link(self, host):
        if not self.keeps or host not in self.links:
            self.links[host] = http.client.HTTPConnection("127.0.0.1", 80, timeout=60)
        return self.links[host]

    def send(self, kind, method, host, path, body):
        link, fresh = self.link(host), host not in self.links or self.links[host].sock is None
        try:
            link.request(method, path, body, {"Host": host, "Connection": "keep-alive" if self.keeps else "close"})
            answer = link.getresponse()
        except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):
            # A server may end a connection that is idle; a browser then asks once more on a new one.
            self.links.pop(host, None)
            if fresh or method != "GET":
                raise
            with lock:
                counted["asked again on a new connection"] += 1
            return self.send(kind, method, host, path, body)
        text = answer.read()
        if answer.will_close:
            link.close()
            self.links.pop(host, None)
        return answer, text

    def ask(self, kind, method, host, path, body=None):
        """The text of an answer of 200, else None."""
        began = time.time()
        try:
            answer, text = self.send(kind, method, host, path, body)
        except (OSError, http.client.HTTPException) as error:
            self.links.pop(host, None)
            return self.lost(began, kind, path, repr(error))
        with lock:
            counted[kind] += 1
            if answer.headers.get("X-Release"):
                releases[answer.headers["X-Release"]] += 1
        if answer.status == 200:
            return text
        page = answer.status == 503 and PAGE in text
        return self.lost(began, kind, path, "maintenance" if page else f"{answer.status} {text[:300]!r}")

    @staticmethod
    def lost(began, kind, path, why):
        line = {"began": began, "ended": time.time(), "kind": kind, "path": path, "why": why}
        with lock, open(FOLDER + "/told.jsonl", "a") as told:
            told.write(json.dumps(line) + "\n")


def goes_on():
    return not os.path.exists(FOLDER + "/stop")


def reads(keeps):
    visitor = Visitor(keeps)
    while goes_on():
        visitor.ask("front page", "GET", SHOP, "/")
        visitor.ask("static file", "GET", SHOP, "/static/store/shop.css")
        visitor.ask("flask", "GET", FLASK, "/get?a=b")
        time.sleep(0.15)


def uploads(number):
    # On a new connection each time: what was sent twice would be there twice.
    visitor, count = Visitor(False), 0
    while goes_on():
        count += 1
        # Some are spooled to disk by nginx and by uWSGI.
        name, body = f"up-{number}-{count}", os.urandom(200000 if count % 10 == 0 else 3000)
        digest = visitor.ask("upload", "PUT", SHOP, "/uploads/" + name, body)
        if digest is not None:
            if digest.decode() != hashlib.sha256(body).hexdigest():
                visitor.lost(time.time(), "upload", name, "another digest")
            with lock:
                kept[name] = hashlib.sha256(body).hexdigest()
            seen = visitor.ask("uploaded file", "GET", SHOP, "/media/" + name)
            if seen is not None and seen != body:
                visitor.lost(time.time(), "uploaded file", name, "other bytes")
        time.sleep(0.3)


open(FOLDER + "/told.jsonl", "w").close()
threads = [threading.Thread(target=reads, args=(keeps,)) for keeps in (True, False)]
threads += [threading.Thread(target=uploads, args=(number,)) for number in range(2)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
with open(FOLDER + "/counted.json", "w") as file:
    json.dump({"counted": counted, "releases": releases, "kept": kept}, file)
