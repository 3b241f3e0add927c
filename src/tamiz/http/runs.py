"""Runs of traffic within the service: questions asked at the times of an arrival process, as clients would ask them."""

import asyncio
import functools
from collections.abc import Awaitable, Callable, Sequence
from importlib import resources
from pathlib import Path
from typing import Final, Literal

import msgspec

from tamiz.clock import Clock
from tamiz.errors import BusError, StateError, TamizError, UsageError
from tamiz.hosts.desk import Busy, Stopping
from tamiz.traffic.emitter import Send
from tamiz.traffic.log import COLLECTED, EventLog, new_run
from tamiz.traffic.plan import Plan
from tamiz.traffic.question import Question
from tamiz.traffic.run import TrafficReport, TrafficRun

__all__ = ["RunTold", "Runs", "ask_within", "sample"]

_AT_ONCE: Final = 4
_KEPT: Final = 20
_CLOSE_WITHIN: Final = 2.0

Dataset = Literal["sample", "stored", "given"]
"""Where a run's questions are from: tamiz's own few, the store's last ones, or the request."""


class RunTold(msgspec.Struct, frozen=True, kw_only=True):
    """A run, as it is told."""

    id: str
    dataset: Dataset
    questions: int
    """How many different ones it asks."""
    plan: Plan
    began_at: float
    report: TrafficReport
    error: str | None = None
    """Why it failed."""


class _Run:
    def __init__(self, run_id: str, dataset: Dataset, questions: int, run: TrafficRun, began_at: float) -> None:
        self.id = run_id
        self.dataset = dataset
        self.questions = questions
        self.run = run
        self.began_at = began_at
        self.error: str | None = None
        self.task: asyncio.Task[None] | None = None

    async def go(self) -> None:
        try:
            await self.run.run()
        except TamizError as error:
            self.error = str(error)

    @property
    def over(self) -> bool:
        return self.task is not None and self.task.done()

    def told(self) -> RunTold:
        return RunTold(
            id=self.id,
            dataset=self.dataset,
            questions=self.questions,
            plan=self.run.plan,
            began_at=self.began_at,
            report=self.run.report(),
            error=self.error,
        )


class Runs:
    """The runs of this process: a few at once, and the last ones that are over. Each is logged to `data_collected/`."""

    def __init__(self, clock: Clock, folder: str | Path = COLLECTED) -> None:
        self._clock = clock
        self._folder = folder
        self._runs: dict[str, _Run] = {}

    def start(self, plan: Plan, dataset: Dataset, questions: Sequence[Question], send: Send) -> RunTold:
        """Start a run.

        Raises `UsageError` where the plan is wrong, as many as may be are going on, or the log's folder cannot be made.
        """
        if sum(not run.over for run in self._runs.values()) >= _AT_ONCE:
            raise UsageError(f"{_AT_ONCE} runs are going on, which is the most: stop one of them")
        plan.check()
        folder = new_run(parent=self._folder)
        about = {**msgspec.to_builtins(plan), "dataset": dataset, "questions": len(questions)}
        made = TrafficRun(plan, questions, send, EventLog(folder, about), self._clock)
        run = _Run(folder.name, dataset, len(questions), made, self._clock.time())
        run.task = asyncio.create_task(run.go())
        self._runs[run.id] = run
        for old in [each.id for each in self._runs.values() if each.over][: max(len(self._runs) - _KEPT, 0)]:
            del self._runs[old]
        return run.told()

    def told(self) -> list[RunTold]:
        """Give all of them, the latest first."""
        return [run.told() for run in reversed(self._runs.values())]

    def one(self, run_id: str) -> RunTold | None:
        """Give one of them."""
        run = self._runs.get(run_id)
        return None if run is None else run.told()

    def stop(self, run_id: str) -> RunTold | None:
        """Have one of them ask nothing more; what it has asked goes on."""
        run = self._runs.get(run_id)
        if run is None:
            return None
        run.run.stop(abandon=True)
        return run.told()

    async def close(self) -> None:
        """Stop all of them, and have their logs on the disk."""
        tasks = [run.task for run in self._runs.values() if run.task is not None and not run.task.done()]
        for run in self._runs.values():
            run.run.stop(abandon=True)
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=_CLOSE_WITHIN)
            for task in late:
                task.cancel()


def ask_within(ask: Callable[[Question], Awaitable[str | None]]) -> Send:
    """Make what sends a run's questions of a call that gives an outcome, `None` where it takes long.

    A question that the service turns away, or cannot take in while a cluster does not answer, is `refused`: that is
    what a load test wants to know, and no end of the run.
    """

    async def send(question: Question) -> str:
        try:
            return await ask(question) or "open"
        except (Busy, StateError, BusError):
            return "refused"
        except Stopping:
            return "stopping"

    return lambda emission: send(emission.question)


@functools.cache
def sample() -> tuple[Question, ...]:
    """Give a few questions of everyday knowledge, with their answers, to try a service with."""
    text = resources.files("tamiz.traffic").joinpath("sample.jsonl").read_bytes()
    return tuple(msgspec.json.Decoder(Question).decode_lines(text))
