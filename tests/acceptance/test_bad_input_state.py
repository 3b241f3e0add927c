"""`tamiz run` with a state file or an output that cannot be used: refused, and what is there stays as it is."""

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from running import run_tamiz

OK = ("q.csv", "--model", "simulated:")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give a folder with one question in `q.csv`."""
    (tmp_path / "q.csv").write_text("id,question,reference\n1,Capital of France?,Paris\n")
    return tmp_path


def _text(path: Path) -> None:
    path.write_text("my diary\n" * 100)


def _other_program(path: Path) -> None:
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE photos (name TEXT)")
    db.commit()
    db.close()


def _newer(path: Path) -> None:
    _own(path)
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version = 99")
    db.close()


def _own(path: Path) -> None:
    assert run_tamiz("run", *OK, "--state", path.name, "--quiet", cwd=path.parent).returncode == 0


def _cut(path: Path) -> None:
    _own(path)
    path.write_bytes(path.read_bytes()[:5000])


@pytest.mark.parametrize("fresh", [(), ("--fresh",)], ids=["", "fresh"])
@pytest.mark.parametrize(
    ("make", "words"),
    [
        (_text, ("is not a state file of tamiz",)),
        (_other_program, ("another program's database",)),
        (_newer, ("format 99", "newer tamiz", "upgrade tamiz")),
        (_cut, ("cannot be opened",)),
    ],
)
def test_what_is_no_state_file_is_left_alone(
    make: Callable[[Path], None], words: tuple[str, ...], fresh: tuple[str, ...], folder: Path
) -> None:
    """A file that is something else, newer or damaged: exit 1, not a byte of it changed, not even with `--fresh`."""
    state = folder / "s.db"
    make(state)
    before = state.read_bytes()
    (folder / "rows.jsonl").write_text("what was there\n")
    done = run_tamiz("run", *OK, "--state", "s.db", "--out", "rows.jsonl", *fresh, cwd=folder)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr
    assert [word for word in (*words, "s.db", "--state") if word not in done.stderr] == [], done.stderr
    assert state.read_bytes() == before
    assert (folder / "rows.jsonl").read_text() == "what was there\n"
    assert sorted(path.name for path in folder.glob("s.db*")) == ["s.db"]


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("folder", ("folder", "--state")),
        ("nowhere/s.db", ("nowhere/s.db", "No such file or directory", "--state")),
        ("q.csv/s.db", ("q.csv/s.db", "Not a directory", "--state")),
        ("/proc/s.db", ("/proc/s.db", "--state")),
    ],
)
def test_a_place_that_can_hold_no_state_file_is_refused(state: str, words: tuple[str, ...], folder: Path) -> None:
    """A folder, a missing folder, a folder that takes no files: exit 1, and another name is asked for."""
    (folder / "folder").mkdir()
    done = run_tamiz("run", *OK, "--state", state, cwd=folder)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert [word for word in words if word not in done.stderr] == [], done.stderr
    assert not any((folder / "folder").iterdir())


@pytest.mark.parametrize(
    ("out", "words"),
    [
        ("q.csv", ("'q.csv'", "would be lost", "another --out")),
        ("./q.csv", ("'./q.csv'", "would be lost", "another --out")),
        ("link.csv", ("'link.csv'", "would be lost", "another --out")),
        ("state.jsonl", ("'state.jsonl'", "would be lost", "another --out")),
        ("nowhere/rows.csv", ("'nowhere'", "does not exist", "mkdir")),
        ("folder.csv", ("'folder.csv'", "is a directory")),
        ("rows.txt", ("'rows.txt'", ".jsonl, .csv", ".parquet")),
        ("rows", ("'rows'", ".jsonl, .csv", ".parquet")),
    ],
)
def test_an_output_that_cannot_be_is_refused(out: str, words: tuple[str, ...], folder: Path) -> None:
    """An output that is the input or the state file, or has no place or no format: exit 2, and nothing is touched."""
    (folder / "link.csv").symlink_to("q.csv")
    (folder / "folder.csv").mkdir()
    before = (folder / "q.csv").read_bytes()
    done = run_tamiz("run", *OK, "--state", "state.jsonl", "--out", out, cwd=folder)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert [word for word in words if word not in done.stderr] == [], done.stderr
    assert (folder / "q.csv").read_bytes() == before
    assert not (folder / "state.jsonl").exists()


def test_fresh_of_nothing_is_a_first_run(folder: Path) -> None:
    """`--fresh` without a state file does no harm."""
    assert run_tamiz("run", *OK, "--fresh", cwd=folder).returncode == 0


def test_an_output_with_older_rows_is_written_anew(folder: Path) -> None:
    """A file with the rows of an earlier run is replaced, not added to."""
    for _ in range(2):
        assert run_tamiz("run", *OK, "--out", "rows.jsonl", cwd=folder).returncode == 0
    assert (folder / "rows.jsonl").read_text().count("\n") == 1
