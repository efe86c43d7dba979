"""Reloads under constant load through nginx: nothing may be lost, and what cannot load may not go live."""

import base64
import http.client
import json
import os
import threading
import time
from pathlib import Path

import pytest
from load import Load

GOOD = (Path(__file__).resolve().parents[3] / "tests/apps/whoami/manage.py").read_text()
MORE = """

@app.before_request
def be_slow():
    # A signal ends a sleep of Python 2.7.
    import time
    until = time.time() + float(request.args.get("sleep", 0))
    while time.time() < until:
        time.sleep(0.1)


@app.after_request
def say(answer):
    answer.set_data(b"x" * int(request.args.get("size", 0)) + answer.get_data() + b"code: %s")
    return answer
"""
# More than all buffers between uWSGI and nginx hold: uWSGI has to wait in the middle of the answer.
LARGE = 20000000


def answered_by(body):
    """Which code has answered."""
    return body.rpartition("code: ")[2]


class App:
    """An application on the host, whose code is edited in place."""

    def __init__(self, host, name):
        self.host, self.name = host, name
        self.pidfile = f"/run/uwsgi-{name}/pid"
        self.address = next(address for address in host.interface("eth0").addresses if ":" not in address)

    def write(self, code, extra="", base=None):
        text = (GOOD + MORE % code if base is None else base) + extra
        packed = base64.b64encode(text.encode()).decode()
        path = f"/srv/code/{self.name}/manage.py"
        self.host.check_output(f"echo {packed} | base64 -d > {path}.new && mv {path}.new {path}")

    def reload(self, **wanted):
        """The module's result, failed or not."""
        wanted = wanted if "instances" in wanted else {"pidfile": self.pidfile, **wanted}
        return run(self.host, wanted)

    def load(self):
        return Load(self.address, host=f"{self.name}.test", clients=4, rate=RATE)

    def get(self, path="/", timeout=30):
        link = http.client.HTTPConnection(self.address, timeout=timeout)
        link.request("GET", path, headers={"Host": f"{self.name}.test"})
        answer = link.getresponse()
        return answer.status, answered_by(answer.read().decode())


def run(host, wanted):
    try:
        answer = host.ansible("graceful.wsgi.uwsgi_reload", json.dumps(wanted), check=False, become=False)
    except host.ansible.AnsibleException as failed:
        answer = failed.result
    # An ad-hoc result comes without it; the module says it for each instance.
    answer["failed"] = any(one["failed"] for one in answer["results"])
    return answer


def processes(host):
    """{(pid, start): name} of every uWSGI and sleep."""
    script = "cat /proc/[0-9]*/stat 2>/dev/null"
    found = {}
    for line in host.run(script).stdout.splitlines():
        pid, _space, rest = line.partition(" (")
        name, _end, fields = rest.rpartition(") ")
        if name in ("uwsgi", "sleep"):
            found[int(pid), int(fields.split()[19])] = name
    return found


def children(host, pid):
    return set(host.run(f"cat /proc/{pid}/task/*/children").stdout.split())


@pytest.fixture
def live(host):
    app = App(host, "live")
    app.write("good")
    return app


@pytest.fixture
def spare(host):
    return App(host, "spare")


RELOADS = int(os.environ.get("RELOADS", "20"))
# Requests per second: enough that no gap of a reload goes unseen, and the host keeps its processors for the reloads.
RATE = 150


def test_nothing_is_lost_over_many_reloads(live):
    took = {"chain": [], "hup": []}
    with live.load() as load:
        for number in range(RELOADS):
            strategy = ("chain", "hup")[number % 2]
            live.write(f"code-{number}")
            result = live.reload(strategy=strategy, probe={"path": "/", "text": f"code-{number}"})
            assert not result["failed"], result
            assert result["changed"]
            assert (result["strategy"], result["quiet"]) == (strategy, True)
            assert not set(result["workers_before"]) & set(result["workers_after"])
            assert len(result["workers_after"]) == 4
            took[strategy].append(result["elapsed"])
        assert live.get()[1] == f"code-{RELOADS - 1}"
    print({name: (min(seconds), max(seconds)) for name, seconds in took.items()})
    assert load.failures == []
    assert len(load.requests) > RATE * RELOADS
    assert {f"code-{number}" for number in range(RELOADS)} <= {answered_by(body) for body in load.bodies}


