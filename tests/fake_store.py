"""The store of a cluster, in memory: what its workers share, without a server."""

import heapq
from collections.abc import Sequence

from tamiz.clock import Clock
from tamiz.effects import Deferred, EndpointState
from tamiz.messages import Event, Scored

__all__ = ["FakeStore"]


class FakeStore:
    """Any number of workers may have it at once. It forgets nothing, and answers at once."""

    def __init__(self, clock: Clock, *, lease: float = 30.0) -> None:
        """`lease` is how many seconds a due event is one worker's alone."""
        self.answers = _Answers()
        self.deferrals = _Deferrals(clock, lease)
        self.endpoints = _Endpoints()
        self.refreshed = 0
        """How often the metrics were derived."""

    async def refresh_metrics(self, now: float) -> float:
        """Count."""
        del now
        self.refreshed += 1
        return 0.0


class _Answers:
    def __init__(self) -> None:
        self.recorded: list[Event] = []

    async def record(self, event: Event) -> None:
        """Remember it."""
        self.recorded.append(event)

    async def reusable(self, cache_key: str) -> Scored | None:
        """Know of none."""
        del cache_key
        return None

    async def unknown(self, message_ids: Sequence[str]) -> set[str]:
        """Tell those of which nothing was recorded."""
        return {*message_ids} - {event.message_id for event in self.recorded}


class _Deferrals:
    def __init__(self, clock: Clock, lease: float) -> None:
        self._clock = clock
        self._lease = lease
        self._at: list[tuple[float, tuple[str, int, int]]] = []  # when each may be taken, the earliest first
        self._kept: dict[tuple[str, int, int], Deferred] = {}
        self.leased: set[tuple[str, int, int]] = set()
        """Those that were taken and not sent yet."""
        self.most_leased = 0
        self.most_asked = 0

    def __len__(self) -> int:
        return len(self._kept)

    async def defer(self, deferred: Deferred) -> None:
        """Keep it; the last one counts."""
        self._kept[deferred.identity] = deferred
        heapq.heappush(self._at, (deferred.due, deferred.identity))

    async def due(self, now: float, limit: int) -> list[Deferred]:
        """Lease those whose time has come."""
        self.most_asked = max(self.most_asked, limit)
        taken: list[Deferred] = []
        while len(taken) < limit and self._at and self._at[0][0] <= now:
            _, identity = heapq.heappop(self._at)
            if identity in self._kept:
                taken.append(self._kept[identity])
                heapq.heappush(self._at, (now + self._lease, identity))
                self.leased.add(identity)
        self.most_leased = max(self.most_leased, len(self.leased))
        return taken

    async def sent(self, deferred: Sequence[Deferred]) -> None:
        """Drop them."""
        for each in deferred:
            self._kept.pop(each.identity, None)
            self.leased.discard(each.identity)

    async def next_due(self) -> float | None:
        """Give the earliest time at which one may be taken."""
        while self._at and self._at[0][1] not in self._kept:
            heapq.heappop(self._at)
        return self._at[0][0] if self._at else None


class _Endpoints:
    def __init__(self) -> None:
        self._down: dict[str, EndpointState] = {}

    async def save(self, state: EndpointState) -> None:
        """Keep it where it is down."""
        self._down.pop(state.name, None)
        if state.since is not None:
            self._down[state.name] = state

    async def states(self) -> list[EndpointState]:
        """Give those that are down."""
        return [self._down[name] for name in sorted(self._down)]
