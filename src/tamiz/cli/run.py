"""`tamiz run`."""

import contextlib
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from tamiz.cli.options import settings_of, with_settings
from tamiz.cli.places import place_of
from tamiz.cli.render import summary_json, summary_text
from tamiz.cli.shared import say_strange_places
from tamiz.errors import UsageError
from tamiz.hosts.batch import Batch, Report, Summary, run_batch
from tamiz.statefile import StateFile
from tamiz.telemetry.telling import traced

__all__ = ["run"]


@click.command(short_help="Take every question of the files to its outcome.")
@click.argument("questions", nargs=-1, required=True, metavar="QUESTIONS…")
@click.option("--out", metavar="FILE", help="Where the rows go: .jsonl, .csv, .parquet, also .gz.  [default: stdout]")
@with_settings
@click.option("--fresh", is_flag=True, help="Forget the state file and start anew.")
@click.option("--resubmit", is_flag=True, help="On a cluster: ask open questions again that it has lost.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON on stdout (needs --out).")
@click.option("--quiet", "-q", is_flag=True, help="No progress and no summary.")
@click.option("--debug", is_flag=True, help="Show a traceback with an error.")
def run(  # noqa: PLR0917 - click passes flags by name
    questions: tuple[str, ...],
    out: str | None,
    fresh: bool,  # noqa: FBT001 - click's way of passing flags, likewise below
    resubmit: bool,  # noqa: FBT001
    as_json: bool,  # noqa: FBT001
    quiet: bool,  # noqa: FBT001
    debug: bool,  # noqa: ARG001, FBT001 - read by main()
    **flags: Any,  # noqa: ANN401
) -> None:
    """Take every question of the files to its outcome: one row for each row of the input, in its order.

    QUESTIONS are .csv, .tsv, .jsonl or .parquet files, each also .gz, or - for JSONL on stdin. The same command again
    goes on where it stopped, after Ctrl-C, kill -9 or a power cut.
    """
    if as_json and out in {None, "-"}:
        raise UsageError("--json prints the summary on stdout, so the rows need a file: add --out FILE")
    settings = settings_of(flags)
    place = place_of({"store": flags["store"], "bus": flags["bus"], "state": flags["state"]})
    if place.clustered and settings.bus is None:
        raise UsageError("--store is a cluster's database: name its bus too, with --bus kafka:HOST:PORT")
    if place.clustered and fresh:
        raise UsageError("--fresh forgets a state file; a cluster's store is everybody's, and a run does not empty it")
    if resubmit and not place.clustered:
        raise UsageError("--resubmit is for a cluster; a state file loses nothing: run the same command again")
    batch = Batch.prepare(settings, questions, out, clustered=place.clustered)
    if not quiet:
        say_strange_places(settings.prompt, _say)
    if fresh:
        _forget(settings.state)
    with _progress(questions, quiet=quiet) as watch:
        if place.clustered:
            from tamiz.hosts.follow import follow_batch  # noqa: PLC0415 - only with the extras of a cluster

            summary = follow_batch(batch, watch, _say if not quiet else _nothing, resubmit=resubmit)
        else:
            with traced(settings, batch.clock) as spans, StateFile(settings.state) as state:
                summary = run_batch(batch, state, watch, spans)
    if as_json:
        click.echo(json.dumps(summary_json(summary, place.name, out)))
    if not quiet:
        click.echo(summary_text(summary, place.name, place.flags, out), err=True)
    click.get_current_context().exit(_exit_code(summary))


def _say(text: str) -> None:
    click.echo(f"tamiz: {text}", err=True)


def _nothing(_: str) -> None:
    return


def _exit_code(summary: Summary) -> int:
    if summary.stopped is not None:
        return 130 if summary.stopped == "interrupted" else 4
    return 3 if summary.totals.failed else 0


def _forget(path: str) -> None:
    if Path(path).exists():
        if sys.stdin.isatty() and sys.stderr.isatty():
            click.confirm(f"Forget all questions and answers in {path}?", abort=True, err=True)
        StateFile.remove(path)


@contextlib.contextmanager
def _progress(files: Sequence[str], *, quiet: bool) -> Iterator[Callable[[Report], None] | None]:
    if quiet:
        yield None
        return
    if not sys.stderr.isatty():
        from tamiz.cli.endpoints import Notices  # noqa: PLC0415 - like the other one

        yield Notices(lambda text: click.echo(f"tamiz: {text}", err=True)).watch
        return
    from tamiz.cli.progress import progress  # noqa: PLC0415 - rich is slow to import

    with progress(files) as watch:
        yield watch
