"""Junk: what answers nothing: repetition, markup, error pages, leaked prompts, another language, no words."""

import re
from collections import Counter
from collections.abc import Iterator
from typing import Final

from tamiz.gate.language import language, script
from tamiz.gate.pair import Pair
from tamiz.gate.text import stem
from tamiz.gate.vocabulary import levels

__all__ = ["FEATURES", "features", "found", "marks"]

FEATURES: Final = ("junk.mark", "junk.unknown", "junk.empty", "junk.salad", "junk.same")

_MARKUP: Final = re.compile(
    r"<(?:!doctype|/?(?:html|head|body|div|span|p|a|br|script|table|ul|li|meta|title|h\d))\b[^>]*>", re.IGNORECASE
)
_ERROR: Final = re.compile(
    r"traceback \(most recent call last\)|\b(?:4\d\d|5\d\d) (?:bad|not found|forbidden|unauthorized|internal|"
    r"service|gateway|"
    r"too many)\b|\b(?:bad gateway|internal server error|service unavailable|gateway time-?out|access denied|"
    r"connection (?:refused|"
    r"reset|timed out)|rate limit(?:ed)?\b.*\b(?:reached|exceeded)|rate limit|please try again later|page not found|"
    r"null ?pointer|segmentation fault|stack ?trace|undefined is not)\b|^(?:fatal |uncaught |http )?(?:error|"
    r"exception|warning)\b\s*:",
    re.IGNORECASE | re.MULTILINE,
)
_LEAK: Final = re.compile(
    r"<\|[a-z_]+\|>|\[/?(?:inst|system|sys)\]|<</?sys>>|^#{2,} ?(?:instruction|response|input|system|user|"
    r"assistant|human)\b|"
    r"^(?:system|user|human|assistant)\s*:|\byou are (?:a|an) (?:\w+ ){0,3}(?:assistant|ai|language model|"
    r"chatbot)\b|</?s>|"
    r"\b(?:system prompt|do not (?:mention|reveal) (?:these|this|the) (?:rules?|instructions?|prompt))\b|"
    r"\{\{\s*\w+\s*\}\}|"
    r"\{(?:question|title|content|answer|input)\}",
    re.IGNORECASE | re.MULTILINE,
)
_LOREM: Final = re.compile(r"\blorem ipsum\b|\bdolor sit amet\b", re.IGNORECASE)
_EMPTY: Final = frozenset(
    map(
        stem,
        "aspect aspects interesting important consider considered considering complex complicated topic subject "
        "side sides world "
        "today matter matters approach approached different merit merits various many factor factors perspective "
        "perspectives "
        "view views opinion point points way ways people everyone important essential crucial fascinating learn "
        "learned "
        "understand discuss discussed think thought look closer detail details count counts conclusion summary "
        "overall "
        "general ultimately valid own unique case cases situation depend depends thing things issue issues "
        "question answer "
        "great good lot much more ever always first finally note worth noting keep mind remember explore "
        "exploring say said "
        "number range variety deep deeper know information provide context level place come full take life role "
        "play key "
        "significant journey delve aware clear helpful hope useful interest area field idea ideas concept mean "
        "meaning".split(),
    )
)
_ASKS_FOR_CODE: Final = re.compile(
    r"\b(?:json|html|xml|code|markup|tag|script|error|sql|python|javascript|program)\b", re.IGNORECASE
)


def marks(pair: Pair) -> list[str]:
    """Say each thing that marks an answer as no answer, in words."""
    raw = pair.answer.raw
    found = []
    if not any(map(str.isalnum, raw)):
        found.append("there is no word in it")
    if not _ASKS_FOR_CODE.search(pair.question.raw):
        found.extend(_code(raw))
    if match := _LEAK.search(raw):
        found.append(f"instructions leaked: {_shown(match[0])}")
    if _LOREM.search(raw):
        found.append("placeholder text")
    if repeated := _repeated(pair.answer.words):
        found.append(f"it repeats {_shown(repeated)}")
    if foreign := _foreign(pair):
        found.append(foreign)
    return found


def _code(raw: str) -> Iterator[str]:
    text = raw.strip()
    if len(_MARKUP.findall(raw)) > 1:
        yield "markup where text was asked for"
    elif text[:1] in {"{", "["} and text[-1] in "}]" and '"' in text and ":" in text:
        yield "JSON where text was asked for"
    if match := _ERROR.search(raw):
        yield f"an error message: {_shown(match[0])}"


def _foreign(pair: Pair) -> str | None:
    expected = script(pair.question.raw) or (pair.reference and script(pair.reference.raw))
    got = script(pair.answer.raw)
    if expected and got and got != expected and len(pair.answer.raw.strip()) > 3:
        return f"it is in {got} script, the question in {expected}"
    asked, answered = language(pair.question.words), language(pair.answer.words)
    if asked and answered and asked != answered:
        return f"it is in {answered}, the question in {asked}"
    return None


def features(pair: Pair) -> tuple[float, ...]:
    """Tell how much an answer looks like junk; see `FEATURES`."""
    answer = pair.answer
    known = levels()
    words = answer.words
    expected = pair.question.content | (pair.reference.content if pair.reference else frozenset())
    strange = [
        word
        for word in words
        if word not in known
        and not word[-1].isdigit()
        and stem(word) not in expected
        and stem(word) not in answer.names
    ]
    if not pair.english:  # the words that are known are English
        strange = []
    fresh = pair.said
    empty = sum(word in _EMPTY for word in fresh)
    full = sum(word not in _EMPTY for word in fresh)
    joints = len(words) - len(answer.order)
    return (
        float(bool(marks(pair))),
        len(strange) / max(len(words), 3),
        empty / (empty + full + 2),
        max(0.0, 0.3 - joints / len(words)) if len(words) > 6 else 0.0,
        1 - len(set(words)) / len(words) if len(words) > 8 else 0.0,
    )


def found(pair: Pair) -> str:
    """Say what was found, in words."""
    said = marks(pair)
    return f"junk: {said[0]}" if said else "junk: the words make no statement"


def _repeated(words: list[str]) -> str:
    """Give the words that make up most of a text by being said again and again; empty where none do."""
    if len(words) < 8:
        return ""
    for size in (1, 2, 3, 5):
        runs = Counter(zip(*(words[at:] for at in range(size)), strict=False))
        if not runs:
            break
        run, times = runs.most_common(1)[0]
        if times > 3 and times * size * (2 if size == 1 else 1) >= len(words):
            return " ".join(run)
    return ""


def _shown(text: str) -> str:
    text = " ".join(text.split())
    return repr(text if len(text) <= 40 else text[:39] + "…")