class Downloads:
    """Clients that fetch one large answer after the other; `cut` are those that did not come whole."""

    def __init__(self, app, clients=3):
        self.app, self.ended = app, threading.Event()
        self.whole, self.cut = 0, []
        self.threads = [threading.Thread(target=self._client) for _number in range(clients)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_exc):
        self.ended.set()
        for thread in self.threads:
            thread.join(60)

    def _client(self):
        while not self.ended.is_set():
            link = http.client.HTTPConnection(self.app.address, timeout=30)
            try:
                link.request("GET", f"/?size={LARGE}", headers={"Host": f"{self.app.name}.test"})
                answer = link.getresponse()
                if len(answer.read()) > LARGE and answer.status == 200:
                    self.whole += 1
                else:
                    self.cut.append(f"status {answer.status}")
            except (OSError, http.client.HTTPException) as error:
                self.cut.append(type(error).__name__)
            link.close()


def test_large_answers_come_whole(live):
    """uWSGI's own chain reload cuts off about one in twenty of these."""
    live.write("large")
    assert not live.reload()["failed"]
    with Downloads(live) as downloads:
        for _number in range(4):
            result = live.reload(strategy="chain", preflight=False)
            assert not result["failed"], result
    assert downloads.cut == []
    assert downloads.whole > 20


BROKEN = {
    "syntax error": ({"extra": "\ndef broken(:\n"}, {}, "SyntaxError"),
    "missing module": ({"extra": "\nimport no_such_module\n"}, {}, "no_such_module"),
    "missing callable": ({"extra": "\ndel app\n"}, {}, "app"),
    "import that hangs": ({"extra": "\nimport time\ntime.sleep(600)\n"}, {"preflight_timeout": 4}, "time limit"),
    "import that exits": ({"extra": "\nos._exit(3)\n"}, {}, "ended"),
    "import that leaves": ({"extra": "\nsys.exit('no configuration')\n"}, {}, "no configuration"),
    "import that raises": ({"extra": "\nraise ValueError('no database')\n"}, {}, "no database"),
    "answers 500": (
        {"extra": "\n@app.before_request\ndef fail():\n    raise KeyError('at run time')\n"},
        {"probe": {"path": "/health"}},
        "answered 500 (Internal Server Error) to the probe /health",
    ),
}


def test_code_that_does_not_load_stays_out(host, live):
    live.write("old")
    assert not live.reload()["failed"]
    before, said = processes(host), {}
    with live.load() as load:
        for name, (code, wanted, _why) in BROKEN.items():
            live.write("broken", **code)
            said[name] = live.reload(**wanted)
            assert live.get() == (200, "old"), name
    live.write("old")
    assert load.failures == []
    assert {answered_by(body) for body in load.bodies} == {"old"}
    assert processes(host) == before
    for name, (_code, _wanted, why) in BROKEN.items():
        assert said[name]["failed"], name
        assert not said[name]["changed"], name
        assert why in said[name]["msg"], (name, said[name]["msg"])


HOSTILE = {
    "empty": (": > {path}", "is empty"),
    "garbage": ("echo garbage > {path}", "not one number"),
    "zero": ("echo 0 > {path}", "holds 0"),
    "one": ("echo 1 > {path}", "holds 1"),
    "minus-one": ("echo -1 > {path}", "not one number"),
    "huge": ("echo 99999999 > {path}", "larger than any pid"),
    "two": ("echo ' 7 8' > {path}", "not one number"),
    "sleep": ("echo {sleep} > {path}", "which is no uWSGI"),
    "anothers": ("cat /run/uwsgi-other/pid > {path}", "another user|whose own pidfile is /run/uwsgi-other/pid"),
    "another-app": ("cat /run/uwsgi-spare/pid > {path}", "another user|whose own pidfile is /run/uwsgi-spare/pid"),
    "worker": ("echo {worker} > {path}", "which is a worker of"),
    "symlink": ("ln -s /run/uwsgi-live/pid {path}", "is a symlink"),
    "folder": ("mkdir {path}", "is a folder"),
    "fifo": ("mkfifo {path}", "not a regular file"),
    "missing": ("true", "no such pidfile"),
}


@pytest.mark.parametrize("strategy", ["auto", "hup", "stop"])
def test_hostile_pidfiles_reach_nobody(host, live, strategy):
    sleep = host.check_output("nohup sleep 900 >/dev/null 2>&1 & echo $!")
    worker = live.reload(strategy="chain")["workers_after"][0]
    host.check_output("rm -rf /tmp/hostile && mkdir /tmp/hostile")
    for name, (command, _why) in HOSTILE.items():
        host.check_output(command.format(path=f"/tmp/hostile/{name}", sleep=sleep, worker=worker))
    before = processes(host)
    assert (int(sleep), "sleep") in {(pid, name) for (pid, _start), name in before.items()}
    with live.load() as load:
        instances = [{"pidfile": f"/tmp/hostile/{name}"} for name in HOSTILE]
        result = live.reload(instances=instances, strategy=strategy, preflight=False)
    assert processes(host) == before
    assert load.failures == []
    assert result["failed"]
    assert not result["changed"]
    for (name, (_command, why)), one in zip(HOSTILE.items(), result["results"], strict=True):
        assert one["failed"], name
        assert any(part in one["msg"] for part in why.split("|")), (name, one["msg"])
    host.check_output(f"kill {sleep}")


