"""What the page shows of what happens: counts by time, latencies, scores, the last answers."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from manual_clock import EPOCH, ManualClock
from rows_of_lists import answered
from tamiz.errors import FailureKind
from tamiz.hosts.pulse import Beat, Pulse, Pulses, Totals
from tamiz.hosts.spans import Span
from tamiz.messages import (
    DeadLetter,
    LlmError,
    QuestionAsked,
    RegenerationRequest,
    Scored,
    Source,
    Terms,
    ValidatedResponse,
)
from tamiz.traffic.quantiles import Quantiles


def fields(number: int = 0, at: float = EPOCH, terms: Terms | None = None) -> dict[str, Any]:
    name = f"m{number}"
    return {
        "message_id": name,
        "trace_id": name,
        "question_id": None,
        "title": f"Q{number}?",
        "best_answer": "R",
        "cache_key": f"k{number}",
        "created_at": at,
        "terms": terms,
    }


def scored(score: float | None = 0.8, text: str = "A") -> Scored:
    return Scored(llm_answer=text, score=score, attempt=1, model="m", latency_ms=7.0)


def ended(number: int = 0, score: float = 0.8, source: Source = Source.MODEL, **more: Any) -> ValidatedResponse:
    accepted = score >= 0.3
    return ValidatedResponse(
        **fields(number, **more), accepted=accepted, answer=scored(score), source=source, attempts=1, leader="m0"
    )


def died(number: int = 0) -> DeadLetter:
    return DeadLetter(**fields(number), kind="invalid", reason="too long", leader="m0")


async def test_what_happened_is_counted_once() -> None:
    clock = ManualClock()
    pulse = Pulse(clock)
    for number in range(4):
        pulse.add(QuestionAsked(**fields(number)))
    await clock.advance(0.5)
    for event in (
        LlmError(**fields(0), kind=FailureKind.OVERLOAD, reason="busy", model="m", latency_ms=1.0),
        RegenerationRequest(**fields(0), attempt=2, refused=scored(0.1)),
        ended(0, 0.9),
        ended(1, 0.9, Source.CACHE),
        ended(2, 0.1),
        died(3),
    ):
        pulse.add(event)
    await clock.advance(10)
    beat = pulse.beat()
    assert beat.totals.questions == 4
    assert beat.totals.outcomes == {"accepted": 2, "exhausted": 1, "failed": 1}
    assert beat.totals.sources == {"model": 2, "cache": 1}
    assert (beat.ended, beat.reused, beat.cached) == (4, 1, 1)
    assert beat.trouble == {"overload": 1, "refused": 1}
    assert [row.message_id for row in beat.recent] == ["m3", "m2", "m1", "m0"]
    assert [row.message_id for row in beat.short] == ["m3", "m2"]
    assert (sum(beat.scores.accepted), sum(beat.scores.refused)) == (2, 1)
    assert beat.p50 is not None
    assert abs(beat.p50 - 500) <= 500 * 0.02


async def test_counts_are_told_at_once_and_for_ten_minutes() -> None:
    """Who looks does not wait until a step is over."""
    clock = ManualClock()
    pulse = Pulse(clock)
    pulse.add(LlmError(**fields(0), kind=FailureKind.QUOTA, reason="used up", model="m", latency_ms=1.0))
    pulse.add(ended(0, 0.9, Source.CACHE))
    for wait in (0, 1, 589):
        await clock.advance(wait)
        beat = pulse.beat()
        assert (beat.trouble, beat.ended, beat.cached) == ({"quota": 1}, 1, 1)
    await clock.advance(20)
    assert (pulse.beat().trouble, pulse.beat().ended) == ({}, 0)


async def test_rates_are_of_the_last_ten_seconds() -> None:
    clock = ManualClock()
    pulse = Pulse(clock)
    for second in range(20):
        for _ in range(second):
            pulse.add(QuestionAsked(**fields()))
        await clock.advance(1)
    beat = pulse.beat()
    assert beat.asked_rate == sum(range(10, 20)) / 10
    assert beat.fine.asked[-3:] == [17, 18, 19]
    assert beat.coarse.asked[-1] == sum(range(15, 20)) / 5
    await clock.advance(3_600)
    assert (pulse.beat().asked_rate, pulse.beat().totals.questions) == (0, sum(range(20)))


def test_a_threshold_of_ones_own_says_nothing_about_the_policys() -> None:
    pulse = Pulse(ManualClock())
    pulse.add(ended(0, 0.9, terms=Terms(threshold=0.95)))
    pulse.add(ended(1, 0.9, terms=Terms(tenant="ann")))
    assert sum(pulse.beat().scores.accepted) == 1


def test_what_the_store_knows_comes_before() -> None:
    """Totals are the store's and those since; outcomes that were seen already are not taken twice."""
    pulse = Pulse(ManualClock())
    pulse.add(ended(0))
    pulse.look(Totals(10, {"accepted": 7}, {"model": 7}))
    pulse.remember([answered(3, EPOCH + 1), answered(2, EPOCH - 1), answered(1, EPOCH - 2, "exhausted")])
    beat = pulse.beat()
    assert beat.whole
    assert beat.totals.outcomes["accepted"] == 8
    assert [row.message_id for row in beat.recent] == ["m0", "o2", "o1"]
    assert [row.message_id for row in beat.short] == ["o1"]


