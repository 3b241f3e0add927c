"""Documents made of messages."""

from typing import Any, Final

import msgspec

from tamiz.errors import StateError
from tamiz.messages import (
    NO_TERMS,
    DeadLetter,
    LlmError,
    LlmRequest,
    Message,
    Outcome,
    QuestionAsked,
    Record,
    Scored,
    Source,
    Terminal,
    Usage,
    ValidatedResponse,
    decode,
)
from tamiz.store.mongo.connection import Document
from tamiz.store.texts import reasons_of, reasons_text, terms_of, terms_text

__all__ = [
    "deferred_of",
    "failed_row",
    "outcome_row",
    "parked_of",
    "question_of_row",
    "question_row",
    "refused_row",
    "scored_of_row",
    "terminal_of_row",
]

_MOST: Final = 2**63 - 1
"""The largest whole number of a document; a message may hold larger ones, which say nothing."""

_QUESTION: Final = (
    "trace_id",
    "question_id",
    "title",
    "content",
    "best_answer",
    "cache_key",
    "created_at",
)


def question_row(event: Message) -> Document:
    """Give the question that a message carries."""
    return {
        "_id": event.message_id,
        "trace_id": event.trace_id,
        "question_id": event.question_id,
        "title": event.title,
        "content": event.content,
        "best_answer": event.best_answer,
        "cache_key": event.cache_key,
        "created_at": event.created_at,
        "tenant": (event.terms or NO_TERMS).tenant,
        "terms": terms_text(event.terms),
    }


def question_of_row(row: Document) -> QuestionAsked:
    """Give the question that `question_row` or `outcome_row` was made of."""
    fields = {name: row[name] for name in _QUESTION}
    return QuestionAsked(message_id=row["_id"], **fields, terms=terms_of(row.get("terms")))


def scored_of_row(row: Document) -> Scored:
    """Give the answer of a document that `outcome_row` made of a `ValidatedResponse`."""
    return Scored(
        llm_answer=row["llm_answer"],
        score=row["score"],
        reason=row["reason"],
        reasons=reasons_of(row.get("reasons")),
        attempt=row["attempt"],
        model=row["model"],
        latency_ms=row["latency_ms"],
        completion=row.get("completion"),
    )


def terminal_of_row(row: Document) -> Terminal:
    """Give the outcome that `outcome_row` was made of; of a dead letter without its best attempt and its record."""
    asked = msgspec.structs.asdict(question_of_row(row))
    source = None if row["source"] is None else Source(row["source"])
    if row["outcome"] == Outcome.FAILED:
        return DeadLetter(
            **asked,
            kind=row["kind"],
            reason=row["reason"] or "",
            source=source,
            attempts=row["attempts"],
            retries=row["retries"],
            model=row["model"],
            leader=row["leader"],
        )
    used = row.get("used")
    return ValidatedResponse(
        **asked,
        accepted=row["accepted"],
        answer=scored_of_row(row),
        source=source or Source.MODEL,
        attempts=row["attempts"],
        retries=row["retries"],
        leader=row["leader"],
        used=None if used is None else Usage(*used),
    )


def outcome_row(event: Terminal, now: float) -> Document:
    """Give an outcome, with its question in full."""
    told = _dead(event) if isinstance(event, DeadLetter) else _validated(event)
    return {
        **question_row(event),
        **told,
        "source": event.source,
        "attempts": _counted(event.attempts),
        "retries": _counted(event.retries),
        "leader": event.leader,
        "finished_at": now,
    }


def failed_row(event: LlmError, now: float) -> Document:
    """Give a failed call."""
    return {
        "message_id": event.message_id,
        "tenant": (event.terms or NO_TERMS).tenant,
        "attempt": _counted(event.attempt),
        "retry": _counted(event.retry),
        "result": event.kind,
        "answer": None,
        "score": None,
        "reason": event.reason,
        "model": event.model,
        "latency_ms": event.latency_ms,
        "at": now,
        "reasons": None,
    }


def refused_row(event: Message, refused: Scored, now: float) -> Document:
    """Give an answer to the event's question that fell short."""
    return {
        "message_id": event.message_id,
        "tenant": (event.terms or NO_TERMS).tenant,
        "attempt": _counted(refused.attempt),
        "retry": 0,
        "result": "refused",
        "answer": refused.llm_answer,
        "score": refused.score,
        "reason": refused.reason,
        "model": refused.model,
        "latency_ms": refused.latency_ms,
        "at": now,
        "reasons": reasons_text(refused.reasons),
    }


def parked_of(data: bytes) -> QuestionAsked:
    """Give the question of a parked document."""
    event = decode(data)
    if not isinstance(event, QuestionAsked):
        raise StateError(f"a parked document is a {type(event).__name__}, not a question: the store is damaged")
    return event


def deferred_of(data: bytes) -> QuestionAsked | LlmRequest:
    """Give the event of a deferred document."""
    event = decode(data)
    if not isinstance(event, QuestionAsked | LlmRequest):
        raise StateError(f"a deferred document is a {type(event).__name__}: the store is damaged")
    return event


def _validated(event: ValidatedResponse) -> Document:
    answer = event.answer
    return {
        "outcome": event.outcome,
        "accepted": event.accepted,
        "llm_answer": answer.llm_answer,
        "score": answer.score,
        "reason": answer.reason,
        "kind": None,
        "attempt": _counted(answer.attempt),
        "model": answer.model,
        "latency_ms": answer.latency_ms if event.source is Source.MODEL else None,
        "reasons": reasons_text(answer.reasons),
        "completion": answer.completion,
        "used": None if event.used is None else [*map(_counted, msgspec.structs.astuple(event.used))],
    }


def _dead(event: DeadLetter) -> Document:
    told: Document = {
        "outcome": Outcome.FAILED,
        "accepted": False,
        "llm_answer": None,
        "score": None,
        "reason": event.reason,
        "kind": event.kind,
        "attempt": None,
        "model": event.model,
        "latency_ms": None,
        "reasons": None,
        "completion": None,
    }
    if event.record is not None:
        told["record"] = _record(event.record)
    return told


def _record(record: Record) -> dict[str, Any]:
    return {
        **msgspec.structs.asdict(record),
        "partition": _counted(record.partition),
        "offset": _counted(record.offset),
        "size": _counted(record.size),
    }


def _counted(number: int) -> int:
    return max(min(number, _MOST), -_MOST)
