"""Carries a question, and the counters that travel with it, from one message to the next."""

from typing import TypedDict

from tamiz.messages import LlmError, LlmRequest, LlmResponse, Message, Scored, Terms, Usage

__all__ = ["QuestionFields", "TriedFields", "question_of", "tried_of"]


class QuestionFields(TypedDict):
    """The fields that every message shares."""

    message_id: str
    trace_id: str
    question_id: str | None
    title: str
    content: str
    best_answer: str | None
    cache_key: str
    created_at: float
    terms: Terms | None
    traceparent: str | None


class TriedFields(QuestionFields):
    """The question and its counters."""

    attempt: int
    retry: int
    deferrals: int
    retries: int
    best: Scored | None
    reasons: tuple[str, ...]
    used: Usage | None


def question_of(event: Message) -> QuestionFields:
    """Give the question that a message carries."""
    return {
        "message_id": event.message_id,
        "trace_id": event.trace_id,
        "question_id": event.question_id,
        "title": event.title,
        "content": event.content,
        "best_answer": event.best_answer,
        "cache_key": event.cache_key,
        "created_at": event.created_at,
        "terms": event.terms,
        "traceparent": event.traceparent,
    }


def tried_of(event: LlmRequest | LlmResponse | LlmError) -> TriedFields:
    """Give the question that a message carries, with its counters unchanged."""
    return {
        **question_of(event),
        "attempt": event.attempt,
        "retry": event.retry,
        "deferrals": event.deferrals,
        "retries": event.retries,
        "best": event.best,
        "reasons": event.reasons,
        "used": event.used,
    }
