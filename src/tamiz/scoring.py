"""How good an answer is: a number in [0, 1], or a reason why there is none, and what was found wrong with it.

A scorer is a pure function of texts. What a score means for the question is the policy's business.
"""

import re
from collections import Counter
from collections.abc import Iterable
from math import log, sqrt
from operator import mul
from typing import Final, Protocol
from unicodedata import normalize

import msgspec

__all__ = [
    "NOTHING_TO_SCORE",
    "NO_REFERENCE",
    "Reference",
    "Score",
    "Scorer",
    "TfidfScorer",
    "as_given",
    "folded",
    "forms",
    "is_quick",
    "joined",
    "shown",
]

NO_REFERENCE: Final = "no_reference"
"""The reason where the question has no human answer to compare with."""
NOTHING_TO_SCORE: Final = "nothing_to_score"
"""The reason where a text has no word that could be compared."""
_FORM_SEPARATOR: Final = "\x1e"
"""What stands between the accepted forms of a reference that has several: the control character for it, which no text
that people write holds."""

_QUICK: Final = 4_000
"""Characters, the answer's counted once for each form that it is compared with; the slowest scorer takes 10 ms."""

Reference = str | tuple[str, ...] | None
"""A reference as people read and write it: a text, or its accepted forms."""

# The maximal runs of word characters, of two or more. scikit-learn writes it r"(?u)\b\w\w+\b"; as matching starts at
# the leftmost place and takes all it can, the boundaries are met by themselves.
_find_words: Final = re.compile(r"\w\w+").findall

# Every character of Latin-1 in lower case, and a blank for what is no word character. Lower case stays within Latin-1.
_SPACED: Final = re.sub(r"\W", " ", bytes(range(256)).decode("latin-1").lower()).encode("latin-1")

# What stands alone is no word.
_SINGLE: Final = frozenset(map(chr, range(256)))

# The squared weight of a word that stands in one text only, where a word of both texts weighs 1.
_LONE: Final = (log(3 / 2) + 1) ** 2

# CPython's normalisation takes quadratic time on a run of combining marks, so that 1 MB of them would take minutes.
# Texts without a word are short when they are answers ("8", "½", "C#").
_NORMALISED_CHARACTERS: Final = 2_000


class Score(msgspec.Struct, frozen=True):
    """A likeness in [0, 1], or `None` and the reason why there is none: exactly one of the two is given.

    Anything else raises `ValueError`, so that an unknown score is never taken for a bad one.
    """

    value: float | None
    reason: str | None = None
    reasons: tuple[str, ...] = ()
    """What was found wrong with the answer, the worst first, each `CHECK: what` in plain words."""

    def __post_init__(self) -> None:
        if (self.value is None) is (self.reason is None):
            raise ValueError(f"a score is a value or a reason, not {self!r}")
        if self.value is not None and not 0.0 <= self.value <= 1.0:
            raise ValueError(f"a score is in [0, 1], not {self.value!r}")


class Scorer(Protocol):
    """Tells how good an answer is.

    It keeps no state that shows: the same texts score the same in any process, in any order. It raises nothing
    whatever the texts are, and takes time linear in their length.
    """

    name: str

    def score(self, answer: str, reference: str | None, question: str = "") -> Score:
        """Tell how good the answer is, by the reference and, where it is known, the question.

        A reference may have several forms (see `forms`): the one that says the best of the answer counts. Where it is
        `None` or blank, an answer that nothing speaks against is `no_reference`.
        """


def forms(reference: str | None) -> tuple[str, ...]:
    """Give the accepted forms of a reference, those that are blank left out."""
    if reference is None:
        return ()
    if _FORM_SEPARATOR not in reference:
        return () if not reference or reference.isspace() else (reference,)
    return tuple(form for form in reference.split(_FORM_SEPARATOR) if form and not form.isspace())


def is_quick(answer: str, reference: str | None, question: str) -> bool:
    """Tell whether any scorer is done with these within some milliseconds, so that nobody need mind its time."""
    accepted = 1 if reference is None else 1 + reference.count(_FORM_SEPARATOR)
    return (len(answer) + len(question)) * accepted + len(reference or "") <= _QUICK


def joined(accepted: Iterable[str | None]) -> str | None:
    """Write the accepted forms of a reference, the blank ones left out, as the one text that `forms` takes apart."""
    return _FORM_SEPARATOR.join(form for form in accepted if form and not form.isspace()) or None


