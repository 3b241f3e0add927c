"""`tamiz report`."""

import click

from tamiz.cli.shared import debug_option

__all__ = ["report"]


@click.command(short_help="Write a page with plots of a run, an experiment or traffic.")
@click.argument("path", metavar="DIR|DB", default="tamiz.db")
@click.option("--out", metavar="DIR", help="Where it goes.  [default: DIR, or NAME-report beside the state file]")
@debug_option
def report(path: str, out: str | None) -> None:
    """Write report.html, one page that opens offline, with each plot as SVG and PNG beside it.

    DIR is the folder of an experiment or of a traffic run, DB a state file (tamiz.db unless told otherwise), which a
    run may be writing meanwhile. Prints where the page is.
    """
    from tamiz.reports import write_report  # noqa: PLC0415 - only with the extra

    click.echo(write_report(path, out))
