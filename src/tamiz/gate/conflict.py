"""Where an answer contradicts the reference: a negation, a number, a name, a contrary, another quantity."""

from typing import Final

from tamiz.gate.lexicon import CONTRARIES, QUANTITIES
from tamiz.gate.pair import Pair
from tamiz.gate.text import stem

__all__ = ["FEATURES", "features", "found"]

FEATURES: Final = (
    "conflict.denial",
    "conflict.denial_close",
    "conflict.number",
    "conflict.name",
    "conflict.name_close",
    "conflict.contrary",
    "conflict.opener",
    "conflict.contrary_close",
    "conflict.frame",
    "conflict.denial_frame",
    "conflict.number_frame",
    "conflict.name_frame",
    "conflict.contrary_frame",
    "conflict.subject",
    "conflict.subject_close",
    "conflict.subject_frame",
    "conflict.exchanged",
    "conflict.quantity",
)

_CONTRARY: Final = frozenset((stem(one), stem(other)) for one, other in CONTRARIES)
_CONTRARY_STEMS: Final = frozenset(one for one, _ in _CONTRARY)
_QUANTITIES: Final = tuple(frozenset(map(stem, words)) for words in QUANTITIES)


def features(pair: Pair) -> tuple[float, ...]:
    """Tell where the answer contradicts the reference; see `FEATURES`.

    Those that are `close` count the more, the more else is the same; those of a `frame`, where words were exchanged.
    """
    answer, reference = pair.answer, pair.form
    either = answer.content | reference.content
    close = len(answer.content & reference.content) / len(either) if either else 0.0
    close = max(0.0, close - 0.3) / 0.7
    denial = float((answer.denials % 2) != (reference.denials % 2) and answer.opener == reference.opener)
    context = pair.question.content | reference.content
    numbers = float(
        bool(answer.numbers - reference.numbers - pair.question.numbers) and bool(reference.numbers - answer.numbers)
    )
    strange = {name for name in answer.names if name not in context}
    missing = {name for name in reference.names if name not in answer.content and name not in pair.question.content}
    name = float(bool(strange) and bool(missing))
    # another name where the reference says one of the question's words again: it speaks of something else
    lost = (reference.content & pair.question.content) - answer.content
    subject = float(bool(strange) and bool(lost))
    come, gone = answer.content - context, reference.content - answer.content
    ours, theirs = set(answer.keys) - set(reference.keys), set(reference.keys) - set(answer.keys)
    contrary = float(
        any((one, other) in _CONTRARY for one in ours & _CONTRARY_STEMS for other in theirs & _CONTRARY_STEMS)
    )
    frame = _frame(answer.words, reference.words)
    return (
        denial,
        denial * close,
        numbers,
        name,
        name * close,
        contrary,
        float(answer.opener * reference.opener < 0),
        contrary * close,
        frame,
        denial * frame,
        numbers * frame,
        name * frame,
        contrary * frame,
        subject,
        subject * close,
        subject * frame,
        frame * bool(come) * bool(gone),
        _quantity(ours, theirs),
    )


def _quantity(ours: set[str], theirs: set[str]) -> float:
    """Tell whether two texts say different quantities in words."""
    return float(any(ours & one and theirs & other for one in _QUANTITIES for other in _QUANTITIES if one is not other))


def _frame(ours: list[str], theirs: list[str]) -> float:
    """Give the share of two texts' words that agree from the start on and from the end back: 1 less what was replaced.

    Below a half it is 0: those are not the same sentence with something exchanged.
    """
    shorter, longer = sorted((len(ours), len(theirs)))
    if not shorter or ours == theirs:
        return 0.0
    before = next((at for at in range(shorter) if ours[at] != theirs[at]), shorter)
    after = next((at for at in range(shorter - before) if ours[-1 - at] != theirs[-1 - at]), shorter - before)
    share = (before + after) / longer
    return share if share >= 0.5 else 0.0


def found(pair: Pair) -> str:
    """Say what conflicts, in words: of the answer, never what the reference has in its place."""
    answer, reference = pair.answer, pair.form
    measured = dict(zip(FEATURES, features(pair), strict=True))
    if measured["conflict.opener"]:
        return "conflict: of yes and no it says the one that the reference does not"
    if measured["conflict.number"]:
        ours = min(answer.numbers - reference.numbers - pair.question.numbers)
        return f"conflict: the number {ours} is not in the reference"
    if measured["conflict.name"] or measured["conflict.subject"]:
        ours = min(answer.names - reference.content - pair.question.content)
        return f"conflict: the name {answer.surface[ours]!r} is not in the reference"
    if measured["conflict.contrary"]:
        return "conflict: it says the contrary of the reference"
    if measured["conflict.denial"]:
        return "conflict: it denies what the reference says, or says what the reference denies"
    return "conflict: it differs from the reference"
