"""The questions of TruthfulQA, split by hash: one half makes the gate, the other is looked at only to measure."""

import csv
import os
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

__all__ = ["DATA", "Asked", "draw", "held_out", "load", "made_from", "short_questions", "trivia"]

DATA = Path(os.environ.get("TAMIZ_DATA", Path(__file__).parents[3] / "shared" / "data"))
"""The folder with `truthfulqa.csv` and `trivia_yahoo_format.csv`."""


class Asked(NamedTuple):
    """A question, its reference, the other answers that are right, and wrong ones that people believe."""

    question: str
    reference: str
    right: tuple[str, ...]
    wrong: tuple[str, ...]


def draw(*parts: object) -> float:
    """Give a number in [0, 1) that depends on the parts alone."""
    return int.from_bytes(blake2b("\0".join(map(str, parts)).encode(), digest_size=7).digest()) / 2**56


def load() -> list[Asked]:
    """Read the questions that have a right answer beside their reference.

    "I have no comment" is left out: the file counts it as right, a user of a gate calls it a refusal.
    """
    found = []
    with (DATA / "truthfulqa.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            reference = row["Best Answer"].strip()
            right = [text for text in _listed(row["Correct Answers"]) if text.rstrip(".") != reference.rstrip(".")]
            if right and "no comment" not in reference.lower():
                found.append(Asked(row["Question"], reference, tuple(right), tuple(_listed(row["Incorrect Answers"]))))
    return found


def made_from() -> list[Asked]:
    """Give the half that the gate is made from."""
    return [asked for asked in load() if draw("half", asked.question) < 0.5]


def held_out() -> list[Asked]:
    """Give the half that measures."""
    return [asked for asked in load() if draw("half", asked.question) >= 0.5]


def trivia() -> list[tuple[str, str, list[str]]]:
    """Read the trivia questions: question, right option, wrong options."""
    with (DATA / "trivia_yahoo_format.csv").open(encoding="utf-8", newline="") as file:
        return [
            (title, best, [each for each in content.removeprefix("Options: ").split("; ") if each != best])
            for _, title, content, best in csv.reader(file)
        ]


FORMS = {
    "made": ("It is {}.", "The answer is {}.", "{}, as far as I know.", "{statement}: {}.", "I think it was {}."),
    "apart": (
        "That would be {}.",
        "{} is the correct answer.",
        "{}!",
        "{} - {statement}.",
        "Most likely {}, I believe.",
    ),
}
"""How a short answer is given in a sentence."""


def short_questions(which: str, count: int, statement: Callable[[str], str]) -> list[Asked]:
    """Give trivia questions as `Asked`, right and wrong options in sentences; the halves have none in common."""
    chosen = [each for each in trivia() if (draw("trivia", each[0]) < 0.5) == (which == "made")]
    chosen = sorted(chosen, key=lambda each: draw("order", each[0]))[:count]
    found = []
    for question, best, others in chosen:
        told = statement(question.rstrip("?. "))
        right = [best, *(form.format(best, statement=told) for form in FORMS[which])]
        wrong = [
            FORMS[which][int(draw("form", question, other) * len(FORMS[which]))].format(other, statement=told)
            for other in others
        ]
        found.append(Asked(question, best, tuple(right), (*wrong, *others)))
    return found


def _listed(cell: str) -> list[str]:
    texts = (text.strip() for text in cell.split(";"))
    return [text for text in dict.fromkeys(texts) if text and "no comment" not in text.lower()]
