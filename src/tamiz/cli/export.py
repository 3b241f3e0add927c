"""`tamiz export`."""

import click
import msgspec

from tamiz.cli.options import settings_of, state_option
from tamiz.cli.shared import debug_option
from tamiz.errors import UsageError
from tamiz.messages import Outcome
from tamiz.output import ResultRow, open_output
from tamiz.store.sqlite.reader import StateReader

__all__ = ["export"]


@click.command(short_help="Write accepted (or all) rows to a file.")
@click.option("--out", metavar="FILE", help="Where the rows go: .jsonl, .csv, .parquet, also .gz.  [default: stdout]")
@click.option("--all", "everything", is_flag=True, help="Rows of every outcome.")
@click.option(
    "--outcome",
    multiple=True,
    type=click.Choice([outcome.value for outcome in Outcome]),
    help="Rows of this outcome; may be given several times.",
)
@click.option("--min-score", type=click.FloatRange(0, 1), metavar="SCORE", help="Only rows with at least this score.")
@state_option
@debug_option
def export(
    out: str | None,
    everything: bool,  # noqa: FBT001 - click's way of passing flags
    outcome: tuple[str, ...],
    min_score: float | None,
    state: str | None,
) -> None:
    """Write finished rows, the accepted ones unless told otherwise, as `tamiz run` writes them.

    They come in the order of their submission, those of each run's settings together. A row without a score has none
    to compare, so --min-score leaves it out. Works while a run is running.
    """
    if everything and outcome:
        raise UsageError("--all is every outcome already: leave out --outcome, or --all")
    path = settings_of({"state": state}).state
    outcomes = tuple(Outcome) if everything else outcome or (Outcome.ACCEPTED,)
    count = 0
    with StateReader(path) as reader, open_output(out, not_these=[path]) as output:
        for page in reader.finished(outcomes, min_score):
            output.write([ResultRow(*msgspec.structs.astuple(row)) for row in page])
            count += len(page)
    where = f" in {out}" if out not in {None, "-"} else ""
    click.echo(f"{count:,} row{'' if count == 1 else 's'} ({', '.join(outcomes)}){where}", err=True)
