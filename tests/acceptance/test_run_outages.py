"""`tamiz run` while its model's server is down, out of quota, or has no place: what it says, and what it costs."""

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from calling import free_port
from fake_llm import Do, FakeLLM, Request, answer, status
from rows import rows_of, write_questions
from running import run_tamiz, status_of
from serving import asked, model_url, serving, url_at
from started import committed, started

COUNT = 30


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_questions(tmp_path / "q.csv", [{"id": str(n), "question": f"Question {n}?"} for n in range(COUNT)])
    return tmp_path


def _spent(seconds: float) -> Do:
    return status(429, {"code": "insufficient_quota"}, headers={"retry-after-ms": str(int(seconds * 1000) + 1)})


def test_a_spent_quota_pauses_the_model_and_is_seen_from_outside(folder: Path) -> None:
    """`tamiz status` shows it meanwhile; the next process knows of it, says so, and makes no call either."""
    with serving(lambda request: _spent(3600.0) if request.number > 5 else answer(asked(request))) as llm:
        command = ("run", "q.csv", "--model", model_url(llm), "--concurrency", "2", "--out", "rows.jsonl")
        with started(*command, cwd=folder) as run:
            run.until(lambda: committed(folder / "tamiz.db", "endpoints"), "the pause")
            (endpoint,) = status_of(folder)["endpoints"]
            assert (endpoint["name"], endpoint["kind"]) == (model_url(llm), "quota")
            assert 0 < endpoint["opens_at"] - time.time() <= 3600
            text = run_tamiz("status", cwd=folder).stdout
            assert f"endpoints  {model_url(llm)}: out of quota for" in text
            assert run.kill()
        before = len(llm.requests)
        assert before <= 7
        with started(*command, cwd=folder) as run:
            notice = f"tamiz: {model_url(llm)}: out of quota for"
            run.until(lambda: notice in run.stderr.read_text(), "the notice")
            run.process.send_signal(signal.SIGINT)
            assert run.end()[0] == 130
        assert len(llm.requests) == before


def test_a_spent_quota_is_waited_for_by_the_next_process_too(folder: Path) -> None:
    """After the one refusal no call is made until the stated time; then the run goes on to its end."""
    until: list[float] = []  # when it may be called again, once it has refused
    early: list[int] = []  # requests that came before that

    def script(request: Request) -> Any:
        if request.number > 5 and not until:
            until.append(time.monotonic() + 5.0)
        if until and (left := until[0] - time.monotonic()) > 0:
            early.append(request.number)
            return _spent(left)
        return answer(asked(request))

    with serving(script) as llm:
        command = ("run", "q.csv", "--model", model_url(llm), "--concurrency", "2", "--out", "rows.jsonl")
        with started(*command, cwd=folder) as run:
            run.until(lambda: committed(folder / "tamiz.db", "endpoints"), "the pause")
            assert run.kill()
        done = run_tamiz(*command, cwd=folder)
        assert done.returncode == 0, done.stderr
        assert len(early) <= 2, "those that were in flight"
        # those that the first process had in flight when it was killed may be made again
        assert len(llm.requests) <= COUNT + 2 + 2
    assert {row["outcome"] for row in rows_of((folder / "rows.jsonl").read_text())} == {"accepted"}
    assert status_of(folder)["endpoints"] == []


def test_a_server_that_comes_back_is_found(folder: Path) -> None:
    """Nothing listens for a while: no question fails, however few retries it has."""
    port = free_port()
    command = ("run", "q.csv", "--model", url_at(port), "--retries", "0", "--out", "rows.jsonl")
    with started(*command, cwd=folder) as run:
        run.until(lambda: "questions wait" in run.stderr.read_text(), "the notice")
        with serving(lambda request: answer(asked(request)), port=port):
            code, stderr = run.end()
    assert code == 0, stderr
    rows = rows_of((folder / "rows.jsonl").read_text())
    assert [row["id"] for row in rows] == [str(n) for n in range(COUNT)]
    assert {row["outcome"] for row in rows} == {"accepted"}


def test_an_interrupt_while_the_model_is_down_ends_at_once(folder: Path) -> None:
    with started("run", "q.csv", "--model", url_at(free_port()), cwd=folder) as run:
        run.until(lambda: "questions wait" in run.stderr.read_text(), "the notice")
        run.process.send_signal(signal.SIGINT)
        code, stderr = run.end(within=7.5)  # less than calls in flight would get
    assert code == 130
    assert "interrupted: the same command goes on from here" in stderr


def test_failover_goes_on_while_the_first_model_is_down(folder: Path) -> None:
    """The second one answers, and the first is called by probes alone."""
    down = url_at(free_port())
    with serving(lambda request: answer(asked(request), delay=0.01)) as llm:
        done = run_tamiz("run", "q.csv", "--model", down, "--model", model_url(llm), "--retries", "0", cwd=folder)
        assert done.returncode == 0, done.stderr
        assert len(llm.requests) == COUNT
    assert {row["model"] for row in rows_of(done.stdout)} == {llm_name(llm)}


def test_a_full_server_is_not_pestered(folder: Path) -> None:
    """With four places and two waiting, thirty questions cost little more than thirty calls, and none fails."""
    with serving(answer("It is so.", delay=0.03), capacity=4, queue=2) as llm:
        done = run_tamiz("run", "q.csv", "--model", model_url(llm), cwd=folder)
        assert done.returncode == 0, done.stderr
        assert llm.refused <= 16
        assert len(llm.requests) == COUNT + llm.refused


