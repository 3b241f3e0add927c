"""The messages of the flow: one frozen, tagged, versioned family, JSON on the wire, a topic for each type.

Every message carries its question whole, so that each stage can work from the message alone, and all fields are in the
value. `decode` accepts fields it does not know (they are from a later release of the same version) and refuses a
version it does not know.
"""

from enum import StrEnum
from typing import Final, Literal

import msgspec

from tamiz.errors import FailureKind, UnreadableMessage

__all__ = [
    "NO_TERMS",
    "READ_BY",
    "TOPIC_OF",
    "VERSION",
    "DeadLetter",
    "Event",
    "LlmError",
    "LlmRequest",
    "LlmResponse",
    "Outcome",
    "QuestionAsked",
    "Record",
    "RegenerationRequest",
    "Scored",
    "Source",
    "Terminal",
    "Terms",
    "Topic",
    "Usage",
    "ValidatedResponse",
    "decode",
    "encode",
    "topic_of",
]

VERSION: Final = 1


class Topic(StrEnum):
    """Where messages travel; the record key is the question's cache key in all of them."""

    QUESTIONS_IN = "questions_in"
    LLM_REQUESTS = "llm_requests"
    LLM_RESPONSES = "llm_responses"
    LLM_ERRORS = "llm_errors"
    REGENERATION_REQUESTS = "regeneration_requests"
    VALIDATED_RESPONSES = "validated_responses"
    DEAD_LETTERS = "dead_letters"


class Outcome(StrEnum):
    """How a question ended; every question ends in exactly one of them."""

    ACCEPTED = "accepted"
    EXHAUSTED = "exhausted"
    FAILED = "failed"


class Source(StrEnum):
    """Where an answer came from."""

    MODEL = "model"
    CACHE = "cache"
    STORE = "store"
    COALESCED = "coalesced"


