"""A text as the checks see it: its words, what they stand for, and what it says beside its grammar."""

import re
from functools import lru_cache
from typing import Final

from tamiz.gate.lexicon import ALIASES, DENIALS, NUMBERS, OPENERS, STOP
from tamiz.gate.vocabulary import weight

__all__ = ["LOOKED_AT", "Text", "grams", "stem"]

LOOKED_AT: Final = 20_000
"""Characters of a text that are looked at; what comes after decides nothing, so that time is bounded."""

_WORD: Final = re.compile(
    r"(?:(?<!\S)[-\u2212])?\d+(?:[.,]\d+)*|\b(?:[A-Z]\.){2,}|[^\W\d_]+(?:['\u2019][^\W\d_]+)*(?:\+\+|#)?"
)
_STATES: Final = frozenset({"US", "U.S."})
"""They are no pronoun."""
_SENTENCE_END: Final = '.!?:\n"\u201c(-\u2022*'
_CLAUSE: Final = 2


class Text:
    """A text, taken apart once; words are in lower case, with a straight apostrophe.

    `keys` are all of them as stems and digits, to be found again in another text. `content` are the stems of the words
    that carry a topic, `order` the same as they come, `weights` what each counts for, `surface` the word it is of.
    `numbers` are in digits. `names` are the stems of words that are written with a capital where no sentence starts.
    `denials` counts words that deny, an opening "no" not among them. `opener` is 1 for an opening yes, -1 for an
    opening no, else 0.
    """

    __slots__ = (
        "content",
        "denials",
        "keys",
        "names",
        "numbers",
        "opener",
        "order",
        "raw",
        "surface",
        "weights",
        "words",
    )

    def __init__(self, raw: str) -> None:
        self.raw = raw = raw[:LOOKED_AT]
        words: list[str] = []
        keys: list[str] = []
        order: list[str] = []
        weights: dict[str, float] = {}
        surface: dict[str, str] = {}
        names: set[str] = set()
        numbers: set[str] = set()
        denials = 0
        for match in _WORD.finditer(raw):
            shown = match[0]
            word = "usa" if shown in _STATES else shown.lower().replace("\u2019", "'")
            words.append(word)
            if shown[-1].isdigit():
                number = word.replace(",", "").replace("\u2212", "-")
                numbers.add(number)
                keys.append(number)
                order.append(number)
                weights[number] = 1.0
                surface[number] = number
                continue
            if word in NUMBERS:
                numbers.add(NUMBERS[word])
            word = ALIASES.get(word, word)
            keys.append(NUMBERS.get(word) or stem(word))
            if word in DENIALS:
                denials += 1
            elif word not in STOP:
                order.append(stem(word))
                weights[order[-1]] = weight(word)
                surface[order[-1]] = word
                if shown[0].isupper() and not _starts_sentence(raw, match.start()):
                    names.add(order[-1])
        self.words = words
        self.keys = keys
        self.opener = OPENERS.get(words[0], 0) if words else 0
        self.denials = denials - (words[:1] == ["no"] and _is_answer(raw))
        self.order = order
        self.weights = weights
        self.surface = surface
        self.content = frozenset(order)
        self.names = frozenset(names)
        self.numbers = frozenset(numbers)


def _starts_sentence(raw: str, at: int) -> bool:
    before = raw[max(0, at - 3) : at].rstrip(" ")
    return not before or before[-1] in _SENTENCE_END


def _is_answer(raw: str) -> bool:
    """Tell whether an opening "no" answers a question ("No, …") rather than deny a noun ("No man …")."""
    return raw.lstrip()[2:3] in {",", ".", "", ";", "!", ":"}


@lru_cache(maxsize=1 << 16)
def stem(word: str) -> str:
    """Cut an English word's endings, so that forms of a word are equal: a rule of thumb, the same for both texts."""
    word = word.removesuffix("'s").removesuffix("'")
    if len(word) > 4:
        if word.endswith("ies"):
            word = word[:-3] + "y"
        elif word.endswith(("sses", "shes", "ches", "xes", "zes")):
            word = word[:-2]
        elif word.endswith("s") and not word.endswith(("ss", "us", "is")):
            word = word[:-1]
    elif len(word) == 4 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        word = word[:-1]
    for ending in ("ing", "ed", "ly"):
        if word.endswith(ending) and len(word) - len(ending) > _CLAUSE:
            word = word[: -len(ending)]
            if len(word) > 3 and word[-1] == word[-2] and word[-1] not in "lsz":
                word = word[:-1]
            break
    return word[:-1] if len(word) > 3 and word.endswith("e") else word


def grams(words: frozenset[str] | set[str]) -> set[str]:
    """Give the runs of three characters of words, each word with a mark at its start and end."""
    return set().union(*map(_grams, words))


@lru_cache(maxsize=1 << 14)
def _grams(word: str) -> frozenset[str]:
    marked = f"^{word}$"
    return frozenset(marked[at : at + 3] for at in range(max(1, len(marked) - 2)))
