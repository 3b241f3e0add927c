"""Popularity against its definition; seeds are fixed, so that what passes once passes always."""

import math
from collections import Counter
from collections.abc import Sequence
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from tamiz.errors import UsageError
from tamiz.traffic.popularity import make_popularity, zipf_weights


def chi_square(ranks: Sequence[int], weights: Sequence[float]) -> float:
    """Give the p-value of the ranks under the weights; ranks expected fewer than five times are taken together."""
    counts, total = Counter(ranks), math.fsum(weights)
    expected = [len(ranks) * weight / total for weight in weights]
    often = sum(1 for each in expected if each >= 5)
    seen = [counts[rank] for rank in range(often)]
    wanted = expected[:often]
    if often < len(weights):
        seen.append(len(ranks) - sum(seen))
        wanted.append(len(ranks) - math.fsum(wanted))
    return float(stats.chisquare(seen, wanted).pvalue)


@pytest.mark.parametrize("alpha", [0.0, 0.5, 0.8, 1.0, 1.3, 3.0])
def test_zipf_is_zipf(alpha: float) -> None:
    """Ranks over 1,000 questions pass a chi-square test."""
    ranks = list(islice(make_popularity("zipf", 1000, alpha, 7), 300_000))
    assert chi_square(ranks, list(zipf_weights(1000, alpha))) > 0.05


def test_the_first_rank_is_twice_the_second() -> None:
    counts = Counter(islice(make_popularity("zipf", 100, 1.0, 1), 200_000))
    assert counts[0] / counts[1] == pytest.approx(2, rel=0.03)


def test_uniform_is_uniform() -> None:
    ranks = list(islice(make_popularity("uniform", 777, 1.0, 2), 200_000))
    assert chi_square(ranks, [1.0] * 777) > 0.05


def test_a_shift_moves_the_whole_order() -> None:
    """Within each stretch it is Zipf's law; from one to the next the hot questions are others."""
    count, every = 50, 100_000
    ranks = list(islice(make_popularity(f"shift:every={every},by=0.2", count, 1.0, 3), 3 * every))
    for stretch in range(3):
        part = ranks[stretch * every : (stretch + 1) * every]
        assert Counter(part).most_common(1)[0][0] == 10 * stretch
        assert chi_square([(rank - 10 * stretch) % count for rank in part], list(zipf_weights(count, 1.0))) > 0.05


@given(
    st.sampled_from(["zipf", "uniform", "shift", "shift:every=3,by=1"]),
    st.integers(1, 500),
    st.floats(0, 50),
    st.integers(0, 1000),
)
def test_ranks_are_in_range_and_a_seed_repeats_them(spec: str, count: int, alpha: float, seed: int) -> None:
    ranks = list(islice(make_popularity(spec, count, alpha, seed), 200))
    assert all(0 <= rank < count for rank in ranks)
    assert ranks == list(islice(make_popularity(spec, count, alpha, seed), 200))


@pytest.mark.parametrize(
    ("spec", "count", "alpha", "said"),
    [
        ("zipff", 1, 1, "no popularity 'zipff': choose one of zipf, uniform, shift"),
        ("zipf", 0, 1, "no questions"),
        ("zipf", 1, -1, "--alpha 0 or more"),
        ("zipf", 1, math.nan, "--alpha 0 or more"),
        ("zipf:alpha=2", 1, 1, "it takes none"),
        ("shift:every=0", 1, 1, "at least 1"),
        ("shift:every=often", 1, 1, "'often' is not a whole number"),
        ("shift:by=2", 1, 1, "out of range"),
    ],
)
def test_what_is_no_distribution_is_refused(spec: str, count: int, alpha: float, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        make_popularity(spec, count, alpha, 1)
