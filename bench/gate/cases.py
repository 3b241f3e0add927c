"""Labelled rows: good answers and all kinds of bad ones, and what the gate measures of them."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from kinds import KINDS, make, pick
from phrases import FILLERS
from questions import Asked

from tamiz.gate.heads import measure
from tamiz.gate.pair import Pair
from tamiz.gate.text import Text

__all__ = ["Measured", "Row", "equal_pairs", "measure_all", "rows_of"]


class Row(NamedTuple):
    """An answer, with its question's number, the kind of it and what was done to make it."""

    group: int
    kind: str
    how: str
    question: str
    reference: str
    answer: str


class Measured(NamedTuple):
    """What was measured of a row, beside its reference and alone."""

    beside: dict[str, float]
    alone: dict[str, float]


def rows_of(all_asked: Sequence[Asked], which: str) -> list[Row]:
    """Give the good and the bad answers of questions; `which` phrases bad ones are made with.

    Good ones: each right answer (`short`), a few of them as one text (`long`), one after a phrase (`after a phrase`),
    one with a full stop (`stopped`).
    """
    return [row for group, asked in enumerate(all_asked) for row in _of(group, asked, all_asked, which)]


def _of(group: int, asked: Asked, all_asked: Sequence[Asked], which: str) -> Iterator[Row]:
    def row(kind: str, how: str, answer: str) -> Row:
        return Row(group, kind, how, asked.question, asked.reference, answer)

    for answer in asked.right:
        yield row("good", "short", answer)
    if len(asked.right) > 1:
        yield row("good", "long", ". ".join(asked.right[:4]) + ".")
    one = pick(asked.right, asked.question, "one")
    yield row("good", "stopped", one.rstrip(".") + ".")
    yield row("good", "after a phrase", f"{pick(FILLERS[which], asked.question, 'phrase')} {one.rstrip('.')}.")
    for kind in KINDS:
        for number in range(1 if kind in {"echo", "flipped", "wrong"} else 3):
            for how, answer in make(kind, asked, all_asked, which, number):
                yield row(kind, how, answer)


def equal_pairs(rows: Sequence[Row]) -> list[tuple[int, int, int]]:
    """Give (question, good row, wrong row) of equal polarity: opened and denied alike."""
    side = {}
    for at, row in enumerate(rows):
        if row.kind == "wrong" or row.how == "short":
            text = Text(row.answer)
            side[at] = (text.opener, text.denials % 2)
    by_group: dict[int, list[int]] = {}
    for at in side:
        by_group.setdefault(rows[at].group, []).append(at)
    return [
        (group, one, other)
        for group, members in by_group.items()
        for one in members
        if rows[one].kind == "good"
        for other in members
        if rows[other].kind == "wrong" and side[one] == side[other]
    ]


def measure_all(rows: Sequence[Row], *, with_vectors: bool) -> list[Measured]:
    """Measure rows; each text is taken apart once."""
    texts: dict[str, Text] = {}

    def text(raw: str) -> Text:
        if raw not in texts:
            texts[raw] = Text(raw)
        return texts[raw]

    measured = []
    for row in rows:
        question, answer = text(row.question), text(row.answer)
        measured.append(
            Measured(
                measure(Pair(question, answer, text(row.reference)), with_vectors=with_vectors),
                measure(Pair(question, answer, None), with_vectors=with_vectors),
            )
        )
    return measured
