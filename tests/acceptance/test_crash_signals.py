"""`tamiz run` interrupted, stopped and started beside itself: it ends cleanly, and one process holds a state file."""

import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from fake_llm import HANG, FakeLLM, answer
from rows import rows_of, write_questions
from running import run_tamiz
from serving import asked, model_url, serving
from started import Started, committed, started
from waiting import wait_until

COUNT = 200
INTERRUPTED = "interrupted: the same command goes on from here"
AT_ONCE = 7.5
"""Seconds in which a process ends that waits for nothing; those that calls in flight get would be eight."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give a folder with two hundred questions in `q.csv`."""
    write_questions(tmp_path / "q.csv", [{"id": str(n), "question": f"Question {n}?"} for n in range(COUNT)])
    return tmp_path


@pytest.fixture
def llm() -> Iterator[FakeLLM]:
    """Give a server that takes its time."""
    with serving(lambda request: answer(asked(request), delay=0.05)) as server:
        yield server


@pytest.fixture
def holding() -> Iterator[tuple[FakeLLM, threading.Event]]:
    """Give a server that answers twenty questions, and the others once the event is set."""
    to_the_end = threading.Event()
    with serving(lambda request: answer(asked(request), after=to_the_end if request.number > 20 else None)) as server:
        yield server, to_the_end


@pytest.fixture
def hanging() -> Iterator[FakeLLM]:
    """Give a server that answers ten questions and no more."""
    with serving(lambda request: answer("Yes.", delay=0.0 if request.number <= 10 else HANG)) as server:
        yield server


def _is_delivered(run: Started, number: int) -> bool:
    """Tell whether the process has taken a signal that it was sent."""
    status = Path(f"/proc/{run.process.pid}/status").read_text(encoding="ascii")
    pending = next(line.split()[1] for line in status.splitlines() if line.startswith("ShdPnd"))
    return not int(pending, 16) >> (number - 1) & 1


def _is_stopped(run: Started) -> bool:
    stat = Path(f"/proc/{run.process.pid}/stat").read_text(encoding="ascii")
    return stat.rpartition(")")[2].split()[0] == "T"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_a_run_that_can_go_on(number: signal.Signals, folder: Path, llm: FakeLLM) -> None:
    """Ctrl-C and `kill` let calls in flight finish, exit 130 and say how to go on; nothing is paid twice."""
    command = ("run", "q.csv", "--model", model_url(llm), "--concurrency", "4", "--out", "rows.jsonl")
    with started(*command, cwd=folder) as run:
        run.until(lambda: len(llm.requests) > 20, "the twentieth call")
        run.process.send_signal(number)
        code, stderr = run.end()
    assert code == 130
    assert INTERRUPTED in stderr
    assert "Traceback" not in stderr
    before = rows_of((folder / "rows.jsonl").read_text())
    assert 10 < len(before) == len(llm.requests) < COUNT

    assert run_tamiz(*command, cwd=folder).returncode == 0
    assert len(llm.requests) == COUNT
    rows = rows_of((folder / "rows.jsonl").read_text())
    assert [row["id"] for row in rows] == [str(n) for n in range(COUNT)]
    assert rows[: len(before)] == before


def test_a_hanging_call_does_not_keep_an_interrupted_run(folder: Path, hanging: FakeLLM) -> None:
    """Calls in flight get a few seconds, not the minute that a call may take: exit 130, with what was answered kept."""
    with started("run", "q.csv", "--model", model_url(hanging), "--concurrency", "4", cwd=folder) as run:
        run.until(lambda: len(hanging.requests) == 14, "calls that hang")
        run.process.send_signal(signal.SIGINT)
        code, stderr = run.end(within=40)
    assert code == 130
    assert INTERRUPTED in stderr
    assert len(rows_of(run.stdout.read_text())) == 10


def test_a_second_interrupt_abandons_at_once(folder: Path, hanging: FakeLLM) -> None:
    """Ctrl-C twice does not wait for calls in flight, and says so; what was answered is kept all the same."""
    with started("run", "q.csv", "--model", model_url(hanging), "--concurrency", "4", cwd=folder) as run:
        run.until(lambda: len(hanging.requests) == 14, "calls that hang")
        for _ in range(2):
            run.process.send_signal(signal.SIGINT)
            wait_until(lambda: run.process.poll() is not None or _is_delivered(run, signal.SIGINT), "the signal")
        code, stderr = run.end(within=AT_ONCE)
    assert code == 130
    assert INTERRUPTED in stderr
    assert "of 4 calls in flight 0 ended in time and 4 were given up" in stderr
    assert len(rows_of(run.stdout.read_text())) == 10


