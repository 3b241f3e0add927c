"""The open loop in virtual time: what is sent when, and what is told of it."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from manual_clock import on_virtual_time
from tamiz.clock import Clock
from tamiz.errors import UsageError
from tamiz.traffic.emitter import Emitter, Send
from tamiz.traffic.log import EventLog, Logged, new_run
from tamiz.traffic.plan import Arrival, Plan
from tamiz.traffic.question import Emission, Question
from tamiz.traffic.run import TrafficReport, TrafficRun

QUESTIONS = [Question(str(n), f"Question {n}?") for n in range(10)]
TURN = 0.001
"""Seconds that the virtual loop's own turns may add up to between two events."""


class Ends:
    """Keeps what an emitter tells."""

    def __init__(self) -> None:
        self.sent: dict[int, float] = {}
        self.ended: dict[int, float] = {}
        self.outcomes: dict[int, str] = {}

    def note(self, emission: Emission, sent: float, ended: float, outcome: str) -> None:
        """Keep it."""
        self.sent[emission.n] = sent
        self.ended[emission.n] = ended
        self.outcomes[emission.n] = outcome


def emit(
    schedule: list[Arrival],
    answer: Callable[[Clock, Emission], Awaitable[str] | str],
    *,
    most: int = 100,
    then: Callable[[Clock, Emitter], Awaitable[None]] | None = None,
) -> tuple[Emitter, Ends]:
    ends = Ends()

    async def main(clock: Clock) -> Emitter:
        emitter = Emitter(QUESTIONS, lambda emission: answer(clock, emission), ends.note, clock, most)
        helper = asyncio.ensure_future(then(clock, emitter)) if then else None
        await emitter.run(iter(schedule))
        if helper:
            await helper
        return emitter

    return on_virtual_time(main), ends


def every(gap: float, count: int) -> list[Arrival]:
    return [Arrival(n, n * gap, n % 10) for n in range(count)]


async def slow(clock: Clock, _: Emission) -> str:
    await clock.sleep(10)
    return "answered"


def test_a_slow_receiver_delays_no_question() -> None:
    """Each goes out at its time, however long the answers before it take."""
    _, ends = emit(every(0.1, 50), slow)
    for n in range(50):
        assert ends.sent[n] == pytest.approx(n * 0.1, abs=TURN)
        assert ends.ended[n] == pytest.approx(n * 0.1 + 10, abs=TURN)
    assert set(ends.outcomes.values()) == {"answered"}


def test_a_full_bound_is_told_as_lateness() -> None:
    """Nothing is left out and nothing hidden: what has to wait for a place is sent late, and counted."""
    emitter, ends = emit(every(1.0, 6), slow, most=2)
    assert [ends.sent[n] for n in range(6)] == pytest.approx([0, 1, 10, 11, 20, 21], abs=TURN)
    assert emitter.held == 2 + 2  # 11 and 21 come after their places are free again


def test_after_a_jam_the_schedule_goes_on_as_it_was() -> None:
    async def jam(clock: Clock, emission: Emission) -> str:
        await clock.sleep(5 if emission.n == 0 else 0)
        return "answered"

    _, ends = emit(every(1.0, 10), jam, most=1)
    assert [ends.sent[n] for n in range(10)] == pytest.approx([0, 5, 5, 5, 5, 5, 6, 7, 8, 9], abs=TURN)


@given(st.lists(st.floats(0, 3), max_size=40), st.lists(st.floats(0, 20), min_size=1, max_size=10), st.integers(1, 5))
def test_each_is_sent_once_never_early_and_never_beyond_the_bound(
    gaps: list[float], takes: list[float], most: int
) -> None:
    at, schedule = 0.0, []
    for n, gap in enumerate(gaps):
        at += gap
        schedule.append(Arrival(n, at, n % 10))
    under_way = 0

    async def answer(clock: Clock, emission: Emission) -> str:
        nonlocal under_way
        under_way += 1
        assert under_way <= most
        await clock.sleep(takes[emission.n % len(takes)])
        under_way -= 1
        return "answered"

    emitter, ends = emit(schedule, answer, most=most)
    assert sorted(ends.sent) == list(range(len(schedule)))
    assert emitter.sent == len(schedule)
    assert all(ends.sent[each.n] >= each.at for each in schedule if each.at is not None)


