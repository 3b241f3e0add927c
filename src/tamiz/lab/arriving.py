"""Rows that come when a schedule has them come."""

import time
from collections.abc import Iterator, Sequence
from typing import Final

from tamiz.datasets import Dataset, Row
from tamiz.traffic.plan import Arrival, Plan
from tamiz.traffic.question import Question

__all__ = ["Arriving"]

_FILE: Final = "traffic"


class Arriving:
    """The questions of a plan as a dataset, each no sooner than it is due; whoever reads it may be later."""

    def __init__(self, plan: Plan, questions: Sequence[Question]) -> None:
        self.began: float | None = None
        """When the first row was asked for, in seconds since the epoch; the schedule begins there."""
        self.due: list[float | None] = []
        """When each row that was given was due, in seconds from there; `None` where there is no schedule."""
        self.ranks: list[int] = []
        """Which question each row was."""
        self._questions = questions
        self._schedule = plan.schedule(len(questions))
        self._ends = plan.duration if not plan.paced else None
        # standard input is the one dataset of which each row is taken as it comes
        self.dataset = Dataset("-" if plan.paced else _FILE, self._rows)

    def _rows(self) -> Iterator[Row]:
        self.began, began = time.time(), time.monotonic()
        for arrival in self._schedule:
            if arrival.at is not None and (wait := began + arrival.at - time.monotonic()) > 0:
                time.sleep(wait)
            if self._ends is not None and time.monotonic() - began >= self._ends:
                return
            yield self._row(arrival)

    def _row(self, arrival: Arrival) -> Row:
        self.due.append(arrival.at)
        self.ranks.append(arrival.rank)
        asked = self._questions[arrival.rank]
        return Row(_FILE, arrival.n + 1, asked.id, asked.title, asked.content, asked.reference)
