"""The distributed host: some of the stages, as members of their consumer groups.

Nothing is acknowledged before its effects have happened: records are in the store, emitted events with the brokers.
After a crash what was not acknowledged comes again, here or elsewhere, and does no harm. Waiting never holds anything
up: a retry is a row in the store, a call in flight is one record of its partition among many.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import Any, Final, Protocol

from tamiz.bus.kafka import KafkaBus
from tamiz.bus.reader import KafkaDelivery
from tamiz.clock import Clock
from tamiz.effects import Effects, EndpointState, Stage
from tamiz.errors import ModelRefused
from tamiz.hosts.once import Once
from tamiz.hosts.seams import Calling
from tamiz.messages import Event
from tamiz.models.fleet import Fleet
from tamiz.store.base import Answers, Deferrals, Endpoints
from tamiz.telemetry.observer import Observer

__all__ = ["ClusterStore", "Worker"]

_ONCE: Final = frozenset({"generate", "judge", "retry"})
"""Stages whose repeats are worth leaving out; what the others do again is found to be there already."""
_BATCH: Final = 512
"""Records that are handled together."""
_BATCHES: Final = 8
"""Batches of a stage under way at once."""
_INTAKE_BATCH: Final = 64
"""Records that intake handles together: each may release 256 questions that waited."""
_TURN: Final = 32
"""Records that a stage handles until others have a turn: a score may take a while."""
_GRACE: Final = 8.0
"""Seconds that calls in flight get to finish when the worker is asked to stop."""
_DUE_AT_ONCE: Final = 500
_LOOK_EVERY: Final = 0.25
"""Seconds until the store is asked again what is due; other workers defer as well."""
_SHARE_EVERY: Final = 1.0
_ALIVE_EVERY: Final = 1.0
_METRICS_EVERY: Final = 2.0
_METRICS_SHARE: Final = 20
"""The metrics are derived anew no more often than this many times as long as that takes."""


class ClusterStore(Protocol):
    """The store that the workers of a cluster share."""

    @property
    def answers(self) -> Answers:
        """What is known of each question."""
        ...

    @property
    def deferrals(self) -> Deferrals:
        """Events that wait for their time."""
        ...

    @property
    def endpoints(self) -> Endpoints:
        """What is known of models' endpoints."""
        ...

    async def refresh_metrics(self, now: float) -> float:
        """Derive the metrics document anew; give how many seconds that took."""
        ...


