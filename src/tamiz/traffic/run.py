"""A traffic run: started, looked at while it goes on, stopped."""

import asyncio
import math

import msgspec

from tamiz.clock import Clock
from tamiz.traffic.emitter import IN_FLIGHT, Emitter, Send
from tamiz.traffic.log import EventLog, Logged
from tamiz.traffic.plan import Plan
from tamiz.traffic.quantiles import Quantiles
from tamiz.traffic.question import Emission, Questions

__all__ = ["TrafficReport", "TrafficRun"]


class TrafficReport(msgspec.Struct, frozen=True, kw_only=True):
    """Where a run is. Latency is from when an event was to be sent to its end, lateness to when it was sent."""

    state: str
    """`new`, `running`, `stopping`, `done`, `stopped` (before its end) or `failed`."""
    sent: int
    in_flight: int
    held: int
    """Events that waited because too many were under way."""
    outcomes: dict[str, int]
    """Events that have ended, by how."""
    seconds: float
    """Since the start, until now or the end."""
    rate: float
    """Events sent a second."""
    late_p50_ms: float | None
    """`None` where there is no schedule, or nothing was sent; likewise below."""
    late_p99_ms: float | None
    late_max_ms: float | None
    latency_p50_ms: float | None
    latency_p99_ms: float | None


class TrafficRun:
    """Emits a plan's events over some questions and logs each.

    `run` may be called once; `report` and `stop` at any time, from the same event loop. The log is closed with the
    run, whatever ends it.
    """

    def __init__(  # noqa: PLR0917 - what it is put together from
        self,
        plan: Plan,
        questions: Questions,
        send: Send,
        log: EventLog,
        clock: Clock,
        most_in_flight: int = IN_FLIGHT,
    ) -> None:
        """Check the plan. Raises `UsageError` where it is wrong or there are no questions."""
        self.plan = plan
        self._schedule = plan.schedule(len(questions))
        self._emitter = Emitter(questions, send, self._note, clock, most_in_flight)
        self._log = log
        self._clock = clock
        self._state = "new"
        self._began = self._ended = 0.0
        self._outcomes: dict[str, int] = {}
        self._late = Quantiles()
        self._latency = Quantiles()

    async def run(self) -> TrafficReport:
        """Emit everything and wait for the ends.

        Raises what `send` raised, and `TamizError` where the log's disk is full. Cancelled, it abandons what is under
        way.
        """
        self._state, self._began = "running", self._clock.monotonic()
        end = "failed"
        try:
            until = math.inf if self.plan.paced or self.plan.duration is None else self.plan.duration
            await self._emitter.run(self._schedule, until=until)
            end = "stopped" if self._state == "stopping" else "done"
        except asyncio.CancelledError:
            end = "stopped"
            raise
        finally:
            self._ended, self._state = self._clock.monotonic(), end
            self._log.close(msgspec.to_builtins(self.report()))
        return self.report()

    def stop(self, *, abandon: bool = False) -> None:
        """Send nothing more; what is under way comes to its end, or with `abandon` is cancelled."""
        if self._state in {"running", "stopping"}:
            self._state = "stopping"
            self._emitter.abandon() if abandon else self._emitter.stop()

    def report(self) -> TrafficReport:
        """Tell where the run is."""
        now = self._began if self._state == "new" else self._clock.monotonic()
        seconds = (self._ended if self._state in {"done", "stopped", "failed"} else now) - self._began
        sent = self._emitter.sent
        return TrafficReport(
            state=self._state,
            sent=sent,
            in_flight=self._emitter.in_flight,
            held=self._emitter.held,
            outcomes=dict(self._outcomes),
            seconds=seconds,
            rate=sent / seconds if seconds > 0 else 0.0,
            late_p50_ms=_ms(self._late.quantile(0.5)),
            late_p99_ms=_ms(self._late.quantile(0.99)),
            late_max_ms=_ms(self._late.largest if self._late.count else None),
            latency_p50_ms=_ms(self._latency.quantile(0.5)),
            latency_p99_ms=_ms(self._latency.quantile(0.99)),
        )

    def _note(self, emission: Emission, sent: float, ended: float, outcome: str) -> None:
        due = sent if emission.at_s is None else emission.at_s
        self._outcomes[outcome] = self._outcomes.get(outcome, 0) + 1
        if emission.at_s is not None:
            self._late.add(sent - due)
        self._latency.add(ended - due)
        self._log.add(
            Logged(
                emission.n,
                emission.at_s,
                sent,
                None if emission.at_s is None else (sent - due) * 1000,
                ended,
                (ended - due) * 1000,
                outcome,
                emission.rank,
                emission.question.id,
                emission.question.title,
            )
        )


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else seconds * 1000
