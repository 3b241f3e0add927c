"""An OpenAI-compatible server that answers at once, or after a fixed time, for benchmarks.

`server.py [SECONDS [EVERY SLOW_SECONDS]]`: with the last two one request in EVERY takes that long. It prints its port.
As little HTTP as an honest answer needs, so that the client is what is measured.
"""

import asyncio
import json
import sys
from typing import cast

import uvloop

_BODY = json.dumps(
    {
        "id": "x",
        "object": "chat.completion",
        "model": "bench",
        "choices": [
            {"index": 0, "message": {"role": "assistant", "content": "The answer: it is so."}, "finish_reason": "stop"}
        ],
        "usage": {"prompt_tokens": 12, "completion_tokens": 6, "total_tokens": 18},
    }
).encode()
_ANSWER = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: " + str(len(_BODY)).encode() + b"\r\n\r\n"
) + _BODY


class Connection(asyncio.Protocol):
    """As little HTTP as a benchmark needs; a subclass says what to do with a request's first line and body."""

    def __init__(self) -> None:
        self._data = b""
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is one by its methods only

    def data_received(self, data: bytes) -> None:
        self._data += data
        while (end := self._data.find(b"\r\n\r\n")) >= 0:
            head = self._data[:end].lower()
            at = head.find(b"content-length:")
            length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            if len(self._data) < end + 4 + length:
                return
            body, self._data = self._data[end + 4 : end + 4 + length], self._data[end + 4 + length :]
            self.requested(head, body)

    def requested(self, head: bytes, body: bytes) -> None:
        raise NotImplementedError

    def send(self, response: bytes) -> None:
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write(response)


class _Prompt(Connection):
    _count = 0

    def __init__(self, delay: float, every: int, slow: float) -> None:
        super().__init__()
        self._delay = delay
        self._every = every
        self._slow = slow

    def requested(self, head: bytes, body: bytes) -> None:
        del head, body
        _Prompt._count += 1
        delay = self._slow if self._every and not _Prompt._count % self._every else self._delay
        if delay:
            asyncio.get_running_loop().call_later(delay, self.send, _ANSWER)
        else:
            self.send(_ANSWER)


async def main() -> None:
    delay, every, slow = map(float, [*sys.argv[1:], "0", "0", "0"][:3])
    server = await asyncio.get_running_loop().create_server(lambda: _Prompt(delay, int(every), slow), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main())
