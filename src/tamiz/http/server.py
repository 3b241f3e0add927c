"""Serves an application, and ends in good order."""

import asyncio
import contextlib
import logging
import resource
import socket
from typing import Any, Final

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from tamiz.errors import UsageError
from tamiz.http.guard import ASGI
from tamiz.http.problems import PROBLEM, Problem, body_of

__all__ = ["Server", "is_local"]

_FIRST_WITHIN: Final = 10.0
"""Seconds until a connection must have brought a request's headers."""
_HEADERS_CAP: Final = 65_536
"""Most bytes of a request's first line and headers."""
_LOOK_EVERY: Final = 30.0
_SLOWEST: Final = 1_000
"""Bytes a second that a client must take of what waits for it; who takes less is cut off at the second look."""
_FILES: Final = 65_536
_OTHER_FILES: Final = 256
"""Open files that are not connections."""
_GRACE: Final = 10
"""Seconds that requests get to end when the server stops."""


class _Protocol(HttpToolsProtocol):
    """Hangs up on who says nothing, goes on with headers for ever, or does not take what it is sent.

    uvicorn itself times only the pause between two requests.
    """

    most: int = 10_000
    """Connections at once; further ones are closed."""
    _patience: asyncio.TimerHandle | None = None
    _watch: asyncio.TimerHandle | None = None
    _left: int | None = None  # what waited for the client at the last look
    _in_headers = True
    _size = 0  # bytes of the headers that are being read, and of what came along with them
    _status = 400

    def connection_made(self, transport: Any) -> None:  # noqa: ANN401 - asyncio's
        """Begin to wait."""
        super().connection_made(transport)
        if len(self.connections) > self.most:
            transport.abort()
            return
        self._patience = self.loop.call_later(_FIRST_WITHIN, transport.close)
        self._watch = self.loop.call_later(_LOOK_EVERY, self._look)

    def data_received(self, data: bytes) -> None:
        """Read on, but no headers without end."""
        self._size += len(data)
        super().data_received(data)
        if self._in_headers and self._size > _HEADERS_CAP and not self.transport.is_closing():
            self._status = 431
            self.send_400_response("")

    def on_message_begin(self) -> None:
        """Wait for the headers of another one."""
        self._calm()
        self._patience = self.loop.call_later(_FIRST_WITHIN, self.transport.close)
        self._in_headers, self._size = True, 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Stop the clock: a request has begun."""
        self._calm()
        self._in_headers = False
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if size > _HEADERS_CAP:
            self._status = 431
            raise ValueError("the headers are too long")  # the parser stops, and `send_400_response` is called
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's text
        """Refuse what is no request, and hang up."""
        problem = Problem(self._status, _SAID[self._status])
        body = body_of(problem)
        head = (
            f"HTTP/1.1 {self._status} {_PHRASES[self._status]}\r\ncontent-type: {PROBLEM}\r\n"
            f"content-length: {len(body)}\r\nx-content-type-options: nosniff\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()

    def resume_writing(self) -> None:
        """Take note that the client reads."""
        self._left = None
        super().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nobody is left to wait for."""
        self._calm()
        if self._watch is not None:
            self._watch.cancel()
        super().connection_lost(exc)

    def _unsupported_upgrade_warning(self) -> None:
        """Answer as if no upgrade were asked for; it is not worth a line in the log."""

    def _calm(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _look(self) -> None:
        """Cut off who does not take what waits; nothing is added to that while it is too much, or after a close."""
        left = self.transport.get_write_buffer_size()
        if left and (self.flow.write_paused or self.transport.is_closing()):
            if self._left is not None and self._left - left < _SLOWEST * _LOOK_EVERY:
                self.transport.abort()
                return
            self._left = left
        else:
            self._left = None
        self._watch = self.loop.call_later(_LOOK_EVERY, self._look)


_SAID: Final = {
    400: "this is no HTTP request",
    431: f"the request's headers have more than {_HEADERS_CAP:,} bytes, which is the most",
}
_PHRASES: Final = {400: "Bad Request", 431: "Request Header Fields Too Large"}


class _Uvicorn(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Any:  # noqa: ANN401 - uvicorn's
        """Leave signals to the host."""
        yield


class Server:
    """An HTTP server in the running loop; it listens once `start` has returned."""

    def __init__(self, app: ASGI, host: str, port: int) -> None:
        self._socket = _listen(host, port)
        self.port: int = self._socket.getsockname()[1]
        protocol = type("_Capped", (_Protocol,), {"most": min(_Protocol.most, _more_files() - _OTHER_FILES)})
        config = uvicorn.Config(
            app,
            http=protocol,
            loop="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=_GRACE,
            backlog=2048,
            ws="none",
        )
        self._server = _Uvicorn(config)
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to serve."""
        logging.getLogger("uvicorn.error").addFilter(_worth_telling)
        self._task = asyncio.create_task(self._server.serve(sockets=[self._socket]))
        while not self._server.started:
            if self._task.done():
                self._task.result()
                raise UsageError("the HTTP server does not start")
            await asyncio.sleep(0.01)

    async def stop(self) -> None:
        """Accept nothing more, let requests end, and close."""
        self._server.should_exit = True
        if self._task is not None:
            await self._task


def _worth_telling(record: logging.LogRecord) -> bool:
    """Leave out the trace of each request that did not end in time when the server stopped; their number is told."""
    return record.exc_info is None or not isinstance(record.exc_info[1], asyncio.CancelledError)


def is_local(host: str) -> bool:
    """Tell whether an address is this machine's alone."""
    return host == "localhost" or host.startswith("127.") or host == "::1"


def _more_files() -> int:
    """Have the system allow as many open files as it would; give how many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES if hard == resource.RLIM_INFINITY else min(hard, _FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _FILES if soft == resource.RLIM_INFINITY else soft


def _listen(host: str, port: int) -> socket.socket:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        made = socket.socket(found[0], found[1])
    except OSError as error:
        raise UsageError(f"--host {host!r} is no address to listen on: {error}") from error
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(found[4])
    except OSError as error:
        made.close()
        raise UsageError(
            f"nothing can listen on {host}:{port}: {error.strerror or error}. Choose another: --port N"
        ) from error
    return made
