"""What an answer says beyond its question, beside what the reference says beyond it."""

from typing import Final

from tamiz.gate.lexicon import CONTRARIES
from tamiz.gate.pair import Pair, likeness, mass
from tamiz.gate.text import Text, grams, stem

__all__ = ["CONFLICTS", "LIKENESS", "TOPIC", "conflict_found", "conflicts", "likenesses", "topic"]

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
CONFLICTS: Final = (
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
)
TOPIC: Final = (
    "topic.shared",
    "topic.letters",
    "topic.short",
    "topic.long",
    "topic.missing",
    "topic.rarest",
    "topic.mass",
)

_CONTRARY: Final = frozenset((stem(one), stem(other)) for one, other in CONTRARIES)
_CONTRARY_STEMS: Final = frozenset(one for one, _ in _CONTRARY)


def likenesses(pair: Pair) -> tuple[float, ...]:
    """Compare the answer with the reference; see `LIKENESS`. All are shares; 0.5 where there is nothing to share."""
    answer, reference = pair.answer, _reference(pair)
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
        _rarest(shared, answer),
        _found_letters(pair),
    )


def _found_letters(pair: Pair) -> float:
    """Give the share of the wanted words' runs of letters that are in the answer; 0.5 where none are wanted."""
    wanted = grams(pair.wanted)
    return len(wanted & grams(pair.answer.content)) / len(wanted) if wanted else 0.5


def _rarest(words: frozenset[str], of: Text) -> float:
    """Give what the rarest of some words counts for; 0 of none."""
    return max((of.weights[word] for word in words), default=0.0)


def _reference(pair: Pair) -> Text:
    assert pair.reference is not None  # noqa: S101 - what calls this has looked
    return pair.reference


def _contains(words: list[str], form: list[str]) -> bool:
    """Tell whether the words of a form stand in the answer, in order and together."""
    size = len(form)
    if not form or size > len(words):
        return False
    first = form[0]
    return any(words[at] == first and words[at : at + size] == form for at in range(len(words) - size + 1))


def _stance(pair: Pair) -> float:
    """Tell whether answer and reference take the same side: 1, -1 for opposite ones, 0 where either takes none."""
    ours, theirs = _side(pair.answer), _side(_reference(pair))
    return float(ours * theirs)


def _side(text: Text) -> int:
    if text.opener:
        return text.opener
    return -1 if text.denials % 2 else 0


def conflicts(pair: Pair) -> tuple[float, ...]:
    """Tell where the answer contradicts the reference; see `CONFLICTS`.

    Those that are `close` count the more, the more else is the same; those of a `frame`, where words were exchanged.
    """
    answer, reference = pair.answer, _reference(pair)
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
    ours, theirs = answer.content - reference.content, reference.content - answer.content
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
    )


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


def conflict_found(pair: Pair) -> str:
    """Say what conflicts, in words: of the answer, never what the reference has in its place."""
    answer, reference = pair.answer, _reference(pair)
    denial, _, number, name, _, contrary, opener = conflicts(pair)[:7]
    if opener:
        return "conflict: of yes and no it says the one that the reference does not"
    if number:
        ours = min(answer.numbers - reference.numbers - pair.question.numbers)
        return f"conflict: the number {ours} is not in the reference"
    if name:
        ours = min(answer.names - reference.content - pair.question.content)
        return f"conflict: the name {answer.surface[ours]!r} is not in the reference"
    if contrary:
        return "conflict: it says the contrary of the reference"
    if denial:
        return "conflict: it denies what the reference says, or says what the reference denies"
    return "conflict: it differs from the reference"


def topic(pair: Pair) -> tuple[float, ...]:
    """Tell how much the answer is about what the question is about; see `TOPIC`."""
    question, answer = pair.question, pair.answer
    common = question.content & answer.content
    whole = mass(question.content, question)
    count = len(answer.words)
    return (
        mass(common, question) / whole if whole else 0.5,
        likeness(question.content, answer.content) if whole else 0.5,
        float(count < 4),
        min(count, 40) / 40,
        float(not common and bool(whole)),
        _rarest(common, answer),
        min(mass(common, answer), 3.0) / 3,
    )


def topic_found(pair: Pair) -> str:
    """Say what was found, in words."""
    if pair.reference is None:
        return "off topic: the answer shares nothing with the question"
    return "off topic: the answer shares little with the question and the reference"


def meaning_found(_: Pair) -> str:
    """Say what was found, in words."""
    return "meaning: beyond the question it says something else than the reference"
