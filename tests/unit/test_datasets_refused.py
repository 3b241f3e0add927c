import gzip
import hashlib
import io
import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from tamiz.datasets import open_dataset
from tamiz.errors import UsageError


def _gzip(data: bytes) -> bytes:
    return gzip.compress(data, mtime=0)  # the same bytes, and so the same test, in every process


NOISE = hashlib.shake_128(b"tamiz").digest(500)  # does not compress
PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
REFUSED: list[tuple[str, bytes, list[str]]] = [
    ("q.csv", b"", ["empty"]),
    ("q.csv", b"\xef\xbb\xbf", ["empty"]),
    ("q.csv", b" \n\r\n\n", ["empty"]),
    ("q.csv", b"question,answer\n", ["empty", "no rows"]),
    ("q.csv", b"question,answer\n\n  \n", ["empty", "no rows"]),
    ("q.csv.gz", _gzip(b""), ["empty"]),
    ("q.csv.gz", _gzip(b"question\n"), ["empty", "no rows"]),
    ("q.jsonl", b"\n\n", ["empty"]),
    ("q.csv", _gzip(b"question\na\n"), ["gzip", "not CSV", ".gz"]),
    ("q.jsonl", _gzip(b"{}"), ["gzip", "not JSONL"]),
    ("q.csv.gz", b"question\na\n", ["not gzip", ".gz"]),
    ("q.csv.gz", _gzip(_gzip(b"question\na\n")), ["gzip", "not CSV"]),
    ("q.csv.gz", _gzip(b"question\na\n")[:12], ["cut short"]),
    ("q.csv.gz", _gzip(NOISE)[:20], ["cut short"]),
    ("q.csv.gz", _gzip(b"question\na\n")[:10], ["cannot be read", "cut short", "fetch it again"]),
    ("q.jsonl.gz", _gzip(b'{"question": "a"}')[:-9], ["cut short", "fetch it again"]),
    ("q.csv", b"\n" * 9000, ["empty"]),
    ("q.jsonl", b"\n" * 9000, ["empty"]),
    ("q.csv", b"PAR1" + bytes(50), ["Parquet", ".parquet"]),
    ("q.tsv", b"PK\x03\x04" + bytes(50), ["zip", "Excel", "export"]),
    ("q.csv", b"\xd0\xcf\x11\xe0" + bytes(50), ["Excel"]),
    ("q.csv", b"%PDF-1.7\n", ["PDF"]),
    ("q.csv", PNG, ["binary", "NUL"]),
    ("q.csv", b"SQLite format 3\0" + bytes(90), ["binary", "NUL"]),
    ("q.csv", b"abc\n" + bytes(90), ["binary", "NUL"]),
    ("q.csv", "question\na\n".encode("utf-16"), ["UTF-16", "iconv"]),
    ("q.jsonl", b"\xfe\xff" + '{"question": "a"}\n'.encode("utf-16-be"), ["UTF-16", "iconv"]),
    ("q.csv", b"<!DOCTYPE html>\n<html>", ["HTML"]),
    ("q.csv", b"\n <html lang=en>", ["HTML"]),
    ("q.jsonl", b'<?xml version="1.0"?>', ["XML"]),
    ("q.csv", b'{"question": "a"}\n', ["JSON", "not CSV", ".jsonl"]),
    ("q.csv", b'[\n {"question": "a"}]\n', ["JSON", "not CSV"]),
    ("q.csv", b"question,answer\ra,b\rc,d\r", ["CR alone", "tr"]),
    ("q.jsonl", b"question,answer\na,b\n", ["not JSONL", "question,answer", "CSV?"]),
    ("q.jsonl", b'\n[{"question": "a"}]\n', ["JSON list", "jq"]),
    ("q.jsonl", b'{\n  "question": "a"\n}\n', ["several lines", "jq"]),
    ("q.csv", b"name,age\nx,3\n", ["no question column", "'name', 'age'", "--columns question=NAME"]),
    ("q.csv", b"question;answer\nx;3\n", ["no question column", "semicolons"]),
    ("q.csv", b"question\tanswer\nx\t3\n", ["no question column", "tabs"]),
    ("q.csv", b"id,text,content,answer\n1,x,y,z\n", ["no question column", "'text'"]),
    ("q.csv", (",".join(f"column{at}" for at in range(99)) + "\n").encode(), ["'column29' and 69 more"]),
    ("q.jsonl", b'{"text": "a", "id": 1}\n' * 200, ["no question column", "'text', 'id'"]),
    ("q.txt", b"question\na\n", ["no known kind", ".csv, .tsv, .jsonl and .parquet"]),
    ("q.json", b"{}", ["no known kind", ".jsonl"]),
    ("q", b"question\na\n", ["no known kind"]),
    ("q.gz", _gzip(b"question\na\n"), ["no known kind"]),
    ("q.parquet", b"question\na\n", ["not Parquet"]),
    ("q.parquet", b"PAR1" + bytes(50), ["cut short"]),
    ("q.parquet", b"PAR1" + bytes(50) + b"PAR1", ["damaged Parquet"]),
    ("q.parquet.gz", _gzip(b"PAR1" + NOISE)[:100], ["cannot be decompressed", "cut short"]),
    ("q.parquet.gz", b"PAR1" + bytes(50), ["cannot be decompressed"]),
]


