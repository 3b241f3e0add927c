"""`tamiz export`."""

import click

from tamiz.cli.places import place_of, place_options
from tamiz.cli.shared import debug_option
from tamiz.errors import UsageError
from tamiz.messages import Outcome
from tamiz.output import open_output
from tamiz.store.lives import Wanted
from tamiz.units import plural

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
@place_options
@debug_option
def export(  # noqa: PLR0917 - click passes flags by name
    out: str | None,
    everything: bool,  # noqa: FBT001 - click's way of passing flags
    outcome: tuple[str, ...],
    min_score: float | None,
    state: str | None,
    store: str | None,
) -> None:
    """Write finished rows, the accepted ones unless told otherwise, as `tamiz run` writes them.

    They come in the order of their submission, those of each run's settings together. A row without a score has none
    to compare, so --min-score leaves it out. Works while a run is running.
    """
    if everything and outcome:
        raise UsageError("--all is every outcome already: leave out --outcome, or --all")
    place = place_of({"state": state, "store": store})
    not_these = [] if place.clustered else [place.name]
    outcomes = tuple(Outcome) if everything else outcome or (Outcome.ACCEPTED,)
    count = 0
    with place.reader() as reader, open_output(out, not_these=not_these) as output:
        for page in reader.finished(Wanted(outcomes=outcomes, min_score=min_score)):
            output.write(page)
            count += len(page)
    where = f" in {out}" if out not in {None, "-"} else ""
    click.echo(f"{plural(count, 'row')} ({', '.join(outcomes)}){where}", err=True)
