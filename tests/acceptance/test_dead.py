"""`tamiz dead`: dead letters, why they died, and the ways back."""

import json
import shutil
from pathlib import Path

import pytest

from fake_llm import Do, Request, answer, status
from rows import rows_of, write_questions
from running import run_tamiz, status_of
from serving import asked, model_url, serving
from started import started

MODEL = "simulated:?invalid=0.5&quality=1&seed=1"


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder with a state file in which about half of twenty questions failed, and one row was bad."""
    folder = tmp_path_factory.mktemp("dead")
    questions = [
        {"id": f"q{n}", "question": f"What is “{n}”, really?", "content": "a, b", "reference": f"number {n}"}
        for n in range(20)
    ]
    write_questions(folder / "q.jsonl", questions)
    with (folder / "q.jsonl").open("a") as file:
        file.write('{"id": "bad"}\n')
    assert run_tamiz("run", "q.jsonl", "--out", "rows.jsonl", "--model", MODEL, cwd=folder).returncode == 3
    return folder


@pytest.fixture
def folder(ran: Path, tmp_path: Path) -> Path:
    """Give a copy of it that a test may change."""
    return shutil.copytree(ran, tmp_path / "copy")


def ids_of(folder: Path, outcome: str) -> list[str]:
    return [row["id"] for row in rows_of((folder / "rows.jsonl").read_text()) if row["outcome"] == outcome]


def test_list_shows_every_dead_letter_with_its_reason(ran: Path) -> None:
    """As JSON Lines on stdout for programs, and the count by kind on stderr."""
    done = run_tamiz("dead", "list", "--json", cwd=ran)
    letters = rows_of(done.stdout)
    assert done.returncode == 0
    assert {letter["id"] for letter in letters} == {*ids_of(ran, "failed")}
    assert {(letter["kind"], letter["reason"]) for letter in letters if letter["id"] != "bad"} == {
        ("invalid", "simulated invalid")
    }
    assert f"{len(letters)} dead letters: 1 bad_row, {len(letters) - 1} invalid" in done.stderr


def test_list_is_a_table_for_people(ran: Path) -> None:
    done = run_tamiz("dead", "list", "--limit", "3", cwd=ran)
    lines = done.stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["bad_row", "invalid", "invalid"]
    assert "q.jsonl line 21: the row has no question" in lines[0]
    assert "What is “" in lines[1]
    assert "3 shown" in done.stderr


def test_list_takes_one_kind(ran: Path) -> None:
    letters = rows_of(run_tamiz("dead", "list", "--kind", "bad_row", "--json", cwd=ran).stdout)
    assert [letter["id"] for letter in letters] == ["bad"]
    wrong = run_tamiz("dead", "list", "--kind", "fatal", cwd=ran)
    assert wrong.returncode == 2
    assert "no dead letter is of kind 'fatal'; there are 1 bad_row" in wrong.stderr


def test_show_is_for_dead_letters_alone(ran: Path) -> None:
    failed, accepted = ids_of(ran, "failed")[0], ids_of(ran, "accepted")[0]
    assert "failed, invalid: simulated invalid" in run_tamiz("dead", "show", failed, cwd=ran).stdout
    wrong = run_tamiz("dead", "show", accepted, cwd=ran)
    assert wrong.returncode == 2
    assert "is no dead letter: it is accepted" in wrong.stderr


@pytest.mark.parametrize(
    ("args", "says"),
    [
        ([], "say which dead letters to replay: their IDs, or --kind KIND, or --all"),
        (["q1", "--all"], "say which dead letters to replay"),
        (["--kind", "bad_row"], "are no questions, so they cannot be replayed"),
        (["--kind", "fatal"], "no dead letter is of kind 'fatal'"),
        (["bad"], "is a row that is no question (q.jsonl line 21: the row has no question"),
        (["nobody"], "no question 'nobody'"),
        (["--all", "--state", "none.db"], "there is no state file none.db"),
    ],
)
def test_what_cannot_be_replayed_is_left_as_it_is(ran: Path, args: list[str], says: str) -> None:
    before = (ran / "tamiz.db").read_bytes()
    done = run_tamiz("dead", "replay", *args, cwd=ran)
    assert done.returncode in {1, 2}
    assert says in done.stderr
    assert (ran / "tamiz.db").read_bytes() == before
    assert not (ran / "none.db").exists()


def test_replayed_questions_are_asked_again_as_the_submissions_they_were(tmp_path: Path) -> None:
    """The next run asks exactly them, under their message ids; every row of its output then has its outcome."""
    names = ["ann", "bob", "cyd", "dan"]
    write_questions(tmp_path / "q.csv", [{"id": name, "question": f"Who is {name}?"} for name in names])
    refusing = True

    def script(request: Request) -> Do:
        if refusing and asked(request).split()[2] in {"bob?", "cyd?"}:
            return status(400, {"code": "content_filter", "message": "flagged"})
        return answer("Somebody.")

    with serving(script) as llm:
        command = ["run", "q.csv", "--out", "rows.jsonl", "--model", model_url(llm)]
        assert run_tamiz(*command, cwd=tmp_path).returncode == 3
        before = rows_of((tmp_path / "rows.jsonl").read_text())
        assert ids_of(tmp_path, "failed") == ["bob", "cyd"]

        refusing = False
        replayed = run_tamiz("dead", "replay", "bob", "cyd", "--json", cwd=tmp_path)
        assert json.loads(replayed.stdout) == {"replayed": 2, "bad_rows": 0, "other_settings": 0}
        assert "2 put back in tamiz.db" in replayed.stderr
        assert "the same `tamiz run` or `tamiz serve` command" in replayed.stderr
        place = json.loads(run_tamiz("show", "bob", "--json", cwd=tmp_path).stdout)
        assert (place["place"]["kind"], place["outcome"]) == ("deferred", None)
        assert place["tried"] == []

        calls = len(llm.requests)
        assert run_tamiz(*command, cwd=tmp_path).returncode == 0
        assert sorted(asked(request) for request in llm.requests[calls:]) == ["Who is bob?", "Who is cyd?"]
    after = rows_of((tmp_path / "rows.jsonl").read_text())
    assert [row["message_id"] for row in after] == [row["message_id"] for row in before]
    assert {row["outcome"] for row in after} == {"accepted"}
    assert "no dead letters" in run_tamiz("dead", "list", cwd=tmp_path).stderr


def test_replay_all_leaves_bad_rows_alone(folder: Path) -> None:
    """They never were questions, so there is nothing to ask."""
    failed = len(ids_of(folder, "failed")) - 1
    done = run_tamiz("dead", "replay", "--all", "--json", cwd=folder)
    assert json.loads(done.stdout) == {"replayed": failed, "bad_rows": 1, "other_settings": 0}
    assert "left alone: 1 row that never was a question" in done.stderr
    again = run_tamiz("dead", "replay", "--all", "--json", cwd=folder)
    assert json.loads(again.stdout) == {"replayed": 0, "bad_rows": 1, "other_settings": 0}
    counts = status_of(folder)
    assert (counts["open"], counts["deferred"], counts["dead_letters"]) == (failed, failed, {"bad_row": 1})


def test_dead_letters_of_other_settings_are_not_asked_under_the_wrong_ones(folder: Path) -> None:
    """A file may hold several runs. It goes on with the settings of the last one, so only its questions can go back."""
    other = ["run", "q.jsonl", "--out", "other.jsonl", "--model", "simulated:"]
    assert run_tamiz(*other, cwd=folder).returncode == 3
    failed = len(ids_of(folder, "failed")) - 1
    done = run_tamiz("dead", "replay", "--kind", "invalid", "--json", cwd=folder)
    assert json.loads(done.stdout) == {"replayed": 0, "bad_rows": 0, "other_settings": failed}
    assert "asked under other settings" in done.stderr


def test_replay_is_refused_while_a_run_holds_the_file(tmp_path: Path) -> None:
    rows = [{"id": "bad", "question": ""}, *({"id": str(n), "question": f"Number {n}?"} for n in range(20))]
    write_questions(tmp_path / "q.csv", rows)
    with serving(Do(hang=True)) as llm, started("run", "q.csv", "--model", model_url(llm), cwd=tmp_path) as run:
        run.until(lambda: llm.requests, "the first call")
        done = run_tamiz("dead", "replay", "--all", cwd=tmp_path)
        assert done.returncode == 1
        assert f"is in use by process {run.process.pid}" in done.stderr
        assert "a service puts dead letters back itself: POST /dead-letters/replay" in done.stderr


@pytest.mark.parametrize("out", ["again.jsonl", "again.csv"])
def test_exported_questions_can_be_run_again_under_any_settings(folder: Path, out: str) -> None:
    failed = [id_ for id_ in ids_of(folder, "failed") if id_ != "bad"]
    done = run_tamiz("dead", "export", "--out", out, cwd=folder)
    assert done.returncode == 0
    assert f"{len(failed)} dead letters written to {out}" in done.stderr
    assert "left out: 1 row that never was a question" in done.stderr
    again = run_tamiz("run", out, "--state", "other.db", "--model", "simulated:?quality=1", cwd=folder)
    rows = rows_of(again.stdout)
    assert again.returncode == 0, again.stderr
    assert [row["id"] for row in rows] == failed
    before = {row["id"]: row["question"] for row in rows_of((folder / "rows.jsonl").read_text())}
    assert all(row["question"] == before[row["id"]] and row["score"] > 0.3 for row in rows)


def test_export_writes_json_lines_to_stdout_unless_told_otherwise(ran: Path) -> None:
    letters = rows_of(run_tamiz("dead", "export", "--kind", "bad_row", cwd=ran).stdout)
    assert [(letter["id"], letter["kind"]) for letter in letters] == [("bad", "bad_row")]
    letter = rows_of(run_tamiz("dead", "export", cwd=ran).stdout)[0]
    assert (letter["content"], letter["kind"], letter["reason"]) == ("a, b", "invalid", "simulated invalid")
    assert letter["reference"].startswith("number ")


@pytest.mark.parametrize(
    ("out", "says"), [("x.txt", "of no known kind"), ("no/x.csv", "cannot be written"), ("state.csv", "the state file")]
)
def test_export_never_writes_over_the_state_file_nor_to_what_it_cannot(folder: Path, out: str, says: str) -> None:
    (folder / "tamiz.db").rename(folder / "state.csv")
    before = (folder / "state.csv").read_bytes()
    done = run_tamiz("dead", "export", "--state", "state.csv", "--out", out, cwd=folder)
    assert done.returncode == 2
    assert says in done.stderr
    assert (folder / "state.csv").read_bytes() == before
