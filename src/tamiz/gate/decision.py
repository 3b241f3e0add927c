"""One decision of what the heads say: the chance that an answer is good."""

from bisect import bisect_right
from collections.abc import Collection, Mapping
from math import exp, log
from typing import Final

import msgspec

from tamiz.gate.weights import Head, Rule

__all__ = ["Decision", "decide", "evidence", "logit"]

_BOUND: Final = 30.0


class Decision(msgspec.Struct, frozen=True):
    """How good an answer is, in [0, 1], and each head's part in it, the one that speaks loudest against it first."""

    score: float
    parts: tuple["Part", ...]


class Part(msgspec.Struct, frozen=True):
    """A head's part: the logarithm of its odds, and what these weigh in the one rule."""

    head: str
    logit: float
    odds: float


def logit(head: Head, measured: Mapping[str, float]) -> float:
    """Give the logarithm of the odds that the failure is there, as one head sees it; within [-30, 30]."""
    total = 0.0
    for name, weight in head.weights.items():
        total += weight * measured[name]
    total += head.bias
    return max(-_BOUND, min(_BOUND, total))


def decide(rule: Rule, measured: Mapping[str, float], off: Collection[str] = ()) -> Decision:
    """Weigh what was measured.

    An answer is good or has one of the failures. By Bayes' rule the odds that it fails are the sum of the heads' odds,
    each times the share of its failure. What that is worth, in shares of good answers, was counted on answers that the
    heads had not been made from: the calibration, between whose points lies a straight line.
    """
    parts = []
    for name, head in rule.heads.items():
        if name not in off:
            value = logit(head, measured)
            parts.append(Part(name, value, head.share * exp(value)))
    score = interpolate(rule.calibration, evidence(sum(part.odds for part in parts)))
    return Decision(round(score, 6), tuple(sorted(parts, key=lambda part: -part.odds)))


def evidence(odds: float) -> float:
    """Give the evidence for an answer, ascending, of the odds against it."""
    return -log(max(odds, exp(-_BOUND)))


def interpolate(points: tuple[tuple[float, float], ...], at: float) -> float:
    """Give the value at a place on a line through points; beyond its ends it goes on level."""
    place = bisect_right(points, (at, 2.0))
    if place == 0:
        return points[0][1]
    if place == len(points):
        return points[-1][1]
    (left, low), (right, high) = points[place - 1], points[place]
    return min(high, low + (high - low) * (at - left) / (right - left))
