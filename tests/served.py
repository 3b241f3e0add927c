"""The whole service in the test's own event loop: the embedded flow behind its HTTP, on a free port."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from tamiz.clock import SystemClock
from tamiz.hosts.service import EmbeddedService, Service
from tamiz.http.app import SERVICES, make_app
from tamiz.http.keys import Keys, hashed
from tamiz.http.serve import context_of
from tamiz.http.server import Server
from tamiz.settings import Settings
from tamiz.statefile import StateFile

__all__ = ["Served", "served"]


@dataclass(frozen=True, kw_only=True)
class Served:
    """A running service."""

    url: str
    """Its address, without a path."""
    service: Service
    embedded: EmbeddedService
    state: Path

    async def get(self, path: str, **options: Any) -> Any:
        """Give the decoded answer of a GET that must succeed."""
        async with aiohttp.ClientSession() as session, session.get(self.url + path, **options) as response:
            response.raise_for_status()
            return await response.json()


@contextlib.asynccontextmanager
async def served(
    folder: Path, *models: str, keys: dict[str, str] | None = None, grace: bool = False, **settings: Any
) -> AsyncIterator[Served]:
    """Serve for the block, kept in a state file of the folder.

    `models` are as `--model` takes them, `settings` fields of `Settings`, `keys` tenants by their API keys. With
    `grace`, calls in flight may finish when the block ends.
    """
    own = Settings(model=models, state=str(folder / "tamiz.db"), **settings)
    service = Service.prepare(own, SystemClock())
    known = None if keys is None else Keys({hashed(key): tenant for key, tenant in keys.items()})
    with StateFile(own.state) as state:
        embedded = EmbeddedService(service, state)
        state.commit()
        app = make_app(context_of(service, embedded), [*SERVICES], keys=known, local=True)
        server = Server(app, "127.0.0.1", 0)
        flow = asyncio.create_task(embedded.run())
        await server.start()
        try:
            yield Served(
                url=f"http://127.0.0.1:{server.port}", service=service, embedded=embedded, state=folder / "tamiz.db"
            )
        finally:
            embedded.stop(grace=grace)
            closing = asyncio.create_task(server.stop())
            try:
                await flow
            finally:
                await closing
