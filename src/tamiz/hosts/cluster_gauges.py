"""The gauges of a cluster, which are in its store and its brokers; with each look the pulses hear of what is new."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any, Final, Protocol

from tamiz.cache import BoundedCache
from tamiz.clock import Clock
from tamiz.errors import TamizError
from tamiz.hosts.desk import Queue
from tamiz.hosts.gauges import Gauges, gauges_of
from tamiz.hosts.pulse import REFUSED, Pulses, Totals
from tamiz.messages import Outcome
from tamiz.models.fleet import Fleet
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


class ClusterGauges:
    """Looks at most once a second, however many ask."""

    def __init__(
        self,
        pulses: Pulses,
        queue: Queue,
        *,
        reader: Callable[[], AbstractContextManager[_Reader]],
        figures: Callable[[], Awaitable[Mapping[str, Any]]],
        lag: Callable[[], Awaitable[dict[str, dict[str, int]]]],
        fleet: Fleet | None,
        cache: BoundedCache | None,
        clock: Clock,
    ) -> None:
        """`figures` gives the store's document `metrics`, which may be some seconds old."""
        self._pulses = pulses
        self._queue = queue
        self._reader = reader
        self._figures = figures
        self._lag = lag
        self._fleet = fleet
        self._cache = cache
        self._clock = clock
        self._waiting = Waiting()
        self._seen: set[tuple[str, float]] = set()
        self._looked_at: float | None = None
        self._failures: dict[str, int] = {}
        self._counted_at: float | None = None

    async def __call__(self) -> Gauges:
        """See `Gauging`."""
        trouble = None
        lag: dict[str, dict[str, int]] | None = None
        try:
            await self._look()
            lag = await self._lag()
        except (TamizError, TimeoutError) as error:
            trouble = str(error) or "the cluster does not answer"
        return Gauges(
            open=len(self._queue),
            limit=self._queue.limit,
            refused=self._queue.refused,
            lag=lag,
            parked=self._waiting.parked,
            deferred=self._waiting.deferred,
            next_due=self._waiting.next_due,
            dead_letters=self._waiting.dead_letters,
            endpoints=[] if self._fleet is None else gauges_of(self._fleet, self._waiting.endpoints),
            cache=None if self._cache is None else self._cache.stats(),
            trouble=trouble,
        )

    async def _look(self) -> None:
        now = self._clock.monotonic()
        if self._looked_at is not None and now - self._looked_at < _EVERY:
            return
        fresh, self._looked_at = self._looked_at is not None and now - self._looked_at < _OLD, now
        new, waiting = await asyncio.to_thread(self._read)
        for row in reversed(new):
            if fresh:
                self._pulses.take(row)
            elif row.finished_at >= self._pulses.all.since:
                self._pulses.see(row)
        if fresh and waiting.questions is not None and self._waiting.questions is not None:
            self._pulses.all.asked(max(waiting.questions - self._waiting.questions, 0))
        self._waiting = waiting
        self._add_up(await self._figures(), fresh=fresh)

    def _read(self) -> tuple[list[Answered], Waiting]:
        """Give the outcomes that the look before did not see, the latest first, and what waits."""
        with self._reader() as reader:
            rows = reader.recent(_FEW)
            if self._seen and len(self._unseen(rows)) == _FEW:
                rows = reader.recent(_MANY)
            new = self._unseen(rows)
            self._seen = {(row.message_id, row.finished_at) for row in rows}
            return new, reader.waiting()

    def _unseen(self, rows: list[Answered]) -> list[Answered]:
        return [row for row in rows if (row.message_id, row.finished_at) not in self._seen]

    def _add_up(self, figures: Mapping[str, Any], *, fresh: bool) -> None:
        """Take up the store's own counts, where they are newer than those before."""
        if figures["updated_at"] == self._counted_at:
            return
        self._counted_at = figures["updated_at"]
        outcomes: dict[str, int] = {outcome: figures[outcome] for outcome in Outcome}
        self._pulses.all.look(Totals(figures["questions"], outcomes, figures["sources"]), now=True)
        tried = figures["attempts"]
        failures = {**tried["failed_calls"], REFUSED: tried["refused"]}
        for kind, count in failures.items():
            if fresh and (more := count - self._failures.get(kind, 0)) > 0:
                self._pulses.all.trouble(kind, more)
        self._failures = failures
