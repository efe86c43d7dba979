"""Code that is slow to load: a reload that is given up or killed while workers load costs no request."""

import contextlib
import http.client
import json
import os
import signal
import subprocess
import tempfile
import threading
import time

import pytest
from load import ask
from one_host import play, sh, site
from publishing import CHECKOUT, environment, inventory

# Slow only where it is live: on a busy host it takes longer than the preflight did.
CODE = """
import time
if "/current/" in __file__:
    time.sleep(%r)
def app(environ, start):
    time.sleep(0.2)
    start("200 OK", [])
    return [b"%s"]
"""
# uWSGI ends a worker in other ways with threads.
THREADS = {"single": 1, "several": 2}
LIMIT = 8
# Ends what holds one of the collection's locks: Ansible's module, whose command line under pipelining tells nothing.
KILL = """
for fd in /proc/[0-9]*/fd/*; do
    case $(readlink "$fd") in /run/graceful-wsgi/reload-*) pid=${fd#/proc/}; kill -9 "${pid%%/*}"; esac
done
true
"""


@pytest.fixture(scope="module")
def released(tmp_path_factory):
    """Writes a release of both applications, and says what a play is to be told of them."""
    place = tmp_path_factory.mktemp("code")

    def release(text, seconds, **more):
        apps = []
        for name, threads in THREADS.items():
            folder = place / name
            folder.mkdir(exist_ok=True)
            (folder / "manage.py").write_text(CODE % (seconds, text))
            own = {"processes": 2, "threads": threads, "options": {"worker-reload-mercy": 6}}
            apps.append({"name": name, "source": str(folder), "module": "manage", "callable": "app", **own})
        return {"apps": apps, "sites": [site(f"{name}.test", name) for name in THREADS], **more}

    status, said = play(**release("first", 0))
    assert status == 0, said
    return release


@contextlib.contextmanager
def visitors():
    """[(application, problem, text)] of three clients each, which ask all the time and without haste."""
    address, seen, over = sh("hostname -I").split()[0], [], threading.Event()

    def visit(name):
        while not over.wait(0.02):
            link = http.client.HTTPConnection(address, timeout=30)
            seen.append((name, *ask(link, f"{name}.test")))
            link.close()

    threads = [threading.Thread(target=visit, args=(name,), daemon=True) for name in THREADS for _client in range(3)]
    for thread in threads:
        thread.start()
    yield seen
    over.set()
    for thread in threads:
        thread.join()


def lost(seen):
    return [request for request in seen if request[1]]


def answers(seen, name):
    return {text for one, _problem, text in seen if one == name}


def loading():
    """How many workers still load, as the stats servers say."""
    uwsgi = "/opt/uwsgi/current/bin/uwsgi --connect-and-read /run/uwsgi-%s/stats"
    return sh("; ".join(uwsgi % name for name in THREADS), check=False).count('"accepting":0')


def test_a_reload_that_is_given_up_while_workers_load_loses_nothing(released):
    with visitors() as seen:
        status, said = play(**released("second", 11), publish_timeout=LIMIT)
        # The mercy of one that was told to go at the very end.
        time.sleep(4)
    print(len(seen), "requests")
    assert lost(seen) == []
    assert status != 0
    assert "still loading the code: " in said and "publish_timeout" in said
    assert "Live again as it was: several, single" in said
    # None that was told to go while it loaded came to serve.
    assert {name: answers(seen, name) for name in THREADS} == dict.fromkeys(THREADS, {"first"})
    assert len(seen) > 200


def test_a_play_that_is_killed_while_workers_load_loses_nothing_and_a_slow_load_is_no_fault(released):
    """Two workers take longer than the limit, and none of them does."""
    wanted = released("third", 5, publish_timeout=LIMIT)
    given = {"publish_set": "trial", "publish_replace": True, "publish_timeout": LIMIT}
    given.update(publish_apps=wanted["apps"], publish_sites=wanted["sites"])
    with visitors() as seen, tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(given, file)
        file.flush()
        words = ["ansible-playbook", f"--inventory={inventory()}", f"--extra-vars=@{file.name}", "playbooks/site.yml"]
        told = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        run = subprocess.Popen(words, cwd=CHECKOUT, env=environment(), start_new_session=True, **told)
        until = time.monotonic() + 60
        while not loading() and time.monotonic() < until:
            time.sleep(0.2)
        os.killpg(run.pid, signal.SIGKILL)
        run.wait()
        sh(KILL)
        assert loading()
        status, said = play(**wanted)
    print(len(seen), "requests")
    assert lost(seen) == []
    assert status == 0, said
    for name in THREADS:
        assert answers(seen, name) == {"first", "third"}
        assert ask(http.client.HTTPConnection(sh("hostname -I").split()[0]), f"{name}.test")[1] == "third"