def test_a_stop_sends_nothing_more_and_waits_for_what_is_under_way() -> None:
    async def stop(clock: Clock, emitter: Emitter) -> None:
        await clock.sleep(2.5)
        emitter.stop()

    _, ends = emit(every(1.0, 50), slow, then=stop)
    assert list(ends.outcomes.values()) == ["answered"] * 3


def test_what_is_abandoned_ends_as_cancelled() -> None:
    async def abandon(clock: Clock, emitter: Emitter) -> None:
        await clock.sleep(2.5)
        emitter.abandon()

    _, ends = emit(every(1.0, 50), slow, then=abandon)
    assert list(ends.outcomes.values()) == ["cancelled"] * 3
    assert max(ends.ended.values()) < 2.6


def test_a_sender_that_fails_ends_the_run() -> None:
    async def fail(clock: Clock, emission: Emission) -> str:
        await clock.sleep(0.5)
        if emission.n == 2:
            raise UsageError("no")
        return "answered"

    with pytest.raises(UsageError, match="no"):
        emit(every(1.0, 50), fail)


def test_a_sender_that_answers_at_once_needs_no_task() -> None:
    _, ends = emit([Arrival(n, None, 3) for n in range(1000)], lambda _clock, _emission: "written")
    assert list(ends.outcomes.values()) == ["written"] * 1000


def run(
    plan: Plan, send: Send | None, folder: Path, look: Callable[[Clock, TrafficRun], Awaitable[None]] | None = None
) -> TrafficReport:
    async def main(clock: Clock) -> TrafficReport:
        async def quick(_: Emission) -> str:
            await clock.sleep(0.02)
            return "answered"

        traffic = TrafficRun(plan, QUESTIONS, send or quick, EventLog(folder, {"seed": 1}), clock)
        assert traffic.report().state == "new"
        helper = asyncio.ensure_future(look(clock, traffic)) if look else None
        report = await traffic.run()
        if helper:
            await helper
        assert report == traffic.report()
        return report

    return on_virtual_time(main)


def logged(folder: Path) -> list[Logged]:
    return msgspec.json.Decoder(Logged).decode_lines((folder / "events.jsonl").read_bytes())


