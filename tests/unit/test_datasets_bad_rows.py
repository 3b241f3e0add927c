import gzip
import io
import math
import os
import tracemalloc
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tamiz.datasets import BadRow, Row, open_dataset, records
from tamiz.datasets.rows import FIELD_CAP
from tamiz.datasets.source import ROW_CAP

HEAD = b"id,question,answer\n1,first,a\n"
TAIL = b"3,third,c\n4,fourth,d\n"
LINE = b'{"id": 1, "question": "first"}\n'


class Case(NamedTuple):
    """A row at fault in a file of a kind, words of its problem, and what could be read of it."""

    end: str
    row: bytes
    words: list[str]
    id: str | None
    title: str


CASES = [
    Case("csv", b"2,second", ["'2'", "2 columns where 3 are expected"], "2", "second"),
    Case("csv", b"2,second,b,,", ["'2'", "5 columns where 3 are expected"], "2", "second"),
    Case("csv", b"second", ["'second'", "1 column where 3"], "second", ""),
    Case("csv", b'""', ["1 column where 3"], None, ""),
    Case("csv", b"2,,b", ["question ''", "empty"], "2", ""),
    Case("csv", b"2,  ,b", ["question '  '", "empty"], "2", "  "),
    Case("csv", b"2,caf\xe9,b", ["caf", "not UTF-8", "0xe9", "line 3", "iconv"], "2", "caf\ufffd"),
    Case("csv", b'2,"caf\xe9",b', ["not UTF-8", "line 3"], "2", "caf\ufffd"),
    Case("csv", b"2,se\0cond,b", ["se\\x00cond", "NUL"], "2", "se\ufffdcond"),
    Case("csv", b'2,"second,b', ["'2,\"second,b'", "never closed"], "2", "second,b"),
    Case("csv", b'2,"sec"ond,b', ["follows a closing quote", "written twice"], "2", "second"),
    Case("csv", b"2,sec\rond,b", ["carriage return"], "2", "sec ond"),
    Case("csv", b"2,second," + b"x" * (FIELD_CAP + 1), ["'2,second,xxx", "over 10 MB"], "2", "second"),
    Case("csv", b'2,second,"' + "é".encode() * (FIELD_CAP // 2 + 1) + b'"', ["over 10 MB"], "2", "second"),
    Case("csv", b"2,second," + b"x," * (ROW_CAP // 2), ["over 32 MB"], "2", "second"),
    Case("tsv", b"2\tsecond", ["'2'", "2 columns where 3 are expected"], "2", "second"),
    Case("tsv", b"\t\t", ["question ''", "empty"], None, ""),
    Case("jsonl", b'{"id": 2, "question": "sec', ["not JSON", '{"id": 2'], None, ""),
    Case("jsonl", b"oops", ["'oops'", "not JSON"], None, ""),
    Case("jsonl", b"[1, 2]", ["'[1, 2]'", "not a JSON object"], None, ""),
    Case("jsonl", b'"second"', ["'second'", "not a JSON object"], None, ""),
    Case("jsonl", b"null", ["'None'", "not a JSON object"], None, ""),
    Case("jsonl", b'{"id": 2}', ["no question"], "2", ""),
    Case("jsonl", b'{"id": 2, "question": null}', ["no question"], "2", ""),
    Case("jsonl", b'{"id": 2, "question": " \\t"}', ["' \\t'", "empty"], "2", " \t"),
    Case("jsonl", b'{"id": 2, "question": ["second"]}', ["question", "a list, not a text"], "2", ""),
    Case("jsonl", b'{"id": 2, "question": {"a": 1}}', ["question", "an object, not a text"], "2", ""),
    Case("jsonl", b'{"id": [2], "question": "second"}', ["the id", "a list, not a text"], None, "second"),
    Case("jsonl", b'{"question": "second", "answer": ["b", []]}', ["reference", "a list, not a text"], None, "second"),
    Case("jsonl", b'{"question": "second", "answer": ["b", "\\u0000"]}', ["reference", "NUL"], None, "second"),
    Case("jsonl", b'{"question": "second", "answer": {"b": 1}}', ["reference", "an object"], None, "second"),
    Case("jsonl", b'{"question": "second", "content": ["b"]}', ["content", "a list"], None, "second"),
    Case("jsonl", b'{"id": 2, "question": "se\\ud800cond"}', ["surrogate"], "2", "se?cond"),
    Case("jsonl", b'{"id": 2, "question": "se\\u0000cond"}', ["NUL", "se\\x00cond"], "2", "se\ufffdcond"),
    Case("jsonl", b'{"id": 2, "question": "se\0cond"}', ["NUL"], "2", "se\ufffdcond"),
    Case("jsonl", b'{"id": 2, "question": "caf\xe9"}', ["caf", "not UTF-8", "0xe9"], "2", "caf\ufffd"),
    Case("jsonl", b'{"id": 2, "question": ' + b"[" * 100_000, ["nested too deeply"], None, ""),
    Case(
        "jsonl",
        b'{"id": 2, "question": "' + b"x" * (FIELD_CAP + 1) + b'"}',
        ["question 'xxx", "10 MB"],
        "2",
        "x" * 1000,
    ),
    Case("jsonl", b'{"id": 2, "question": "' + b"x" * ROW_CAP + b'"}', ["over 32 MB"], None, ""),
]


@pytest.mark.parametrize("case", CASES, ids=range(len(CASES)))
def test_a_bad_row_is_named_and_the_others_come(tmp_path: Path, case: Case) -> None:
    """With its line, what is wrong in words, and what could be read of it; one row for one row."""
    path = tmp_path / f"q.{case.end}"
    if case.end == "jsonl":
        path.write_bytes(b"\n" + LINE + case.row + b"\n" + LINE)
    else:
        delimiter = b"\t" if case.end == "tsv" else b","
        path.write_bytes(HEAD.replace(b",", delimiter) + case.row + b"\n" + TAIL.replace(b",", delimiter))
    first, bad, *others = open_dataset(str(path))
    assert isinstance(first, Row)
    assert isinstance(bad, BadRow)
    assert (bad.file, bad.line, bad.id, bad.title) == (str(path), 3, case.id, case.title)
    assert all(word in bad.problem for word in case.words), bad.problem
    assert len(bad.problem) < 200
    assert [(type(other), other.line) for other in others] == [(Row, 4), (Row, 5)][: len(others)]
    assert len(others) == (1 if case.end == "jsonl" else 2)


def test_json_lines_may_start_with_bad_rows(tmp_path: Path) -> None:
    """What the first lines are tells what the file is; that they cannot be read does not refuse it."""
    path = tmp_path / "q.jsonl"
    path.write_bytes(b" " * 200 + b"{oops\noops\n\0\n" + LINE)
    *bad, good = open_dataset(str(path))
    assert [type(row) for row in bad] == [BadRow] * 3
    assert good == Row(str(path), 4, "1", "first")
    path.write_bytes(b"{oops\n")
    (only,) = open_dataset(str(path))
    assert isinstance(only, BadRow)


def test_a_failing_disk_ends_with_a_bad_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says what the system said."""

    class Failing(io.BytesIO):
        def readline(self, size: int | None = -1, /) -> bytes:
            line = super().readline(size)
            if not line:
                raise OSError(5, "Input/output error")
            return line

    path = tmp_path / "q.csv"
    path.write_bytes(b"question\na\n")
    dataset = open_dataset(str(path))
    monkeypatch.setattr(Path, "open", lambda *_, **__: Failing(b"question\na\n"))
    good, bad = dataset
    assert good == Row(str(path), 2, None, "a")
    assert isinstance(bad, BadRow)
    assert "Input/output error" in bad.problem


def test_a_bad_line_inside_quotes_spoils_its_whole_row_only(tmp_path: Path) -> None:
    """The row's other lines are not taken for rows, and the next row has its right line."""
    path = tmp_path / "q.csv"
    path.write_bytes(b'question,answer\n"a\nb\xff\nc",d\ne,f\n')
    bad, good = open_dataset(str(path))
    assert isinstance(bad, BadRow)
    assert (bad.line, bad.title) == (2, "a\nb\ufffd\nc")
    assert "line 3" in bad.problem
    assert good == Row(str(path), 5, None, "e", "", "f")


def test_a_quote_that_swallows_more_than_a_field_may_have_takes_no_row_with_it(tmp_path: Path) -> None:
    """The rest of the file is read again from the line after it."""
    path = tmp_path / "q.csv"
    count = FIELD_CAP // 50 + 10
    path.write_bytes(b'question,answer\n"oops,a\n' + (b"x" * 50 + b",b\n") * count)
    bad, *others = open_dataset(str(path))
    assert isinstance(bad, BadRow)
    assert bad.line == 2
    assert "over 10 MB (as where a closing quote is missing)" in bad.problem
    assert len(others) == count
    assert all(isinstance(other, Row) and other.line == at for at, other in enumerate(others, 3))


def test_reading_again_is_bounded_and_what_is_skipped_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of nothing but open quotes does not take forever."""
    monkeypatch.setattr(records, "_REWIND_BUDGET", 100)
    path = tmp_path / "q.csv"
    path.write_bytes(b'question,answer\na,"b\n' + b"c,d\n" * 50)
    (bad,) = open_dataset(str(path))
    assert isinstance(bad, BadRow)
    assert bad.line == 2
    assert "never closed" in bad.problem
    assert "the lines to 52 are skipped" in bad.problem


@pytest.mark.parametrize("end", ["csv", "jsonl"])
@pytest.mark.parametrize("harm", ["cut", "flip", "garbage after"])
def test_a_broken_gzip_stream_ends_with_a_bad_row(tmp_path: Path, end: str, harm: str) -> None:
    """All rows before the break come; the last one says where and why it ends."""
    row = b'{"question": "%s"}\n' if end == "jsonl" else b"%s\n"
    text = [row % os.urandom(50).hex().encode() for _ in range(5000)]
    data = bytearray(gzip.compress((b"" if end == "jsonl" else b"question\n") + b"".join(text)))
    if harm == "cut":
        del data[len(data) // 2 :]
    elif harm == "flip":
        data[-8:-4] = b"0000"
    else:
        data += b"garbage"
    path = tmp_path / f"q.{end}.gz"
    path.write_bytes(data)
    *good, bad = open_dataset(str(path))
    assert all(isinstance(one, Row) for one in good)
    assert isinstance(bad, BadRow)
    assert bad.line == good[-1].line + 1
    assert "cannot be read from here on" in bad.problem
    assert "gzip" in bad.problem
    assert len(good) > 2000 if harm == "cut" else len(good) > 4000


def test_a_gzip_stream_that_breaks_inside_quotes_gives_one_bad_row(tmp_path: Path) -> None:
    """It is reported where its row starts."""
    path = tmp_path / "q.csv.gz"
    text = b'question,answer\na,b\nc,"' + b"\n".join(os.urandom(50).hex().encode() for _ in range(500))
    path.write_bytes(gzip.compress(text)[:-2000])
    good, bad = open_dataset(str(path))
    assert good == Row(str(path), 2, None, "a", "", "b")
    assert isinstance(bad, BadRow)
    assert bad.line == 3
    assert "cut short" in bad.problem


@pytest.mark.parametrize("end", ["csv.gz", "jsonl.gz"])
def test_a_line_without_end_is_skipped_in_bounded_memory(tmp_path: Path, end: str) -> None:
    """A line many times longer than any row may be is one bad row."""
    path = tmp_path / f"q.{end}"
    start, good = (b'{"question": "', LINE) if end == "jsonl.gz" else (b"a", b"x\n")
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(good if end == "jsonl.gz" else b"question\n")
        file.write(start)
        for _ in range(5 * ROW_CAP // 1_000_000):
            file.write(b"x" * 1_000_000)
        file.write(b"\n" + good)
    dataset = open_dataset(str(path))
    tracemalloc.start()
    *_, bad, last = dataset
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert isinstance(bad, BadRow)
    assert (bad.line, last.line) == (2, 3)
    assert "over 32 MB" in bad.problem
    assert peak < 3.5 * ROW_CAP


def test_bad_parquet_values_are_bad_rows(tmp_path: Path) -> None:
    """A text that is not UTF-8 spoils its own row, as do null and blank questions."""
    pa: Any = pytest.importorskip("pyarrow")
    pq: Any = pytest.importorskip("pyarrow.parquet")
    raw = pa.array([b"a", b"caf\xe9", None, b" ", b"b\0", b"c"])
    questions = pa.Array.from_buffers(pa.string(), len(raw), raw.buffers())
    pq.write_table(pa.table({"question": questions, "id": [1.5, None, 3, math.nan, 5, 6]}), tmp_path / "q.parquet")
    rows = list(open_dataset(str(tmp_path / "q.parquet")))
    assert [row.line for row in rows] == [1, 2, 3, 4, 5, 6]
    assert [row.id for row in rows] == ["1.5", None, None, None, None, "6.0"]
    problems = [row.problem for row in rows if isinstance(row, BadRow)]
    for problem, word in zip(problems, ["not UTF-8", "no question", "empty", "NUL"], strict=True):
        assert word in problem
    pq.write_table(pa.table({"question": [["a"], ["b"]]}), tmp_path / "list.parquet")
    (bad, _) = open_dataset(str(tmp_path / "list.parquet"))
    assert isinstance(bad, BadRow)
    assert "a list, not a text" in bad.problem


def test_a_damaged_row_group_is_reported_and_the_others_come(tmp_path: Path) -> None:
    """With the numbers of the rows that are lost."""
    pa: Any = pytest.importorskip("pyarrow")
    pq: Any = pytest.importorskip("pyarrow.parquet")
    target = io.BytesIO()
    table = pa.table({"question": [os.urandom(20).hex() for _ in range(900)]})
    pq.write_table(table, target, row_group_size=300, compression="gzip", use_dictionary=False)
    data = bytearray(target.getvalue())
    column = pq.ParquetFile(target).metadata.row_group(1).column(0)
    start = column.data_page_offset
    data[start : start + column.total_compressed_size] = b"\xff" * column.total_compressed_size
    (tmp_path / "q.parquet").write_bytes(data)
    rows = list(open_dataset(str(tmp_path / "q.parquet")))
    (bad,) = (row for row in rows if isinstance(row, BadRow))
    assert bad.line == 301
    assert "rows 301 to 600 cannot be read" in bad.problem
    assert [row.line for row in rows] == [*range(1, 302), *range(601, 901)]
