"""Makes the list of words that the gate ships: how common each is, counted in the questions it is made from.

`python bench/gate/frequencies.py` writes `src/tamiz/gate/words.txt`: eight lines, the rarest words first, each word of
a line about twice as frequent as those of the line before; a ninth with words that hardly ever end a sentence, though
they are common enough to.
"""

import re
from collections import Counter
from pathlib import Path

from questions import made_from, trivia

OUT = Path(__file__).parents[2] / "src" / "tamiz" / "gate" / "words.txt"
LEVELS = 8
SEEN = 10
"""Times that a word is seen before anything is said of where it stands."""
RARELY = 0.02
"""The share of its places that end a sentence, for a word that wants another after it."""
_WORD = re.compile(r"[^\W\d_]+(?:['\u2019][^\W\d_]+)*")


def count() -> tuple[Counter[str], Counter[str], Counter[str]]:
    """Count words, those that are seen in lower case, and those that end a sentence."""
    counts: Counter[str] = Counter()
    lower: Counter[str] = Counter()
    last: Counter[str] = Counter()
    texts = [text for title, best, others in trivia() for text in (title, best, *others)]
    for asked in made_from():
        texts.extend((asked.question, asked.reference, *asked.right, *asked.wrong))
    for text in texts:
        for word in _WORD.findall(text):
            plain = word.lower().replace("\u2019", "'")
            counts[plain] += 1
            lower[plain] += word == plain
        for sentence in re.split(r"[.!?;]", text):
            if len(words := _WORD.findall(sentence)) > 2:
                last[words[-1].lower().replace("\u2019", "'")] += 1
    return counts, lower, last


def _wants_more(word: str, counts: Counter[str], lower: Counter[str], last: Counter[str]) -> bool:
    times = counts[word]
    return word.isascii() and times >= SEEN and last[word] <= RARELY * times and 2 * lower[word] > times  # no names


def main() -> None:
    counts, lower, last = count()
    levels: list[list[str]] = [[] for _ in range(LEVELS)]
    for word, times in counts.items():
        if times > 1 and word.isascii() and (lower[word] or times > 2):
            levels[min(LEVELS - 1, times.bit_length() - 2)].append(word)
    levels.append(sorted(word for word in counts if _wants_more(word, counts, lower, last)))
    OUT.write_text("".join(f"{' '.join(sorted(level))}\n" for level in levels), encoding="ascii")
    print([len(level) for level in levels], OUT.stat().st_size)


if __name__ == "__main__":
    main()
