import gzip
import json
from pathlib import Path

import pytest

from tamiz.datasets.answered import Answered, read_answered
from tamiz.errors import UsageError
from tamiz.scoring import TfidfScorer, forms, joined


def written(folder: Path, name: str, text: str) -> str:
    path = folder / name
    data = text.encode()
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return str(path)


@pytest.mark.parametrize("name", ["rows.csv", "rows.tsv", "rows.csv.gz"])
def test_columns_are_recognised_by_name(tmp_path: Path, name: str) -> None:
    text = 'ID,Question,Response,Best Answer,Label\n7,Why?,"Because, well",So,1\n8,How?,No,,bad\n'
    if ".tsv" in name:
        text = "ID\tQuestion\tResponse\tBest Answer\tLabel\n7\tWhy?\tBecause, well\tSo\t1\n8\tHow?\tNo\t\tbad\n"
    assert list(read_answered(written(tmp_path, name, text))) == [
        Answered(line=2, question="Why?", answer="Because, well", reference="So", label=True, id="7"),
        Answered(line=3, question="How?", answer="No", reference=None, label=False, id="8"),
    ]


def test_a_reference_may_be_a_list_of_forms(tmp_path: Path) -> None:
    rows = [{"answer": "Paris", "reference": ["Paris", "", "Paris, France"]}, {"answer": 8, "reference": 8}]
    path = written(tmp_path, "rows.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    first, second = read_answered(path)
    assert forms(first.reference) == ("Paris", "Paris, France")
    assert (second.answer, second.reference, second.question, second.label) == ("8", "8", "", None)


def test_given_columns_win(tmp_path: Path) -> None:
    path = written(tmp_path, "rows.csv", "answer,truth\nno,yes\n")
    assert next(read_answered(path, {"answer": "truth", "reference": "answer"})).answer == "yes"


@pytest.mark.parametrize(
    ("name", "text", "columns", "problem"),
    [
        ("a.csv", "question,reference\na,b\n", {}, "has no answer column; its columns are question, reference"),
        ("a.csv", "answer\nx\n", {"reference": "truth"}, "has no column 'truth' for reference"),
        ("a.csv", "answer\nx\n", {"colour": "answer"}, "'colour' is not a role"),
        ("a.csv", "answer,label\nx,perhaps\n", {}, "line 2: the label 'perhaps' is neither good nor bad"),
        ("a.csv", "answer,label\nx\n", {}, "line 2: the row has 1 column, not 2"),
        ("a.csv", "answer\n", {}, "is empty"),
        ("a.jsonl", '{"answer": "x"}\nnonsense\n', {}, "line 2: it is not JSON"),
        ("a.jsonl", '{"answer": {"text": "x"}}\n', {}, "line 1: the answer"),
    ],
)
def test_what_cannot_be_read_is_named(
    tmp_path: Path, name: str, text: str, columns: dict[str, str], problem: str
) -> None:
    with pytest.raises(UsageError) as caught:
        list(read_answered(written(tmp_path, name, text), columns))
    assert problem in str(caught.value)


def test_tfidf_takes_the_best_form() -> None:
    """With several forms the score is that of the nearest; with one it is what it was."""
    score = TfidfScorer().score
    both = score("in Paris", joined(("London", "Paris")))
    assert both == score("in Paris", "Paris")
    assert score("Lyon", joined(("London", "?"))).value == 0.0
    assert score("Lyon", joined((" ", ""))) == score("Lyon", None)
