"""An OpenAI-compatible server that misbehaves by a script, for benchmarks: `faulty.py SCENARIO` prints its port.

A question is `Question N`, its right answer is `answer_to(N)`. Whether a call fails depends on N and on how often N was
asked, so all clients meet the same faults. `GET /stats` tells what was asked of it.
"""

import asyncio
import json
import socket
import struct
import sys
import time
from collections import Counter
from collections.abc import Callable
from hashlib import blake2b
from typing import Any, NamedTuple

import uvloop

from server import Connection

SERVICE = 0.05
"""Seconds that an answer takes."""


class Say(NamedTuple):
    """What to do with one call."""

    body: bytes | None
    status: str = "200 OK"
    headers: str = ""
    works: bool = False
    """Whether it takes the time, and a place, of an answer."""


def answer_to(number: int) -> str:
    return f"The answer to {number} is {blake2b(str(number).encode(), digest_size=4).hexdigest()}."


def draw(number: int, call: int) -> float:
    """Give a number in [0, 1) for the n-th call (from 1) for a question."""
    return int.from_bytes(blake2b(f"{number}/{call}".encode(), digest_size=4).digest()) / 2**32


def completion(content: Any) -> bytes:
    choices = [{"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": "stop"}]
    usage = {"prompt_tokens": 12, "completion_tokens": 8, "total_tokens": 20}
    told = {"id": "x", "object": "chat.completion", "created": 1, "model": "bench", "choices": choices, "usage": usage}
    return json.dumps(told).encode()


def error(message: str, code: str) -> bytes:
    return json.dumps({"error": {"message": message, "type": code, "param": None, "code": code}}).encode()


RESET = Say(None)
OVERLOADED = Say(
    error("Rate limit reached for requests per minute.", "rate_limit_exceeded"),
    "429 Too Many Requests",
    "retry-after-ms: 200\r\nretry-after: 1\r\n",
)
BROKEN = Say(error("The server had an error.", "server_error"), "500 Internal Server Error")
FULL = Say(error("Server overloaded, please retry shortly.", "overloaded"), "503 Service Unavailable")


def no_quota(left: float | None, *, exact: bool = False) -> Say:
    said = error("You exceeded your current quota, please check your plan and billing details.", "insufficient_quota")
    seconds = "" if left is None else f"retry-after: {int(left) + 1}\r\n"
    milliseconds = f"retry-after-ms: {int((left or 0) * 1000) + 1}\r\n" if exact else ""
    return Say(said, "429 Too Many Requests", milliseconds + seconds)


def good(number: int) -> Say:
    return Say(completion(answer_to(number)), works=True)


RUBBISH: tuple[Callable[[int], Say], ...] = (
    lambda _: Say(completion("Error: upstream unavailable")),
    lambda _: Say(completion(None)),
    lambda _: Say(completion("  \n")),
    lambda _: Say(json.dumps({**json.loads(completion("x")), "choices": []}).encode()),
    lambda _: Say(b"<!DOCTYPE html><html><body>Please wait</body></html>"),
    lambda number: Say(completion(answer_to(number))[:60]),
    lambda _: Say(b""),
    lambda _: Say(error("Provider returned error", "server_error")),
)


def rubbish(number: int, call: int) -> Say:
    return RUBBISH[int(draw(number, call) * 1e6) % len(RUBBISH)](number)


class Scenario(NamedTuple):
    """What goes wrong: `say` is given the question, the call and the seconds since the first call."""

    say: Callable[[int, int, float], Say]
    capacity: int | None = None
    queue: int = 0
    down: tuple[float, float] = (0.0, 0.0)
    """From when to when, in seconds since the first call, nothing listens."""


def noise(overload: float, broken: float, strange: float = 0.0) -> Callable[[int, int, float], Say]:
    def say(number: int, call: int, _: float) -> Say:
        drawn = draw(number, call)
        if drawn < overload:
            return OVERLOADED
        if drawn < overload + broken:
            return BROKEN
        return rubbish(number, call) if drawn < overload + broken + strange else good(number)

    return say


def during(begin: float, end: float, what: Callable[[float], Say]) -> Callable[[int, int, float], Say]:
    return lambda number, _, now: what(end - now) if begin <= now < end else good(number)


def everything(number: int, call: int, now: float) -> Say:
    if 3 <= now < 8:
        return no_quota(8 - now, exact=True)
    if 12 <= now < 17:
        return RESET
    return noise(0.05, 0.02, 0.05)(number, call, now)


