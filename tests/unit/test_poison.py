from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from strategies import EVENTS, TEXTS, asked, failed, requested, scored, validated
from tamiz.errors import UnreadableMessage
from tamiz.identity import digest
from tamiz.messages import DeadLetter, Record, Source, Topic, decode, encode
from tamiz.poison import LARGEST_MESSAGE, LARGEST_RECORD, TOO_LARGE, UNREADABLE, fitting, largest, unreadable

NOW = 1_800_000_000.0
OTHERS = st.integers() | st.booleans() | st.none() | st.lists(TEXTS, max_size=2) | st.floats()
NAMES = st.sampled_from(asked().__struct_fields__)
QUESTIONS_ALMOST = st.builds(msgspec.json.encode, st.dictionaries(NAMES, TEXTS | OTHERS))


def record_of(value: bytes, key: bytes | None = b"k", topic: str = "a.questions_in") -> Record:
    return Record(topic=topic, partition=3, offset=41, key=key, size=len(value), value=value)


def newer(**changes: Any) -> bytes:
    """Make a question as a later version would write it."""
    return msgspec.json.encode({**msgspec.to_builtins(asked()), "type": "question_asked", "v": 2, **changes})


def test_a_record_of_nobody_has_an_id_of_its_own() -> None:
    """By its place alone, so that it is the same whoever reads it, and whenever."""
    letter = unreadable(record_of(b"\xff\xfe"), "no text", NOW)
    own = digest("a.questions_in", 3, 41)
    assert letter == DeadLetter(
        message_id=own,
        trace_id=own,
        question_id=None,
        title="(a record of a.questions_in[3] at offset 41)",
        cache_key="k",
        created_at=NOW,
        kind=UNREADABLE,
        reason="a.questions_in[3] at offset 41: no text",
        source=None,
        leader=own,
        record=record_of(b"\xff\xfe"),
    )
    assert unreadable(record_of(b"other"), "no", NOW + 5).message_id == own
    elsewhere = msgspec.structs.replace(record_of(b""), partition=4)
    assert unreadable(elsewhere, "no", NOW).message_id != own


@pytest.mark.parametrize(("key", "wanted"), [(b"k1", "k1"), (b"k\xff", "k\N{REPLACEMENT CHARACTER}"), (None, None)])
def test_its_key_is_the_records_where_that_has_one(key: bytes | None, wanted: str | None) -> None:
    letter = unreadable(record_of(b"", key), "no", NOW)
    assert letter.cache_key == (wanted or letter.message_id)


def test_a_record_that_names_its_submission_ends_it() -> None:
    """With all that can be read of the question."""
    letter = unreadable(record_of(newer()), "newer", NOW)
    question = asked()
    for name in ("message_id", "trace_id", "question_id", "title", "content", "best_answer", "cache_key", "created_at"):
        assert getattr(letter, name) == getattr(question, name), name
    assert (letter.leader, letter.source) == ("m1", Source.MODEL)


def test_what_has_another_type_is_left_out_and_the_rest_is_kept() -> None:
    changes = {"title": ["a", "list"], "created_at": "yesterday", "trace_id": None, "cache_key": 5}
    letter = unreadable(record_of(newer(**changes)), "newer", NOW)
    assert (letter.message_id, letter.trace_id, letter.cache_key) == ("m1", "m1", "k")
    assert letter.created_at == NOW
    assert (letter.title, letter.content) == ("(a record of a.questions_in[3] at offset 41)", "In Europe.")


@given(st.binary(max_size=200) | QUESTIONS_ALMOST | st.one_of(*EVENTS.values()).map(encode))
def test_whatever_a_record_is_its_dead_letter_travels(value: bytes) -> None:
    """It is read back as it was written, with the exact bytes."""
    letter = unreadable(record_of(value), "no", NOW)
    assert decode(encode(letter)) == letter
    assert letter.record == record_of(value)


@pytest.mark.parametrize("depth", [1_000, 100_000])
def test_one_that_is_nested_too_deeply_is_like_any_other(depth: int) -> None:
    value = b"[" * depth
    with pytest.raises(UnreadableMessage):
        decode(value)
    assert unreadable(record_of(value), "no", NOW).source is None


@pytest.mark.parametrize("field", ["message_id", "title", "content", "best_answer", "cache_key", "type", "hint"])
@pytest.mark.parametrize("letter", ["x", "\x01", "\N{SNOWMAN}"])
def test_the_dead_letter_of_a_record_of_any_size_fits_with_its_beginning(field: str, letter: str) -> None:
    """Whichever field it is that is large, up to the largest record that a topic takes."""
    for size in (LARGEST_RECORD, LARGEST_MESSAGE):
        empty = len(newer(**{field: ""}))
        value = newer(**{field: letter * ((size - empty) // (len(msgspec.json.encode(letter)) - 2))})
        with pytest.raises(UnreadableMessage) as error:
            decode(value)
        event = unreadable(record_of(value, value[:size]), str(error.value), NOW)
        sent, data = fitting(event)
        assert sent is event
        assert len(data) <= LARGEST_MESSAGE
        assert event.record is not None
        assert (event.record.value, event.record.size) == (value[:LARGEST_RECORD], len(value))


def test_an_id_that_is_longer_than_any_name_is_none() -> None:
    """It would be several times in the dead letter, which has to fit into its topic."""
    assert unreadable(record_of(newer(message_id="i" * 1000)), "newer", NOW).message_id == "i" * 1000
    letter = unreadable(record_of(newer(message_id="i" * 1001)), "newer", NOW)
    assert letter.message_id == letter.leader == digest("a.questions_in", 3, 41)
    assert letter.question_id == "7"


def test_questions_are_smaller_than_what_becomes_of_them() -> None:
    assert largest(Topic.QUESTIONS_IN) == LARGEST_RECORD
    assert {largest(topic) for topic in Topic if topic is not Topic.QUESTIONS_IN} == {LARGEST_MESSAGE}


def test_an_event_that_fits_is_sent_as_it_is() -> None:
    event = requested(title="")
    event = msgspec.structs.replace(event, title="t" * (LARGEST_MESSAGE - len(encode(event))))
    assert len(encode(event)) == LARGEST_MESSAGE
    assert fitting(event) == (event, encode(event))


@pytest.mark.parametrize(
    "event",
    [
        requested(title="t" * LARGEST_MESSAGE),
        failed(reason="r" * LARGEST_MESSAGE),
        validated(answer=scored(text="a" * LARGEST_MESSAGE), best_answer="b" * 5000, content="c" * 5000),
    ],
    ids=lambda event: type(event).__name__,
)
def test_one_that_does_not_is_the_dead_letter_of_its_question(event: Any) -> None:
    """With the beginning of the question, and why."""
    sent, data = fitting(event)
    assert decode(data) == sent
    assert isinstance(sent, DeadLetter)
    assert (sent.message_id, sent.leader, sent.cache_key) == (event.message_id, event.message_id, event.cache_key)
    assert (sent.trace_id, sent.question_id, sent.created_at) == (event.trace_id, event.question_id, event.created_at)
    assert sent.kind == TOO_LARGE
    assert sent.reason == f"its {type(event).__name__} has {len(encode(event)):,} bytes; a topic takes 8,388,608"
    assert (sent.title, sent.content) == (event.title[:2000], event.content[:2000])
    assert sent.best_answer == event.best_answer[:2000]
    assert len(data) < 20_000
