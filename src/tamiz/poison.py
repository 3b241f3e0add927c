"""Records of a topic that cannot be read, or are too large: each becomes a dead letter, so that the topic goes on."""

from typing import Annotated, Any, Final

import msgspec

from tamiz.identity import digest
from tamiz.messages import DeadLetter, Event, Record, Source, Topic, encode

__all__ = ["LARGEST_MESSAGE", "LARGEST_RECORD", "TOO_LARGE", "UNREADABLE", "fitting", "unreadable"]

UNREADABLE: Final = "unreadable"
TOO_LARGE: Final = "too_large"
"""Kinds of dead letters."""

LARGEST_RECORD: Final = 1 << 20
"""Bytes of a question; and of an unreadable record that a dead letter holds."""
LARGEST_MESSAGE: Final = 8 << 20
"""Bytes of a record of any topic: a dead letter holds a record, and messages grow with the answers to a question."""

_EXCERPT: Final = 2_000
"""Characters that are kept of the texts of a question that is too large."""
_LONGEST_ID: Final = 1_000
"""What is longer is nobody's name: a dead letter has it several times over, and has to fit into its topic."""

_Id = Annotated[str, msgspec.Meta(max_length=_LONGEST_ID)]


class _Salvage(msgspec.Struct):
    message_id: _Id | None = None
    trace_id: _Id | None = None
    question_id: _Id | None = None
    title: str = ""
    content: str = ""
    best_answer: str | None = None
    cache_key: _Id | None = None
    created_at: float | None = None


def largest(topic: Topic) -> int:
    """Give the most bytes that a record of this topic may have to be taken up."""
    return LARGEST_RECORD if topic is Topic.QUESTIONS_IN else LARGEST_MESSAGE


def unreadable(record: Record, why: str, now: float, kind: str = UNREADABLE) -> DeadLetter:
    """Give the dead letter of a record that is no message of this version.

    Where the record names its submission, as one of a newer version does, that submission ends with it. Otherwise the
    dead letter has an id of its own, the same for the same record, so that repeating it changes nothing. It fits into
    its topic whatever the record is.
    """
    place = f"{record.topic}[{record.partition}] at offset {record.offset}"
    found = _salvage(record.value)
    own = digest(record.topic, record.partition, record.offset, size=16)
    key = record.key.decode(errors="replace") if record.key and len(record.key) <= _LONGEST_ID else own
    message_id = found.message_id or own
    longest = LARGEST_RECORD if record.size <= LARGEST_RECORD else _EXCERPT  # the record's beginning has to fit as well
    return DeadLetter(
        message_id=message_id,
        trace_id=found.trace_id or message_id,
        question_id=found.question_id,
        title=found.title[:longest] or f"(a record of {place})",
        content=found.content[:longest],
        best_answer=found.best_answer[:longest] if found.best_answer else None,
        cache_key=found.cache_key or key,
        created_at=found.created_at or now,
        kind=kind,
        reason=f"{place}: {why[:_EXCERPT]}",
        source=Source.MODEL if found.message_id else None,  # of nobody's submission there is nothing to ask again
        leader=message_id,
        record=msgspec.structs.replace(
            record, key=record.key and record.key[:LARGEST_RECORD], value=record.value[:LARGEST_RECORD]
        ),
    )


def fitting(event: Event) -> tuple[Event, bytes]:
    """Give the event and its bytes; in place of one that no topic takes, the dead letter of its question."""
    data = encode(event)
    return (event, data) if len(data) <= LARGEST_MESSAGE else _cut(event, len(data))


def _cut(event: Event, size: int) -> tuple[Event, bytes]:
    letter = DeadLetter(
        message_id=event.message_id,
        trace_id=event.trace_id,
        question_id=event.question_id[:_EXCERPT] if event.question_id else None,
        title=event.title[:_EXCERPT],
        content=event.content[:_EXCERPT],
        best_answer=event.best_answer[:_EXCERPT] if event.best_answer else None,
        cache_key=event.cache_key,
        created_at=event.created_at,
        kind=TOO_LARGE,
        reason=f"its {type(event).__name__} has {size:,} bytes; a topic takes {LARGEST_MESSAGE:,}",
        leader=event.message_id,
    )
    return letter, encode(letter)


def _salvage(data: bytes) -> _Salvage:
    try:
        found: Any = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _Salvage()
    if not isinstance(found, dict):
        return _Salvage()
    kept = {}
    for field in msgspec.structs.fields(_Salvage):
        value = found.get(field.name)
        try:
            kept[field.name] = msgspec.convert(value, field.type)
        except msgspec.ValidationError:
            continue  # what is missing or of another type has its default
    return _Salvage(**kept)
