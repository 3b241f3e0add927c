"""Bad answers, made from good ones: each kind of failure that the gate is asked to know."""

import re
from collections.abc import Sequence

from phrases import ECHOES, FILLERS, JUNK, REFUSALS
from questions import Asked, draw

__all__ = ["KINDS", "as_statement", "flip", "make", "topic", "truncate"]

KINDS = ("mismatch", "refusal", "echo", "junk", "truncated", "flipped", "wrong")

_STOP = frozenset(
    [
        "a",
        "an",
        "and",
        "are",
        "as",
        "at",
        "be",
        "been",
        "but",
        "by",
        "can",
        "could",
        "did",
        "do",
        "does",
        "for",
        "from",
        "had",
        "has",
        "have",
        "how",
        "if",
        "in",
        "into",
        "is",
        "it",
        "its",
        "may",
        "me",
        "more",
        "most",
        "much",
        "my",
        "no",
        "not",
        "of",
        "on",
        "one",
        "or",
        "our",
        "she",
        "should",
        "so",
        "some",
        "than",
        "that",
        "the",
        "their",
        "them",
        "there",
        "they",
        "this",
        "to",
        "was",
        "we",
        "were",
        "what",
        "when",
        "where",
        "which",
        "who",
        "whom",
        "whose",
        "why",
        "will",
        "with",
        "would",
        "you",
        "your",
    ]
)
_AUXILIARY = re.compile(r"\b(is|are|was|were|can|could|will|would|does|do|did|has|have|should|may|might)\b")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_NEGATED = re.compile(r"\b(?:not|never)\s|n't\b|\bno\b\s", re.IGNORECASE)
_WORD = re.compile(r"[^\W\d_][\w'-]*")


def pick(choices: Sequence[str], *key: object) -> str:
    """Pick one by the key alone."""
    return choices[int(draw(*key) * len(choices))]


def topic(question: str) -> str:
    """Give the last words of the question that tell what it is about."""
    words = [word for word in _WORD.findall(question) if word.lower() not in _STOP]
    return " ".join(words[-2:]) or "this"


def make(  # noqa: PLR0911 - one for each kind
    kind: str, asked: Asked, all_asked: Sequence[Asked], which: str, number: int = 0
) -> list[tuple[str, str]]:
    """Make bad answers of a kind to a question, each with the name of what was done; `which` lists to take."""
    key = (kind, asked.question, number)
    about = topic(asked.question)
    match kind:
        case "mismatch":
            other = all_asked[int(draw(*key) * len(all_asked))]
            same = other.question == asked.question
            return [] if same else [("another question's", pick((other.reference, *other.right), *key, "text"))]
        case "refusal":
            said = pick(REFUSALS[which], *key)
            return [(f"refusal {REFUSALS[which].index(said)}", said.format(topic=about))]
        case "echo":
            return _echoes(asked.question, about, which, key)
        case "junk":
            kinds = JUNK[which]
            name = pick(tuple(kinds), *key)
            words = sorted(_WORD.findall(" ".join(each.reference for each in all_asked[:: 1 + number % 7])[:20_000]))
            salad = " ".join(pick(words, *key, at) for at in range(12))
            text = pick(kinds[name], *key, "text")
            return [(name, text.format(topic=about, word=about.split()[-1], salad=salad).strip())]
        case "truncated":
            text = pick(asked.right, *key)
            cut = truncate(text, 0.3 + 0.6 * draw(*key, "at"))
            return [("truncated", cut)] if cut and cut != text else []
        case "flipped":
            return flip(asked, all_asked, key)
        case "wrong":
            return [("wrong", text) for text in asked.wrong]
    raise ValueError(kind)


def truncate(text: str, share: float) -> str:
    """Keep so much of a text, cut at any character."""
    return text[: round(len(text) * share)].rstrip()


def flip(asked: Asked, all_asked: Sequence[Asked], key: tuple[object, ...]) -> list[tuple[str, str]]:
    """Turn the reference into its contrary: by a negation, a number, an entity; each that it has a place for."""
    text = asked.reference
    made = []
    if (negated := _NEGATED.search(text)) and not text.lower().startswith("no,"):
        made.append(("negation", (text[: negated.start()] + " " + text[negated.end() :]).replace("  ", " ").strip()))
    elif place := _AUXILIARY.search(text):
        made.append(("negation", f"{text[: place.end()]} not{text[place.end() :]}"))
    elif len(text.split()) < 4:
        made.append(("negation", pick(("It is not {}.", "Not {}.", "{} is wrong."), *key, "short").format(text)))
    if number := _NUMBER.search(text):
        value = number[0].replace(",", "")
        other = str(int(float(value)) + 1 + int(draw(*key, "number") * 20))
        made.append(("number", text[: number.start()] + other + text[number.end() :]))
    names = _names(text)
    others = sorted({name for each in all_asked for name in _names(each.reference)} - set(_names(asked.question)))
    if names and others:
        mine = pick(names, *key, "mine")
        other = pick(others, *key, "other")
        if other != mine:
            made.append(("entity", text.replace(mine, other)))
    return made


def _names(text: str) -> list[str]:
    """Give capitalised words (runs of them) that do not start a sentence."""
    found = re.findall(r"(?<=[a-z,] )[A-Z][a-z]+(?: [A-Z][a-z]+)*", text)
    return [name for name in found if name not in {"I", "Yes", "No"}]


def _echoes(question: str, about: str, which: str, key: tuple[object, ...]) -> list[tuple[str, str]]:
    bare = question.rstrip("?").strip()
    filler = pick(FILLERS[which], *key)
    return [
        ("verbatim", question),
        ("statement", as_statement(bare)),
        ("with filler", f"{filler} {pick(ECHOES[which], *key, 'echo').format(question=question, topic=about)}"),
        ("statement with filler", f"{filler} {as_statement(bare)}."),
    ]


def as_statement(question: str) -> str:
    """Turn a question into a sentence that says nothing new: its question word dropped, its verb moved."""
    words = question.split()
    first = words[0].lower() if words else ""
    if first in {"what", "who", "which", "where", "when", "why", "how", "what's", "who's"}:
        words = words[1:]
        if words and _AUXILIARY.fullmatch(words[0].lower()):
            words = [*words[1:], words[0].lower()] if first in {"where", "when", "why", "how"} else words[1:]
        text = " ".join(words)
        text = {"why": f"There is a reason why {text}", "how": f"There is a way how {text}"}.get(first, text)
    else:
        text = f"The question is whether {' '.join([first, *words[1:]])}"
    return text[:1].upper() + text[1:]
