"""`tamiz show` and `tamiz status`: looks into a state file, also while a run works on it."""

from pathlib import Path

import click
import msgspec

from tamiz.cli.endpoints import down_text
from tamiz.cli.life import life_text
from tamiz.cli.options import cluster_options
from tamiz.cli.places import Place, place_of, place_options
from tamiz.cli.shared import aligned, clock_time, debug_option, json_option, resolve, say_json, until
from tamiz.messages import READ_BY, Outcome
from tamiz.settings import Settings
from tamiz.store.lives import Status
from tamiz.units import plural

__all__ = ["show", "status"]


@click.command(short_help="Show the whole life of one question.")
@click.argument("question", metavar="ID")
@place_options
@json_option("Print it as one JSON object.")
@debug_option
def show(question: str, state: str | None, store: str | None, as_json: bool) -> None:  # noqa: FBT001 - click's way
    """Show the whole life of one question: each failed call, each answer, its score, the outcome, or where it is now.

    ID is its message_id, a beginning of that which no other has, or the dataset's own id. Times are local; in JSON they
    are seconds since the epoch.
    """
    with place_of({"state": state, "store": store}).reader() as reader:
        life = reader.life(resolve(reader, question))
    if as_json:
        say_json(life)
    else:
        click.echo(life_text(life))


@click.command(short_help="Count questions by outcome, and what is still open.")
@click.option("--state", metavar="FILE", help="The durable log and store.  [default: tamiz.db]")
@cluster_options()
@json_option("Print the counts as one JSON object.")
@debug_option
def status(state: str | None, bus: str | None, store: str | None, as_json: bool) -> None:  # noqa: FBT001 - click's way
    """Count questions by outcome, and what is still open by where it is. Works while a run is running.

    Of a cluster: also how many records each stage has still to finish.
    """
    place = place_of({"state": state, "bus": bus, "store": store})
    with place.reader() as reader:
        counts = reader.status()
    if place.clustered and place.settings.bus is not None:
        counts = msgspec.structs.replace(counts, lag=_lag(place.settings.bus, place.settings))
    if as_json:
        say_json(counts)
    else:
        click.echo(_text(counts, place))


def _lag(bus: str, settings: Settings) -> dict[str, dict[str, int]]:
    from tamiz.bus.address import KafkaAddress  # noqa: PLC0415 - only with the extra
    from tamiz.bus.topics import Topics  # noqa: PLC0415

    return Topics(KafkaAddress.parse(bus), settings.kafka).lag(READ_BY)


def _text(counts: Status, place: Place) -> str:
    if place.clustered:
        where = [("store", place.name), ("bus", place.settings.bus or "not named; for its queues: --bus")]
    else:
        where = [("state", f"{place.name}, {_size(place.name)}, {_worker(counts.process)}")]
    tokens = "" if counts.tokens is None else f", {plural(counts.tokens, 'token')}"
    lines = [
        *where,
        ("questions", f"{counts.questions:,}"),
        ("outcomes", ", ".join(f"{counts.outcomes[outcome]:,} {outcome}" for outcome in Outcome)),
        ("answers from", _counts(counts.sources) or "nowhere yet"),
        ("dead letters", _counts(counts.dead_letters) or "none"),
        ("open", "\n".join([f"{counts.open:,}", *_open(counts)]) if counts.open or counts.log else "none"),
        *([("to finish", _lags(counts.lag))] if counts.lag is not None else []),
        ("endpoints", "\n".join(down_text(state) for state in counts.endpoints) or "none is down or paused"),
        ("model calls", f"{counts.model_calls:,}{tokens}"),
        ("claims", f"{plural(counts.claims, 'cache key')} in flight"),
    ]
    text = aligned(lines)
    if counts.open and counts.process is None and not place.clustered:
        text += "\nthe same `tamiz run` or `tamiz serve` as before takes the open ones up"
    if counts.dead_letters:
        text += f"\nwhy questions failed: tamiz dead list {place.flags}"
    return text


def _lags(lag: dict[str, dict[str, int]]) -> str:
    lines = []
    for stage, topics in lag.items():
        waiting = ", ".join(f"{count:,} of {topic}" for topic, count in topics.items() if count)
        lines.append(f"{stage}: {waiting or 'nothing'}")
    return "\n".join(lines)


def _open(counts: Status) -> list[str]:
    places = [f"{count:,} in {topic}" for topic, count in counts.log.items()]
    if counts.parked:
        places.append(f"{counts.parked:,} parked behind identical ones in flight")
    if counts.deferred:
        places.append(f"{counts.deferred:,} deferred{_next(counts.next_due)}")
    return places


def _next(due: float | None) -> str:
    if due is None:
        return ""
    return f", the next due {clock_time(due)} ({until(due)})"


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in sorted(counts.items(), key=lambda each: -each[1]))


def _worker(process: int | None) -> str:
    if process is None:
        return "nobody works on it"
    return f"in use by process {process or 'unknown'}"


def _size(path: str) -> str:
    parts = [Path(path + end) for end in ("", "-wal")]
    size = sum(part.stat().st_size for part in parts if part.exists())
    return f"{size / 1e6:,.1f} MB"
