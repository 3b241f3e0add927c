import json
import subprocess
import sys
from pathlib import Path
from typing import IO

import pytest

GOOD = [
    ("What is the capital of France?", "The capital of France is Paris.", "Paris"),
    ("What is the capital of Italy?", "Rome is the capital of Italy.", "Rome"),
    ("Who wrote Hamlet?", "It was written by William Shakespeare.", "William Shakespeare"),
    ("Which planet is the largest?", "Jupiter is the largest planet.", "Jupiter"),
    ("What is the chemical symbol of gold?", "The symbol of gold is Au.", "Au"),
    ("Which ocean is the largest?", "The Pacific Ocean is the largest one.", "The Pacific Ocean"),
]


def tamiz(*arguments: str, folder: Path, stdin: IO[str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tamiz", *arguments],
        cwd=folder,
        stdin=stdin,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def answers(tmp_path: Path) -> Path:
    rows = [{"question": q, "answer": a, "reference": r} for q, a, r in GOOD]
    rows.append({"question": GOOD[0][0], "answer": "I'm sorry, I can't help with that.", "reference": "Paris"})
    (tmp_path / "answers.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "good.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows[:-1]))
    return tmp_path


def test_answers_of_somebody_else_are_scored(answers: Path) -> None:
    """One JSON object a row on stdout, in order, with reasons; a summary on stderr."""
    done = tamiz("score", "answers.jsonl", "--scorer", "gate", folder=answers)
    assert done.returncode == 0, done.stderr
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(each["line"], each["id"]) for each in told] == [(number, None) for number in range(1, 8)]
    assert all(each["score"] >= 0.5 for each in told[:-1])
    assert told[-1]["score"] < 0.5
    assert told[-1]["reasons"][0].startswith("refusal: ")
    assert "7 answers by gate" in done.stderr


FLAWED = [
    '{"id": 3, "answer": "Paris", "reference": "Paris"}',
    '{"question": "What is it?"}',
    "nonsense",
    '{"id": "c", "answer": null, "reference": "Rome"}',
    '{"answer": "Rome", "reference": "Rome"}',
]


@pytest.mark.parametrize("stdin", [False, True])
def test_a_flawed_row_has_its_line_and_no_score(tmp_path: Path, stdin: bool) -> None:  # noqa: FBT001 - a case
    """As in `tamiz run`: its reason names the line, the others are scored, and the exit code is 3."""
    (tmp_path / "a.jsonl").write_text("\n".join(FLAWED) + "\n")
    name = "-" if stdin else "a.jsonl"
    with (tmp_path / "a.jsonl").open() as file:
        done = tamiz("score", name, folder=tmp_path, stdin=file if stdin else None)
    assert done.returncode == 3, done.stderr
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert [each["line"] for each in told] == [1, 2, 3, 4, 5]
    assert [each["id"] for each in told] == ["3", None, None, "c", None]
    assert [each["score"] for each in told] == [1.0, None, None, None, 1.0]
    assert told[1]["reason"] == f"{name} line 2: the row has no answer (it is absent or null)"
    assert told[2]["reason"].startswith(f"{name} line 3: 'nonsense' is not JSON")
    assert told[3]["reason"].startswith(f"{name} line 4: the row has no answer")
    assert "2 answers by tfidf: 2 scored, mean 1.000; 3 rows are no answer" in done.stderr
    listed = tamiz("score", "a.jsonl", "--text", folder=tmp_path)
    assert listed.returncode == 3
    assert listed.stdout.splitlines()[1] == "   -  2  a.jsonl line 2: the row has no answer (it is absent or null)"


def test_a_threshold_is_not_found_on_rows_that_cannot_be_read(tmp_path: Path) -> None:
    """A flawed row of labelled ones ends it, with its line: what it would have said may matter."""
    (tmp_path / "a.jsonl").write_text("\n".join(FLAWED) + "\n")
    done = tamiz("calibrate", "a.jsonl", folder=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "'a.jsonl', line 2: the row has no answer" in done.stderr


def test_own_checks_apply_to_any_scorer(answers: Path) -> None:
    done = tamiz("score", "answers.jsonl", "--scorer", "tfidf", "--check", "max-words=2", folder=answers)
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert {each["score"] for each in told} == {0.0}
    assert told[0]["reasons"] == ["length: it has 6 words, 2 are allowed"]


def test_a_threshold_is_found_and_drawn_without_bad_rows(answers: Path) -> None:
    """Bad answers are made where none is labelled, and it is said; the plot is the same each time."""
    arguments = ("calibrate", "good.jsonl", "--scorer", "gate", "--plot", "plot.svg")
    done = tamiz(*arguments, folder=answers)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("--scorer gate --threshold 0.")
    assert "no bad answer was labelled" in done.stdout
    drawn = (answers / "plot.svg").read_bytes()
    assert b"good answers lost" in drawn or b"<svg" in drawn
    tamiz(*arguments, folder=answers)
    assert (answers / "plot.svg").read_bytes() == drawn
    told = json.loads(tamiz("calibrate", "good.jsonl", "--scorer", "gate", "--json", folder=answers).stdout)
    assert told["goal"] == "loss"
    assert told["good"] == 6
    assert told["made"] == told["bad"] == 24
    assert told["lost"]["low"] <= told["lost"]["value"] <= told["lost"]["high"]


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("calibrate", "answers.jsonl", "--loss", "0.1", "--catch", "0.9"), "give one of them"),
        (("calibrate", "answers.jsonl", "--plot", "plot.pdf"), "has to end in .svg or .png"),
        (("score", "answers.jsonl", "--scorer", "bleu"), "--scorer: 'bleu' is not one of: tfidf, gate"),
        (("score", "answers.jsonl", "--check", "refusal=off"), "choose --scorer gate"),
        (("score", "nowhere.csv"), "nowhere.csv"),
    ],
)
def test_wrong_usage_is_told_in_a_line_or_two(answers: Path, arguments: tuple[str, ...], problem: str) -> None:
    done = tamiz(*arguments, folder=answers)
    assert done.returncode == 2
    assert problem in done.stderr
    assert len(done.stderr.splitlines()) <= 2
    assert not done.stdout
