"""`tamiz experiment`."""

import sys
import tomllib
from pathlib import Path
from typing import Any

import click

from tamiz.cli.options import cluster_options, settings_of
from tamiz.cli.shared import debug_option
from tamiz.errors import Interrupted, UsageError
from tamiz.lab.cells import Cell
from tamiz.lab.experiment import Experiment
from tamiz.lab.preset import Value, load_preset
from tamiz.units import plural

__all__ = ["experiment"]


@click.command(short_help="Measure a grid of settings, and report on it.")
@click.argument("preset", metavar="NAME|FILE.toml")
@click.option("--out", required=True, metavar="DIR", help="The folder of its data and its report.")
@click.option("--quick", is_flag=True, help="A small one, of two minutes at most.")
@click.option("--set", "given", multiple=True, metavar="NAME=VALUE", help="A parameter over the file's; repeatable.")
@cluster_options()
@click.option(
    "--flink", metavar="URL", help="Its Flink, such as http://localhost:8081, where the judge is to run there."
)
@click.option("--quiet", "-q", is_flag=True, help="No progress.")
@debug_option
def experiment(  # noqa: PLR0917 - click passes flags by name
    preset: str,
    out: str,
    quick: bool,  # noqa: FBT001 - click's way of passing flags, likewise below
    given: tuple[str, ...],
    bus: str | None,
    store: str | None,
    flink: str | None,
    quiet: bool,  # noqa: FBT001
) -> None:
    """Measure every cell of a grid several times, and report on it.

    NAME says what is measured. cache: policies, sizes, age limits, popularity. threshold: what it accepts, and costs.
    arrivals: queues and latency under arrival processes. retries: faults and backoff. scale: calls at once; on a
    cluster partitions and workers. latency: by source of the answer. A FILE.toml is one of your own; theirs are in the
    package, with comments.

    A question file takes the place of made-up questions with --set dataset=FILE, a real model that of the simulated one
    with --set model=URL. What is measured is kept cell by cell in DIR: the same command goes on where it stopped.
    """
    settings = settings_of({"bus": bus, "store": store})
    chosen = load_preset(preset, quick=quick, clustered=settings.bus is not None, given=dict(map(_parameter, given)))
    measured = Experiment(chosen, Path(out), settings, flink)
    before = measured.done

    def say(text: str) -> None:
        if not quiet:
            click.echo(f"tamiz: {text}", err=True)

    def progress(cell: Cell, done: int, cells: int) -> None:
        where = ", ".join(f"{name} {'none' if value is None else value}" for name, value in cell.axes.items())
        if sys.stderr.isatty() and not quiet:
            click.echo(f"\r{done + 1} of {cells}: {where}, repetition {cell.repetition + 1}\x1b[K", nl=False, err=True)

    say(f"{chosen.name}: {plural(measured.cells, 'cell')}" + (f", {before} of them measured before" if before else ""))
    try:
        report = measured.run(progress)
    except (Interrupted, KeyboardInterrupt):
        said = f"interrupted after {measured.done} of {measured.cells} cells; the same command goes on from there"
        raise Interrupted(said) from None
    finally:
        if sys.stderr.isatty() and not quiet:
            click.echo("\r\x1b[K", nl=False, err=True)
    say(f"{plural(measured.cells, 'cell')} in {measured.folder}" + (f", report in {report}" if report else ""))


def _parameter(text: str) -> tuple[str, Value]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise UsageError(f"--set {text!r} is not a parameter; write it like --set dataset=questions.csv")
    try:
        found: Any = tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return name, value  # a text without its quotes
    return name, found if isinstance(found, str | int | float | bool) else value
