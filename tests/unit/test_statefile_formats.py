"""State files of earlier releases."""

import sqlite3
from pathlib import Path

import pytest

from manual_clock import ManualClock, at_once
from strategies import asked, scored, validated
from tamiz.errors import StateError
from tamiz.messages import Terms
from tamiz.statefile import FORMAT, StateFile, read_only
from tamiz.store.sqlite import SqliteAnswers
from tamiz.store.sqlite.reader import StateReader

NEW = {
    2: [("attempts", "reasons")],
    1: [("questions", "tenant"), ("questions", "terms"), ("outcomes", "reasons"), ("outcomes", "completion")],
}
"""The columns that each format did not have yet."""


@pytest.fixture(params=[1, 2])
def old(tmp_path: Path, request: pytest.FixtureRequest) -> str:
    """Make a file as an earlier format was, with an accepted answer in it."""
    path = str(tmp_path / "tamiz.db")
    with StateFile(path) as state:
        answers = SqliteAnswers(state, ManualClock())
        for event in (asked(), validated()):
            at_once(answers.record(event))
        state.commit()
    with sqlite3.connect(path) as db:
        for index in ("finished", "of_tenant") if request.param == 1 else ():
            db.execute(f"DROP INDEX {index}")
        for version in range(request.param, FORMAT):
            for table, column in NEW[version]:
                db.execute(f"ALTER TABLE {table} DROP COLUMN {column}")
        db.execute(f"PRAGMA user_version = {request.param}")
    db.close()
    return path


def _columns(path: str) -> list[tuple[str, str]]:
    db = read_only(path)
    try:
        return sorted(
            (table, column)
            for (table,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")
            for _, column, *_ in db.execute(f"PRAGMA table_info({table})")
        )
    finally:
        db.close()


def test_a_file_of_an_earlier_format_goes_on(old: str, tmp_path: Path) -> None:
    """With everything in it, and with room for what is new."""
    with StateFile(old) as state:
        answers = SqliteAnswers(state, ManualClock())
        assert at_once(answers.reusable("k1")) == scored()
        at_once(answers.record(asked("m2", terms=Terms(tenant="acme"))))
        at_once(answers.record(validated("m2", "k2", answer=scored(0.9, reasons=("echo",), completion="[]"))))
        state.commit()
    with StateReader(old) as reader:
        assert reader.life("m1").tenant == ""
        assert reader.life("m2").tenant == "acme"
    fresh = str(tmp_path / "fresh.db")
    StateFile(fresh).close()
    assert _columns(old) == _columns(fresh)
    with sqlite3.connect(old) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (FORMAT,)
    db.close()


def test_a_file_of_an_earlier_format_is_not_changed_by_who_reads_it(old: str) -> None:
    before = Path(old).read_bytes()
    with pytest.raises(StateError, match="older tamiz"):
        StateReader(old)
    assert Path(old).read_bytes() == before
