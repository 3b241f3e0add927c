"""The store's seams: small protocols, one adapter behind them all."""

from collections.abc import Sequence
from typing import Protocol

from tamiz.effects import Deferred, EndpointState
from tamiz.messages import Event, QuestionAsked, Scored

__all__ = ["Answers", "Claims", "Deferrals", "Endpoints"]


class Answers(Protocol):
    """What is known of each question."""

    async def record(self, event: Event) -> None:
        """Remember the event: a submission, a failed call, a refused attempt or an outcome.

        Recording the same event again changes nothing; of two outcomes for one `message_id` the first one stays.
        """
        ...

    async def reusable(self, cache_key: str) -> Scored | None:
        """Give the accepted answer with the highest score for this key, or `None`."""
        ...

    async def unknown(self, message_ids: Sequence[str]) -> set[str]:
        """Tell which of these submissions have never been recorded."""
        ...


class Claims(Protocol):
    """Which of several identical questions leads, and which wait for it."""

    async def claim(self, asked: QuestionAsked) -> bool:
        """Claim the question's cache key, in one atomic step.

        `True`: this submission leads (again, where it already did). `False`: another one does, and this one is
        parked durably until that one's outcome releases it.
        """
        ...

    async def release(self, cache_key: str, leader: str, limit: int) -> list[QuestionAsked]:
        """Take up to `limit` of those that wait for `leader`, in the order they came.

        The claim ends when nobody waits any more. Empty where `leader` does not hold the claim.
        """
        ...


class Deferrals(Protocol):
    """Events that wait for their time."""

    async def defer(self, deferred: Deferred) -> None:
        """Keep the event until it is due; deferring the same attempt and retry again changes nothing."""
        ...

    async def due(self, now: float, limit: int) -> list[Event]:
        """Take up to `limit` events whose time has come, the earliest first."""
        ...

    async def next_due(self) -> float | None:
        """Give the earliest due time, in seconds since the epoch, or `None` where nothing waits."""
        ...


class Endpoints(Protocol):
    """What is known of models' endpoints, so that a pause outlives the process and is seen from outside."""

    async def save(self, state: EndpointState) -> None:
        """Keep the endpoint's state in place of what was known of it before."""
        ...

    async def states(self) -> list[EndpointState]:
        """Give the endpoints that are down or paused, by name."""
        ...
