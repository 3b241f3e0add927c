import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from tamiz.reports.interval import Mean, mean_of

numbers = st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=30)


@given(numbers)
def test_an_interval_holds_its_mean_and_lies_within_the_values(values: list[float]) -> None:
    found = mean_of(values)
    assert found is not None
    slack = 1e-9 * (1 + max(map(abs, values)))
    assert min(values) - slack <= found.low <= found.value + slack
    assert found.value - slack <= found.high <= max(values) + slack
    assert found == mean_of(values)


def test_one_value_has_no_interval_and_none_no_mean() -> None:
    assert mean_of([3.0]) == Mean(3.0, 3.0, 3.0, 1)
    assert mean_of([]) is None


def test_it_is_the_interval_of_another_implementation() -> None:
    """The percentile bootstrap of SciPy, up to the draws."""
    rng = random.Random(5)
    values = [rng.gauss(10, 2) for _ in range(40)]
    theirs = stats.bootstrap((values,), lambda x, axis: x.mean(axis=axis), method="percentile", n_resamples=20_000)
    found = mean_of(values)
    assert found is not None
    assert found.low == pytest.approx(theirs.confidence_interval.low, abs=0.06)
    assert found.high == pytest.approx(theirs.confidence_interval.high, abs=0.06)
