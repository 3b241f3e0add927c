"""`tamiz run` and models: what they are sent, failover and escalation."""

import json
from pathlib import Path

import pytest

from calling import free_port
from fake_llm import Do, Request, answer, status
from rows import rows_of, write_questions
from running import run_tamiz
from serving import asked, model_url, serving, told


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give a folder with ten questions in `q.csv`."""
    write_questions(
        tmp_path / "q.csv",
        [
            {"id": str(n), "question": f"Title {n}", "content": f"Body {n}", "reference": f"Secret reference{n}"}
            for n in range(10)
        ],
    )
    return tmp_path


def _perfect(request: Request) -> Do:
    return answer(f"Secret reference{asked(request).split()[1]}")


def test_a_model_never_sees_the_reference(folder: Path) -> None:
    """The prompt has title and content; the reference, which scores the answer, is in no request."""
    with serving(_perfect) as llm:
        done = run_tamiz("run", "q.csv", "--model", model_url(llm), cwd=folder)
        assert done.returncode == 0, done.stderr
        assert sorted(map(asked, llm.requests)) == [f"Title {n}\n\nBody {n}" for n in range(10)]
        assert "reference" not in told(llm)
    assert {row["score"] for row in rows_of(done.stdout)} == {1.0}


def test_a_prompt_file_shapes_what_is_asked(folder: Path) -> None:
    """`--prompt` is a template with `{title}` and `{content}`; `--system` comes before it."""
    (folder / "prompt.txt").write_text('Answer "{title}" in {"json": 1}. Context: {content}\n')
    with serving(_perfect) as llm:
        options = ("--prompt", "prompt.txt", "--system", "Be brief.", "--max-answer-tokens", "50", "--limit", "1")
        run_tamiz("run", "q.csv", "--model", model_url(llm), *options, "--attempts", "1", cwd=folder)
        body = llm.requests[0].body
    assert [message["content"] for message in body["messages"]] == [
        "Be brief.",
        'Answer "Title 0" in {"json": 1}. Context: Body 0',
    ]
    assert body["max_tokens"] == 50


def test_later_attempts_go_to_the_model_of_escalate(folder: Path) -> None:
    """The first attempt goes to `--model`; those after an answer that falls short go to `--escalate`."""
    with serving(answer("No idea at all.")) as small, serving(_perfect) as large:
        models = ("--model", model_url(small), "--escalate", model_url(large))
        done = run_tamiz("run", "q.csv", *models, cwd=folder)
        assert done.returncode == 0, done.stderr
        assert (len(small.requests), len(large.requests)) == (10, 10)
    rows = rows_of(done.stdout)
    assert {(row["outcome"], row["score"], row["attempts"]) for row in rows} == {("accepted", 1.0, 2)}


def test_a_dead_server_is_passed_over(folder: Path) -> None:
    """With two models, what the first cannot answer goes to the second at once, not after a delay."""
    with serving(_perfect) as llm:
        models = ("--model", f"openai+http://127.0.0.1:{free_port()}/v1#any", "--model", model_url(llm))
        done = run_tamiz("run", "q.csv", *models, "--out", "r.jsonl", "--json", cwd=folder)
        assert done.returncode == 0, done.stderr
        assert len(llm.requests) == 10
    rows = rows_of((folder / "r.jsonl").read_text())
    assert {(row["outcome"], row["retries"], row["model"]) for row in rows} == {("accepted", 1, "fake-1")}
    summary = json.loads(done.stdout)
    assert summary["failed_calls_by_kind"] == {"overload": 10}
    assert summary["this_run"]["seconds"] < 10


def test_an_overloaded_server_is_asked_again_when_it_says_so(folder: Path) -> None:
    """A 429 with `Retry-After` is a failed call, not a failed question."""
    busy = status(429, {"message": "Rate limit reached"}, headers={"retry-after": "0.2"})
    with serving(lambda request: busy if request.number <= 5 else _perfect(request)) as llm:
        done = run_tamiz("run", "q.csv", "--model", model_url(llm), cwd=folder)
        assert done.returncode == 0, done.stderr
        assert len(llm.requests) == 15
    assert sum(row["retries"] for row in rows_of(done.stdout)) == 5


def test_an_answer_that_falls_short_is_asked_for_again(folder: Path) -> None:
    """A second attempt differs from the first in its sampling, and its answer replaces a poorer one."""
    with serving(lambda request: _perfect(request) if "seed" in request.body else answer("Nothing.")) as llm:
        done = run_tamiz("run", "q.csv", "--model", model_url(llm), cwd=folder)
        assert len(llm.requests) == 20
    assert {(row["outcome"], row["attempts"]) for row in rows_of(done.stdout)} == {("accepted", 2)}
    assert "10 answers fell short" in done.stderr


def test_a_model_is_found_in_the_environment(folder: Path) -> None:
    """`TAMIZ_MODEL` and `OPENAI_BASE_URL` do what `--model` does."""
    with serving(_perfect) as llm:
        environment = {"TAMIZ_MODEL": "openai:fake-1", "OPENAI_BASE_URL": llm.base_url, "OPENAI_API_KEY": "sk-x"}
        done = run_tamiz("run", "q.csv", cwd=folder, env=environment)
        assert done.returncode == 0, done.stderr
        assert {request.headers["authorization"] for request in llm.requests} == {"Bearer sk-x"}


def test_a_flag_wins_over_the_environment_and_that_over_the_file(folder: Path) -> None:
    """Flag over environment over `tamiz.toml` over default."""
    (folder / "tamiz.toml").write_text('model = "simulated:?quality=0"\nattempts = 2\nthreshold = 0.0\nlimit = 2\n')
    environment = {"TAMIZ_ATTEMPTS": "1", "SCORE_THRESHOLD": "0.5"}
    done = run_tamiz("run", "q.csv", "--limit", "3", cwd=folder, env=environment)
    assert [(row["outcome"], row["attempts"]) for row in rows_of(done.stdout)] == [("exhausted", 1)] * 3


def test_the_timeout_is_the_simulated_models_too(folder: Path) -> None:
    """A call that plays a slow server is given up like one to a server, and the question fails with its kind."""
    model = "simulated:?latency=30s"
    done = run_tamiz("run", "q.csv", "--model", model, "--timeout", "50ms", "--retries", "0", cwd=folder, timeout=20)
    assert done.returncode == 3, done.stderr
    assert {(row["outcome"], row["reason"]) for row in rows_of(done.stdout)} == {
        ("failed", "1 failed call, the last: no answer from the simulated model in 0.05 s")
    }
