from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tamiz.hosts.results import Totals
from tamiz.lab.measures import Asked, Sample, measure, series_of

COLUMNS: Final = ("t_s", "arrivals", "outcomes", "in_flight", "queue_depth")


def asked(at: float | None, started: float, ended: float, **what: Any) -> Asked:
    usual = {"outcome": "accepted", "score": 0.5, "source": "model", "attempts": 1, "retries": 0}
    return Asked(at, started, ended, **{**usual, **what})


def test_latency_counts_from_when_a_question_was_due() -> None:
    """Who waits outside waits: a flow that takes questions up late does not look fast."""
    measured = measure([asked(1.0, 3.0, 3.5), asked(2.0, 3.0, 3.1)], Totals(), 2, None)
    assert measured.questions["latency_ms"] == [2500.0, 1100.0]
    assert measured.questions["late_ms"] == [2000.0, 1000.0]
    assert (measured.metrics["latency_p50"], measured.metrics["latency_p99"]) == (1100.0, 2500.0)
    assert measured.metrics["throughput"] == 2 / 2.5


def test_a_schedule_that_ends_with_silence_lasts_to_its_end() -> None:
    """Who has served all of a burst early has not served more in that time."""
    questions = [asked(1.0, 1.0, 2.0), asked(2.0, 2.0, 3.0)]
    assert measure(questions, Totals(), 2, None, 8.0).metrics["throughput"] == 2 / 8
    assert measure(questions, Totals(), 2, None, 2.5).metrics["throughput"] == 2 / 3


def test_without_a_schedule_it_counts_from_when_it_was_taken_up() -> None:
    measured = measure([asked(None, 3.0, 3.5)], Totals(), 1, None)
    assert measured.questions["latency_ms"] == [500.0]
    assert measured.questions["late_ms"] == [None]
    assert measured.metrics["late_p99"] is None


def test_outcomes_and_sources_are_counted() -> None:
    rows = [
        asked(0, 0, 1),
        asked(0, 0, 1, source="cache", attempts=0),
        asked(0, 0, 1, source="cache", attempts=0),
        asked(0, 0, 1, outcome="exhausted", attempts=3, score=0.1),
        asked(0, 0, 1, outcome="failed", source=None, score=None, attempts=0, retries=6),
    ]
    totals = Totals(rows=5, attempts=4, retries=6, refused=3)
    metrics = measure(rows, totals, 10, 1.5).metrics
    assert (metrics["accepted"], metrics["exhausted"], metrics["failed"]) == (3, 1, 1)
    assert (metrics["hit_ratio"], metrics["calls"], metrics["retries"], metrics["cpu_s"]) == (0.4, 10, 6, 1.5)
    assert metrics["regenerations"] == 2, "the last refusal of the exhausted one was not asked again"
    assert metrics["regeneration_rate"] == 0.75
    assert metrics["mean_score"] == (3 * 0.5 + 0.1) / 4


def test_nothing_asked_is_nothing_measured() -> None:
    metrics = measure([], Totals(), 0, None).metrics
    assert metrics["questions"] == 0
    assert metrics["throughput"] is metrics["latency_p50"] is metrics["mean_score"] is None


@given(
    st.lists(st.tuples(st.floats(0, 10), st.floats(0, 10), st.floats(0, 10)), max_size=50),
    st.lists(st.tuples(st.floats(0, 40), st.integers(0, 9)), max_size=20),
)
def test_what_arrived_has_ended_or_is_under_way(
    spans: list[tuple[float, float, float]], samples: list[tuple[float, int]]
) -> None:
    """At each step what came and went is counted exactly, up to the last end, with the calls of the sample before."""
    rows = [asked(at, at + wait, at + wait + took) for at, wait, took in spans]
    series = series_of([Sample(*each) for each in sorted(samples)], rows)
    assert [*series["t_s"]] == pytest.approx([0.1 * n for n in range(len(series["t_s"]))])
    for moment, came, went, calls, depth in zip(*(series[name] for name in COLUMNS), strict=True):
        assert isinstance(moment, float)
        assert came == sum(each.due_s <= moment for each in rows)
        assert went == sum(each.ended_s <= moment for each in rows)
        before = [in_flight for t, in_flight in sorted(samples, key=lambda each: each[0]) if t <= moment]
        assert (calls is None) == (not before)
        assert depth == max(int(came or 0) - int(went or 0) - int(calls or 0), 0)
    if rows:
        assert series["outcomes"][-1] == len(rows)
