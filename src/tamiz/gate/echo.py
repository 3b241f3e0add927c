"""Echoes: an answer that says the question again and nothing beyond it."""

import re
from itertools import pairwise
from typing import Final

from tamiz.gate.lexicon import POLAR
from tamiz.gate.pair import Pair, mass
from tamiz.gate.text import stem

__all__ = ["FEATURES", "features", "found"]

FEATURES: Final = (
    "echo.repeats",
    "echo.share",
    "echo.beyond",
    "echo.nothing",
    "echo.mark",
    "echo.stance",
    "echo.open",
    "echo.run",
    "echo.missed",
    "echo.new",
)

_FILLER: Final = frozenset(
    map(
        stem,
        "question great good interesting ask asked asking wonder wondering topic thank thanks query regarding "
        "message help "
        "answer think know want people happy sure point matter reason way find like look lot come user glad curious "
        "excellent wonderful fascinating respond information understand learn let's pleased explore consider whether "
        "question's happens happen mean called".split(),
    )
)
_PLAIN: Final = re.compile(r"[\W_]+")


def features(pair: Pair) -> tuple[float, ...]:
    """Tell how much of an answer is its question; see `FEATURES`."""
    question, answer = pair.question, pair.answer
    if not question.words or not answer.words:
        return (0.0,) * len(FEATURES)
    beyond = pair.said - _FILLER
    new = mass(beyond, answer)
    whole = mass(question.content, question)
    again = mass(question.content & answer.content, question)
    stance = (
        answer.opener != 0 or (answer.denials > 0) != (question.denials > 0) or bool(answer.numbers - question.numbers)
    )
    fresh = [w for w in answer.words if w not in question.words]
    repeats = _flat(question.raw) in _flat(answer.raw)
    missed = 0.0
    if pair.wanted and pair.reference is not None:
        missed = 1 - mass(pair.wanted & answer.content, pair.reference) / mass(pair.wanted, pair.reference)
    return (
        float(repeats),
        again / whole if whole else 0.0,
        min(new, 4.0) / 4,
        float(not beyond),
        float(answer.raw.rstrip().endswith("?")),
        float(stance),
        float(question.words[0] in POLAR),
        _run(question.words, answer.words),
        missed,
        min(len(fresh), 6) / 6,
    )


def _flat(raw: str) -> str:
    return _PLAIN.sub(" ", raw.lower()).strip()


def _run(question: list[str], answer: list[str]) -> float:
    """Give the share of the answer's words that stand in the question in the same company (pairs of neighbours)."""
    pairs = set(pairwise(question))
    ours = list(pairwise(answer))
    return sum(each in pairs for each in ours) / len(ours) if ours else 0.0


def found(pair: Pair) -> str:
    """Say what was found, in words."""
    if _flat(pair.question.raw) in _flat(pair.answer.raw):
        return "echo: the answer repeats the question"
    return "echo: the answer says nothing beyond the question"
