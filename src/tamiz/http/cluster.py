"""What the services in a process of a cluster work with: the cluster's desk, its store, and what they depend on."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Final, Generic, TypeVar

from tamiz.bus.address import KafkaAddress
from tamiz.bus.kafka import KafkaBus
from tamiz.bus.topics import Topics
from tamiz.cache import BoundedCache
from tamiz.clock import Clock
from tamiz.effects import EndpointState
from tamiz.errors import TamizError
from tamiz.hosts.cluster_gauges import ClusterGauges
from tamiz.hosts.pulse import Pulses
from tamiz.hosts.remote import RemoteDesk
from tamiz.http.board import Board
from tamiz.http.context import Context
from tamiz.http.health import models_of, stopping_of
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

T = TypeVar("T")

_PATIENCE: Final = 2.0
"""Seconds that a request waits for a store that does not answer."""
_FRESH: Final = 1.0
"""Seconds for which what a look showed is told again."""


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
                figures=lambda: self.context.counted(None),
                lag=self.lag,
                fleet=fleet,
                cache=cache,
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

    async def _endpoints(self) -> list[EndpointState]:
        return await self.store.endpoints.states()

    async def _ready(self) -> dict[str, str | None]:
        bus, store = await asyncio.gather(_told(self._bus_state), _told(self._store_state))
        return {
            "bus": bus,
            "store": store,
            **stopping_of(self.desk.queue),
            **({} if self._fleet is None else models_of(self._fleet)),
        }

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


class Looked(Generic[T]):
    """Looks at something for whoever asks, once for all who ask within a moment.

    It waits no longer than `within` seconds, and goes on with the same look where that is asked again.
    """

    def __init__(self, look: Callable[[], Awaitable[T]], clock: Clock, *, within: float = 2.0) -> None:
        self._look = look
        self._clock = clock
        self._within = within
        self._task: asyncio.Future[T] | None = None
        self._at = 0.0

    async def __call__(self) -> T:
        """Give what there is to see. Raises `TimeoutError` where it takes too long, and what looking raises."""
        if self._task is None or (self._task.done() and self._clock.monotonic() > self._at + _FRESH):
            self._task = asyncio.ensure_future(self._look())
            self._at = self._clock.monotonic()
        async with asyncio.timeout(self._within):
            return await asyncio.shield(self._task)


async def _told(looked: Looked[str | None]) -> str | None:
    try:
        return await looked()
    except TimeoutError:
        return "does not answer"