def refusal(path: str, columns: dict[str, str] | None = None) -> str:
    with pytest.raises(UsageError) as caught:
        open_dataset(path, columns)
    return str(caught.value)


@pytest.mark.parametrize(("name", "content", "words"), REFUSED)
def test_a_file_that_cannot_be_meant_is_refused(tmp_path: Path, name: str, content: bytes, words: list[str]) -> None:
    """Before anything runs, in one line that names the file, what it is and the remedy."""
    if "parquet" in name:
        pytest.importorskip("pyarrow")
    path = tmp_path / name
    path.write_bytes(content)
    message = refusal(str(path))
    assert repr(str(path)) in message
    assert all(word in message for word in words), message
    assert "\n" not in message


def test_a_missing_file_a_folder_and_a_pipe_are_refused(tmp_path: Path) -> None:
    assert "does not exist" in refusal(str(tmp_path / "q.csv"))
    assert "does not exist" in refusal(str(tmp_path / "no" / "q.csv"))
    assert "directory" in refusal(str(tmp_path))
    assert "cannot be read" in refusal(str(tmp_path / ("q" * 300 + ".csv")))
    assert "cannot be read" in refusal("q\0.csv")
    os.mkfifo(tmp_path / "pipe.csv")
    assert "not a regular file" in refusal(str(tmp_path / "pipe.csv"))


def test_a_file_that_may_not_be_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "q.csv"
    path.write_text("question\na\n")

    def refuse(*_: object, **__: object) -> Any:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    message = refusal(str(path))
    assert "Permission denied" in message
    assert "permissions" in message


@pytest.mark.parametrize("name", ["q.csv", "q.jsonl", "q.parquet"])
def test_a_given_column_that_does_not_exist_is_named_with_those_that_do(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    content = {".csv": b"Frage,answer\na,b\n", ".jsonl": b'{"Frage": "a", "answer": "b"}\n'}.get(path.suffix)
    if content is None:
        pa: Any = pytest.importorskip("pyarrow")
        pq: Any = pytest.importorskip("pyarrow.parquet")
        target = io.BytesIO()
        pq.write_table(pa.table({"Frage": ["a"], "answer": ["b"]}), target)
        content = target.getvalue()
    path.write_bytes(content)
    message = refusal(str(path), {"question": "Question"})
    assert re.search(r"no column 'Question' for question; its columns are 'Frage', 'answer'", message)
    assert "no question column" in refusal(str(path))
    assert "'frage' (in 'frage=Frage') is not a role" in refusal(str(path), {"frage": "Frage"})


def test_parquet_without_rows_is_empty(tmp_path: Path) -> None:
    pa: Any = pytest.importorskip("pyarrow")
    pq: Any = pytest.importorskip("pyarrow.parquet")
    pq.write_table(pa.table({"question": pa.array([], pa.string())}), tmp_path / "q.parquet")
    assert "empty: it has no rows" in refusal(str(tmp_path / "q.parquet"))


def test_parquet_without_pyarrow_names_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    (tmp_path / "q.parquet").write_bytes(b"PAR1")
    assert "pip install 'tamiz[lab]'" in refusal(str(tmp_path / "q.parquet"))


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"", "empty"), (b"a,b\n", "not JSONL"), (b"\x1f\x8b\x08", "gzip"), (b'{"a": 1}\n', "no question column")],
)
def test_standard_input_is_checked_too(monkeypatch: pytest.MonkeyPatch, content: bytes, words: str) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))
    assert words in refusal("-")


def test_a_closed_standard_input_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", None)
    assert "closed" in refusal("-")


def test_a_file_that_goes_away_after_it_was_opened_is_an_error_not_an_empty_file(tmp_path: Path) -> None:
    path = tmp_path / "q.csv"
    path.write_text("question\na\n")
    dataset = open_dataset(str(path))
    path.unlink()
    with pytest.raises(UsageError, match="cannot be read"):
        list(dataset)
