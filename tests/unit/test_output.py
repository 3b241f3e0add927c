import csv
import gzip
import io
import os
import sys
import threading
import zlib
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tamiz import output
from tamiz.errors import UsageError
from tamiz.output import open_output
from tamiz.store.lives import ResultRow

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30) | st.text('",\r\n é', max_size=9)
NUMBER = st.none() | st.floats(allow_nan=False, allow_infinity=False)
ROW = st.builds(
    ResultRow,
    id=st.none() | TEXT,
    question=TEXT,
    answer=st.none() | TEXT,
    score=NUMBER,
    latency_ms=NUMBER,
    attempts=st.integers(0, 99),
    retries=st.integers(0, 99),
)
ONE = ResultRow("17", 'Say "hi",\nplease', "hi", "accepted", 0.41, "model", 1, 0, None, "m", 812.0, "id-1")
TWO = ResultRow(None, "Why?", None, "failed", None, "model", 0, 5, "timeout: é", None, None, "id-2")
fast = settings(deadline=None, database=None)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("output")


def json_rows(data: bytes) -> list[ResultRow]:
    return [msgspec.json.decode(line, type=ResultRow) for line in data.splitlines()]


@fast
@given(st.lists(ROW, max_size=5))
def test_json_lines_come_back(folder: Path, rows: list[ResultRow]) -> None:
    """Whatever the text, compressed or not, with the fields in their order."""
    for name in ("out.jsonl", "out.JSONL.GZ"):
        with open_output(str(folder / name)) as out:
            out.write(rows)
        data = (folder / name).read_bytes()
        assert json_rows(gzip.decompress(data) if name.endswith("GZ") else data) == rows


@fast
@given(st.lists(ROW, max_size=5))
def test_csv_comes_back(folder: Path, rows: list[ResultRow]) -> None:
    """Whatever the text; null is an empty field."""
    with open_output(str(folder / "out.csv")) as out:
        out.write(rows)
    with (folder / "out.csv").open(newline="", encoding="utf-8") as file:
        header, *table = csv.reader(file)
    assert header == list(ResultRow.__struct_fields__)
    assert table == [["" if value is None else str(value) for value in msgspec.structs.astuple(row)] for row in rows]


def test_json_rows_have_the_documented_form(tmp_path: Path) -> None:
    with open_output(str(tmp_path / "out.jsonl")) as out:
        out.write([ONE])
    assert (tmp_path / "out.jsonl").read_text() == (
        '{"id":"17","question":"Say \\"hi\\",\\nplease","answer":"hi","outcome":"accepted","score":0.41,'
        '"source":"model","attempts":1,"retries":0,"reason":null,"model":"m","latency_ms":812.0,"message_id":"id-1"}\n'
    )


@pytest.mark.parametrize("name", ["out.csv", "out.csv.gz"])
def test_a_csv_without_rows_has_its_header(tmp_path: Path, name: str) -> None:
    """And CRLF, as RFC 4180 has it."""
    open_output(str(tmp_path / name)).close()
    data = (tmp_path / name).read_bytes()
    text = gzip.decompress(data) if name.endswith("gz") else data
    assert text == ",".join(ResultRow.__struct_fields__).encode() + b"\r\n"


@pytest.mark.parametrize("name", ["out.jsonl", "out.jsonl.gz"])
def test_what_was_flushed_can_be_read_while_the_file_is_open(tmp_path: Path, name: str) -> None:
    """A process that is killed after a flush leaves all rows up to it."""
    out = open_output(str(tmp_path / name))
    for count in (1, 2, 3):
        out.write([ONE, TWO])
        out.flush()
        data = (tmp_path / name).read_bytes()
        text = zlib.decompressobj(wbits=31).decompress(data) if name.endswith("gz") else data
        assert json_rows(text) == [ONE, TWO] * count
    out.close()


@pytest.mark.parametrize("name", ["out.jsonl", "out.csv", "out.jsonl.gz", "out.parquet"])
def test_closing_is_final_and_may_be_repeated(tmp_path: Path, name: str) -> None:
    if "parquet" in name:
        pytest.importorskip("pyarrow")
    out = open_output(str(tmp_path / name))
    out.write([])
    out.close()
    out.close()
    with pytest.raises(ValueError, match="closed"):
        out.write([ONE])
    with pytest.raises(ValueError, match="closed"):
        out.flush()


def test_opening_empties_the_file(tmp_path: Path) -> None:
    (tmp_path / "out.jsonl").write_text("old")
    out = open_output(str(tmp_path / "out.jsonl"))
    assert (tmp_path / "out.jsonl").read_text() == ""
    out.close()


