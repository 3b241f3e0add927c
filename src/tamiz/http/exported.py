"""Result rows as the bytes of a file, piece by piece."""

import csv
import io
from collections.abc import Sequence
from typing import Any, Final, Protocol

import msgspec

from tamiz.output import parquet_schema, pyarrow
from tamiz.store.lives import ResultRow

__all__ = ["EXPORTS", "Export"]


class Export(Protocol):
    """Writes one kind of file."""

    def rows(self, rows: Sequence[ResultRow]) -> bytes:
        """Give the bytes for more rows; none where they are kept for a later piece."""
        ...

    def end(self) -> bytes:
        """Give the bytes that make the file whole."""
        ...


class _JsonLines:
    def __init__(self) -> None:
        self._encoder = msgspec.json.Encoder()

    def rows(self, rows: Sequence[ResultRow]) -> bytes:
        return self._encoder.encode_lines(rows)

    def end(self) -> bytes:
        return b""


class _Csv:
    """As RFC 4180 has it; null is an empty field."""

    def __init__(self) -> None:
        self._started = False

    def rows(self, rows: Sequence[ResultRow]) -> bytes:
        text = io.StringIO(newline="")
        writer = csv.writer(text)
        if not self._started:
            writer.writerow(ResultRow.__struct_fields__)
            self._started = True
        writer.writerows(map(msgspec.structs.astuple, rows))
        return text.getvalue().encode()

    def end(self) -> bytes:
        return b"" if self._started else self.rows([])


class _Parquet:
    """A row group a piece."""

    def __init__(self) -> None:
        self._arrow = pyarrow()
        self._schema = parquet_schema(self._arrow)
        self._sink = _Sink()
        self._writer = self._arrow.parquet.ParquetWriter(self._sink, self._schema)

    def rows(self, rows: Sequence[ResultRow]) -> bytes:
        columns = zip(*map(msgspec.structs.astuple, rows), strict=True)
        arrays = [self._arrow.array(values, field.type) for values, field in zip(columns, self._schema, strict=True)]
        self._writer.write_table(self._arrow.table(arrays, schema=self._schema))
        return self._sink.taken()

    def end(self) -> bytes:
        self._writer.close()
        return self._sink.taken()


class _Sink(io.RawIOBase):
    """A file that is only ever written to."""

    def __init__(self) -> None:
        super().__init__()
        self._data = bytearray()
        self._before = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:  # noqa: ANN401 (Buffer is a type from 3.12 on)
        self._data += data
        return len(data)

    def tell(self) -> int:
        return self._before + len(self._data)

    def taken(self) -> bytes:
        data = bytes(self._data)
        self._before += len(data)
        self._data.clear()
        return data


EXPORTS: Final[dict[str, tuple[str, type[Any]]]] = {
    "jsonl": ("application/jsonl", _JsonLines),
    "csv": ("text/csv; charset=utf-8", _Csv),
    "parquet": ("application/vnd.apache.parquet", _Parquet),
}
"""The kinds of file: media type and what writes it."""
