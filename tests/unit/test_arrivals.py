"""Arrival processes against their definitions; seeds are fixed, so that what passes once passes always."""

import math
from itertools import islice, pairwise, takewhile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from tamiz.errors import UsageError
from tamiz.traffic.arrivals import make_arrivals

SPECS = ("poisson", "uniform", "constant", "burst", "diurnal", "burst:on=2s,off=500ms", "diurnal:period=1h,depth=1")


def gaps(spec: str, rate: float, count: int, seed: int = 1) -> list[float]:
    offsets = list(islice(make_arrivals(spec, rate, seed), count))
    return [after - before for before, after in pairwise([0.0, *offsets])]


def test_the_gaps_of_poisson_are_exponential() -> None:
    """At 1,000 a second they pass a Kolmogorov-Smirnov test, and neighbours have nothing to do with each other."""
    found = gaps("poisson", 1000, 50_000)
    assert stats.kstest(found, "expon", args=(0, 1 / 1000)).pvalue > 0.05
    assert stats.pearsonr(found[:-1], found[1:]).pvalue > 0.05


def test_the_gaps_of_uniform_are_uniform() -> None:
    assert stats.kstest(gaps("uniform", 1000, 100_000), "uniform", args=(0, 2 / 1000)).pvalue > 0.05


def test_constant_does_not_drift() -> None:
    offsets = list(islice(make_arrivals("constant", 7, 1), 70_001))
    assert offsets[:3] == [0, 1 / 7, 2 / 7]
    assert offsets[-1] == 10_000


@pytest.mark.parametrize("spec", SPECS)
def test_the_rate_is_the_mean(spec: str) -> None:
    rate, lasts = 50.0, 3600.0  # a whole number of periods
    offsets = list(takewhile(lambda at: at < lasts, make_arrivals(spec, rate, 2)))
    # a burst's hundreds of on and off periods are what its mean varies with
    assert len(offsets) / lasts == pytest.approx(rate, rel=0.15 if "burst" in spec else 0.02)


def test_bursts_come_at_their_rate_and_then_nothing() -> None:
    """Within a burst arrivals are a Poisson process; between bursts there are off periods of the wanted mean."""
    found = gaps("burst:on=10s,off=40s", 100, 600_000, seed=5)
    within = [gap for gap in found if gap < 0.1]  # at 500/s no gap of a burst is that long
    assert stats.kstest(within, "expon", args=(0, 1 / 500)).pvalue > 0.05
    off = [gap for gap in found if gap >= 0.1]
    assert sum(off) / len(off) == pytest.approx(40, rel=0.15)
    assert len(off) > 100


def test_short_runs_of_bursts_have_the_rate_and_begin_at_once() -> None:
    """Within two of its periods a run has as many as at the rate, on the average; hardly one begins in silence."""
    runs = [[*takewhile(lambda at: at < 10, make_arrivals("burst:on=1s,off=4s", 100, seed))] for seed in range(2000)]
    assert sum(map(len, runs)) / len(runs) == pytest.approx(1000, rel=0.05)
    assert sum(not run or run[0] > 0.1 for run in runs) / len(runs) < 0.05


def test_a_day_has_its_night() -> None:
    """Arrivals by the phase of their period are as many as the cosine has it."""
    period, depth, parts = 60.0, 0.8, 12
    offsets = islice(make_arrivals("diurnal:period=1m,depth=0.8", 200, 3), 200 * 60 * 20)
    counts = [0] * parts
    for at in offsets:
        if at >= 19 * period:
            break
        counts[int(at % period / period * parts)] += 1
    turn = 2 * math.pi / parts
    shares = [1 / parts - depth * (math.sin(turn * (k + 1)) - math.sin(turn * k)) / (2 * math.pi) for k in range(parts)]
    assert stats.chisquare(counts, [share * sum(counts) for share in shares]).pvalue > 0.05


@given(st.sampled_from(SPECS), st.floats(1, 1000), st.integers(0, 1000))
def test_offsets_ascend_and_a_seed_repeats_them(spec: str, rate: float, seed: int) -> None:
    offsets = list(islice(make_arrivals(spec, rate, seed), 200))
    assert all(0 <= before <= after < math.inf for before, after in pairwise(offsets))
    assert offsets == list(islice(make_arrivals(spec, rate, seed), 200))
    if spec != "constant":
        assert offsets != list(islice(make_arrivals(spec, rate, seed + 1), 200))


def test_a_trace_is_replayed(tmp_path: Path) -> None:
    """From numbers or from the events of an earlier run, those in any order, beginning at 0."""
    trace = tmp_path / "trace"
    trace.write_text("10.5\n\n11\n11\n12\n")
    assert list(make_arrivals(f"trace:{trace}", 1, 1)) == [0.0, 0.5, 0.5, 1.5]
    trace.write_text('{"n":1,"at_s":null,"sent_s":3.0}\n{"n":0,"at_s":2.0,"sent_s":2.5}\n')
    assert list(make_arrivals(f"trace:{trace}", 1, 1)) == [0.0, 1.0]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        ("1\nsoon\n", "line 2: 'soon'"),
        ('{"n": 1}\n', "line 1"),
        ("1\nnan\n", "line 2"),
        ("0.5\n1.5\n0.25\n", "goes back in line 3: 0.25 after 1.5"),
    ],
)
def test_a_trace_without_times_is_refused(tmp_path: Path, text: str, said: str) -> None:
    trace = tmp_path / "trace"
    trace.write_text(text)
    with pytest.raises(UsageError, match=said):
        make_arrivals(f"trace:{trace}", 1, 1)


@pytest.mark.parametrize(
    ("spec", "rate", "said"),
    [
        ("possion", 1, "no arrivals 'possion': choose one of poisson, uniform"),
        ("poisson", 0, "--rate above 0"),
        ("poisson", math.inf, "--rate above 0"),
        ("poisson:on=1s", 1, "'poisson' has no parameter 'on': it takes none"),
        ("burst:onn=1s", 1, "'burst' has no parameter 'onn': it takes on, off"),
        ("burst:on=0", 1, "above 0"),
        ("burst:on", 1, "'on' is not a parameter"),
        ("diurnal:depth=2", 1, "out of range: 0 to 1"),
        ("diurnal:depth=high", 1, "'high' is not a number"),
        ("diurnal:period=soon", 1, "'soon' is not a duration"),
        ("trace:/nowhere/at/all", 1, "cannot be read"),
        ("trace:", 1, "trace: names no file; write it like trace:times.txt"),
    ],
)
def test_what_is_no_process_is_refused(spec: str, rate: float, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        make_arrivals(spec, rate, 1)
