"""A scripted OpenAI-compatible server over real sockets, in the test's own event loop."""

import asyncio
import contextlib
import gzip
import json
import socket
import struct
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self

__all__ = ["HANG", "Do", "FakeLLM", "Request", "answer", "completion", "status"]

HANG = 3600.0
"""Seconds that stand for ever; a hanging server ends with its context."""

_POLL = 0.005

_TLS = b"\x16"
"""How a TLS connection begins."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """What a client sent; `number` counts from 1."""

    number: int
    path: str
    headers: Mapping[str, str]
    """By lower-case name."""
    body: Any
    """The decoded JSON, or the bytes where they are none."""


@dataclass(frozen=True, kw_only=True)
class Do:
    """What to do with one request: wait `delay` seconds, then answer, or break off as told."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    raw: bytes | None = None
    """Sent instead of a response, followed by the end of the connection."""
    delay: float = 0.0
    after: threading.Event | None = None
    """Set by the test, from any thread, once this request may go on; before that nothing happens to it."""
    drip: float = 0.0
    """Seconds between single bytes of the body."""
    stop_after: int | None = None
    """Bytes of the body after which the connection ends (or hangs, or is reset)."""
    reset: bool = False
    """End the connection with a reset, not a clean close."""
    hang: bool = False
    """Say nothing more, and keep the connection."""
    close: bool = False
    """End the connection without a word."""
    gzipped: bool = False


Script = Callable[[Request], Do] | Sequence[Do] | Do
"""A function, or what to do with request 1, 2, … (the last one repeats)."""


def completion(content: Any = "Paris.", *, finish_reason: str | None = "stop", **message: Any) -> dict[str, Any]:
    """Give the body of a chat completion."""
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "fake-1",
        "choices": [
            {
                "index": 0,
                "finish_reason": finish_reason,
                "message": {"role": "assistant", "content": content, **message},
            }
        ],
        "usage": {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10},
    }


def answer(content: Any = "Paris.", **options: Any) -> Do:
    """Answer with this text; options are those of `Do`, or `finish_reason` and further fields of the message."""
    told = {name: options.pop(name) for name in list(options) if name in Do.__dataclass_fields__}
    return Do(body=json.dumps(completion(content, **options)).encode(), **told)


def status(code: int, error: Any = None, **options: Any) -> Do:
    """Answer with a status and `error` as the body: a dict is the error object, a str is sent as it is."""
    body = error.encode() if isinstance(error, str) else json.dumps({"error": error or {}}).encode()
    return Do(status=code, body=body, **options)


class FakeLLM:
    """The server: `async with FakeLLM(script) as llm` listens at `llm.base_url` and leaves nothing running."""

    def __init__(
        self,
        script: Script | None = None,
        *,
        capacity: int | None = None,
        queue: int = 0,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        """Serve any number of calls at once, or `capacity`, with `queue` more waiting and a 503 for the rest."""
        self.script: Script = answer() if script is None else script
        self._host = host
        self._port = port
        self.refused = 0
        """Requests that found no place."""
        self.served_at_once = 0
        """Most requests that were being served at the same time."""
        self._capacity = capacity
        self._queue = queue
        self._held = 0
        self._serving = 0
        self._places = asyncio.Semaphore(capacity or 1)
        self.requests: list[Request] = []
        self.connections = 0
        self.base_url = ""
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def bodies(self) -> list[Any]:
        """The decoded bodies of all requests, in order."""
        return [request.body for request in self.requests]

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, self._host, self._port)
        self.base_url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/v1"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
                while await self._respond(await self._read(reader), writer):
                    pass
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def _read(self, reader: asyncio.StreamReader) -> Request:
        first = await reader.readexactly(1)
        if first == _TLS:  # a server without TLS takes it for a bad request
            raise ConnectionAbortedError
        head = (first + await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:-2])}
        data: Any = await reader.readexactly(int(headers.get("content-length", "0")))
        with contextlib.suppress(ValueError):
            data = json.loads(data)
        request = Request(number=len(self.requests) + 1, path=head[0].split(" ")[1], headers=headers, body=data)
        self.requests.append(request)
        return request

    async def _serve_in_turn(self, seconds: float) -> None:
        self._held += 1
        async with self._places:
            self._serving += 1
            self.served_at_once = max(self.served_at_once, self._serving)
            await asyncio.sleep(seconds)
            self._serving -= 1
        self._held -= 1

    def _told(self, request: Request) -> Do:
        if isinstance(self.script, Do):
            return self.script
        if callable(self.script):
            return self.script(request)
        return self.script[min(request.number, len(self.script)) - 1]

    async def _respond(self, request: Request, writer: asyncio.StreamWriter) -> bool:
        """Give whether the connection is still good for another request."""
        do = self._told(request)
        while do.after is not None and not do.after.is_set():  # noqa: ASYNC110 - of threads
            await asyncio.sleep(_POLL)
        if self._capacity is None:
            await asyncio.sleep(do.delay)
        elif self._held >= self._capacity + self._queue:
            self.refused += 1
            do = status(503, {"message": "too many requests are waiting"})
        else:
            await self._serve_in_turn(do.delay)
        if do.close or do.raw is not None:
            writer.write(do.raw or b"")
            return False
        body = gzip.compress(do.body) if do.gzipped else do.body
        headers = {"content-type": "application/json", "content-length": str(len(body)), **do.headers}
        if do.gzipped:
            headers["content-encoding"] = "gzip"
        phrase = HTTPStatus(do.status).phrase if do.status in set(HTTPStatus) else "Unknown"
        lines = [f"HTTP/1.1 {do.status} {phrase}", *(f"{name}: {value}" for name, value in headers.items() if value)]
        broken = do.stop_after is not None or do.hang or do.reset
        sent = body[: do.stop_after] if do.stop_after is not None else body
        if not (do.hang or do.reset) or do.stop_after is not None:
            writer.write("\r\n".join(lines).encode() + b"\r\n\r\n")
            for part in (sent[i : i + 1] for i in range(len(sent))) if do.drip else (sent,):
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(do.drip)
        if do.hang:
            await asyncio.sleep(HANG)
        if do.reset:
            await asyncio.sleep(0.02)  # let the client read what came before
            connection: socket.socket = writer.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
        return not broken
