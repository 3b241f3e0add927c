"""The threshold for a wanted loss of good answers, or a wanted catch of bad ones, on rows that somebody has labelled.

A threshold that is chosen on the rows it is then measured on looks better than it is. So each row is judged by a
threshold that was chosen on the other rows (cross-fitting, by question), and only these figures are told.
"""

import random
from collections.abc import Sequence
from typing import Final, Literal

import msgspec

from tamiz.identity import digest

__all__ = ["Calibration", "Judged", "Point", "calibrate", "curve"]

_FOLDS: Final = 10
_DRAWS: Final = 400
_FEWEST: Final = 5
"""Rows of a kind, below which nothing can be said."""

Goal = Literal["loss", "catch"]


class Judged(msgspec.Struct, frozen=True):
    """A labelled row and its score; rows of one `group` (a question) are never on both sides of a fold."""

    group: str
    score: float
    good: bool


class Point(msgspec.Struct, frozen=True):
    """A share in [0, 1], and its interval of 95 %."""

    value: float
    low: float
    high: float


class Calibration(msgspec.Struct, frozen=True):
    """A threshold, and what it does to rows that it was not chosen on."""

    threshold: float
    threshold_low: float
    threshold_high: float
    lost: Point
    """The share of good answers below it."""
    caught: Point
    """The share of bad answers below it."""
    area: Point
    """The chance that a good answer scores above a bad one."""
    in_sample: float
    """What the goal's own figure is on the rows that the threshold was chosen on: too good to believe."""
    good: int
    bad: int


def calibrate(rows: Sequence[Judged], goal: Goal, wanted: float, *, seed: int = 0) -> Calibration:
    """Find the threshold.

    For `loss` the highest that loses at most the share `wanted` of good answers, for `catch` the lowest that catches
    at least the share `wanted` of bad ones. The same rows and seed give the same result. Raises `ValueError`, with what
    is missing, where there are too few rows of either kind.
    """
    goods, bads = sum(row.good for row in rows), sum(not row.good for row in rows)
    if min(goods, bads) < _FEWEST:
        raise ValueError(f"{goods} good and {bads} bad answers are too few: at least {_FEWEST} of each are needed")
    threshold = _threshold(rows, goal, wanted)
    folds = [int(digest(row.group, size=4), 16) % _FOLDS for row in rows]
    of_fold = []
    for fold in range(_FOLDS):
        others = [row for row, number in zip(rows, folds, strict=True) if number != fold]
        of_fold.append(_threshold(others, goal, wanted) if any(row.good for row in others) else threshold)
    below = [row.score < of_fold[number] for row, number in zip(rows, folds, strict=True)]

    groups: dict[str, list[int]] = {}
    for at, row in enumerate(rows):
        groups.setdefault(row.group, []).append(at)
    names = sorted(groups)
    rng = random.Random(seed)  # noqa: S311 - a bootstrap, no secret
    thresholds, losses, catches, areas = [], [], [], []
    for _ in range(_DRAWS):
        drawn = [at for name in rng.choices(names, k=len(names)) for at in groups[name]]
        some = [rows[at] for at in drawn]
        if not any(row.good for row in some) or all(row.good for row in some):
            continue
        thresholds.append(_threshold(some, goal, wanted))
        losses.append(_share(drawn, rows, below, good=True))
        catches.append(_share(drawn, rows, below, good=False))
        areas.append(_area(some))
    everything = range(len(rows))
    kind = goal == "loss"
    in_sample = [row.score < threshold for row in rows]
    low, high = _interval(thresholds)
    return Calibration(
        threshold=threshold,
        threshold_low=low,
        threshold_high=high,
        lost=Point(_share(everything, rows, below, good=True), *_interval(losses)),
        caught=Point(_share(everything, rows, below, good=False), *_interval(catches)),
        area=Point(_area(rows), *_interval(areas)),
        in_sample=_share(everything, rows, in_sample, good=kind),
        good=goods,
        bad=bads,
    )


def curve(rows: Sequence[Judged]) -> list[tuple[float, float, float]]:
    """Give (threshold, share of good answers lost, share of bad ones caught) for each threshold that differs."""
    goods = sorted(row.score for row in rows if row.good)
    bads = sorted(row.score for row in rows if not row.good)
    told = []
    good = bad = 0
    for threshold in sorted({row.score for row in rows}):
        while good < len(goods) and goods[good] < threshold:
            good += 1
        while bad < len(bads) and bads[bad] < threshold:
            bad += 1
        told.append((threshold, good / len(goods), bad / len(bads)))
    return told


def _threshold(rows: Sequence[Judged], goal: Goal, wanted: float) -> float:
    """Choose on these rows; answers at the threshold pass."""
    scores = sorted(row.score for row in rows if row.good is (goal == "loss"))
    if goal == "loss":
        return scores[min(int(wanted * len(scores) + 1e-9), len(scores) - 1)]
    needed = -int(-wanted * len(scores) // 1)  # rounded up
    if needed <= 0:
        return 0.0
    caught = scores[needed - 1]
    above = [row.score for row in rows if row.score > caught]
    return min(above, default=1.0)


def _share(chosen: Sequence[int], rows: Sequence[Judged], below: Sequence[bool], *, good: bool) -> float:
    of_kind = [below[at] for at in chosen if rows[at].good is good]
    return sum(of_kind) / len(of_kind)


def _area(rows: Sequence[Judged]) -> float:
    """Count the pairs of a good and a bad answer that are in order, a draw as half: the Mann-Whitney statistic."""
    ranked = sorted(rows, key=lambda row: row.score)
    bads = sum(not row.good for row in rows)
    below, at, won = 0, 0, 0.0
    while at < len(ranked):
        end = at
        while end < len(ranked) and ranked[end].score == ranked[at].score:
            end += 1
        same = ranked[at:end]
        equal = sum(not row.good for row in same)
        won += (len(same) - equal) * (below + equal / 2)
        below += equal
        at = end
    return won / (bads * (len(rows) - bads))


def _interval(figures: Sequence[float]) -> tuple[float, float]:
    ordered = sorted(figures)
    return ordered[int(0.025 * len(ordered))], ordered[min(int(0.975 * len(ordered)), len(ordered) - 1)]
