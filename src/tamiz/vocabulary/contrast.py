"""Which words tell two sides apart: log-odds ratios with an informative Dirichlet prior."""

from collections.abc import Mapping
from math import log, sqrt
from typing import Final

import msgspec

__all__ = ["PRIOR", "Contrast", "contrasts"]

PRIOR: Final = 1_000.0
"""The weight of the prior, in words."""


class Contrast(msgspec.Struct, frozen=True, kw_only=True):
    """How much more one side uses a word than the other."""

    word: str
    human: int
    """How often people use it."""
    model: int
    log_odds: float
    """The logarithm of the ratio of its odds; above 0 where people use it more."""
    z: float
    """The same in standard deviations: how sure that is."""


def contrasts(words: Mapping[str, tuple[int, int]]) -> list[Contrast]:
    """Give the contrast of each word, from the most human one to the one most of models.

    Words are used (human, model) times. The method is the one of Monroe, Colaresi and Quinn ("Fightin' Words",
    Political Analysis 16, 2008, equations 15 to 22). Counts y of a side with n words in all are shrunk towards what
    both sides have in common: the prior of a word, a, is its share of all words times `PRIOR` (a0 in all), and

        odds = (y + a) / (n + a0 - y - a)
        log_odds = ln(odds of people) - ln(odds of models)
        z = log_odds / sqrt(1 / (y of people + a) + 1 / (y of models + a))

    so that a rare word needs many uses, and a common one a clear difference. Of a single word there is nothing to
    compare it with: 0.
    """
    people, models = (sum(counts[side] for counts in words.values()) for side in (0, 1))
    everything = people + models
    found = []
    for word, (human, model) in words.items():
        prior = PRIOR * (human + model) / everything if everything else 0.0
        others = [n + PRIOR - y - prior for n, y in ((people, human), (models, model))]
        if len(words) == 1 or human + model in {0, everything}:
            difference, z = 0.0, 0.0
        else:
            difference = log((human + prior) / others[0]) - log((model + prior) / others[1])
            z = difference / sqrt(1 / (human + prior) + 1 / (model + prior))
        found.append(Contrast(word=word, human=human, model=model, log_odds=difference, z=z))
    found.sort(key=lambda each: (-each.z, each.word))
    return found
