"""The desk of a cluster: questions go into its topics, outcomes are found in its store."""

import asyncio
import contextlib
import logging
from typing import Final, Protocol

import msgspec

from tamiz.cache import Cache, make_cache
from tamiz.clock import Clock
from tamiz.effects import Effects
from tamiz.errors import BusError, StateError
from tamiz.hosts.desk import Queue
from tamiz.hosts.shape import Shape
from tamiz.hosts.staff import SHAPE
from tamiz.messages import Event, QuestionAsked, ValidatedResponse
from tamiz.policy import Policy
from tamiz.settings import Settings
from tamiz.stages.intake import Intake
from tamiz.store.mongo import MongoStore
from tamiz.telemetry.observer import Observer

__all__ = ["Publisher", "RemoteDesk"]

_log: Final = logging.getLogger("tamiz")

_WITHIN: Final = 10.0
"""Seconds that the brokers get to take a question."""
_LOOK_EVERY: Final = 0.05
"""Seconds until the store is asked again for outcomes that somebody waits for."""
_VACATE_EVERY: Final = 0.25
"""Seconds until it is asked which open questions have ended."""
_SHARE: Final = 4
"""The store is asked no more often than this many times as long as its answer takes."""
_AT_ONCE: Final = 1_000
_SHAPE_EVERY: Final = 5.0
_RESTS: Final = 1.0
"""Seconds until a store that does not answer is asked again."""
_CACHED: Final = 1_000
_CACHED_FOR: Final = 30.0
"""A short while: another process may have been told to forget the answer."""
_RECORDS: Final = 1_000
"""Answers given at once that are yet to be recorded; beyond that a request waits for its own."""
_GRACE: Final = 5.0
"""Seconds that outcomes are still waited for when the service stops."""


class Publisher(Protocol):
    """What the desk asks of the bus."""

    async def publish(self, events: tuple[Event, ...]) -> None:
        """Return once the brokers have the events."""
        ...


class RemoteDesk:
    """A desk whose stages run anywhere in a cluster; `run` has to be at work meanwhile.

    What is known is decided as intake decides it, under the settings of the cluster's own intake workers. `cache` is
    theirs, where one of them is in this process; without it a small one is kept here.
    """

    def __init__(
        self,
        bus: Publisher,
        store: MongoStore,
        *,
        settings: Settings,
        clock: Clock,
        cache: Cache | None = None,
        observer: Observer | None = None,
    ) -> None:
        """`store` has to have some patience, and an end of it: whoever asks waits meanwhile."""
        if cache is None:
            size, age = min(settings.cache_size, _CACHED), min(settings.cache_ttl or _CACHED_FOR, _CACHED_FOR)
            cache = make_cache(settings.cache_policy, size, age, clock)
        policy = Policy(threshold=settings.threshold, attempts=settings.attempts, unscored=settings.unscored)
        self.queue = Queue(settings.queue, clock)
        self._bus = bus
        self._store = store
        self._clock = clock
        self._observer = observer
        self._intake = Intake(cache, store.answers, store.claims, policy)
        self._shape: Shape | None = None
        self._asked_at = -_SHAPE_EVERY
        self._vacated_at = -_VACATE_EVERY
        self._wake = asyncio.Event()
        self._records: set[asyncio.Task[None]] = set()

    @property
    def shape(self) -> Shape:
        """The settings under which the cluster lets questions in. Raises `StateError` where nobody knows them yet."""
        if self._shape is None:
            raise StateError("no intake worker has been at this store yet: start one with `tamiz worker intake`")
        return self._shape

    @property
    def policy(self) -> Policy:
        """What an answer must reach in this cluster."""
        return self._intake.policy

    async def known(self, asked: QuestionAsked) -> ValidatedResponse | None:
        """See `Desk.known`."""
        return await self._intake.known(asked)

    async def submit(self, asked: QuestionAsked) -> None:
        """See `Desk.submit`. Raises `BusError` where the brokers do not take it in time; then it may end all the same.

        It is published first: where the process dies before it is recorded, its outcome brings the record along.
        """
        self.queue.enter(asked.message_id)
        try:
            async with asyncio.timeout(_WITHIN):
                await self._bus.publish((asked,))
        except TimeoutError:
            self.queue.leave(asked.message_id)
            raise BusError(f"Kafka did not take the question within {_WITHIN:g} s: try again") from None
        except BaseException:
            self.queue.leave(asked.message_id)
            raise
        self._wake.set()
        self._observe(asked)
        with contextlib.suppress(StateError):  # it is on its way all the same
            await self._store.answers.record(asked)

    async def record(self, asked: QuestionAsked, outcome: ValidatedResponse) -> None:
        """See `Desk.record`."""
        self._observe(asked, outcome)
        task = asyncio.create_task(self._record(outcome))
        self._records.add(task)
        task.add_done_callback(self._records.discard)
        if len(self._records) > _RECORDS:
            await task

    async def run(self) -> None:
        """See to those who wait, and to the places in the queue, until it is cancelled."""
        while True:
            try:
                await self._wait(await self._look())
            except StateError:  # the store says itself when it is away
                await asyncio.sleep(_RESTS)
            except Exception:  # noqa: BLE001 - those who wait depend on it: what goes wrong once must not end it
                _log.exception("looking for outcomes failed; it goes on")
                await asyncio.sleep(_RESTS)

    def stop(self) -> None:
        """Take nothing more in; outcomes are waited for a little longer."""
        self.queue.stop()
        asyncio.get_running_loop().call_later(_GRACE, self.queue.give_up)

    async def close(self) -> None:
        """Have all recorded that is to be."""
        await asyncio.gather(*self._records)

    def _observe(self, *recorded: Event) -> None:
        if self._observer is not None:
            self._observer.hop("desk", None, Effects(record=recorded), 0.0)

    async def _record(self, outcome: ValidatedResponse) -> None:
        with contextlib.suppress(StateError):
            await self._store.answers.record(outcome)

    async def _look(self) -> float:
        """Ask the store what there is to ask it; give the seconds that it took."""
        began = self._clock.monotonic()
        if began >= self._asked_at + _SHAPE_EVERY or self._shape is None:
            self._asked_at = began
            await self._agree()
        waited = self.queue.waited_for()
        for start in range(0, len(waited), _AT_ONCE):
            self.queue.ended(await self._store.results.outcomes(waited[start : start + _AT_ONCE]))
        if len(self.queue) and began >= self._vacated_at + _VACATE_EVERY:
            self._vacated_at = began
            self.queue.vacate(await self._store.results.which_ended(self.queue.some(_AT_ONCE)))
        return self._clock.monotonic() - began

    async def _agree(self) -> None:
        """Learn the settings that the cluster's intake workers have now."""
        text = await self._store.results.meta(SHAPE)
        if text is None:
            return
        self._shape = shape = msgspec.json.decode(text, type=Shape)
        told = {name: shape.settings[name] for name in Policy.__struct_fields__ if name in shape.settings}
        self._intake.policy = msgspec.convert(told, Policy)

    async def _wait(self, took: float) -> None:
        """Wait until it is worth asking again."""
        if self.queue.waited_for():
            await asyncio.sleep(max(_LOOK_EVERY, _SHARE * took))
            return
        idle = _VACATE_EVERY if len(self.queue) else _RESTS
        self._wake.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(idle, _SHARE * took)):
                await self._wake.wait()
