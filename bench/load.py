"""Sends one request again and again over so many connections, and prints what came of it, as JSON.

`load.py PORT PATH BODY CONNECTIONS SECONDS [STATUS]`: BODY is sent as JSON; a `#` in it is another number each time.
Every answer must have the status (200), or the load stops. As little HTTP as that needs, so that the server is what is
measured; the first fifth of the time warms up and is not counted.
"""

import asyncio
import json
import sys
import time
from itertools import count
from typing import cast

import uvloop


class Client(asyncio.Protocol):
    """A connection that sends the next request when the last one is answered."""

    def __init__(self, head: bytes, body: bytes, status: bytes, numbers: "count[int]", ended: asyncio.Event) -> None:
        self._head = head
        self._body = body
        self._status = b"HTTP/1.1 " + status
        self._numbers = numbers
        self._ended = ended
        self._data = b""
        self._sent = 0.0
        self._transport: asyncio.Transport | None = None
        self.took: list[tuple[float, float]] = []
        self.wrong: bytes | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._ended.is_set():
            self.wrong = self.wrong or f"the connection was lost: {exc}".encode()
            self._ended.set()

    def data_received(self, data: bytes) -> None:
        self._data += data
        end = self._data.find(b"\r\n\r\n")
        if end < 0:
            return
        if not self._data.startswith(self._status):
            self.wrong = self._data
            self._ended.set()
            return
        head = self._data[:end].lower()
        at = head.find(b"content-length:")
        if at < 0:  # chunked
            if not self._data.endswith(b"0\r\n\r\n"):
                return
        elif len(self._data) < end + 4 + int(head[at + 15 :].split(b"\r\n", 1)[0]):
            return
        self._data = b""
        now = time.perf_counter()
        self.took.append((now, now - self._sent))
        if not self._ended.is_set():
            self._send()

    def _send(self) -> None:
        assert self._transport is not None
        body = self._body
        if b"#" in body:
            body = body.replace(b"#", b"%d" % next(self._numbers))
        self._sent = time.perf_counter()
        self._transport.write(self._head % len(body) + body)


async def main() -> None:
    port, path, body, connections, seconds, *status = sys.argv[1:]
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
        "Authorization: Bearer tz-none\r\nContent-Length: %d\r\n\r\n"
    ).encode()
    ended, numbers = asyncio.Event(), count(time.time_ns())
    code = (status[0] if status else "200").encode()
    loop = asyncio.get_running_loop()
    clients = [
        (
            await loop.create_connection(
                lambda: Client(head, body.encode(), code, numbers, ended), "127.0.0.1", int(port)
            )
        )[1]
        for _ in range(int(connections))
    ]
    loop.call_later(float(seconds), ended.set)
    await ended.wait()
    until = time.perf_counter()
    wrong = next((each.wrong for each in clients if each.wrong), None)
    if wrong is not None:
        sys.exit(f"a wrong answer: {wrong[:500]!r}")
    since = until - float(seconds) * 0.8
    took = sorted(each for client in clients for at, each in client.took if since <= at <= until)
    print(
        json.dumps(
            {
                "rate": len(took) / (until - since),
                "p50_ms": took[len(took) // 2] * 1000,
                "p99_ms": took[len(took) * 99 // 100] * 1000,
            }
        )
    )


if __name__ == "__main__":
    uvloop.run(main())
