"""Counts words with DuckDB: over state files and over files of answers, on all processors, in bounded memory."""

import contextlib
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import duckdb
import pyarrow as pa

from tamiz.datasets.parquet import Plain
from tamiz.datasets.sniff import check_file
from tamiz.datasets.source import Source
from tamiz.errors import StateError, UsageError
from tamiz.statefile import read_only
from tamiz.vocabulary.rules import SIDES, WORD, folded

__all__ = ["COLUMNS", "Vocabulary", "count_words"]

COLUMNS: Final = {
    "human": ("reference", "best_answer", "expected", "ground_truth"),
    "model": ("llm_answer", "answer"),
}
"""The columns of a file that are read, the first of each that there is; upper case or lower does not matter."""

_CSV: Final = "read_csv({path}, header = true, all_varchar = true, delim = '{mark}', quote = '\"', escape = '\"')"
_READERS: Final = {
    ".csv": _CSV.replace("{mark}", ","),
    ".tsv": _CSV.replace("{mark}", "\t"),
    ".jsonl": "read_ndjson({path})",
    ".parquet": "read_parquet({path})",
}
_ROWS: Final = 20_000
_TEXTS: Final = pa.schema([("side", pa.string()), ("text", pa.string())])
_ANSWERS: Final = (
    "SELECT best_answer, answer FROM outcomes JOIN questions USING (message_id) "
    "WHERE source = 'model' AND answer IS NOT NULL"
)
# No word has a blank in it: texts are first taken apart at blanks, which is cheap, and the rule is applied once to each
# different piece and not at each place where it stands.
_COUNT: Final = """
SELECT side, word, sum(n)::BIGINT FROM (
    SELECT side, unnest(regexp_extract_all(piece, $word)) AS word, n FROM (
        SELECT side, piece, count(*) AS n
        FROM (SELECT side, unnest(string_split(text, ' ')) AS piece FROM texts) GROUP BY side, piece
    )
) GROUP BY side, word
"""

Vocabulary = dict[str, tuple[int, int]]
"""How often people and models use each word."""


def count_words(path: str) -> Vocabulary:
    """Count the words of answers by people and by models.

    Of a state file, each question that a model was called for counts once: its reference, and the answer it ended
    with. Of a .csv, .tsv, .jsonl or .parquet file (`COLUMNS`; also .gz), each row; of a folder, the counts that the
    Flink job left there. Raises `UsageError` or `StateError` where the path is none of these.
    """
    source = Path(path)
    plain = source.with_suffix("") if source.suffix == ".gz" else source
    with tempfile.TemporaryDirectory() as folder, duckdb.connect(config={"temp_directory": folder}) as db:
        if source.is_dir():
            return _counted_before(db, source)
        if (kind := plain.suffix.lower()) in _READERS:
            check_file(path)
            if kind != ".parquet":
                return _of_file(db, path, _READERS[kind].replace("{path}", _quoted(path, "'")))
            data = Plain(Source(path, gz=plain != source))  # DuckDB decompresses text alone
            return _of_file(db, path, _READERS[kind].replace("{path}", _quoted(data.path, "'")))
        # DuckDB asks for the rows from its own threads, one at a time
        with contextlib.closing(read_only(path, any_thread=True, another="tamiz vocabulary FILE")) as state:
            return _of_state(db, path, state)


def _of_file(db: duckdb.DuckDBPyConnection, path: str, reader: str) -> Vocabulary:
    try:
        names = [row[0] for row in db.execute(f"DESCRIBE SELECT * FROM {reader}").fetchall()]  # noqa: S608 - quoted
        columns = {side: _column(path, names, side) for side in SIDES}
        texts = " UNION ALL ".join(
            f"SELECT '{side}' AS side, {column}::VARCHAR AS text FROM {reader}"  # noqa: S608 - quoted
            for side, column in columns.items()
        )
        db.execute(f"CREATE TEMP VIEW texts AS {texts}")
        return folded(db.execute(_COUNT, {"word": WORD}).fetchall())
    except duckdb.Error as error:
        raise UsageError(f"{path!r} cannot be read: {str(error).splitlines()[0]}") from error


def _of_state(db: duckdb.DuckDBPyConnection, path: str, state: sqlite3.Connection) -> Vocabulary:
    def batches() -> Iterator[Any]:
        cursor = state.execute(_ANSWERS)
        while rows := cursor.fetchmany(_ROWS):
            for side, texts in zip(SIDES, zip(*rows, strict=True), strict=True):
                yield pa.record_batch([pa.repeat(side, len(rows)), pa.array(texts, pa.string())], schema=_TEXTS)

    try:
        db.register("texts", pa.RecordBatchReader.from_batches(_TEXTS, batches()))
        return folded(db.execute(_COUNT, {"word": WORD}).fetchall())
    except (sqlite3.Error, duckdb.Error) as error:
        raise StateError(f"the state file {path} cannot be read: {str(error).splitlines()[0]}") from error


def _counted_before(db: duckdb.DuckDBPyConnection, folder: Path) -> Vocabulary:
    counts = "read_ndjson({}, columns = {{side: 'VARCHAR', word: 'VARCHAR', n: 'BIGINT'}})"
    try:
        found = db.execute(f"SELECT side, word, n FROM {counts.format(_quoted(f'{folder}/part-*', chr(39)))}")  # noqa: S608
        return folded(row for row in found.fetchall() if row[0] in SIDES)
    except duckdb.Error as error:
        raise UsageError(
            f"{str(folder)!r} does not hold the word counts of the Flink job: {str(error).splitlines()[0]}"
        ) from error


def _column(path: str, names: list[str], side: str) -> str:
    lower = {name.lower(): name for name in reversed(names)}
    found = next((lower[name] for name in COLUMNS[side] if name in lower), None)
    if found is None:
        raise UsageError(
            f"{path!r} has no column with the answers of {'people' if side == 'human' else 'models'} "
            f"({' or '.join(COLUMNS[side])}); its columns are {', '.join(names)}"
        )
    return _quoted(found, '"')


def _quoted(text: str, mark: str) -> str:
    return mark + text.replace(mark, 2 * mark) + mark
