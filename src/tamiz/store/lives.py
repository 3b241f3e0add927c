"""What a reader of a store gets to see: questions, what became of them, and where the open ones are."""

from collections.abc import Iterator
from typing import Final, Literal, Self

import msgspec

from tamiz.effects import EndpointState
from tamiz.scoring import Reference

__all__ = [
    "LOOKED_BACK",
    "Answered",
    "Dead",
    "Ended",
    "Life",
    "Match",
    "Page",
    "Place",
    "Replayed",
    "ResultRow",
    "Status",
    "Tried",
    "Waiting",
    "Wanted",
]

LOOKED_BACK: Final = 5_000
"""Outcomes among which the recent ones of one tenant are looked for."""

_PAGE_CHARACTERS: Final = 4_000_000


class Tried(msgspec.Struct, frozen=True, kw_only=True):
    """A call that failed, or an answer that fell short."""

    attempt: int
    retry: int
    """Failed calls before this one within the attempt."""
    result: str
    """`refused`, or the kind of the failure."""
    answer: str | None
    score: float | None
    reason: str | None
    model: str | None
    latency_ms: float | None
    at: float
    """When it was recorded, in seconds since the epoch; likewise all times here."""
    reasons: tuple[str, ...] = ()
    """What spoke against the answer, in plain words."""


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """A terminal outcome."""

    outcome: str
    source: str | None
    answer: str | None
    score: float | None
    reason: str | None
    kind: str | None
    """Of a dead letter: why it failed, in a word."""
    attempt: int | None
    """Which attempt gave the answer that was kept."""
    attempts: int
    retries: int
    model: str | None
    latency_ms: float | None
    leader: str
    """The submission whose model calls led to this outcome."""
    finished_at: float
    reasons: tuple[str, ...] = ()
    """What speaks against the answer, in plain words."""


class Place(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where an open question is."""

    kind: Literal["log", "parked", "deferred"]
    topic: str | None = None
    """In the log: the topic whose readers have still to take it; `None` where that is not known, as in a cluster."""
    leader: str | None = None
    """Parked: the submission whose outcome it waits for."""
    due: float | None = None
    """Deferred: when it comes back."""
    attempt: int | None = None
    """The answer that is wanted; `None` where no model has been asked yet."""
    retry: int | None = None
    """Failed calls within this attempt so far."""


class Life(msgspec.Struct, frozen=True, kw_only=True):
    """All that is known of one submission. `outcome` is `None` while it is open, and `place` where it is not."""

    message_id: str
    id: str | None
    question: str
    content: str
    reference: Reference
    cache_key: str
    created_at: float
    tenant: str = ""
    """Whose it is."""
    tried: list[Tried]
    place: Place | None
    outcome: Ended | None


class Match(msgspec.Struct, frozen=True, kw_only=True):
    """A question that was looked for; `outcome` is `None` while it is open."""

    message_id: str
    id: str | None
    question: str
    outcome: str | None


class Dead(msgspec.Struct, frozen=True, kw_only=True):
    """A dead letter, with its question in full."""

    kind: str
    reason: str | None
    id: str | None
    question: str
    content: str
    reference: str | None
    model: str | None
    attempts: int
    retries: int
    finished_at: float
    message_id: str


class ResultRow(msgspec.Struct, frozen=True, gc=False):
    """What became of a question: the columns of a row of results, in their order."""

    id: str | None
    question: str
    answer: str | None
    outcome: str
    score: float | None
    source: str | None
    attempts: int
    retries: int
    reason: str | None
    model: str | None
    latency_ms: float | None
    message_id: str


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which questions with an outcome are meant."""

    outcomes: tuple[str, ...]
    min_score: float | None = None
    """The least score; what has none is left out then."""
    tenant: str | None = None
    """Whose they are; `None`: everybody's."""
    kind: str | None = None
    """Of dead letters: why they failed, in a word."""
    prefix: str = ""
    """What their `message_id` begins with: hexadecimal digits."""


class Answered(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A question with its outcome, as it is shown in a list; what is long besides is in its `Life`."""

    message_id: str
    id: str | None
    question: str
    reference: Reference
    answer: str | None
    outcome: str
    score: float | None
    reason: str | None
    """Why there is no score, or why it failed."""
    reasons: tuple[str, ...]
    """What speaks against the answer."""
    kind: str | None
    """Of a dead letter: why it failed, in a word."""
    source: str | None
    attempts: int
    retries: int
    model: str | None
    latency_ms: float | None
    created_at: float
    """When it was asked, in seconds since the epoch."""
    finished_at: float
    tenant: str


class Page(msgspec.Struct, frozen=True):
    """Some of many rows, in their order."""

    rows: list[Answered]
    more: bool
    """Whether there are rows after these."""

    @classmethod
    def of(cls, rows: Iterator[Answered], limit: int) -> Self:
        """Take up to `limit` rows; fewer, but one at least, where they are long, so that any page fits memory."""
        taken: list[Answered] = []
        size = 0
        for row in rows:
            if len(taken) >= limit or size > _PAGE_CHARACTERS:
                return cls(taken, more=True)
            taken.append(row)
            size += len(row.question) + sum(map(len, row.reference or ())) + len(row.answer or "")
        return cls(taken, more=False)


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """Counts over a whole state file, all of one moment."""

    questions: int
    open: int
    outcomes: dict[str, int]
    sources: dict[str, int]
    """Answered questions by where the answer came from."""
    dead_letters: dict[str, int]
    """By kind."""
    log: dict[str, int]
    """Records by topic that somebody has still to take."""
    lag: dict[str, dict[str, int]] | None = None
    """Of a cluster: by stage and topic, the records that it has not finished."""
    parked: int
    deferred: int
    next_due: float | None
    claims: int
    """Cache keys that a question in flight holds."""
    model_calls: int
    tokens: int | None
    """`None` where nobody counts them."""
    endpoints: list[EndpointState] = []
    """Models' endpoints that are down or paused."""
    process: int | None = None
    """The process that works on the file now."""


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """The counts that are had without reading the whole store."""

    questions: int | None = None
    """About so many; `None` where that takes a look at all of them."""
    parked: int = 0
    deferred: int = 0
    next_due: float | None = None
    dead_letters: dict[str, int] = {}
    """By kind."""
    endpoints: list[EndpointState] = []
    """Models' endpoints that are down or paused."""


class Replayed(msgspec.Struct, kw_only=True):
    """What became of the dead letters that were to be put back."""

    questions: int = 0
    """Put back."""
    no_questions: int = 0
    """Left alone: rows of an input that never were questions."""
    of_other_settings: int = 0
    """Left alone: the file goes on with other settings than they were asked under."""
