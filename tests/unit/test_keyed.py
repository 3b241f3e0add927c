from collections import deque

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from tamiz.bus.keyed import KeyedQueue

KEYS = st.sampled_from(["a", "b", "c", "d"])


class _Machine(RuleBasedStateMachine):
    """Beside a plain list in the order of coming."""

    def __init__(self) -> None:
        super().__init__()
        self.queue: KeyedQueue[tuple[str, int]] = KeyedQueue()
        self.waiting: list[tuple[str, int]] = []
        self.out: dict[str, list[tuple[str, int]]] = {}
        self.turns: deque[str] = deque()
        self.count = 0

    @rule(key=KEYS)
    def put(self, key: str) -> None:
        item = (key, self.count)
        self.count += 1
        self.queue.put(key, item)
        self.waiting.append(item)

    @rule(limit=st.integers(1, 3))
    def take(self, limit: int) -> None:
        taken = self.queue.take(limit)
        may_go = [item for item in self.waiting if item[0] not in self.out]
        assert len(taken) == min(limit, len(may_go)), "whoever may go is handed out"
        for key in {key for key, _ in taken}:
            run = [item for item in taken if item[0] == key]
            assert run == [item for item in may_go if item[0] == key][: len(run)], "in their order"
            assert taken.index(run[-1]) - taken.index(run[0]) == len(run) - 1, "together"
            self.out[key] = run
        self.waiting = [item for item in self.waiting if item not in taken]

    @rule(which=st.integers(0, 10))
    def done(self, which: int) -> None:
        if self.out:
            key = sorted(self.out)[which % len(self.out)]
            self.out[key].pop()
            if not self.out[key]:
                del self.out[key]
            self.queue.done(key)

    @rule(numbers=st.sets(st.integers(0, 40)))
    def discard(self, numbers: set[int]) -> None:
        self.queue.discard(lambda item: item[1] in numbers)
        self.waiting = [item for item in self.waiting if item[1] not in numbers]

    @invariant()
    def all_are_counted(self) -> None:
        assert len(self.queue) == len(self.waiting)


def test_any_sequence_of_steps() -> None:
    """Each key's items are handed out in their order, one run at a time, and nobody waits for another key."""
    run_state_machine_as_test(_Machine, settings=settings(max_examples=100, stateful_step_count=60))


def test_keys_take_turns() -> None:
    queue: KeyedQueue[str] = KeyedQueue()
    for item in ("a1", "a2", "a3", "b1"):
        queue.put(item[0], item)
    assert queue.take(2) == ["a1", "a2"]
    assert queue.take(2) == ["b1"]
    assert queue.take(2) == []
    queue.done("a")
    assert queue.take(2) == [], "the first of two is done"
    queue.done("a")
    assert queue.take(2) == ["a3"]
