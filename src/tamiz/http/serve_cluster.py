"""`tamiz serve --bus`: all services of a cluster on one port, without any of its stages."""

import asyncio
import contextlib

from tamiz.bus.kafka import KafkaBus
from tamiz.clock import Clock, SystemClock
from tamiz.errors import StateError
from tamiz.hosts.signals import signals
from tamiz.hosts.staff import cluster_of
from tamiz.http.app import SERVICES, make_app
from tamiz.http.cluster import Cluster
from tamiz.http.keys import Keys
from tamiz.http.serve import PORT, keys_of
from tamiz.http.server import Server, is_local
from tamiz.models.factory import make_fleet
from tamiz.models.fleet import Fleet
from tamiz.settings import Settings, without_password
from tamiz.telemetry.telling import Telling

__all__ = ["serve_cluster"]

_SHARE_EVERY = 1.0


def serve_cluster(settings: Settings, told: Telling) -> None:
    """Serve until SIGTERM or Ctrl-C. Raises `TamizError` where it cannot go on; what was taken in goes on elsewhere."""
    import uvloop  # noqa: PLC0415 - not needed by those who only prepare

    cluster_of(settings)
    keys, clock = keys_of(settings), SystemClock()
    fleet = make_fleet(settings, clock) if settings.model else None
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(settings, keys, fleet, clock, told))


async def _serve(settings: Settings, keys: Keys | None, fleet: Fleet | None, clock: Clock, told: Telling) -> None:
    address, store = cluster_of(settings)
    bus = KafkaBus(address, {}, settings.kafka, say=told.say)
    cluster = Cluster(settings, address, store, bus=bus, clock=clock, told=told, fleet=fleet)
    server = Server(
        make_app(cluster.context, [*SERVICES], keys=keys, local=is_local(settings.host)),
        settings.host,
        PORT if settings.port is None else settings.port,
    )
    with signals() as stop:
        helpers = [] if fleet is None else [asyncio.create_task(_share(cluster, fleet))]
        try:
            cluster.start()
            await server.start()
            await bus.open()
            told.say(f"serves {address.url} and {without_password(store)} on http://{settings.host}:{server.port}")
            await stop.wait()
        finally:
            cluster.stop()
            await server.stop()
            for helper in helpers:
                helper.cancel()
            await cluster.close()
            await bus.close()
            if fleet is not None:
                await fleet.close()
    told.say("stopped; what is open goes on in the cluster")


async def _share(cluster: Cluster, fleet: Fleet) -> None:
    """Know of the models' endpoints what the workers know."""
    while True:
        with contextlib.suppress(StateError):  # the store says itself when it is away
            fleet.share(await cluster.store.endpoints.states())
        await asyncio.sleep(_SHARE_EVERY)
