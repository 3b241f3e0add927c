"""`tamiz serve`: all services on one port, on an embedded flow."""

import asyncio
import gc

from tamiz.clock import SystemClock
from tamiz.errors import UsageError
from tamiz.hosts.gauges import EmbeddedGauges
from tamiz.hosts.pulse import Pulses
from tamiz.hosts.service import EmbeddedService, Service
from tamiz.hosts.signals import signals
from tamiz.http.access import RequestSpans
from tamiz.http.app import SERVICES, make_app
from tamiz.http.board import Board
from tamiz.http.context import Context
from tamiz.http.health import models_of
from tamiz.http.keys import Keys
from tamiz.http.metrics import Metrics
from tamiz.http.runs import Runs
from tamiz.http.server import Server, is_local
from tamiz.http.sessions import Sessions
from tamiz.policy import Policy
from tamiz.scorers import make_scorer
from tamiz.settings import Settings
from tamiz.statefile import StateFile
from tamiz.store.sqlite.reader import StateReader
from tamiz.telemetry.observer import several
from tamiz.telemetry.telling import Telling

__all__ = ["PORT", "closed", "context_of", "keys_of", "serve"]

PORT = 8000


def keys_of(settings: Settings) -> Keys | None:
    """Give the keys that are asked for, `None` where nobody needs one: on this machine's own addresses.

    Raises `UsageError` where the address is reached from elsewhere and there are no keys.
    """
    keys = Keys.read(settings.keys, settings.api_keys)
    if len(keys):
        return keys
    if is_local(settings.host) or settings.trust_network:
        return None
    raise UsageError(
        f"--host {settings.host} is reached from other machines, and there is no API key: make one with "
        "`tamiz keys make TENANT`, or say TAMIZ_TRUST_NETWORK=true where whoever reaches the address is trusted"
    )


def serve(settings: Settings, told: Telling) -> None:
    """Serve until SIGTERM or Ctrl-C. Raises `TamizError` where it cannot go on; what was taken in is kept."""
    import uvloop  # noqa: PLC0415 - not needed by those who only prepare

    service = Service.prepare(settings, SystemClock())
    keys = keys_of(settings)
    gc.freeze()
    with StateFile(settings.state) as state, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(service, state, keys, told))


async def _serve(service: Service, state: StateFile, keys: Keys | None, told: Telling) -> None:
    settings = service.settings
    metrics, pulses = Metrics(service.clock), Pulses(service.clock)
    embedded = EmbeddedService(service, state, several(told.observer, metrics, pulses))
    state.commit()  # so that readers find its tables
    context = context_of(service, embedded, metrics=metrics, spans=told.spans, pulses=pulses, keys=keys)
    server = Server(
        make_app(context, [*SERVICES], keys=keys, local=is_local(settings.host)),
        settings.host,
        PORT if settings.port is None else settings.port,
    )
    if context.board is not None:
        await context.board.begin()
    with signals() as stop:
        flow = asyncio.create_task(embedded.run())
        await server.start()
        told.say(f"serves on http://{settings.host}:{server.port}, kept in {settings.state}")
        stopped = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait([flow, stopped], return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopped.cancel()
            embedded.stop(grace=True)
            closing = asyncio.create_task(closed(server, context))
            stop.clear()
            hurry = asyncio.create_task(_hurry(stop, embedded))
            try:
                await flow
            finally:
                await closing
                hurry.cancel()
    told.say("stopped; what is open goes on with the next start")


async def closed(server: Server, context: Context) -> None:
    """End what has no end of its own, and then all requests."""
    if context.runs is not None:
        await context.runs.close()
    if context.board is not None:
        await context.board.close()
    await server.stop()


async def _hurry(stop: asyncio.Event, embedded: EmbeddedService) -> None:
    """Wait for the second signal, and give up the calls in flight then."""
    await stop.wait()
    embedded.stop(grace=False)


def context_of(
    service: Service,
    embedded: EmbeddedService,
    *,
    metrics: Metrics | None = None,
    spans: RequestSpans | None = None,
    pulses: Pulses | None = None,
    keys: Keys | None = None,
) -> Context:
    """Give what the services work with on an embedded flow.

    `metrics` and `pulses` are those that the flow's hops go to; without pulses there is nothing for a page to show.
    """
    settings, clock, shape = service.settings, service.clock, service.shape
    runs = Runs(clock)
    metrics = metrics or Metrics(clock)
    metrics.desk, metrics.cache, metrics.fleet = embedded, embedded.flow.cache, service.fleet
    metrics.waiting = embedded.waiting

    async def ready() -> dict[str, str | None]:
        return {"state": "it lost its last transaction" if embedded.broken else None, **models_of(service.fleet)}

    def set_policy(policy: Policy) -> None:
        embedded.policy = policy

    def reader() -> StateReader:
        return StateReader(settings.state)

    def policy() -> Policy:
        return embedded.policy

    return Context(
        settings=settings,
        clock=clock,
        shape=lambda: shape,
        models=lambda: (*settings.model, *settings.escalate),
        reader=reader,
        ready=ready,
        metrics=metrics,
        spans=spans,
        scorer=make_scorer,
        policy=policy,
        set_policy=set_policy,
        desk=embedded,
        cache=embedded.flow.cache,
        fleet=service.fleet,
        replay=embedded.replay,
        runs=runs,
        board=None
        if pulses is None
        else Board(
            pulses,
            EmbeddedGauges(embedded, service.fleet, reader, clock),
            reader,
            policy,
            runs,
            keys_asked=keys is not None,
            able=("policy", "cache", "traffic", "replay"),
            clock=clock,
        ),
        sessions=None if keys is None else Sessions(keys.caller, clock),
    )
