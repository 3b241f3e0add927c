"""`tamiz run` killed at any moment: the same command goes on, nothing is lost, nothing twice, little is paid again."""

import json
import random
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from fake_llm import Do, FakeLLM, Request, answer
from rows import rows_of, write_questions
from running import run_tamiz
from serving import asked, model_url, serving
from started import committed, started

DIFFERENT: Final = 2000
COPIES: Final = 200
KILLS: Final = 10
FAULTY: Final = "simulated:?latency=20ms&spread=0.4&overload=0.02&quota=0.03&reset=50ms&quality=0.7&seed=11"


def _questions(rng: random.Random) -> list[dict[str, str | None]]:
    """Give questions in random order, some of them copies of others (with an id of their own)."""
    numbers = [*range(DIFFERENT), *rng.choices(range(DIFFERENT), k=COPIES)]
    rng.shuffle(numbers)
    return [
        {"id": str(n), "question": f"Question {number}?", "reference": f"the reference of {number} is ref{number}"}
        for n, number in enumerate(numbers)
    ]


def _outcomes_pass(state: Path, count: int) -> Callable[[], bool]:
    return lambda: committed(state, "outcomes") > count


def _requests_pass(llm: FakeLLM, count: int) -> Callable[[], bool]:
    return lambda: len(llm.requests) > count


def _whole_lines(path: Path) -> list[dict[str, Any]]:
    """Decode all lines of a file but one that is cut off at its end."""
    lines = path.read_text(encoding="utf-8").split("\n")
    return [json.loads(line) for line in lines[:-1]]


def _is_start_of(written: Sequence[dict[str, Any]], questions: Sequence[dict[str, str | None]]) -> bool:
    return [row["id"] for row in written] == [question["id"] for question in questions[: len(written)]]


def test_ten_kills_change_nothing(tmp_path: Path) -> None:
    """Killed ten times and started again, a run ends with the rows of one that nobody disturbed."""
    rng = random.Random(1)
    questions = _questions(rng)
    write_questions(tmp_path / "q.csv", questions)
    command = ("run", "q.csv", "--model", FAULTY, "--attempts", "2", "--retries", "1", "--concurrency", "16")

    out = tmp_path / "killed.jsonl"
    for moment in sorted(rng.randrange(len(questions) * 3 // 4) for _ in range(KILLS)):
        with started(*command, "--out", out.name, "--state", "killed.db", cwd=tmp_path) as run:
            run.until(_outcomes_pass(tmp_path / "killed.db", moment), f"outcome {moment}")
            assert run.kill(), "it was done before it could be killed"
        assert _is_start_of(_whole_lines(out), questions)
    last = run_tamiz(*command, "--out", out.name, "--state", "killed.db", cwd=tmp_path)
    whole = run_tamiz(*command, "--state", "whole.db", cwd=tmp_path)

    assert (last.returncode, whole.returncode) == (3, 3), last.stderr  # some fail: the model is that bad
    found, wanted = rows_of(out.read_text()), rows_of(whole.stdout)
    assert _is_start_of(found, questions)
    assert len(found) == len(wanted) == len(questions)
    assert len({row["message_id"] for row in found}) == len(questions)
    assert {row["outcome"] for row in found} == {"accepted", "exhausted", "failed"}
    for here, there in zip(found, wanted, strict=True):
        fields = ["id", "question", "message_id", "answer", "outcome", "score", "reason"]
        if here["source"] == there["source"] == "model":
            fields += ["attempts", "retries", "model"]
        assert {name: here[name] for name in fields} == {name: there[name] for name in fields}


def test_a_kill_costs_no_more_calls_than_were_in_flight(tmp_path: Path) -> None:
    """Each kill repeats at most as many calls as may be in flight at once, as a real server counts them."""
    concurrency, kills, count = 8, 6, 500
    rng = random.Random(2)
    numbers = [*range(count), *rng.choices(range(count), k=50)]
    write_questions(
        tmp_path / "q.jsonl",
        [
            {"id": str(n), "question": f"Question {number}?", "reference": f"word{number}"}
            for n, number in enumerate(numbers)
        ],
    )

    undisturbed = count + count // 5
    to_the_end = threading.Event()  # before it no run may be done, however late it is killed

    def script(request: Request) -> Do:
        number = int(asked(request).split()[1].rstrip("?"))
        poor = number % 5 == 0 and "seed" not in request.body  # the first attempt only
        after = to_the_end if request.number > undisturbed - 30 else None
        return answer("no idea" if poor else f"word{number}", delay=0.02, after=after)

    with serving(script) as llm:
        command = ("run", "q.jsonl", "--model", model_url(llm), "--concurrency", str(concurrency), "--out", "r.jsonl")
        for moment in sorted(rng.randrange(20, undisturbed - 40) for _ in range(kills)):
            with started(*command, cwd=tmp_path) as run:
                run.until(_requests_pass(llm, moment), f"request {moment}")
                assert run.kill()
        to_the_end.set()
        done = run_tamiz(*command, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert undisturbed <= len(llm.requests) <= undisturbed + kills * concurrency
    rows = rows_of((tmp_path / "r.jsonl").read_text())
    assert [row["id"] for row in rows] == [str(n) for n in range(len(numbers))]
    assert {(row["outcome"], row["score"]) for row in rows} == {("accepted", 1.0)}
    assert [row["answer"] for row in rows] == [f"word{number}" for number in numbers]


def test_a_budget_holds_across_kills(tmp_path: Path) -> None:
    """Each call is on record before it is made, so that not even kills make one more than `--max-calls`."""
    write_questions(tmp_path / "q.csv", [{"question": f"Question {n}?"} for n in range(200)])
    to_the_end = threading.Event()

    def script(request: Request) -> Do:
        return answer(asked(request), delay=0.02, after=to_the_end if request.number > 80 else None)

    with serving(script) as llm:
        command = ("run", "q.csv", "--model", model_url(llm), "--concurrency", "4", "--max-calls", "100")
        for moment in (30, 60):
            with started(*command, cwd=tmp_path) as run:
                run.until(_requests_pass(llm, moment), f"request {moment}")
                assert run.kill()
        to_the_end.set()
        done = run_tamiz(*command, cwd=tmp_path)
        assert done.returncode == 4, done.stderr
        assert 100 - 2 * 4 <= len(llm.requests) <= 100
