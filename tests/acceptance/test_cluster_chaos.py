"""Each part of a cluster killed, or stopped, or moved about, while it works: nothing lost, nothing twice.

What a run ends with equals, row by row, what an embedded run ends with that nobody disturbed: the simulated model gives
the same to the same question, so each question has one right outcome.
"""

import json
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from typing import Final, Self

import pytest

from cluster.broker import Broker
from cluster.flink import Flink
from cluster.mongo import MongoServer
from on_cluster import OnCluster, same_rows
from rows import read_rows, write_questions
from running import run_tamiz
from started import Started
from waiting import wait_until

pytestmark = pytest.mark.xdist_group("cluster")

MODEL: Final = "simulated:?latency=60ms&overload=0.1&quota=0.02&reset=300ms&quality=0.7&seed=11"
SLOW: Final = MODEL.replace("latency=60ms", "latency=300ms")
"""For bounds on what is done twice: few calls end in the time that a loaded broker takes for a commit."""
CONCURRENCY: Final = 16


class _Parts:
    """The workers of a cluster, each a process of its own that can be killed and started again."""

    def __init__(self, on: OnCluster, model: str = MODEL) -> None:
        self._on = on
        self._model = model
        self._running: dict[str, tuple[Started, AbstractContextManager[Started]]] = {}
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def start(self, name: str, *stages: str) -> Started:
        """Start a worker under a name."""
        worker = self._on.worker(*stages, model=self._model, concurrency=CONCURRENCY)
        started = self._stack.enter_context(worker)
        self._running[name] = started, worker
        return started

    def kill(self, name: str) -> None:
        """End one as a power cut would."""
        assert self._running[name][0].kill(), f"{name} had ended by itself"

    def until_at_work(self, name: str) -> None:
        """Wait until one has joined the cluster."""
        started = self._running[name][0]
        started.until(lambda: "at work" in started.stderr.read_text(encoding="utf-8"), f"{name} to be at work")

    def missing(self, name: str) -> Callable[[], bool]:
        """Give the condition that one has said of a server, since now, that it does not answer."""
        said = self._running[name][0].stderr
        before = said.read_text(encoding="utf-8").count("does not answer")
        return lambda: said.read_text(encoding="utf-8").count("does not answer") > before

    def __getitem__(self, name: str) -> Started:
        return self._running[name][0]


def _questions(count: int) -> list[dict[str, str | None]]:
    return [
        {"id": str(n), "question": f"Question {n}?", "reference": f"the reference of {n} is ref{n}"}
        for n in range(count)
    ]


def _embedded(on: OnCluster, count: int, model: str = MODEL) -> int:
    """Make the questions and the rows that a run has to end with; give the calls that takes."""
    write_questions(on.folder / "q.csv", _questions(count))
    done = run_tamiz(
        "run",
        "q.csv",
        "--model",
        model,
        "--out",
        "right.jsonl",
        "--concurrency",
        "256",
        cwd=on.folder,
    )
    assert done.returncode == 0, done.stderr
    rows = read_rows(on.folder / "right.jsonl")
    return sum(row["attempts"] + row["retries"] for row in rows)


def _ends_right(on: OnCluster, count: int) -> None:
    """Have every row its one outcome, the one that it has undisturbed."""
    same_rows(on.folder / "c.jsonl", on.folder / "right.jsonl")
    rows = read_rows(on.folder / "c.jsonl")
    assert len({row["message_id"] for row in rows}) == count
    assert on.answers() == count


def _has(on: OnCluster, outcomes: int) -> bool:
    return on.answers() >= outcomes


def _milestones(on: OnCluster, run: Started, count: int, steps: int) -> Iterator[int]:
    """Give a number each time that another part of the outcomes has come."""
    for step in range(steps):
        wanted = count * (step + 1) // (steps + 2)
        run.until(partial(_has, on, wanted), f"{wanted} outcomes")
        yield step