def test_an_interrupt_while_waiting_for_a_retry_ends_at_once(folder: Path) -> None:
    """A run that only waits until a quota is back is interrupted without delay."""
    model = "simulated:?quota=1&reset=1h"
    with started("run", "q.csv", "--model", model, "--limit", "5", "--state", "s.db", cwd=folder) as run:
        run.until(lambda: committed(folder / "s.db", "deferrals") == 5, "five deferred calls")
        run.process.send_signal(signal.SIGINT)
        code, stderr = run.end(within=AT_ONCE)
    assert (code, run.stdout.read_text()) == (130, "")
    assert INTERRUPTED in stderr


def test_a_pipe_that_says_nothing_can_be_interrupted(folder: Path) -> None:
    """A live run that waits for its next row ends at once, too."""
    with started("run", "-", "--model", "simulated:", cwd=folder) as run:
        run.stdin.write('{"question": "One?"}\n')
        run.stdin.flush()
        run.until(lambda: run.stdout.read_text().count("\n") == 1, "the first row")
        run.process.send_signal(signal.SIGINT)
        code, _ = run.end(within=AT_ONCE)
    assert code == 130


@pytest.mark.parametrize("out", ["other.jsonl", "rows.jsonl"])
def test_a_state_file_belongs_to_one_process(out: str, folder: Path, holding: tuple[FakeLLM, threading.Event]) -> None:
    """A second process is refused with the first one's id, and disturbs neither the first nor its output."""
    llm, to_the_end = holding
    command = ("run", "q.csv", "--model", model_url(llm), "--concurrency", "4", "--out")
    with started(*command, "rows.jsonl", cwd=folder) as run:
        run.until(lambda: len(llm.requests) > 20, "the twentieth call")
        second = _refused(run, *command, out, cwd=folder)
        assert "Traceback" not in second.stderr
        to_the_end.set()
        assert run.end()[0] == 0
    assert [row["id"] for row in rows_of((folder / "rows.jsonl").read_text())] == [str(n) for n in range(COUNT)]
    assert len(llm.requests) == COUNT


def test_fresh_does_not_take_a_state_file_from_its_process(
    folder: Path, holding: tuple[FakeLLM, threading.Event]
) -> None:
    """`--fresh` forgets nothing that another process works on."""
    llm, to_the_end = holding
    command = ("run", "q.csv", "--model", model_url(llm), "--concurrency", "4", "--out")
    with started(*command, "rows.jsonl", cwd=folder) as run:
        run.until(lambda: len(llm.requests) > 20, "the twentieth call")
        _refused(run, *command, "other.jsonl", "--fresh", cwd=folder)
        to_the_end.set()
        assert run.end()[0] == 0
    assert len(llm.requests) == COUNT


def test_a_stopped_process_still_holds_its_state_file(folder: Path, holding: tuple[FakeLLM, threading.Event]) -> None:
    """A process that is suspended is not dead: its state file stays its own, and it goes on when it is woken."""
    llm, to_the_end = holding
    command = ("run", "q.csv", "--model", model_url(llm), "--concurrency", "4", "--out")
    with started(*command, "rows.jsonl", cwd=folder) as run:
        run.until(lambda: len(llm.requests) > 20, "the twentieth call")
        run.process.send_signal(signal.SIGSTOP)
        wait_until(lambda: _is_stopped(run), "the process to stop")
        _refused(run, *command, "other.jsonl", cwd=folder)
        run.process.send_signal(signal.SIGCONT)
        to_the_end.set()
        assert run.end()[0] == 0
    assert len(rows_of((folder / "rows.jsonl").read_text())) == COUNT


def test_a_killed_process_holds_nothing(folder: Path) -> None:
    """After `kill -9`, the file that says who holds the state file is stale, and ignored."""
    (folder / "tamiz.db.lock").write_text(str(os.getpid()))
    done = run_tamiz("run", "q.csv", "--model", "simulated:", cwd=folder)
    assert done.returncode == 0, done.stderr


def _refused(run: Started, *command: str, cwd: Path) -> "subprocess.CompletedProcess[str]":
    """Run the command, which must be refused since `run` holds the state file."""
    second = run_tamiz(*command, cwd=cwd)
    assert run.process.poll() is None
    assert second.returncode == 1
    assert f"in use by process {run.process.pid}" in second.stderr
    assert "--state" in second.stderr
    assert second.stderr.count("\n") == 1
    return second
