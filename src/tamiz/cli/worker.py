"""`tamiz worker` and `tamiz topics`: the parts of a cluster."""

from typing import Any, Final

import click

from tamiz.cli.options import cluster_options, settings_of, with_settings
from tamiz.cli.shared import debug_option, json_option, say_json, table
from tamiz.errors import UsageError

__all__ = ["topics", "worker"]

_STAGES: Final = ("intake", "generate", "retry", "judge", "persist")
_LISTED_STAGES: Final = click.Choice(_STAGES)


def _say(text: str) -> None:
    click.echo(f"tamiz: {text}", err=True)


@click.command(short_help="Run stages as a member of a Kafka cluster.")
@click.argument("stages", nargs=-1, required=True, type=_LISTED_STAGES, metavar="STAGE…")
@with_settings
@debug_option
def worker(stages: tuple[str, ...], **flags: Any) -> None:  # noqa: ANN401 - click passes flags by name
    """Run one or more stages until SIGTERM or Ctrl-C: intake, generate, retry, judge, persist.

    Start as many workers of a stage as its topics have partitions, anywhere; each takes its share. Nothing is lost
    where one dies: what it had not finished goes to the others. With the Flink job at work no judge worker is needed.
    """
    from tamiz.hosts.staff import Staff, run_staff  # noqa: PLC0415 - only with the extras of a cluster

    settings = settings_of(flags)
    run_staff(Staff.prepare(settings, stages), _say)


@click.group(short_help="Make or list the topics of a Kafka cluster.")
def topics() -> None:
    """Topics: one for each kind of message, all with the same number of partitions, so that a question's meet."""


@topics.command("create", short_help="Make the topics that are missing.")
@click.option("--partitions", type=click.IntRange(1, 100_000), default=6, show_default=True, metavar="N")
@click.option("--replication", type=click.IntRange(1, 100), default=1, show_default=True, metavar="N")
@cluster_options(store=False)
@debug_option
def create(partitions: int, replication: int, bus: str | None) -> None:
    """Make the topics that are missing; those that are there stay as they are.

    --partitions is the most workers that a stage can have. With --replication 3 no single broker's end loses anything.
    """
    made = _topics(bus).create(partitions, replication)
    for name in made:
        click.echo(name)
    _say(f"{len(made)} topics made, with {partitions} partitions each" if made else "all topics are there already")


@topics.command("list", short_help="List the topics, and what is wrong with them.")
@cluster_options(store=False)
@json_option("Print them as one JSON list.")
@debug_option
def list_(bus: str | None, as_json: bool) -> None:  # noqa: FBT001 - click's way of passing flags
    """List the flow's topics, with what is wrong with them; exit code 1 where something is."""
    states = _topics(bus).states()
    if as_json:
        say_json(states)
    else:
        rows = [(each.name, f"{each.partitions} x {each.replication}", each.problem or "ok") for each in states]
        click.echo(table([("topic", "partitions x replicas", ""), *rows]))
    click.get_current_context().exit(1 if any(each.problem for each in states) else 0)


def _topics(bus: str | None) -> Any:  # noqa: ANN401 - imported only here
    from tamiz.bus.address import KafkaAddress  # noqa: PLC0415 - likewise
    from tamiz.bus.topics import Topics  # noqa: PLC0415

    settings = settings_of({"bus": bus})
    if settings.bus is None:
        raise UsageError("no bus given: name the Kafka cluster with --bus kafka:HOST:PORT (or KAFKA_BOOTSTRAP_SERVERS)")
    return Topics(KafkaAddress.parse(settings.bus), settings.kafka)