def test_every_part_is_killed_in_turn(on: OnCluster, broker: Broker, mongo: MongoServer) -> None:
    """Kill -9 the broker, the database, a generate worker, intake, retry, judge and persist, while a run goes on."""
    count = 1500
    calls = _embedded(on, count)
    stages = ["generate", "intake", "retry", "judge", "persist"]
    with _Parts(on) as parts:
        for name in stages:
            parts.start(name, name)
        parts.start("generate 2", "generate")
        with on.run("q.csv", "--model", MODEL, "--out", "c.jsonl") as run:
            for step in _milestones(on, run, count, 7):
                if step >= 2:
                    name = stages[step - 2]
                    parts.kill(name)
                    parts.start(name, name)
                    continue
                # while most is still to be done: who has nothing to do misses no database
                server = (broker, mongo)[step]
                missed = parts.missing("persist")
                server.kill()
                parts["persist"].until(missed, "persist to miss it")
                server.start()
            code, said = run.end()
        assert code == 0, said
        on.until_quiet()
        for name in stages:
            assert parts[name].process.poll() is None, parts[name].stderr.read_text()
    _ends_right(on, count)
    # of each that was killed what was in flight, and what had not been committed for a tenth of a second
    assert calls <= on.calls() <= calls + 10 * CONCURRENCY


def test_the_flink_job_in_place_of_the_judge(on: OnCluster, flink: Flink) -> None:
    """Kill -9 the TaskManager half-way: the same rows as with a judge worker; a second submission changes nothing."""
    count = 900
    calls = _embedded(on, count)
    on.submit(flink)
    on.submit(flink)
    with _Parts(on) as parts:
        parts.start("all but the judge", "intake", "generate", "retry", "persist")
        with on.run("q.csv", "--model", MODEL, "--out", "c.jsonl") as run:
            run.until(partial(_has, on, count // 3), "a third of the outcomes")
            flink.kill_taskmanager()
            run.until(lambda: on.jobs(flink) == 0, "the JobManager to miss it")
            flink.start_taskmanager()
            code, said = run.end()
        assert code == 0, said
        on.until_quiet()
    _ends_right(on, count)
    # what was judged since the last checkpoint is judged again, and what follows from it asked again
    assert calls <= on.calls() <= calls + 200
    assert on.jobs(flink) == 1


def test_a_worker_that_hangs_for_longer_than_its_session(on: OnCluster) -> None:
    """SIGSTOP: the others take over its partitions; when it wakes up what it still does changes nothing."""
    count = 900
    calls = _embedded(on, count, SLOW)
    with _Parts(on, SLOW) as parts:
        for name in ("one", "two"):
            parts.start(name)
        wait_until(lambda: on.members("generate") == 2, "both to have joined")
        with on.run("q.csv", "--model", SLOW, "--out", "c.jsonl") as run:
            run.until(lambda: on.answers() > count // 4, "a quarter of the outcomes")
            parts["one"].process.send_signal(signal.SIGSTOP)
            try:
                run.until(lambda: on.members("generate") == 1, "the broker to take it for dead")
                before = on.answers()
                run.until(lambda: on.answers() > before + 20 or on.answers() >= count - 50, "others to go on")
            finally:
                parts["one"].process.send_signal(signal.SIGCONT)
            code, said = run.end()
        assert code == 0, said
        on.until_quiet()
    _ends_right(on, count)
    assert on.calls() <= calls + 6 * CONCURRENCY


def test_a_rebalance_every_few_seconds(on: OnCluster) -> None:
    """Workers come and go all the time: killed, or asked to stop, so that partitions never stay where they are."""
    count, changes = 1600, 7
    calls = _embedded(on, count)
    rows = [json.dumps(question) + "\n" for question in _questions(count)]
    part = count // (changes + 1)
    with _Parts(on) as parts:
        for number in range(3):
            parts.start(str(number))
        # by a pipe, so that the run cannot be done before the last change, however long each of them takes
        with on.run("-", "--model", MODEL, "--out", "c.jsonl") as run:
            for change in range(changes):
                run.stdin.writelines(rows[change * part : (change + 1) * part])
                run.stdin.flush()
                name = str(change % 3)
                parts.until_at_work(name)
                if change % 2:
                    parts.kill(name)
                else:
                    parts[name].process.send_signal(signal.SIGTERM)
                    code, said = parts[name].end()
                    assert code == 0, said
                parts.start(name)
                run.until(partial(_has, on, change * part + part // 2), "more outcomes")
            run.stdin.writelines(rows[changes * part :])
            run.stdin.close()
            code, said = run.end()
        assert code == 0, said
        on.until_quiet()
    _ends_right(on, count)
    assert on.calls() <= calls + changes * 3 * CONCURRENCY
