"""The score service: how good answers are that somebody else has."""

from typing import Annotated, Final

import msgspec
from litestar import Controller, post

from tamiz.http.context import Context
from tamiz.http.fields import naming
from tamiz.http.reference import Reference, text_of
from tamiz.scoring import Scorer, is_quick

__all__ = ["Judged", "Pair", "Score", "judged"]

_MOST_PAIRS: Final = 10_000

_Text = Annotated[str, msgspec.Meta(max_length=400_000)]


class Pair(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """An answer and what it is judged by."""

    answer: _Text
    reference: Reference = None
    """The human answer, or the forms of it that are accepted: the one counts that says the best of the answer."""
    question: _Text = ""


class One(Pair, kw_only=True, forbid_unknown_fields=True):
    """The same, with a scorer."""

    scorer: str | None = None
    """Without it, the service's."""


class Batch(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Pairs to be judged by one scorer."""

    pairs: Annotated[list[Pair], msgspec.Meta(max_length=_MOST_PAIRS)]
    scorer: str | None = None


class Judged(msgspec.Struct, kw_only=True, frozen=True):
    """What a scorer says of an answer: a score in [0, 1], or none and the reason why."""

    score: float | None
    scorer: str
    reason: str | None
    reasons: tuple[str, ...]
    """What speaks against the answer."""


class Scores(msgspec.Struct, kw_only=True):
    """What a scorer says of each pair, in their order."""

    scores: list[Judged]


class Score(Controller):
    """Scores."""

    tags = ("score",)

    @post("/score", status_code=200, summary="Score an answer")
    async def one(self, data: One, context: Context) -> Judged:
        """Tell how good the answer is, by the reference and the question."""
        return await judged(context, _scorer(context, data.scorer), data)

    @post("/score/batch", status_code=200, summary="Score many answers")
    async def batch(self, data: Batch, context: Context) -> Scores:
        """Score each pair, in their order."""
        scorer = _scorer(context, data.scorer)
        return Scores(scores=await context.scoring(lambda: [_judged(scorer, pair) for pair in data.pairs]))


def _scorer(context: Context, name: str | None) -> Scorer:
    if name is None:
        return context.scorer(context.settings.scorer)
    with naming("scorer"):
        return context.scorer(name)


async def judged(context: Context, scorer: Scorer, pair: Pair) -> Judged:
    """Have a pair judged: by the form of the reference that says the best of the answer."""
    if is_quick(pair.answer, text_of(pair.reference), pair.question):
        return _judged(scorer, pair)
    return await context.scoring(lambda: _judged(scorer, pair))


def _judged(scorer: Scorer, pair: Pair) -> Judged:
    found = scorer.score(pair.answer, text_of(pair.reference), pair.question)
    return Judged(score=found.value, scorer=scorer.name, reason=found.reason, reasons=found.reasons)
