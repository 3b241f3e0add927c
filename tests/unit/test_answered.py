import gzip
import json
from pathlib import Path

import pytest

from rows import write_questions
from tamiz.datasets import BadRow
from tamiz.datasets.answered import Answered, is_good, read_answered
from tamiz.errors import UsageError
from tamiz.scoring import TfidfScorer, forms, joined


def written(folder: Path, name: str, text: str) -> str:
    path = folder / name
    data = text.encode()
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return str(path)


def answers_of(path: str, columns: dict[str, str] | None = None) -> list[Answered]:
    """Read rows all of which are answers."""
    rows = [*read_answered(path, columns)]
    assert not [row for row in rows if isinstance(row, BadRow)]
    return [row for row in rows if isinstance(row, Answered)]


@pytest.mark.parametrize("name", ["rows.csv", "rows.tsv", "rows.csv.gz"])
def test_columns_are_recognised_by_name(tmp_path: Path, name: str) -> None:
    text = 'ID,Question,Response,Best Answer,Label\n7,Why?,"Because, well",So,1\n8,How?,No,,bad\n'
    if ".tsv" in name:
        text = "ID\tQuestion\tResponse\tBest Answer\tLabel\n7\tWhy?\tBecause, well\tSo\t1\n8\tHow?\tNo\t\tbad\n"
    assert list(read_answered(written(tmp_path, name, text))) == [
        Answered(line=2, question="Why?", answer="Because, well", reference="So", label="1", id="7"),
        Answered(line=3, question="How?", answer="No", reference=None, label="bad", id="8"),
    ]


@pytest.mark.parametrize("name", ["rows.parquet", "rows.parquet.gz"])
def test_parquet_is_read_compressed_too(tmp_path: Path, name: str) -> None:
    path = write_questions(tmp_path / name, [{"answer": "Paris"}, {"answer": None}, {"answer": "Rome"}])
    first, second, third = read_answered(str(path))
    assert isinstance(first, Answered)
    assert isinstance(third, Answered)
    assert (first.line, first.answer, third.line, third.answer) == (1, "Paris", 3, "Rome")
    assert second == BadRow(str(path), 2, None, "the row has no answer (it is absent or null)")


def test_a_reference_may_be_a_list_of_forms(tmp_path: Path) -> None:
    rows = [{"answer": "Paris", "reference": ["Paris", "", "Paris, France"]}, {"answer": 8, "reference": 8}]
    path = written(tmp_path, "rows.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    first, second = answers_of(path)
    assert forms(first.reference) == ("Paris", "Paris, France")
    assert (second.answer, second.reference, second.question, second.label) == ("8", "8", "", None)


def test_given_columns_win(tmp_path: Path) -> None:
    path = written(tmp_path, "rows.csv", "answer,truth\nno,yes\n")
    (row,) = answers_of(path, {"answer": "truth", "reference": "answer"})
    assert (row.answer, row.reference) == ("yes", "no")


@pytest.mark.parametrize(
    ("name", "text", "line", "problem"),
    [
        ("a.jsonl", '{"answer": "x"}\nnonsense\n{"answer": "y"}\n', 2, "'nonsense' is not JSON"),
        ("a.jsonl", '{"answer": "x"}\n[1]\n{"answer": "y"}\n', 2, "'[1]' is not a JSON object"),
        ("a.jsonl", '{"question": "x"}\n{"answer": "x"}\n{"answer": "y"}\n', 1, "the row has no answer"),
        ("a.jsonl", '{"answer": "x"}\n{"answer": null}\n{"answer": "y"}\n', 2, "the row has no answer"),
        ("a.jsonl", '{"answer": "x"}\n{"answer": {"text": "x"}}\n{"answer": "y"}\n', 2, "is an object, not a text"),
        ("a.csv", "answer,label\nx,1\ny,1\nz\n", 4, "the row has 1 column, not 2"),
        ("a.csv", "answer,label\nx\0,1\ny,1\nz,1\n", 2, "contains a NUL character"),
    ],
)
def test_a_row_that_is_no_answer_spoils_itself_alone(
    tmp_path: Path, name: str, text: str, line: int, problem: str
) -> None:
    """It is given in its place, with what is wrong with it; the others come all the same."""
    rows = [*read_answered(written(tmp_path, name, text))]
    (bad,) = (row for row in rows if isinstance(row, BadRow))
    assert len(rows) == 3
    assert bad.line == line
    assert rows.index(bad) == line - (2 if name == "a.csv" else 1)
    assert problem in bad.problem


@pytest.mark.parametrize(
    ("name", "text", "columns", "problem"),
    [
        ("a.csv", "question,reference\na,b\n", {}, "has no answer column; its columns are 'question', 'reference'"),
        ("a.csv", "answer\nx\n", {"reference": "truth"}, "has no column 'truth' for reference"),
        ("a.csv", "answer\nx\n", {"colour": "answer"}, "'colour' (in 'colour=answer') is not a role"),
        ("a.csv", "answer\n", {}, "is empty"),
        ("a.csv", '"answer\nx\n', {}, "line 1: a quote is opened and never closed"),
        ("a.jsonl", '{"question": "x"}\n' * 3, {}, "has no answer column; its columns are 'question'"),
        ("a.jsonl", "answer\nx\n", {}, "is not JSONL: it starts with 'answer'"),
        ("a.parquet", "answer\nx\n", {}, "is not Parquet data"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused(
    tmp_path: Path, name: str, text: str, columns: dict[str, str], problem: str
) -> None:
    with pytest.raises(UsageError) as caught:
        list(read_answered(written(tmp_path, name, text), columns))
    assert problem in str(caught.value)


def test_labels_are_good_or_bad_or_absent(tmp_path: Path) -> None:
    """Only who asks for them stumbles over one that is neither."""
    path = written(tmp_path, "a.csv", "answer,label\nx,Yes\ny,0\nz,\nw,perhaps\n")
    *rows, odd = answers_of(path)
    assert [is_good(row, path) for row in rows] == [True, False, None]
    with pytest.raises(UsageError, match="line 5: the label 'perhaps' is neither good nor bad"):
        is_good(odd, path)


def test_tfidf_takes_the_best_form() -> None:
    """With several forms the score is that of the nearest; with one it is what it was."""
    score = TfidfScorer().score
    both = score("in Paris", joined(("London", "Paris")))
    assert both == score("in Paris", "Paris")
    assert score("Lyon", joined(("London", "?"))).value == 0.0
    assert score("Lyon", joined((" ", ""))) == score("Lyon", None)
