from collections.abc import Callable

import pytest
from hypothesis import given

from strategies import EVENTS, asked, dead, failed, regeneration, requested, responded, validated
from tamiz.hosts.once import Once
from tamiz.messages import Event, LlmError, LlmRequest, LlmResponse


def seen(*events: Event) -> Once:
    once = Once()
    for event in events:
        once.add(event)
    return once


@pytest.mark.parametrize("make", [requested, failed])
def test_each_call_of_an_attempt_is_another(make: Callable[..., Event]) -> None:
    """And each attempt, and each submission, and the same one when it was put back."""
    once = seen(make(attempt=2, retry=1))
    assert make(attempt=2, retry=1, deferrals=1, retries=7, title="other") in once
    for other in ({"attempt": 1}, {"retry": 0}, {"message_id": "m2"}, {"created_at": 1.0}):
        assert make(**{"attempt": 2, "retry": 1, **other}) not in once


def test_of_two_answers_to_an_attempt_the_first_counts() -> None:
    """Whichever calls they are from; another attempt, another submission and one that was put back are not repeats."""
    once = seen(responded(attempt=2, retry=1))
    assert responded(attempt=2, retry=3, llm_answer="another answer", model="another") in once
    for other in ({"attempt": 1}, {"message_id": "m2"}, {"created_at": 1.0}):
        assert responded(**{"attempt": 2, "retry": 1, **other}) not in once


@pytest.mark.parametrize(
    "event", [asked(), regeneration(), validated(), dead()], ids=lambda event: type(event).__name__
)
def test_what_a_store_knows_to_repeat_is_not_remembered(event: Event) -> None:
    assert event not in seen(event)


@given(EVENTS[LlmRequest] | EVENTS[LlmResponse] | EVENTS[LlmError])
def test_what_was_seen_is_known_at_once_and_nothing_else_is(event: Event) -> None:
    once = Once()
    assert event not in once
    once.add(event)
    once.add(event)
    assert event in once


def test_the_last_ones_are_remembered_and_the_oldest_forgotten() -> None:
    """At least as many as was said, and at most twice as many, however many there are."""
    once = Once(10)
    events = [requested(message_id=f"m{n}") for n in range(105)]
    for n, event in enumerate(events):
        once.add(event)
        known = [each in once for each in events[: n + 1]]
        assert all(known[-10:])
        assert sum(known) <= 20
        assert known == sorted(known), "what is forgotten is older than what is known"
