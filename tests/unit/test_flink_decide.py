import subprocess
import sys

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from strategies import EVENTS, SCORES, dead, requested, responded, scored
from tamiz.flink.decide import Decider, Output, Tally, is_repeat, mark
from tamiz.messages import DeadLetter, Event, LlmResponse, Record, RegenerationRequest, Topic, decode, encode
from tamiz.poison import LARGEST_MESSAGE, LARGEST_RECORD, TOO_LARGE, UNREADABLE
from tamiz.policy import Policy
from tamiz.scorers import make_scorer
from tamiz.stages.judge import Judge

TOPIC = "here.llm_responses"
NOW = 1_900_000_000.0
POLICIES = st.builds(
    Policy, threshold=SCORES, attempts=st.integers(1, 8), unscored=st.sampled_from(["accept", "retry"])
)
RESPONSES = EVENTS[LlmResponse]


def decider(policy: Policy | None = None) -> Decider:
    return Decider(Judge(make_scorer("tfidf"), policy or Policy()), TOPIC, lambda: NOW)


def decided(response: LlmResponse, policy: Policy | None = None) -> Output:
    """Take a response through all of it, as a record."""
    here = decider(policy)
    read = here.read(encode(response), b"any", 0, 0)
    assert isinstance(read, LlmResponse)
    return here.decide(read)


def buried(value: bytes | None, key: bytes | None = b"k", partition: int = 3, offset: int = 14) -> DeadLetter:
    """Give the dead letter of a record."""
    output = decider().read(value, key, partition, offset)
    assert isinstance(output, Output)
    assert output.topic is Topic.DEAD_LETTERS
    assert output.tally is Tally.UNREADABLE
    letter = decode(output.value)
    assert isinstance(letter, DeadLetter)
    assert output.key == letter.cache_key.encode()
    return letter


@given(RESPONSES, POLICIES)
def test_it_is_the_judge(response: LlmResponse, policy: Policy) -> None:
    """Byte for byte what the stage emits, under the key of its question, whatever the response is."""
    wanted = Judge(make_scorer("tfidf"), policy).decide(response)
    output = decided(response, policy)
    assert output.value == encode(wanted)
    assert output.key == response.cache_key.encode()
    if isinstance(wanted, RegenerationRequest):
        assert (output.topic, output.tally) == (Topic.REGENERATION_REQUESTS, Tally.REGENERATED)
    else:
        assert output.topic is Topic.VALIDATED_RESPONSES
        assert output.tally is (Tally.ACCEPTED if wanted.accepted else Tally.EXHAUSTED)


@given(RESPONSES)
@example(responded(created_at=0.1 + 0.2))
@example(responded(created_at=-0.0))
def test_an_attempt_is_judged_once(response: LlmResponse) -> None:
    assert not is_repeat(response, None)
    assert is_repeat(response, mark(response))
    assert not is_repeat(msgspec.structs.replace(response, attempt=response.attempt + 1), mark(response))


@given(st.integers(1, 2**62), st.integers(1, 2**62))
def test_an_attempt_before_the_last_one_is_a_repeat(attempt: int, last: int) -> None:
    assert is_repeat(responded(attempt=attempt), mark(responded(attempt=last))) is (attempt <= last)


def test_a_question_that_was_put_back_is_judged_again() -> None:
    """It has its message_id still, and its attempts begin anew, but it was submitted at another time."""
    before = responded(attempt=2, created_at=1_800_000_000.0)
    again = responded(attempt=1, created_at=1_800_000_000.25)
    assert not is_repeat(again, mark(before))
    assert is_repeat(again, mark(again))


