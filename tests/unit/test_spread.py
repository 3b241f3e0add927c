import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tamiz.reports.spread import Spread

VALUES = st.lists(st.floats(0, 1e9), min_size=1, max_size=300)


@given(VALUES, st.floats(0, 1))
def test_a_quantile_is_exact_to_one_percent(values: list[float], q: float) -> None:
    spread = Spread()
    spread.add(np.array(values))
    exact = sorted(values)[max(1, math.ceil(q * len(values))) - 1]
    assert exact * 0.999999 <= spread.quantile(q) <= max(exact * 1.0101, 2e-4)


@given(VALUES, VALUES)
def test_parts_give_what_the_whole_gives(one: list[float], other: list[float]) -> None:
    parts, whole = Spread(), Spread()
    parts.add(np.array(one))
    parts.add(np.array(other))
    whole.add(np.array(one + other))
    assert len(parts) == len(one) + len(other)
    assert [list(each) for each in parts.cumulative()] == [list(each) for each in whole.cumulative()]
    assert (parts.least, parts.largest) == (min(one + other), max(one + other))


def test_what_is_not_a_number_is_left_out() -> None:
    spread = Spread()
    spread.add(np.array([math.nan, math.inf, 5.0, -1.0]))
    assert (len(spread), spread.least, spread.largest) == (2, 0.0, 5.0)


@given(VALUES)
def test_the_cumulative_distribution_rises_to_all(values: list[float]) -> None:
    spread = Spread()
    spread.add(np.array(values))
    xs, shares = spread.cumulative()
    assert shares[-1] == 1.0
    assert all(np.diff(xs) >= 0)
    assert all(np.diff(shares) > 0)
