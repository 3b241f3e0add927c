"""`tamiz dead`: lists, shows, replays and exports dead letters."""

import asyncio
import time
from collections.abc import Callable, Iterable
from typing import Any, Final

import click
import msgspec

from tamiz.cli.life import life_text
from tamiz.cli.places import Place, place_of, place_options
from tamiz.cli.questions import open_questions
from tamiz.cli.shared import debug_option, json_option, resolve, say_json, shorten, table
from tamiz.clock import SystemClock
from tamiz.errors import StateError, UsageError
from tamiz.hosts.feed import BAD_ROW
from tamiz.messages import Outcome
from tamiz.statefile import StateFile
from tamiz.store.base import Reader
from tamiz.store.lives import Dead, Life
from tamiz.store.sqlite.reader import holder
from tamiz.store.sqlite.replay import Replayed, replay
from tamiz.units import plural

__all__ = ["dead"]

_SHOWN: Final = 50
_PATIENCE: Final = 5.0
"""Seconds that a store gets to answer."""


@click.group(short_help="List, show, replay or export dead letters.")
def dead() -> None:
    """Dead letters: the questions that failed, why, and the ways back."""


def _kind_option(command: Callable[..., Any]) -> Callable[..., Any]:
    return click.option("--kind", metavar="KIND", help="Only those of one kind, such as invalid.")(command)


@dead.command("list", short_help="List dead letters by kind.")
@_kind_option
@click.option("--limit", type=click.IntRange(min=0), metavar="N", help=f"At most N.  [default: {_SHOWN}; --json: all]")
@place_options
@json_option("One JSON object a line.")
@debug_option
def list_(kind: str | None, limit: int | None, state: str | None, store: str | None, as_json: bool) -> None:  # noqa: FBT001 - click's way
    """List dead letters by kind: kind, dataset's id, message_id, question and reason."""
    place = place_of({"state": state, "store": store})
    with place.reader() as reader:
        counts = _counts(reader, kind)
        shown = 0
        for page in reader.dead(kind, limit if as_json or limit is not None else _SHOWN):
            shown += len(page)
            click.echo(_json_lines(page) if as_json else _table(page), nl=not as_json)
    click.echo(_summary(counts, shown, place), err=True)


@dead.command("show", short_help="Show the whole life of one dead letter.")
@click.argument("question", metavar="ID")
@place_options
@json_option("Print it as one JSON object.")
@debug_option
def show(question: str, state: str | None, store: str | None, as_json: bool) -> None:  # noqa: FBT001 - click's way
    """Show the whole life of one dead letter. ID is as in `tamiz show`."""
    with place_of({"state": state, "store": store}).reader() as reader:
        life = _dead_letter(reader, question)
    if as_json:
        say_json(life)
    else:
        click.echo(life_text(life))


@dead.command("replay", short_help="Put dead letters back, for the next run.")
@click.argument("questions", nargs=-1, metavar="[ID…]")
@_kind_option
@click.option("--all", "everything", is_flag=True, help="All dead letters.")
@place_options
@json_option("Print what was done as one JSON object.")
@debug_option
def replay_(  # noqa: PLR0917 - click passes flags by name
    questions: tuple[str, ...],
    kind: str | None,
    everything: bool,  # noqa: FBT001 - click's way of passing flags, likewise below
    state: str | None,
    store: str | None,
    as_json: bool,  # noqa: FBT001
) -> None:
    """Put dead letters back, to be asked again by the next run.

    They keep their message_id; what was tried before is forgotten. The next `tamiz run` or `tamiz serve` with the same
    command takes them up. A service that is at work does it itself: POST /dead-letters/replay.
    To ask them under other settings (another model), export them and run the exported file.
    """
    if [bool(questions), kind is not None, everything].count(True) != 1:
        raise UsageError("say which dead letters to replay: their IDs, or --kind KIND, or --all")
    if kind == BAD_ROW:
        raise UsageError(f"rows of kind {BAD_ROW} are no questions, so they cannot be replayed: mend them in the input")
    place = place_of({"state": state, "store": store})
    with place.reader() as reader:
        if kind is not None:
            _counts(reader, kind)
        named = [_replayable(reader, question) for question in questions]
        chosen = named or (letter.message_id for page in reader.dead(kind) for letter in page)
        done = asyncio.run(_put_back(place, chosen))
    if as_json:
        say_json({"replayed": done.questions, "bad_rows": done.no_questions, "other_settings": done.of_other_settings})
    click.echo(_replayed(done, place), err=True)


