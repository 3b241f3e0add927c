"""Starts the command and leaves it running, for tests that look at it, or signal it, while it works."""

import contextlib
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from fake_llm import HANG, answer
from rows import write_questions
from running import tamiz_environment
from serving import model_url, serving
from waiting import PATIENCE, wait_until

__all__ = ["Started", "committed", "started", "under_way"]


@dataclass(frozen=True, kw_only=True)
class Started:
    """A running command; what it says goes to files, so that no pipe fills up."""

    process: subprocess.Popen[str]
    stdout: Path
    stderr: Path

    @property
    def stdin(self) -> IO[str]:
        """Its standard input, a pipe."""
        assert self.process.stdin is not None
        return self.process.stdin

    def until(self, condition: Callable[[], object], what: str) -> None:
        """Wait for the condition, and fail with what was said on stderr where the command ends before it."""

        def is_met() -> bool:
            ended = self.process.poll() is not None
            met = bool(condition())
            assert met or not ended, f"ended before {what}: {self.stderr.read_text(encoding='utf-8')}"
            return met

        wait_until(is_met, what)

    def end(self, within: float = 2 * PATIENCE) -> tuple[int, str]:
        """Wait for its end and give its exit code and what it said on stderr."""
        return self.process.wait(within), self.stderr.read_text(encoding="utf-8")

    def kill(self) -> bool:
        """End it as a power cut would, wait until it is gone, and tell whether that was what ended it."""
        self.process.kill()
        return self.process.wait(PATIENCE) == -signal.SIGKILL


def committed(state: Path, table: str) -> int:
    """Count the rows of a table of a state file, while a process writes it; 0 where there is no such file yet."""
    try:
        with contextlib.closing(sqlite3.connect(f"{state.as_uri()}?mode=ro", uri=True)) as db:
            found: int = db.execute(f"SELECT count(*) FROM {table}").fetchone()[0]  # noqa: S608 - the test's own text
    except sqlite3.OperationalError:
        return 0
    return found


@contextlib.contextmanager
def started(*args: str, cwd: Path, env: Mapping[str, str] | None = None, piped: bool = False) -> Iterator[Started]:
    """Start `tamiz` in `cwd`; whatever is left of it when the block ends is killed.

    With `piped`, its standard output is a pipe that the test reads.
    """
    number = len([*cwd.glob("stdout.*")])
    outputs = cwd / f"stdout.{number}", cwd / f"stderr.{number}"
    with outputs[0].open("w") as stdout, outputs[1].open("w") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", "tamiz", *args],
            cwd=cwd,
            env={**tamiz_environment(), **(env or {})},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE if piped else stdout,
            stderr=stderr,
            text=True,
        )
    with process:
        try:
            yield Started(process=process, stdout=outputs[0], stderr=outputs[1])
        finally:
            process.kill()


@contextlib.contextmanager
def under_way(folder: Path) -> Iterator[Started]:
    """Start a run, and give it once its first row is there; its model answers no more than two questions.

    So it is under way for as long as the block. The row's question is called `0`.
    """
    write_questions(folder / "q.csv", [{"id": str(n), "question": f"Number {n}?"} for n in range(30)])
    with serving(lambda request: answer("Yes.", delay=0.0 if request.number <= 2 else HANG)) as llm:
        options = ("--out", "rows.jsonl", "--concurrency", "2", "--model", model_url(llm))
        with started("run", "q.csv", *options, cwd=folder) as run:
            run.until((folder / "rows.jsonl").exists, "the run to begin")
            run.until((folder / "rows.jsonl").read_text, "the first row")
            yield run