SCENARIOS = {
    "fine": Scenario(lambda number, _, __: good(number)),
    "overload": Scenario(noise(0.1, 0.02)),
    "quota30": Scenario(during(0.5, 30.5, no_quota)),
    "quota30-no-header": Scenario(during(0.5, 30.5, lambda _: no_quota(None))),
    "quota90": Scenario(during(0.5, 90.5, no_quota)),
    "resets20": Scenario(during(0.5, 20.5, lambda _: RESET)),
    "rubbish": Scenario(noise(0, 0, 0.16)),
    "capacity16": Scenario(lambda number, _, __: good(number), capacity=16, queue=8),
    "capacity4": Scenario(lambda number, _, __: good(number), capacity=4, queue=2),
    "everything": Scenario(everything, capacity=16, queue=8),
    "down60": Scenario(lambda number, _, __: good(number), down=(2.0, 62.0)),
}


class Server:
    """Keeps count, and places for calls where there is a capacity."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.began: float | None = None
        self.asked: Counter[int] = Counter()
        self.by_status: Counter[str] = Counter()
        self.calls = self.in_flight = self.peak = self.refused_early = self.refused_late = self.served = 0
        self.worked = 0.0
        self.last = 0.0
        self.in_outage = 0
        self.free = asyncio.Semaphore(scenario.capacity or 1_000_000)
        self.held = 0
        self.connections: set[asyncio.Transport] = set()

    @property
    def now(self) -> float:
        return 0.0 if self.began is None else time.monotonic() - self.began

    def begin(self) -> None:
        if self.began is None:
            self.began = time.monotonic()

    def stats(self) -> dict[str, Any]:
        return {
            "calls": self.calls,
            "served": self.served,
            "refused_early": self.refused_early,
            "refused_late": self.refused_late,
            "in_outage": self.in_outage,
            "peak": self.peak,
            "seconds": self.last,
            "by_status": self.by_status,
        }

    async def call(self, number: int) -> Say:
        self.begin()
        self.calls += 1
        self.asked[number] += 1
        self.in_flight += 1
        self.peak = max(self.peak, self.in_flight)
        say = self.scenario.say(number, self.asked[number], self.now)
        self.in_outage += say is RESET or b"insufficient_quota" in (say.body or b"")
        try:
            if say.works:
                say = await self._work(say)
        finally:
            self.in_flight -= 1
            self.last = self.now
        self.by_status["reset" if say.body is None else say.status[:3]] += 1
        return say

    async def _work(self, say: Say) -> Say:
        if self.held >= (self.scenario.capacity or 1_000_000) + self.scenario.queue:
            if self.calls > 100:
                self.refused_late += 1
            else:
                self.refused_early += 1
            return FULL
        self.held += 1
        try:
            async with self.free:
                await asyncio.sleep(SERVICE)
        finally:
            self.held -= 1
        self.served += 1
        return say


class _Faulty(Connection):
    def __init__(self, server: Server) -> None:
        super().__init__()
        self._server = server

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if self.transport is not None:
            self._server.connections.add(self.transport)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        if self.transport is not None:
            self._server.connections.discard(self.transport)

    def requested(self, head: bytes, body: bytes) -> None:
        if head.startswith(b"get /stats"):
            self._say(Say(json.dumps(self._server.stats()).encode()))
        else:
            asyncio.ensure_future(self._answer(body))  # noqa: RUF006 - it ends by itself

    async def _answer(self, body: bytes) -> None:
        number = int(json.loads(body)["messages"][-1]["content"].split()[1])
        self._say(await self._server.call(number))

    def _say(self, say: Say) -> None:
        if say.body is not None:
            head = f"HTTP/1.1 {say.status}\r\ncontent-type: application/json\r\n{say.headers}"
            self.send(f"{head}content-length: {len(say.body)}\r\n\r\n".encode() + say.body)
        elif self.transport is not None and not self.transport.is_closing():
            reset(self.transport)


def reset(transport: asyncio.Transport) -> None:
    connection: socket.socket = transport.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


async def main(name: str) -> None:
    server = Server(SCENARIOS[name])
    loop = asyncio.get_running_loop()
    listener = await loop.create_server(lambda: _Faulty(server), "127.0.0.1", 0, backlog=1024)
    port = listener.sockets[0].getsockname()[1]
    print(port, flush=True)
    begin, end = server.scenario.down
    while end:
        await asyncio.sleep(0.01)
        if server.now < begin:
            continue
        listener.close()
        for connection in list(server.connections):
            reset(connection)
        await asyncio.sleep(end - server.now)
        listener = await loop.create_server(lambda: _Faulty(server), "127.0.0.1", port, backlog=1024)
        break
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1]))
