"""Which endpoint a call goes to, and whether it may go at all."""

from collections.abc import Iterable, Sequence
from typing import Final

from tamiz.clock import Clock
from tamiz.effects import EndpointState
from tamiz.errors import GaveUp
from tamiz.models.endpoint import Call, Endpoint
from tamiz.models.names import names_of

__all__ = ["Fleet", "Ticket"]

Ticket = tuple[Endpoint, Call]
"""Leave to make one call."""

_BUSY: Final = 0.25
"""Seconds after which a call comes back that found every place taken."""


class Fleet:
    """The endpoints in the user's order: `first` answers, `escalate` takes over from the second attempt on.

    Each of the two lists is a lane. A call goes to the first endpoint of its lane that is not blocked, and waits where
    that one has no place free; a failed call goes to the next endpoint of the lane, round and round.
    """

    def __init__(
        self,
        first: Sequence[Endpoint],
        escalate: Sequence[Endpoint] = (),
        *,
        clock: Clock,
        give_up_after: float | None = None,
    ) -> None:
        """`give_up_after` is how many seconds a lane may be without any endpoint; `None`: for ever."""
        self._first = tuple(first)
        self._later = tuple(escalate) or self._first
        self._lanes = (self._first,) if self._later == self._first else (self._first, self._later)
        self.names = names_of(endpoint.name for endpoint in self.endpoints)
        """What each is called where its address is not told, by what `--model` says of it."""
        self._clock = clock
        self._give_up_after = give_up_after
        self._began = clock.time()

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """Each endpoint once."""
        return tuple({id(endpoint): endpoint for lane in self._lanes for endpoint in lane}.values())

    def restore(self, states: Iterable[EndpointState]) -> list[EndpointState]:
        """Have endpoints go on from what an earlier process knew of them; give what is out of date by now."""
        known = {state.name: state for state in states}
        for endpoint in self.endpoints:
            if endpoint.name in known:
                endpoint.restore(known[endpoint.name])
        down = {endpoint.name for endpoint in self.endpoints if endpoint.state.since is not None}
        return [EndpointState(name) for name in known if name not in down]

    def share(self, states: Iterable[EndpointState]) -> None:
        """Take note of what the processes of a cluster know of the endpoints by now."""
        known = {state.name: state for state in states}
        for endpoint in self.endpoints:
            endpoint.share(known.get(endpoint.name))

    def admit(self, attempt: int, retry: int, avoid: str = "", only: str | None = None) -> Ticket | None:
        """Take a place for call `retry` (from 0) of an attempt (from 1); `None` where it has to wait.

        `avoid` is the endpoint that failed just before, which is asked only where no other may be. `only` names the one
        that may be asked, where that is not for the lanes to say; likewise below. Raises `GaveUp` where the lane has
        been down for longer than is to be waited and no call is in flight anywhere.
        """
        lane = self._lane(attempt, only)
        if self._is_hopeless(lane):
            raise GaveUp(_why(lane, self._clock.time()))
        turn = retry % len(lane)
        up = [endpoint for endpoint in (*lane[turn:], *lane[:turn]) if not endpoint.blocked]
        if up:
            endpoint = next((each for each in up if each.name != avoid), up[0])
            return (endpoint, endpoint.start()) if endpoint.room() > 0 else None
        return None

    def opens_at(self, attempt: int, only: str | None = None) -> float | None:
        """Give when a call of this attempt may be tried again, `None` where its lane is not blocked."""
        lane = self._lane(attempt, only)
        if any(not endpoint.blocked for endpoint in lane):
            return None
        times = [time for endpoint in lane if (time := endpoint.opens_at()) is not None]
        return min([*times, *self._giving_up(lane)], default=self._clock.time() + _BUSY)

    def room(self) -> int:
        """Give how many calls may be worth a try now."""
        seen = set()
        room = 0
        for lane in self._lanes:
            endpoint = next((each for each in lane if not each.blocked), None)
            if endpoint is None:
                room += self._is_hopeless(lane)  # for somebody to be told so
            elif endpoint.name not in seen:
                seen.add(endpoint.name)
                room += endpoint.room()
        return room

    def next_opening(self) -> float | None:
        """Give when there may be room without any call ending, in seconds since the epoch."""
        times = [time for endpoint in self.endpoints if (time := endpoint.opens_at()) is not None]
        return min([*times, *(time for lane in self._lanes for time in self._giving_up(lane))], default=None)

    def untried(self, attempt: int, retry: int, failed: str, only: str | None = None) -> bool:
        """Tell whether call `retry` can go at once to another endpoint than the one that failed.

        That is where this round of the lane has an endpoint left that was not asked and is not blocked.
        """
        lane = self._lane(attempt, only)
        turn = retry % len(lane)
        return turn != 0 and any(endpoint.name != failed and not endpoint.blocked for endpoint in lane[turn:])

    async def close(self) -> None:
        """Close every model once."""
        for endpoint in self.endpoints:
            await endpoint.model.close()

    def _lane(self, attempt: int, only: str | None) -> tuple[Endpoint, ...]:
        if only is not None and (named := tuple(each for each in self.endpoints if each.name == only)):
            return named
        return self._first if attempt == 1 else self._later

    def _is_hopeless(self, lane: Sequence[Endpoint]) -> bool:
        """Tell whether this lane's time is up, and nothing goes on elsewhere meanwhile."""
        gives_up_at = self._gives_up_at(lane)
        if gives_up_at is None or gives_up_at > self._clock.time():
            return False
        return all(endpoint.in_flight == 0 for endpoint in self.endpoints)

    def _giving_up(self, lane: Sequence[Endpoint]) -> list[float]:
        """Give when this lane's time will be up, if that is still to come."""
        gives_up_at = self._gives_up_at(lane)
        return [] if gives_up_at is None or gives_up_at <= self._clock.time() else [gives_up_at]

    def _gives_up_at(self, lane: Sequence[Endpoint]) -> float | None:
        """Give when this lane's time is up, where all of it is down."""
        since = [endpoint.state.since for endpoint in lane]
        if self._give_up_after is None or None in since:
            return None
        # of what an earlier process waited, nothing counts: it is tried anew
        return max(self._began, *(at for at in since if at is not None)) + self._give_up_after


def _why(lane: Sequence[Endpoint], now: float) -> str:
    told = "; ".join(
        f"{state.name}: {state.reason} (for {now - (state.since or now):,.0f} s, {state.probes:,} probes)"
        for state in (endpoint.state for endpoint in lane)
    )
    return f"gave up, as --give-up-after says: {told}. Nothing is lost: the same command goes on from here"
