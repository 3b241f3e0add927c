"""What a report says must be borne by its numbers: ties, overlaps, too little, and the plain case."""

import re
from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tamiz.reports.grid import Grid
from tamiz.reports.interval import Mean, mean_of
from tamiz.reports.numbers import count, duration, milliseconds, number, percent
from tamiz.reports.plots.along import hits, scale, thresholds
from tamiz.reports.plots.bar import bar
from tamiz.reports.plots.choices import choices
from tamiz.reports.plots.curves import trend
from tamiz.reports.plots.flow import ARRIVED, flow
from tamiz.reports.plots.latency import latency
from tamiz.reports.plots.measures import measures
from tamiz.reports.plots.popularity import popularity
from tamiz.reports.plots.ranking import ahead
from tamiz.reports.plots.scores import Scores, scores
from tamiz.reports.plots.words import words
from tamiz.reports.spread import Spread
from tamiz.reports.timeline import Timeline
from tamiz.vocabulary.contrast import contrasts


def spread(*values: float) -> Spread:
    found = Spread()
    found.add(np.array(values, dtype=float))
    return found


def mean(value: float, low: float, high: float, n: int = 5) -> Mean:
    return Mean(value, low, high, n)


def test_a_share_is_all_or_nothing_only_where_it_is() -> None:
    assert (percent(1), percent(0)) == ("100 %", "0 %")
    assert (percent(0.999999), percent(0.000001)) == ("more than 99.9 %", "less than 0.1 %")
    assert (percent(0.5), percent(0.9994), percent(1 / 3)) == ("50 %", "99.9 %", "33.3 %")


@given(st.floats(0.001, 1e9))
def test_a_number_keeps_its_size(value: float) -> None:
    assert float(number(value).replace(",", "")) == pytest.approx(value, rel=0.006)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.02, "20 ms"), (90, "90 s"), (600, "10 min"), (7_200, "2 h"), (5 * 86_400, "5 days")]
)
def test_a_duration_has_a_fitting_unit(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_a_latency_has_a_fitting_unit() -> None:
    assert [milliseconds(value) for value in (0, 0.05, 12, 1_500)] == ["0 ms", "50 µs", "12 ms", "1.5 s"]


def test_who_is_ahead_clearly_is_named() -> None:
    said = ahead({"a": mean(3, 2.9, 3.1), "b": mean(2, 1.9, 2.1), "c": mean(1, 1, 1)}, "rate", number)
    assert said == "the highest rate is that of a, 3, before b with 2"
    said = ahead({"a": mean(3, 2.9, 3.1), "b": mean(2, 1.9, 2.1)}, "cost", number, most=False)
    assert said == "the lowest cost is that of b, 2, before a with 3"


def test_overlapping_intervals_are_not_told_apart() -> None:
    said = ahead({"a": mean(3, 2, 4), "b": mean(2.5, 2, 3), "c": mean(1, 1, 1)}, "rate", number)
    assert "its interval overlaps with that of b: these repetitions do not tell them apart" in said
    assert said.endswith("tell them apart")


def test_ties_are_ties() -> None:
    assert ahead({"a": mean(3, 3, 3), "b": mean(3, 3, 3)}, "rate", number) == "all have the same rate, 3"
    said = ahead({"a": mean(3, 3, 3), "b": mean(3, 3, 3), "c": mean(1, 1, 1)}, "rate", number)
    assert said == "the highest rate, 3, is shared by a and b"


def test_a_single_measurement_does_not_rule_out_chance() -> None:
    assert "chance is not ruled out" in ahead({"a": mean(3, 3, 3, 1), "b": mean(2, 2, 2, 1)}, "rate", number)


def test_one_alone_is_ahead_of_nobody() -> None:
    assert not ahead({"a": mean(3, 3, 3)}, "rate", number)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ((1, 2, 3), "rises at every step"),
        ((3, 2, 1), "falls at every step"),
        ((1, 3, 2), "rises, though not at every step"),
        ((1, 2, 2), "rises, though not at every step"),
        ((2, 2, 2), "stays the same"),
        ((2, 3, 2), "goes up and down"),
        ((1, 2), "rises"),
        ((2, 1), "falls"),
    ],
)
def test_a_trend_is_said_as_it_is(values: tuple[float, ...], said: str) -> None:
    assert trend([(x, mean(value, value, value, 1)) for x, value in enumerate(values)]) == said


