"""`tamiz run` on a disk that fills up: a clean stop that says so, and the same command finishes once there is space."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from fake_llm import answer
from rows import read_rows, rows_of, write_questions
from running import run_tamiz, tamiz_environment
from serving import asked, model_url, serving
from waiting import PATIENCE

COUNT: Final = 1500
QUICK: Final = "simulated:?quality=0.8&overload=0.01&seed=2"

_LIMITED: Final = """
import resource, runpy, sys
most = int(sys.argv.pop(1))
resource.setrlimit(resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))
runpy.run_module("tamiz", run_name="__main__", alter_sys=True)
"""
"""Runs tamiz where no file can grow beyond so many bytes."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give a folder with fifteen hundred questions in `q.csv`."""
    write_questions(
        tmp_path / "q.csv",
        [{"id": str(n), "question": f"Question {n}?", "reference": f"It is word{n}"} for n in range(COUNT)],
    )
    return tmp_path


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """Give a disk of half a megabyte."""
    place = tmp_path / "disk"
    place.mkdir()
    try:
        _mount("-t", "tmpfs", "-o", "size=512k", "tmpfs", place)
    except (OSError, subprocess.CalledProcessError) as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(f"no file system can be mounted here: {error}")
    try:
        yield place
    finally:
        subprocess.run(["umount", place], check=True, timeout=PATIENCE)


def _mount(*arguments: str | Path) -> None:
    subprocess.run(["mount", *arguments], check=True, capture_output=True, timeout=PATIENCE)


def _limited(size: int, *args: str, cwd: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", _LIMITED, str(size), *args],
        cwd=cwd,
        env=tamiz_environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def _stopped(done: "subprocess.CompletedProcess[str]", name: str, *words: str) -> None:
    """Check that a run stopped since there was no space for a file."""
    assert done.returncode == 1, done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    assert [word for word in (name, "ree some space", "the same command", *words) if word not in done.stderr] == []


def _complete(rows: list[dict[str, object]]) -> None:
    assert [row["id"] for row in rows] == [str(n) for n in range(COUNT)]
    assert len({row["message_id"] for row in rows}) == COUNT


@pytest.mark.parametrize("size", [20_000, 100_000, 400_000])
def test_a_state_file_that_cannot_grow_stops_the_run(size: int, folder: Path) -> None:
    """Exit 1 and a line that says why; with space again the same command ends with every row once."""
    command = ("run", "q.csv", "--model", QUICK)
    full = _limited(size, *command, cwd=folder)
    _stopped(full, "tamiz.db", "the disk is full")
    done = run_tamiz(*command, cwd=folder)
    assert done.returncode == 0, done.stderr
    rows = rows_of(done.stdout)
    _complete(rows)
    before = rows_of(full.stdout)
    assert rows[: len(before)] == before


def test_a_full_disk_again_and_again_gets_on_each_time(folder: Path) -> None:
    """Each run with a little more space keeps what it had room for, and the rows come out once."""
    command = ("run", "q.csv", "--model", QUICK)
    written = [len(_limited(size, *command, cwd=folder).stdout) for size in (150_000, 300_000, 600_000)]
    assert written == sorted(written)
    _complete(rows_of(run_tamiz(*command, cwd=folder).stdout))


def test_a_full_disk_under_the_state_file_costs_no_answer(disk: Path, folder: Path) -> None:
    """On a disk that is really full, what was answered stays answered: no question is paid for twice."""
    with serving(lambda request: answer(asked(request))) as llm:
        options = ("--attempts", "1", "--concurrency", "8", "--state", f"{disk.name}/s.db", "--out", "rows.jsonl")
        command = ("run", "q.csv", "--model", model_url(llm), *options)
        full = run_tamiz(*command, cwd=folder)
        _stopped(full, "s.db", "the disk is full")
        paid = len(llm.requests)
        assert 0 < paid < COUNT
        known = rows_of((folder / "rows.jsonl").read_text())

        _mount("-o", "remount,size=64m", disk)
        done = run_tamiz(*command, cwd=folder)
        assert done.returncode == 0, done.stderr
        assert len(llm.requests) <= COUNT + 8
    rows = rows_of((folder / "rows.jsonl").read_text())
    _complete(rows)
    assert rows[: len(known)] == known


def test_a_disk_that_is_full_from_the_start_is_named(disk: Path, folder: Path) -> None:
    """Where there is no room for a state file at all, the message says so."""
    (disk / "ballast").write_bytes(bytes(512 * 1024))
    command = ("run", "q.csv", "--model", QUICK, "--state", f"{disk.name}/s.db", "--limit", "100")
    _stopped(run_tamiz(*command, cwd=folder), "s.db", "the disk is full")
    _mount("-o", "remount,size=64m", disk)
    done = run_tamiz(*command, cwd=folder)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("end", ["jsonl", "csv", "jsonl.gz", "parquet"])
def test_a_full_disk_under_the_output_costs_no_answer(end: str, disk: Path, folder: Path) -> None:
    """Rows that find no space end the run; with space again the same command writes them all, without a new call."""
    (disk / "ballast").write_bytes(bytes(500_000))
    out = disk / f"rows.{end}"
    command = ("run", "q.csv", "--model", QUICK, "--out", str(out))
    _stopped(run_tamiz(*command, cwd=folder), str(out), "No space left")
    (disk / "ballast").unlink()
    _mount("-o", "remount,size=64m", disk)
    done = run_tamiz(*command, "--json", cwd=folder)
    assert done.returncode == 0, done.stderr
    _complete(read_rows(out))
    assert [path.name for path in disk.iterdir()] == [out.name]


@pytest.mark.parametrize("end", ["jsonl", "csv", "csv.gz"])
def test_an_output_that_takes_nothing_stops_the_run(end: str, folder: Path) -> None:
    """Where the first row finds no space, the run says so, and goes on elsewhere without a new call."""
    out = f"rows.{end}"
    (folder / out).symlink_to("/dev/full")
    command = ("run", "q.csv", "--model", QUICK, "--limit", "100", "--out")
    _stopped(run_tamiz(*command, out, cwd=folder), out, "No space left", "another --out")
    done = run_tamiz(*command, f"other.{end}", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert [row["id"] for row in read_rows(folder / f"other.{end}")] == [str(n) for n in range(100)]


def test_standard_output_that_takes_nothing_stops_the_run(folder: Path) -> None:
    """Standard output may be a file on a full disk, too."""
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "tamiz", "run", "q.csv", "--model", QUICK, "--limit", "5"],
            cwd=folder,
            env=tamiz_environment(),
            stdin=subprocess.DEVNULL,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
    _stopped(done, "standard output", "No space left")
