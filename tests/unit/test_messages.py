import contextlib
import json
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from strategies import EVENTS, TYPES, asked, dead, failed, regeneration, requested, responded, scored, validated
from tamiz.errors import UnreadableMessage
from tamiz.messages import VERSION, Event, Outcome, Topic, decode, encode, topic_of

ANY = st.one_of(*EVENTS.values())
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)

ONE_OF_EACH: list[Event] = [
    asked(),
    requested(),
    responded(),
    failed(),
    regeneration(),
    validated(),
    dead(),
]


def required(event: Event) -> list[str]:
    return [field.name for field in msgspec.structs.fields(event) if field.required]


def wire(event: Event, **changes: Any) -> bytes:
    return json.dumps({**json.loads(encode(event)), **changes}).encode()


def why_refused(data: bytes) -> str:
    with pytest.raises(UnreadableMessage) as refusal:
        decode(data)
    return str(refusal.value)


@given(ANY)
def test_round_trip(event: Event) -> None:
    """What was encoded decodes to an equal message of the same type."""
    again = decode(encode(event))
    assert type(again) is type(event)
    assert again == event


@given(ANY)
def test_all_fields_are_flat_in_the_value(event: Event) -> None:
    """A reader of the JSON finds every field at its top, with the type and the version beside them."""
    value = json.loads(encode(event))
    assert set(value) == {"type", *event.__struct_fields__}
    assert value["v"] == VERSION == 1
    assert value["title"] == event.title


def test_types_on_the_wire_are_distinct_and_stay() -> None:
    """The names are part of the format: old records carry them."""
    assert [json.loads(encode(event))["type"] for event in ONE_OF_EACH] == [
        "question_asked",
        "llm_request",
        "llm_response",
        "llm_error",
        "regeneration_request",
        "validated_response",
        "dead_letter",
    ]


@given(ANY, st.text(min_size=1, max_size=8).map("x_{}".format), JSON)
def test_unknown_fields_are_ignored(event: Event, name: str, value: object) -> None:
    """A later release of the same version may add fields."""
    assert decode(wire(event, **{name: value})) == event


@pytest.mark.parametrize("event", ONE_OF_EACH, ids=topic_of)
def test_a_missing_field_is_named(event: Event) -> None:
    """Each required field that is missing is refused by its name."""
    assert required(event)
    for name in required(event):
        value = json.loads(encode(event))
        del value[name]
        why = why_refused(json.dumps(value).encode())
        assert f"`{name}`" in why
        assert "of version 1" in why


@given(ANY, st.integers(VERSION + 1, 2**70), JSON)
def test_a_version_from_the_future_is_kept_and_says_upgrade(event: Event, version: int, title: object) -> None:
    """Whatever else the newer version changed, the error is about the version."""
    why = why_refused(wire(event, v=version, title=title))
    assert f"version {version}" in why
    assert "newer tamiz" in why
    assert "upgrade" in why
    assert "kept" in why


def test_a_type_from_the_future_says_upgrade() -> None:
    why = why_refused(b'{"type": "answer_translated", "v": 2}')
    assert "answer_translated of version 2" in why
    assert "upgrade" in why


@pytest.mark.parametrize("version", [0, -1, "1", "", 1.5, None, True, [1], {}])
def test_any_other_version_is_refused(version: object) -> None:
    """A version that never was is an error, and no reason to upgrade."""
    why = why_refused(wire(asked(), v=version))
    assert "$.v" in why
    assert "upgrade" not in why


@given(st.binary(max_size=60) | JSON.map(lambda value: json.dumps(value).encode()))
@example(b"")
@example(b"{")
@example(b"null")
@example(b"\xff\xfe{}")
@example(b'{"type": "question_asked", "v": "\xff"}')
@example(b'{"type": 5}')
@example(b'{"v": 1e999}')
@example(b'{"v":' + b"9" * 5000 + b"}")
@example(b'{"type": "question_asked", "title": "\\ud800"}')
@example(b"[" * 100_000)
@example(b'{"type": "question_asked", "x": ' + b"[" * 100_000)
@example(b'{"v": ' + b'{"v":' * 100_000)
def test_garbage_is_unreadable_and_nothing_else(data: bytes) -> None:
    """No bytes whatever raise anything else."""
    assert why_refused(data)


@given(ANY, st.integers(0, 2000), st.binary(max_size=4))
def test_damage_is_unreadable_or_another_message(event: Event, place: int, put: bytes) -> None:
    """A damaged record decodes or is unreadable; it never raises anything else."""
    data = encode(event)
    place %= len(data)
    with contextlib.suppress(UnreadableMessage):
        decode(data[:place] + put + data[place + max(1, len(put)) :])


def test_each_type_has_its_own_topic() -> None:
    """`topic_of` is total and one to one, and no topic is without a type."""
    topics = {type(event): topic_of(event) for event in ONE_OF_EACH}
    assert set(topics) == set(Event.__args__)
    assert sorted(topics.values()) == sorted(Topic)
    assert {topic: message for message, topic in topics.items()} == TYPES


@pytest.mark.parametrize("event", ONE_OF_EACH, ids=topic_of)
def test_messages_are_frozen(event: Event) -> None:
    for name in event.__struct_fields__:
        with pytest.raises(AttributeError):
            setattr(event, name, getattr(event, name))


def test_scored_is_frozen() -> None:
    with pytest.raises(AttributeError):
        scored().score = 1.0  # type: ignore[misc]


def test_every_terminal_message_has_one_outcome() -> None:
    """Accepted, exhausted or failed, and nothing else."""
    assert validated(accepted=True).outcome is Outcome.ACCEPTED
    assert validated(accepted=False).outcome is Outcome.EXHAUSTED
    assert dead().outcome is Outcome.FAILED
