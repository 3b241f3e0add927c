"""`tamiz run` and files: every format in, every format out, in the order of the input."""

import json
from pathlib import Path

import pytest

from rows import COLUMNS, read_rows, rows_of, write_questions
from running import run_tamiz

PERFECT = "simulated:?quality=1&seed=1"
QUESTIONS: list[dict[str, str | None]] = [
    {"id": "7", "question": "Capital of France?", "content": "One word.", "reference": "Paris"},
    {"id": "3", "question": 'Who said "veni,\nvidi"?', "content": "", "reference": "Julius Caesar"},
    {"id": "11", "question": "¿Capital del Perú? 🇵🇪", "content": "", "reference": "Lima, la ciudad"},
    {"id": "5", "question": "Anything?", "content": "", "reference": ""},
]
SINGLE = ["csv", "tsv", "jsonl", "parquet"]


@pytest.mark.parametrize("end", [*SINGLE, *(f"{kind}.gz" for kind in SINGLE)])
def test_every_input_format_gives_the_same_rows(end: str, tmp_path: Path) -> None:
    """A question is the same in CSV, TSV, JSON Lines and Parquet, compressed or not: one row each, in order."""
    file = write_questions(tmp_path / f"questions.{end}", QUESTIONS)
    done = run_tamiz("run", file.name, "--model", PERFECT, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    rows = rows_of(done.stdout)
    assert [list(row) for row in rows] == [COLUMNS] * 4
    assert [row["id"] for row in rows] == ["7", "3", "11", "5"]
    assert [row["question"] for row in rows] == [question["question"] for question in QUESTIONS]
    assert [row["outcome"] for row in rows] == ["accepted"] * 4
    assert "Julius Caesar" in rows[1]["answer"]
    assert "Lima, la ciudad" in rows[2]["answer"]
    assert (rows[3]["score"], rows[3]["reason"]) == (None, "no_reference")
    assert len({row["message_id"] for row in rows}) == 4


def test_a_reference_may_have_several_forms(tmp_path: Path) -> None:
    """The best of them counts; questions that failed are exported with all of them."""
    question = {"question": "Capital of France?", "reference": ["Paris, la capitale", "Lutetia"]}
    (tmp_path / "q.jsonl").write_text(json.dumps(question), encoding="utf-8")
    done = run_tamiz("run", "q.jsonl", "--model", PERFECT, "--out", "rows.jsonl", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (row,) = rows_of((tmp_path / "rows.jsonl").read_text())
    assert "Paris, la capitale" in row["answer"]
    assert row["score"] > 0.3
    assert "Paris, la capitale | Lutetia" in run_tamiz("show", row["message_id"], cwd=tmp_path).stdout
    done = run_tamiz("run", "q.jsonl", "--model", "simulated:?invalid=1", "--state", "dead.db", cwd=tmp_path)
    assert done.returncode == 3, done.stderr
    exported = run_tamiz("dead", "export", "--state", "dead.db", cwd=tmp_path).stdout
    assert json.loads(exported)["reference"] == question["reference"]


def test_a_row_says_what_became_of_its_question(tmp_path: Path) -> None:
    """The fields of a row have the types and values that the reference promises."""
    write_questions(tmp_path / "q.csv", QUESTIONS[:1])
    row = rows_of(run_tamiz("run", "q.csv", "--model", PERFECT, cwd=tmp_path).stdout)[0]
    assert 0.3 <= row.pop("score") <= 1
    assert row.pop("latency_ms") >= 0
    assert "Paris" in row.pop("answer")
    assert len(row.pop("message_id")) == 32
    assert row == {
        "id": "7",
        "question": "Capital of France?",
        "outcome": "accepted",
        "source": "model",
        "attempts": 1,
        "retries": 0,
        "reason": None,
        "model": "simulated",
    }


@pytest.mark.parametrize("end", ["jsonl", "csv", "jsonl.gz", "csv.gz", "parquet", "parquet.gz"])
def test_every_output_format_holds_the_same_rows(end: str, tmp_path: Path) -> None:
    """`--out` writes the rows that stdout would get; stdout stays empty then."""
    write_questions(tmp_path / "q.jsonl", QUESTIONS)
    shown = rows_of(run_tamiz("run", "q.jsonl", "--model", PERFECT, cwd=tmp_path).stdout)
    done = run_tamiz("run", "q.jsonl", "--model", PERFECT, "--out", f"rows.{end}", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "")
    written = read_rows(tmp_path / f"rows.{end}")
    assert [list(row) for row in written] == [COLUMNS] * 4
    assert written == shown


def test_stdin_is_json_lines(tmp_path: Path) -> None:
    """`-` reads questions from standard input."""
    text = "".join(json.dumps(question) + "\n" for question in QUESTIONS)
    done = run_tamiz("run", "-", "--model", PERFECT, cwd=tmp_path, stdin=text)
    assert done.returncode == 0, done.stderr
    assert [row["id"] for row in rows_of(done.stdout)] == ["7", "3", "11", "5"]


def test_several_files_follow_one_another(tmp_path: Path) -> None:
    """The rows of several files, of whatever formats, come in the order of the files."""
    write_questions(tmp_path / "b.parquet", QUESTIONS[:2])
    write_questions(tmp_path / "a.csv.gz", QUESTIONS[2:])
    write_questions(tmp_path / "c.jsonl", QUESTIONS[:1])
    done = run_tamiz("run", "b.parquet", "a.csv.gz", "c.jsonl", "--model", PERFECT, cwd=tmp_path)
    rows = rows_of(done.stdout)
    assert [row["id"] for row in rows] == ["7", "3", "11", "5", "7"]
    assert rows[4]["answer"] == rows[0]["answer"]


def test_columns_are_recognised_by_their_usual_names(tmp_path: Path) -> None:
    """`Title`, `body` and `Best Answer` need no `--columns`."""
    (tmp_path / "q.csv").write_text("ID,Best Answer,body,Title\n1,Paris,in Europe,Capital of France?\n")
    row = rows_of(run_tamiz("run", "q.csv", "--model", PERFECT, cwd=tmp_path).stdout)[0]
    assert (row["id"], row["question"]) == ("1", "Capital of France?")
    assert row["score"] >= 0.3


def test_columns_can_be_given(tmp_path: Path) -> None:
    """`--columns` names the columns of a file that calls them something else."""
    (tmp_path / "q.csv").write_text('Frage,"Gute, alte Antwort",nr\nHauptstadt?,Berlin an der Spree,4\n')
    columns = 'question=Frage,reference="Gute, alte Antwort",id=nr'
    row = rows_of(run_tamiz("run", "q.csv", "--columns", columns, "--model", PERFECT, cwd=tmp_path).stdout)[0]
    assert (row["id"], row["question"]) == ("4", "Hauptstadt?")
    assert "Berlin an der Spree" in row["answer"]


def test_four_columns_without_a_header_are_the_yahoo_layout(tmp_path: Path) -> None:
    """Class, title, content and best answer: the first row is a question too."""
    (tmp_path / "train.csv").write_text('"5","Why is the sky blue?","","Rayleigh light"\n"2","Why?","","Because"\n')
    rows = rows_of(run_tamiz("run", "train.csv", "--model", PERFECT, cwd=tmp_path).stdout)
    assert [row["question"] for row in rows] == ["Why is the sky blue?", "Why?"]
    assert "Rayleigh light" in rows[0]["answer"]


def test_bad_rows_fail_in_their_place(tmp_path: Path) -> None:
    """A row that is no question becomes a failed row that names file and line; the rows around it are answered."""
    (tmp_path / "q.csv").write_text(
        "id,question,reference\n1,Capital of France?,Paris\n2,one,two,three\n3,,Lima\n4,Capital of Peru?,Lima\n"
    )
    (tmp_path / "more.jsonl").write_text('{"id": 5, "question": "Why?"}\n{"id": 6, "question": ["x"]}\n{broken\n')
    done = run_tamiz("run", "q.csv", "more.jsonl", "--model", PERFECT, cwd=tmp_path)
    assert done.returncode == 3, done.stderr
    rows = rows_of(done.stdout)
    outcomes = ["accepted", "failed", "failed", "accepted", "accepted", "failed", "failed"]
    assert [row["outcome"] for row in rows] == outcomes
    assert [row["id"] for row in rows[:6]] == ["1", "2", "3", "4", "5", "6"]
    failed = [row for row in rows if row["outcome"] == "failed"]
    places = ["q.csv line 3: ", "q.csv line 4: ", "more.jsonl line 2: ", "more.jsonl line 3: "]
    assert [row["reason"][: len(place)] for row, place in zip(failed, places, strict=True)] == places
    assert [(row["answer"], row["score"], row["attempts"]) for row in failed] == [(None, None, 0)] * 4
    assert "4 failed" in done.stderr