def test_memory_is_bounded() -> None:
    pulse = Pulse(ManualClock())
    long = scored(text="x" * 1_000_000)
    for number in range(3_000):
        pulse.add(
            ValidatedResponse(**fields(number), accepted=True, answer=long, source=Source.MODEL, attempts=1, leader="l")
        )
    beat = pulse.beat()
    assert len(beat.recent) == 40
    assert all(len(row.answer or "") < 300 for row in beat.recent)
    assert len(pulse.keys) == 2_000


def test_tenants_are_kept_apart() -> None:
    """Each sees its own; who has not looked costs nothing, and of many the first is forgotten."""
    pulses = Pulses(ManualClock())
    ann = pulses.make("ann")
    pulses.add(ended(0, terms=Terms(tenant="ann")))
    pulses.add(ended(1, terms=Terms(tenant="bob")))
    pulses.add(ended(2))
    assert [row.message_id for row in ann.beat().recent] == ["m0"]
    assert len(pulses.all.beat().recent) == 3
    assert pulses.known("bob") is None
    for number in range(64):
        pulses.make(f"t{number}")
    assert pulses.known("ann") is None


@given(st.lists(st.floats(0, 200), max_size=60).map(sorted))
def test_each_arrival_is_in_one_step(times: list[float]) -> None:
    """Whatever the gaps: the steps that are over hold all that came before the one that goes on."""
    span = Span(1.0, 300, 300)
    for at in times:
        span.at(at).asked += 1
    span.at(250.0)
    points = [value for value in span.series().asked if value is not None]
    assert sum(points) == len(times)
    if times:
        assert points == [float(sum(int(at) == second for at in times)) for second in range(int(times[0]), 250)]


@given(st.lists(st.lists(st.floats(0, 1e4), max_size=20), max_size=5), st.floats(0.01, 1))
def test_latencies_of_several_steps_are_those_of_all(parts: list[list[float]], share: float) -> None:
    together, at_once = Quantiles(), Quantiles()
    for part in parts:
        own = Quantiles()
        for seconds in part:
            own.add(seconds)
            at_once.add(seconds)
        together.include(own)
    assert together.quantile(share) == at_once.quantile(share)
    assert (together.count, together.largest) == (at_once.count, at_once.largest)


def test_a_beat_is_what_it_says() -> None:
    """It has as many points as it says, and nothing is known from before the first."""
    beat: Beat = Pulse(ManualClock()).beat()
    assert {len(beat.fine.asked), len(beat.coarse.p99), len(beat.fine.p50)} == {120}
    assert set(beat.fine.asked) == {None}
    assert (beat.p50, beat.whole) == (None, False)
