"""What every bus keeps to. A bus is told to commit and to crash by its harness."""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule, run_state_machine_as_test

from manual_clock import at_once
from strategies import asked, dead, failed, requested, responded, validated
from tamiz.bus.base import Bus, Delivery
from tamiz.bus.sqlite import SqliteBus
from tamiz.errors import StateError
from tamiz.messages import Event, Topic, topic_of
from tamiz.statefile import StateFile

GROUPS: Final = {
    "intake": (Topic.QUESTIONS_IN, Topic.REGENERATION_REQUESTS, Topic.VALIDATED_RESPONSES, Topic.DEAD_LETTERS),
    "generate": (Topic.LLM_REQUESTS,),
    "retry": (Topic.LLM_ERRORS,),
    "judge": (Topic.LLM_RESPONSES,),
    "persist": (Topic.LLM_ERRORS, Topic.REGENERATION_REQUESTS, Topic.VALIDATED_RESPONSES, Topic.DEAD_LETTERS),
}
MAKERS: Final = (asked, requested, responded, failed, validated, dead)


class _Harness(ABC):
    """A bus, and what happens to it from outside."""

    bus: Bus

    @abstractmethod
    def commit(self) -> None:
        """Make everything up to here durable."""

    @abstractmethod
    def crash(self) -> None:
        """Lose everything since the last commit; `bus` is a new one."""

    @abstractmethod
    def kept(self) -> int:
        """Give how many records take up space."""

    @abstractmethod
    def close(self) -> None:
        """Free everything."""


class _SqliteInMemory(_Harness):
    def __init__(self) -> None:
        self.state = StateFile(":memory:")
        self.bus = SqliteBus(self.state, GROUPS)

    def commit(self) -> None:
        self.state.commit()

    def crash(self) -> None:
        pytest.skip("memory does not survive a crash")

    def kept(self) -> int:
        count: int = self.state.execute("SELECT count(*) FROM log").fetchone()[0]
        return count

    def close(self) -> None:
        self.state.close()


class _SqliteOnFile(_SqliteInMemory):
    def __init__(self) -> None:
        self._folder = TemporaryDirectory()
        self.path = Path(self._folder.name, "tamiz.db")
        self._open()

    def _open(self) -> None:
        self.state = StateFile(self.path)
        self.bus = SqliteBus(self.state, GROUPS)

    def crash(self) -> None:
        self.state.close()
        self._open()

    def close(self) -> None:
        super().close()
        self._folder.cleanup()


HARNESSES: Final[list[type[_Harness]]] = [_SqliteInMemory, _SqliteOnFile]
DURABLE: Final[list[type[_Harness]]] = [_SqliteOnFile]


def started(request: pytest.FixtureRequest) -> Iterator[_Harness]:
    harness: _Harness = request.param()
    yield harness
    harness.close()


on = pytest.fixture(params=HARNESSES, ids=lambda harness: harness.__name__)(started)
durable = pytest.fixture(params=DURABLE, ids=lambda harness: harness.__name__)(started)


def publish(on: _Harness, *events: Event) -> None:
    at_once(on.bus.publish(events))


def received(on: _Harness, group: str) -> list[Delivery]:
    """Receive all there is."""
    deliveries = []
    while (delivery := on.bus.receive(group)) is not None:
        deliveries.append(delivery)
    return deliveries


def ids(deliveries: list[Delivery]) -> list[str]:
    return [delivery.event.message_id for delivery in deliveries]


def test_records_of_a_key_come_in_their_order(on: _Harness) -> None:
    """However the records of other keys and topics lie between them."""
    events = [MAKERS[n % 6](message_id=f"m{n}", cache_key=f"k{n % 3}") for n in range(60)]
    for start in range(0, 60, 7):
        publish(on, *events[start : start + 7])
    for group, topics in GROUPS.items():
        wanted = [event for event in events if topic_of(event) in topics]
        got = [delivery.event for delivery in received(on, group)]
        for key in ("k0", "k1", "k2"):
            assert [e for e in got if e.cache_key == key] == [e for e in wanted if e.cache_key == key]


