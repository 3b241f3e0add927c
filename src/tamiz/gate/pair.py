"""What is judged: an answer, its question, and one accepted form of the reference."""

from functools import cached_property
from math import fsum

from tamiz.gate.language import language, script
from tamiz.gate.text import Text, grams

__all__ = ["Pair"]


class Pair:
    """An answer beside its question (empty where it is not known) and a reference (`None` where there is none)."""

    def __init__(self, question: Text, answer: Text, reference: Text | None) -> None:
        self.question = question
        self.answer = answer
        self.reference = reference

    @property
    def form(self) -> Text:
        """The reference, for what is measured only where there is one."""
        assert self.reference is not None  # noqa: S101 - what calls this has looked
        return self.reference

    @cached_property
    def english(self) -> bool:
        """Whether nothing tells that question and reference are in another language."""
        reference = self.reference
        raw = self.question.raw + (reference.raw if reference else "")
        words = self.question.words + (reference.words if reference else [])
        return script(raw) in {None, "Latin"} and language(words) in {None, "English"}

    @cached_property
    def said(self) -> frozenset[str]:
        """What the answer says beyond the question: stems."""
        return self.answer.content - self.question.content

    @cached_property
    def wanted(self) -> frozenset[str]:
        """What the reference says beyond the question: stems; empty without one."""
        return frozenset() if self.reference is None else self.reference.content - self.question.content


def mass(words: frozenset[str] | set[str], of: Text) -> float:
    """Sum what words of a text count for; exactly, so that the order of a set is no matter."""
    weights = of.weights
    return fsum(weights[word] for word in words)


def likeness(one: frozenset[str], other: frozenset[str]) -> float:
    """Compare words by their runs of three characters: Dice's coefficient, 0 where a side has none."""
    ours, theirs = grams(one), grams(other)
    return 2 * len(ours & theirs) / (len(ours) + len(theirs)) if ours and theirs else 0.0


def letters(words: frozenset[str], within: frozenset[str]) -> float:
    """Give the share of some words' runs of three characters that other words have too; 0.5 where there are none."""
    runs = grams(words)
    return len(runs & grams(within)) / len(runs) if runs else 0.5


def rare(words: frozenset[str], of: Text) -> float:
    """Sum what words count for, the rare ones all the more; up to 1."""
    return min(fsum(of.weights[word] ** 2 for word in words), 4.0) / 4


def rarest(words: frozenset[str], of: Text) -> float:
    """Give what the rarest of some words counts for; 0 of none."""
    return max((of.weights[word] for word in words), default=0.0)
