"""The acknowledgement tracker beside a plain model: a partition, what was done of it, and who has it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from tamiz.bus import acks as module
from tamiz.bus.acks import Acks


class _Partition(RuleBasedStateMachine):
    """A log with gaps, read by one owner after another; each commits now and then, and may be gone at any time."""

    longest: int | None = None

    def __init__(self) -> None:
        super().__init__()
        self.log: list[int] = []
        self.end = 0
        self.committed: int | None = None
        self.metadata: str | None = None
        self.done: dict[int, int] = {}  # how often each record was finished
        self.known: set[int] = set()  # finished, and part of the last commit
        self.take_over()

    def take_over(self) -> None:
        self.acks = Acks(self.committed, self.metadata)
        self.position = self.committed or 0
        self.held: list[int] = []
        self.finished: set[int] = set()

    @rule(gap=st.integers(0, 3), count=st.integers(1, 5))
    def append(self, gap: int, count: int) -> None:
        self.end += gap
        self.log += range(self.end, self.end + count)
        self.end += count

    @rule(count=st.integers(1, 6))
    def read(self, count: int) -> None:
        for offset in [each for each in self.log if each >= self.position][:count]:
            self.position = offset + 1
            if self.acks.begin(offset):
                assert offset not in self.known or self.longest is not None, "what was committed is not done again"
                self.held.append(offset)
            else:
                assert offset in self.done, "nothing is left out that was not done"
                self.finished.add(offset)

    @rule(which=st.integers(0, 100))
    def finish(self, which: int) -> None:
        if self.held:
            offset = self.held.pop(which % len(self.held))
            self.acks.finish(offset)
            self.finished.add(offset)
            self.done[offset] = self.done.get(offset, 0) + 1

    @rule()
    def commit(self) -> None:
        self.committed, self.metadata = self.acks.committable, self.acks.metadata
        assert len(self.metadata) <= module._LONGEST
        self.known |= self.finished

    @rule()
    def revoke(self) -> None:
        """Another owner takes over from the last commit; what this one finishes from now on is dropped."""
        self.take_over()

    @precondition(lambda self: not self.held)
    @rule()
    def idle(self) -> None:
        """With nothing in flight there is nothing beyond the prefix, but for what is still to be read."""
        assert self.acks.in_flight == self.acks.span == 0
        if self.acks.committable is not None:
            assert self.acks.committable == self.position

    @invariant()
    def only_the_finished_prefix_is_committable(self) -> None:
        """All before it is done; the first record from it on is not, or has not been read."""
        upto = self.acks.committable
        if upto is None:
            assert self.position == 0
            return
        assert all(offset in self.done for offset in self.log if offset < upto)
        assert upto == min(self.held, default=self.position)
        assert self.acks.in_flight == len(self.held)
        assert self.acks.span == (self.position - min(self.held) if self.held else 0)

    def teardown(self) -> None:
        """Have a last owner, left alone, do all that is left: nothing is lost."""
        self.take_over()
        for offset in self.log:
            if offset >= self.position and self.acks.begin(offset):
                self.acks.finish(offset)
                self.done[offset] = self.done.get(offset, 0) + 1
        assert set(self.done) == set(self.log)


def test_any_order_of_finishing_revoke_and_redelivery() -> None:
    """Nothing is lost, and nothing that was committed as finished is done again, by however many owners."""
    run_state_machine_as_test(_Partition, settings=settings(max_examples=150, stateful_step_count=60))


def test_metadata_that_would_be_too_long_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is cut off is done again; nothing is lost."""
    monkeypatch.setattr(module, "_LONGEST", 8)
    run_state_machine_as_test(
        type("_Short", (_Partition,), {"longest": 8}), settings=settings(max_examples=80, stateful_step_count=60)
    )


def test_a_slow_record_costs_no_repetition_after_a_crash() -> None:
    """Record 0 takes for ever, 5,000 behind it are done, every fiftieth is not: exactly the open ones come again."""
    acks = Acks(0)
    for offset in range(5_000):
        acks.begin(offset)
    for offset in range(5_000):
        if offset % 50:
            acks.finish(offset)
    assert acks.committable == 0
    assert len(acks.metadata) < 300
    heir = Acks(acks.committable, acks.metadata)
    assert [offset for offset in range(5_000) if heir.begin(offset)] == list(range(0, 5_000, 50))


@given(st.text() | st.binary().map(lambda data: "t1." + data.hex()), st.integers(0, 2**62))
def test_metadata_of_somebody_else_is_as_good_as_none(text: str, committed: int) -> None:
    """It raises nothing, whatever it is."""
    Acks(committed, text).begin(committed)


@pytest.mark.parametrize("text", ["", "x", "t1.", "t1.!!", "t1.gA==", "t1.AAA", "{}"])
def test_broken_metadata_leaves_nothing_out(text: str) -> None:
    assert all(Acks(7, text).begin(offset) for offset in (7, 8, 9))


def test_misuse_is_an_error() -> None:
    acks = Acks(5)
    acks.begin(5)
    with pytest.raises(ValueError, match="record 5 comes after 5"):
        acks.begin(5)
    with pytest.raises(KeyError):
        acks.finish(6)
    acks.finish(5)
    with pytest.raises(KeyError):
        acks.finish(5)


def test_the_metadata_of_an_heir_that_has_read_nothing_is_whole() -> None:
    """A worker that only just took over passes on what it was told."""
    acks = Acks(0)
    for offset in range(20):
        acks.begin(offset)
    for offset in (3, 4, 10, 19):
        acks.finish(offset)
    heir = Acks(acks.committable, acks.metadata)
    assert (heir.committable, heir.metadata) == (0, acks.metadata)
    heir.begin(0)
    heir.finish(0)
    assert [n for n in range(1, 20) if not Acks(heir.committable, heir.metadata).begin(n)] == [3, 4, 10, 19]
