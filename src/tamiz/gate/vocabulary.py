"""How common words are: a list that ships with tamiz, counted in general knowledge questions."""

from functools import cache
from pathlib import Path
from typing import Final

__all__ = ["LEVELS", "levels", "opening", "weight"]

LEVELS: Final = 8


@cache
def levels() -> dict[str, int]:
    """Give the level of each known word, from 0 (rare) to 7 (the most common), each about twice as frequent."""
    return {word: level for level, line in enumerate(_lines()[:LEVELS]) for word in line.split()}


@cache
def opening() -> frozenset[str]:
    """Give the words that hardly ever end a sentence."""
    return frozenset(_lines()[LEVELS].split())


def _lines() -> list[str]:
    return Path(__file__).with_name("words.txt").read_text("ascii").splitlines()


def weight(word: str) -> float:
    """Give what a word counts for when texts are compared: 0.3 for the most common, 1.0 for rare and unknown ones."""
    return 1.0 - 0.1 * levels().get(word, 0)
