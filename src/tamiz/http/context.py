"""What the services work with, whichever host is behind them."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager
from secrets import token_hex
from typing import Any, Final

import msgspec

from tamiz.cache import Cache
from tamiz.clock import Clock
from tamiz.hosts.desk import Desk
from tamiz.hosts.shape import Shape
from tamiz.identity import cache_key
from tamiz.messages import NO_TERMS, QuestionAsked, Terms
from tamiz.models.fleet import Fleet
from tamiz.policy import Policy
from tamiz.scoring import Scorer
from tamiz.settings import Settings
from tamiz.store.base import Reader
from tamiz.store.lives import Replayed

__all__ = ["Context", "asked_by"]

_SINCE: Final = 1_577_836_800.0  # 2020-01-01, so that milliseconds fit ten digits until 2054


class Context(msgspec.Struct, kw_only=True):
    """The parts that are here; what is `None` is elsewhere in a cluster."""

    settings: Settings
    clock: Clock
    shape: Callable[[], Shape]
    """The settings under which questions are let in."""
    reader: Callable[[], AbstractContextManager[Reader]]
    """Opens the store for reading; it blocks, so it is for a thread."""
    ready: Callable[[], Awaitable[dict[str, str | None]]]
    """What this process depends on, each with what is wrong with it."""
    scorer: Callable[[str], Scorer]
    """Makes a scorer by name."""
    policy: Callable[[], Policy]
    set_policy: Callable[[Policy], None] | None = None
    desk: Desk | None = None
    cache: Cache | None = None
    fleet: Fleet | None = None
    replay: Callable[[Sequence[str]], Awaitable[Replayed]] | None = None
    extra: dict[str, Any] = {}


def asked_by(
    context: Context,
    *,
    title: str,
    content: str = "",
    reference: str | None = None,
    question_id: str | None = None,
    terms: Terms | None = None,
    identity: tuple[str | float | None, ...] = (),
) -> QuestionAsked:
    """Make a submission of a question; `identity` is what makes it another question beside its text and its terms.

    Ids of one shape sort by time.
    """
    now = context.clock.time()
    shape = context.shape()
    terms = None if terms == NO_TERMS else terms
    own = identity if terms is None else (terms.tenant, terms.threshold, terms.model, *identity)
    message_id = f"{shape.digest}{int((now - _SINCE) * 1000):010x}{token_hex(5)}"
    return QuestionAsked(
        message_id=message_id,
        trace_id=message_id,
        question_id=question_id,
        title=title,
        content=content,
        best_answer=reference,
        cache_key=cache_key(title, content, reference, shape.asked_how, own),
        created_at=now,
        terms=terms,
    )
