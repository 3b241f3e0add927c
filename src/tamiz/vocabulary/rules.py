"""What a word is. One rule for every engine that counts: this file imports none of them."""

import unicodedata
from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from typing import Final

__all__ = ["SIDES", "WORD", "fold", "folded", "stop_words"]

SIDES: Final = ("human", "model")

# Code points, not Unicode's classes: engines know different versions of Unicode, and a class differs between them.
# Letters, digits and marks of nearly all scripts; no punctuation, symbols, emoji or private use.
_LETTERS: Final = (
    r"[0-9A-Za-zªµº\x{C0}-\x{D6}\x{D8}-\x{F6}\x{F8}-\x{2C1}\x{300}-\x{37D}\x{37F}-\x{386}\x{388}-\x{589}\x{5D0}-\x{60B}"
    r"\x{620}-\x{669}\x{66E}-\x{6D3}\x{6D5}-\x{963}\x{966}-\x{1FFF}\x{2C00}-\x{2DFF}\x{3005}-\x{3007}\x{3021}-\x{D7FF}"
    r"\x{F900}-\x{FE0F}\x{FE20}-\x{FE2F}\x{FE70}-\x{FEFC}\x{FF10}-\x{FF19}\x{FF21}-\x{FF3A}\x{FF41}-\x{FF5A}"
    r"\x{FF66}-\x{FFDC}\x{10000}-\x{1EFFF}\x{20000}-\x{3FFFF}]+"
)
WORD: Final = rf"{_LETTERS}(?:['\x{{2019}}]{_LETTERS})*"
"""A regular expression that RE2 and Java read alike: a run of letters and digits, with apostrophes inside.

Engines count words as they are written; `folded` brings the spellings together afterwards, once a word and not once an
occurrence, in Python, so that no two engines' ideas of lower case can differ.
"""

_SHORTEST: Final = 2


def fold(word: str) -> str | None:
    """Give a word as it is counted: composed (NFC), lower case, straight apostrophes; `None` where it does not count.

    Words without a letter, of one character, and stop words of English and Spanish do not count.
    """
    word = unicodedata.normalize("NFC", unicodedata.normalize("NFC", word).lower()).replace("\u2019", "'")
    if len(word) < _SHORTEST or word in stop_words() or not any(map(str.isalpha, word)):
        return None
    return word


def folded(counts: Iterable[tuple[str, str, int]]) -> dict[str, tuple[int, int]]:
    """Add up counts of (side, word as written, count): how often people and models use each word."""
    words: dict[str, list[int]] = {}
    for side, written, count in counts:
        word = fold(written)
        if word is not None:
            words.setdefault(word, [0, 0])[SIDES.index(side)] += count
    return {word: (human, model) for word, (human, model) in words.items()}


@cache
def stop_words() -> frozenset[str]:
    """Give the words that say little of what a text is about. Both lists are tamiz's own."""
    folder = files("tamiz.vocabulary")
    texts = (folder.joinpath(f"stopwords_{language}.txt").read_text(encoding="utf-8") for language in ("en", "es"))
    return frozenset(word for text in texts for word in text.split())
