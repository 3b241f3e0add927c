"""`tamiz worker` and `tamiz topics`: the parts of a cluster."""

from typing import Any, Final

import click

from tamiz.cli.options import cluster_options, serving_options, settings_of, with_settings
from tamiz.cli.shared import debug_option, json_option, say_json, say_strange_places, table
from tamiz.errors import UsageError
from tamiz.telemetry.telling import telling

__all__ = ["topics", "worker"]

_STAGES: Final = ("traffic", "intake", "generate", "retry", "judge", "score", "persist")
_LISTED_STAGES: Final = click.Choice(_STAGES)


def _say(text: str) -> None:
    click.echo(f"tamiz: {text}", err=True)


@click.command(short_help="Run stages as a member of a Kafka cluster.")
@click.argument("stages", nargs=-1, required=True, type=_LISTED_STAGES, metavar="STAGE…")
@click.option("--http", is_flag=True, help="Serve each stage's calls over HTTP too.")
@serving_options
@with_settings
@debug_option
def worker(stages: tuple[str, ...], http: bool, **flags: Any) -> None:  # noqa: ANN401, FBT001 - click's way of flags
    """Run one or more stages until SIGTERM or Ctrl-C: intake, generate, retry, judge, persist.

    Start as many workers of a stage as its topics have partitions, anywhere; each takes its share. Nothing is lost
    where one dies: what it had not finished goes to the others. With the Flink job at work no judge worker is needed.

    With --http each stage serves its calls as well: intake the cache's on port 5001, generate the model's on 5002,
    judge the scorer's on 5003, persist the store's on 5004. Two names are for that alone and read no topic: traffic,
    which takes questions in on port 5000, and score, the scorer's where a Flink job is the judge.
    """
    from tamiz.hosts.staff import SERVING_ALONE, Staff, run_staff  # noqa: PLC0415 - only with the extras of a cluster

    settings = settings_of(flags)
    if not http and (idle := [name for name in stages if name in SERVING_ALONE]):
        raise UsageError(f"{' and '.join(idle)}: all that it does comes by HTTP; say --http")
    staff = Staff.prepare(settings, stages)
    beside = None
    if http:
        from tamiz.http.beside import Services  # noqa: PLC0415 - only with the extra

        Services.check(settings, stages)
        beside = Services
    with telling(settings, staff.clock) as told:
        say_strange_places(settings.prompt, told.say)
        run_staff(staff, told, beside)


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