def test_the_bound_does_not_depend_on_what_is_remembered() -> None:
    """The attempt and the best so far are in the message: the last attempt ends the question without any state."""
    best = scored(0.2, 1, "the first")
    output = decided(responded(llm_answer="nothing alike", attempt=3, best=best), Policy(attempts=3))
    assert output.tally is Tally.EXHAUSTED
    assert decode(output.value).answer == best  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (b"", "not a message of tamiz"),
        (b"no JSON", "not a message of tamiz"),
        (b"\xff\xfe\x00", "not a message of tamiz"),
        (encode(responded()).replace(b"Paris", b"Par\xc3is"), "not a"),
        (encode(responded())[:-1], "truncated"),
        (encode(responded()).replace(b'"v":1', b'"v":2'), "of version 2, written by a newer tamiz"),
        (encode(responded()).replace(b'"latency_ms":12.5', b'"latency_ms":"fast"'), "latency_ms"),
        (encode(requested()), "not an llm_response"),
        (encode(dead()), "not an llm_response"),
        (b"[" * 100_000, "not a message of tamiz"),
        (b'{"a":' * 100_000, "recursion"),
        (b'{"message_id":"\\ud800"}', "not a message of"),
    ],
)
def test_what_is_no_response_becomes_a_dead_letter(value: bytes, why: str) -> None:
    """With its bytes, its key, and the place where it was."""
    letter = buried(value, b"\xff\xfe")
    assert letter.kind == UNREADABLE
    assert why in letter.reason
    assert f"{TOPIC}[3] at offset 14" in letter.reason
    assert letter.record == Record(topic=TOPIC, partition=3, offset=14, key=b"\xff\xfe", size=len(value), value=value)


@given(st.binary(max_size=200), st.none() | st.binary(max_size=20))
def test_any_bytes_come_back_as_they_were(value: bytes, key: bytes | None) -> None:
    letter = buried(value, key)
    assert letter.record is not None
    assert (letter.record.value, letter.record.key) == (value, key)


@given(st.sampled_from([kind for kind in EVENTS if kind is not LlmResponse]).flatmap(EVENTS.__getitem__))
def test_another_message_is_buried_as_its_question(event: Event) -> None:
    """Its submission ends with it, so it is named as such."""
    letter = buried(encode(event))
    assert letter.cache_key == (event.cache_key or "k")
    assert not event.message_id or letter.message_id == event.message_id


def test_a_record_without_a_value_becomes_a_dead_letter() -> None:
    letter = buried(None, None)
    assert "without a value" in letter.reason
    assert letter.record is not None
    assert (letter.record.value, letter.record.key, letter.record.size) == (b"", None, 0)


def test_the_same_record_makes_the_same_dead_letter() -> None:
    """So that one which a crash repeats changes nothing; the record beside it makes another one."""
    assert buried(b"x", offset=1) == buried(b"x", offset=1)
    assert buried(b"x", offset=1).message_id != buried(b"x", offset=2).message_id


def test_a_large_response_is_judged() -> None:
    """Messages grow with the answers to a question, so more is taken than of a question."""
    large = responded(llm_answer="Paris " * (LARGEST_RECORD // 5), best_answer="Paris")
    assert len(encode(large)) > LARGEST_RECORD
    assert decided(large).tally is Tally.ACCEPTED


def test_a_record_that_is_too_large_is_not_even_read() -> None:
    value = b'{"message_id":"m7","title":"long",' + b" " * LARGEST_MESSAGE + b"}"
    letter = buried(value)
    assert letter.kind == TOO_LARGE
    assert letter.record is not None
    assert letter.record.size == len(value)
    assert letter.record.value == value[:LARGEST_RECORD]


def test_what_no_topic_takes_becomes_a_dead_letter() -> None:
    """A refused answer that is the best so far travels twice, which may be too much."""
    response = responded(llm_answer="x" * (LARGEST_MESSAGE * 2 // 3), best_answer=None)
    output = decided(response, Policy(unscored="retry"))
    assert (output.topic, output.tally) == (Topic.DEAD_LETTERS, Tally.UNREADABLE)
    assert decode(output.value).message_id == response.message_id


def test_inside_flink_it_needs_msgspec_alone() -> None:
    """All that a job or its submission imports of tamiz is at home in an environment with nothing else in it."""
    script = (
        "import sys; before = {*sys.modules}; import tamiz.flink.decide, tamiz.flink.submit; "
        "print(*{name.partition('.')[0] for name in {*sys.modules} - before} - {*sys.stdlib_module_names})"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    # msgspec looks whether typing_extensions are there
    assert {*done.stdout.split()} - {"typing_extensions"} == {"tamiz", "msgspec"}
