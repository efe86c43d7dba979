"""Keep-alive clients that ask at planned times, and count latency from the planned time and every failure."""

import http.client
import threading
import time
from dataclasses import dataclass

TIMEOUT = 10
# How long clients that fell behind may go on after the end, to ask what they had planned.
BEHIND = 30


@dataclass(frozen=True)
class Request:
    """Times in seconds, `planned` since the start of the load, `latency` since the planned time."""

    planned: float
    latency: float
    problem: str | None
    body: str = ""


class Load:
    """`rate` requests per second for so many seconds, spread evenly over the clients."""

    def __init__(self, address, port=80, *, clients, rate, seconds):
        self.address, self.port = address, port
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
        for thread in self.threads:
            thread.join(self.seconds + BEHIND + 2 * TIMEOUT)
        if any(thread.is_alive() for thread in self.threads):
            raise TimeoutError("the clients did not end")
        return sorted(self.requests, key=lambda request: request.planned)

    def _client(self, number):
        link = None
        for turn in range(number, round(self.rate * self.seconds), self.clients):
            planned = turn / self.rate
            if self.now() > self.seconds + BEHIND:
                self.requests.append(Request(planned, self.now() - planned, "never sent, too far behind"))
                continue
            self.wait_until(planned)
            link = link or http.client.HTTPConnection(self.address, self.port, timeout=TIMEOUT)
            problem, body = ask(link)
            self.requests.append(Request(planned, self.now() - planned, problem, body))
            if problem:
                link.close()
                link = None
        if link:
            link.close()


def ask(link):
    """(problem or None, body) of one request over this connection."""
    try:
        link.request("GET", "/", headers={"Host": "bench.test"})
        answer = link.getresponse()
        body = answer.read().decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        return type(error).__name__, ""
    return (None, body) if 200 <= answer.status < 300 else (f"status {answer.status}", "")
