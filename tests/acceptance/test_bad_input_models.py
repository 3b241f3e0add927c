"""`tamiz run` with a model that cannot be, or a server that gives no answers."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from calling import free_port
from fake_llm import Do, answer, completion, status
from rows import rows_of, write_questions
from running import run_tamiz
from serving import model_url, serving, url_at

KEY = "sk-proj-a-very-secret-key-0123456789"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give a folder with five questions in `q.csv`, and a file that is no model."""
    write_questions(tmp_path / "q.csv", [{"id": str(n), "question": f"Question {n}?"} for n in range(5)])
    (tmp_path / "model.gguf").write_text("this is no model")
    return tmp_path


@pytest.mark.parametrize("model", [None, "", "gpt-4o", "anthropic:claude", "simulated", "http://localhost:8001/v1#m"])
def test_without_a_model_the_choices_are_listed(model: str | None, folder: Path) -> None:
    """No model, or a URL of no known kind: exit 2, the value and all choices."""
    done = run_tamiz("run", "q.csv", *(() if model is None else ("--model", model)), cwd=folder)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Traceback" not in done.stderr
    assert ("no model given" if model is None else repr(model)) in done.stderr.splitlines()[0]
    assert "--model" in done.stderr.splitlines()[0]
    for choice in ("simulated:", "openai:", "openai+http://", "ollama:", "local:"):
        assert f"\n  {choice}" in done.stderr


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("openai:", ("names no model", "openai:gpt-4o-mini")),
        ("openai:gpt-4o-mini", ("openai:gpt-4o-mini", "OPENAI_API_KEY is not set")),
        ("ollama:", ("names no model", "ollama:llama3.2")),
        ("openai+http://localhost:8001/v1", ("localhost:8001", "names no model", "#some-model")),
        ("openai+http://#m", ("names no host", "openai+http://localhost:8001/v1#some-model")),
        ("openai+http://localhost:99999/v1#m", ("99999", "0-65535", "openai+http://localhost:8001/v1#some-model")),
        ("openai+http://localhost:http/v1#m", ("'http'", "Port", "openai+http://localhost:8001/v1#some-model")),
        ("local:", ("names no model", "local:smollm2-135m")),
        ("local:llama-9000", ("'llama-9000'", "smollm2-135m", ".gguf")),
        ("local:smollm2-135m", ("smollm2-135m", "tamiz models pull smollm2-135m")),
        ("local:model.gguf", ("model.gguf", "is not a GGUF file")),
        ("local:missing.gguf", ("missing.gguf", "No such file")),
        ("simulated:quality=1", ("simulated:quality=1", "question mark")),
        ("simulated:?speed=1", ("'speed'", "latency, spread, overload")),
        ("simulated:?quality=2", ("quality=2", "between 0 and 1")),
        ("simulated:?overload=-1", ("overload=-1", "between 0 and 1")),
        ("simulated:?overload=0.7&quota=0.7", ("1.4", "at most 1")),
        ("simulated:?latency=fast", ("latency", "'fast'", "50ms")),
    ],
)
def test_a_model_that_cannot_be_is_refused(model: str, words: tuple[str, ...], folder: Path) -> None:
    """A URL that names no model, no host, no file, or a parameter that there is not: exit 2 and how to write it."""
    done = run_tamiz("run", "q.csv", "--model", model, cwd=folder, env={"TAMIZ_CACHE_DIR": str(folder / "cache")})
    assert (done.returncode, done.stdout) == (2, "")
    assert 1 <= done.stderr.count("\n") <= 2
    assert "Traceback" not in done.stderr
    assert [word for word in words if word not in done.stderr] == [], done.stderr
    assert not (folder / "tamiz.db").exists()


def test_a_password_in_a_url_is_not_repeated(folder: Path) -> None:
    """A model's URL is shown in outputs, so one with a password is refused, without showing it."""
    done = run_tamiz("run", "q.csv", "--model", "openai+http://me:hunter2@localhost/v1#m", cwd=folder)
    assert done.returncode == 2
    assert "OPENAI_API_KEY" in done.stderr
    assert "hunter2" not in done.stderr


