"""The questions of an experiment: those of a file, or made up, which are the same for the same seed."""

import random
from collections.abc import Sequence
from typing import Final

from tamiz.datasets import BadRow, open_dataset
from tamiz.errors import UsageError
from tamiz.traffic.question import Question

__all__ = ["make_questions", "read_questions"]

_SYLLABLES: Final = ("ba", "ce", "di", "fo", "gu", "la", "me", "ni", "po", "ru", "sa", "te", "vi", "zo", "qua", "stra")
_VOCABULARY: Final = 5_000
_LONGEST: Final = 20
"""Words of the longest reference."""


def read_questions(dataset: str, most: int) -> list[Question]:
    """Give the first `most` questions of a file (0: all); rows that are none are left out.

    Raises `UsageError` where there is no such file, or no question in it.
    """
    found: list[Question] = []
    for row in open_dataset(dataset):
        if not isinstance(row, BadRow):
            found.append(Question(row.id, row.title, row.content, row.reference))
            if len(found) == most:
                break
    if not found:
        raise UsageError(f"{dataset!r} has no question in it")
    return found


def make_questions(count: int, seed: int) -> Sequence[Question]:
    """Make so many different questions, each with a reference of 1 to 20 words by Zipf's law."""
    rng = random.Random(f"questions {seed}")  # noqa: S311 - reproducible, not secret
    words = ["".join(rng.choices(_SYLLABLES, k=rng.randint(2, 4))) for _ in range(_VOCABULARY)]
    weights = [1 / rank for rank in range(1, _VOCABULARY + 1)]
    questions = []
    for n in range(count):
        drawn = rng.choices(words, weights, k=6 + rng.randint(1, _LONGEST))
        questions.append(Question(str(n), f"What do {' '.join(drawn[:6])} mean, number {n}?", "", " ".join(drawn[6:])))
    return questions
