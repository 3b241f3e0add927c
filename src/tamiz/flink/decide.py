"""What becomes of one record of `llm_responses`: pure, so that the job around it has nothing left to decide."""

import time
from collections.abc import Callable
from enum import StrEnum
from typing import Final

import msgspec

from tamiz.errors import UnreadableMessage
from tamiz.messages import (
    DeadLetter,
    Event,
    LlmResponse,
    Record,
    RegenerationRequest,
    Topic,
    ValidatedResponse,
    decode,
    topic_of,
)
from tamiz.poison import TOO_LARGE, UNREADABLE, fitting, largest, unreadable
from tamiz.stages.judge import Judge

__all__ = ["Decider", "Output", "Tally", "is_repeat", "mark"]

_LARGEST: Final = largest(Topic.LLM_RESPONSES)


class Tally(StrEnum):
    """The counters: what a record came to. Each record adds 1 to one of them."""

    ACCEPTED = "responses_accepted"
    REGENERATED = "responses_regenerated"
    EXHAUSTED = "responses_exhausted"
    REPEATED = "responses_repeated"
    UNREADABLE = "responses_unreadable"


class Output(msgspec.Struct, frozen=True, gc=False):
    """A record to write: to which topic, its key and its value; and what it counts as."""

    topic: Topic
    key: bytes
    value: bytes
    tally: Tally


class Decider:
    """The judge of a host that has bytes, and wants bytes.

    It keeps nothing from record to record: the same record and the same mark give the same output, but for the time in
    a dead letter.
    """

    def __init__(self, judge: Judge, topic: str, now: Callable[[], float] = time.time) -> None:
        """`topic` is the name on the cluster, which a dead letter tells."""
        self._judge = judge
        self._topic = topic
        self._now = now

    def read(self, value: bytes | None, key: bytes | None, partition: int, offset: int) -> LlmResponse | Output:
        """Give the response that a record holds, or, where it holds none, the dead letter in its place."""
        kind, why = UNREADABLE, "not an llm_response, which is all that this topic has"
        if value is None:
            value, why = b"", "a record without a value"
        elif len(value) > _LARGEST:
            kind, why = TOO_LARGE, f"the record has {len(value):,} bytes; {_LARGEST:,} are taken"
        else:
            try:
                event = decode(value)
            except UnreadableMessage as error:
                why = str(error)
            else:
                if isinstance(event, LlmResponse):
                    return event
        record = Record(topic=self._topic, partition=partition, offset=offset, key=key, size=len(value), value=value)
        return _output(unreadable(record, why, self._now(), kind))

    def decide(self, response: LlmResponse) -> Output:
        """Judge a response that is no repeat."""
        return _output(self._judge.decide(response))


def mark(response: LlmResponse) -> str:
    """Give what to remember of a response that was judged."""
    return f"{response.attempt} {response.created_at!r}"


def is_repeat(response: LlmResponse, last: str | None) -> bool:
    """Tell whether this attempt, or a later one, was judged before; `last` is the `mark` of the latest one.

    A question that was put back (`tamiz dead replay`) has another `created_at` and begins with the first attempt again,
    which is no repeat.
    """
    if last is None:
        return False
    attempt, _, created_at = last.partition(" ")
    return response.attempt <= int(attempt) and repr(response.created_at) == created_at


def _output(event: Event) -> Output:
    sent, value = fitting(event)
    return Output(topic_of(sent), sent.cache_key.encode(), value, _tally(sent))


def _tally(event: Event) -> Tally:
    match event:
        case ValidatedResponse(accepted=True):
            return Tally.ACCEPTED
        case ValidatedResponse():
            return Tally.EXHAUSTED
        case RegenerationRequest():
            return Tally.REGENERATED
        case DeadLetter():
            return Tally.UNREADABLE
        case _:
            raise TypeError(f"{event!r} is nothing that a judge decides")
