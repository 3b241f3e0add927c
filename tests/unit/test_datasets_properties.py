import csv
import io
import itertools
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tamiz.datasets import BadRow, Row, open_dataset
from tamiz.datasets.records import Records
from tamiz.datasets.source import Lines

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30)
TRICKY = st.text(st.sampled_from('",\t\r\n ab\ufeffé'), max_size=12)
ANY = TEXT | TRICKY
QUESTION = ANY.filter(lambda text: bool(text) and not text.isspace())
TABLE = st.lists(st.tuples(ANY, QUESTION, ANY, ANY), min_size=1, max_size=8)
WORDS = st.lists(st.tuples(*[st.text("abcé", min_size=1, max_size=5)] * 2), min_size=3, max_size=8)

fast = settings(deadline=None, database=None)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("properties")


def expected(table: list[tuple[str, str, str, str]]) -> list[tuple[str | None, str, str, str | None]]:
    return [
        (id_ or None, title, content, None if not reference or reference.isspace() else reference)
        for id_, title, content, reference in table
    ]


def got(path: Path) -> list[tuple[str | None, str, str, str | None]]:
    rows = list(open_dataset(str(path)))
    assert not [row for row in rows if isinstance(row, BadRow)]
    assert [row.line for row in rows] == sorted({row.line for row in rows})
    return [(row.id, row.title, row.content, row.reference) for row in rows if isinstance(row, Row)]


@fast
@given(TABLE, st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]), st.sampled_from(["csv", "tsv"]))
def test_what_csv_writes_comes_back(
    folder: Path, table: list[tuple[str, str, str, str]], quoting: int, end: str
) -> None:
    """Whatever the text: quotes, delimiters, line ends, blanks, letters of any script."""
    path = folder / f"q.{end}"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter="," if end == "csv" else "\t", quoting=quoting)  # type: ignore[arg-type]
        writer.writerow(["id", "question", "content", "reference"])
        writer.writerows(table)
    assert got(path) == expected(table)


@fast
@given(TABLE, st.booleans(), st.sampled_from(["\n", "\r\n", "\n\n"]))
def test_what_json_writes_comes_back(
    folder: Path,
    table: list[tuple[str, str, str, str]],
    escaped: bool,  # noqa: FBT001
    end: str,
) -> None:
    """Whatever the text, escaped or not."""
    names = ("id", "question", "content", "reference")
    lines = [json.dumps(dict(zip(names, row, strict=True)), ensure_ascii=escaped) + end for row in table]
    path = folder / "q.jsonl"
    path.write_bytes("".join(lines).encode())
    assert got(path) == expected(table)


@fast
@given(st.text(st.sampled_from('",\r\nab '), max_size=40), st.sampled_from([",", "b"]))
def test_records_are_those_of_the_csv_module(text: str, delimiter: str) -> None:
    """Wherever the csv module in strict mode reads a text to its end; only blank lines are left out."""
    lines = io.StringIO(text, newline="\n").readlines()
    try:
        plain = list(csv.reader(lines, delimiter=delimiter, strict=True))
    except csv.Error:
        return
    records = [fields for _, fields, flaw in Records(Lines(io.BytesIO(text.encode())), delimiter) if flaw is None]
    blank = [fields for fields in plain if len(fields) < 2 and not "".join(fields).strip()]
    assert [fields for fields in records if fields not in blank] == [fields for fields in plain if fields not in blank]


@fast
@given(WORDS, st.data(), st.booleans())
def test_a_corrupted_csv_row_leaves_the_others(
    folder: Path,
    table: list[tuple[str, str]],
    data: st.DataObject,
    quoted: bool,  # noqa: FBT001
) -> None:
    """Whatever bytes stand in its line, the other rows come, at their lines."""
    quote = '"' if quoted else ""
    lines = [f"{quote}{title}{quote},{quote}{answer}{quote}" for title, answer in table]
    at = data.draw(st.integers(0, len(table) - 1))
    junk = data.draw(st.binary(max_size=20) | st.text(st.sampled_from('",\r\0 ab'), max_size=9).map(str.encode))
    raw = [line.encode() for line in lines]
    raw[at] = junk.replace(b"\n", b"")
    path = folder / "corrupt.csv"
    path.write_bytes(b"question,answer\n" + b"\n".join(raw) + b"\n")
    rows = [row for row in open_dataset(str(path)) if row.line != at + 2]
    wanted = [Row(str(path), line, None, *row, "") for line, row in enumerate(table, 2) if line != at + 2]
    assert rows == [Row(row.file, row.line, None, row.title, "", row.content) for row in wanted]


@fast
@given(WORDS, st.data())
def test_a_corrupted_json_line_leaves_the_others(
    folder: Path, table: list[tuple[str, str]], data: st.DataObject
) -> None:
    """Whatever bytes stand in its line, the other rows come, at their lines."""
    raw = [json.dumps({"question": title, "answer": answer}).encode() for title, answer in table]
    at = data.draw(st.integers(1, len(table) - 1))
    cut = data.draw(st.integers(0, len(raw[at])))
    junk = data.draw(st.binary(max_size=20) | st.sampled_from([b"\\ud800", b'{"', b"\xef\xbb\xbf", b"}", b"\0"]))
    raw[at] = raw[at][:cut] + junk.replace(b"\n", b"") + raw[at][cut + data.draw(st.integers(0, 3)) :]
    path = folder / "corrupt.jsonl"
    path.write_bytes(b"\n".join(raw))
    rows = [row for row in open_dataset(str(path)) if row.line != at + 1]
    wanted = [
        Row(str(path), line, None, title, "", answer) for line, (title, answer) in enumerate(table, 1) if line != at + 1
    ]
    assert rows == wanted


@fast
@given(st.lists(st.binary(max_size=12), max_size=12))
def test_any_bytes_give_rows_and_every_line_is_accounted_for(folder: Path, lines: list[bytes]) -> None:
    """Reading never raises once a file was opened, and what it gives can be written as UTF-8 anywhere."""
    body = b"\n".join(lines)
    for name, head in (("any.csv", b"question,answer\na,b\n"), ("any.jsonl", b'{"question": "a"}\n')):
        path = folder / name
        # enough text before it that no bytes make the file a binary one
        path.write_bytes(head + b"\n" * 200 + body)
        dataset = open_dataset(str(path))
        for row, after in itertools.pairwise([*dataset, None]):
            assert row is not None
            assert after is None or row.line < after.line
            text = f"{row.title}{row.id}{row.problem if isinstance(row, BadRow) else row.content + str(row.reference)}"
            assert "\0" not in text
            text.encode()