def test_where_an_end_was_measured_once_no_interval_is_spoken_of() -> None:
    """As in an experiment that is half done."""
    assert trend([(0, mean(1, 0, 3)), (1, mean(2, 2, 2, n=1))]) == "rises"


def test_a_single_measurement_has_no_interval() -> None:
    """Neither the words nor the table of it have one."""
    rows = [{"rate": rate, "latency_p99": 10.0 * rate} for rate in (1, 2)]
    (found,) = measures(grid({"rate": [1, 2]}, rows))
    assert found.how == "Each point was measured once."
    assert found.table is not None
    assert found.table.rows == [["1", "10", "", ""], ["2", "20", "", ""]]
    assert found.table.note == "Measured once, so without intervals."


def test_the_share_of_accepted_answers_is_among_what_is_shown() -> None:
    """And where questions failed, it is told whose latencies are shown."""
    rows = [
        {"attempts": n, "questions": 10, "failed": 1, "accepted_share": n / 10, "latency_p99": 5.0 * n} for n in (1, 4)
    ]
    tail, accepted = measures(grid({"attempts": [1, 4]}, rows))
    assert tail.how == "Each point was measured once. These latencies are of all questions, failed ones included."
    assert accepted.says == "Accepted answers: 10 % at attempts 1, 40 % at 4; rises."
    assert accepted.how == "Each point was measured once."


def test_a_trend_within_the_intervals_is_none() -> None:
    assert trend([(0, mean(1, 0, 3)), (1, mean(2, 1, 4))]).startswith("does not change clearly")


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30), st.randoms())
def test_an_interval_holds_its_mean_and_does_not_depend_on_the_order(values: list[float], random_: object) -> None:
    found = mean_of(values)
    shuffled = values.copy()
    random_.shuffle(shuffled)  # type: ignore[attr-defined]
    assert found == mean_of(shuffled)
    assert found is not None
    slack = 1e-6 * (1 + abs(found.value))
    assert min(values) - slack <= found.low <= found.value + slack
    assert found.value - slack <= found.high <= max(values) + slack


def test_about_a_known_value_intervals_hold_it_about_as_often_as_they_say() -> None:
    rng = np.random.default_rng(1)
    held = 0
    for _ in range(200):
        found = mean_of(list(rng.normal(5, 1, 30)))
        assert found is not None
        held += found.low <= 5 <= found.high
    assert 176 <= held <= 199


def says(found: object) -> str:
    text = getattr(found, "says", None)
    assert isinstance(text, str)
    return text


def test_medians_within_the_resolution_are_not_compared() -> None:
    found = latency("x", "X", "answers", "", {"a": spread(*[100.0] * 50), "b": spread(*[101.0] * 50)})
    assert "do not differ by more than they are exact" in says(found)
    assert "times that of" not in says(found)


def test_a_median_is_compared_where_it_differs() -> None:
    found = latency("x", "X", "answers", "", {"model": spread(*[200.0] * 150), "cache": spread(*[2.0] * 150)})
    assert re.search(r"The median of model is (99|100|101) times that of cache\.", says(found))
    assert "The longest tail is that of model" in says(found)


def test_few_values_are_not_compared() -> None:
    found = latency("x", "X", "answers", "", {"a": spread(*[1.0] * 50), "b": spread(500.0)})
    assert "Too few to compare: b (1)." in says(found)
    assert "median" not in says(found)
    assert latency("x", "X", "answers", "", {"a": Spread()}) is None


def test_a_percentile_needs_a_hundred_values() -> None:
    assert "99 %" not in says(latency("x", "X", "answers", "", {"a": spread(*range(1, 99))}))
    assert "99 %" in says(latency("x", "X", "answers", "", {"a": spread(*range(1, 101))}))


