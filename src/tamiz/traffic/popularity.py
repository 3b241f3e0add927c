"""Which question is asked: an endless iterator of ranks from 0 to n - 1. Seeded.

| Name | Rank r (from 0) of n |
|---|---|
| `zipf` | with probability proportional to (r + 1) ** -alpha, exactly: by the inverse of the distribution function |
| `uniform` | each alike |
| `shift:every=1000,by=0.1` | as `zipf`, but after each `every` questions the whole order moves on by the share `by` of n: what was rare becomes hot at once |
"""  # noqa: E501 - a table's row is a line

import math
import random
from array import array
from bisect import bisect_right
from collections.abc import Iterator
from itertools import accumulate
from typing import Final

from tamiz.errors import UsageError
from tamiz.traffic.spec import parse_spec

__all__ = ["POPULARITIES", "make_popularity", "zipf_weights"]

POPULARITIES: Final = ("zipf", "uniform", "shift")


def make_popularity(spec: str, count: int, alpha: float, seed: int) -> Iterator[int]:
    """Give the ranks of a distribution over `count` items by its name; `uniform` has no use for `alpha`.

    Raises `UsageError` for a name or a parameter that does not exist, no items, or an exponent that is not 0 or more.
    """
    name, parameters = parse_spec(spec, "popularity")
    if count < 1:
        raise UsageError("there are no questions to ask")
    if not (math.isfinite(alpha) and alpha >= 0):
        raise UsageError(f"a Zipf exponent of {alpha:g} is none: give --alpha 0 or more")
    rng = random.Random(f"popularity {seed}")  # noqa: S311 - reproducible, not secret
    match name:
        case "zipf":
            found = _zipf(count, alpha, rng)
        case "uniform":
            found = _uniform(count, rng)
        case "shift":
            every, by = parameters.whole("every", 1000, 1), parameters.number("by", 0.1, 0, 1)
            found = _shift(_zipf(count, alpha, rng), count, every, round(by * count))
        case _:
            raise UsageError(f"no popularity {name!r}: choose one of {', '.join(POPULARITIES)}")
    parameters.done()
    return found


def zipf_weights(count: int, alpha: float) -> Iterator[float]:
    """Give the weight of each rank, the first's being 1; they are not normalised."""
    return ((rank + 1) ** -alpha for rank in range(count))


def _zipf(count: int, alpha: float, rng: random.Random) -> Iterator[int]:
    edges = array("d", accumulate(zipf_weights(count, alpha)))
    total, last, draw = edges[-1], count - 1, rng.random
    while True:
        # the product can round up to the total itself, which is beyond the last
        yield min(bisect_right(edges, draw() * total), last)


def _uniform(count: int, rng: random.Random) -> Iterator[int]:
    draw = rng.random
    while True:
        yield int(draw() * count)


def _shift(ranks: Iterator[int], count: int, every: int, by: int) -> Iterator[int]:
    moved = 0
    while True:
        for _ in range(every):
            yield (next(ranks) + moved) % count
        moved = (moved + by) % count