def test_a_pidfile_that_everybody_may_write_is_fine(host, live):
    host.check_output(f"chmod 666 {live.pidfile}")
    assert not live.reload()["failed"]
    host.check_output(f"chmod 644 {live.pidfile}")


def test_two_reloads_at_once_are_one_after_the_other(live):
    results = []
    with live.load() as load:
        threads = [threading.Thread(target=lambda: results.append(live.reload(probe={"path": "/"}))) for _ in "ab"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(120)
    assert len(results) == 2
    assert not any(result["failed"] for result in results), results
    assert load.failures == []


def test_a_worker_stuck_in_a_request_is_named_and_its_request_ends_well(live):
    live.write("before")
    assert not live.reload()["failed"]
    live.write("after")
    answers = []
    slow = threading.Thread(target=lambda: answers.append(live.get("/?sleep=25")))
    with live.load() as load:
        slow.start()
        time.sleep(0.5)
        result = live.reload(strategy="chain", timeout=3, preflight=False)
        slow.join(60)
        assert not live.reload()["failed"]
    assert result["failed"]
    assert "not all workers were new and accepting within 3 s" in result["msg"]
    assert "; still from before: " in result["msg"]
    # Each of the others that was replaced before it has begun the limit anew.
    assert result["elapsed"] < 12
    assert answers == [(200, "before")]
    assert load.failures == []


def test_a_worker_that_outlives_the_mercy_is_replaced_all_the_same(host, spare):
    spare.write("before")
    assert not spare.reload()["failed"]
    spare.write("after")
    answers = []
    slow = threading.Thread(target=lambda: answers.append(spare.get("/?sleep=30")[0]))
    slow.start()
    time.sleep(0.5)
    result = spare.reload(strategy="chain", timeout=20, probe={"path": "/", "text": "code: after"})
    slow.join(60)
    assert not result["failed"], result
    assert 3 <= result["elapsed"] < 15
    assert not set(result["workers_before"]) & set(result["workers_after"])
    assert {spare.get()[1] for _request in range(10)} == {"after"}
    # Its request is uWSGI's to end, as the instance's own configuration says.
    assert answers == [502]


def test_a_master_killed_during_the_reload_is_told(host, spare):
    pid = int(host.file(spare.pidfile).content_string)
    slow = threading.Thread(target=lambda: spare.get("/?sleep=30"))
    slow.start()
    time.sleep(0.5)
    results = []
    reload = threading.Thread(target=lambda: results.append(spare.reload(strategy="chain", preflight=False)))
    reload.start()
    # The other worker is new by then, and the master waits for the one that is busy.
    before = children(host, pid)
    while children(host, pid) == before:
        time.sleep(0.05)
    host.check_output(f"kill -9 {pid}")
    reload.join(60)
    slow.join(60)
    [result] = results
    assert result["failed"]
    assert "the master ended during the reload" in result["msg"]
    assert result["elapsed"] < 15
    # systemd has it back, and it is reloaded as ever.
    limit = time.monotonic() + 30
    while spare.get()[0] != 200 and time.monotonic() < limit:
        time.sleep(0.2)
    result = spare.reload(probe={"path": "/"})
    assert not result["failed"], result


def test_check_mode_does_all_but_the_signal(host, live):
    before = processes(host)
    result = host.ansible("graceful.wsgi.uwsgi_reload", f"pidfile={live.pidfile}", check=True, become=False)
    assert result["changed"]
    assert "loaded in" in result["preflight"]
    assert processes(host) == before


def test_stop_ends_one_instance_and_no_other(host, live, spare):
    pid = int(host.file(spare.pidfile).content_string)
    before = processes(host)
    with live.load() as load:
        result = spare.reload(strategy="stop")
        time.sleep(1)
    after = processes(host)
    try:
        assert not result["failed"], result
        assert result["workers_after"] == []
        gone = {number for number, _start in set(before) - set(after)}
        assert gone == {pid, *result["workers_before"]}
        assert not set(after) - set(before)
        assert load.failures == []
    finally:
        host.check_output("systemctl start uwsgi@spare")


def test_the_other_owners_instance_is_reloaded_as_its_owner(host):
    other = App(host, "other")
    other.write("other", base=GOOD + MORE % "other")
    result = other.reload(probe={"path": "/", "text": "code: other"})
    assert not result["failed"], result
    owners = {host.check_output(f"stat -c %U /proc/{pid}") for pid in result["workers_after"]}
    assert owners == {"wyz"}
