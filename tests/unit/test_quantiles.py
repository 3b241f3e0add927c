import math

from hypothesis import given
from hypothesis import strategies as st

from tamiz.traffic.quantiles import Quantiles


@given(st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=200), st.floats(0.01, 1))
def test_quantiles_are_true_to_one_per_cent(values: list[float], share: float) -> None:
    quantiles = Quantiles()
    for value in values:
        quantiles.add(value)
    exact = sorted(values)[math.ceil(share * len(values)) - 1]
    found = quantiles.quantile(share)
    assert found is not None
    assert abs(found - exact) <= 0.01 * exact
    assert quantiles.largest == max(values)


def test_nothing_has_no_quantile_and_no_time_is_none_at_all() -> None:
    quantiles = Quantiles()
    assert quantiles.quantile(0.5) is None
    quantiles.add(-0.1)
    quantiles.add(0)
    assert quantiles.quantile(0.99) == 0
