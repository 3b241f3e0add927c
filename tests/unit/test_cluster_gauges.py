"""What the page learns of a cluster by looking into its store."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from manual_clock import EPOCH, ManualClock
from rows_of_lists import answered
from tamiz.errors import StateError
from tamiz.hosts.cluster_gauges import ClusterGauges
from tamiz.hosts.desk import Queue
from tamiz.hosts.pulse import Pulses
from tamiz.store.lives import Answered, Waiting


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

    def end(self, number: int, at: float, outcome: str = "accepted") -> None:
        """Have a question end."""
        self.rows.insert(0, answered(number, at, outcome))

    def recent(self, limit: int, tenant: str | None = None) -> list[Answered]:
        """See `Lists`."""
        return [row for row in self.rows if tenant in {None, row.tenant}][:limit]

    def waiting(self) -> Waiting:
        """Give what waits."""
        return Waiting(questions=self.questions, parked=2, dead_letters={"invalid": 1})

    async def figures(self) -> dict[str, Any]:
        """Give the document `metrics`, as far as it matters."""
        counts = {
            outcome: sum(row.outcome == outcome for row in self.rows) for outcome in ("accepted", "exhausted", "failed")
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
        fleet=None,
        cache=None,
        clock=clock,
    )
    return store, gauges, pulses, clock


async def test_what_ends_between_two_looks_is_counted_once() -> None:
    store, gauges, pulses, clock = made()
    store.end(1, EPOCH - 100)
    store.questions = 5
    await gauges()
    assert pulses.all.beat().recent == []  # the board remembers what was there before
    await clock.advance(1)
    store.questions, store.failures = 8, {"overload": 3}
    store.end(2, EPOCH + 1)
    store.end(3, EPOCH + 1, "failed")
    told = await gauges()
    await gauges()
    await clock.advance(1)
    await gauges()
    await clock.advance(5)
    beat = pulses.all.beat()
    assert [row.message_id for row in beat.recent] == ["o3", "o2"]
    assert (beat.ended, sum(each or 0 for each in beat.fine.asked), beat.trouble) == (2, 3, {"overload": 3})
    assert (beat.totals.questions, beat.totals.outcomes["accepted"], beat.whole) == (8, 2, True)
    assert (told.parked, told.dead_letters, told.lag) == (2, {"invalid": 1}, await lag())


async def test_many_at_once_are_all_counted() -> None:
    store, gauges, pulses, clock = made()
    store.end(0, EPOCH)
    await gauges()
    await clock.advance(1)
    for number in range(1, 1_501):
        store.end(number, EPOCH + 1)
    await gauges()
    await clock.advance(5)
    assert pulses.all.beat().ended == 1_500


async def test_what_ended_while_nobody_looked_is_shown_and_not_counted_as_of_now() -> None:
    store, gauges, pulses, clock = made()
    await gauges()
    await clock.advance(3_600)
    store.end(1, EPOCH + 1_800)
    await gauges()
    await clock.advance(5)
    beat = pulses.all.beat()
    assert ([row.message_id for row in beat.recent], beat.ended) == (["o1"], 0)


async def test_it_looks_once_a_second_whoever_asks() -> None:
    store, gauges, _, clock = made()
    for _ in range(5):
        await gauges()
    assert store.looks == 1
    await clock.advance(1)
    await gauges()
    assert store.looks == 2


async def test_a_store_that_is_away_is_told_and_changes_nothing() -> None:
    store, gauges, _, clock = made()
    await gauges()
    store.away = True
    await clock.advance(1)
    told = await gauges()
    assert (told.trouble, told.parked) == ("the store is away", 2)
    store.away = False
    await clock.advance(1)
    assert (await gauges()).trouble is None
