"""Keep-alive clients that ask at planned times, and count latency from the planned time and every failure."""

import http.client
import itertools
import threading
import time
from dataclasses import dataclass

TIMEOUT = 10
# How long clients that fell behind may go on after the end, to ask what they had planned.
BEHIND = 30
# What a client sees of a kept connection that the server has closed.
CLOSED = ("RemoteDisconnected", "ConnectionResetError", "BrokenPipeError")


@dataclass(frozen=True)
class Request:
    """Times in seconds, `planned` since the start of the load, `latency` since the planned time."""

    planned: float
    latency: float
    problem: str | None
    body: str = ""


class Load:
    """`rate` requests per second for so many seconds, or until the end of a `with`, spread evenly over the clients."""

    def __init__(self, address, port=80, *, host, clients, rate, seconds=None, reopen=False, path="/"):
        self.address, self.port, self.host, self.path = address, port, host, path
        # nginx before 1.27.4 closes idle connections when it reloads; every client opens another one then.
        self.reopen = reopen
        self.clients, self.rate, self.seconds = clients, rate, seconds
        self.requests = []
        self.threads = [threading.Thread(target=self._client, args=(number,), daemon=True) for number in range(clients)]
        self.began = None

    def start(self):
        self.began = time.monotonic() + 0.1
        for thread in self.threads:
            thread.start()
        return self

    def now(self):
        return time.monotonic() - self.began

    def wait_until(self, moment):
        time.sleep(max(0.0, moment - self.now()))

    def finish(self):
        """All requests in the order of their plan, once each of them has its answer or its failure."""
        if self.seconds is None:
            self.seconds = self.now()
        for thread in self.threads:
            thread.join(self.seconds - self.now() + BEHIND + 2 * TIMEOUT)
        if any(thread.is_alive() for thread in self.threads):
            raise TimeoutError("the clients did not end")
        return sorted(self.requests, key=lambda request: request.planned)

    def __enter__(self):
        return self.start()

    def __exit__(self, *_exc):
        self.finish()
        print(f"{len(self.requests)} requests, {len(self.failures)} failed, the slowest took {self.slowest:.3f} s")

    @property
    def failures(self):
        return [request.problem for request in list(self.requests) if request.problem]

    @property
    def slowest(self):
        return max((request.latency for request in list(self.requests)), default=0.0)

    @property
    def bodies(self):
        return {request.body for request in list(self.requests)}

    def _client(self, number):
        link = None
        for turn in itertools.count(number, self.clients):
            planned = turn / self.rate
            if self.seconds is not None and planned >= self.seconds:
                break
            if self.seconds is not None and self.now() > self.seconds + BEHIND:
                self.requests.append(Request(planned, self.now() - planned, "never sent, too far behind"))
                continue
            self.wait_until(planned)
            kept, link = link, link or http.client.HTTPConnection(self.address, self.port, timeout=TIMEOUT)
            problem, body = ask(link, self.host, self.path)
            if problem in CLOSED and kept and self.reopen:
                link.close()
                problem, body = ask(link, self.host, self.path)
            self.requests.append(Request(planned, self.now() - planned, problem, body))
            if problem:
                link.close()
                link = None
        if link:
            link.close()


def ask(link, host, path="/"):
    """(problem or None, body) of one request over this connection."""
    try:
        link.request("GET", path, headers={"Host": host})
        answer = link.getresponse()
        body = answer.read().decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        return type(error).__name__, ""
    return (None, body) if 200 <= answer.status < 300 else (f"status {answer.status}", "")