def test_each_group_gets_each_record_of_its_topics_once(on: _Harness) -> None:
    """What one group does has no effect on what another one gets."""
    publish(on, failed(message_id="e"), validated("v"))
    retry = received(on, "retry")
    assert ids(retry) == ["e"]
    on.bus.acknowledge(retry[0])
    on.commit()
    assert ids(received(on, "persist")) == ["e", "v"]
    assert ids(received(on, "intake")) == ["v"]
    assert received(on, "judge") == received(on, "generate") == received(on, "retry") == []


def test_a_delivery_names_its_group_and_is_made_of_bytes(on: _Harness) -> None:
    """What arrives equals what was published, and is never the same object."""
    event = asked()
    publish(on, event)
    delivery = on.bus.receive("intake")
    assert delivery is not None
    assert (delivery.group, delivery.event) == ("intake", event)
    assert delivery.event is not event


def test_what_is_received_does_not_come_again_by_itself(on: _Harness) -> None:
    """Not while its group lives, acknowledged or not, over any number of commits."""
    publish(on, asked())
    assert len(received(on, "intake")) == 1
    on.commit()
    assert received(on, "intake") == []


def test_what_all_have_acknowledged_takes_no_space(on: _Harness) -> None:
    for n in range(50):
        publish(on, MAKERS[n % 6](message_id=f"m{n}"))
    on.commit()
    assert on.kept() == 50
    for group in GROUPS:
        for delivery in received(on, group):
            on.bus.acknowledge(delivery)
    on.commit()
    assert on.kept() == 0


def test_what_one_group_has_not_acknowledged_stays(on: _Harness) -> None:
    publish(on, failed())
    on.commit()
    for delivery in received(on, "retry"):
        on.bus.acknowledge(delivery)
    on.commit()
    assert on.kept() == 1


def test_nothing_is_durable_before_a_commit(durable: _Harness) -> None:
    publish(durable, asked())
    durable.crash()
    assert received(durable, "intake") == []
    assert durable.kept() == 0


def test_a_crash_brings_back_what_was_not_acknowledged(durable: _Harness) -> None:
    """Never received, received and not acknowledged, acknowledged and not committed: all three, in their order."""
    publish(durable, *(asked(f"m{n}") for n in range(4)))
    durable.commit()
    first, second, third = (durable.bus.receive("intake") for _ in range(3))
    assert first is not None
    assert second is not None
    assert third is not None
    durable.bus.acknowledge(first)
    durable.commit()
    durable.bus.acknowledge(third)
    durable.crash()
    assert ids(received(durable, "intake")) == ["m1", "m2", "m3"]


def test_a_crash_brings_back_to_each_group_what_is_its_own(durable: _Harness) -> None:
    publish(durable, failed())
    (delivery,) = received(durable, "persist")
    durable.bus.acknowledge(delivery)
    durable.commit()
    durable.crash()
    assert received(durable, "persist") == []
    assert len(received(durable, "retry")) == 1


def test_a_publication_and_its_cause_are_durable_together(durable: _Harness) -> None:
    """Consume and produce are one transaction: after a crash there is the one or the other, never both or neither."""
    publish(durable, asked())
    durable.commit()
    for commits in (False, True):
        (cause,) = received(durable, "intake")
        durable.bus.acknowledge(cause)
        publish(durable, requested())
        if commits:
            durable.commit()
        durable.crash()
        assert (durable.bus.waiting("intake"), durable.bus.waiting("generate")) == ((0, 1) if commits else (1, 0))


def test_new_records_come_after_those_from_before_a_crash(durable: _Harness) -> None:
    publish(durable, asked("old1"), asked("old2"))
    durable.commit()
    durable.crash()
    publish(durable, asked("new"))
    assert ids(received(durable, "intake")) == ["old1", "old2", "new"]


