"""Visitors of a site for as long as a block lasts, none of whose requests may fail."""

import json
import subprocess
import time
from contextlib import contextmanager

from one_host import HOST

LOAD = """
import http.client, json, sys, threading, time
done, told = threading.Event(), {"sent": 0, "failed": []}
def ask():
    while not done.is_set():
        try:
            c = http.client.HTTPConnection("127.0.0.1", 80, timeout=30)
            c.request("GET", "/", headers={"Host": sys.argv[1]})
            answer = c.getresponse()
            text = answer.read().decode()
            if answer.status != 200:
                told["failed"].append([answer.status, text[:200]])
        except Exception as error:
            told["failed"].append(repr(error))
        told["sent"] += 1
        # Without a pause they alone would keep a processor busy.
        time.sleep(0.01)
threads = [threading.Thread(target=ask) for _ in range(3)]
[thread.start() for thread in threads]
sys.stdin.read()
done.set()
[thread.join() for thread in threads]
print(json.dumps(told))
"""


@contextmanager
def visitors(name):
    """Visitors for as long as the block lasts; none of their requests may fail."""
    words = ["docker", "exec", "-i", HOST, "python3", "-c", LOAD, name]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as running:
        time.sleep(0.5)
        yield
        told = json.loads(running.communicate(input="")[0])
    assert told["sent"] > 20 and not told["failed"], told
