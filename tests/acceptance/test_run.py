"""`tamiz run`: what goes where, the summary, the exit codes and the budgets."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from fake_llm import answer
from rows import rows_of, write_questions
from running import run_tamiz
from serving import model_url, serving
from started import started

PERFECT = "simulated:?quality=1"


def questions(count: int) -> list[dict[str, str | None]]:
    return [{"id": str(n), "question": f"What is number {n}?", "reference": f"number {n}"} for n in range(count)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give a folder with twenty questions in `q.csv`."""
    write_questions(tmp_path / "q.csv", questions(20))
    return tmp_path


def summary_of(done: "subprocess.CompletedProcess[str]") -> dict[str, Any]:
    summary: dict[str, Any] = json.loads(done.stdout)
    assert done.stdout.count("\n") == 1
    return summary


def test_rows_go_to_stdout_and_the_summary_to_stderr(folder: Path) -> None:
    """Stdout has the rows and nothing else; stderr has the summary, without colours where it is no terminal."""
    done = run_tamiz("run", "q.csv", "--model", PERFECT, cwd=folder)
    assert done.returncode == 0
    assert [row["id"] for row in rows_of(done.stdout)] == [str(n) for n in range(20)]
    assert "20 accepted, 0 exhausted, 0 failed" in done.stderr
    assert "message_id" not in done.stderr
    assert "\x1b" not in done.stderr + done.stdout


