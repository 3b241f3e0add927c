"""How many events a second `tamiz traffic` schedules and emits on one core, as fast as possible."""

import asyncio
import tempfile
from collections import deque
from itertools import islice
from pathlib import Path
from statistics import median
from time import perf_counter, process_time

from tamiz.hosts.senders import to_file
from tamiz.traffic.log import EventLog
from tamiz.traffic.pace import PreciseClock
from tamiz.traffic.plan import Plan
from tamiz.traffic.question import Question
from tamiz.traffic.run import TrafficRun

ROUNDS = 5
EVENTS = 500_000
QUESTIONS = [Question(str(n), f"What is number {n}?", "", f"It is {n}.") for n in range(20_000)]
REQUIRED = 100_000.0


def schedule(arrivals: str, popularity: str) -> float:
    """Measure events a second of the schedule alone, by processor time."""
    plan = Plan(total=EVENTS, arrivals=arrivals, popularity=popularity, rate=100_000)
    began = process_time()
    deque(islice(plan.schedule(len(QUESTIONS)), EVENTS), maxlen=0)
    return EVENTS / (process_time() - began)


def emit() -> float:
    """Measure events a second that are scheduled, written to a file and logged."""
    with tempfile.TemporaryDirectory() as folder, to_file(f"{folder}/q.jsonl", not_this="") as send:
        plan = Plan(total=EVENTS, arrivals="max")
        run = TrafficRun(plan, QUESTIONS, send, EventLog(Path(folder), {}), PreciseClock())
        began = perf_counter()
        report = asyncio.run(run.run())
        assert report.sent == EVENTS
        return EVENTS / (perf_counter() - began)


def measure() -> list[tuple[str, float, float]]:
    """Give rows: what, events a second (a median), what is required."""
    rows = [
        (
            f"traffic: schedule of {arrivals}, {popularity}",
            median(schedule(arrivals, popularity) for _ in range(ROUNDS)),
        )
        for arrivals, popularity in (("max", "zipf"), ("poisson", "zipf"), ("diurnal", "shift"))
    ]
    rows.append(("traffic: max, zipf, to a file and logged", median(emit() for _ in range(ROUNDS))))
    return [(what, found, REQUIRED) for what, found in rows]


if __name__ == "__main__":
    for what, found, required in measure():
        print(f"{what}: {found:,.0f} events/s, required {required:,.0f}")
