"""What the services work with, whichever host is behind them."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager
from secrets import token_hex
from typing import Any, Final, TypeVar

import msgspec

from tamiz.cache import BoundedCache
from tamiz.clock import Clock
from tamiz.hosts.desk import Desk
from tamiz.hosts.shape import Shape
from tamiz.http.access import Access, RequestSpans, trace_for
from tamiz.http.board import Board
from tamiz.http.looks import Figures, Looks
from tamiz.http.metrics import Metrics
from tamiz.http.runs import Runs
from tamiz.http.sessions import Sessions
from tamiz.identity import cache_key
from tamiz.messages import NO_TERMS, QuestionAsked, Terms
from tamiz.models.fleet import Fleet
from tamiz.policy import Policy
from tamiz.scoring import Scorer
from tamiz.settings import Settings
from tamiz.store.base import Reader
from tamiz.store.lives import Replayed

__all__ = ["Context", "asked_by", "key_of"]

T = TypeVar("T")

_SINCE: Final = 1_577_836_800.0  # 2020-01-01, so that milliseconds fit ten digits until 2054


class Context(msgspec.Struct, kw_only=True):
    """The parts that are here; what is `None` is elsewhere in a cluster."""

    settings: Settings
    clock: Clock
    shape: Callable[[], Shape]
    """The settings under which questions are let in."""
    models: Callable[[], Sequence[str]]
    """The models that questions are asked of, as `--model` and `--escalate` have them.

    Like `shape`, it raises `StateError` where a cluster has not told yet.
    """
    reader: Callable[[], AbstractContextManager[Reader]]
    """Opens the store for reading; it blocks, so it is for a thread."""
    ready: Callable[[], Awaitable[dict[str, str | None]]]
    """What this process depends on, each with what is wrong with it."""
    metrics: Metrics
    spans: RequestSpans | None = None
    """Where traces are kept."""
    scorer: Callable[[str], Scorer]
    """Makes a scorer by name."""
    policy: Callable[[], Policy]
    set_policy: Callable[[Policy], None] | None = None
    desk: Desk | None = None
    cache: BoundedCache | None = None
    fleet: Fleet | None = None
    runs: Runs | None = None
    board: Board | None = None
    sessions: Sessions | None = None
    """`None`: nobody is asked for a key."""
    replay: Callable[[Sequence[str]], Awaitable[Replayed]] | None = None
    extra: dict[str, Any] = {}
    looks: Looks = msgspec.field(default_factory=Looks)
    scoring: Looks = msgspec.field(default_factory=lambda: Looks(2, what="requests wait for a score"))
    """Where long answers are scored, which may take seconds that are nobody else's."""
    figures: Figures = msgspec.field(default_factory=Figures)

    async def look(self, work: Callable[[Reader], T]) -> T:
        """Look at the store. Raises `StateError` where it cannot be read."""

        def read() -> T:
            with self.reader() as reader:
                return work(reader)

        return await self.looks(read)

    async def counted(self, tenant: str | None) -> dict[str, Any]:
        """Give the document `metrics` of one tenant or, `None`, of all."""

        def read() -> dict[str, Any]:
            with self.reader() as reader:
                return reader.metrics(self.clock.time(), tenant)

        return await self.figures.of(tenant, read, self.looks)

    @property
    def access(self) -> Access:
        """What hears of each request that has been answered."""
        return Access(self.metrics, self.spans)


def asked_by(
    context: Context,
    *,
    title: str,
    content: str = "",
    reference: str | None = None,
    question_id: str | None = None,
    terms: Terms | None = None,
    identity: tuple[str | float | None, ...] = (),
    message_id: str | None = None,
) -> QuestionAsked:
    """Make a submission of a question, which carries on the trace of the request that brings it.

    `identity` is what makes it another question beside its text and its terms. Ids that are not given sort by time,
    within one shape.
    """
    now = context.clock.time()
    shape = context.shape()
    terms = None if terms == NO_TERMS else terms
    message_id = message_id or f"{shape.digest}{int((now - _SINCE) * 1000):010x}{token_hex(5)}"
    trace_id, traceparent = trace_for(message_id, context.spans)
    return QuestionAsked(
        message_id=message_id,
        trace_id=trace_id,
        question_id=question_id,
        title=title,
        content=content,
        best_answer=reference,
        cache_key=key_of(shape, title, content, reference, terms, identity=identity),
        created_at=now,
        terms=terms,
        traceparent=traceparent,
    )


def key_of(
    shape: Shape,
    title: str,
    content: str,
    reference: str | None,
    terms: Terms | None,
    *,
    identity: tuple[str | float | None, ...] = (),
) -> str:
    """Give the key that a question shares with those that are the same to their tenant."""
    if terms is not None and terms != NO_TERMS:
        identity = (terms.tenant, terms.threshold, terms.model, *identity)
    return cache_key(title, content, reference, shape.asked_how, identity)
