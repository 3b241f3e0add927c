"""`tamiz traffic`, put together: the questions of a dataset, emitted to a file, a service or a cluster, and logged."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from typing import Any, Literal

import msgspec

from tamiz.datasets import open_dataset, parse_columns
from tamiz.errors import UsageError
from tamiz.hosts.pool import Pool
from tamiz.hosts.senders import to_file, to_service
from tamiz.settings import Settings, without_password
from tamiz.traffic.emitter import Send
from tamiz.traffic.log import EventLog, new_run
from tamiz.traffic.pace import PreciseClock
from tamiz.traffic.plan import Plan
from tamiz.traffic.run import TrafficReport, TrafficRun
from tamiz.units import plural

__all__ = ["Emitted", "Traffic", "emit_traffic", "plan_of"]

_USUAL_TOTAL = 1_000
"""Questions where neither a total nor a duration is given."""
_DELIVERED = frozenset({"written", "submitted", "answered", "published", "cancelled"})
"""Outcomes that are no failures; what an interrupt cancelled is told by itself."""


class Traffic(msgspec.Struct, frozen=True, kw_only=True):
    """What `tamiz traffic` is to do."""

    settings: Settings
    dataset: str
    plan: Plan
    to: str | None = None
    """The address of a service."""
    out: str | None = None
    """A file, or `-`. With neither, the cluster of the settings or, without one, standard output."""
    log: Literal["jsonl", "parquet"] = "jsonl"
    run: str | None = None
    """The name of the run's folder."""

    @property
    def target(self) -> str:
        """Where the questions go, fit to be shown."""
        if self.to is not None:
            return without_password(self.to)
        if self.out is not None:
            return self.out
        return self.settings.bus or "-"


class Emitted(msgspec.Struct, frozen=True, kw_only=True):
    """What a run came to."""

    report: TrafficReport
    folder: str
    events: str
    target: str
    bad_rows: int
    put_off: dict[int, int]
    """How often a service said to come back later, by status."""
    interrupted: bool

    @property
    def undelivered(self) -> int:
        """Questions that did not get where they were sent."""
        return sum(count for outcome, count in self.report.outcomes.items() if outcome not in _DELIVERED)


def plan_of(settings: Settings) -> Plan:
    """Give the plan of the settings. Raises `UsageError` where one is wrong."""
    total = settings.traffic_total
    if total is None and settings.traffic_duration is None and not settings.traffic_arrivals.startswith("trace:"):
        total = _USUAL_TOTAL
    plan = Plan(
        total=total,
        duration=settings.traffic_duration,
        arrivals=settings.traffic_arrivals,
        rate=settings.traffic_rate,
        popularity=settings.traffic_popularity,
        alpha=settings.traffic_alpha,
        seed=settings.seed,
    )
    plan.check()
    return plan


def emit_traffic(
    traffic: Traffic, say: Callable[[str], None], watch: Callable[[TrafficReport], None] | None = None
) -> Emitted:
    """Emit to the end or an interrupt; `watch` is called a few times a second.

    The first Ctrl-C sends nothing more and waits for what is under way, the second gives that up. Raises `UsageError`
    for a wrong dataset or target, and `TamizError` where the run cannot go on; what was sent is logged.
    """
    import uvloop  # noqa: PLC0415 - not needed by those who only look at the help

    columns = parse_columns(traffic.settings.columns) if traffic.settings.columns else None
    dataset = open_dataset(traffic.dataset, columns)
    with closing(Pool(dataset)) as pool, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        if not len(pool):
            raise UsageError(
                f"{traffic.dataset!r} has no question in it ({plural(pool.bad, 'row is', 'rows are')} none): nothing "
                "to ask"
            )
        return runner.run(_run(traffic, pool, say, watch))


async def _run(
    traffic: Traffic, pool: Pool, say: Callable[[str], None], watch: Callable[[TrafficReport], None] | None
) -> Emitted:
    clock, put_off = PreciseClock(), dict[int, int]()
    async with _target(traffic, clock, put_off, say) as send:
        folder = new_run(traffic.run)
        with EventLog(folder, _parameters(traffic, pool), traffic.log) as log:
            run = TrafficRun(traffic.plan, pool, send, log, clock)
            watcher = asyncio.create_task(_watch(run, watch)) if watch else None
            interrupts = _stop_on_signals(run)
            try:
                report = await run.run()
            finally:
                if watcher is not None:
                    watcher.cancel()
            return Emitted(
                report=report,
                folder=str(folder),
                events=str(log.path),
                target=traffic.target,
                bad_rows=pool.bad,
                put_off=put_off,
                interrupted=bool(interrupts),
            )


@asynccontextmanager
async def _target(
    traffic: Traffic, clock: PreciseClock, put_off: dict[int, int], say: Callable[[str], None]
) -> AsyncIterator[Send]:
    if traffic.to is not None:
        async with to_service(traffic.to, clock, put_off, traffic.settings.traffic_key) as service:
            yield service.send
    elif traffic.out is not None or traffic.settings.bus is None:
        with to_file(traffic.out or "-", not_this=traffic.dataset) as write:
            yield write
    else:
        from tamiz.hosts.publish import to_cluster  # noqa: PLC0415 - only with the extras of a cluster

        async with to_cluster(traffic.settings, traffic.dataset, clock, say) as cluster:
            yield cluster.send


def _parameters(traffic: Traffic, pool: Pool) -> dict[str, Any]:
    return {
        **msgspec.to_builtins(traffic.plan),
        "dataset": traffic.dataset,
        "questions": len(pool),
        "bad_rows": pool.bad,
        "target": traffic.target,
    }


async def _watch(run: TrafficRun, watch: Callable[[TrafficReport], None]) -> None:
    while True:
        await asyncio.sleep(0.5)
        watch(run.report())


def _stop_on_signals(run: TrafficRun) -> list[int]:
    """Have Ctrl-C and SIGTERM stop the run, twice to abandon it; give the list that they are noted in."""
    loop = asyncio.get_running_loop()
    received: list[int] = []

    def stop(number: int) -> None:
        received.append(number)
        run.stop(abandon=len(received) > 1)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop, number)
    return received
