"""`tamiz traffic`."""

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import Any, Literal

import click

from tamiz.cli.options import cluster_options, settings_of
from tamiz.cli.shared import aligned, debug_option, say_json
from tamiz.errors import UsageError
from tamiz.hosts.traffic import Emitted, Traffic, emit_traffic, plan_of
from tamiz.traffic.arrivals import ARRIVALS
from tamiz.traffic.popularity import POPULARITIES
from tamiz.traffic.run import TrafficReport
from tamiz.units import plural

__all__ = ["traffic"]


@click.command(short_help="Ask a dataset's questions by popularity and arrival process.")
@click.argument("dataset")
@click.option("--total", metavar="N", help="Questions to ask.  [default: 1000, without --duration]")
@click.option("--duration", metavar="TIME", help="How long to ask, such as 30s or 5m.")
@click.option("--arrivals", metavar="NAME", help=f"When: {', '.join(ARRIVALS)}.  [default: poisson]")
@click.option("--rate", metavar="R", help="Mean questions a second.  [default: 100]")
@click.option("--popularity", metavar="NAME", help=f"Which: {', '.join(POPULARITIES)}.  [default: zipf]")
@click.option("--alpha", metavar="A", help="Zipf's exponent.  [default: 1]")
@click.option("--seed", metavar="N", help="The same seed asks the same at the same times.  [default: 0]")
@click.option("--to", metavar="URL", help="Post them to a running service, such as http://localhost:8000.")
@cluster_options()
@click.option("--out", metavar="FILE", help="Write them to a .jsonl file, or to - (standard output).")
@click.option("--log", type=click.Choice(["jsonl", "parquet"]), default="jsonl", help="The kind of the log.")
@click.option("--run", metavar="NAME", help="The log's folder in data_collected.  [default: the time]")
@click.option(
    "--columns", metavar="ROLE=NAME,…", help='Which column is what: question=Question,reference="Best Answer".'
)
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON on stdout.")
@click.option("--quiet", "-q", is_flag=True, help="No progress and no summary.")
@debug_option
def traffic(  # noqa: PLR0917 - click passes flags by name
    dataset: str,
    to: str | None,
    out: str | None,
    log: Literal["jsonl", "parquet"],
    run: str | None,
    as_json: bool,  # noqa: FBT001 - click's way of passing flags, likewise below
    quiet: bool,  # noqa: FBT001
    **flags: Any,  # noqa: ANN401
) -> None:
    """Ask the questions of DATASET, the popular ones often, at the times of an arrival process.

    They go to a service (--to), a cluster (--bus and --store) or a file (--out); without any, to standard output.
    The schedule does not wait for answers: an answer that is late delays no later question, and how late each question
    was sent is reported. Each one is logged to data_collected/RUN/, with the parameters.

    burst takes on and off, the mean lengths of its periods (burst:on=1s,off=4s); diurnal takes period and depth
    (diurnal:period=1m,depth=0.8); shift takes every and by: Zipf, whose ranks move on by a share of all questions
    every so many (shift:every=1000,by=0.1). A trace is a file with a time in seconds on each line, or the events.jsonl
    of an earlier run.

    A service that asks for an API key gets that of TAMIZ_TRAFFIC_KEY (or of tamiz.toml, as traffic_key).

    Exit code 3: some questions did not get where they were sent.
    """
    settings = settings_of(
        {name if name in _AS_THEY_ARE else f"traffic_{name}": value for name, value in flags.items()}
    )
    if sum(place is not None for place in (to, out, flags["bus"])) > 1:
        raise UsageError("--to, --out and --bus are three places to send to: give one of them")
    asked = Traffic(settings=settings, dataset=dataset, plan=plan_of(settings), to=to, out=out, log=log, run=run)
    if as_json and asked.target == "-":
        raise UsageError("--json prints the summary on stdout, so the questions need another place: add --out FILE")
    with _progress(quiet=quiet) as watch:
        emitted = emit_traffic(asked, _say if not quiet else lambda _: None, watch)
    if as_json:
        say_json(emitted)
    if not quiet:
        click.echo(_summary(emitted, keyed=settings.traffic_key is not None), err=True)
    click.get_current_context().exit(130 if emitted.interrupted else 3 if emitted.undelivered else 0)


_WHOLE = 100
_AS_THEY_ARE = frozenset({"seed", "bus", "store", "columns"})


def _say(text: str) -> None:
    click.echo(f"tamiz: {text}", err=True)


def _summary(emitted: Emitted, *, keyed: bool) -> str:
    report = emitted.report
    outcomes = ", ".join(f"{count:,} {outcome}" for outcome, count in sorted(report.outcomes.items()))
    lines = [
        (
            "asked",
            f"{plural(report.sent, 'question')} in {report.seconds:,.1f} s, {report.rate:,.1f}/s, to {emitted.target}",
        ),
        ("of these", outcomes or "none"),
    ]
    if "http_401" in report.outcomes:
        give = "the service asks for an API key: give it in TAMIZ_TRAFFIC_KEY (tamiz keys make TENANT makes one)"
        lines.append(("http_401", "the service does not know the API key of TAMIZ_TRAFFIC_KEY" if keyed else give))
    if report.late_p50_ms is not None:
        late = f"sent {_ms(report.late_p50_ms)} after their time (p50), {_ms(report.late_p99_ms)} (p99)"
        lines.append(("late", f"{late}, {_ms(report.late_max_ms)} at most"))
    if report.held:
        lines.append(("held", f"{report.held:,} waited because as many as may be were under way"))
    if emitted.put_off:
        said = ", ".join(f"{count:,} times {status}" for status, count in sorted(emitted.put_off.items()))
        lines.append(("put off", f"{said}: sent again when the service said"))
    if emitted.bad_rows:
        lines.append(("left out", plural(emitted.bad_rows, "row that is no question", "rows that are no questions")))
    if report.state == "stopped":
        lines.append(("stopped", "before its end"))
    lines.append(("log", emitted.events))
    return aligned(lines)


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:,.3g} ms" if value < _WHOLE else f"{value:,.0f} ms"


@contextlib.contextmanager
def _progress(*, quiet: bool) -> Iterator[Callable[[TrafficReport], None] | None]:
    if quiet or not sys.stderr.isatty():
        yield None
        return

    def show(report: TrafficReport) -> None:
        click.echo(
            f"\r{report.sent:,} asked, {report.rate:,.0f}/s, {report.in_flight:,} under way, "
            f"late {_ms(report.late_p99_ms)} (p99)\x1b[K",
            nl=False,
            err=True,
        )

    try:
        yield show
    finally:
        click.echo("\r\x1b[K", nl=False, err=True)
