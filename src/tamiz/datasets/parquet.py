"""Reads Parquet, a batch of rows at a time."""

import importlib
import shutil
import tempfile
import weakref
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from tamiz.datasets.columns import check_found, recognise
from tamiz.datasets.rows import BadRow, Read, Row, bad_row, make_row
from tamiz.datasets.source import BROKEN, Source, how_broken
from tamiz.errors import UsageError

__all__ = ["Plain", "prepare", "rows_of"]

_MAGIC: Final = b"PAR1"
_BATCH: Final = 512


def prepare(source: Source, given: Mapping[str, str]) -> Read:
    """Find the columns and give what reads the rows.

    Raises `UsageError` for a file that is not Parquet, or without question column or rows, and where pyarrow is not
    installed. A compressed file is decompressed to a temporary one, which goes with what is returned.
    """
    plain = Plain(source)
    names, rows = plain.shape()
    found = recognise(names, given)
    check_found(source.path, names, given, found)
    if not rows:
        raise UsageError(f"{source.path!r} is empty: it has no rows; give a file with questions")
    columns = {role: names[at] for role, at in found.items()}

    def read() -> Iterator[Row | BadRow]:
        # `plain` is named here so that its file lasts as long as this function
        return _rows(source.path, plain.path, columns)

    return read


def _rows(file: str, path: str, columns: Mapping[str, str]) -> Iterator[Row | BadRow]:
    pyarrow = _pyarrow()
    # without pre-buffering, a row group is not held in memory whole
    with pyarrow.parquet.ParquetFile(path, pre_buffer=False, buffer_size=1 << 20) as table:
        after = 0
        for group in range(table.num_row_groups):
            line = after + 1
            after += table.metadata.row_group(group).num_rows
            try:
                for batch in table.iter_batches(_BATCH, row_groups=[group], columns=list(columns.values())):
                    yield from _batch(file, line, batch, columns)
                    line += batch.num_rows
            except (OSError, pyarrow.ArrowException) as error:
                yield bad_row(file, line, _damaged(line, after, error))


def _batch(file: str, line: int, batch: Any, columns: Mapping[str, str]) -> Iterator[Row | BadRow]:  # noqa: ANN401
    absent = [None] * batch.num_rows
    names = batch.schema.names
    question, content, reference, id_ = (
        _values(batch.column(names.index(columns[role]))) if role in columns else absent
        for role in ("question", "content", "reference", "id")
    )
    for number, values in enumerate(zip(id_, question, content, reference, strict=True), line):
        yield make_row(file, number, *values)


def _values(column: Any) -> list[object]:  # noqa: ANN401 (pyarrow has no types)
    try:
        return list(column.to_pylist())
    except UnicodeDecodeError:
        # the bytes as they are, so that one bad text spoils its own row only
        return list(column.cast("binary").to_pylist())


def _check_magic(shown: str, path: str) -> None:
    with Source(path, gz=False).open() as stream:
        if stream.read(len(_MAGIC)) != _MAGIC:
            raise UsageError(f"{shown!r} is not Parquet data; give its name the end of what it is (.csv, .jsonl)")
        stream.seek(-len(_MAGIC), 2)
        if stream.read() != _MAGIC:
            raise UsageError(f"{shown!r} is cut short: Parquet's own index at its end is missing; fetch it again")


def rows_of(source: Source) -> Iterator[tuple[int, dict[str, Any] | str]]:
    """Give the rows by their numbers, from 1; in place of those of a damaged group, a sentence that says so.

    Raises `UsageError` as `prepare` does.
    """
    pyarrow = _pyarrow()
    plain = Plain(source)
    plain.shape()
    with pyarrow.parquet.ParquetFile(plain.path, pre_buffer=False, buffer_size=1 << 20) as table:
        after = 0
        for group in range(table.num_row_groups):
            line = after + 1
            after += table.metadata.row_group(group).num_rows
            try:
                for batch in table.iter_batches(_BATCH, row_groups=[group]):
                    rows = zip(*map(_values, batch.columns), strict=True)
                    yield from enumerate((dict(zip(batch.schema.names, row, strict=True)) for row in rows), line)
                    line += batch.num_rows
            except (OSError, pyarrow.ArrowException) as error:
                yield line, _damaged(line, after, error)


class Plain:
    """Parquet under a path: the file's own, or one of its decompressed content, which is removed with this object.

    Raises `UsageError` where it is not Parquet.
    """

    def __init__(self, source: Source) -> None:
        self._shown = source.path
        self.path = source.path
        if source.gz:
            self._decompress(source)
        _check_magic(source.path, self.path)

    def shape(self) -> tuple[list[str], int]:
        """Give the names of its columns, and how many rows it has. Raises `UsageError` where it is damaged."""
        pyarrow = _pyarrow()
        try:
            with pyarrow.parquet.ParquetFile(self.path) as table:
                return list(table.schema_arrow.names), table.metadata.num_rows
        except (OSError, pyarrow.ArrowException) as error:
            raise UsageError(f"{self._shown!r} is damaged Parquet: {_one_line(error)}; fetch it again") from error

    def _decompress(self, source: Source) -> None:
        with tempfile.NamedTemporaryFile(suffix=".parquet", delete=False) as target:
            self.path = target.name
            weakref.finalize(self, Path(target.name).unlink, missing_ok=True)
            try:
                with source.open() as stream:
                    shutil.copyfileobj(stream, target)
            except BROKEN as error:
                raise UsageError(f"{source.path!r} cannot be decompressed: {how_broken(error)}") from error


def _pyarrow() -> Any:  # noqa: ANN401
    try:
        importlib.import_module("pyarrow.parquet")
        return importlib.import_module("pyarrow")
    except ImportError as error:
        raise UsageError("Parquet needs pyarrow, which is not installed: pip install 'tamiz[lab]'") from error


def _damaged(line: int, last: int, error: Exception) -> str:
    return f"rows {line} to {last} cannot be read: damaged data ({_one_line(error)})"


def _one_line(error: Exception) -> str:
    return str(error).split("\n", 1)[0]