@dead.command("export", short_help="Write their questions to a file that `tamiz run` reads.")
@click.option("--out", metavar="FILE", help="Where they go: .jsonl or .csv.  [default: JSONL on stdout]")
@_kind_option
@place_options
@debug_option
def export(out: str | None, kind: str | None, state: str | None, store: str | None) -> None:
    """Write the questions of dead letters to a file that `tamiz run` reads.

    Each has its id, question, content and reference, and the kind and reason of its failure. Rows that never were
    questions are left out, unless --kind bad_row asks for them.
    """
    place = place_of({"state": state, "store": store})
    written = left_out = 0
    with place.reader() as reader:
        _counts(reader, kind)
        with open_questions(out, not_this=None if place.clustered else place.name) as write:
            for page in reader.dead(kind):
                letters = [letter for letter in page if kind == BAD_ROW or letter.kind != BAD_ROW]
                write(letters)
                written += len(letters)
                left_out += len(page) - len(letters)
    click.echo(_exported(written, left_out, out, place), err=True)


async def _put_back(place: Place, chosen: Iterable[str]) -> Replayed:
    if not place.clustered:
        if (process := holder(place.name)) is not None:
            raise StateError(
                f"the state file {place.name} is in use by process {process or 'unknown'}. Wait for a run to end, or "
                "stop it; a service puts dead letters back itself: POST /dead-letters/replay"
            )
        with StateFile(place.name) as file:
            return await replay(file, chosen, time.time())
    from tamiz.store.mongo import MongoStore  # noqa: PLC0415 - only with the extra
    from tamiz.store.mongo.replay import replay as put_back  # noqa: PLC0415

    store = MongoStore(place.settings.store or "", SystemClock(), patience=_PATIENCE, say=_say)
    try:
        await store.open()
        return await put_back(store, chosen, time.time())
    finally:
        await store.close()


def _say(text: str) -> None:
    click.echo(f"tamiz: {text}", err=True)


def _counts(reader: Reader, kind: str | None) -> dict[str, int]:
    """Count the dead letters that are asked for. Raises `UsageError` where there are some, but none of that kind."""
    counts = reader.dead_kinds()
    if kind is None or not counts:
        return counts
    if kind not in counts:
        raise UsageError(f"no dead letter is of kind {kind!r}; there are {_by_kind(counts)}")
    return {kind: counts[kind]}


def _dead_letter(reader: Reader, question: str) -> Life:
    life = reader.life(resolve(reader, question))
    if life.outcome is None or life.outcome.outcome != Outcome.FAILED:
        now = life.outcome.outcome if life.outcome else "still open"
        raise UsageError(f"question {question!r} is no dead letter: it is {now}. See: tamiz show {question}")
    return life


def _replayable(reader: Reader, question: str) -> str:
    life = _dead_letter(reader, question)
    if life.outcome is not None and life.outcome.kind == BAD_ROW:
        raise UsageError(f"{question!r} is a row that is no question ({life.outcome.reason}): mend it in the input")
    return life.message_id


def _table(page: list[Dead]) -> str:
    rows = [
        (letter.kind, letter.id or "-", letter.message_id, shorten(letter.question, 40) or "-", letter.reason or "")
        for letter in page
    ]
    return table(rows)


def _json_lines(page: list[Dead]) -> bytes:
    return msgspec.json.Encoder().encode_lines(page)


def _summary(counts: dict[str, int], shown: int, place: Place) -> str:
    total = sum(counts.values())
    if not total:
        return f"no dead letters in {place.name}"
    text = f"{_number(total)}: {_by_kind(counts)}"
    if shown < total:
        text += f"; {shown:,} shown, for more: --limit N"
    if set(counts) != {BAD_ROW}:
        text += (
            f"\na whole life: tamiz dead show ID {place.flags}"
            f"\nback into the next run: tamiz dead replay ID…, --kind KIND or --all, with {place.flags}"
        )
    return text


def _replayed(done: Replayed, place: Place) -> str:
    count = f"{done.questions:,}" if done.questions else "nothing to"
    lines = [f"{count} put back in {place.name}"]
    if done.questions and place.clustered:
        lines.append("the retry workers ask them again within seconds")
    elif done.questions:
        lines.append("now type the same `tamiz run` or `tamiz serve` command as before: it asks them again")
    if done.no_questions:
        lines.append(f"left alone: {_rows(done.no_questions)}; mend the input")
    if done.of_other_settings:
        lines.append(
            f"left alone: {done.of_other_settings:,} asked under other settings than those of the last run: "
            "type their `tamiz run` command again, then replay them"
        )
    return "\n".join(lines)


def _exported(written: int, left_out: int, out: str | None, place: Place) -> str:
    lines = [f"{_number(written)} written" + (f" to {out}" if out not in {None, "-"} else "")]
    if left_out:
        lines.append(f"left out: {_rows(left_out)}; to see why: tamiz dead list --kind {BAD_ROW} {place.flags}")
    if written and out not in {None, "-"}:
        other = f"--state FILE (not {place.name})"
        lines.append(f"to ask them anew, under any settings: tamiz run {out} --model URL {other}")
    return "\n".join(lines)


def _by_kind(counts: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {kind}" for kind, count in counts.items())


def _rows(count: int) -> str:
    return plural(count, "row that never was a question", "rows that never were questions")


def _number(count: int) -> str:
    return plural(count, "dead letter")
