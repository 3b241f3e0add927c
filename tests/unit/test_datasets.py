import csv
import gzip
import io
import json
from pathlib import Path
from typing import Any

import pytest

from tamiz.datasets import BadRow, Row, open_dataset, parse_columns
from tamiz.errors import UsageError
from tamiz.scoring import forms

DATA = Path(__file__).parents[3] / "shared" / "data"


def write(folder: Path, name: str, content: str | bytes) -> str:
    path = folder / name
    raw = content.encode() if isinstance(content, str) else content
    path.write_bytes(gzip.compress(raw) if name.endswith(".gz") else raw)
    return str(path)


def rows(path: str, columns: dict[str, str] | None = None) -> list[Row | BadRow]:
    return list(open_dataset(path, columns))


TABLE = 'id,question,content,reference\n1,"What, is it?",more,42\n\n2,Who?,,  \n'


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("q.csv", TABLE),
        ("q.csv.gz", TABLE),
        ("Q.CSV", TABLE),
        ("q.tsv", TABLE.replace("What, is", "What; is").replace(",", "\t").replace("What; is", "What, is")),
        ("q.csv", "\ufeff" + TABLE),
        ("q.csv", TABLE.replace("\n", "\r\n")),
        ("q.csv", TABLE.removesuffix("\n")),
    ],
)
def test_a_table_gives_its_rows_with_the_lines_where_they_start(tmp_path: Path, name: str, content: str) -> None:
    """Whether compressed, with a byte order mark, CRLF or no last line end; blank references are none."""
    path = write(tmp_path, name, content)
    assert rows(path) == [
        Row(path, 2, "1", "What, is it?", "more", "42"),
        Row(path, 4, "2", "Who?", "", None),
    ]


@pytest.mark.parametrize("name", ["q.jsonl", "q.jsonl.gz"])
def test_json_lines_may_have_numbers_as_text_and_null_for_absent(tmp_path: Path, name: str) -> None:
    """Numbers and booleans become text as JSON writes them; each object may have other keys."""
    lines = [
        '{"id": 7, "question": " Why? ", "answer": 4.5}',
        "",
        '{"prompt": "How?", "context": "So.", "expected": true, "id": null}',
        '{"title": 12, "reference": null}',
    ]
    path = write(tmp_path, name, "\ufeff" + "\r\n".join(lines))
    assert rows(path) == [
        Row(path, 1, "7", " Why? ", "", "4.5"),
        Row(path, 3, None, "How?", "So.", "true"),
        Row(path, 4, None, "12", "", None),
    ]


@pytest.mark.parametrize(
    ("reference", "accepted"),
    [(["Paris", " ", "Lutetia", None, 8], ("Paris", "Lutetia", "8")), ([], ()), ([" "], ()), (["Paris"], ("Paris",))],
)
def test_a_reference_may_be_a_list_of_its_accepted_forms(
    tmp_path: Path, reference: list[Any], accepted: tuple[str, ...]
) -> None:
    """Blank ones are none, numbers are texts; a list without any is no reference."""
    line = json.dumps({"question": "Capital of France?", "reference": reference})
    (row,) = rows(write(tmp_path, "q.jsonl", line))
    assert isinstance(row, Row)
    assert forms(row.reference) == accepted
    assert (row.reference is None) is (not accepted)


def test_quoted_newlines_count_as_lines(tmp_path: Path) -> None:
    """A row's line is where it starts, however many lines the rows before it have; what is quoted is not altered."""
    path = write(tmp_path, "q.csv", 'title,body\n"a\nb\r\nc","x ""y"""\nd,e\n"f","\ng"\nh,i\n')
    assert rows(path) == [
        Row(path, 2, None, "a\nb\r\nc", 'x "y"'),
        Row(path, 5, None, "d", "e"),
        Row(path, 6, None, "f", "\ng"),
        Row(path, 8, None, "h", "i"),
    ]