def judged(accepted: list[float], refused: list[float], threshold: float) -> Scores:
    found = Scores()
    for values, passed in ((accepted, True), (refused, False)):
        number_ = len(values)
        found.add(np.array(values), np.full(number_, passed), np.ones(number_, dtype=bool), threshold)
    return found


def test_scores_are_parted_by_the_threshold_only_where_they_are() -> None:
    assert "without exception" in says(scores(judged([0.3, 0.9], [0.1, 0.299999], 0.3), 0.3))
    said = says(scores(judged([0.2, 0.9], [0.1], 0.3), 0.3))
    assert "1 accepted answer scored below the threshold of 0.3 and 0 refused ones did not" in said
    assert "without exception" not in said


def test_scores_that_are_not_there_are_told() -> None:
    said = says(scores(judged([0.9, np.nan], [0.1], 0.3), 0.3))
    assert "1 answer could not be scored and is not in the plot (1 accepted, 0 refused)" in said
    assert scores(Scores(), 0.3) is None


@given(st.lists(st.integers(0, 1000), min_size=20, max_size=200), st.integers(0, 1000))
def test_the_share_that_would_pass_is_exact(thousandths: list[int], at: int) -> None:
    values = [each / 1000 for each in thousandths]
    found = bar(
        judged([each for each in values if each >= 0.5], [each for each in values if each < 0.5], 0.5), at / 1000
    )
    share = sum(each >= at for each in thousandths) / len(values)
    assert f"{percent(share)} pass;" in says(found)


def test_what_is_open_is_told() -> None:
    timeline = Timeline()
    timeline.add(ARRIVED, np.array([0.0, 0.01, 1.0]))
    timeline.add("accepted", np.array([0.5, 2.0]))
    said = says(flow(timeline))
    assert "3 questions arrived" in said
    assert "Outcomes: 2 accepted." in said
    assert "At most 2 were open at once" in said
    assert said.endswith("At the end 1 was open.")


def test_popularity_without_a_repeat_says_so() -> None:
    assert "none of them twice" in says(popularity(np.array([1, 1, 0, 1])))
    said = says(popularity(np.array([5, 1, 0, 2, 5])))
    assert "13 times one of 4 different questions" in said
    assert "2 questions were asked most, 5 times each" in said
    assert "the 2 most asked make half" in said


def grid(axes: dict[str, list[object]], rows: Sequence[Mapping[str, object]]) -> Grid:
    return Grid([{"cell": n, "repetition": 0, **row} for n, row in enumerate(rows)], axes)


def test_the_bound_of_the_future_is_no_rival() -> None:
    rows = [
        {"policy": policy, "size": size, "hit_ratio": ratio + size / 1000 + jitter}
        for policy, ratio in (("lru", 0.3), ("sieve", 0.4), ("belady", 0.6))
        for size in (10, 100)
        for jitter in (-0.001, 0.0, 0.001)
    ]
    said = says(hits(grid({"policy": ["lru", "sieve", "belady"], "size": [10, 100]}, rows)))
    assert "At size 10, the highest hit ratio is that of sieve, 41 %, before lru with 31 %" in said
    assert "belady, which knows the future, reaches 70 % there, 20 points more than the best" in said


def test_throughput_that_may_not_have_changed_has_no_ratio() -> None:
    rows = [
        {"workers": workers, "throughput": base + jitter}
        for workers, base in ((1, 100.0), (2, 102.0))
        for jitter in (-10.0, 0.0, 10.0)
    ]
    said = says(scale(grid({"workers": [1, 2]}, rows)))
    assert "times as much" not in said
    assert "does not change clearly" in said
    clear = [{**row, "throughput": 50.0 if row["workers"] == 1 else 150.0} for row in rows]
    assert "3 times as much" in says(scale(grid({"workers": [1, 2]}, clear)))


def test_thresholds_tell_both_ends() -> None:
    rows: list[dict[str, object]] = [{"threshold": t, "accepted": 100 - 10 * t, "calls": 5} for t in (1, 2, 3)]
    said = says(thresholds(grid({"threshold": [1, 2, 3]}, rows)))
    assert "Accepted answers: 90 at threshold 1, 70 at 3; falls at every step." in said
    assert "Model calls: 5 at threshold 1, 5 at 3; stays the same." in said


