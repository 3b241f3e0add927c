"""`tamiz experiment` as a user runs it."""

import json
import signal
from pathlib import Path
from typing import Any

import pytest
from pyarrow import parquet

from rows import write_questions
from running import run_tamiz
from started import started

FLOW = """
name = "mine"
description = "The threshold of a flow with a cache."
repetitions = 2
seed = 3
[parameters]
questions = 40
total = 120
arrivals = "poisson"
rate = 400
quality = 0.7
omit = 0.9
latency = "2ms"
[[grid]]
[grid.axes]
threshold = [0.2, 0.8]
"""
CACHE = """
name = "caches"
description = "Policies, as simulated and as served."
repetitions = 1
[parameters]
questions = 300
total = 2_000
arrivals = "max"
alpha = 0.9
[[grid]]
parameters = { measured_on = "simulator" }
axes = { policy = ["lru", "sieve", "belady"], size = [10, 50] }
[[grid]]
parameters = { measured_on = "flow", concurrency = 1 }
axes = { policy = ["lru", "fifo", "lfu"], size = [10, 50] }
"""


def cells(folder: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = parquet.read_table(folder / "cells.parquet").to_pylist()
    return found


def about(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "experiment.json").read_text())
    return found


def write(folder: Path, text: str) -> str:
    (folder / "mine.toml").write_text(text)
    return "mine.toml"


