"""The events of a traffic run on disk: `events.jsonl` (or `events.parquet`) and `run.json` in a folder of their own."""

import importlib
import math
import platform
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, Protocol, Self

import msgspec

import tamiz
from tamiz.errors import TamizError, UsageError

__all__ = ["COLLECTED", "EventLog", "Logged", "new_run"]

COLLECTED: Final = "data_collected"
"""Where the folders of runs are, in the working directory."""

_CHUNK: Final = 512
_GROUP: Final = 50_000
_LONGEST: Final = 1.0
"""Seconds that an ended event is held for, as far as others follow it."""


class Logged(msgspec.Struct, frozen=True, gc=False):
    """One emitted event, once it has ended. Times are seconds from the start of the run."""

    n: int
    at_s: float | None
    """When it was to be sent; `None` where there was no schedule."""
    sent_s: float
    """When it was sent."""
    late_ms: float | None
    """How much later that was."""
    ended_s: float
    latency_ms: float
    """From when it was to be sent to its end: a schedule that was not kept does not make answers look faster."""
    outcome: str
    rank: int
    id: str | None
    question: str


class _Format(Protocol):
    def write(self, events: list[Logged]) -> None: ...

    def close(self) -> None: ...


def new_run(name: str | None = None, parent: str | Path = COLLECTED) -> Path:
    """Make the folder of a run; without a name it is called by the time, and by a number where that is taken.

    Raises `UsageError` where a given name is taken or is not one of a folder, or no folder can be made.
    """
    if name is not None and Path(name).name != name:
        raise UsageError(f"--run {name!r} is not the name of a folder: it is made in {parent}, so give one without a /")
    base = name or time.strftime("traffic-%Y%m%d-%H%M%S")
    try:
        Path(parent).mkdir(parents=True, exist_ok=True)
        number = 1
        while True:
            folder = Path(parent) / (base if number == 1 else f"{base}-{number}")
            try:
                folder.mkdir()
            except FileExistsError:
                if name is not None:
                    raise UsageError(f"the run {str(folder)!r} is there already: give another name") from None
                number += 1
            else:
                return folder
    except OSError as error:
        raise UsageError(f"{str(Path(parent) / base)!r} cannot be made for a run's log: {error.strerror}") from error


class EventLog:
    """Takes each event once it has ended, a few hundred to a write; `close` leaves all of them on the disk.

    What a kill can lose is what ended within the last second or so; of Parquet, which is no file without its end, all.
    `run.json` is there from the start, with the parameters, and has the result once the run is over. Raises
    `TamizError` where the disk is full.
    """

    def __init__(
        self, folder: Path, parameters: Mapping[str, Any], kind: Literal["jsonl", "parquet"] = "jsonl"
    ) -> None:
        self.folder = folder
        self.path = folder / f"events.{kind}"
        self._began = time.time()
        self._parameters = dict(parameters)
        self._held: list[Logged] = []
        self._closed = False
        self._chunk, self._longest = (_GROUP, math.inf) if kind == "parquet" else (_CHUNK, _LONGEST)
        self._written = 0.0
        self._format: _Format = _Parquet(self.path) if kind == "parquet" else _JsonLines(self.path)
        self._save({})

    def add(self, event: Logged) -> None:
        """Take an event."""
        self._held.append(event)
        if len(self._held) >= self._chunk or event.ended_s - self._written >= self._longest:
            self._written = event.ended_s
            self.flush()

    def flush(self) -> None:
        """Write what is held."""
        events, self._held = self._held, []
        try:
            self._format.write(events)
        except OSError as error:
            raise TamizError(f"{self.path} cannot grow: {error.strerror}. Free some space and start anew") from error

    def close(self, result: Mapping[str, Any] | None = None) -> None:
        """Write all, and the result of the run into `run.json`; once is enough, and more does no harm."""
        if self._closed:
            return
        self._closed = True
        self.flush()
        self._format.close()
        self._save({"ended": time.time(), "result": dict(result or {})})

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close({"error": f"{type(error).__name__}: {error}"} if error is not None else None)

    def _save(self, end: Mapping[str, Any]) -> None:
        machine = {
            "tamiz": tamiz.__version__,
            "python": platform.python_version(),
            "machine": f"{platform.system()} {platform.machine()}",
        }
        about = {"parameters": self._parameters, "started": self._began, **end, **machine, "events": self.path.name}
        part = self.folder / "run.json.part"
        part.write_bytes(msgspec.json.format(msgspec.json.encode(about), indent=2) + b"\n")
        part.replace(self.folder / "run.json")


class _JsonLines:
    def __init__(self, path: Path) -> None:
        self._file = path.open("wb", buffering=0)
        self._encoder = msgspec.json.Encoder()

    def write(self, events: list[Logged]) -> None:
        self._file.write(self._encoder.encode_lines(events))

    def close(self) -> None:
        self._file.close()


class _Parquet:
    def __init__(self, path: Path) -> None:
        try:
            self._arrow = importlib.import_module("pyarrow")
            parquet = importlib.import_module("pyarrow.parquet")
        except ImportError as error:
            raise UsageError("Parquet needs pyarrow, which is not installed: pip install 'tamiz[lab]'") from error
        arrow = self._arrow
        kinds = {"n": arrow.int64(), "rank": arrow.int64()}
        kinds |= dict.fromkeys(("outcome", "id", "question"), arrow.string())
        self._schema = arrow.schema([(name, kinds.get(name, arrow.float64())) for name in Logged.__struct_fields__])
        self._writer = parquet.ParquetWriter(path, self._schema)

    def write(self, events: list[Logged]) -> None:
        if events:
            columns = zip(*map(msgspec.structs.astuple, events), strict=True)
            arrays = [self._arrow.array(each, field.type) for each, field in zip(columns, self._schema, strict=True)]
            self._writer.write_table(self._arrow.table(arrays, schema=self._schema))

    def close(self) -> None:
        self._writer.close()