def test_cost_and_what_was_saved_are_told(folder: Path) -> None:
    """By the prices in `tamiz.toml`, over all runs on the state file."""
    write_questions(folder / "twice.csv", [{"question": f"Question {n % 10}?"} for n in range(20)])
    with serving() as llm:  # seven tokens in, three out
        (folder / "tamiz.toml").write_text(f'[prices."{llm_name(llm)}"]\ninput = 100\noutput = 1000\n')
        command = ("run", "twice.csv", "--model", model_url(llm), "--out", "rows.jsonl", "--json")
        for _ in range(2):
            done = run_tamiz(*command, cwd=folder)
            assert done.returncode == 0, done.stderr
            summary = json.loads(done.stdout)
            assert summary["cost"] == pytest.approx(10 * (7 * 100 + 3 * 1000) / 1e6)
            assert summary["saved_cost"] == pytest.approx(summary["cost"])
            assert "model calls  10 (" in done.stderr
            assert ", $0.0370\n" in done.stderr
            assert ", about $0.0370\n" in done.stderr


def llm_name(llm: FakeLLM) -> str:
    return model_url(llm).rpartition("#")[2]


def test_a_rule_of_ones_own_decides(folder: Path) -> None:
    """A `[[refusal]]` of tamiz.toml comes before all others; a wrong one is refused before anything runs."""
    (folder / "tamiz.toml").write_text('[[refusal]]\nkind = "invalid"\nstatus = [429]\nmessage = "no such luck"\n')
    with serving(status(429, {"message": "No such luck today."})) as llm:
        done = run_tamiz("run", "q.csv", "--model", model_url(llm), "--limit", "3", cwd=folder)
        assert done.returncode == 3
        assert len(llm.requests) == 3
        assert {row["reason"].endswith("429: No such luck today.") for row in rows_of(done.stdout)} == {True}
        (folder / "tamiz.toml").write_text('[[refusal]]\nkind = "sometimes"\n')
        done = run_tamiz("run", "q.csv", "--model", model_url(llm), cwd=folder)
        assert (done.returncode, done.stdout) == (2, "")
        assert "'sometimes'" in done.stderr
        assert "overload, quota, timeout, invalid, fatal, stop" in done.stderr


def test_a_refused_key_and_a_server_that_is_down_cost_no_budget(folder: Path) -> None:
    """What nobody took is not paid for: with the right key, or when the server is back, the budget is as it was."""
    with serving(status(401, {"message": "Incorrect API key provided"})) as llm:
        command = ("run", "q.csv", "--model", model_url(llm), "--max-calls", str(COUNT), "--out", "rows.jsonl")
        assert run_tamiz(*command, cwd=folder).returncode == 1
        llm.script = answer("It is so.")
        done = run_tamiz(*command, cwd=folder)
        assert done.returncode == 0, done.stderr
    port = free_port()
    again = ("run", "q.csv", "--model", url_at(port), *command[4:], "--state", "b.db")
    assert run_tamiz(*again, "--give-up-after", "1500ms", cwd=folder).returncode == 1
    with serving(answer("It is so."), port=port):
        done = run_tamiz(*again, cwd=folder)
    assert done.returncode == 0, done.stderr


def test_one_question_that_breaks_the_server_does_not_keep_the_run(folder: Path) -> None:
    """A gateway says 502 to it each time: it fails after its retries, and the others are answered."""

    def script(request: Request) -> Any:
        return status(502, "<html>bad gateway</html>") if asked(request) == "Question 7?" else answer(asked(request))

    with serving(script) as llm:
        done = run_tamiz("run", "q.csv", "--model", model_url(llm), "--retries", "2", cwd=folder)
        assert len(llm.requests) == COUNT + 2
    assert done.returncode == 3, done.stderr
    assert [row["id"] for row in rows_of(done.stdout) if row["outcome"] != "accepted"] == ["7"]


def test_waiting_for_an_escalation_that_is_down_takes_no_time_of_the_processor(folder: Path) -> None:
    """Also when its time is up and only calls to the first model are under way."""
    down = url_at(free_port())
    write_questions(folder / "r.csv", [{"question": f"Question {n}?", "reference": "It is so."} for n in range(6)])

    def script(request: Request) -> Any:
        return answer("No idea.") if asked(request) == "Question 0?" else answer("It is so.", delay=4.0)

    with serving(script) as llm:
        options = ("--escalate", down, "--give-up-after", "1s", "--concurrency", "6")
        before = os.times()
        done = run_tamiz("run", "r.csv", "--model", model_url(llm), *options, cwd=folder)
        after = os.times()
    assert done.returncode == 1, done.stderr
    assert [row["outcome"] for row in rows_of(done.stdout)] == []  # the first one has none, and rows are in order
    assert status_of(folder)["outcomes"]["accepted"] == 5
    assert after.children_user + after.children_system - before.children_user - before.children_system < 2.5


def test_a_placeholder_for_a_key_is_no_secret(folder: Path) -> None:
    """`none` or `EMPTY`, as servers without keys are given, may be a word of an answer."""
    with serving(answer("There are none of them.")) as llm:
        env = {"OPENAI_API_KEY": "none"}
        done = run_tamiz("run", "q.csv", "--model", model_url(llm), "--limit", "1", cwd=folder, env=env)
    assert rows_of(done.stdout)[0]["answer"] == "There are none of them."
