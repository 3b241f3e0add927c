"""`tamiz doctor`: what is usable, and how to mend what is not. No model is ever asked a question."""

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from fake_llm import Do, Script, status
from rows import write_questions
from running import run_tamiz
from serving import MODEL, model_url, serving
from started import under_way

KEY = "sk-very-secret"


def listing(*names: str) -> Do:
    return Do(body=json.dumps({"object": "list", "data": [{"id": name} for name in names]}).encode())


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Give a state file's bytes."""
    folder = tmp_path_factory.mktemp("state")
    write_questions(folder / "q.csv", [{"id": str(n), "question": f"Number {n}?"} for n in range(200)])
    assert run_tamiz("run", "q.csv", "--model", "simulated:", cwd=folder).returncode == 0
    return (folder / "tamiz.db").read_bytes()


def doctor(folder: Path, *args: str, env: dict[str, str] | None = None) -> tuple[int, dict[str, Any]]:
    """Give the exit code and the checks by name; of several models the last."""
    done = run_tamiz("doctor", "--json", *args, cwd=folder, env=env)
    report = json.loads(done.stdout)
    assert report["ok"] is all(check["ok"] for check in report["checks"])
    assert KEY not in done.stdout + done.stderr
    return done.returncode, {check["name"]: check for check in report["checks"]}


def test_a_sound_installation_is_all_ok(tmp_path: Path) -> None:
    """One line for each check, the versions first; no state file yet is no problem, and none is made."""
    done = run_tamiz("doctor", "--model", "simulated:", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["ok"] * 6
    assert "Python 3." in done.stdout
    assert "there is no tamiz.db yet" in done.stdout
    assert [*tmp_path.iterdir()] == []


def test_wrong_settings_are_named_with_where_they_come_from(tmp_path: Path) -> None:
    code, checks = doctor(tmp_path, env={"TAMIZ_THRESHOLD": "7"})
    assert code == 1
    assert checks["settings"]["detail"] == "TAMIZ_THRESHOLD: 7.0 is out of range: between 0 and 1"


def test_variables_are_named_without_their_values(tmp_path: Path) -> None:
    _, checks = doctor(tmp_path, env={"OPENAI_API_KEY": KEY})
    assert checks["settings"]["detail"] == "no tamiz.toml here, OPENAI_API_KEY"


def test_a_whole_state_file_is_ok(tmp_path: Path, state: bytes) -> None:
    (tmp_path / "tamiz.db").write_bytes(state)
    code, checks = doctor(tmp_path)
    assert (code, checks["state"]["detail"]) == (0, "tamiz.db is whole")


def test_a_state_file_in_use_is_ok_and_says_by_whom(tmp_path: Path) -> None:
    with under_way(tmp_path) as run:
        code, checks = doctor(tmp_path)
        assert (code, checks["state"]["detail"]) == (0, f"tamiz.db is whole, in use by process {run.process.pid}")


def test_a_damaged_state_file_is_a_problem(tmp_path: Path, state: bytes) -> None:
    (tmp_path / "tamiz.db").write_bytes(state[:8192] + b"\xff" * 8192 + state[16384:])
    code, checks = doctor(tmp_path)
    assert code == 1
    assert "tamiz.db is damaged" in checks["state"]["detail"]
    assert "--fresh" in checks["state"]["remedy"]


def test_what_is_no_state_file_of_this_version_is_a_problem(tmp_path: Path, state: bytes) -> None:
    (tmp_path / "notes.db").write_text("Not a database at all, but long enough to be taken for one. " * 20)
    assert "is not a state file of tamiz" in doctor(tmp_path, "--state", "notes.db")[1]["state"]["detail"]
    (tmp_path / "newer.db").write_bytes(state)
    with sqlite3.connect(tmp_path / "newer.db") as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    code, checks = doctor(tmp_path, "--state", "newer.db")
    assert code == 1
    assert "written by a newer tamiz" in checks["state"]["detail"]
    assert "there is no folder" in doctor(tmp_path, "--state", "no/tamiz.db")[1]["state"]["detail"]


def test_a_model_that_cannot_be_made_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "m.gguf").write_text("not a model")
    options = [
        option for url in ("simulated:?x=1", "local:m.gguf", "openai:gpt-4o", "gpt-4o") for option in ("--model", url)
    ]
    done = run_tamiz("doctor", *options, cwd=tmp_path)
    problems = [line for line in done.stdout.splitlines() if line.startswith("problem")]
    assert done.returncode == 1
    assert "has no parameter 'x'" in problems[0]
    assert "m.gguf" in problems[1]
    assert "OPENAI_API_KEY is not set" in problems[2]
    assert "'gpt-4o' is not a model URL" in problems[3]


@pytest.mark.parametrize(
    ("script", "ok", "says"),
    [
        (listing("other", MODEL), True, "ms and has the model"),
        (listing("other", "another"), False, "unknown to {where} (it has another, other)"),
        (status(401, {"message": "bad key"}), False, "the key was refused by {where} (401: bad key)"),
        (status(404, "nothing here"), True, "does not tell which models it has"),
        (Do(body=b"<html>welcome</html>"), False, "not as an OpenAI-compatible server does"),
    ],
)
def test_a_server_is_asked_for_its_models(tmp_path: Path, script: Script, ok: bool, says: str) -> None:  # noqa: FBT001
    """With the key, at the address given, and once."""
    with serving(script) as llm:
        code, checks = doctor(tmp_path, "--model", model_url(llm), env={"OPENAI_API_KEY": KEY})
    assert (code, checks["model"]["ok"]) == (0 if ok else 1, ok)
    assert says.format(where=llm.base_url) in checks["model"]["detail"]
    assert [request.path for request in llm.requests] == ["/v1/models"]
    assert llm.requests[0].headers["authorization"] == f"Bearer {KEY}"


def test_a_server_that_is_not_there_is_a_problem(tmp_path: Path) -> None:
    """The model named by the environment is checked too."""
    with serving() as llm:
        url = model_url(llm)
    code, checks = doctor(tmp_path, env={"TAMIZ_MODEL": url})
    assert code == 1
    assert "no connection to 127.0.0.1:" in checks["model"]["detail"]
    assert "see that the server runs" in checks["model"]["remedy"]
