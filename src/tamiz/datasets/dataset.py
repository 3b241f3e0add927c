"""Opens question files."""

from collections.abc import Iterator, Mapping

from tamiz.datasets import delimited, jsonl, parquet
from tamiz.datasets.columns import check_given
from tamiz.datasets.rows import BadRow, Read, Row
from tamiz.datasets.sniff import check_file, check_text_file, kind_of
from tamiz.datasets.source import Source, standard_input

__all__ = ["Dataset", "open_dataset"]


class Dataset:
    """The rows of a question file, in its order, each once.

    Every `iter()` reads the file again from its start (standard input: once, then `UsageError`), in memory that does
    not grow with the file. A row that cannot be read is given as a `BadRow`, and the rows after it still come.
    """

    def __init__(self, path: str, read: Read) -> None:
        self.path = path
        self._read = read

    def __iter__(self) -> Iterator[Row | BadRow]:
        return self._read()


def open_dataset(path: str, columns: Mapping[str, str] | None = None) -> Dataset:
    """Open a question file: its kind is told by its name, `-` is JSON Lines on standard input.

    `columns` gives the name of a role's column (see `parse_columns`); the others are recognised. Raises `UsageError`
    where there is no such file, or it is not what its name says, or has no question column or no rows.
    """
    given = dict(columns or {})
    check_given(given)
    return Dataset(path, _prepare(path, given))


def _prepare(path: str, given: Mapping[str, str]) -> Read:
    if path == "-":
        return jsonl.prepare_stdin(standard_input(), given)
    check_file(path)
    kind, gz = kind_of(path)
    source = Source(path, gz)
    if kind == "parquet":
        return parquet.prepare(source, given)
    check_text_file(source, kind)
    if kind == "jsonl":
        return jsonl.prepare(source, given)
    return delimited.prepare(source, "," if kind == "csv" else "\t", given)
