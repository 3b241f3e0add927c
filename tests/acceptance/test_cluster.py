"""tamiz on Kafka and MongoDB, by its commands, on real servers."""

import json
import signal
from pathlib import Path
from typing import Final

import pytest

from fake_llm import Do, Request, answer
from on_cluster import OnCluster, same_rows
from rows import read_rows, write_questions
from running import run_tamiz
from serving import asked, model_url, serving

pytestmark = pytest.mark.xdist_group("cluster")

MODEL: Final = "simulated:?latency=5ms&overload=0.1&quota=0.02&reset=200ms&quality=0.7&seed=7"


def _questions(folder: Path, count: int, *, copies: int = 0) -> None:
    questions = [
        {
            "id": str(n),
            "question": f"Question {n % count}?",
            "reference": f"the reference of {n % count} is ref{n % count}",
        }
        for n in range(count + copies)
    ]
    write_questions(folder / "q.csv", questions)


def test_a_run_on_a_cluster_has_the_rows_of_an_embedded_one(on: OnCluster) -> None:
    """Every row with its outcome, in the order of the input; the same command again costs nothing."""
    _questions(on.folder, 300)
    with on.worker(model=MODEL):
        with on.run("q.csv", "--out", "cluster.jsonl", "--json") as run:
            code, said = run.end()
        assert code == 0, said
        summary = json.loads(run.stdout.read_text())
        on.until_quiet()
        calls = on.calls()
        with on.run("q.csv", "--out", "again.jsonl") as again:
            assert again.end()[0] == 0
        assert on.calls() == calls
    embedded = run_tamiz("run", "q.csv", "--model", MODEL, "--out", "embedded.jsonl", cwd=on.folder)
    assert embedded.returncode == 0
    same_rows(on.folder / "cluster.jsonl", on.folder / "embedded.jsonl")
    same_rows(on.folder / "again.jsonl", on.folder / "embedded.jsonl")
    assert summary["rows"] == 300
    assert summary["failed_calls"] == sum(summary["failed_calls_by_kind"].values()) > 0
    assert calls == summary["model_calls"], "nothing was called twice"


def test_copies_cost_one_call(on: OnCluster) -> None:
    """Five hundred copies of ten questions, asked of three workers at once, are ten questions' calls."""
    _questions(on.folder, 10, copies=490)
    model = "simulated:?latency=300ms&seed=3"
    with on.worker(model=model), on.worker(model=model), on.worker(model=model):
        with on.run("q.csv", "--out", "c.jsonl") as run:
            code, said = run.end()
        assert code == 0, said
        on.until_quiet()
        assert on.calls() == 10
    rows = read_rows(on.folder / "c.jsonl")
    assert len(rows) == 500
    assert {row["source"] for row in rows} <= {"model", "coalesced", "cache", "store"}
    assert sum(row["source"] == "model" for row in rows) == 10
    status = on.status()
    assert (status["parked"], status["claims"], status["open"]) == (0, 0, 0)


def test_a_worker_that_is_asked_to_stop_finishes_what_it_has_begun(on: OnCluster) -> None:
    """SIGTERM: the calls in flight end, are committed, and are not made again by the next worker; exit code 0."""
    _questions(on.folder, 60)
    model = "simulated:?latency=400ms&seed=3"
    with on.worker(model=model, concurrency=16) as worker, on.run("q.csv", "--out", "c.jsonl") as run:
        run.until(lambda: on.answers() >= 16, "the first outcomes")
        worker.process.send_signal(signal.SIGTERM)
        code, said = worker.end()
        assert code == 0, said
        with on.worker(model=model, concurrency=16):
            assert run.end()[0] == 0
            on.until_quiet()
    assert on.calls() == 60
    assert len(read_rows(on.folder / "c.jsonl")) == 60


def test_an_interrupted_run_goes_on_where_it_stopped(on: OnCluster) -> None:
    """Ctrl-C: exit code 130, the questions go on without anybody, and the same command writes all rows."""
    _questions(on.folder, 100)
    with on.run("q.csv", "--model", MODEL, "--out", "c.jsonl") as run, on.database() as database:
        # in Kafka first: what is there and not yet in the store would be published again
        run.until(lambda: database.questions.count_documents({}) >= 100, "all questions in the store")
        run.process.send_signal(signal.SIGINT)
        code, said = run.end()
    assert code == 130, said
    assert "no worker has been at this store yet" in said
    with on.worker(model=MODEL), on.run("q.csv", "--out", "c.jsonl") as run:
        assert run.end()[0] == 0
    assert len(read_rows(on.folder / "c.jsonl")) == 100
    assert on.topics.counts()["questions_in"] == 100


def test_the_summary_of_an_interrupted_run_tells_outcomes_from_rows_written(on: OnCluster) -> None:
    """Rows behind one that is open have their outcome all the same, and are counted."""
    _questions(on.folder, 10)

    def script(request: Request) -> Do:
        return Do(hang=True) if asked(request) == "Question 2?" else answer(asked(request))

    with (
        serving(script) as llm,
        on.worker(model=model_url(llm), threshold=0.0),
        on.run("q.csv", "--out", "c.jsonl", "--threshold", "0.0") as run,
    ):
        run.until(lambda: on.answers() == 9, "all outcomes but one")
        run.process.send_signal(signal.SIGINT)
        code, said = run.end()
    assert code == 130, said
    assert "questions  9 of 10 have an outcome, 2 rows written (row 3 is still open)" in said
    assert "outcomes  9 accepted, 0 exhausted, 0 failed" in said


def test_other_settings_than_the_workers_are_refused(on: OnCluster) -> None:
    _questions(on.folder, 1)
    with on.worker(model=MODEL) as worker:
        worker.until(lambda: "at work" in worker.stderr.read_text(), "it to be at work")
        done = run_tamiz("run", "q.csv", "--threshold", "0.9", cwd=on.folder, env=on.environment)
    assert done.returncode == 2
    assert "threshold 0.3 there, 0.9 here" in done.stderr


def test_dead_letters_are_listed_and_put_back(on: OnCluster) -> None:
    """A question that failed is asked anew by the retry worker, under its own id, and ends again."""
    _questions(on.folder, 3)
    with on.worker(model="simulated:?overload=1&seed=1", retries=0):
        with on.run("q.csv", "--out", "c.jsonl") as run:
            code, _ = run.end()
        assert code == 3
        on.until_quiet()
    listed = run_tamiz("dead", "list", "--json", cwd=on.folder, env=on.environment)
    assert len(listed.stdout.splitlines()) == 3, listed.stderr
    back = run_tamiz("dead", "replay", "--all", cwd=on.folder, env=on.environment)
    assert "3 put back" in back.stderr
    with on.worker(model="simulated:?overload=1&seed=1", retries=1), on.run("q.csv", "--out", "c.jsonl") as run:
        assert run.end()[0] == 3
    assert {row["retries"] for row in read_rows(on.folder / "c.jsonl")} == {2}
    exported = run_tamiz("export", "--all", cwd=on.folder, env=on.environment)
    assert len(exported.stdout.splitlines()) == 3
    shown = run_tamiz("show", "1", cwd=on.folder, env=on.environment)
    assert "overload" in shown.stdout
