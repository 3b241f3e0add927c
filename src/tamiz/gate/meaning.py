"""What an answer says beyond its question, beside what the reference says beyond it."""

from itertools import pairwise
from typing import Final

from tamiz.gate.pair import Pair, letters, likeness, mass, rare, rarest
from tamiz.gate.text import Text

__all__ = ["KNOWN", "LIKENESS", "found", "known", "likenesses"]

LIKENESS: Final = (
    "like.recall",
    "like.precision",
    "like.wanted",
    "like.said",
    "like.letters",
    "like.letters_beyond",
    "like.bare",
    "like.contains",
    "like.whole",
    "like.stance",
    "like.shared",
    "like.rarest",
    "like.letters_wanted",
)
KNOWN: Final = (
    "known.share",
    "known.letters",
    "known.strange",
    "known.names",
    "known.order",
    "known.start",
    "known.kind",
    "known.order_alone",
)


def likenesses(pair: Pair) -> tuple[float, ...]:
    """Compare the answer with the reference; see `LIKENESS`. All are shares; 0.5 where there is nothing to share."""
    answer, reference = pair.answer, pair.form
    common = answer.content & reference.content
    ours, theirs = mass(answer.content, answer), mass(reference.content, reference)
    shared = answer.content & (pair.question.content | reference.content)
    beyond = pair.said & pair.wanted
    said, wanted = mass(pair.said, answer), mass(pair.wanted, reference)
    return (
        mass(common, reference) / theirs if theirs else 0.5,
        mass(common, answer) / ours if ours else 0.0,
        mass(beyond, reference) / wanted if wanted else 0.5,
        mass(beyond, answer) / said if said else (0.5 if not wanted else 0.0),
        likeness(answer.content, reference.content),
        likeness(pair.said, pair.wanted) if pair.said and pair.wanted else 0.5 if not pair.wanted else 0.0,
        float(not pair.wanted),
        float(_contains(answer.keys, reference.keys)),
        float(answer.words == reference.words),
        _stance(pair),
        min(mass(shared, answer), 4.0) / 4,
        rarest(shared, answer),
        letters(pair.wanted, answer.content),
    )


def known(pair: Pair) -> tuple[float, ...]:
    """Tell how much of the answer is known from question and reference, in words and in form; see `KNOWN`."""
    answer, reference = pair.answer, pair.form
    context = pair.question.content | reference.content
    strange = answer.content - context
    ours = mass(answer.content, answer)
    order = _ordered(answer.keys, reference.keys)
    return (
        mass(answer.content & context, answer) / ours if ours else 0.5,
        letters(answer.content, context),
        rare(strange, answer),
        min(len(answer.names - context), 3) / 3,
        order,
        float(answer.keys[:2] == reference.keys[:2]),
        _kind(answer, reference),
        order * answer.content.isdisjoint(pair.question.content),
    )


def _ordered(ours: list[str], theirs: list[str]) -> float:
    """Give the share of the reference's neighbours that are neighbours in the answer."""
    neighbours = set(pairwise(theirs))
    return len(neighbours.intersection(pairwise(ours))) / len(neighbours) if neighbours else 0.0


def _kind(one: Text, other: Text) -> float:
    """Tell in how many of these two texts are alike: a yes or no at their start, numbers, names."""
    alike = (
        (one.opener != 0) == (other.opener != 0),
        bool(one.numbers) == bool(other.numbers),
        bool(one.names) == bool(other.names),
    )
    return sum(alike) / len(alike)


def _contains(words: list[str], form: list[str]) -> bool:
    """Tell whether the words of a form stand in the answer, in order and together."""
    size = len(form)
    if not form or size > len(words):
        return False
    first = form[0]
    return any(words[at] == first and words[at : at + size] == form for at in range(len(words) - size + 1))


def _stance(pair: Pair) -> float:
    """Tell whether answer and reference take the same side: 1, -1 for opposite ones, 0 where either takes none."""
    ours, theirs = _side(pair.answer), _side(pair.form)
    return float(ours * theirs)


def _side(text: Text) -> int:
    if text.opener:
        return text.opener
    return -1 if text.denials % 2 else 0


def found(_: Pair) -> str:
    """Say what was found, in words."""
    return "meaning: beyond the question it says something else than the reference"