def test_quiet_says_nothing_on_stderr(folder: Path) -> None:
    done = run_tamiz("run", "q.csv", "--model", PERFECT, "--quiet", cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(rows_of(done.stdout)) == 20


def test_json_is_the_summary_as_one_object_on_stdout(folder: Path) -> None:
    """With `--json` a program reads the summary from stdout, and the rows from the file."""
    model = "simulated:?quality=0.5&overload=0.1&seed=3"
    done = run_tamiz("run", "q.csv", "--model", model, "--out", "rows.jsonl", "--json", cwd=folder)
    summary = summary_of(done)
    rows = rows_of((folder / "rows.jsonl").read_text())
    assert done.returncode == 0
    assert summary["rows"] == len(rows) == 20
    assert summary["accepted"] + summary["exhausted"] == 20
    assert summary["accepted"] == sum(row["outcome"] == "accepted" for row in rows)
    assert summary["answers_judged"] == sum(row["attempts"] for row in rows)
    assert summary["failed_calls"] == sum(row["retries"] for row in rows)
    assert summary["model_calls"] == summary["this_run"]["model_calls"]
    assert (summary["state"], summary["out"], summary["stopped"]) == ("tamiz.db", "rows.jsonl", None)


def test_failed_questions_exit_3_and_say_why(folder: Path) -> None:
    """Where some questions failed, the code is 3, their rows have the reason, and stderr names the command to look."""
    done = run_tamiz("run", "q.csv", "--model", "simulated:?fatal=0.4&seed=5", cwd=folder)
    rows = rows_of(done.stdout)
    failed = [row for row in rows if row["outcome"] == "failed"]
    assert done.returncode == 3
    assert len(rows) == 20
    assert 0 < len(failed) < 20
    assert all("fatal" in row["reason"] and row["answer"] is None for row in failed)
    assert f"{len(failed)} failed" in done.stderr
    assert "tamiz dead list --state tamiz.db" in done.stderr


def test_exhausted_questions_keep_their_best_attempt(folder: Path) -> None:
    """Where no attempt passes, the best answer is in the row, marked as not accepted; that is no failure."""
    done = run_tamiz("run", "q.csv", "--model", "simulated:?quality=0", "--attempts", "2", cwd=folder)
    rows = rows_of(done.stdout)
    assert done.returncode == 0
    assert {row["outcome"] for row in rows} == {"exhausted"}
    assert {row["attempts"] for row in rows} == {2}
    assert all(row["answer"] and row["score"] < 0.3 for row in rows)


def test_a_budget_of_calls_stops_cleanly_and_can_be_raised(folder: Path) -> None:
    """`--max-calls` is never exceeded; the same command with a higher one finishes the rest and repeats nothing."""
    with serving(lambda request: answer(request.body["messages"][-1]["content"])) as llm:
        command = ("run", "q.csv", "--model", model_url(llm), "--concurrency", "4", "--out", "rows.jsonl")
        done = run_tamiz(*command, "--max-calls", "7", cwd=folder)
        assert done.returncode == 4, done.stderr
        assert "a budget is spent" in done.stderr
        assert "--max-calls" in done.stderr
        assert len(llm.requests) == 7
        assert [row["id"] for row in rows_of((folder / "rows.jsonl").read_text())] == [str(n) for n in range(7)]

        assert run_tamiz(*command, "--max-calls", "7", cwd=folder).returncode == 4
        assert len(llm.requests) == 7

        done = run_tamiz(*command, "--max-calls", "100", cwd=folder)
        assert done.returncode == 0, done.stderr
        assert len(llm.requests) == 20
        assert [row["id"] for row in rows_of((folder / "rows.jsonl").read_text())] == [str(n) for n in range(20)]


def test_a_budget_of_tokens_stops_cleanly_and_can_be_raised(folder: Path) -> None:
    """`--max-tokens` counts what the server says it used, over all runs on the state file."""
    with serving(lambda request: answer(request.body["messages"][-1]["content"])) as llm:  # ten tokens a call
        command = ("run", "q.csv", "--model", model_url(llm), "--concurrency", "1", "--out", "rows.jsonl")
        done = run_tamiz(*command, "--max-tokens", "50", cwd=folder)
        assert done.returncode == 4, done.stderr
        assert len(llm.requests) == 5
        assert run_tamiz(*command, "--max-tokens", "90", cwd=folder).returncode == 4
        assert len(llm.requests) == 9
        assert run_tamiz(*command, cwd=folder).returncode == 0
        assert len(llm.requests) == 20
        assert len(rows_of((folder / "rows.jsonl").read_text())) == 20


def test_a_budget_that_is_just_enough_is_not_spent(folder: Path) -> None:
    """A run that needs exactly its budget is complete: exit code 0."""
    done = run_tamiz("run", "q.csv", "--model", PERFECT, "--max-calls", "20", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert len(rows_of(done.stdout)) == 20


def test_a_budget_of_nothing_calls_nobody(folder: Path) -> None:
    """`--max-calls 0` gives what is known and stops."""
    done = run_tamiz("run", "q.csv", "--model", PERFECT, "--max-calls", "0", cwd=folder)
    assert (done.returncode, done.stdout) == (4, "")


def test_live_stdin_gets_each_answer_before_the_next_question(folder: Path) -> None:
    """A program may give a row, read its result, and only then decide on the next row."""
    with started("run", "-", "--model", PERFECT, cwd=folder, piped=True) as run:
        assert run.process.stdout is not None
        for n in range(3):
            run.stdin.write(json.dumps({"id": n, "question": f"Question {n}?"}) + "\n")
            run.stdin.flush()
            assert json.loads(run.process.stdout.readline())["id"] == str(n)
        run.stdin.close()
        code, stderr = run.end()
        assert run.process.stdout.read() == ""
    assert code == 0, stderr


def test_a_reader_that_goes_away_is_no_traceback(folder: Path) -> None:
    """`tamiz run … | head` ends with a line that says so, and the same command goes on."""
    write_questions(folder / "many.csv", questions(3000))
    with started("run", "many.csv", "--model", PERFECT, cwd=folder, piped=True) as run:
        assert run.process.stdout is not None
        run.process.stdout.readline()
        run.process.stdout.close()
        code, stderr = run.end()
    assert code == 1
    assert stderr.count("\n") == 1
    assert "the same command" in stderr
    done = run_tamiz("run", "many.csv", "--model", PERFECT, cwd=folder)
    assert done.returncode == 0
    assert [row["id"] for row in rows_of(done.stdout)] == [str(n) for n in range(3000)]