@pytest.mark.parametrize("path", [None, "-"])
def test_standard_output_is_json_lines_and_stays_open(
    path: str | None, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    """Rows come after what was printed before."""
    sys.stdout.write("before\n")
    with open_output(path) as out:
        out.write([ONE])
        out.write([TWO])
        out.flush()
    sys.stdout.write("after\n")
    sys.stdout.flush()
    first, *rows, last = capfdbinary.readouterr().out.splitlines()
    assert (first, last) == (b"before", b"after")
    assert json_rows(b"\n".join(rows)) == [ONE, TWO]


def test_standard_output_without_a_file_below_it_works_too(monkeypatch: pytest.MonkeyPatch) -> None:
    text = io.TextIOWrapper(io.BytesIO())
    monkeypatch.setattr("sys.stdout", text)
    with open_output("-") as out:
        out.write([ONE])
    assert json_rows(text.buffer.getvalue()) == [ONE]


def test_a_reader_that_went_away_is_a_broken_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    """And nothing stays in a buffer, to fail once more at exit."""
    read, write = os.pipe()
    with os.fdopen(write, "w", encoding="utf-8") as pipe:
        monkeypatch.setattr("sys.stdout", pipe)
        out = open_output(None)
        os.close(read)
        with pytest.raises(BrokenPipeError):
            out.write([ONE])
        out.close()


def test_a_full_non_blocking_pipe_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every row arrives, as from a blocking one."""
    read, write = os.pipe()
    os.set_blocking(write, False)
    rows = [ONE] * 5000
    got: list[bytes] = []

    def drain() -> None:
        with os.fdopen(read, "rb") as pipe:
            got.append(pipe.read())

    with os.fdopen(write, "w", encoding="utf-8") as pipe:
        monkeypatch.setattr("sys.stdout", pipe)
        reader = threading.Timer(0.05, drain)
        reader.start()
        with open_output(None) as out:
            out.write(rows)
    reader.join()
    assert json_rows(got[0]) == rows


def test_a_closed_standard_output_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout", None)
    with pytest.raises(UsageError, match="--out FILE"):
        open_output(None)


def test_a_full_disk_leaves_whole_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error propagates, and the half of a row that still fitted is taken back."""

    class Full(io.FileIO):
        def write(self, data: Any, /) -> int:
            if self.tell() > 200:
                raise OSError(28, "No space left on device")
            return super().write(bytes(data)[:150])

    monkeypatch.setattr(io, "FileIO", Full)
    path = tmp_path / "out.jsonl"
    with open_output(str(path)) as out:
        out.write([TWO])
        with pytest.raises(OSError, match="No space"):
            out.write([ONE, TWO])
    assert json_rows(path.read_bytes()) == [TWO]


def refusal(path: str, *not_these: str) -> str:
    with pytest.raises(UsageError) as caught:
        open_output(path, not_these=not_these)
    return str(caught.value)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("out.txt", ["no known kind", ".jsonl, .csv and .parquet, each also .gz"]),
        ("out", ["no known kind"]),
        ("out.tsv", ["no known kind"]),
        ("no/out.jsonl", ["folder", "does not exist", "mkdir"]),
        ("folder.csv", ["is a directory"]),
        ("o" * 300 + ".csv", ["cannot be written", "too long"]),
        ("o\0.csv", ["cannot be written"]),
    ],
)
def test_an_output_that_cannot_be_written_is_refused(tmp_path: Path, name: str, words: list[str]) -> None:
    (tmp_path / "folder.csv").mkdir()
    message = refusal(str(tmp_path / name))
    assert all(word in message for word in words), message


def test_an_input_is_never_written_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By whatever name: relative, linked, hard linked, or not there yet."""
    source = tmp_path / "in.jsonl"
    source.write_text("kept")
    (tmp_path / "soft.jsonl").symlink_to(source)
    (tmp_path / "hard.jsonl").hardlink_to(source)
    monkeypatch.chdir(tmp_path)
    for name in ("in.jsonl", "soft.jsonl", "hard.jsonl", str(source)):
        assert "same file" in refusal(name, "-", "other.csv", str(source))
    assert "same file" in refusal("new.jsonl", str(tmp_path / "new.jsonl"))
    assert source.read_text() == "kept"


def test_a_file_that_may_not_be_written_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "out.jsonl").write_text("kept")
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert "permissions" in refusal(str(tmp_path / "out.jsonl"))
    assert (tmp_path / "out.jsonl").read_text() == "kept"


def test_parquet_is_there_once_it_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the types of the fields also where all values are null, in row groups of bounded size."""
    pq: Any = pytest.importorskip("pyarrow.parquet")
    monkeypatch.setattr(output, "_GROUP_ROWS", 4)
    path = tmp_path / "out.parquet"
    with open_output(str(path)) as out:
        for _ in range(5):
            out.write([TWO, TWO])
        out.flush()
        assert not path.exists()
    table = pq.read_table(path)
    assert [ResultRow(**row) for row in table.to_pylist()] == [TWO] * 10
    assert [str(field.type) for field in table.schema] == [
        *("string", "string", "string", "string", "double", "string"),
        *("int64", "int64", "string", "string", "double", "string"),
    ]
    with pq.ParquetFile(path) as file:
        assert file.num_row_groups == 3
    assert os.listdir(tmp_path) == ["out.parquet"]  # noqa: PTH208


def test_long_rows_make_small_row_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pq: Any = pytest.importorskip("pyarrow.parquet")
    monkeypatch.setattr(output, "_GROUP_CHARACTERS", 30)
    with open_output(str(tmp_path / "out.parquet")) as out:
        out.write([ONE] * 6)
    with pq.ParquetFile(tmp_path / "out.parquet") as file:
        assert file.num_row_groups == 3


def test_parquet_may_be_compressed_once_more(tmp_path: Path) -> None:
    """What is there is the gzip of a Parquet file, and nothing is left beside it."""
    pq: Any = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "out.parquet.gz"
    with open_output(str(path)) as out:
        out.write([ONE, TWO])
    table = pq.read_table(io.BytesIO(gzip.decompress(path.read_bytes())))
    assert [ResultRow(**row) for row in table.to_pylist()] == [ONE, TWO]
    assert [file.name for file in tmp_path.iterdir()] == ["out.parquet.gz"]


def test_a_failed_run_leaves_the_parquet_file_as_it_was(tmp_path: Path) -> None:
    """It is whole or not there."""
    pytest.importorskip("pyarrow")
    path = tmp_path / "out.parquet"
    path.write_text("old")

    def fail() -> None:
        with open_output(str(path)) as out:
            out.write([ONE])
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["out.parquet"]  # noqa: PTH208


def test_parquet_without_pyarrow_names_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    assert "pip install 'tamiz[lab]'" in refusal(str(tmp_path / "out.parquet"))
