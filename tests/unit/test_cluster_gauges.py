"""What the page learns of a cluster by looking into its store."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec

from manual_clock import EPOCH, ManualClock
from rows_of_lists import answered
from tamiz.effects import EndpointState
from tamiz.errors import FailureKind, StateError
from tamiz.hosts.cluster_gauges import ClusterGauges
from tamiz.hosts.desk import Queue
from tamiz.hosts.pulse import Pulses
from tamiz.store.lives import Answered, Waiting

DOWN = EndpointState("openai:two", EPOCH, EPOCH + 60, FailureKind.QUOTA, "spent")


class Store:
    """A store whose reader counts how often it is asked."""

    def __init__(self) -> None:
        self.rows: list[Answered] = []
        self.questions = 0
        self.failures: dict[str, int] = {}
        self.away = False
        self.looks = 0

    @contextmanager
    def reader(self) -> Iterator[Any]:
        """Open it."""
        if self.away:
            raise StateError("the store is away")
        self.looks += 1
        yield self

    def end(self, number: int, at: float, outcome: str = "accepted", tenant: str = "") -> None:
        """Have a question end."""
        self.rows.insert(0, msgspec.structs.replace(answered(number, at, outcome), tenant=tenant))

    def recent(self, limit: int, tenant: str | None = None) -> list[Answered]:
        """See `Lists`."""
        return [row for row in self.rows if tenant in {None, row.tenant}][:limit]

    def waiting(self) -> Waiting:
        """Give what waits."""
        return Waiting(questions=self.questions, parked=2, dead_letters={"invalid": 1}, endpoints=[DOWN])

    async def figures(self, tenant: str | None) -> dict[str, Any]:
        """Give the document `metrics`, as far as it matters."""
        rows = self.recent(len(self.rows), tenant)
        counts = {
            outcome: sum(row.outcome == outcome for row in rows) for outcome in ("accepted", "exhausted", "failed")
        }
        attempts = {"refused": 0, "failed_calls": dict(self.failures)}
        return {"questions": self.questions, **counts, "sources": {}, "attempts": attempts, "updated_at": self.looks}


async def lag() -> dict[str, dict[str, int]]:
    return {"judge": {"llm_responses": 7}}


def made() -> tuple[Store, ClusterGauges, Pulses, ManualClock]:
    store, clock = Store(), ManualClock()
    pulses = Pulses(clock)
    gauges = ClusterGauges(
        pulses,
        Queue(10, clock),
        reader=store.reader,
        figures=store.figures,
        lag=lag,
        models=lambda: ["openai:one", "openai:two"],
        clock=clock,
    )
    return store, gauges, pulses, clock


async def test_what_ends_between_two_looks_is_counted_once() -> None:
    store, gauges, pulses, clock = made()
    store.end(1, EPOCH - 100)
    store.questions = 5
    await gauges(None)
    assert pulses.all.beat().recent == []  # the board remembers what was there before
    await clock.advance(1)
    store.questions, store.failures = 8, {"overload": 3}
    store.end(2, EPOCH + 1)
    store.end(3, EPOCH + 1, "failed")
    told = await gauges(None)
    await gauges(None)
    await clock.advance(1)
    await gauges(None)
    await clock.advance(5)
    beat = pulses.all.beat()
    assert [row.message_id for row in beat.recent] == ["o3", "o2"]
    assert (beat.ended, sum(each or 0 for each in beat.fine.asked), beat.trouble) == (2, 3, {"overload": 3})
    assert (beat.totals.questions, beat.totals.outcomes["accepted"], beat.whole) == (8, 2, True)
    assert (told.parked, told.dead_letters, told.lag) == (2, {"invalid": 1}, await lag())


async def test_many_at_once_are_all_counted() -> None:
    store, gauges, pulses, clock = made()
    store.end(0, EPOCH)
    await gauges(None)
    await clock.advance(1)
    for number in range(1, 1_501):
        store.end(number, EPOCH + 1)
    await gauges(None)
    await clock.advance(5)
    assert pulses.all.beat().ended == 1_500


async def test_what_ended_while_nobody_looked_is_shown_and_not_counted_as_of_now() -> None:
    store, gauges, pulses, clock = made()
    await gauges(None)
    await clock.advance(3_600)
    store.end(1, EPOCH + 1_800)
    await gauges(None)
    await clock.advance(5)
    beat = pulses.all.beat()
    assert ([row.message_id for row in beat.recent], beat.ended) == (["o1"], 0)


async def test_it_looks_once_a_second_whoever_asks() -> None:
    store, gauges, _, clock = made()
    for _ in range(5):
        await gauges(None)
    assert store.looks == 1
    await clock.advance(1)
    await gauges(None)
    assert store.looks == 2


async def test_a_store_that_is_away_is_told_and_changes_nothing() -> None:
    store, gauges, _, clock = made()
    await gauges(None)
    store.away = True
    await clock.advance(1)
    told = await gauges(None)
    assert (told.trouble, told.parked, told.lag) == ("the store is away", 2, await lag())
    store.away = False
    await clock.advance(1)
    assert (await gauges(None)).trouble is None


async def test_what_ended_while_the_store_was_away_is_not_counted_as_of_now() -> None:
    store, gauges, pulses, clock = made()
    await gauges(None)
    store.away = True
    for number in range(5):
        await clock.advance(1)
        store.end(number, EPOCH + number)
        await gauges(None)
    store.away = False
    await clock.advance(1)
    await gauges(None)
    await clock.advance(5)
    beat = pulses.all.beat()
    assert (len(beat.recent), beat.ended) == (5, 0)


async def test_a_tenant_s_pulse_goes_on_while_the_tenant_alone_looks() -> None:
    """It has what is its own, questions too; of others, nothing."""
    store, gauges, pulses, clock = made()
    own = pulses.make("ana")
    await gauges("ana")
    await clock.advance(1)
    store.end(1, EPOCH + 1, tenant="ana")
    store.end(2, EPOCH + 1, tenant="ben")
    store.questions, store.failures = 4, {"timeout": 2}
    await gauges("ana")
    await clock.advance(5)
    beat = own.beat()
    assert [row.message_id for row in beat.recent] == ["o1"]
    assert (beat.ended, sum(each or 0 for each in beat.fine.asked), beat.trouble) == (1, 4, {"timeout": 2})
    assert (beat.totals.questions, beat.totals.outcomes["accepted"]) == (4, 1)


async def test_the_cluster_s_models_are_told_with_those_that_are_down() -> None:
    _, gauges, _, _ = made()
    told = [(each.name, each.opens_at, each.kind, each.in_flight) for each in (await gauges(None)).endpoints]
    assert told == [("openai:one", None, None, None), ("openai:two", EPOCH + 60, "quota", None)]
