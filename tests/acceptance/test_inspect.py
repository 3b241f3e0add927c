"""`tamiz show` and `tamiz status`: the life of a question, and where all of them are."""

import json
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from rows import rows_of, write_questions
from running import run_tamiz, status_of
from started import under_way

MODEL = "simulated:?invalid=0.3&quality=0.6&seed=1"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder whose state file has taken forty questions, ten of them twice, and a bad row to their outcomes."""
    folder = tmp_path_factory.mktemp("finished")
    questions = [
        {"id": f"q{n}", "question": f"What is number {n % 30}?", "reference": f"number {n % 30}"} for n in range(40)
    ]
    write_questions(folder / "q.jsonl", questions)
    with (folder / "q.jsonl").open("a") as file:
        file.write("this is no JSON\n")
    assert run_tamiz("run", "q.jsonl", "--out", "rows.jsonl", "--model", MODEL, cwd=folder).returncode == 3
    return folder


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder whose run stopped after its first call: one deferred, one parked behind it, one in the log."""
    folder = tmp_path_factory.mktemp("interrupted")
    texts = {"first": "Which?", "twin": "Which?", "other": "What?"}
    write_questions(folder / "q.csv", [{"id": id_, "question": text} for id_, text in texts.items()])
    # a stated time keeps the first from coming back before the budget has stopped the run
    options = ["--max-calls", "1", "--model", "simulated:?quota=1&reset=1000s"]
    done = run_tamiz("run", "q.csv", "--out", "rows.jsonl", *options, cwd=folder)
    assert done.returncode == 4, done.stderr
    return folder


def show(folder: Path, id_: str) -> dict[str, Any]:
    done = run_tamiz("show", id_, "--json", cwd=folder)
    assert done.returncode == 0, done.stderr
    life: dict[str, Any] = json.loads(done.stdout)
    return life


def row_where(folder: Path, **wanted: object) -> Mapping[str, Any]:
    rows = rows_of((folder / "rows.jsonl").read_text())
    return next(row for row in rows if all(row[name] == value for name, value in wanted.items()))


def test_show_tells_each_attempt_each_failed_call_and_the_outcome(finished: Path) -> None:
    """A question that was refused once and then failed shows the answer, its score, the failure and the reason."""
    row = row_where(finished, outcome="failed", attempts=1)
    life = show(finished, row["id"])
    assert life["message_id"] == row["message_id"]
    assert (life["question"], life["reference"]) == (row["question"], row["question"][8:-1])
    assert [(tried["attempt"], tried["result"]) for tried in life["tried"]] == [(1, "refused"), (2, "invalid")]
    assert life["tried"][0]["answer"]
    assert life["tried"][0]["score"] < 0.3
    assert life["created_at"] <= life["tried"][0]["at"] <= life["tried"][1]["at"] <= life["outcome"]["finished_at"]
    assert (life["outcome"]["outcome"], life["outcome"]["kind"], life["place"]) == ("failed", "invalid", None)

    text = run_tamiz("show", row["id"], cwd=finished).stdout
    assert row["question"] in text
    assert life["tried"][0]["answer"] in text
    assert re.search(r"attempt 1: fell short, score 0\.\d+", text)
    assert "attempt 2: failed, invalid: simulated invalid" in text
    assert "outcome  failed, invalid; 1 answer judged, 1 failed call" in text


def test_show_and_report_tell_what_spoke_against_answers(tmp_path: Path) -> None:
    """Each attempt that fell short with its reasons, and so the best one of a question that is exhausted."""
    (tmp_path / "q.csv").write_text("id,question,answer\n1,Who wrote Don Quixote?,Miguel de Cervantes wrote it\n")
    gate = ("--scorer", "gate", "--threshold", "0.5", "--model", "simulated:?quality=0&seed=3", "--attempts", "2")
    assert run_tamiz("run", "q.csv", *gate, "--out", "rows.jsonl", cwd=tmp_path).returncode == 0
    life = show(tmp_path, "1")
    against = [tried["reasons"] for tried in life["tried"]]
    assert all(against)
    assert life["outcome"]["reasons"] in against
    text = run_tamiz("show", "1", cwd=tmp_path).stdout
    assert all(reason in text for reasons in against for reason in reasons)
    assert f"against it  {life['outcome']['reasons'][0]}" in text
    assert run_tamiz("report", "tamiz.db", "--out", "report", cwd=tmp_path).returncode == 0
    page = (tmp_path / "report" / "report.html").read_text(encoding="utf-8")
    assert "What spoke most against answers that fell short" in page


def test_show_names_whose_answer_a_question_got(finished: Path) -> None:
    row = row_where(finished, source="coalesced")
    leader = row_where(finished, question=row["question"])
    assert show(finished, row["id"])["outcome"]["leader"] == leader["message_id"]
    assert leader["message_id"] in run_tamiz("show", row["id"], cwd=finished).stdout


def test_a_question_is_found_by_message_id_by_its_beginning_and_by_its_own_id(finished: Path) -> None:
    row = row_where(finished, id="q7")
    assert {show(finished, given)["message_id"] for given in ("q7", row["message_id"], row["message_id"][:24])} == {
        row["message_id"]
    }


