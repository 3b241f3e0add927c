"""`tamiz run` that ends before its rows: what is known is written all the same, and the summary says where it is."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fake_llm import Do, FakeLLM, Request, answer, status
from rows import read_rows, rows_of, write_questions
from running import run_tamiz
from serving import asked, model_url, serving
from started import committed, started

COUNT = 100
KNOWN = 30
"""Rows that a first run has finished, without a gap."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give a folder with a hundred questions in `q.csv`, and the same in `q.jsonl`."""
    rows: list[dict[str, str | None]] = [{"id": str(n), "question": f"Question {n}?"} for n in range(COUNT)]
    for name in ("q.csv", "q.jsonl"):
        write_questions(tmp_path / name, rows)
    return tmp_path


def _in_order(request: Request) -> Do:
    return answer(asked(request))


def _third_is_put_off(request: Request) -> Do:
    """Answer all but the third question, which is to be asked again in an hour."""
    if asked(request) == "Question 2?":
        return status(429, {"message": "Rate limit reached"}, headers={"retry-after": "3600"})
    return answer(asked(request))


@pytest.fixture
def llm() -> Iterator[FakeLLM]:
    """Give a server that answers at once."""
    with serving(_in_order) as server:
        yield server


def _ids(rows: list[dict[str, Any]]) -> list[str]:
    return [row["id"] for row in rows]


def _know(folder: Path, llm: FakeLLM, *also: str) -> tuple[str, ...]:
    """Have the first rows finished and more calls wanted than the budget allows, and give the command."""
    command = ("run", "q.csv", "--model", model_url(llm), *also)
    done = run_tamiz(*command, "--max-calls", str(KNOWN), "--concurrency", "16", cwd=folder)
    assert done.returncode == 4, done.stderr
    return (*command, "--concurrency", "1")  # what is open fills it, so that nothing new is read before a call ends


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.csv.gz", "rows.parquet"])
def test_a_spent_budget_does_not_empty_the_output(name: str, folder: Path, llm: FakeLLM) -> None:
    """The same command writes the same rows again, without a call, though calls of the last run are still open."""
    command = (*_know(folder, llm, "--out", name), "--max-calls", str(KNOWN))
    before = read_rows(folder / name)
    assert _ids(before) == [str(n) for n in range(KNOWN)]
    done = run_tamiz(*command, cwd=folder)
    assert done.returncode == 4, done.stderr
    assert read_rows(folder / name) == before
    assert len(llm.requests) == KNOWN


def test_a_spent_budget_gives_what_is_known_for_a_pipe_too(folder: Path, llm: FakeLLM) -> None:
    """Rows on standard input are waited for as long as the next one could be written, and no longer."""
    _know(folder, llm)
    rows = (folder / "q.jsonl").read_text()
    command = ("run", "-", "--model", model_url(llm), "--max-calls", str(KNOWN))
    done = run_tamiz(*command, cwd=folder, stdin=rows)
    assert done.returncode == 4, done.stderr
    assert _ids(rows_of(done.stdout)) == [str(n) for n in range(KNOWN)]
    with started(*command, cwd=folder) as run:
        run.stdin.write("".join(rows.splitlines(keepends=True)[: KNOWN + 1]))
        run.stdin.flush()
        assert run.end()[0] == 4, "the pipe is open, and no row of it could be written"
        assert run.stdout.read_text() == done.stdout


def test_a_pipe_that_says_nothing_after_a_spent_budget_can_be_interrupted(folder: Path, llm: FakeLLM) -> None:
    """A run that may make no call waits for a row that is known; Ctrl-C ends that wait."""
    _know(folder, llm)
    rows = (folder / "q.jsonl").read_text()
    with started("run", "-", "--model", model_url(llm), "--max-calls", str(KNOWN), cwd=folder) as run:
        run.stdin.write("".join(rows.splitlines(keepends=True)[:KNOWN]))
        run.stdin.flush()
        run.until(lambda: run.stdout.read_text().count("\n") == KNOWN, "the known rows")
        run.process.send_signal(signal.SIGINT)
        assert run.end()[0] == 130


