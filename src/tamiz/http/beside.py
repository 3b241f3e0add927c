"""The services of a worker: each on its port, beside the work on its stages."""

import asyncio
from collections.abc import Sequence
from typing import Final

from tamiz.errors import UsageError
from tamiz.hosts.staff import Parts
from tamiz.http.app import SERVICES, make_app
from tamiz.http.cluster import Cluster
from tamiz.http.keys import Keys
from tamiz.http.serve import keys_of
from tamiz.http.server import Server, is_local
from tamiz.settings import Settings
from tamiz.telemetry.telling import Telling

__all__ = ["Services", "ports_of"]

_SERVICE_OF: Final = {
    "traffic": ("traffic", 5000),
    "intake": ("cache", 5001),
    "generate": ("llm", 5002),
    "judge": ("score", 5003),
    "score": ("score", 5003),
    "persist": ("storage", 5004),
}
"""What a worker of a stage serves, and on which port."""


def ports_of(stages: Sequence[str], port: int | None) -> dict[int, tuple[str, ...]]:
    """Give the services of each port for a worker of these stages; `port` is the one that was asked for.

    A worker without a service, of `retry` alone, has a port where one was asked for: for health and metrics. Raises
    `UsageError` where one port was asked for and there are more services.
    """
    named = dict(_SERVICE_OF[stage] for stage in stages if stage in _SERVICE_OF)
    if port is None:
        return {own: (name,) for name, own in named.items()}
    if len(named) > 1:
        raise UsageError(
            f"--port {port} is one port, and {', '.join(named)} are {len(named)} services: leave it out, for each to "
            "have its own, or start a worker for each"
        )
    return {port: tuple(named)}


class Services:
    """The HTTP servers of a worker (see `hosts/staff.py`).

    Raises `UsageError` where a port is taken, or an address beyond this machine is asked for without keys.
    """

    @classmethod
    def check(cls, settings: Settings, stages: Sequence[str]) -> tuple[dict[int, tuple[str, ...]], Keys | None]:
        """Check all that can be checked before anything is connected to."""
        return ports_of(stages, settings.port), keys_of(settings)

    def __init__(self, parts: Parts, told: Telling) -> None:
        staff, settings = parts.staff, parts.staff.settings
        ports, keys = self.check(settings, staff.stages)
        self._say = told.say
        self._host = settings.host
        self._cluster = Cluster(
            settings,
            staff.address,
            staff.store,
            bus=parts.bus,
            clock=staff.clock,
            told=told,
            cache=parts.flow.cache,
            fleet=staff.fleet,
        )
        self.observer = self._cluster.observer
        local = is_local(settings.host)
        self._servers = {
            name: Server(make_app(self._cluster.context, _there(services), keys=keys, local=local), settings.host, port)
            for port, services in ports.items()
            for name in [" ".join(services) or "health"]
        }
        self._closing: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Listen; until all is connected, `/ready` says what is not."""
        self._cluster.start()
        for name, server in self._servers.items():
            await server.start()
            self._say(f"{name}: serves on http://{self._host}:{server.port}")

    def stop(self) -> None:
        """Take no more requests; those that are being answered go on."""
        if not self._closing:
            self._cluster.stop()
            self._closing = [asyncio.create_task(server.stop()) for server in self._servers.values()]

    async def close(self) -> None:
        """Wait for the last answers, and disconnect."""
        self.stop()
        await asyncio.gather(*self._closing)
        await self._cluster.close()


def _there(services: Sequence[str]) -> list[str]:
    return [name for name in services if name in SERVICES]
