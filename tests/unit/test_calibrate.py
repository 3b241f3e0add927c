import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tamiz.gate.calibrate import Judged, _area, calibrate, curve
from tamiz.gate.spoil import spoil


def rows(count: int, seed: int = 1, apart: float = 0.3) -> list[Judged]:
    """Good and bad answers whose scores overlap; `apart` is the distance of their means."""
    rng = random.Random(seed)

    def score(mean: float) -> float:
        return min(1.0, max(0.0, rng.gauss(mean, 0.15)))

    made = [Judged(f"good {number}", score(0.5 + apart / 2), good=True) for number in range(count)]
    return made + [Judged(f"bad {number}", score(0.5 - apart / 2), good=False) for number in range(count)]


@pytest.mark.parametrize("wanted", [0.02, 0.05, 0.2])
def test_the_wanted_loss_is_kept_on_rows_that_were_not_seen(wanted: float) -> None:
    """The threshold loses about what was wanted of fresh rows, and the interval told holds that."""
    found = calibrate(rows(600), "loss", wanted)
    fresh = [row for row in rows(5_000, seed=99) if row.good]
    lost = sum(row.score < found.threshold for row in fresh) / len(fresh)
    assert found.lost.low - 0.02 <= lost <= found.lost.high + 0.02
    assert abs(lost - wanted) < 0.04


def test_the_wanted_catch_is_kept_on_rows_that_were_not_seen() -> None:
    found = calibrate(rows(600), "catch", 0.9)
    fresh = [row for row in rows(5_000, seed=99) if not row.good]
    assert abs(sum(row.score < found.threshold for row in fresh) / len(fresh) - 0.9) < 0.05
    assert found.in_sample >= 0.9


def test_a_threshold_for_few_rows_is_not_trusted() -> None:
    """Of few rows the cross-fitted loss is higher than the one on the rows themselves, which is what was asked for."""
    gaps = []
    for seed in range(20):
        found = calibrate(rows(40, seed=seed), "loss", 0.05)
        assert found.in_sample <= 0.05
        gaps.append(found.lost.value - found.in_sample)
    assert sum(gaps) / len(gaps) > 0


def test_rows_of_one_question_stay_together() -> None:
    """A question's rows are judged by a threshold that none of them chose: copies do not make a threshold surer."""
    copied = [row for row in rows(60) for _ in range(5)]
    once, often = calibrate(rows(60), "loss", 0.1), calibrate(copied, "loss", 0.1)
    assert often.lost.value == once.lost.value
    assert often.lost.high - often.lost.low == pytest.approx(once.lost.high - once.lost.low, abs=0.05)


def test_the_same_rows_give_the_same_result() -> None:
    assert calibrate(rows(100), "loss", 0.05) == calibrate(rows(100), "loss", 0.05)


@pytest.mark.parametrize("few", [[], rows(4), [row for row in rows(50) if row.good]])
def test_too_few_rows_are_refused(few: list[Judged]) -> None:
    with pytest.raises(ValueError, match="too few: at least 5 of each"):
        calibrate(few, "loss", 0.05)


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=2, max_size=40))
def test_the_area_is_the_share_of_pairs_in_order(scored: list[tuple[float, bool]]) -> None:
    some = [Judged(str(number), score, good=good) for number, (score, good) in enumerate(scored)]
    goods, bads = [row.score for row in some if row.good], [row.score for row in some if not row.good]
    if goods and bads:
        won = sum((good > bad) + (good == bad) / 2 for good in goods for bad in bads)
        assert _area(some) == pytest.approx(won / len(goods) / len(bads))
        points = curve(some)
        assert points[0][1:] == (0.0, 0.0)
        assert [lost for _, lost, _ in points] == sorted(lost for _, lost, _ in points)
        for threshold, lost, caught in points:
            assert lost == pytest.approx(sum(good < threshold for good in goods) / len(goods))
            assert caught == pytest.approx(sum(bad < threshold for bad in bads) / len(bads))


@given(st.lists(st.tuples(st.text(max_size=20), st.text(max_size=20)), max_size=10))
def test_made_bad_answers_are_never_the_good_one(pairs: list[tuple[str, str]]) -> None:
    for number, what, text in spoil(pairs):
        assert text.strip() != pairs[number][1].strip()
        assert text.strip()
        assert what in {"mismatch", "refusal", "echo", "truncation"}
    assert spoil(pairs) == spoil(pairs)