def test_a_refused_key_does_not_empty_the_output(folder: Path, llm: FakeLLM) -> None:
    """Nor does a model that refuses every call: what is known is written before the error ends the run."""
    command = _know(folder, llm, "--out", "rows.jsonl")
    llm.script = status(401, {"message": "Incorrect API key provided"})
    done = run_tamiz(*command, cwd=folder)
    assert done.returncode == 1
    assert "Incorrect API key" in done.stderr
    assert _ids(rows_of((folder / "rows.jsonl").read_text())) == [str(n) for n in range(KNOWN)]


def test_the_summary_tells_outcomes_from_rows_written(folder: Path) -> None:
    """Rows behind one that is open cannot be written; they have their outcome all the same, and that is counted."""
    with serving(_third_is_put_off) as llm:
        command = ("run", "q.csv", "--model", model_url(llm), "--out", "rows.jsonl")
        for run in (1, 2):
            budget = ("--max-calls", str(COUNT - 10))
            done = run_tamiz(*command, *budget, "--json", cwd=folder)
            assert done.returncode == 4, done.stderr
            summary = json.loads(done.stdout)
            read = summary["rows_read"]
            assert COUNT - 10 < read <= COUNT
            assert (summary["rows"], summary["rows_written"], summary["first_open_row"]) == (COUNT - 11, 2, 3)
            assert (summary["accepted"], summary["answers_judged"]) == (COUNT - 11, COUNT - 11)
            assert summary["model_calls"] == COUNT - 10, "one of them failed"
            assert summary["this_run"]["model_calls"] == (COUNT - 10 if run == 1 else 0)
            of = str(COUNT) if summary["all_rows_read"] else f"the {read} read so far"
            assert (
                f"questions  {COUNT - 11} of {of} have an outcome, 2 rows written (row 3 is still open)" in done.stderr
            )
            assert f"model calls  {COUNT - 10} (" in done.stderr
            assert _ids(rows_of((folder / "rows.jsonl").read_text())) == ["0", "1"]


def test_an_interrupted_run_counts_what_it_did(folder: Path) -> None:
    """After Ctrl-C the summary has the outcomes and the calls that there were, as `tamiz status` has them."""
    with (
        serving(_third_is_put_off) as llm,
        started("run", "q.csv", "--model", model_url(llm), "--state", "s.db", cwd=folder) as run,
    ):
        run.until(lambda: committed(folder / "s.db", "outcomes") == COUNT - 1, "all other outcomes")
        run.process.send_signal(signal.SIGINT)
        code, stderr = run.end()
    assert code == 130
    assert f"questions  {COUNT - 1} of {COUNT} have an outcome, 2 rows written (row 3 is still open)" in stderr
    assert f"outcomes  {COUNT - 1} accepted" in stderr
    calls = json.loads(run_tamiz("status", "--state", "s.db", "--json", cwd=folder).stdout)["model_calls"]
    assert f"model calls  {calls} ({calls} in this run)" in stderr


def test_calls_for_rows_that_are_left_out_are_counted(folder: Path, llm: FakeLLM) -> None:
    """Open questions of an earlier run are finished even where the input has none: their calls are in both counts."""
    command = _know(folder, llm)
    done = run_tamiz(*command, "--limit", "0", cwd=folder)
    assert done.returncode == 0, done.stderr
    more = len(llm.requests) - KNOWN
    assert more > 0
    assert f"model calls  {len(llm.requests)} ({more} in this run)" in done.stderr


def test_attempts_of_another_file_are_not_counted(folder: Path) -> None:
    """Two files of the same settings share a state file; what fell short in one is not told of the other."""
    for name in ("a.csv", "b.csv"):
        reference = "yes indeed" if name == "a.csv" else ""
        write_questions(folder / name, [{"question": f"{n} of {name}?", "reference": reference} for n in range(5)])
    with serving(answer("No, never.")) as llm:
        command = ("--model", model_url(llm), "--attempts", "2", "--state", "s.db")
        assert "10 answers fell short" in run_tamiz("run", "a.csv", *command, cwd=folder).stderr
        assert "0 answers fell short" in run_tamiz("run", "b.csv", *command, cwd=folder).stderr
