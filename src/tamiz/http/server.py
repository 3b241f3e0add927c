"""Serves an application, and ends in good order."""

import asyncio
import contextlib
import socket
from typing import Any, Final

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from tamiz.errors import UsageError
from tamiz.http.guard import ASGI

__all__ = ["Server", "is_local"]

_FIRST_WITHIN: Final = 10.0
"""Seconds until a connection must have brought a request's headers."""
_GRACE: Final = 10
"""Seconds that requests get to end when the server stops."""


class _Protocol(HttpToolsProtocol):
    """Hangs up on who connects and then says nothing; uvicorn itself times only the pause between two requests."""

    _patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:  # noqa: ANN401 - asyncio's
        """Begin to wait."""
        super().connection_made(transport)
        self._patience = self.loop.call_later(_FIRST_WITHIN, transport.close)

    def on_headers_complete(self) -> None:
        """Stop the clock: a request has begun."""
        self._calm()
        super().on_headers_complete()

    def on_message_begin(self) -> None:
        """Wait for the headers of another one."""
        self._calm()
        self._patience = self.loop.call_later(_FIRST_WITHIN, self.transport.close)
        super().on_message_begin()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nobody is left to wait for."""
        self._calm()
        super().connection_lost(exc)

    def _calm(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None


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
        config = uvicorn.Config(
            app,
            http=_Protocol,
            loop="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=_GRACE,
            h11_max_incomplete_event_size=65_536,
            backlog=2048,
            ws="none",
        )
        self._server = _Uvicorn(config)
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to serve."""
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


def is_local(host: str) -> bool:
    """Tell whether an address is this machine's alone."""
    return host == "localhost" or host.startswith("127.") or host == "::1"


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
