"""The report of a traffic run."""

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tamiz.errors import UsageError
from tamiz.reports.document import Document, Figure
from tamiz.reports.numbers import count, duration, milliseconds, percent
from tamiz.reports.plots.flow import ARRIVED, flow
from tamiz.reports.plots.latency import latency
from tamiz.reports.plots.popularity import popularity
from tamiz.reports.spread import Spread
from tamiz.reports.timeline import Timeline

__all__ = ["traffic_report"]

_CHUNK: Final = 50_000


class _Event(msgspec.Struct, gc=False):
    """What is needed of a line of `events.jsonl`."""

    sent_s: float
    ended_s: float
    latency_ms: float
    outcome: str
    rank: int = 0
    at_s: float | None = None
    late_ms: float | None = None


def traffic_report(folder: Path) -> Document:
    """Read a traffic run's folder, in memory that grows with the different questions, not with the events.

    Raises `UsageError` where its files are not those of a run.
    """
    try:
        about = msgspec.json.decode((folder / "run.json").read_bytes(), type=dict[str, Any])
    except (OSError, msgspec.DecodeError) as error:
        raise UsageError(f"{str(folder / 'run.json')!r} cannot be read: {error}") from error
    read = _Read()
    for events in _events(folder / str(about.get("events") or "events.jsonl")):
        read.add(events)
    total = len(read.whole)
    document = Document(
        title=f"Traffic run {folder.name}",
        lead=_lead(about, read),
        facts=[
            ("questions", count(total)),
            *((name, count(len(each))) for name, each in sorted(read.latency.items())),
        ],
        parameters=_flat(about.get("parameters") or {}),
        machine=[(name, str(about[name])) for name in ("tamiz", "python", "machine") if name in about],
    )
    if read.timeline.last:
        document.facts.append(("from the start to the last end", duration(read.timeline.last)))
    document.figures = [figure for figure in _figures(read) if figure is not None]
    if not total:
        document.missing.append("The log holds no events.")
    if "ended" not in about:
        document.missing.append("The run has not ended, or was killed: this is what it had logged.")
    return document


class _Read:
    def __init__(self) -> None:
        self.timeline = Timeline()
        self.latency: dict[str, Spread] = {}
        self.whole = Spread()
        self.late = Spread()
        self.asked = np.zeros(0, dtype=np.int64)

    def add(self, events: list[_Event]) -> None:
        outcome = np.array([event.outcome for event in events])
        took = np.array([event.latency_ms for event in events], dtype=float)
        ended = np.array([event.ended_s for event in events], dtype=float)
        due = np.array([event.sent_s if event.at_s is None else event.at_s for event in events], dtype=float)
        self.timeline.add(ARRIVED, due)
        self.whole.add(took)
        self.late.add(np.array([event.late_ms for event in events], dtype=float))
        for name in np.unique(outcome).tolist():
            self.timeline.add(name, ended[outcome == name])
            self.latency.setdefault(name, Spread()).add(took[outcome == name])
        ranks = np.bincount([event.rank for event in events], minlength=self.asked.size)
        ranks[: self.asked.size] += self.asked
        self.asked = ranks


def _figures(read: _Read) -> Iterator[Figure | None]:
    yield flow(read.timeline, "Arrivals, ends and open questions", "Arrived is when a question was to be sent.")
    scheduled = len(read.late) > 0
    how = (
        "From when a question was to be sent: a sender that was late does not make answers look faster."
        if scheduled
        else "There was no schedule: from when a question was sent."
    )
    if "submitted" in read.latency:
        how += " The end of what was submitted is that the service had taken it, not its answer."
    yield latency(
        "latency",
        f"From {'the scheduled time' if scheduled else 'sending'} to the end, by outcome",
        "questions",
        how,
        dict(sorted(read.latency.items())),
    )
    yield latency(
        "lateness",
        "How late questions were sent",
        "questions",
        "Against their schedule.",
        {"": read.late},
        took="were late by",
    )
    yield popularity(read.asked)


def _lead(about: Mapping[str, Any], read: _Read) -> str:
    started = about.get("started")
    when = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(started)) if isinstance(started, int | float) else ""
    said = f"Started at {when}." if when else ""
    if len(read.late):
        share = len(read.late) / len(read.whole)
        said += (
            f" {percent(share)} of the questions had a schedule; half of these were sent at most "
            f"{milliseconds(read.late.quantile(0.5))} late, and the latest {milliseconds(read.late.largest)}."
        )
    return said.strip()


def _events(path: Path) -> Iterator[list[_Event]]:
    try:
        yield from _parquet(path) if path.suffix == ".parquet" else _lines(path)
    except OSError as error:
        raise UsageError(f"{str(path)!r} cannot be read: {error.strerror or error}") from error


def _lines(path: Path) -> Iterator[list[_Event]]:
    decoder = msgspec.json.Decoder(_Event)
    events: list[_Event] = []
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                events.append(decoder.decode(line))
            except msgspec.DecodeError as error:
                if not line.endswith(b"\n"):  # the last line of a run that is under way, or was killed
                    break
                raise UsageError(f"{str(path)!r}, line {number}, is not an event of a run: {error}") from error
            if len(events) >= _CHUNK:
                yield events
                events = []
    if events:
        yield events


def _parquet(path: Path) -> Iterator[list[_Event]]:
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(_CHUNK, columns=list(_Event.__struct_fields__)):
                yield msgspec.convert(batch.to_pylist(), list[_Event])
    except (pa.ArrowInvalid, msgspec.ValidationError) as error:
        raise UsageError(f"{str(path)!r} is not the log of a run: {error}") from error


def _flat(parameters: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [
        (name, value if isinstance(value, str) else "none" if value is None else msgspec.json.encode(value).decode())
        for name, value in parameters.items()
    ]
