"""What an outcome is to a client: a chat completion, the headers that tell of it, or an error."""

from http import HTTPStatus
from typing import Final, Literal

import msgspec

from tamiz import chat
from tamiz.errors import FailureKind
from tamiz.http.keys import Caller
from tamiz.http.problems import Problem
from tamiz.http.seen import reason_for
from tamiz.messages import DeadLetter, Scored, Source, Terminal, Usage, ValidatedResponse

__all__ = ["Completion", "Tokens", "choices_of", "completion_of", "headers_of", "problem_of", "tokens_of", "told_of"]

_NOBODY_PAID: Final = frozenset({Source.CACHE, Source.STORE, Source.COALESCED})
_RETRY_AFTER: Final = 10.0
"""Seconds after which a question may be asked again that failed by no fault of its own."""


class Tokens(msgspec.Struct, frozen=True):
    """Tokens, by OpenAI's names."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class Completion(msgspec.Struct, frozen=True, kw_only=True):
    """A chat completion as OpenAI's API reference has it."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: msgspec.Raw
    usage: Tokens | None
    system_fingerprint: None = None


def completion_of(outcome: ValidatedResponse, created: float) -> Completion:
    """Give the answer of an outcome as a completion."""
    return Completion(
        id=f"chatcmpl-{outcome.message_id}",
        created=int(created),
        model=outcome.answer.model,
        choices=msgspec.Raw(choices_of(outcome.answer).encode()),
        usage=tokens_of(outcome),
    )


def choices_of(answer: Scored) -> str:
    """Give the `choices` of an answer as JSON: those of the model's server, where it has made any."""
    return chat.choices_of(answer.llm_answer) if answer.completion is None else answer.completion


def tokens_of(outcome: ValidatedResponse) -> Tokens | None:
    """Give what the answer took, all attempts together; `None` where the model's server does not count."""
    used = Usage() if outcome.source in _NOBODY_PAID else outcome.used
    if used is None:
        return None
    return Tokens(used.prompt_tokens, used.completion_tokens, used.prompt_tokens + used.completion_tokens)


def told_of(outcome: Terminal) -> dict[str, str | float | None]:
    """Give what tells of an outcome, beside its answer."""
    told: dict[str, str | float | None] = {
        "outcome": str(outcome.outcome),
        "source": None if outcome.source is None else str(outcome.source),
        "attempts": outcome.attempts,
        "message_id": outcome.message_id,
    }
    answer = outcome.best if isinstance(outcome, DeadLetter) else outcome.answer
    if answer is not None and answer.score is not None:
        told["score"] = answer.score
    elif answer is not None:
        told["reason"] = answer.reason
    return told


def headers_of(outcome: Terminal) -> dict[str, str]:
    """Give the same as headers."""
    return {
        f"x-tamiz-{name.replace('_', '-')}": str(value) for name, value in told_of(outcome).items() if value is not None
    }


def problem_of(outcome: Terminal, bar: float, retry_after: float | None, caller: Caller) -> Problem:
    """Give the error that an outcome is whose answer is not to be released.

    `bar` is the score that was asked for; `retry_after` when a model may be called again, in seconds.
    """
    if isinstance(outcome, DeadLetter):
        status, code = _status_of(outcome.kind)
        passing = status in {HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS}
        after = max(retry_after or _RETRY_AFTER, 1.0) if passing else None
        why = f"the question failed: {reason_for(caller, outcome.kind, outcome.reason, outcome.model)}"
    else:
        status, code, after = HTTPStatus.UNPROCESSABLE_ENTITY, "below_threshold", None
        answer = outcome.answer
        best = f"no score ({answer.reason})" if answer.score is None else f"the score {answer.score:.3g}"
        count = max(outcome.attempts, answer.attempt)
        why = (
            f"no answer was good enough: the best of {count} has {best}, and {bar:g} is asked for. "
            f'GET /questions/{outcome.message_id} has it; with tamiz.on_exhausted "return" it is the answer'
        )
    headers = headers_of(outcome)
    if after is None:
        headers["x-should-retry"] = "false"  # OpenAI's clients keep to it
    return Problem(status, why, retry_after=after, code=code, more=told_of(outcome), headers=headers)


def _status_of(kind: str) -> tuple[HTTPStatus, str]:
    match kind:
        case FailureKind.OVERLOAD | FailureKind.TIMEOUT:
            return HTTPStatus.SERVICE_UNAVAILABLE, kind
        case FailureKind.QUOTA:
            return HTTPStatus.TOO_MANY_REQUESTS, "insufficient_quota"
        case FailureKind.INVALID:
            return HTTPStatus.BAD_REQUEST, kind
        case _:
            return HTTPStatus.BAD_GATEWAY, kind
