"""One model's endpoint: whether and how many calls may go to it now, learnt from what became of those before."""

from collections import Counter

import msgspec

from tamiz.clock import Clock
from tamiz.effects import EndpointState
from tamiz.errors import Failed, FailureKind, Sign
from tamiz.models.allowance import Allowance
from tamiz.models.base import Model, Reply, Simulator
from tamiz.models.limiter import Limiter, Place
from tamiz.models.outage import Outage
from tamiz.models.retry_after import CAP

__all__ = ["Call", "Counts", "Endpoint"]

_START = 16
"""Calls at once to a server of which nothing is known."""
_MOMENT = 5.0
"""Seconds."""


class Call(msgspec.Struct, frozen=True, gc=False):
    """A call in flight."""

    place: Place
    probe: bool
    """Whether it was let through a circuit that is open."""


class Counts:
    """What became of an endpoint's calls since this process began."""

    def __init__(self) -> None:
        self.answered = 0
        self.failed: Counter[FailureKind] = Counter()


class Endpoint:
    """A model, with its limit of concurrent calls, what it says is left of its rate limits, and its circuit.

    Each call that `start` gives ends in one of `answered`, `failed` and `abandoned`, once.
    """

    def __init__(self, model: Model | Simulator, clock: Clock, ceiling: int = 64) -> None:
        self.model = model
        self.name = model.name
        self.counts = Counts()
        self._clock = clock
        # a simulated model has no capacity to be found
        self._limiter = Limiter(ceiling, ceiling if isinstance(model, Simulator) else _START)
        self._outage = Outage(EndpointState(model.name, account=model.account))
        self._allowance = Allowance()
        self._shared: float | None = None  # since when it is down, as other processes are known to know

    @property
    def state(self) -> EndpointState:
        """What outlives the process."""
        return self._outage.state

    def restore(self, state: EndpointState) -> None:
        """Go on from what an earlier process knew, if it was of the same account and the times are not absurd."""
        now = self._clock.time()
        if state.account == self.model.account and state.since is not None and state.opens_at is not None:
            since, opens_at = min(state.since, now), min(state.opens_at, now + CAP)
            self._outage = Outage(msgspec.structs.replace(state, since=since, opens_at=opens_at))

    def share(self, state: EndpointState | None) -> None:
        """Take note of what other processes know of the endpoint by now; `None`: that it can be called.

        One that is down there is down here, and tried no sooner than there. One that was down there and is not any more
        is up here too. What is known of another account says nothing.
        """
        if state is not None and state.account != self.model.account:
            return
        if state is None:
            if self._shared is not None and self._outage.down:
                self._outage = Outage(EndpointState(self.name, account=self.model.account))
            self._shared = None
            return
        news = state.since != self._shared if not self._outage.down else state.probes > self.state.probes
        self._shared = state.since
        if news:
            self.restore(state)

    @property
    def in_flight(self) -> int:
        """How many calls are in flight."""
        return self._limiter.in_flight

    @property
    def shown(self) -> EndpointState | None:
        """Why no call may start, where that is for longer than a moment; `kind` is `None` for a rate limit."""
        if self._outage.down:
            return self.state
        now = self._clock.time()
        opens_at = self._allowance.resets_at(now)
        if opens_at < now + _MOMENT or self._allowance.room(now) >= 1:
            return None
        return EndpointState(self.name, self._allowance.told_at, opens_at, None, "as it says itself")

    @property
    def limit(self) -> int:
        """How many calls the server is thought to take at once."""
        return self._limiter.limit

    @property
    def blocked(self) -> bool:
        """Whether no call may start whatever is in flight: it is down, or a rate limit is used up."""
        now = self._clock.time()
        return not self._outage.admits(now) or (not self._outage.down and self._allowance.room(now) < 1)

    def opens_at(self) -> float | None:
        """Give when a blocked endpoint may be called next, in seconds since the epoch.

        `None` where it is not blocked, or where a probe is out that will tell.
        """
        if not self.blocked or self._outage.probing:
            return None
        return self.state.opens_at if self._outage.down else self._allowance.resets_at(self._clock.time())

    def room(self) -> int:
        """Give how many calls may start now."""
        now = self._clock.time()
        if not self._outage.admits(now):
            return 0
        if self._outage.down:
            return 1
        return int(max(min(self._limiter.limit - self.in_flight, self._allowance.room(now)), 0))

    def start(self) -> Call:
        """Take a place in flight; only where there is room."""
        probe = self._outage.down
        self._outage.probing = self._outage.probing or probe
        self._allowance.spend()
        return Call(self._limiter.start(), probe)

    def answered(self, call: Call, reply: Reply) -> None:
        """Take note of an answer, and of the rate limits that came with it."""
        self.counts.answered += 1
        self._limiter.accepted(call.place)
        self._outage.answered(call.place.number, probe=call.probe)
        tokens = (reply.prompt_tokens or 0) + (reply.completion_tokens or 0)
        self._allowance.told(reply.limits, call.place.number, self.in_flight, tokens, self._clock.time())

    def failed(self, call: Call, failed: Failed, question: str) -> bool:
        """Take note that a call failed; tell whether that is the endpoint's doing and counts for no question."""
        self.counts.failed[failed.kind] += 1
        if failed.sign is Sign.BUSY:
            self._limiter.refused(call.place)
        elif failed.kind is FailureKind.TIMEOUT:
            self._limiter.timed_out(call.place)
        elif failed.sign is Sign.ALIVE:
            self._limiter.accepted(call.place)
        else:
            self._limiter.lost(call.place)
        now, for_all = self._clock.time(), self._limiter.takes_nothing
        return self._outage.failed(failed, now, question, call.place.number, probe=call.probe, for_all=for_all)

    def abandoned(self, call: Call) -> None:
        """Take note that nobody waits for the call any more."""
        self._limiter.lost(call.place)
        if call.probe:
            self._outage.probing = False