def test_choices_name_what_is_best_for_each_measure() -> None:
    rows: list[dict[str, object]] = [
        {"policy": p, "failed": f, "throughput": t, "latency_p99": 5.0}
        for p, f, t in (("a", 1, 10.0), ("b", 9, 90.0))
        for _ in range(3)
    ]
    said = says(choices(grid({"policy": ["a", "b"]}, rows)))
    assert "The highest throughput is that of b, 90/s, before a with 10/s." in said
    assert "The lowest number of failed questions is that of a, 1, before b with 9." in said
    assert "latency" not in said, "what is the same everywhere is no choice"


def test_choices_along_several_axes_tell_which_of_them_matter() -> None:
    """Each axis by itself, over the values of the others; what makes no difference is told to make none."""
    rows: list[dict[str, object]] = [
        {
            "policy": p,
            "arrivals": a,
            "hit_ratio": hit + n / 1000,
            "latency_p99": late + n,
            "accepted_share": 0.9 + n / 100,
        }
        for p, hit in (("lru", 0.5), ("lfu", 0.6))
        for a, late in (("constant", 10.0), ("burst", 90.0))
        for n in range(3)
    ]
    said = says(choices(grid({"policy": ["lru", "lfu"], "arrivals": ["constant", "burst"]}, rows)))
    assert "By policy, the highest hit ratio is that of lfu, 60.1 %, before lru with 50.1 %." in said
    assert (
        "By arrivals, the lowest 99th percentile of latency is that of constant, 11 ms, before burst with 91 ms."
        in said
    )
    assert "The share of accepted answers differs by no more than chance along policy and arrivals." in said
    assert said.index("hit ratio") < said.index("accepted"), "what differs comes first"


def test_words_of_one_side_alone_are_no_contrast() -> None:
    assert words(contrasts({"paris": (3, 0)})) is None
    said = says(words(contrasts({"paris": (3, 3), "london": (2, 2)})))
    assert "No word differs by more than chance would explain" in said
    said = says(words(contrasts({"paris": (900, 3), "london": (3, 900), "both": (50, 50)})))
    assert "People's answers stand out by “paris” (900 : 3), uses by people : by models." in said
    assert "Models' answers stand out by “london” (3 : 900)." in said
    assert count(3) in said


def test_measures_along_an_axis_tell_their_ends() -> None:
    rows: list[dict[str, object]] = [
        {"limit": limit, "backoff": backoff, "failed": 90.0 - 10 * limit + backoff, "calls": 7.0}
        for limit in (0, 1, 2)
        for backoff in (0, 1)
    ]
    (figure,) = measures(grid({"limit": [0, 1, 2], "backoff": [0, 1]}, rows))
    assert "Backoff 0, failed questions: 90 at limit 0, 70 at 2; falls at every step." in figure.says
    many: list[dict[str, object]] = [{**row, "run": run} for row in rows for run in "abc" if row["backoff"] == 0]
    many += [{"limit": limit, "backoff": 0, "failed": 5.0, "calls": 7.0, "run": "d"} for limit in (0, 1, 2)]
    (figure,) = measures(grid({"limit": [0, 1, 2], "run": ["a", "b", "c", "d"]}, many))
    assert "over the 4 lines: 5 to 90 at limit 0, 5 to 70 at limit 2. Between the ends 0 rise and 3 fall" in figure.says
    assert "0 by more than their intervals" in figure.says


def test_what_is_the_same_on_all_lines_is_said_once() -> None:
    rows: list[dict[str, object]] = [
        {"limit": limit, "run": run, "faults": faults, "failed": 90.0 if faults == "all" else 0.0}
        for limit in (0, 1, 2)
        for run in "abcd"
        for faults in ("all", "none")
    ]
    (figure,) = measures(grid({"limit": [0, 1, 2], "run": [*"abcd"], "faults": ["all", "none"]}, rows))
    assert "failed questions: 0 on all 4 lines, whatever the limit." in figure.says
