"""Which script and which language of Europe a text is in, by its letters and its most common words."""

from typing import Final

__all__ = ["language", "script"]

_WORDS: Final = {
    "English": "the of and to in is that it for was on are as with they be at this have from not by but what all "
    "were when your "
    "can there you an or which their if will",
    "Spanish": "el la de que y en los se del las por un para con no una su al lo como más pero sus le ya o este "
    "sí porque esta "
    "entre cuando muy sin sobre es son está hay esa ese eso tengo puede ser",
    "French": "le la de et les des en un du une que est pour qui dans a par plus pas au sur ne se ce il sont la "
    "avec son mais "
    "ou cette ces être c'est nous vous je elle peut très",
    "German": "der die und in den von zu das mit sich des auf für ist im dem nicht ein eine als auch es an werden "
    "aus er hat "
    "dass sie nach wird bei einer um am sind noch wie einem über so man kann diese aber oder wir ich",
    "Italian": "il di che e la in un a per è una sono con non si da come anche le dei del nel alla più ma gli "
    "questo della lo "
    "ha delle ci se questa può essere",
    "Portuguese": "o de a que e do da em um para com não uma os no se na por mais as dos como mas ao ele das à "
    "seu sua ou "
    "quando muito nos já está eu também só pelo isso são é pode",
    "Dutch": "de het een van en in is dat op te zijn met voor niet aan er om ook als dan maar bij nog uit wordt "
    "naar heeft "
    "worden deze kan je hij ze door geen",
}
_LANGUAGES: Final[dict[str, list[str]]] = {}
"""The languages of each common word."""
for _name, _words in _WORDS.items():
    for _word in set(_words.split()):
        _LANGUAGES.setdefault(_word, []).append(_name)
_BLOCKS: Final = (
    (0x0370, 0x03FF, "Greek"),
    (0x0400, 0x052F, "Cyrillic"),
    (0x0590, 0x05FF, "Hebrew"),
    (0x0600, 0x06FF, "Arabic"),
    (0x0900, 0x0DFF, "Indic"),
    (0x0E00, 0x0E7F, "Thai"),
    (0x3040, 0x9FFF, "East Asian"),
    (0xAC00, 0xD7AF, "East Asian"),
)
_ENOUGH: Final = 3


def script(raw: str) -> str | None:
    """Give the script of most of a text's letters; `None` where it has none, or no script has most."""
    if raw.isascii():
        return "Latin" if any(map(str.isalpha, raw)) else None
    counts: dict[str, int] = {}
    for char in raw:
        if char.isalpha():
            code = ord(char)
            name = "Latin" if code < 0x250 else _block(code)
            counts[name] = counts.get(name, 0) + 1
    best = max(counts, key=lambda name: counts[name], default=None)
    return best if best is not None and 2 * counts[best] > sum(counts.values()) else None


def _block(code: int) -> str:
    return next((name for low, high, name in _BLOCKS if low <= code <= high), "other")


def language(words: list[str]) -> str | None:
    """Give the language that a text's common words are of; `None` where too few are, or two languages come close."""
    counted = dict.fromkeys(_WORDS, 0)
    for word in words:
        for name in _LANGUAGES.get(word, ()):
            counted[name] += 1
    counts = sorted(((count, name) for name, count in counted.items()), reverse=True)
    (most, name), (second, _) = counts[:2]
    return name if most >= _ENOUGH and most >= second + 2 and 5 * most >= len(words) else None
