"""Truncation: an answer that stops before its sentence does."""

import re
from bisect import bisect_left
from functools import cache
from typing import Final

from tamiz.gate.lexicon import NUMBERS
from tamiz.gate.pair import Pair
from tamiz.gate.text import stem
from tamiz.gate.vocabulary import levels, opening

__all__ = ["FEATURES", "features", "found"]

FEATURES: Final = (
    "cut.stopped",
    "cut.dangling",
    "cut.weak",
    "cut.fragment",
    "cut.open",
    "cut.joint",
    "cut.letter",
    "cut.prefix",
    "cut.inner",
    "cut.single",
    "cut.opening",
)

_DANGLING: Final = frozenset(
    "a an the of to in on at by for from with and or but nor as is are was were be been being has have had having "
    "do does did can "
    "could will would shall should may might must not no very more most such that this these those which who whom "
    "whose when "
    "where while if because since although though than into onto over under between among about against during "
    "before "
    "after through within without per via like its their his her my your our it's i'm you're they're there's "
    "including "
    "so too also either neither both each every any some many much few several".split()
)
_STANDING: Final = frozenset(
    "is are was were be do does did can could will would should may might must has have had not more less most "
    "so too either neither both many some few it that this".split()
)
"""Of these, and "not", what may end a sentence all the same: "No, they have more"."""
_BRIEF: Final = 5
"""Words of a yes or no that goes on with no more than that."""
_ENDED: Final = re.compile(r"[.!?\u2026\u3002\uff01\uff1f][\"'\u201d\u2019)\]*_`]*\s*$|```\s*$")
_INNER: Final = re.compile(r"[a-z0-9)][.!?]\s+[A-Z]")


def features(pair: Pair) -> tuple[float, ...]:
    """Tell how much an answer looks cut off; see `FEATURES`."""
    answer = pair.answer
    raw = answer.raw.rstrip()
    words = answer.words
    if not words or len(pair.answer.raw) >= 20_000:
        return (0.0,) * len(FEATURES)
    last = words[-1]
    ended = bool(_ENDED.search(raw))
    if ended:
        return (1.0, *(0.0,) * (len(FEATURES) - 1))
    open_ended = len(words) > 1 and not _closes(pair)
    return (
        0.0,
        float(open_ended and last in _DANGLING and last in opening()),
        float(open_ended and last in _DANGLING and last not in opening()),
        fragment(pair),
        float(_open(raw)),
        float(raw[-1] in ",;:-\u2013(/&" or raw.endswith(" '")),
        float(
            len(last) < 3 and last.isalpha() and len(words) > 1 and last not in _KNOWN_SHORT and last not in _DANGLING
        ),
        _prefix(pair),
        float(bool(_INNER.search(raw))),
        float(len(words) == 1),
        float(open_ended and last in opening() and last not in _DANGLING and last not in NUMBERS),
    )


def _closes(pair: Pair) -> bool:
    """Tell whether the last word may end a sentence here: question or reference ends with it, or a yes or no goes on.

    "Which country are you in?" is answered by "I do not know what country you are in", another by "Yes, it does".
    """
    last = pair.answer.words[-1]
    ends = [text.words[-1] for text in (pair.question, pair.reference) if text is not None and text.words]
    return last in ends or (pair.answer.opener != 0 and last in _STANDING and len(pair.answer.words) <= _BRIEF)


_KNOWN_SHORT: Final = frozenset("it me us he we up so go do no ok tv us uk eu pm am ad bc kg km mm cm oz ft".split())


@cache
def _sorted() -> list[str]:
    return sorted(levels())


def fragment(pair: Pair) -> float:
    """Tell how likely an answer's last word is the beginning of a longer one: 0, or up to 1."""
    answer = pair.answer
    last = answer.words[-1]
    if not pair.english or not last.isalpha() or not last.isascii() or (len(answer.words) < 2 and len(last) > 3):
        return 0.0
    nearby = [*pair.question.words, *(pair.reference.words if pair.reference else ()), *answer.words[:-1]]
    if last in nearby:
        return 0.0
    if any(len(word) > len(last) and word.startswith(last) and stem(word) != stem(last) for word in nearby):
        return 0.5 if last in levels() else 1.0
    if last in levels() or (answer.order and answer.order[-1] in pair.question.content):
        return 0.0
    known = _sorted()
    at = bisect_left(known, last)
    if at < len(known) and known[at].startswith(last):
        return 0.9
    return 0.4 if last not in answer.names and not answer.raw.rstrip()[-len(last) :][:1].isupper() else 0.2


def _open(raw: str) -> bool:
    """Tell whether a quotation or a bracket is open at the end."""
    return (
        raw.count('"') % 2 == 1
        or raw.count("(") > raw.count(")")
        or raw.count("[") > raw.count("]")
        or raw.count("\u201c") > raw.count("\u201d")
        or raw.count("```") % 2 == 1
    )


def _prefix(pair: Pair) -> float:
    """Tell whether the answer is the beginning of the reference."""
    if pair.reference is None or len(pair.answer.raw) >= len(pair.reference.raw):
        return 0.0
    return float(pair.reference.raw.lower().startswith(pair.answer.raw.rstrip().lower()))


def found(pair: Pair) -> str:
    """Say what was found, in words."""
    raw = " ".join(pair.answer.raw.split())
    return f"truncated: it ends with {raw[-30:]!r}"