def test_a_dataset_can_be_read_again_from_its_start(tmp_path: Path) -> None:
    dataset = open_dataset(write(tmp_path, "q.csv", TABLE))
    assert next(iter(dataset)) == next(iter(dataset))
    assert list(dataset) == list(dataset)
    assert dataset.path.endswith("q.csv")


def test_four_columns_without_a_header_are_yahoo_answers(tmp_path: Path) -> None:
    """Class, title, content, best answer, from the first line on."""
    path = write(tmp_path, "q.csv", '"5","Why?","","Because"\n"6","How?","So","Thus"\n')
    assert rows(path) == [Row(path, 1, None, "Why?", "", "Because"), Row(path, 2, None, "How?", "So", "Thus")]


def test_an_answer_named_like_a_column_makes_no_header(tmp_path: Path) -> None:
    path = write(tmp_path, "q.csv", '"5","What is on top of a page?","","Answer"\n')
    assert rows(path) == [Row(path, 1, None, "What is on top of a page?", "", "Answer")]


def test_a_field_longer_than_the_csv_module_reads_is_read_and_its_limit_stays(tmp_path: Path) -> None:
    """A field of 10 MB is a question like any other, and nobody else in the process notices."""
    limit = csv.field_size_limit()
    long = "é" * 5_000_000
    path = write(tmp_path, "q.csv", f'question,answer\na,"{long}"\n{long},"x ""y"""\n')
    assert rows(path) == [Row(path, 2, None, "a", "", long), Row(path, 3, None, long, "", 'x "y"')]
    assert csv.field_size_limit() == limit


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("title,question,body,content", ("2", "4", None)),
        ("input,query,prompt", ("3", "", None)),
        (" QUESTION ,Best Answer,x", ("1", "", "2")),
        ("Question,best-answer,Ground  Truth", ("1", "", "2")),
        ("answer,reference,Title", ("3", "", "2")),
    ],
)
def test_columns_are_recognised_by_name(tmp_path: Path, header: str, expected: tuple[str, str, str | None]) -> None:
    """Case, blanks and hyphens do not matter; of two columns of a role the better known name wins."""
    path = write(tmp_path, "q.csv", f"{header}\n" + ",".join("1234"[: header.count(",") + 1]) + "\n")
    (row,) = rows(path)
    assert isinstance(row, Row)
    assert (row.title, row.content, row.reference) == expected


def test_given_columns_come_before_recognised_ones(tmp_path: Path) -> None:
    """The other roles are still recognised, but never in a column that was given for another."""
    path = write(tmp_path, "q.csv", "question,answer,Gold\na,b,c\n")
    assert rows(path, {"reference": "gold"}) == [Row(path, 2, None, "a", "", "c")]
    assert rows(path, {"question": "answer"}) == [Row(path, 2, None, "b", "", None)]


def test_given_columns_work_for_json_lines(tmp_path: Path) -> None:
    path = write(tmp_path, "q.jsonl", '{"Q": "a", "question": "b"}\n{"Q": "c"}\n{"question": "d"}\n')
    good, also_good, bad = rows(path, {"question": "Q"})
    assert (good, also_good) == (Row(path, 1, None, "a"), Row(path, 2, None, "c"))
    assert isinstance(bad, BadRow)


