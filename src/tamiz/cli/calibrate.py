"""`tamiz calibrate`: the threshold for a wanted loss of good answers, or a wanted catch of bad ones."""

from pathlib import Path
from typing import Any

import click
import msgspec

from tamiz.cli.shared import debug_option, json_option, say_json
from tamiz.datasets import BadRow
from tamiz.datasets.answered import ROLES, Answered, is_good, read_answered
from tamiz.datasets.columns import parse_pairs
from tamiz.errors import UsageError
from tamiz.gate.calibrate import Calibration, Goal, Judged, Point, curve
from tamiz.gate.calibrate import calibrate as find_threshold
from tamiz.gate.spoil import spoil
from tamiz.scorers import make_scorer
from tamiz.scoring import Scorer
from tamiz.settings import load_settings
from tamiz.units import plural

__all__ = ["calibrate"]


@click.command(short_help="Find the threshold for a wanted loss of good answers or catch of bad ones.")
@click.argument("labelled", metavar="LABELLED")
@click.option("--scorer", metavar="NAME", help="tfidf, gate or gate-vectors.  [default: as in the settings]")
@click.option("--check", multiple=True, metavar="NAME=off", help="A check that is off, or one of your own.")
@click.option("--loss", type=click.FloatRange(0, 1), metavar="SHARE", help="Lose at most so many good answers.")
@click.option("--catch", type=click.FloatRange(0, 1), metavar="SHARE", help="Catch at least so many bad answers.")
@click.option("--columns", metavar="ROLE=NAME,…", help="Which column is what: question, answer, reference, label.")
@click.option("--plot", metavar="FILE", help="Draw it: .svg or .png.")
@json_option("Print the result as one JSON object.")
@debug_option
def calibrate(  # noqa: PLR0917 - click passes flags by name
    labelled: str,
    scorer: str | None,
    check: tuple[str, ...],
    loss: float | None,
    catch: float | None,
    columns: str | None,
    plot: str | None,
    as_json: bool,  # noqa: FBT001 - click's way of passing flags
) -> None:
    """Find the threshold on rows of question, answer, reference and label (1 good, 0 bad); the file is as for `score`.

    Without bad rows, bad answers are made from the good ones: another row's answer, a refusal, an echo, one cut off.
    The figures are cross-fitted: each row is judged by a threshold chosen on other questions. Default: --loss 0.05.
    """
    if loss is not None and catch is not None:
        raise UsageError("--loss and --catch are two ways to choose one threshold: give one of them")
    goal: Goal = "loss" if catch is None else "catch"
    wanted = catch if catch is not None else 0.05 if loss is None else loss
    if plot is not None and not plot.endswith((".svg", ".png")):
        raise UsageError(f"--plot {plot!r}: the name has to end in .svg or .png")
    settings = load_settings({"scorer": scorer, "check": check})
    made = make_scorer(settings.scorer, settings.check)
    rows = _read(labelled, columns)
    judged, unscored, spoiled = _judge(rows, made)
    try:
        found = find_threshold(judged, goal, wanted, seed=settings.seed)
    except ValueError as error:
        raise UsageError(
            f"{labelled!r}: {error} (of {plural(len(rows), 'row')}, {plural(unscored, 'has', 'have')} no score)"
        ) from None
    if plot is not None:
        _draw(plot, judged, found, made.name)
    if as_json:
        say_json(
            {
                "scorer": made.name,
                "goal": goal,
                "wanted": wanted,
                "unscored": unscored,
                "made": spoiled,
                **_plain(found),
            }
        )
    else:
        click.echo(_text(found, goal, wanted, made.name, unscored=unscored, made=spoiled))


def _read(path: str, columns: str | None) -> list[tuple[Answered, bool]]:
    """Read all rows, and whether each is good; raises `UsageError` at the first that cannot be read."""
    rows = []
    for row in read_answered(path, parse_pairs(columns, tuple(ROLES)) if columns else None):
        if isinstance(row, BadRow):
            raise UsageError(f"{path!r}, line {row.line}: {row.problem}")
        rows.append((row, is_good(row, path) is not False))
    return rows


