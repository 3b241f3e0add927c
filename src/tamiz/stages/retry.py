"""Retry: each kind of failure has its own way back, or out."""

from collections.abc import Callable
from typing import Final

import msgspec

from tamiz.clock import Clock
from tamiz.effects import Deferred, Effects
from tamiz.errors import FailureKind
from tamiz.messages import READ_BY, DeadLetter, Event, LlmError, LlmRequest
from tamiz.models.fleet import Fleet
from tamiz.stages.carry import question_of, tried_of
from tamiz.units import plural

__all__ = ["Backoff", "Retry"]

_PASSING: Final = frozenset({FailureKind.OVERLOAD, FailureKind.TIMEOUT})


class Backoff(msgspec.Struct, frozen=True, kw_only=True):
    """How long to wait, in seconds."""

    base: float = 0.25
    cap: float = 60.0
    quota_base: float = 5.0
    quota_cap: float = 300.0

    def overload(self, failures: int, random: Callable[[], float]) -> float:
        """Give the delay after so many failures in a row: exponential with full jitter.

        Uniform between 0 and min(cap, base * 2^(failures - 1)): "Exponential Backoff And Jitter", M. Brooker, AWS
        Architecture Blog, 2015.
        """
        return random() * self._doubled(self.base, failures, self.cap)

    def quota(self, deferrals: int) -> float:
        """Give the step after so many quota refusals in a row that named no time."""
        return self._doubled(self.quota_base, deferrals, self.quota_cap)

    @staticmethod
    def _doubled(base: float, times: int, cap: float) -> float:
        # the exponent is bounded since a float overflows at 2^1024
        return min(cap, base * 2.0 ** min(times - 1, 60))


class Retry:
    """Brings a failed call back when it makes sense, or ends the question with the reason."""

    reads = READ_BY["retry"]

    def __init__(
        self, *, retries: int, fleet: Fleet | None, clock: Clock, random: Callable[[], float], backoff: Backoff
    ) -> None:
        """Without the fleet no other model is asked at once; it has its turn when the call is due again."""
        self._retries = retries
        self._fleet = fleet
        self._clock = clock
        self._random = random
        self._backoff = backoff

    async def handle(self, event: Event) -> Effects:
        """Defer the next call, emit it at once where another model is to be asked, or emit a dead letter.

        Overload and timeout come back with exponential backoff, never before the time the provider stated, and at
        most `retries` times an attempt. What is the endpoint's doing, a refused quota or an outage, comes back when the
        endpoint may be called again and counts against nothing. Anything else is a dead letter.
        """
        if not isinstance(event, LlmError):
            return Effects()
        free = event.outage or event.kind is FailureKind.QUOTA
        if not free and event.kind not in _PASSING:
            return Effects(emit=(_dead(event, event.reason),))
        again = LlmRequest(**tried_of(event))
        again = msgspec.structs.replace(
            again, retry=event.retry + 1, retries=event.retries + 1, deferrals=event.deferrals + free
        )
        failures = again.retry - again.deferrals
        if failures > self._retries:
            return Effects(emit=(_dead(event, f"{plural(failures, 'failed call')}, the last: {event.reason}"),))
        only = None if event.terms is None else event.terms.model
        if self._fleet is not None and self._fleet.untried(again.attempt, again.retry, event.model, only):
            return Effects(emit=(msgspec.structs.replace(again, avoid=event.model),))
        return Effects(defer=(Deferred(again, self._due(event, again)),))

    def _due(self, event: LlmError, again: LlmRequest) -> float:
        now = self._clock.time()
        if event.retry_at is not None and (event.outage or event.kind is FailureKind.QUOTA):
            return event.retry_at
        if event.kind is FailureKind.QUOTA and not event.outage:
            return now + self._backoff.quota(again.deferrals)
        delay = self._backoff.overload(max(again.retry - again.deferrals, 1), self._random)
        # the jitter comes on top of a stated time, or all who were told the same time would return together
        return max(now, event.retry_at or now) + delay


def _dead(event: LlmError, reason: str) -> DeadLetter:
    return DeadLetter(
        **question_of(event),
        kind=event.kind,
        reason=reason,
        attempts=event.attempt - 1,
        retries=event.retries + 1,
        model=event.model,
        best=event.best,
        leader=event.message_id,
    )