def as_given(reference: str | None) -> Reference:
    """Give a reference as people read and write it."""
    if reference is None or _FORM_SEPARATOR not in reference:
        return reference
    return forms(reference)


def shown(reference: Reference) -> str | None:
    """Give a reference as one text for people."""
    return " | ".join(reference) if isinstance(reference, tuple) else reference


class TfidfScorer:
    """The cosine of the TF-IDF vectors of the answer and the reference, fitted on these two texts alone.

    It equals scikit-learn's `TfidfVectorizer()` and `cosine_similarity` to 1e-12 (with 100,000 different words
    and more, scikit-learn's own rounding exceeds that). It rewards shared words, not truth.

    scikit-learn (documentation of `TfidfTransformer`, `smooth_idf=True`) weighs a word t that stands in df(t) of n
    texts, c(t) times in this one, by the scheme of Salton & Buckley ("Term-weighting approaches in automatic text
    retrieval", 1988), as if one more text held every word once:

        c(t) * idf(t),   idf(t) = ln((1 + n) / (1 + df(t))) + 1

    With n = 2 there are two cases: idf = 1 for a word of both texts, and w = ln(3/2) + 1 for a word of one. Only words
    of both texts, S, add to the dot product, and their weight is 1, so that for counts a(t) and b(t)

        cosine = sum of a*b over S / sqrt(A * B)
        A = sum of a² over S + w² * (sum of a² over the rest),   B likewise

    in which every sum is a whole number. There is nothing to fit.

    Where a text has no word (a run of two word characters), scikit-learn raises or gives a 0.0 that means nothing.
    There, texts that are equal score 1.0, and anything else is `nothing_to_score`. Equal is: after NFKC, case folding
    and collapsing blanks; texts of more than 2,000 characters are compared without NFKC.
    """

    name = "tfidf"

    def score(self, answer: str, reference: str | None, question: str = "") -> Score:  # noqa: ARG002 - the protocol's
        """Tell how like the reference the answer is, symmetrically: 1.0 for the same words as often, 0.0 for none."""
        accepted = forms(reference)
        if not accepted:
            return _NO_REFERENCE
        ours = _counted(answer)
        if len(accepted) == 1:
            return _likeness(answer, ours, accepted[0])
        scores = [_likeness(answer, ours, form) for form in accepted]
        return max(scores, key=lambda score: -1.0 if score.value is None else score.value)


def _likeness(answer: str, ours: Counter[str], form: str) -> Score:
    theirs = _counted(form)
    if ours and theirs:
        return Score(_cosine(ours, theirs))
    return _EQUAL if folded(answer) == folded(form) else _NOTHING_TO_SCORE


def _counted(text: str) -> Counter[str]:
    """Split a text into words as scikit-learn does (lower case, runs of two word characters or more) and count them."""
    try:
        # Byte tables take a quarter of the regular expression's time, and most texts of Europe's languages fit.
        spaced = text.encode("latin-1").translate(_SPACED).decode("latin-1")
    except UnicodeEncodeError:
        return Counter(_find_words(text.lower()))
    counts = Counter(spaced.split())
    for single in _SINGLE.intersection(counts):
        del counts[single]
    return counts


def _cosine(ours: Counter[str], theirs: Counter[str]) -> float:
    """Compute the cosine (see `TfidfScorer`) of two texts, each of one word or more."""
    shared = ours.keys() & theirs.keys()
    if not shared:
        return 0.0
    our_counts = [ours[word] for word in shared]
    their_counts = [theirs[word] for word in shared]
    dot: int = sum(map(mul, our_counts, their_counts))
    # Rounding may leave proportional counts a hair above 1.
    return min(1.0, dot / sqrt(_square(ours, our_counts) * _square(theirs, their_counts)))


def _square(counts: Counter[str], of_shared: list[int]) -> float:
    """Square the length of a text's vector, given the counts of its words and of those that both texts have."""
    shared: int = sum(map(mul, of_shared, of_shared))
    everything: int = sum(map(mul, counts.values(), counts.values()))
    return shared + _LONE * (everything - shared)


def folded(text: str) -> str:
    """Rewrite a text so that texts that a reader takes for equal are equal."""
    if len(text) <= _NORMALISED_CHARACTERS:
        text = normalize("NFKC", text)
    return " ".join(text.casefold().split())


_NO_REFERENCE: Final = Score(None, NO_REFERENCE)
_NOTHING_TO_SCORE: Final = Score(None, NOTHING_TO_SCORE)
_EQUAL: Final = Score(1.0)
