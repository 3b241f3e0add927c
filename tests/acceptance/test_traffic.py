"""`tamiz traffic` as a user runs it."""

import json
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from rows import read_rows, write_questions
from running import run_tamiz, tamiz_environment
from serve_command import served
from started import started


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_questions(
        tmp_path / "q.csv", [{"id": str(n), "question": f"Question {n}?", "reference": f"Word{n}"} for n in range(50)]
    )
    return tmp_path


def events_of(folder: Path, run: str) -> list[dict[str, Any]]:
    return read_rows(folder / "data_collected" / run / "events.jsonl")


def about(folder: Path, run: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "data_collected" / run / "run.json").read_text())
    return found


def test_the_same_seed_asks_the_same_at_the_same_times(folder: Path) -> None:
    """The file has the questions in the order in which they were asked; the log has each with its times."""
    for run, seed in (("a", "5"), ("b", "5"), ("c", "6")):
        done = run_tamiz(
            *("traffic", "q.csv", "--total", "300", "--rate", "2000", "--alpha", "1.2", "--seed", seed),
            *("--out", f"{run}.jsonl", "--run", run),
            cwd=folder,
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout == ""
        assert "300 questions" in done.stderr
        assert f"data_collected/{run}/events.jsonl" in done.stderr
    assert (folder / "a.jsonl").read_bytes() == (folder / "b.jsonl").read_bytes()
    assert (folder / "a.jsonl").read_bytes() != (folder / "c.jsonl").read_bytes()
    rows, events = read_rows(folder / "a.jsonl"), events_of(folder, "a")
    assert [row["id"] for row in rows] == [event["id"] for event in events] == [str(event["rank"]) for event in events]
    assert [event["n"] for event in events] == list(range(300))
    assert all(event["sent_s"] >= event["at_s"] and event["outcome"] == "written" for event in events)
    assert [event["at_s"] for event in events] == [event["at_s"] for event in events_of(folder, "b")]
    assert Counter(event["rank"] for event in events).most_common(1)[0][0] == 0
    parameters = about(folder, "a")["parameters"]
    assert (parameters["seed"], parameters["alpha"], parameters["questions"]) == (5, 1.2, 50)
    assert about(folder, "a")["result"]["outcomes"] == {"written": 300}


def test_the_environment_alone_is_enough(folder: Path) -> None:
    """Standard output is where the questions go then, as `tamiz run` reads them."""
    settings = {
        "TRAFFIC_TOTAL": "40",
        "TRAFFIC_ARRIVALS": "max",
        "TRAFFIC_RATE": "7",
        "TRAFFIC_POPULARITY": "uniform",
        "TRAFFIC_ALPHA": "2",
    }
    asked = run_tamiz("traffic", "q.csv", "--run", "env", cwd=folder, env=settings)
    assert asked.returncode == 0, asked.stderr
    parameters = about(folder, "env")["parameters"]
    assert [parameters[name] for name in ("total", "arrivals", "rate", "popularity", "alpha")] == [
        40,
        "max",
        7.0,
        "uniform",
        2.0,
    ]
    answered = run_tamiz("run", "-", "--model", "simulated:", cwd=folder, stdin=asked.stdout)
    assert answered.returncode == 0, answered.stderr
    assert len(answered.stdout.splitlines()) == 40


def test_a_duration_ends_it(folder: Path) -> None:
    done = run_tamiz(
        *("traffic", "q.csv", "--duration", "500ms", "--arrivals", "constant", "--rate", "200"),
        *("--out", "out.jsonl", "--run", "a", "--json", "--log", "parquet"),
        cwd=folder,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["report"]["sent"] == 100
    assert len(read_rows(folder / "out.jsonl")) == 100
    assert (folder / "data_collected" / "a" / "events.parquet").exists()


def test_a_run_can_be_replayed_by_its_log(folder: Path) -> None:
    first = ("traffic", "q.csv", "--total", "50", "--arrivals", "burst:on=50ms,off=50ms", "--rate", "500")
    assert run_tamiz(*first, "--out", "a.jsonl", "--run", "a", cwd=folder).returncode == 0
    again = ("traffic", "q.csv", "--arrivals", "trace:data_collected/a/events.jsonl")
    assert run_tamiz(*again, "--out", "b.jsonl", "--run", "b", cwd=folder).returncode == 0
    times = [event["at_s"] for event in events_of(folder, "a")]
    assert [event["at_s"] for event in events_of(folder, "b")] == pytest.approx([at - times[0] for at in times])


def test_ctrl_c_ends_it_and_keeps_the_log(folder: Path) -> None:
    out = folder / "a.jsonl"
    with started("traffic", "q.csv", "--duration", "1h", "--run", "a", "--out", "a.jsonl", cwd=folder) as traffic:
        traffic.until(lambda: out.exists() and out.stat().st_size, "questions are asked")
        traffic.process.send_signal(signal.SIGINT)
        code, said = traffic.end()
    assert code == 130
    assert "stopped  before its end" in said
    assert about(folder, "a")["result"]["state"] == "stopped"
    assert len(events_of(folder, "a")) == len(read_rows(out)) > 0


def test_a_service_that_is_not_there_is_told(folder: Path) -> None:
    done = run_tamiz("traffic", "q.csv", "--total", "5", "--to", "http://127.0.0.1:1", cwd=folder)
    assert done.returncode == 3
    assert "5 unreachable" in done.stderr


def test_a_service_that_asks_for_a_key_gets_it_and_the_log_does_not(folder: Path) -> None:
    """Without it, the summary says what to do; and that it is the wrong one, where it is."""
    key = run_tamiz("keys", "make", "acme", cwd=folder).stdout.strip()
    with served(folder, model="simulated:") as (_, url):
        ask = ("traffic", "q.csv", "--total", "3", "--arrivals", "max", "--to", url, "--run")
        none = run_tamiz(*ask, "none", cwd=folder)
        wrong = run_tamiz(*ask, "wrong", cwd=folder, env={"TAMIZ_TRAFFIC_KEY": "tz-nobody-knows-this-key-at-all"})
        right = run_tamiz(*ask, "right", cwd=folder, env={"TAMIZ_TRAFFIC_KEY": key})
    assert (none.returncode, wrong.returncode, right.returncode) == (3, 3, 0)
    assert "http_401  the service asks for an API key: give it in TAMIZ_TRAFFIC_KEY" in none.stderr
    assert "http_401  the service does not know the API key of TAMIZ_TRAFFIC_KEY" in wrong.stderr
    assert "http_401" not in right.stderr
    assert {event["outcome"] for event in events_of(folder, "right")} <= {"submitted", "answered"}
    for done in (none, wrong, right):
        assert key not in done.stderr
    for file in (folder / "data_collected").rglob("*.json*"):
        assert key not in file.read_text(encoding="utf-8")


def test_a_reader_that_goes_away_is_no_crash(folder: Path) -> None:
    command = f"{sys.executable} -m tamiz traffic q.csv --total 5000 --arrivals max | head -1"
    done = subprocess.run(
        ["bash", "-c", command], cwd=folder, env=tamiz_environment(), capture_output=True, text=True, check=False
    )
    assert len(done.stdout.splitlines()) == 1
    assert "Traceback" not in done.stderr
    assert "went away" in done.stderr


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--arrivals", "possion"], "no arrivals 'possion': choose one of poisson"),
        (["--popularity", "zip"], "no popularity 'zip'"),
        (["--rate", "0"], "--rate above 0"),
        (["--rate", "fast"], "--rate: 'fast' is not a number"),
        (["--total", "-1"], "--total"),
        (["--duration", "soon"], "'soon' is not a duration"),
        (["--to", "localhost:8000"], "no address of a service"),
        (["--to", "http://localhost:8000", "--out", "a.jsonl"], "three places"),
        (["--out", "q.csv"], "of no known kind"),
        (["--out", "nowhere/a.jsonl"], "cannot be written"),
        (["--json"], "add --out"),
        (["--arrivals", "trace:none"], "the trace 'none' cannot be read"),
    ],
)
def test_what_is_wrong_is_told_in_a_line(args: list[str], said: str, folder: Path) -> None:
    done = run_tamiz("traffic", "q.csv", *args, cwd=folder)
    assert done.returncode == 2
    assert said in done.stderr
    assert len(done.stderr.splitlines()) <= 2
    assert not (folder / "data_collected").exists()


def test_a_dataset_without_questions_is_refused(tmp_path: Path) -> None:
    (tmp_path / "q.csv").write_text("id,question\n1,\n")
    done = run_tamiz("traffic", "q.csv", cwd=tmp_path)
    assert done.returncode == 2
    assert "no question in it (1 row is none)" in done.stderr
