"""Writes result rows: JSON Lines, CSV or Parquet, to a file or to standard output."""

import contextlib
import csv
import gzip
import importlib
import io
import os
import select
import shutil
import stat
import sys
import zlib
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Final, Protocol, Self

import msgspec

from tamiz.errors import UsageError
from tamiz.store.lives import ResultRow

__all__ = ["Output", "check_output", "open_output", "parquet_schema", "pyarrow"]

_KINDS: Final = ("jsonl", "csv", "parquet")
_GZIP: Final = 31  # zlib's number for a gzip stream with the largest window
_GROUP_ROWS: Final = 10_000
_GROUP_CHARACTERS: Final = 16_000_000


class _Writer(Protocol):
    """Where rows go: one format and its file."""

    def write(self, rows: Sequence[ResultRow]) -> None:
        """Add rows."""

    def flush(self) -> None:
        """Let a reader of the file see all rows written before, as far as the format allows."""

    def close(self, *, whole: bool) -> None:
        """Finish the file; `whole` tells whether everything that was to be written is in it."""


class Output:
    """Rows on their way to a file or standard output, in the order they are written.

    JSON Lines and CSV: a row is in the file once `write` has returned, and the file never ends within a row, also
    where the disk is full; compressed, what was flushed can be decompressed. Parquet: the file appears, whole, on
    `close`, and not at all if the `with` block is left by an exception. Standard output is left open.
    `BrokenPipeError` and every other `OSError` of writing propagate.
    """

    def __init__(self, writer: _Writer) -> None:
        self._writer: _Writer | None = writer

    def write(self, rows: Sequence[ResultRow]) -> None:
        """Write rows. Raises `ValueError` after `close`."""
        if rows:
            self._open().write(rows)

    def flush(self) -> None:
        """Let a reader of the file see all that was written. Raises `ValueError` after `close`."""
        self._open().flush()

    def close(self) -> None:
        """Finish the file; once is enough, and more does no harm."""
        self._close(whole=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
            return
        # what ended the block is the news, not that the file could not be finished after it
        with contextlib.suppress(OSError):
            self._close(whole=False)

    def _open(self) -> _Writer:
        if self._writer is None:
            raise ValueError("the output is closed")
        return self._writer

    def _close(self, *, whole: bool) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close(whole=whole)


def check_output(path: str | None, *, not_these: Sequence[str] = ()) -> None:
    """Raise what `open_output` would, without touching any file: not even the one at `path`, which may be in use."""
    if path is None or path == "-":
        _standard_output()
    elif _kind_of(path)[0] == "parquet":
        pyarrow()
        _check_place(path, not_these)
    else:
        _check_place(path, not_these)


def open_output(path: str | None, *, not_these: Sequence[str] = ()) -> Output:
    """Open a file for rows by the end of its name, emptying it; `None` and `-` are JSON Lines on standard output.

    `not_these` are the files that must not be written over. Raises `UsageError` where the name's end is unknown, the
    folder is missing, or the file is one of those or cannot be written; then no file is touched.
    """
    if path is None or path == "-":
        return Output(_JsonLines(_Bytes(_standard_output(), mine=False)))
    kind, gz = _kind_of(path)
    _check_place(path, not_these)
    try:
        if kind == "parquet":
            return Output(_Parquet(Path(path).resolve(), gz=gz))
        raw = io.FileIO(path, "wb")
    except (OSError, ValueError) as error:
        raise _not_writable(path, error) from error
    sink = _Gzip(raw, mine=True) if gz else _Bytes(raw, mine=True)
    return Output(_JsonLines(sink) if kind == "jsonl" else _Csv(sink))


def _kind_of(path: str) -> tuple[str, bool]:
    name = Path(path).name.lower()
    plain = name.removesuffix(".gz")
    kind = plain.rpartition(".")[2] if "." in plain else ""
    if kind not in _KINDS:
        raise UsageError(f"{path!r} is of no known kind; --out writes .jsonl, .csv and .parquet, each also .gz")
    return kind, plain != name


def _check_place(path: str, not_these: Sequence[str]) -> None:
    try:
        _check(path, not_these)
    except (OSError, ValueError) as error:
        raise _not_writable(path, error) from error


def _not_writable(path: str, error: OSError | ValueError) -> UsageError:
    why = getattr(error, "strerror", None) or error
    return UsageError(f"{path!r} cannot be written: {why}; give another --out")


def _check(path: str, not_these: Sequence[str]) -> None:
    target = Path(path)
    if target.is_dir():
        raise UsageError(f"{path!r} is a directory; give a file in it")
    if not target.parent.is_dir():
        raise UsageError(f"the folder {str(target.parent)!r} of {path!r} does not exist; make it: mkdir -p")
    for other in not_these:
        if other != "-" and _is_same(path, other):
            raise UsageError(f"{path!r} is the same file as {other!r}, which would be lost; give another --out")
    if target.exists() and not os.access(target, os.W_OK):
        raise UsageError(f"{path!r} cannot be written; check its permissions or give another --out")


def _is_same(path: str, other: str) -> bool:
    if Path(path).exists() and Path(other).exists():
        return Path(path).samefile(other)
    return os.path.realpath(path) == os.path.realpath(other)


def _standard_output() -> BinaryIO:
    if sys.stdout is None:
        raise UsageError("standard output is closed; give --out FILE")
    sys.stdout.flush()
    # below the buffer: nothing is left in it, to fail again at exit, where the reader went away
    raw: BinaryIO = getattr(sys.stdout.buffer, "raw", sys.stdout.buffer)
    return raw


class _Bytes:
    """An unbuffered file that takes each piece whole or, if it is a regular one, not at all."""

    def __init__(self, raw: BinaryIO | io.FileIO, *, mine: bool) -> None:
        self._raw = raw
        self._mine = mine

    def write(self, data: bytes) -> None:
        start = self._raw.tell() if self._is_regular() else None
        try:
            self._write_all(memoryview(data))
        except OSError:
            if start is not None:
                self._raw.truncate(start)
            raise

    def _write_all(self, data: memoryview) -> None:
        while data:
            written: int | None = self._raw.write(data)
            if written is None:  # a pipe that another program set to be non-blocking, and that is full
                select.select([], [self._raw], [])
            else:
                data = data[written:]

    def _is_regular(self) -> bool:
        return self._mine and stat.S_ISREG(os.fstat(self._raw.fileno()).st_mode)

    def flush(self) -> None:
        self._raw.flush()

    def close(self) -> None:
        if self._mine:
            self._raw.close()


class _Gzip(_Bytes):
    """The same, compressed; what was flushed can be decompressed."""

    def __init__(self, raw: BinaryIO | io.FileIO, *, mine: bool) -> None:
        super().__init__(raw, mine=mine)
        self._zip = zlib.compressobj(wbits=_GZIP)

    def write(self, data: bytes) -> None:
        super().write(self._zip.compress(data))

    def flush(self) -> None:
        super().write(self._zip.flush(zlib.Z_SYNC_FLUSH))
        super().flush()

    def close(self) -> None:
        try:
            super().write(self._zip.flush())
        finally:
            super().close()


class _JsonLines:
    def __init__(self, sink: _Bytes) -> None:
        self._sink = sink
        self._encoder = msgspec.json.Encoder()

    def write(self, rows: Sequence[ResultRow]) -> None:
        self._sink.write(self._encoder.encode_lines(rows))

    def flush(self) -> None:
        self._sink.flush()

    def close(self, *, whole: bool) -> None:
        del whole  # each prefix of lines is a file
        self._sink.close()


class _Csv(_JsonLines):
    """As RFC 4180 has it: a header, lines that end in CRLF, quotes where needed; null is an empty field."""

    def __init__(self, sink: _Bytes) -> None:
        super().__init__(sink)
        self._write([ResultRow.__struct_fields__])

    def write(self, rows: Sequence[ResultRow]) -> None:
        self._write([msgspec.structs.astuple(row) for row in rows])

    def _write(self, rows: Sequence[tuple[object, ...]]) -> None:
        text = io.StringIO(newline="")
        csv.writer(text).writerows(rows)
        self._sink.write(text.getvalue().encode())


class _Parquet:
    """Collects rows into row groups of bounded size, in `NAME.part` beside the file until it is whole."""

    def __init__(self, path: Path, *, gz: bool) -> None:
        self._arrow = pyarrow()
        self._path = path
        self._gz = gz
        self._part = path.with_name(f"{path.name}.part")
        self._schema = parquet_schema(self._arrow)
        self._writer = self._arrow.parquet.ParquetWriter(self._part, self._schema)
        self._rows: list[ResultRow] = []
        self._characters = 0

    def write(self, rows: Sequence[ResultRow]) -> None:
        for row in rows:
            self._rows.append(row)
            self._characters += len(row.question) + len(row.answer or "")
            if len(self._rows) >= _GROUP_ROWS or self._characters >= _GROUP_CHARACTERS:
                self._write_group()

    def flush(self) -> None:
        """Do nothing: Parquet can be read only once it is closed."""

    def close(self, *, whole: bool) -> None:
        try:
            if whole and self._rows:
                self._write_group()
            self._writer.close()
            if whole and self._gz:
                self._compress()
            if whole:
                self._part.replace(self._path)
        finally:
            self._part.unlink(missing_ok=True)

    def _compress(self) -> None:
        compressed = self._part.with_name(f"{self._part.name}.gz")
        try:
            with self._part.open("rb") as plain, gzip.open(compressed, "wb", compresslevel=1) as target:
                shutil.copyfileobj(plain, target)
            compressed.replace(self._part)
        finally:
            compressed.unlink(missing_ok=True)

    def _write_group(self) -> None:
        columns = zip(*map(msgspec.structs.astuple, self._rows), strict=True)
        arrays = [self._arrow.array(values, field.type) for values, field in zip(columns, self._schema, strict=True)]
        self._writer.write_table(self._arrow.table(arrays, schema=self._schema))
        self._rows.clear()
        self._characters = 0


def parquet_schema(arrow: Any) -> Any:  # noqa: ANN401 (pyarrow has no types)
    """Give the columns of result rows in Parquet."""
    text, number, count = arrow.string(), arrow.float64(), arrow.int64()
    types = {"score": number, "latency_ms": number, "attempts": count, "retries": count}
    return arrow.schema([(name, types.get(name, text)) for name in ResultRow.__struct_fields__])


def pyarrow() -> Any:  # noqa: ANN401 (pyarrow has no types)
    """Give pyarrow. Raises `UsageError` where it is not installed."""
    try:
        importlib.import_module("pyarrow.parquet")
        return importlib.import_module("pyarrow")
    except ImportError as error:
        raise UsageError("Parquet needs pyarrow, which is not installed: pip install 'tamiz[lab]'") from error