def about(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.json.decode((folder / "run.json").read_bytes())
    return found


def test_a_run_reports_and_logs_each_event(tmp_path: Path) -> None:
    report = run(Plan(total=1000, rate=200, seed=4), None, tmp_path)
    assert report.state == "done"
    assert report.sent == 1000
    assert report.outcomes == {"answered": 1000}
    assert report.late_p99_ms is not None
    assert report.late_p99_ms < 1
    assert report.latency_p50_ms == pytest.approx(20, rel=0.05)
    events = logged(tmp_path)
    assert [event.n for event in events] == list(range(1000))
    schedule = list(Plan(total=1000, rate=200, seed=4).schedule(len(QUESTIONS)))
    assert [(event.at_s, event.rank) for event in events] == [(each.at, each.rank) for each in schedule]
    assert all(event.id == str(event.rank) and event.latency_ms >= 20 for event in events)
    assert about(tmp_path)["parameters"] == {"seed": 1}
    assert about(tmp_path)["result"] == msgspec.to_builtins(report)


def test_latency_counts_from_when_it_was_due(tmp_path: Path) -> None:
    """A receiver that stands still for ten seconds shows in the latency of all that were due meanwhile."""

    async def main(clock: Clock) -> TrafficReport:
        async def one_at_a_time(emission: Emission) -> str:
            await clock.sleep(10 if emission.n == 0 else 0)
            return "answered"

        plan = Plan(total=10, arrivals="constant", rate=1)
        return await TrafficRun(plan, QUESTIONS, one_at_a_time, EventLog(tmp_path, {}), clock, most_in_flight=1).run()

    report = on_virtual_time(main)
    assert [event.latency_ms for event in logged(tmp_path)] == pytest.approx(
        [10_000 - 1000 * n for n in range(10)], abs=5
    )
    assert report.held == 9
    assert report.late_max_ms == pytest.approx(9000, abs=5)


def test_a_run_can_be_looked_at_and_stopped(tmp_path: Path) -> None:
    seen: list[TrafficReport] = []

    async def look(clock: Clock, traffic: TrafficRun) -> None:
        await clock.sleep(5.001)
        seen.append(traffic.report())
        traffic.stop()
        seen.append(traffic.report())

    report = run(Plan(duration=60, arrivals="constant", rate=10), None, tmp_path, look)
    assert [each.state for each in seen] == ["running", "stopping"]
    assert seen[0].sent == 51
    assert seen[0].rate == pytest.approx(10, rel=0.03)
    assert (report.state, report.sent) == ("stopped", 51)
    assert len(logged(tmp_path)) == 51


def test_as_fast_as_possible_ends_with_its_duration(tmp_path: Path) -> None:
    async def main(clock: Clock) -> TrafficReport:
        async def ten_a_second(_: Emission) -> str:
            await clock.sleep(0.1)
            return "answered"

        plan = Plan(duration=5, arrivals="max")
        return await TrafficRun(plan, QUESTIONS, ten_a_second, EventLog(tmp_path, {}), clock, most_in_flight=1).run()

    report = on_virtual_time(main)
    assert report.sent == pytest.approx(50, abs=1)
    assert report.late_p99_ms is None
    assert all(event.at_s is None and event.late_ms is None for event in logged(tmp_path))


def test_what_was_sent_before_a_failure_is_logged(tmp_path: Path) -> None:
    def fail(emission: Emission) -> str:
        if emission.n == 5:
            raise UsageError("no")
        return "written"

    with pytest.raises(UsageError):
        run(Plan(total=10, rate=100), fail, tmp_path)
    assert len(logged(tmp_path)) == 5
    assert about(tmp_path)["result"]["state"] == "failed"


@pytest.mark.parametrize(
    ("plan", "said"),
    [
        (Plan(), "would have no end"),
        (Plan(total=-1), "out of range"),
        (Plan(duration=0.0), "above 0"),
        (Plan(total=1, rate=-1), "--rate"),
        (Plan(total=1, alpha=-1), "--alpha"),
    ],
)
def test_a_plan_that_is_none_is_refused(plan: Plan, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        plan.check()


@given(st.integers(0, 300), st.floats(0.01, 20), st.integers(0, 100))
def test_a_schedule_ends_with_what_comes_first(total: int, duration: float, seed: int) -> None:
    both = list(Plan(total=total, duration=duration, rate=20, seed=seed).schedule(10))
    timed = list(Plan(duration=duration, rate=20, seed=seed).schedule(10))
    assert both == timed[:total]
    assert [each.n for each in both] == list(range(len(both)))
    assert all(each.at is not None and each.at < duration for each in timed)


def test_folders_of_runs_do_not_meet(tmp_path: Path) -> None:
    assert len({new_run(parent=tmp_path) for _ in range(3)}) == 3
    assert new_run("mine", tmp_path) == tmp_path / "mine"
    with pytest.raises(UsageError, match="mine"):
        new_run("mine", tmp_path)


@pytest.mark.parametrize("name", ["my/run", "/run", "run/", "../run", "./run"])
def test_a_run_has_a_name_and_no_path(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=f"--run '{name}' is not the name of a folder"):
        new_run(name, tmp_path / "runs")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("")
    with pytest.raises(UsageError, match=r"runs/mine' cannot be made for a run's log: (File exists|Not a directory)"):
        new_run("mine", tmp_path / "runs")


def test_a_log_in_parquet_has_the_same_events(tmp_path: Path) -> None:
    from pyarrow import parquet  # noqa: PLC0415 - an extra

    event = Logged(0, 1.0, 1.5, 500.0, 2.0, 1000.0, "answered", 3, None, "Why?")
    with EventLog(tmp_path, {}, "parquet") as log:
        log.add(event)
    assert parquet.read_table(log.path).to_pylist() == [msgspec.structs.asdict(event)]


def test_a_kill_loses_the_last_second_of_the_log_alone(tmp_path: Path) -> None:
    """However slowly events end, those that ended more than a second before are on the disk."""
    event = Logged(0, 0.0, 0.0, 0.0, 0.2, 200.0, "answered", 3, None, "Why?")
    with EventLog(tmp_path, {}) as log:
        for n in range(4):
            log.add(msgspec.structs.replace(event, n=n, ended_s=0.6 * n + 0.2))
        assert len(log.path.read_text().splitlines()) == 3