def test_standard_input_is_json_lines_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is read ahead of the first row, so that a slow producer is answered as it goes."""
    raw = io.BytesIO(b'\n{"question": "a"}\n{"question": "b"}\n')
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(raw))
    dataset = open_dataset("-")
    assert raw.tell() == len(b'\n{"question": "a"}\n')
    assert list(dataset) == [Row("-", 2, None, "a"), Row("-", 3, None, "b")]
    with pytest.raises(UsageError, match="only once"):
        list(dataset)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("question=Question", {"question": "Question"}),
        ('question=Question,reference="Best Answer"', {"question": "Question", "reference": "Best Answer"}),
        ("question = Question , reference=Best Answer", {"question": "Question", "reference": "Best Answer"}),
        ("id='a, b',Question=\"it's\"", {"id": "a, b", "question": "it's"}),
        ("content=a=b", {"content": "a=b"}),
    ],
)
def test_columns_are_given_as_role_and_name(text: str, expected: dict[str, str]) -> None:
    assert parse_columns(text) == expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ["ROLE=NAME", "question, content, reference, id"]),
        ("Question", ["'Question'", "ROLE=NAME"]),
        ("question=a,oops", ["'oops'", "ROLE=NAME"]),
        ("frage=a", ["'frage'", "question, content, reference, id"]),
        ("question=", ["'question='", "names no column"]),
        ("question=''", ["names no column"]),
        ("question=a,question=b", ["'question=b'", "second time"]),
        ('question="Best', ["'question=\"Best'", "ROLE=NAME"]),
    ],
)
def test_a_bad_part_of_columns_is_named(text: str, words: list[str]) -> None:
    with pytest.raises(UsageError) as caught:
        parse_columns(text)
    assert all(word in str(caught.value) for word in words), caught.value


@pytest.mark.parametrize(("name", "count"), [("trivia_yahoo_format.csv", 20001), ("truthfulqa.csv", 817)])
def test_real_files_are_read_as_the_csv_module_reads_them(name: str, count: int) -> None:
    """Every question of a real file, in its order, letter for letter."""
    if not (DATA / name).exists():
        pytest.skip("the shared data are not here")
    with (DATA / name).open(newline="", encoding="utf-8") as file:
        table = list(csv.reader(file))
    question, reference = (1, 3) if count > 1000 else (2, 3)
    got = rows(str(DATA / name))
    assert len(got) == count
    expected = [(row[question], row[reference]) for row in table[-count:]]
    assert [(row.title, row.reference) for row in got if isinstance(row, Row)] == expected


@pytest.mark.parametrize("name", ["q.parquet", "q.parquet.gz"])
def test_parquet_gives_its_rows_by_number(tmp_path: Path, name: str) -> None:
    """Texts, numbers, nulls, dictionaries and bytes, over several row groups and batches."""
    pa: Any = pytest.importorskip("pyarrow")
    pq: Any = pytest.importorskip("pyarrow.parquet")
    count = 1500
    table = pa.table(
        {
            "unused": [[1]] * count,
            "id": list(range(count)),
            "Question": pa.array([f"q{at}" for at in range(count)]).dictionary_encode(),
            "answer": pa.array([None if at % 2 else f"é{at}".encode() for at in range(count)]),
        }
    )
    target = io.BytesIO()
    pq.write_table(table, target, row_group_size=700)
    path = write(tmp_path, name, target.getvalue())
    expected = [Row(path, at + 1, str(at), f"q{at}", "", None if at % 2 else f"é{at}") for at in range(count)]
    dataset = open_dataset(path)
    assert list(dataset) == expected
    assert next(iter(dataset)) == expected[0]


def test_parquet_may_have_lists_of_references(tmp_path: Path) -> None:
    pa: Any = pytest.importorskip("pyarrow")
    pq: Any = pytest.importorskip("pyarrow.parquet")
    target = io.BytesIO()
    pq.write_table(pa.table({"question": ["a", "b"], "reference": [["one", "1"], None]}), target)
    got = [row for row in rows(write(tmp_path, "q.parquet", target.getvalue())) if isinstance(row, Row)]
    assert [forms(row.reference) for row in got] == [("one", "1"), ()]


def test_json_lines_of_many_shapes_need_no_memory_for_each(tmp_path: Path) -> None:
    lines = [json.dumps({f"key{at}": 1, "question": "a"}) for at in range(3000)]
    assert len(rows(write(tmp_path, "q.jsonl", "\n".join(lines)))) == 3000
