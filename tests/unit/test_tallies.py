from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Histogram

from tamiz.http.tallies import Spread, Tally

BOUNDS = (0.001, 0.1, 1.0, 30.0)
LABELS = st.sampled_from(["", "model", 'a "quoted"\n\\ label'])
VALUES = st.floats(0, 1e6) | st.sampled_from(BOUNDS)


def samples(collected: Any) -> dict[Any, float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in collected
        for sample in family.samples
        if not sample.name.endswith("_created")
    }


@given(st.lists(st.tuples(LABELS, VALUES)))
def test_a_spread_is_what_prometheus_s_own_histogram_is(values: list[tuple[str, float]]) -> None:
    """The same buckets, counts and sums, values on a bound included."""
    registry = CollectorRegistry()
    theirs = Histogram("x_seconds", "Seconds.", ["kind"], buckets=BOUNDS, registry=registry)
    ours = Spread("x_seconds", "Seconds.", BOUNDS, "kind")
    for label, value in values:
        theirs.labels(label).observe(value)
        ours.add(value, label)
    assert samples([ours.collect()]) == samples(registry.collect())


@given(st.lists(st.tuples(LABELS, st.integers(0, 1000))))
def test_a_tally_is_what_prometheus_s_own_counter_is(values: list[tuple[str, int]]) -> None:
    registry = CollectorRegistry()
    theirs = Counter("x", "Some.", ["kind"], registry=registry)
    ours = Tally("x", "Some.", "kind")
    for label, value in values:
        theirs.labels(label).inc(value)
        ours.add(label, by=value)
    assert samples([ours.collect()]) == samples(registry.collect())


def test_a_tally_without_labels_is_there_from_the_start() -> None:
    assert samples([Tally("x", "Some.").collect()]) == {("x_total", ()): 0}
