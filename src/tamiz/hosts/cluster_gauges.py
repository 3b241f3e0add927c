"""The gauges of a cluster, which are in its store and its brokers; with each look the pulses hear of what is new."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Final, Protocol
from weakref import WeakKeyDictionary

from tamiz.clock import Clock
from tamiz.errors import StateError, TamizError
from tamiz.hosts.desk import Queue
from tamiz.hosts.gauges import EndpointGauge, Gauges, gauge_of
from tamiz.hosts.looked import Looked
from tamiz.hosts.pulse import REFUSED, Pulse, Pulses, Totals
from tamiz.messages import Outcome
from tamiz.store.base import Lists
from tamiz.store.lives import Answered, Waiting

__all__ = ["ClusterGauges"]

_FEW, _MANY = 200, 2_000
"""Outcomes that a look asks for; of more than the latter that are new, the latest are seen."""
_EVERY: Final = 0.9
_OLD: Final = 3.0
"""Seconds without a look after which what ended meanwhile is not taken for what ends now."""


class _Reader(Lists, Protocol):
    def waiting(self) -> Waiting: ...


class _Counts:
    """What the store's counts for a pulse were last."""

    def __init__(self, look: Looked[Mapping[str, Any]]) -> None:
        self.look = look
        self.looked_at: float | None = None
        self.followed = False
        """Whether what is new in the next ones happened just now."""
        self.updated_at: float | None = None
        self.questions = 0
        self.failures: dict[str, int] = {}


class ClusterGauges:
    """Looks at most once a second, however many ask, and keeps nobody waiting for a store or brokers that are away."""

    def __init__(
        self,
        pulses: Pulses,
        queue: Queue,
        *,
        reader: Callable[[], AbstractContextManager[_Reader]],
        figures: Callable[[str | None], Awaitable[Mapping[str, Any]]],
        lag: Callable[[], Awaitable[dict[str, dict[str, int]]]],
        models: Callable[[], Sequence[str]],
        clock: Clock,
    ) -> None:
        """`figures` gives the store's document `metrics` of a tenant, or of all, which may be some seconds old."""
        self._pulses = pulses
        self._queue = queue
        self._reader = reader
        self._figures = figures
        self._lag = lag
        self._models = models
        self._clock = clock
        self._waiting = Waiting()
        self._seen: set[tuple[str, float]] = set()
        self._looked_at: float | None = None
        self._looked = Looked(self._look, clock, fresh=_EVERY)
        self._counts: WeakKeyDictionary[Pulse, _Counts] = WeakKeyDictionary()

    async def __call__(self, tenant: str | None) -> Gauges:
        """See `Gauging`."""
        (lag, no_bus), no_store = await asyncio.gather(self._lags(), self._store(tenant))
        waiting = self._waiting
        return Gauges(
            open=len(self._queue),
            limit=self._queue.limit,
            refused=self._queue.refused,
            lag=lag,
            parked=waiting.parked,
            deferred=waiting.deferred,
            next_due=waiting.next_due,
            dead_letters=waiting.dead_letters,
            endpoints=self._endpoints(),
            trouble=no_store or no_bus,
        )

    def _endpoints(self) -> list[EndpointGauge]:
        """Give the cluster's models. How many calls each has in flight its workers know alone."""
        states = {state.name: state for state in self._waiting.endpoints}
        names: Sequence[str] = ()
        with contextlib.suppress(StateError):  # no worker has told yet
            names = self._models()
        return [gauge_of(name, states.get(name)) for name in dict.fromkeys((*names, *states))]

    async def _lags(self) -> tuple[dict[str, dict[str, int]] | None, str | None]:
        """Give how far behind the stages are, or why that is not known."""
        try:
            return await self._lag(), None
        except (TamizError, TimeoutError) as error:
            return None, str(error) or "the brokers do not answer"

    async def _store(self, tenant: str | None) -> str | None:
        """Have the pulses hear what the store has; give what is wrong with it."""
        try:
            await self._looked()
            pulse = self._pulses.all if tenant is None else self._pulses.known(tenant)
            if pulse is not None:
                await self._add_up(tenant, pulse)
        except (TamizError, TimeoutError) as error:
            return str(error) or "the store does not answer"
        return None

    async def _look(self) -> None:
        new, waiting = await asyncio.to_thread(self._read)
        now = self._clock.monotonic()
        fresh, self._looked_at = self._looked_at is not None and now - self._looked_at < _OLD, now
        for row in reversed(new):
            if fresh:
                self._pulses.take(row)
            elif row.finished_at >= self._pulses.all.since:
                self._pulses.see(row)
        if fresh and waiting.questions is not None and self._waiting.questions is not None:
            self._pulses.all.asked(max(waiting.questions - self._waiting.questions, 0))
        self._waiting = waiting

    def _read(self) -> tuple[list[Answered], Waiting]:
        """Give the outcomes that the look before did not see, the latest first, and what waits."""
        with self._reader() as reader:
            rows = reader.recent(_FEW)
            if self._seen and len(self._unseen(rows)) == _FEW:
                rows = reader.recent(_MANY)
            new, waiting = self._unseen(rows), reader.waiting()
            self._seen = {(row.message_id, row.finished_at) for row in rows}
            return new, waiting

    def _unseen(self, rows: list[Answered]) -> list[Answered]:
        return [row for row in rows if (row.message_id, row.finished_at) not in self._seen]

    async def _add_up(self, tenant: str | None, pulse: Pulse) -> None:
        """Take up the store's own counts of a pulse, where they are newer than those before."""
        counts = self._counts.get(pulse)
        if counts is None:
            look = Looked(lambda: self._figures(tenant), self._clock, fresh=_EVERY)
            counts = self._counts[pulse] = _Counts(look)
        now = self._clock.monotonic()
        if counts.looked_at is not None and now - counts.looked_at >= _OLD:
            counts.followed = False
        counts.looked_at = now
        try:
            figures = await counts.look()
        except TimeoutError:
            return  # a large store takes its time
        if figures["updated_at"] == counts.updated_at:
            return
        tried = figures["attempts"]
        failures = {**tried["failed_calls"], REFUSED: tried["refused"]}
        if counts.followed:
            if tenant is not None:  # of all, each look has them
                pulse.asked(max(figures["questions"] - counts.questions, 0))
            for kind, count in failures.items():
                if (more := count - counts.failures.get(kind, 0)) > 0:
                    pulse.trouble(kind, more)
        outcomes: dict[str, int] = {outcome: figures[outcome] for outcome in Outcome}
        pulse.look(Totals(figures["questions"], outcomes, figures["sources"]), now=True)
        counts.updated_at, counts.questions, counts.failures = figures["updated_at"], figures["questions"], failures
        counts.followed = True