def test_a_beginning_that_several_share_lists_them(finished: Path) -> None:
    row = row_where(finished, id="q7")
    done = run_tamiz("show", row["message_id"][:12], cwd=finished)
    assert (done.returncode, done.stdout) == (2, "")
    assert "is more than one question" in done.stderr
    assert row["message_id"] in done.stderr
    assert done.stderr.rstrip().endswith("…")


@pytest.mark.parametrize(
    ("args", "code", "says"),
    [
        (["show", "nobody"], 2, "no question 'nobody' is there"),
        (["show", ""], 2, "no question '' is there"),
        (["show", "q1", "--state", "none.db"], 1, "there is no state file none.db: run `tamiz run` first"),
        (["status", "--state", "q.jsonl"], 1, "q.jsonl is not a state file of tamiz"),
    ],
)
def test_what_cannot_be_shown_is_one_line_with_a_remedy(finished: Path, args: list[str], code: int, says: str) -> None:
    done = run_tamiz(*args, cwd=finished)
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr.count("\n") == 1
    assert says in done.stderr
    assert not (finished / "none.db").exists()


def test_show_says_where_an_open_question_is(interrupted: Path) -> None:
    """Deferred until its time, parked behind its leader, or in a topic of the log."""
    first, twin, other = (show(interrupted, id_) for id_ in ("first", "twin", "other"))
    assert first["outcome"] is None
    assert first["place"]["kind"] == "deferred"
    assert 0 < first["place"]["due"] - time.time() <= 1000
    assert first["place"]["attempt"] == first["place"]["retry"] == 1
    assert twin["place"] == {"kind": "parked", "leader": first["message_id"]}
    assert other["place"] == {"kind": "log", "topic": "llm_requests", "attempt": 1, "retry": 0}

    texts = [run_tamiz("show", id_, cwd=interrupted).stdout for id_ in ("first", "twin", "other")]
    assert re.search(r"open  deferred until .* \(in [\d,]+ s\); attempt 1 after 1 failed call", texts[0])
    assert f"open  parked behind an identical question in flight: {first['message_id']}" in texts[1]
    assert "open  in llm_requests, waiting for a model" in texts[2]


def test_status_counts_outcomes_and_dead_letters(finished: Path) -> None:
    rows = rows_of((finished / "rows.jsonl").read_text())
    counts = status_of(finished)
    assert counts["questions"] == len(rows) == 41
    assert counts["outcomes"] == {
        outcome: sum(row["outcome"] == outcome for row in rows) for outcome in ("accepted", "exhausted", "failed")
    }
    assert counts["dead_letters"] == {"bad_row": 1, "invalid": counts["outcomes"]["failed"] - 1}
    assert (counts["open"], counts["log"], counts["parked"], counts["deferred"]) == (0, {}, 0, 0)
    assert (counts["claims"], counts["process"]) == (0, None)
    assert counts["model_calls"] > 30
    assert counts["tokens"] > 0

    text = run_tamiz("status", cwd=finished).stdout
    assert f"{counts['outcomes']['accepted']} accepted" in text
    assert "nobody works on it" in text
    assert "tamiz dead list --state tamiz.db" in text


def test_status_tells_where_the_open_ones_are(interrupted: Path) -> None:
    counts = status_of(interrupted)
    assert (counts["open"], counts["log"], counts["parked"], counts["deferred"]) == (3, {"llm_requests": 1}, 1, 1)
    assert (counts["claims"], counts["model_calls"]) == (2, 1)
    text = run_tamiz("status", cwd=interrupted).stdout
    assert "1 in llm_requests" in text
    assert "1 parked behind identical ones in flight" in text
    assert re.search(r"1 deferred, the next due .* \(in [\d,]+ s\)", text)


def test_status_and_show_work_while_a_run_is_running(tmp_path: Path) -> None:
    """They name the process that works on the file, and do not disturb it."""
    with under_way(tmp_path) as run:
        counts = status_of(tmp_path)
        assert counts["process"] == run.process.pid
        assert counts["open"] + sum(counts["outcomes"].values()) == counts["questions"]
        assert counts["outcomes"]["accepted"] > 0
        assert show(tmp_path, "0")["outcome"]["outcome"] == "accepted"
        assert run.process.poll() is None


def test_a_run_that_was_killed_is_not_taken_for_a_running_one(tmp_path: Path) -> None:
    with under_way(tmp_path) as run:
        run.kill()
    assert (tmp_path / "tamiz.db.lock").exists()
    counts = status_of(tmp_path)
    assert counts["process"] is None
    assert counts["outcomes"]["accepted"] > 0


def test_texts_cannot_write_to_the_terminal(tmp_path: Path) -> None:
    """Control characters of a question or an answer are shown, not sent."""
    write_questions(tmp_path / "q.jsonl", [{"id": "1", "question": "Red \x1b[31mor\r\nnot?"}])
    run_tamiz("run", "q.jsonl", "--model", "simulated:", cwd=tmp_path)
    text = run_tamiz("show", "1", cwd=tmp_path).stdout
    assert "\x1b" not in text
    assert "Red \ufffd[31mor" in text
