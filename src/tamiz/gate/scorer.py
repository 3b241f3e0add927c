"""The gate as a scorer: several checks, one decision, and the reasons for it."""

from collections.abc import Collection
from typing import Final

from tamiz.gate.decision import Decision, decide
from tamiz.gate.heads import FOUND, measure
from tamiz.gate.pair import Pair
from tamiz.gate.text import Text
from tamiz.gate.weights import load_weights
from tamiz.scoring import NO_REFERENCE, NOTHING_TO_SCORE, Score, folded, forms

__all__ = ["FLAGGED", "GateScorer", "is_short"]

FLAGGED: Final = 0.5
"""Below this score reasons are given. Without a reference only an answer below 0.3 is scored at all."""
_SHORT: Final = 4

_FLAGGED_ALONE: Final = 0.3
_TOO_SHORT: Final = {"topic": 8, "truncation": 4}
"""Words that an answer must have before a check can tell anything of it without a reference."""
_REASONS: Final = 3
_BESIDE_THE_FIRST: Final = 1 / 4
"""A reason beside the first one has at least so much of its odds."""
_IN_ITSELF: Final = frozenset({"refusal", "echo", "junk", "truncation"})
_EMPTY: Final = Score(0.0, reasons=("junk: the answer is empty",))
_SAME: Final = Score(1.0)


class GateScorer:
    """The share of answers like this one that are right.

    Where half of all answers are right and the others fail in each of the ways that the gate knows equally often, of
    those that score 0.8 about 80 % are right. The checks and what they find are in `docs/scoring.md`.

    An answer that equals a form of the reference (case, blanks and a full stop at its end aside) scores 1.0. Without a
    reference nobody can tell whether an answer is right: where a check finds something, the score says how likely the
    answer is good all the same; where none does, there is no score, and the reason is `no_reference`.

    Deterministic: a sum of measured shares times weights that ship in a data file, rounded to six digits; no clock, no
    randomness, no order of threads. The same texts score the same in every process and host. Only the first 20,000
    characters of a text are looked at. With `vectors` word vectors are weighed too (the extra `tamiz[gate]`).
    """

    def __init__(self, *, off: Collection[str] = (), vectors: bool = False) -> None:
        """Leave out the checks in `off`. Raises `UsageError` where `vectors` are wanted and their extra is missing."""
        weights = load_weights()
        self.name = "gate-vectors" if vectors else "gate"
        self._off = frozenset(off)
        self._vectors = vectors
        self._sides = weights.vectors if vectors else weights.plain
        if vectors:
            from tamiz.gate.vectors import load

            load()

    def score(self, answer: str, reference: str | None, question: str = "") -> Score:
        """Tell how good the answer is, and why it is not."""
        if not answer or answer.isspace():
            return _EMPTY
        accepted = forms(reference)
        if any(_same(answer, form) for form in accepted):
            return _SAME
        asked, ours = Text(question), Text(answer)
        theirs = [text for text in map(Text, accepted) if text.words]
        if accepted and (not theirs or not ours.words):
            return Score(None, NOTHING_TO_SCORE)
        if not theirs:
            return self._alone(Pair(asked, ours, None))
        return max((self._beside(Pair(asked, ours, text)) for text in theirs), key=lambda score: score.value or 0.0)

    def _alone(self, pair: Pair) -> Score:
        measured = measure(pair, with_vectors=self._vectors)
        words = len(pair.answer.words)
        off = self._left_out(pair).union(check for check, fewest in _TOO_SHORT.items() if words < fewest)
        decision = decide(self._sides.alone, measured, off)
        if decision.score >= _FLAGGED_ALONE:
            return Score(None, NO_REFERENCE)
        return Score(decision.score, reasons=_reasons(decision, decision, pair))

    def _beside(self, pair: Pair) -> Score:
        assert pair.reference is not None  # noqa: S101 - what calls this has looked
        measured = measure(pair, with_vectors=self._vectors)
        short = is_short(pair.reference)
        off = self._left_out(pair)
        decision = decide(self._sides.short if short else self._sides.beside, measured, off)
        if decision.score >= FLAGGED:
            return Score(decision.score)
        return Score(decision.score, reasons=_reasons(decision, decide(self._sides.alone, measured, off), pair))

    def _left_out(self, pair: Pair) -> frozenset[str]:
        return self._off if pair.question.words else self._off | {"echo"}


def is_short(reference: Text) -> bool:
    """Tell whether a reference names something, so that an answer has to contain it rather than to be like it."""
    return len(reference.words) <= _SHORT and not reference.denials


def _same(answer: str, form: str) -> bool:
    return _bare(answer) == _bare(form)


def _bare(text: str) -> str:
    return folded(text).rstrip(".! ")


def _reasons(decision: Decision, alone: Decision, pair: Pair) -> tuple[str, ...]:
    """Say what speaks against an answer: what is wrong with it in itself, else how it differs from the reference."""
    named = [part.head for part in alone.parts if part.head in _IN_ITSELF and part.logit > 0]
    if not named:
        parts = [part for part in decision.parts if part.head not in _IN_ITSELF] or list(decision.parts)
        named = [part.head for part in parts if part.odds >= _BESIDE_THE_FIRST * parts[0].odds]
    return tuple(FOUND[head](pair) for head in named[:_REASONS])
