"""What the services in a process of a cluster work with: the cluster's desk, its store, and what they depend on."""

import asyncio
import contextlib
from collections.abc import Iterator, Sequence
from typing import Final

from tamiz.bus.address import KafkaAddress
from tamiz.bus.kafka import KafkaBus
from tamiz.bus.topics import Topics
from tamiz.cache import BoundedCache
from tamiz.clock import Clock
from tamiz.effects import EndpointState
from tamiz.errors import TamizError
from tamiz.hosts.cluster_gauges import ClusterGauges
from tamiz.hosts.looked import Looked
from tamiz.hosts.pulse import Pulses
from tamiz.hosts.remote import RemoteDesk
from tamiz.http.board import Board
from tamiz.http.context import Context
from tamiz.http.health import models_of
from tamiz.http.keys import Keys
from tamiz.http.metrics import Metrics
from tamiz.http.runs import Runs
from tamiz.http.sessions import Sessions
from tamiz.messages import READ_BY
from tamiz.models.fleet import Fleet
from tamiz.scorers import make_scorer
from tamiz.settings import Settings
from tamiz.store.lives import Replayed
from tamiz.store.mongo import MongoStore
from tamiz.store.mongo.reader import MongoReader
from tamiz.store.mongo.replay import replay
from tamiz.telemetry.observer import several
from tamiz.telemetry.telling import Telling

__all__ = ["Cluster"]

_PATIENCE: Final = 2.0
"""Seconds that a request waits for a store that does not answer."""


class Cluster:
    """The services' own connections to a cluster, beside those of the stages' work.

    Requests wait for a store that is away for two seconds, where a stage would wait for as long as it takes.
    """

    def __init__(
        self,
        settings: Settings,
        address: KafkaAddress,
        store: str,
        *,
        bus: KafkaBus,
        clock: Clock,
        told: Telling,
        cache: BoundedCache | None = None,
        fleet: Fleet | None = None,
        keys: Keys | None = None,
    ) -> None:
        metrics = Metrics(clock)
        self.observer = several(told.observer, metrics)
        """Who wants to know of hops."""
        self.store = MongoStore(store, clock, patience=_PATIENCE, say=told.say)
        self.desk = RemoteDesk(bus, self.store, settings=settings, clock=clock, cache=cache, observer=self.observer)
        self._url = store
        self._bus = bus
        self._topics = Topics(address, settings.kafka)
        self._clock = clock
        self._fleet = fleet
        self._reader: MongoReader | None = None
        self._running: asyncio.Task[None] | None = None
        self._bus_state = Looked(self._look_at_bus, clock)
        self._store_state = Looked(self._look_at_store, clock)
        self.lag = Looked(self._look_at_lag, clock)
        """By stage and topic, the records that it has not finished."""
        metrics.desk, metrics.cache, metrics.fleet = self.desk, cache, fleet
        metrics.waiting, metrics.lag = Looked(self._look_at_waiting, clock), self.lag
        self._pulses = Pulses(clock)
        runs = Runs(clock)
        self.context = Context(
            settings=settings,
            clock=clock,
            shape=lambda: self.desk.shape,
            models=self._models,
            reader=self._reading,
            ready=self._ready,
            metrics=metrics,
            spans=told.spans,
            scorer=make_scorer,
            policy=lambda: self.desk.policy,
            desk=self.desk,
            cache=cache,
            fleet=fleet,
            replay=self._replay,
            runs=runs,
            sessions=None if keys is None else Sessions(keys.caller, clock),
            extra={"endpoints": self._endpoints, "lag": self.lag},
        )
        self.context.board = Board(
            self._pulses,
            ClusterGauges(
                self._pulses,
                self.desk.queue,
                reader=self._reading,
                figures=self.context.counted,
                lag=self.lag,
                models=self._models,
                clock=clock,
            ),
            self._reading,
            lambda: self.desk.policy,
            runs,
            keys_asked=keys is not None,
            able=("traffic", "replay"),
            clock=clock,
        )

    def start(self) -> None:
        """Begin to follow questions."""
        self._running = asyncio.create_task(self.desk.run())

    def stop(self) -> None:
        """Take no more questions in."""
        self.desk.stop()

    async def close(self) -> None:
        """Have all recorded that is to be, and disconnect."""
        if self.context.runs is not None:
            await self.context.runs.close()
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)
        await self.desk.close()
        await self.store.close()
        if self._reader is not None:
            self._reader.__exit__(None, None, None)

    @contextlib.contextmanager
    def _reading(self) -> Iterator[MongoReader]:
        """Give the one reader that all requests share."""
        if self._reader is None:
            self._reader = MongoReader(self._url)
        yield self._reader

    async def _replay(self, message_ids: Sequence[str]) -> Replayed:
        return await replay(self.store, message_ids, self._clock.time())

    def _models(self) -> list[str]:
        """Give the models that the cluster's workers call. Raises `StateError` where nobody knows them yet."""
        told = self.desk.shape.settings
        return [*dict.fromkeys(f"{told['model']} {told['escalate']}".split())]

    async def _endpoints(self) -> list[EndpointState]:
        return await self.store.endpoints.states()

    async def _ready(self) -> dict[str, str | None]:
        bus, store = await asyncio.gather(_told(self._bus_state), _told(self._store_state))
        return {"bus": bus, "store": store, **({} if self._fleet is None else models_of(self._fleet))}

    async def _look_at_bus(self) -> str | None:
        if self._bus.failure is not None:
            return str(self._bus.failure)
        if not self._bus.opened:
            return "not connected yet"
        try:
            states = await asyncio.to_thread(self._topics.states)
        except TamizError as error:
            return str(error)
        return "; ".join(f"{each.name} {each.problem}" for each in states if each.problem) or None

    async def _look_at_store(self) -> str | None:
        try:
            await self.store.connection.run(lambda: self.store.connection.database.command("ping"))
        except TamizError as error:
            return str(error)
        return None

    async def _look_at_waiting(self) -> dict[str, int]:
        run, database = self.store.connection.run, self.store.connection.database
        counted = {"deferred": database.deferrals, "parked": database.parked}
        return {name: await run(rows.estimated_document_count) for name, rows in counted.items()}

    async def _look_at_lag(self) -> dict[str, dict[str, int]]:
        return await asyncio.to_thread(self._topics.lag, READ_BY)


async def _told(looked: Looked[str | None]) -> str | None:
    try:
        return await looked()
    except TimeoutError:
        return "does not answer"