@pytest.mark.parametrize(
    ("refusal", "words"),
    [
        (status(401, {"message": "Incorrect API key provided"}), ("the key was refused by", "OPENAI_API_KEY")),
        (status(404, {"message": "The model `fake-1` does not exist", "code": "model_not_found"}), ("'fake-1'",)),
        (status(404, "not found"), ("nothing answers at", "/chat/completions", "is the address right?")),
        (Do(status=308, headers={"location": "https://elsewhere/v1"}), ("https://elsewhere/v1", "address")),
    ],
    ids=["key", "model", "address", "moved"],
)
def test_a_server_that_refuses_every_call_stops_the_run(refusal: Do, words: tuple[str, ...], folder: Path) -> None:
    """A refused key or an unknown model costs no question its attempts: exit 1, and the same command goes on."""
    with serving(refusal) as llm:
        command = ("run", "q.csv", "--model", model_url(llm), "--out", "rows.jsonl")
        done = run_tamiz(*command, cwd=folder, env={"OPENAI_API_KEY": KEY})
        assert (done.returncode, done.stdout) == (1, "")
        assert 1 <= done.stderr.count("\n") <= 2
        assert [word for word in (*words, llm.base_url) if word not in done.stderr] == [], done.stderr
        assert (folder / "rows.jsonl").read_text() == ""

        llm.script = answer("Now it works.")
        before = len(llm.requests)
        done = run_tamiz(*command, cwd=folder, env={"OPENAI_API_KEY": KEY})
        assert done.returncode == 0, done.stderr
        assert len(llm.requests) - before == 5
    rows = rows_of((folder / "rows.jsonl").read_text())
    assert {(row["outcome"], row["attempts"], row["retries"]) for row in rows} == {("accepted", 1, 0)}


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (status(500, {"message": "boom"}), "answered 500: boom"),
        (Do(body=b"<html><body>Bad gateway</body></html>"), "an HTML page, not JSON"),
        (Do(body=json.dumps({**completion(), "choices": []}).encode()), "no choices"),
        (answer(None), "content is null"),
        (answer("  \n"), "the answer is blank"),
        (answer("Error: upstream timed out"), "a server's error message"),
        (answer("half", stop_after=20), "cut off"),
        (Do(close=True), "closed the connection"),
    ],
    ids=["500", "html", "no choices", "null", "blank", "error text", "cut off", "hung up"],
)
def test_a_server_without_answers_fails_the_questions_with_its_reason(reply: Do, reason: str, folder: Path) -> None:
    """Whatever a server sends instead of an answer is never taken for one: the rows fail and say what it was."""
    with serving(reply) as llm:
        done = run_tamiz("run", "q.csv", "--model", model_url(llm), "--retries", "0", cwd=folder)
        assert len(llm.requests) == 5
    assert done.returncode == 3, done.stderr
    assert "Traceback" not in done.stderr
    rows = rows_of(done.stdout)
    assert [row["id"] for row in rows] == ["0", "1", "2", "3", "4"]
    assert {(row["outcome"], row["answer"], row["score"]) for row in rows} == {("failed", None, None)}
    assert [row["reason"] for row in rows if reason not in row["reason"]] == []


def test_a_server_that_is_down_is_named(folder: Path) -> None:
    """Where nothing listens the run waits, and says for what; `--give-up-after` ends it, and nothing is spent."""
    port = free_port()
    model = url_at(port)
    done = run_tamiz("run", "q.csv", "--model", model, "--retries", "0", "--give-up-after", "1500ms", cwd=folder)
    assert (done.returncode, done.stdout) == (1, "")
    assert "Traceback" not in done.stderr
    first, last = done.stderr.splitlines()
    why = f"(no connection to 127.0.0.1:{port}: Connection refused)"
    assert re.match(rf"tamiz: {re.escape(model)}: down for \d+ s {re.escape(why)}", first)
    assert first.endswith("questions wait")
    assert last.startswith(f"tamiz: gave up, as --give-up-after says: {model}: no connection to 127.0.0.1:{port}")
    assert last.endswith("the same command goes on from here")


def test_a_server_that_says_nothing_times_out(folder: Path) -> None:
    """`--timeout` bounds a call to a server that accepts it and never answers."""
    with serving(Do(hang=True)) as llm:
        options = ("--retries", "0", "--timeout", "2s")  # enough to be connected, on any machine
        done = run_tamiz("run", "q.csv", "--model", model_url(llm), *options, cwd=folder)
    assert done.returncode == 3
    assert {"no answer from" in row["reason"] and "in 2 s" in row["reason"] for row in rows_of(done.stdout)} == {True}


@pytest.fixture(params=[200, 401, 500])
def echoing(request: pytest.FixtureRequest) -> Iterator[str]:
    """Give the URL of a server that repeats the key in all it says."""
    text = f"your key {KEY} is fine"
    reply = answer(text) if request.param == 200 else status(request.param, {"message": text})
    with serving(reply) as llm:
        yield model_url(llm)


def test_the_key_is_never_written_down(echoing: str, folder: Path) -> None:
    """The value of OPENAI_API_KEY is in no output, no traceback and no file, also where the server repeats it."""
    command = ("run", "q.csv", "--model", echoing, "--retries", "0", "--out", "rows.jsonl", "--debug")
    done = run_tamiz(*command, cwd=folder, env={"OPENAI_API_KEY": KEY})
    assert KEY not in done.stdout + done.stderr
    written = [path for path in folder.iterdir() if path.is_file()]
    assert {"tamiz.db", "rows.jsonl"} <= {path.name for path in written}
    assert [path.name for path in written if KEY.encode() in path.read_bytes()] == []
