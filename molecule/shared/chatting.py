"""Socket.IO clients of tests/apps/chat that count what happens to them: answers, losses, how long they are away."""

import asyncio
import collections
import itertools
import threading
import time

import aiohttp
import socketio

# As socket.io's own client does it: the first attempt after half a second to one and a half.
DELAY = {"reconnection_delay": 1, "reconnection_delay_max": 5, "randomization_factor": 0.5}
LONGEST_DELAY = 1.5


class Client:
    """One client, which connects again by itself and then asks for what was said meanwhile."""

    def __init__(self, crowd, number, transports):
        self.crowd, self.number, self.transports = crowd, number, transports
        self.who, self.got, self.acknowledged, self.failed = [], {}, set(), 0
        self.left, self.away = None, []

    async def start(self):
        traced = aiohttp.TraceConfig()
        traced.on_request_end.append(self._answered)
        # Without unsafe no cookie is kept of a host that is an address.
        self.http = aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True), trace_configs=[traced])
        self.io = socketio.AsyncClient(http_session=self.http, **DELAY)
        self.io.on("connect", self._connected)
        self.io.on("disconnect", self._disconnected)
        self.io.on("said", self._said)
        await self.io.connect(self.crowd.url, transports=self.transports, wait_timeout=20)

    async def _answered(self, _session, _context, params):
        self.crowd.statuses[params.response.status] += 1

    async def _connected(self):
        if self.left is not None:
            self.away.append(time.monotonic() - self.left)
            self.left = None
        asyncio.create_task(self._settle())

    async def _settle(self):
        try:
            about = await self.io.call("who", timeout=20)
            missed = await self.io.call("since", self._known(), timeout=20)
        except (socketio.exceptions.SocketIOError, aiohttp.ClientError):
            return
        self.who.append(about)
        self.got.update((item["number"], None) for item in missed if item["number"] not in self.got)

    def _known(self):
        """Up to which number it has all that was said."""
        return next(number for number in itertools.count(self.crowd.since) if number + 1 not in self.got)

    async def _disconnected(self, *_reason):
        if not self.crowd.ending:
            self.left = time.monotonic()

    async def _said(self, said):
        self.got[said["number"]] = said["by"]["instance"]

    async def say(self, text):
        """Says it once; whether it arrived is known only where it was acknowledged."""
        try:
            answer = await self.io.call("say", {"text": text}, timeout=5)
        except (socketio.exceptions.SocketIOError, aiohttp.ClientError):
            self.failed += 1
            return
        self.acknowledged.add(answer["number"])
        self.who.append({key: value for key, value in answer.items() if key != "number"})

    async def ask(self):
        """Who answers a request of its own, with its cookie."""
        async with self.http.get(self.crowd.url + "/who") as answer:
            return await answer.json()

    @property
    def instances(self):
        return {about["instance"] for about in self.who}


class Crowd:
    """So many clients, half of them over polling only, half over WebSocket; some of them talk all the time."""

    def __init__(self, url, count, transports=(["polling"], ["polling", "websocket"]), patience=60, pause=0.5):
        self.url, self.patience, self.pause = url, patience, pause
        self.statuses = collections.Counter()
        self.clients = [Client(self, number, transports[number % len(transports)]) for number in range(count)]
        self.since, self.ending, self.refused = 0, False, 0
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)

    def run(self, work, timeout=120):
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(timeout)

    def __enter__(self):
        self.thread.start()
        self.run(self._start())
        self.talk = asyncio.run_coroutine_threadsafe(self._talk(), self.loop)
        return self

    def __exit__(self, *_exc):
        self.ending = True
        self.talk.cancel()
        self.run(self._stop())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)

    async def _start(self):
        gate = asyncio.Semaphore(20)

        async def start(client):
            async with gate:
                try:
                    async with asyncio.timeout(self.patience):
                        await client.start()
                except (socketio.exceptions.SocketIOError, TimeoutError):
                    self.refused += 1

        await asyncio.gather(*(start(client) for client in self.clients))

    async def _stop(self):
        async def stop(client):
            await asyncio.wait([asyncio.create_task(client.io.shutdown())], timeout=10)
            await client.http.close()

        await asyncio.gather(*(stop(client) for client in self.clients))

    async def _talk(self):
        tasks = set()
        for turn in itertools.count():
            client = self.clients[turn * 7 % len(self.clients)]
            if client.io.connected:
                tasks.add(asyncio.create_task(client.say(f"{turn}")))
                tasks = {task for task in tasks if not task.done()}
            await asyncio.sleep(self.pause)

    @property
    def acknowledged(self):
        return set().union(*(client.acknowledged for client in self.clients))

    @property
    def away(self):
        return sorted(seconds for client in self.clients for seconds in client.away)

    def wait(self, condition, timeout=30):
        until = time.monotonic() + timeout
        while not condition() and time.monotonic() < until:
            time.sleep(0.1)
        return condition()

    def all_there(self, timeout=30):
        """Whether every client is connected and knows by whom."""
        found = self.clients
        return self.wait(lambda: all(one.io.connected and one.who and one.left is None for one in found), timeout)

    def missing(self, timeout=20):
        """Acknowledged messages that some client has not got, after a while."""
        wanted = self.acknowledged
        self.wait(lambda: all(wanted <= set(one.got) for one in self.clients), timeout)
        return {one.number: sorted(wanted - set(one.got)) for one in self.clients if wanted - set(one.got)}

    def ask(self):
        """Who answers each client's next request."""

        async def ask():
            return await asyncio.gather(*(client.ask() for client in self.clients))

        return [about["instance"] for about in self.run(ask())]

    def story(self):
        """What happened, in a line for people."""
        away = self.away
        return (
            f"{len(self.clients)} clients, {len(self.acknowledged)} messages acknowledged,"
            f" {sum(one.failed for one in self.clients)} not; disconnected {len(away)} times,"
            f" at most {max((len(one.away) for one in self.clients), default=0)} times each,"
            f" away {away[len(away) // 2] if away else 0:.2f} s (median), {away[-1] if away else 0:.2f} s (longest);"
            f" answers {dict(sorted(self.statuses.items()))}"
        )