class Scored(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An answer and what the scorer said of it: `score` in [0, 1], or `None` with the `reason` why there is none."""

    llm_answer: str
    score: float | None
    reason: str | None = None
    reasons: tuple[str, ...] = ()
    """What speaks against the answer, in plain words, the weightiest first."""
    attempt: int
    model: str
    latency_ms: float | None = None
    completion: str | None = None
    """Of a chat: the `choices` as the model's server gave them, as JSON."""


class Terms(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """How a question is asked, where that is not as all others are."""

    tenant: str = ""
    """Whose it is; nothing of one tenant is another's to read or to reuse."""
    threshold: float | None = None
    """The least score in [0, 1] that is accepted; `None`: the policy's."""
    model: str | None = None
    """The one model that may be asked, as `--model` names it; `None`: as the settings have it."""
    chat: str | None = None
    """The body of a chat completion request, as JSON, that goes to the model in place of the rendered question."""


NO_TERMS: Final = Terms()
"""The terms of a question that has none of its own."""


class Usage(msgspec.Struct, frozen=True, gc=False):
    """Tokens, as servers counted them."""

    prompt_tokens: int = 0
    completion_tokens: int = 0


class Message(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="type"):
    """What all messages share: the question itself, the submission it belongs to and the version of the format."""

    v: Literal[1] = VERSION
    message_id: str
    """One submission of a question; it gets exactly one outcome."""
    trace_id: str
    """Follows the submission through every hop."""
    question_id: str | None
    """The dataset's own id, as text."""
    title: str
    content: str = ""
    best_answer: str | None = None
    """The human reference. It scores answers; no real model ever gets it."""
    cache_key: str
    """Equal for identical questions; the record key of every topic."""
    created_at: float
    """When the question was submitted, in seconds since the epoch."""
    terms: Terms | None = None
    traceparent: str | None = None
    """The trace that the submission belongs to, as W3C Trace Context writes it, where traces are kept."""


class QuestionAsked(Message, frozen=True, kw_only=True, gc=False, tag="question_asked"):
    """A question was submitted."""


class _Tried(Message, frozen=True, kw_only=True, gc=False):
    """The counters that travel with a question while a model works on it, so that no restart can reset a bound."""

    attempt: int = 1
    """Which answer this is about, from 1; only judge raises it."""
    retry: int = 0
    """Failed calls within this attempt; only retry raises it."""
    deferrals: int = 0
    """How many of those were the endpoint's doing (quota, outage), which `--retries` does not count; only retry raises
    it."""
    retries: int = 0
    """Failed calls over all attempts; only retry raises it."""
    best: Scored | None = None
    """The best attempt judged so far."""
    reasons: tuple[str, ...] = ()
    """What speaks against the attempt before this one (see `Scored`)."""
    used: Usage | None = None
    """Of a chat: tokens of the attempts before this one."""


class LlmRequest(_Tried, frozen=True, kw_only=True, gc=False, tag="llm_request"):
    """A model is to answer the question."""

    avoid: str = ""
    """The model whose call failed just before, where another one is to be asked at once."""


class LlmResponse(_Tried, frozen=True, kw_only=True, gc=False, tag="llm_response"):
    """A model answered."""

    llm_answer: str
    model: str
    """The model that answered, as its server names it."""
    endpoint: str = ""
    """The model that was asked, as `--model` names it."""
    latency_ms: float
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    completion: str | None = None
    """See `Scored`."""


class LlmError(_Tried, frozen=True, kw_only=True, gc=False, tag="llm_error"):
    """A model call gave no answer."""

    kind: FailureKind
    reason: str
    retry_at: float | None = None
    """When to try again, as the provider said or as the endpoint's circuit has it, in seconds since the epoch."""
    outage: bool = False
    """Whether the endpoint was down or its quota spent, so that this is no failure of the question."""
    model: str
    latency_ms: float
    tokens: int | None = None
    """What the call used up all the same, where that is known."""
    sent: bool = True
    """Whether there was anybody to take the call."""


class RegenerationRequest(_Tried, frozen=True, kw_only=True, gc=False, tag="regeneration_request"):
    """An answer fell short; `attempt` is the number of the one that is wanted now."""

    refused: Scored


class ValidatedResponse(Message, frozen=True, kw_only=True, gc=False, tag="validated_response"):
    """A question's terminal outcome: accepted, or exhausted with its best attempt."""

    accepted: bool
    answer: Scored
    source: Source
    attempts: int
    """Answers judged for this submission; 0 where the answer was reused."""
    retries: int = 0
    leader: str
    """The `message_id` whose model calls gave this answer."""
    refused: Scored | None = None
    """The last attempt, where it was refused and `answer` is an earlier, better one."""
    used: Usage | None = None
    """Of a chat: tokens of all attempts; `None` where no model was asked, or it did not count."""

    @property
    def outcome(self) -> Outcome:
        """`ACCEPTED` or `EXHAUSTED`."""
        return Outcome.ACCEPTED if self.accepted else Outcome.EXHAUSTED


class Record(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A record of a topic that could not be read."""

    topic: str
    partition: int
    offset: int
    key: bytes | None = None
    size: int
    """Of the record's value, in bytes."""
    value: bytes
    """The value, or of a large one its beginning; base64 on the wire."""


class DeadLetter(Message, frozen=True, kw_only=True, gc=False, tag="dead_letter"):
    """A question's terminal outcome: it failed, and why."""

    kind: str
    """A `FailureKind`, `bad_row` for an input row that is not a question, `unreadable` for a record of a topic."""
    reason: str
    source: Source | None = Source.MODEL
    attempts: int = 0
    retries: int = 0
    model: str | None = None
    best: Scored | None = None
    leader: str
    record: Record | None = None
    """The record that could not be read, where that is why."""

    @property
    def outcome(self) -> Outcome:
        """`FAILED`, always."""
        return Outcome.FAILED


READ_BY: Final[dict[str, tuple[Topic, ...]]] = {
    "intake": (Topic.QUESTIONS_IN, Topic.REGENERATION_REQUESTS, Topic.VALIDATED_RESPONSES, Topic.DEAD_LETTERS),
    "generate": (Topic.LLM_REQUESTS,),
    "retry": (Topic.LLM_ERRORS,),
    "judge": (Topic.LLM_RESPONSES,),
    "persist": (Topic.LLM_ERRORS, Topic.REGENERATION_REQUESTS, Topic.VALIDATED_RESPONSES, Topic.DEAD_LETTERS),
}
"""What each stage reads."""

_type_of_topic: Final[dict[Topic, type[Message]]] = {
    Topic.QUESTIONS_IN: QuestionAsked,
    Topic.LLM_REQUESTS: LlmRequest,
    Topic.LLM_RESPONSES: LlmResponse,
    Topic.LLM_ERRORS: LlmError,
    Topic.REGENERATION_REQUESTS: RegenerationRequest,
    Topic.VALIDATED_RESPONSES: ValidatedResponse,
    Topic.DEAD_LETTERS: DeadLetter,
}
TOPIC_OF: Final[dict[type[Message], Topic]] = {message: topic for topic, message in _type_of_topic.items()}
"""The topic of each type of message."""

Event = QuestionAsked | LlmRequest | LlmResponse | LlmError | RegenerationRequest | ValidatedResponse | DeadLetter
"""Any message of the flow."""

Terminal = ValidatedResponse | DeadLetter
"""The messages that end a question."""

_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Event)
_unreadable: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class _Envelope(msgspec.Struct):
    v: int | None = None
    type: str | None = None


def topic_of(event: Event) -> Topic:
    """Give the topic that a message travels on."""
    return TOPIC_OF[type(event)]


def encode(event: Event) -> bytes:
    """Give the message as JSON in UTF-8."""
    return _encoder.encode(event)


def decode(data: bytes) -> Event:
    """Give the message that `encode` made.

    Raises `UnreadableMessage`, which names the version or the field, where the bytes are not a message of this version.
    """
    try:
        return _decoder.decode(data)
    except _unreadable as error:
        raise UnreadableMessage(_why_unreadable(data, error)) from error


def _why_unreadable(data: bytes, error: Exception) -> str:
    try:
        envelope = msgspec.json.decode(data, type=_Envelope)
    except _unreadable:
        return f"not a message of tamiz ({error})"
    if envelope.v is not None and envelope.v > VERSION:
        return (
            f"a {envelope.type or 'message'} of version {envelope.v}, written by a newer tamiz; "
            f"this one reads version {VERSION}: upgrade tamiz, the record is kept"
        )
    return f"not a {envelope.type or 'message'} of version {VERSION} ({error})"
