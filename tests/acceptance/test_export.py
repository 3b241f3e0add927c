"""`tamiz export`: finished rows, out of the state file."""

import subprocess
import sys
from pathlib import Path

import pytest

from rows import read_rows, rows_of, write_questions
from running import run_tamiz, tamiz_environment

MODEL = "simulated:?invalid=0.2&quality=0.4&seed=1"


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder with a finished run of 1,200 questions, more than are read at once, with all outcomes."""
    folder = tmp_path_factory.mktemp("export")
    questions = [
        {"id": str(n), "question": f"What is number {n}?", "reference": f"number {n}" if n % 2 else ""}
        for n in range(1200)
    ]
    write_questions(folder / "q.csv", questions)
    done = run_tamiz("run", "q.csv", "--out", "rows.jsonl", "--attempts", "2", "--model", MODEL, cwd=folder)
    assert done.returncode == 3
    return folder


def test_all_rows_are_as_the_run_wrote_them(ran: Path) -> None:
    done = run_tamiz("export", "--all", cwd=ran)
    assert (done.returncode, done.stdout) == (0, (ran / "rows.jsonl").read_text())
    assert done.stderr == "1,200 rows (accepted, exhausted, failed)\n"


def test_accepted_rows_are_the_default(ran: Path) -> None:
    rows = rows_of((ran / "rows.jsonl").read_text())
    accepted = [row for row in rows if row["outcome"] == "accepted"]
    assert 0 < len(accepted) < len(rows)
    assert rows_of(run_tamiz("export", cwd=ran).stdout) == accepted


def test_outcomes_and_scores_choose_rows(ran: Path) -> None:
    """`--outcome` may be given several times; `--min-score` leaves out what has no score."""
    rows = rows_of((ran / "rows.jsonl").read_text())
    unfinished = run_tamiz("export", "--outcome", "exhausted", "--outcome", "failed", cwd=ran)
    assert rows_of(unfinished.stdout) == [row for row in rows if row["outcome"] != "accepted"]
    good = rows_of(run_tamiz("export", "--min-score", "0.5", cwd=ran).stdout)
    assert good == [row for row in rows if row["score"] is not None and row["score"] >= 0.5]
    assert any(row["score"] is None and row["outcome"] == "accepted" for row in rows)


@pytest.mark.parametrize("out", ["x.jsonl", "x.csv.gz", "x.parquet"])
def test_every_format_holds_the_same_rows(ran: Path, out: str) -> None:
    done = run_tamiz("export", "--all", "--out", out, cwd=ran)
    assert (done.returncode, done.stdout) == (0, "")
    assert read_rows(ran / out) == rows_of((ran / "rows.jsonl").read_text())


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["--all", "--outcome", "failed"], "--all is every outcome already"),
        (["--outcome", "lost"], "'lost' is not one of 'accepted', 'exhausted', 'failed'"),
        (["--min-score", "2"], "--min-score"),
        (["--out", "x.txt"], "of no known kind"),
        (["--state", "state.csv", "--out", "state.csv"], "the same file"),
    ],
)
def test_wrong_usage_is_refused_and_nothing_is_written(ran: Path, args: list[str], says: str) -> None:
    (ran / "state.csv").write_bytes((ran / "tamiz.db").read_bytes())
    before = (ran / "state.csv").read_bytes()
    done = run_tamiz("export", *args, cwd=ran)
    assert done.returncode == 2
    assert says in done.stderr
    assert (ran / "state.csv").read_bytes() == before


@pytest.mark.parametrize("args", [["export", "--all"], ["dead", "list", "--json"], ["dead", "export"]])
def test_a_reader_that_goes_away_early_is_no_reason_for_a_traceback(ran: Path, args: list[str]) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "tamiz", *args],
        cwd=ran,
        env=tamiz_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline().startswith("{")
        process.stdout.close()
        said = process.stderr.read()
        assert process.wait(30) in {0, 1}
    assert "Traceback" not in said
    assert "Exception ignored" not in said
