"""What became of a question, as the services tell it."""

from http import HTTPStatus

import msgspec

from tamiz.errors import NoSuchQuestion
from tamiz.http.context import Context
from tamiz.http.keys import Caller
from tamiz.http.problems import Problem
from tamiz.http.seen import life_for, model_for, reason_for
from tamiz.messages import DeadLetter, Source, Terminal
from tamiz.store.lives import Life

__all__ = ["Outcome", "Told", "life_of", "outcome_of"]


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """A question with what became of it; `outcome` is `None` while it is open."""

    message_id: str
    id: str | None
    question: str
    outcome: str | None
    answer: str | None
    score: float | None
    reason: str | None
    """Why there is no score, or why it failed."""
    reasons: tuple[str, ...] = ()
    """What speaks against the answer."""
    source: str | None
    attempts: int
    retries: int
    model: str | None
    latency_ms: float | None


class Told(Outcome, frozen=True, kw_only=True):
    """The same, with its whole life."""

    life: Life


def outcome_of(event: Terminal, caller: Caller) -> Outcome:
    """Give what an outcome tells its caller."""
    told = None if isinstance(event, DeadLetter) else event.answer
    if isinstance(event, DeadLetter):
        model, reason = event.model, reason_for(caller, event.kind, event.reason, event.model)
    else:
        model, reason = event.answer.model, event.answer.reason
    return Outcome(
        message_id=event.message_id,
        id=event.question_id,
        question=event.title,
        outcome=event.outcome,
        answer=None if told is None else told.llm_answer,
        score=None if told is None else told.score,
        reason=reason,
        reasons=() if told is None else told.reasons,
        source=event.source,
        attempts=event.attempts,
        retries=event.retries,
        model=model_for(caller, model),
        latency_ms=told.latency_ms if told is not None and event.source is Source.MODEL else None,
    )


async def life_of(context: Context, message_id: str, caller: Caller) -> Told:
    """Give all that is known of a question that the caller may see.

    Raises `Problem` 404 where there is none.
    """
    try:
        life = await context.look(lambda reader: reader.life(message_id))
    except NoSuchQuestion:
        raise _unknown(message_id) from None
    if caller.sees not in {None, life.tenant}:
        raise _unknown(message_id)
    life = life_for(caller, life)
    ended = life.outcome
    return Told(
        message_id=message_id,
        id=life.id,
        question=life.question,
        outcome=None if ended is None else ended.outcome,
        answer=None if ended is None else ended.answer,
        score=None if ended is None else ended.score,
        reason=None if ended is None else ended.reason,
        reasons=() if ended is None else ended.reasons,
        source=None if ended is None else ended.source,
        attempts=0 if ended is None else ended.attempts,
        retries=0 if ended is None else ended.retries,
        model=None if ended is None else ended.model,
        latency_ms=None if ended is None else ended.latency_ms,
        life=life,
    )


def _unknown(message_id: str) -> Problem:
    return Problem(HTTPStatus.NOT_FOUND, f"there is no question {message_id[:80]!r}", field="message_id")
