"""`tamiz score`: scores answers that somebody else gave."""

import click
import msgspec

from tamiz.cli.shared import debug_option, plain
from tamiz.datasets import BadRow
from tamiz.datasets.answered import ROLES, read_answered
from tamiz.datasets.columns import parse_pairs
from tamiz.scorers import make_scorer
from tamiz.scoring import Score
from tamiz.settings import load_settings
from tamiz.units import plural

__all__ = ["score"]


@click.command(short_help="Score rows of question, answer and reference.")
@click.argument("file", metavar="FILE")
@click.option("--scorer", metavar="NAME", help="tfidf, gate or gate-vectors.  [default: as in the settings]")
@click.option("--check", multiple=True, metavar="NAME=off", help="A check that is off, or one of your own.")
@click.option("--columns", metavar="ROLE=NAME,…", help="Which column is what: question, answer, reference, id.")
@click.option("--text", is_flag=True, help="Print lines to read, not JSON.")
@debug_option
def score(
    file: str,
    scorer: str | None,
    check: tuple[str, ...],
    columns: str | None,
    text: bool,  # noqa: FBT001 - click's way of passing flags
) -> None:
    """Score each row of FILE (.csv, .tsv, .jsonl, .parquet, also .gz), answers that somebody else gave.

    FILE may be - for JSON Lines on stdin. One JSON object a row, in the order of the file: line, id, score, reason (why
    there is no score) and reasons (what was found wrong). In JSON Lines and Parquet a reference may be a list of
    accepted forms. A row that is no answer has no score, and its reason; then the exit code is 3.
    """
    settings = load_settings({"scorer": scorer, "check": check})
    made = make_scorer(settings.scorer, settings.check)
    count = scored = bad = 0
    total = 0.0
    for row in read_answered(file, parse_pairs(columns, tuple(ROLES)) if columns else None):
        if isinstance(row, BadRow):
            bad += 1
            got = Score(None, f"{row.file} line {row.line}: {row.problem}")
        else:
            count += 1
            got = made.score(row.answer, row.reference, row.question)
        if got.value is not None:
            scored += 1
            total += got.value
        if text:
            shown = "   -" if got.value is None else f"{got.value:.2f}"
            said = "; ".join(got.reasons) or got.reason or ""
            click.echo(f"{shown}  {row.id or row.line}  {plain(said)}".rstrip())
        else:
            told = {"line": row.line, "id": row.id, "score": got.value, "reason": got.reason, "reasons": got.reasons}
            click.echo(msgspec.json.encode(told))
    mean = f", mean {total / scored:.3f}" if scored else ""
    none = f"; {plural(bad, 'row is', 'rows are')} no answer" if bad else ""
    click.echo(f"{plural(count, 'answer')} by {made.name}: {scored:,} scored{mean}{none}", err=True)
    click.get_current_context().exit(3 if bad else 0)