def test_each_cell_is_measured_on_the_flow(tmp_path: Path) -> None:
    """Every question of every cell has its arrival, its end and its outcome; more is refused at a higher threshold."""
    done = run_tamiz("experiment", write(tmp_path, FLOW), "--out", "out", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    out = tmp_path / "out"
    rows = cells(out)
    assert [(row["cell"], row["repetition"], row["threshold"]) for row in rows] == [
        (0, 0, 0.2),
        (1, 0, 0.8),
        (0, 1, 0.2),
        (1, 1, 0.8),
    ]
    assert all(row["questions"] == row["accepted"] + row["exhausted"] + row["failed"] == 120 for row in rows)
    assert all(rows[n + 1]["regeneration_rate"] > rows[n]["regeneration_rate"] for n in (0, 2))
    questions = parquet.read_table(out / "questions.parquet").to_pylist()
    assert len(questions) == 4 * 120
    assert all(each["ended_s"] >= each["started_s"] >= each["at_s"] >= 0 for each in questions)
    same = [[each["at_s"] for each in questions if each["cell"] == n and each["repetition"] == 1] for n in (0, 1)]
    assert same[0] == same[1], "cells of a repetition differ by their axes alone"
    series = parquet.read_table(out / "series.parquet").to_pylist()
    assert {"t_s", "queue_depth", "in_flight", "arrivals", "outcomes"} <= set(series[0])
    summary = {(each["cell"], each["metric"]): each for each in parquet.read_table(out / "summary.parquet").to_pylist()}
    accepted = summary[0, "accepted"]
    assert accepted["low"] <= accepted["mean"] == (rows[0]["accepted"] + rows[2]["accepted"]) / 2 <= accepted["high"]
    told = about(out)
    assert (told["name"], told["axes"], told["preset"]) == ("mine", {"threshold": [0.2, 0.8]}, FLOW)
    assert told["ended"] >= told["started"]
    assert told["machine"]["processors"] >= 1
    assert not (out / "work").exists()


def test_the_flow_hits_as_the_simulator_says(tmp_path: Path) -> None:
    """One call at a time, the served policies have the hit ratios that the simulator has for the same questions."""
    done = run_tamiz("experiment", write(tmp_path, CACHE), "--out", "out", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    rows = cells(tmp_path / "out")
    served = [row for row in rows if row["measured_on"] == "flow"]
    assert len(served) == 6
    for row in served:
        assert row["hit_ratio"] == pytest.approx(row["hit_ratio_simulated"], abs=0.01)
    hits = {(row["policy"], row["size"]): row["hit_ratio"] for row in rows if row["measured_on"] == "simulator"}
    assert hits["belady", 10] > hits["sieve", 10] > hits["lru", 10]


def test_it_goes_on_after_a_kill(tmp_path: Path) -> None:
    """What was measured before is not measured again, and the end is as without it."""
    path = write(tmp_path, FLOW.replace("repetitions = 2", "repetitions = 6"))
    files = tmp_path / "out" / "cells"
    with started("experiment", path, "--out", "out", cwd=tmp_path) as first:
        first.until(lambda: len([*files.glob("*.msgpack")]) >= 2, "two cells")
        assert first.kill()
    before = {file.name: file.stat().st_mtime_ns for file in files.glob("*.msgpack")}
    done = run_tamiz("experiment", path, "--out", "out", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"{len(before)} of them measured before" in done.stderr
    assert {name: (files / name).stat().st_mtime_ns for name in before} == before
    assert [(row["cell"], row["repetition"]) for row in cells(tmp_path / "out")] == [
        (cell, repetition) for repetition in range(6) for cell in range(2)
    ]


def test_ctrl_c_keeps_what_is_measured(tmp_path: Path) -> None:
    path = write(tmp_path, FLOW.replace("repetitions = 2", "repetitions = 50"))
    files = tmp_path / "out" / "cells"
    with started("experiment", path, "--out", "out", cwd=tmp_path) as run:
        run.until(lambda: len([*files.glob("*.msgpack")]) >= 1, "a cell")
        run.process.send_signal(signal.SIGINT)
        code, said = run.end()
    assert code == 130
    assert "the same command goes on from there" in said
    assert len(cells(tmp_path / "out")) == len([*files.glob("*.msgpack")]) >= 1
    assert "ended" not in about(tmp_path / "out")


def test_another_experiment_keeps_out_of_the_folder(tmp_path: Path) -> None:
    path = write(tmp_path, CACHE.replace("total = 2_000", "total = 50"))
    assert run_tamiz("experiment", path, "--out", "out", cwd=tmp_path).returncode == 0
    other = run_tamiz("experiment", path, "--out", "out", "--set", "total=60", cwd=tmp_path)
    assert other.returncode == 2
    assert "'out' holds another experiment: parameters total is 50 there, and 60 here." in other.stderr


def test_a_file_that_changed_is_another_experiment(tmp_path: Path) -> None:
    """Cells over other questions are not mixed with those before."""
    rows = [{"id": str(n), "question": f"Q {n}?", "reference": f"R{n}"} for n in range(5)]
    write_questions(tmp_path / "q.csv", rows)
    args = ("experiment", write(tmp_path, FLOW), "--out", "out", "--set", "dataset=q.csv", "--set", "rate=4000")
    assert run_tamiz(*args, cwd=tmp_path).returncode == 0
    write_questions(tmp_path / "q.csv", rows[1:])
    other = run_tamiz(*args, cwd=tmp_path)
    assert other.returncode == 2
    assert "'out' holds another experiment: contents q.csv is" in other.stderr


def test_a_report_made_again_is_of_the_same_time(tmp_path: Path) -> None:
    """The same command after the end measures nothing, so the experiment ended when it did."""
    args = ("experiment", write(tmp_path, CACHE.replace("2_000", "50")), "--out", "out")
    assert run_tamiz(*args, cwd=tmp_path).returncode == 0
    before = about(tmp_path / "out")
    assert run_tamiz(*args, cwd=tmp_path).returncode == 0
    assert about(tmp_path / "out") == before
    assert before["runs"] == 12


def test_a_command_that_measures_nothing_claims_no_folder(tmp_path: Path) -> None:
    """What was mistyped can be corrected with the same --out."""
    path = write(tmp_path, FLOW.replace("repetitions = 2", "repetitions = 1"))
    wrong = run_tamiz("experiment", path, "--out", "out", "--set", "dataset=none.csv", cwd=tmp_path)
    assert (wrong.returncode, "none.csv" in wrong.stderr) == (2, True)
    done = run_tamiz("experiment", path, "--out", "out", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert about(tmp_path / "out")["started"] <= about(tmp_path / "out")["ended"]


def test_a_question_file_takes_the_place_of_made_up_questions(tmp_path: Path) -> None:
    write_questions(tmp_path / "q.csv", [{"id": str(n), "question": f"Q {n}?", "reference": f"R{n}"} for n in range(5)])
    path = write(tmp_path, FLOW.replace("omit = 0.9", "").replace("rate = 400", "rate = 2000"))
    done = run_tamiz("experiment", path, "--out", "out", "--set", "dataset=q.csv", "--set", "quality=1", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    lenient = [row for row in cells(tmp_path / "out") if row["threshold"] == 0.2]
    assert [(row["accepted"], row["calls"]) for row in lenient] == [(120, 5)] * 2


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["cach", "--out", "o"], "no experiment 'cach'"),
        (["cache", "--out", "o", "--set", "treshold=1"], "no parameter 'treshold'"),
        (["cache", "--out", "o", "--set", "total"], "--set 'total' is not a parameter"),
        (["threshold", "--out", "o", "--quick", "--set", "dataset=none.csv"], "none.csv"),
        (["threshold", "--out", "o", "--quick", "--set", "measured_on=moon"], "measured_on = 'moon'"),
        (
            ["threshold", "--out", "o", "--quick", "--set", "threshold=1"],
            "--set threshold: it differs from cell to cell",
        ),
        (["threshold", "--out", "/dev/null", "--quick"], "'/dev/null' cannot be used: Not a directory; choose another"),
        (["cache", "--out", "o", "--set", "arrivals=max"], "a TTL needs arrivals with times"),
        (["cache"], "--out"),
    ],
)
def test_what_is_wrong_is_told_in_a_line(args: list[str], said: str, tmp_path: Path) -> None:
    done = run_tamiz("experiment", *args, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr
