"""The words that tell the answers of people and of models apart."""

from collections.abc import Sequence
from typing import Final

from matplotlib.figure import Figure as Canvas

from tamiz.reports.document import Figure, Table
from tamiz.reports.numbers import count, joined, percent
from tamiz.reports.style import COLOURS, MUTED, soften
from tamiz.units import plural
from tamiz.vocabulary.contrast import PRIOR, Contrast

__all__ = ["words"]

_SHOWN: Final = 12
_SURE: Final = 1.96
_LENGTH: Final = 18


def words(found: Sequence[Contrast]) -> Figure | None:
    """Show the most contrasted words, of contrasts in their order; `None` where one side has no words."""
    people, models = sum(each.human for each in found), sum(each.model for each in found)
    if not people or not models:
        return None
    human = [each for each in found[:_SHOWN] if each.z > 0]
    model = [each for each in found[: -_SHOWN - 1 : -1] if each.z < 0]
    return Figure(
        name="words",
        title="Words that tell people and models apart",
        draw=lambda canvas, narrow: _draw(canvas, human, model, narrow=narrow),
        says=_says(found, human, model, people, models),
        how="Log-odds ratios with an informative Dirichlet prior (Monroe, Colaresi and Quinn 2008; prior of "
        f"{count(PRIOR)} words), in standard deviations. English and Spanish stop words are left out. References "
        "beside the answers that models' questions ended with, each question once.",
        table=Table(
            "Words that tell people and models apart",
            ("word", "people", "models", "log-odds", "z"),
            [
                (each.word, count(each.human), count(each.model), f"{each.log_odds:.2f}", f"{each.z:.1f}")
                for each in (*human, *reversed(model))
            ],
        ),
        height=0.8 + 0.23 * max(len(human), len(model), 2),
        narrow_height=1.1 + 0.23 * (len(human) + len(model)),
    )


def _draw(canvas: Canvas, human: Sequence[Contrast], model: Sequence[Contrast], *, narrow: bool) -> None:
    sides = [(title, rows, look) for title, rows, look in (
        ("more in people's answers", human, (COLOURS[0], "o", "-")),
        ("more in models' answers", model, (COLOURS[1], "s", "--")),
    ) if rows]  # fmt: skip
    if narrow:
        frames = canvas.subplots(len(sides), 1, squeeze=False, height_ratios=[len(rows) + 1 for _, rows, _ in sides])
    else:
        frames = canvas.subplots(1, len(sides), squeeze=False)
    for axes, (title, rows, (colour, marker, dashes)) in zip(frames.flat, sides, strict=True):
        places = range(0, -len(rows), -1)
        values = [abs(each.z) for each in rows]
        axes.hlines(places, 0, values, color=colour, linewidth=1.4, linestyle=dashes)
        axes.plot(values, places, marker, color=colour)
        axes.axvline(_SURE, color=MUTED, linestyle=":", linewidth=1)
        axes.set_yticks(places, [_short(each.word) for each in rows])
        axes.set(title=title, xlim=(0, None), ylim=(-len(rows) + 0.4, 0.6), xlabel="standard deviations (z)")
        soften(axes, grid="x")


def _says(
    found: Sequence[Contrast], human: Sequence[Contrast], model: Sequence[Contrast], people: int, models: int
) -> str:
    different = plural(len(found), "different one")
    said = [f"{plural(people, 'word')} of people and {count(models)} of models, {different} without stop words."]
    sure = [each for each in found if abs(each.z) > _SURE]
    if not sure:
        return f"{said[0]} No word differs by more than chance would explain (z above {_SURE})."
    for rows, who in ((human, "People's"), (model, "Models'")):
        clear = [
            f"“{_short(each.word)}” ({count(each.human)} : {count(each.model)})" for each in rows if abs(each.z) > _SURE
        ]
        if clear:
            told = "" if len(said) > 1 else ", uses by people : by models"
            said.append(f"{who} answers stand out by {joined(clear[:3])}{told}.")
    said.append(
        f"{plural(len(sure), 'word')} ({percent(len(sure) / len(found))}) differ by more than z = {_SURE} either way; "
        "by chance alone up to about 5 % would."
    )
    return " ".join(said)


def _short(word: str) -> str:
    return word if len(word) <= _LENGTH else word[: _LENGTH - 1] + "…"
