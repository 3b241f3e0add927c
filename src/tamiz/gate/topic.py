"""What an answer is about, beside what its question is about, and whether it gives what is asked for."""

from typing import Final

from tamiz.gate.lexicon import POLAR
from tamiz.gate.pair import Pair, letters, likeness, mass, rare, rarest
from tamiz.gate.text import Text

__all__ = ["FEATURES", "features", "found"]

FEATURES: Final = (
    "topic.shared",
    "topic.letters",
    "topic.short",
    "topic.long",
    "topic.missing",
    "topic.rarest",
    "topic.mass",
    "topic.fit",
    "topic.misfit",
    "topic.strange",
    "topic.names",
    "topic.share",
    "topic.letters_share",
    "topic.unfit",
    "topic.fragment",
    "topic.fit_missing",
    "topic.strange_rarest",
    "topic.shared_unfit",
)

_NAMED: Final = frozenset("country countries city cities place places person people name state states".split())
_FEW: Final = 4
_COUNTED: Final = frozenset("many much old long often far tall".split())


def features(pair: Pair) -> tuple[float, ...]:
    """Tell how much the answer is about what the question is about; see `FEATURES`."""
    question, answer = pair.question, pair.answer
    common = question.content & answer.content
    whole = mass(question.content, question)
    count = len(answer.words)
    fit, misfit = _fits(question, answer)
    shared = mass(common, question) / whole if whole else 0.5
    missing, known = float(not common and bool(whole)), rarest(common, answer)
    strange = rare(answer.content - common, answer)
    return (
        shared,
        likeness(question.content, answer.content) if whole else 0.5,
        float(count < _FEW),
        min(count, 40) / 40,
        missing,
        known,
        min(mass(common, answer), 3.0) / 3,
        fit,
        misfit,
        strange,
        min(len(answer.names - question.content), 3) / 3,
        mass(common, answer) / mass(answer.content, answer) if answer.content else 0.5,
        letters(answer.content, question.content),
        # what together tells otherwise than each for itself
        float(fit == 0.0),
        strange * (count < _FEW),
        fit * missing,
        strange * known,
        shared * (fit == 0.0),
    )


def _fits(question: Text, answer: Text) -> tuple[float, float]:
    """Tell whether an answer has what is asked for, 0.5 where none can tell, and whether it says yes or no unasked."""
    words = question.words
    asked = set(words)
    says = float(answer.opener != 0)
    if not words:
        return 0.5, 0.0
    if words[0] in POLAR:
        return says, 0.0
    if asked & {"who", "whom", "where"} or (asked & {"which", "what"} and asked & _NAMED):
        return float(bool(answer.names) or _may_be_name(answer)), says
    if asked & {"when", "year"} or ("how" in asked and asked & _COUNTED):
        return float(bool(answer.numbers)), says
    return 0.5, says


def _may_be_name(answer: Text) -> bool:
    """Tell whether a few words are what may be a name: they begin with a capital, and with no word of grammar."""
    return 0 < len(answer.words) < _FEW and answer.raw[:1].isupper() and answer.keys[:1] == answer.order[:1]


def found(pair: Pair) -> str:
    """Say what was found, in words."""
    if pair.reference is None:
        return "off topic: the answer shares nothing with the question"
    return "off topic: the answer shares little with the question and the reference"