def _judge(rows: list[tuple[Answered, bool]], scorer: Scorer) -> tuple[list[Judged], int, int]:
    """Score the rows, and bad ones made where there are none; tell how many have no score, and how many were made."""
    cases = [(row.question, row.answer, row.reference, good) for row, good in rows]
    made = []
    if all(good for _, good in rows):
        spoiled = spoil([(row.question, row.answer) for row, _ in rows])
        made = [(cases[at][0], text, cases[at][2], False) for at, _, text in spoiled]
    judged = []
    unscored = 0
    for question, answer, reference, good in [*cases, *made]:
        got = scorer.score(answer, reference, question)
        if got.value is None:
            unscored += 1
        else:
            judged.append(Judged(question or reference or answer, got.value, good))
    return judged, unscored, len(made)


def _plain(found: Calibration) -> dict[str, Any]:
    told: dict[str, Any] = msgspec.to_builtins(found)
    return told


def _text(found: Calibration, goal: Goal, wanted: float, scorer: str, *, unscored: int, made: int) -> str:
    aim = (
        f"at most {wanted:.1%} of the good answers lost"
        if goal == "loss"
        else f"at least {wanted:.1%} of the bad caught"
    )
    lines = [
        f"--scorer {scorer} --threshold {found.threshold:.4g}",
        f"  threshold, 95 %     {found.threshold_low:.4g} to {found.threshold_high:.4g}",
        f"wanted: {aim}; on {found.good:,} good and {found.bad:,} bad answers",
        f"  good answers lost   {_point(found.lost)}",
        f"  bad answers caught  {_point(found.caught)}",
        f"  area under the curve  {found.area.value:.3f} ({found.area.low:.3f} to {found.area.high:.3f})",
        f"the rows that it was chosen on would show {found.in_sample:.1%}; the figures above are cross-fitted",
    ]
    if made:
        lines.append(
            f"no bad answer was labelled: {plural(made, 'was', 'were')} made from the good ones; real ones may be "
            "harder to tell"
        )
    if unscored:
        lines.append(f"{plural(unscored, 'answer has', 'answers have')} no score, and left out (see --unscored)")
    return "\n".join(lines)


def _point(point: Point) -> str:
    return f"{point.value:.1%} ({point.low:.1%} to {point.high:.1%})"


def _draw(path: str, rows: list[Judged], found: Calibration, scorer: str) -> None:
    """Draw what each threshold loses and catches; the same rows give the same bytes."""
    try:
        import matplotlib as mpl  # noqa: PLC0415 - an extra, and slow to import

        mpl.use("Agg")
        mpl.rcParams["svg.hashsalt"] = "tamiz"
        from matplotlib import pyplot as plt  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise UsageError("--plot needs an extra that is not installed: pip install 'tamiz[lab]'") from error
    thresholds, lost, caught = zip(*curve(rows), strict=True)
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    left.step(thresholds, caught, where="post", color="#b3403a", label="bad answers caught")
    left.step(thresholds, lost, where="post", color="#2f6f9f", label="good answers lost")
    left.axvspan(found.threshold_low, found.threshold_high, color="0.9", label="threshold, 95 %")
    left.axvline(found.threshold, color="0.3", linewidth=1)
    left.set(xlabel=f"threshold ({scorer})", ylabel="share", xlim=(0, 1), ylim=(0, 1.02))
    left.legend(frameon=False)
    bins = [number / 25 for number in range(26)]
    right.hist(
        [[row.score for row in rows if row.good], [row.score for row in rows if not row.good]],
        bins=bins,
        color=["#2f6f9f", "#b3403a"],
        label=["good", "bad"],
    )
    right.axvline(found.threshold, color="0.3", linewidth=1)
    right.set(xlabel=f"score ({scorer})", ylabel="answers", xlim=(0, 1))
    right.legend(frameon=False)
    try:
        figure.savefig(Path(path), metadata={"Date": None} if path.endswith(".svg") else None, dpi=120)
    except OSError as error:
        raise UsageError(f"--plot {path!r} cannot be written: {error.strerror}") from error
    finally:
        plt.close(figure)
