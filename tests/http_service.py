"""A whole service in this process, on a free port, as `tamiz serve` puts it together."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any, Final

import httpx
import msgspec

from tamiz.clock import SystemClock
from tamiz.hosts.pulse import Pulses
from tamiz.hosts.service import EmbeddedService, Service
from tamiz.http.app import SERVICES, make_app
from tamiz.http.context import Context
from tamiz.http.keys import Keys, hashed
from tamiz.http.serve import closed, context_of
from tamiz.http.server import Server
from tamiz.settings import Settings
from tamiz.statefile import StateFile
from tamiz.telemetry.observer import several
from tamiz.telemetry.spans import Spans

__all__ = ["ANA", "BEN", "OPERATOR", "Running", "in_a_thread", "service"]

ANA, BEN, OPERATOR = "ana-0123456789abcdefghijklmn", "ben-0123456789abcdefghijklmn", "ops-0123456789abcdefghijklmn"
"""Keys of two tenants and an operator."""
KEYS: Final = Keys({hashed(ANA): "ana", hashed(BEN): "ben", hashed(OPERATOR): "operator"})


class Running(msgspec.Struct):
    """A service that runs, and ways to talk to it."""

    port: int
    embedded: EmbeddedService
    context: Context
    url: str
    server: Server

    def connections(self) -> set[Any]:
        """Give the connections that are open."""
        found: set[Any] = self.server._server.server_state.connections
        return found

    def client(self, key: str | None = None, **options: Any) -> httpx.AsyncClient:
        """Make a client, with a key where one is asked for."""
        headers = {} if key is None else {"authorization": f"Bearer {key}"}
        return httpx.AsyncClient(base_url=self.url, headers=headers, timeout=30, **options)

    async def get(self, path: str, key: str | None = None) -> Any:
        """Give the decoded answer of a GET that must succeed."""
        async with self.client(key) as client:
            return (await client.get(path)).raise_for_status().json()

    async def raw(self, data: bytes, seconds: float = 10.0) -> bytes:
        """Send bytes, and give all that comes back until the service hangs up, or so many seconds are over."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(data)
            with contextlib.suppress(ConnectionError):
                await writer.drain()
            got = b""
            with contextlib.suppress(TimeoutError, ConnectionError):
                async with asyncio.timeout(seconds):
                    while some := await reader.read(65_536):
                        got += some
            return got
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()


@contextlib.asynccontextmanager
async def service(
    folder: Path,
    *,
    model: str | tuple[str, ...] = "simulated:?latency=0ms",
    keys: Keys | None = None,
    spans: Spans | None = None,
    change: Callable[[Context], None] = lambda _: None,
    **settings: Any,
) -> AsyncIterator[Running]:
    """Serve in the running loop for as long as the block, kept in a state file of the folder."""
    models = (model,) if isinstance(model, str) else model
    made: Mapping[str, Any] = {"model": models, "state": str(folder / "tamiz.db"), **settings}
    prepared = Service.prepare(Settings(**made), SystemClock())
    with StateFile(prepared.settings.state) as state:
        pulses = Pulses(prepared.clock)
        embedded = EmbeddedService(prepared, state, several(pulses, spans))
        state.commit()
        context = context_of(prepared, embedded, spans=spans, pulses=pulses, keys=keys)
        change(context)
        server = Server(make_app(context, [*SERVICES], keys=keys, local=True), "127.0.0.1", 0)
        flow = asyncio.create_task(embedded.run())
        await server.start()
        try:
            yield Running(server.port, embedded, context, f"http://127.0.0.1:{server.port}", server)
        finally:
            embedded.stop(grace=False)
            await closed(server, context)
            await flow


@contextlib.contextmanager
def in_a_thread(folder: Path, **options: Any) -> Iterator[Running]:
    """Serve in a thread of its own for as long as the block, for clients that block."""
    ready: Future[Running] = Future()
    stop: Future[None] = Future()

    async def serve() -> None:
        async with service(folder, **options) as running:
            ready.set_result(running)
            await asyncio.wrap_future(stop)

    with ThreadPoolExecutor(1) as thread:
        served = thread.submit(asyncio.run, serve())
        try:
            waiting: list[Future[Any]] = [ready, served]
            wait(waiting, return_when="FIRST_COMPLETED")
            if served.done():
                served.result()
            yield ready.result()
        finally:
            stop.set_result(None)
            served.result()