class _Machine(RuleBasedStateMachine):
    """Any sequence of steps, beside a bus of plain lists."""

    harness: type[_Harness]
    held = Bundle("held")

    def __init__(self) -> None:
        super().__init__()
        self.on = self.harness()
        self.published = 0
        self.log: dict[str, tuple[Event, set[str]]] = {}  # by message id: the event, and who has to acknowledge it
        self.durable: dict[str, tuple[Event, set[str]]] = {}
        self.queues: dict[str, deque[str]] = {group: deque() for group in GROUPS}
        self.lives = 0

    def teardown(self) -> None:
        self.on.close()

    @rule(kinds=st.lists(st.integers(0, 5), min_size=1, max_size=3), key=st.sampled_from(["k1", "k2"]))
    def publish(self, kinds: list[int], key: str) -> None:
        events = []
        for kind in kinds:
            event = MAKERS[kind](message_id=f"m{self.published}", cache_key=key)
            self.published += 1
            events.append(event)
            readers = [group for group, topics in GROUPS.items() if topic_of(event) in topics]
            self.log[event.message_id] = (event, set(readers))
            for group in readers:
                self.queues[group].append(event.message_id)
        publish(self.on, *events)

    @rule(target=held, group=st.sampled_from(sorted(GROUPS)))
    def receive(self, group: str) -> tuple[int, Delivery | None]:
        delivery = self.on.bus.receive(group)
        if not self.queues[group]:
            assert delivery is None
            return self.lives, None
        assert delivery is not None
        assert delivery.event == self.log[self.queues[group].popleft()][0]
        return self.lives, delivery

    @rule(delivered=consumes(held))
    def acknowledge(self, delivered: tuple[int, Delivery | None]) -> None:
        life, delivery = delivered
        if delivery is not None and life == self.lives:
            self.on.bus.acknowledge(delivery)
            pending = self.log[delivery.event.message_id][1]
            pending.remove(delivery.group)
            if not pending:
                del self.log[delivery.event.message_id]

    @rule()
    def commit(self) -> None:
        self.on.commit()
        self.durable = {key: (event, set(pending)) for key, (event, pending) in self.log.items()}
        assert self.on.kept() == len(self.durable)

    @rule()
    def crash(self) -> None:
        if self.harness not in DURABLE:
            return
        self.on.crash()
        self.lives += 1
        self.log = {key: (event, set(pending)) for key, (event, pending) in self.durable.items()}
        for group in GROUPS:
            self.queues[group] = deque(key for key, (_, pending) in self.log.items() if group in pending)
        assert self.on.kept() == len(self.durable)

    @invariant()
    def waiting_is_right(self) -> None:
        assert [self.on.bus.waiting(group) for group in GROUPS] == [len(queue) for queue in self.queues.values()]


@pytest.mark.parametrize("harness", HARNESSES, ids=lambda harness: harness.__name__)
def test_any_sequence_of_steps(harness: type[_Harness]) -> None:
    """Exactly what was not acknowledged and committed comes again, to each group, in order, whatever happened."""
    machine = type("_TheMachine", (_Machine,), {"harness": harness})
    run_state_machine_as_test(machine, settings=settings(max_examples=30, stateful_step_count=40))


def test_a_record_that_lives_within_one_commit_never_touches_the_file(tmp_path: Path) -> None:
    """What is published and acknowledged between two commits costs no write."""
    with StateFile(tmp_path / "tamiz.db") as state:
        bus = SqliteBus(state, GROUPS)
        before = state.execute("SELECT total_changes()").fetchone()[0]
        for _ in range(10):
            at_once(bus.publish([asked()]))
            delivery = bus.receive("intake")
            assert delivery is not None
            bus.acknowledge(delivery)
        state.commit()
        assert state.execute("SELECT total_changes()").fetchone()[0] == before
        assert bus.open == 0


def test_a_record_of_a_newer_tamiz_is_kept(tmp_path: Path) -> None:
    """A file with a record that cannot be read is refused, with the remedy, and left as it was."""
    with StateFile(tmp_path / "tamiz.db") as state:
        at_once(SqliteBus(state, GROUPS).publish([asked("m1")]))
        state.commit()
        state.execute("""UPDATE log SET value = CAST('{"type": "question_asked", "v": 2}' AS BLOB)""")
        state.commit()
    for _ in range(2):
        with StateFile(tmp_path / "tamiz.db") as state:
            with pytest.raises(StateError, match="upgrade tamiz"):
                SqliteBus(state, GROUPS)
            assert state.execute("SELECT count(*) FROM log").fetchone()[0] == 1