class Worker:
    """Runs its stages until it is asked to stop, or cannot go on."""

    def __init__(
        self,
        *,
        bus: KafkaBus,
        store: ClusterStore,
        stages: Mapping[str, Stage],
        calling: Calling | None,
        fleet: Fleet | None,
        concurrency: int,
        clock: Clock,
        observer: Observer | None = None,
    ) -> None:
        """Take the stages by name; `calling` is the one named `generate`, where it is among them."""
        self.calls = 0
        """Model calls that were made."""
        self.endpoints: list[EndpointState] = []
        """Those that are down or paused."""
        self._bus = bus
        self._store = store
        self._stages = stages
        self._calling = calling
        self._fleet = fleet
        self._concurrency = concurrency
        self._clock = clock
        self._observer = observer
        # of each stage its own: what one has done another one may still have to
        self._once = {name: Once() for name in stages if name in _ONCE}
        self._held: deque[KafkaDelivery] = deque()
        self._in_flight = 0
        self._answered = 0  # calls whose answer is on its way to the brokers: after a crash they would be made again
        self._refused: ModelRefused | None = None
        self._stopping = asyncio.Event()
        self._deferred = asyncio.Event()
        self._main: asyncio.Task[None] | None = None

    def stop(self) -> None:
        """Ask the worker to stop: nothing new is begun, and what is under way gets a few seconds; asked again, none."""
        if self._stopping.is_set():
            if self._main is not None:
                self._main.cancel()
            return
        self._stopping.set()
        self._deferred.set()
        self._bus.stop()
        if self._main is not None:
            asyncio.get_running_loop().call_later(_GRACE, self._main.cancel)

    async def run(self) -> None:
        """Work until `stop`. Raises what a stage, the model, the bus or the store raised; nothing is lost by it."""
        self._main = asyncio.create_task(self._work_all())
        try:
            await self._main
        except asyncio.CancelledError:
            if not self._stopping.is_set():
                raise
        except BaseExceptionGroup as group:
            raise _first(group) from None
        if (failure := self._bus.failure or self._refused) is not None:
            raise failure

    async def _work_all(self) -> None:
        parts: list[Coroutine[Any, Any, None]] = [self._serve(name) for name in self._stages if name != "generate"]
        parts.append(self._every(self._see_to_the_bus))
        if self._calling is not None:
            parts.append(self._make_calls(self._calling))
        if self._fleet is not None:
            parts.append(self._every(self._share))
        if "retry" in self._stages:
            parts.append(self._bring_back())
        if "persist" in self._stages:
            parts.append(self._every(self._refresh))
        async with asyncio.TaskGroup() as group:
            for part in parts:
                group.create_task(part)

    async def _serve(self, name: str) -> None:
        """Handle what a stage reads, a batch at a time, a few batches at once."""
        stage = self._stages[name]
        size = _INTAKE_BATCH if name == "intake" else _BATCH
        free = asyncio.Semaphore(_BATCHES)
        async with asyncio.TaskGroup() as batches:
            while not self._stopping.is_set():
                await free.acquire()
                if not (batch := self._bus.take(name, size)):
                    free.release()
                    await self._bus.wait(name)
                    continue
                batches.create_task(self._handle(stage, batch, free))

    async def _handle(self, stage: Stage, batch: Sequence[KafkaDelivery], free: asyncio.Semaphore) -> None:
        once = self._once.get(batch[0].group)
        new = batch if once is None else [delivery for delivery in batch if delivery.event not in once]
        began = self._clock.monotonic()
        if batch[0].group == "intake":  # it alone asks the store, for all of them together; the others never wait
            effects = await asyncio.gather(*(stage.handle(delivery.event) for delivery in new))
        else:
            effects = []
            for number, delivery in enumerate(new, 1):
                effects.append(await stage.handle(delivery.event))
                if not number % _TURN:
                    await asyncio.sleep(0)
        await self._apply(effects)
        self._observe(new, effects, began)
        if once is not None:
            for delivery in new:
                once.add(delivery.event)
        self._bus.acknowledge_all(batch[0].group, batch)
        free.release()

    async def _apply(self, effects: Sequence[Effects]) -> None:
        """Have it all happen, and return when it has."""
        store = self._store
        waits: list[Awaitable[None]] = []
        emitted: list[Event] = []
        for each in effects:
            emitted += each.emit
            if each.record:
                waits += [store.answers.record(event) for event in each.record]
            if each.endpoints:
                waits += [store.endpoints.save(state) for state in each.endpoints]
            if each.defer:
                waits += [store.deferrals.defer(deferred) for deferred in each.defer]
        if waits:
            await asyncio.gather(*waits)
            if any(each.defer for each in effects):
                self._deferred.set()
        await self._bus.publish(emitted)

    def _observe(self, deliveries: Sequence[KafkaDelivery], effects: Sequence[Effects], began: float) -> None:
        """Tell of the hops; those of a batch took as long as the batch."""
        if self._observer is not None:
            seconds = self._clock.monotonic() - began
            for delivery, each in zip(deliveries, effects, strict=True):
                self._observer.hop(delivery.group, delivery.event, each, seconds)

    async def _make_calls(self, calling: Calling) -> None:
        async with asyncio.TaskGroup() as calls:
            while not self._stopping.is_set():
                for delivery, call in self._admitted(calling):
                    self._in_flight += 1
                    calls.create_task(self._call(delivery, call))
                await self._room(calling)

    def _admitted(self, calling: Calling) -> list[tuple[KafkaDelivery, Callable[[], Awaitable[Effects]] | Effects]]:
        """Take up calls as long as there are places for them."""
        admitted: list[tuple[KafkaDelivery, Callable[[], Awaitable[Effects]] | Effects]] = []
        again = len(self._held)
        while self._may_call(len(admitted)):
            delivery: KafkaDelivery | None = None
            if again:
                again -= 1
                delivery = self._held.popleft()
            elif calling.room() > 0 and len(self._held) < self._concurrency:
                delivery = self._bus.receive("generate")
            if delivery is None:
                break
            call = Effects() if delivery.event in self._once["generate"] else calling.admit(delivery.event)
            if call is None:
                self._held.append(delivery)
            else:
                admitted.append((delivery, call))
        return admitted

    def _may_call(self, more: int) -> bool:
        """Tell whether one more call may be made besides `more` of them."""
        in_flight = self._in_flight + more
        return in_flight < self._concurrency and in_flight + self._answered < 2 * self._concurrency

    async def _room(self, calling: Calling) -> None:
        """Wait until a call may start that could not before."""
        within = None
        if self._held or self._bus.waiting("generate"):
            opening = calling.next_opening()
            within = _LOOK_EVERY if opening is None else min(max(opening - self._clock.time(), 0.001), _LOOK_EVERY)
        try:
            async with asyncio.timeout(within):
                await self._bus.wait("generate")
        except TimeoutError:
            return

    async def _call(self, delivery: KafkaDelivery, call: Callable[[], Awaitable[Effects]] | Effects) -> None:
        began = self._clock.monotonic()
        try:
            if isinstance(call, Effects):
                effects = call
            else:
                self.calls += 1
                effects = await call()
        except ModelRefused as refused:
            self._refused = self._refused or refused
            if not self._stopping.is_set():
                self.stop()  # other calls in flight may be answered, by another model
            return
        finally:
            self._in_flight -= 1
            self._bus.nudge(delivery.group)
        self._answered += 1
        await self._apply([effects])
        self._observe([delivery], [effects], began)
        if effects.emit:
            self._once["generate"].add(delivery.event)
        self._bus.acknowledge(delivery)
        self._answered -= 1
        self._bus.nudge(delivery.group)

    async def _bring_back(self) -> None:
        """Emit deferred events when they are due. Several workers may do so; the store gives each event to one."""
        deferrals = self._store.deferrals
        while not self._stopping.is_set():
            self._deferred.clear()
            if due := await deferrals.due(self._clock.time(), _DUE_AT_ONCE):
                await self._bus.publish([each.event for each in due])
                await deferrals.sent(due)
                continue
            next_due = await deferrals.next_due()
            now = self._clock.time()
            await self._pause(min(_LOOK_EVERY, max((next_due or now + _LOOK_EVERY) - now, 0.001)), self._deferred)

    async def _see_to_the_bus(self) -> float:
        """Raise what made the bus fail, which a worker that reads nothing would not notice."""
        if self._bus.failure is not None:
            raise self._bus.failure
        return _ALIVE_EVERY

    async def _share(self) -> float:
        """Learn which endpoints other workers know to be down, or up again."""
        if self._fleet is not None:
            self._fleet.share(await self._store.endpoints.states())
            self.endpoints = [state for endpoint in self._fleet.endpoints if (state := endpoint.shown) is not None]
        return _SHARE_EVERY

    async def _refresh(self) -> float:
        took = await self._store.refresh_metrics(self._clock.time())
        return max(_METRICS_EVERY, _METRICS_SHARE * took)

    async def _every(self, what: Callable[[], Awaitable[float]]) -> None:
        """Do something again and again, each time after so many seconds as it says."""
        while not self._stopping.is_set():
            await self._pause(await what(), self._stopping)

    @staticmethod
    async def _pause(seconds: float, unless: asyncio.Event) -> None:
        try:
            async with asyncio.timeout(seconds):
                await unless.wait()
        except TimeoutError:
            return


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Give the first error of a group of groups."""
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error
