"""Messages for tests: plain ones to change a field of, and Hypothesis strategies for every type."""

from typing import Any

from hypothesis import strategies as st

from tamiz.errors import FailureKind
from tamiz.messages import (
    DeadLetter,
    Event,
    LlmError,
    LlmRequest,
    LlmResponse,
    QuestionAsked,
    RegenerationRequest,
    Scored,
    Source,
    Topic,
    ValidatedResponse,
)

__all__ = [
    "EVENTS",
    "FAILURES",
    "SCORED",
    "SCORES",
    "TEXTS",
    "TYPES",
    "asked",
    "dead",
    "errors",
    "failed",
    "regeneration",
    "requested",
    "requests",
    "responded",
    "scored",
    "validated",
]

TYPES: dict[Topic, type[Event]] = {
    Topic.QUESTIONS_IN: QuestionAsked,
    Topic.LLM_REQUESTS: LlmRequest,
    Topic.LLM_RESPONSES: LlmResponse,
    Topic.LLM_ERRORS: LlmError,
    Topic.REGENERATION_REQUESTS: RegenerationRequest,
    Topic.VALIDATED_RESPONSES: ValidatedResponse,
    Topic.DEAD_LETTERS: DeadLetter,
}

QUESTION = {
    "message_id": "m1",
    "trace_id": "t1",
    "question_id": "7",
    "title": "What is the capital of France?",
    "content": "In Europe.",
    "best_answer": "Paris",
    "cache_key": "k1",
    "created_at": 1_800_000_000.0,
}


def scored(score: float | None = 0.5, attempt: int = 1, text: str = "an answer", **changes: Any) -> Scored:
    reason = "nothing_to_score" if score is None else None
    return Scored(**{"llm_answer": text, "score": score, "reason": reason, "attempt": attempt, "model": "m", **changes})


def asked(message_id: str = "m1", cache_key: str = "k1", **changes: Any) -> QuestionAsked:
    return QuestionAsked(**{**QUESTION, "message_id": message_id, "cache_key": cache_key, **changes})


def requested(**changes: Any) -> LlmRequest:
    return LlmRequest(**{**QUESTION, **changes})


def regeneration(**changes: Any) -> RegenerationRequest:
    return RegenerationRequest(**{**QUESTION, "refused": scored(), **changes})


def responded(**changes: Any) -> LlmResponse:
    return LlmResponse(**{**QUESTION, "llm_answer": "Paris", "model": "m", "latency_ms": 12.5, **changes})


def failed(kind: FailureKind = FailureKind.OVERLOAD, **changes: Any) -> LlmError:
    return LlmError(**{**QUESTION, "kind": kind, "reason": "busy", "model": "m", "latency_ms": 1.0, **changes})


def validated(message_id: str = "m1", cache_key: str = "k1", **changes: Any) -> ValidatedResponse:
    told = {"accepted": True, "answer": scored(), "source": Source.MODEL, "attempts": 1, "leader": message_id}
    return ValidatedResponse(**{**QUESTION, "message_id": message_id, "cache_key": cache_key, **told, **changes})


def dead(message_id: str = "m1", cache_key: str = "k1", **changes: Any) -> DeadLetter:
    told = {"kind": "fatal", "reason": "no", "leader": message_id}
    return DeadLetter(**{**QUESTION, "message_id": message_id, "cache_key": cache_key, **told, **changes})


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
SCORES = st.floats(0, 1)
_COUNTS = st.integers(0, 2**62)
_NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
_SOURCES = st.sampled_from(Source)
FAILURES = st.sampled_from(FailureKind)

SCORED = st.builds(
    Scored,
    llm_answer=TEXTS,
    score=st.none() | SCORES,
    reason=st.none() | TEXTS,
    attempt=_COUNTS,
    model=TEXTS,
    latency_ms=st.none() | _NUMBERS,
)
_QUESTION: dict[str, st.SearchStrategy[Any]] = {
    "message_id": TEXTS,
    "trace_id": TEXTS,
    "question_id": st.none() | TEXTS,
    "title": TEXTS,
    "content": TEXTS,
    "best_answer": st.none() | TEXTS,
    "cache_key": TEXTS,
    "created_at": _NUMBERS,
}
_TRIED: dict[str, st.SearchStrategy[Any]] = {
    **_QUESTION,
    "attempt": _COUNTS,
    "retry": _COUNTS,
    "deferrals": _COUNTS,
    "retries": _COUNTS,
    "best": st.none() | SCORED,
}


def requests(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[LlmRequest]:
    """Make requests of any kind, with these fields as told."""
    return st.builds(LlmRequest, **{**_TRIED, **fields})


def errors(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[LlmError]:
    """Make failed calls of any kind, with these fields as told."""
    own = {
        "kind": FAILURES,
        "reason": TEXTS,
        "retry_at": st.none() | _NUMBERS,
        "model": TEXTS,
        "latency_ms": _NUMBERS,
    }
    return st.builds(LlmError, **{**_TRIED, **own, **fields})


EVENTS: dict[type[Event], st.SearchStrategy[Event]] = {
    QuestionAsked: st.builds(QuestionAsked, **_QUESTION),
    LlmRequest: requests(),
    LlmResponse: st.builds(
        LlmResponse,
        **_TRIED,
        llm_answer=TEXTS,
        model=TEXTS,
        latency_ms=_NUMBERS,
        prompt_tokens=st.none() | _COUNTS,
        completion_tokens=st.none() | _COUNTS,
    ),
    LlmError: errors(),
    RegenerationRequest: st.builds(RegenerationRequest, **_TRIED, refused=SCORED),
    ValidatedResponse: st.builds(
        ValidatedResponse,
        **_QUESTION,
        accepted=st.booleans(),
        answer=SCORED,
        source=_SOURCES,
        attempts=_COUNTS,
        retries=_COUNTS,
        leader=TEXTS,
        refused=st.none() | SCORED,
    ),
    DeadLetter: st.builds(
        DeadLetter,
        **_QUESTION,
        kind=TEXTS,
        reason=TEXTS,
        source=st.none() | _SOURCES,
        attempts=_COUNTS,
        retries=_COUNTS,
        model=st.none() | TEXTS,
        best=st.none() | SCORED,
        leader=TEXTS,
    ),
}
