"""The store's seams: small protocols, one adapter behind them all."""

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from tamiz.effects import Deferred, EndpointState
from tamiz.messages import Event, QuestionAsked, Scored, Terminal
from tamiz.store.lives import Answered, Dead, Life, Match, Page, Wanted

__all__ = ["Answers", "Claims", "Deferrals", "Endpoints", "Lists", "Lives", "Reader"]


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

    async def release(self, outcome: Terminal, limit: int) -> list[QuestionAsked]:
        """Take up to `limit` of those that wait for `outcome.leader`, in the order they came.

        The claim ends when nobody waits any more. Nobody is lost between being taken and the emission that follows:
        where that is undone, or the same outcome comes again before it is made, they are taken again.
        """
        ...


class Deferrals(Protocol):
    """Events that wait for their time."""

    async def defer(self, deferred: Deferred) -> None:
        """Keep the event until it is due; of the same attempt and retry of a submission the last one counts."""
        ...

    async def due(self, now: float, limit: int) -> list[Deferred]:
        """Give up to `limit` of those whose time has come, the earliest first. They stay until they are `sent`.

        Of several processes that ask one gets them; another one does where that one has not sent them for a while.
        """
        ...

    async def sent(self, deferred: Sequence[Deferred]) -> None:
        """Say that these were emitted, so that they are not given again."""
        ...

    async def next_due(self) -> float | None:
        """Give the earliest due time, in seconds since the epoch, or `None` where nothing waits."""
        ...


class Lives(Protocol):
    """Finds single questions, and those that failed."""

    def find(self, text: str, limit: int) -> list[Match]:
        """Give up to `limit` questions that a user may mean by `text`."""
        ...

    def life(self, message_id: str) -> Life:
        """Give all that is known of a submission. Raises `StateError` where there is none of that id."""
        ...

    def dead_kinds(self, tenant: str | None = None) -> dict[str, int]:
        """Count dead letters by kind, those of one tenant or all."""
        ...

    def dead(self, kind: str | None, limit: int | None = None, tenant: str | None = None) -> Iterator[list[Dead]]:
        """Give dead letters of one kind or all, of one tenant or all, page by page."""
        ...


class Lists(Protocol):
    """Lists the questions that have an outcome, and counts."""

    def page(self, wanted: Wanted, after: str, limit: int) -> Page:
        """Give the first of those that are wanted whose `message_id` comes after `after`, at most `limit` of them."""
        ...

    def asked(self, message_ids: Sequence[str]) -> set[str]:
        """Tell which of these submissions are known, with an outcome or without."""
        ...

    def recent(self, limit: int, tenant: str | None = None) -> list[Answered]:
        """Give those that ended last, the last one first; of one tenant, those among the last `LOOKED_BACK` of all."""
        ...

    def metrics(self, now: float, tenant: str | None = None) -> dict[str, Any]:
        """Count everything, or what is a tenant's, into the document that `store/figures.py` describes."""
        ...


class Reader(Lives, Lists, Protocol):
    """Looks from outside at what is known, also while others work on it. It blocks."""


class Endpoints(Protocol):
    """What is known of models' endpoints, so that a pause outlives the process and is seen from outside."""

    async def save(self, state: EndpointState) -> None:
        """Keep the endpoint's state in place of what was known of it before."""
        ...

    async def states(self) -> list[EndpointState]:
        """Give the endpoints that are down or paused, by name."""
        ...
