"""Claims of several processes on one database, in any order of their steps, with crashes and processes that come back.

The code is the one that runs on MongoDB. The database is in memory, and no more atomic than MongoDB is: whatever can
happen between two steps of one process is tried.
"""

import asyncio
import random
from collections import Counter, defaultdict
from collections.abc import Coroutine
from typing import Any, Final, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fake_mongo import FakeConnection, FakeDatabase
from manual_clock import ManualClock
from strategies import asked, validated
from tamiz.effects import Deferred
from tamiz.messages import QuestionAsked, Source, ValidatedResponse
from tamiz.store.mongo.claims import MongoClaims
from tamiz.store.mongo.connection import Connection
from tamiz.store.mongo.stranded import Stranded

Message = QuestionAsked | ValidatedResponse

_TURNS: Final = 12
"""Turns of the loop until nothing moves any more but through a gate."""
_STEPS: Final = 5_000
_TURN_OF_ANOTHER: Final = 0.1
_FAULT: Final = 0.05
_CHUNK: Final = 2
_LATER: Final = 1000.0


class _Process:
    """One worker: intake, and a model that answers at once."""

    def __init__(self, world: "_World", number: int) -> None:
        self.world = world
        self.number = number
        self.gates: list[asyncio.Future[None]] = []
        self.tasks: list[asyncio.Task[None]] = []
        self.holds: list[Message] = []
        self.ghost = False
        """Whether others have its messages by now; what it does may still happen."""
        self.silent = False
        """Whether, as a ghost, it emits nothing any more: somebody told it."""
        connection = cast("Connection", FakeConnection(world.database, self.gate))
        self.claims = MongoClaims(connection, world.clock)
        self.stranded = Stranded(connection, world.clock, self.defer)

    async def gate(self) -> None:
        gate = asyncio.get_running_loop().create_future()
        self.gates.append(gate)
        await gate

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        self.tasks.append(asyncio.create_task(work))

    async def defer(self, deferred: Deferred) -> None:
        await self.gate()
        self.world.queue.append(cast("QuestionAsked", deferred.event))

    async def handle(self, message: Message) -> None:
        self.holds.append(message)
        emits: list[Message] = []
        if isinstance(message, QuestionAsked):
            if await self.claims.claim(message):
                self.world.leads(message)
                emits = [validated(message.message_id, message.cache_key)]
        else:
            limit = _CHUNK if message.source is Source.MODEL else 1
            waiting = await self.claims.release(message, limit)
            emits = [
                validated(each.message_id, each.cache_key, source=Source.COALESCED, leader=message.leader)
                for each in waiting
            ]
        await self.gate()
        for each in emits:
            if not self.silent:
                self.world.emit(each)
            await self.gate()
        if not self.ghost:
            self.holds.remove(message)


class _World:
    """The queue, the processes, and what became of each question."""

    def __init__(self, chance: random.Random, processes: int) -> None:
        self.chance = chance
        self.clock = ManualClock()
        self.database = FakeDatabase()
        self.queue: list[Message] = []
        self.emitted: Counter[str] = Counter()
        self.leaders: dict[str, list[str]] = defaultdict(list)
        self.processes: list[_Process] = []
        self.crashed = False
        self.favourite: _Process | None = None
        for _ in range(processes):
            self.begin()

    def begin(self) -> None:
        self.processes.append(_Process(self, len(self.processes)))

    def emit(self, outcome: Message) -> None:
        self.emitted[outcome.message_id] += 1
        self.database.rows("answers").setdefault(
            outcome.message_id, {"_id": outcome.message_id, "finished_at": self.clock.time()}
        )
        self.queue.append(outcome)

    def leads(self, question: QuestionAsked) -> None:
        others = [each for each in self.leaders[question.cache_key] if each != question.message_id]
        assert self.crashed or all(self.emitted[each] for each in others), "two lead at the same time"
        self.leaders[question.cache_key].append(question.message_id)

    async def run(self, faults: int, ghosts: int) -> None:
        """Go on, one step at a time, until nothing is left to be done."""
        for _ in range(_STEPS):
            for _ in range(_TURNS):
                await asyncio.sleep(0)
            self._raise()
            if faults and self.chance.random() < _FAULT:
                faults -= 1
                self._crash()
            elif ghosts and self.chance.random() < _FAULT:
                ghosts -= 1
                self._take_for_dead()
            elif not self._step():
                return
        raise AssertionError("it never comes to an end")

    def _step(self) -> bool:
        gates = [gate for process in self.processes for gate in process.gates if not gate.done()]
        alive = [process for process in self.processes if not process.ghost]
        if self.queue and (not gates or self.chance.random() < 0.2):
            message = self.queue.pop(self.chance.randrange(len(self.queue)))
            process = self.chance.choice(alive)
            process.start(process.handle(message))
            return True
        if not gates:
            return False
        # mostly the same process goes on, so that it gets far while the others stand still
        if self.favourite not in self.processes or self.chance.random() < _TURN_OF_ANOTHER:
            self.favourite = self.chance.choice(self.processes)
        own = [gate for gate in self.favourite.gates if not gate.done()]
        self.chance.choice(own or gates).set_result(None)
        return True

    def _crash(self) -> None:
        """Kill a process: what it held comes again."""
        self.crashed = True
        process = self.chance.choice(self.processes)
        self.processes.remove(process)
        for gate in process.gates:
            gate.cancel()
        if not process.ghost:
            self.queue += process.holds
        self.begin()

    def _take_for_dead(self) -> None:
        """Give what a process holds to others, while it goes on."""
        self.crashed = True
        process = self.chance.choice([each for each in self.processes if not each.ghost])
        process.ghost, process.silent = True, self.chance.random() < 0.5
        self.queue += process.holds
        self.begin()

    def _raise(self) -> None:
        for process in self.processes:
            for task in process.tasks:
                if task.done():
                    task.result()
            process.tasks = [task for task in process.tasks if not task.done()]
            process.gates = [gate for gate in process.gates if not gate.done()]


async def _asked(world: _World, copies: int, *, faults: int = 0, ghosts: int = 0) -> set[str]:
    """Ask a few questions, with copies, and run until nothing happens any more."""
    questions = [asked(f"{key}{number}", key) for number in range(copies) for key in ("a", "b")[: 1 + copies % 2]]
    world.queue += questions
    await world.run(faults, ghosts)
    return {question.message_id for question in questions}


async def _looked(world: _World) -> None:
    """Let everything become old, and have a process look for those that were left behind, until it finds none."""
    for _ in range(10):
        world.clock.move(_LATER)
        before = world.emitted.copy()
        process = next(each for each in world.processes if not each.ghost)
        work = asyncio.create_task(process.stranded.ask_again(world.clock.time()))
        await world.run(0, 0)
        assert work.done()
        if world.emitted == before and not world.database.rows("parked"):
            return
    raise AssertionError("somebody waits for ever")


SEEDS = st.integers(0, 2**32)
COPIES = st.integers(2, 6)
PROCESSES = st.integers(1, 3)


@settings(max_examples=150)
@given(seed=SEEDS, copies=COPIES, processes=PROCESSES)
def test_each_copy_is_released_once_and_one_leads_at_a_time(seed: int, copies: int, processes: int) -> None:
    """Whatever the order of steps: each question gets one outcome, one of identical ones leads, and claims end."""

    async def go() -> None:
        world = _World(random.Random(seed), processes)
        ids = await _asked(world, copies)
        assert world.emitted == dict.fromkeys(ids, 1)
        assert not world.database.rows("claims")
        assert not world.database.rows("parked")

    asyncio.run(go())


@settings(max_examples=150)
@given(seed=SEEDS, copies=COPIES, processes=PROCESSES, faults=st.integers(1, 8))
def test_nobody_is_lost_in_a_crash(seed: int, copies: int, processes: int, faults: int) -> None:
    """What a process held when it was killed comes again, and every question gets an outcome from that alone."""

    async def go() -> None:
        world = _World(random.Random(seed), processes)
        ids = await _asked(world, copies, faults=faults)
        assert set(world.emitted) == ids
        assert not world.database.rows("claims")
        await _looked(world)

    asyncio.run(go())


@settings(max_examples=150)
@given(seed=SEEDS, copies=COPIES, processes=PROCESSES, faults=st.integers(0, 4), ghosts=st.integers(1, 4))
def test_nobody_is_lost_to_a_process_that_was_taken_for_dead(
    seed: int, copies: int, processes: int, faults: int, ghosts: int
) -> None:
    """It goes on with what others have in hand by now, to any point: after a look everybody has an outcome."""

    async def go() -> None:
        world = _World(random.Random(seed), processes)
        ids = await _asked(world, copies, faults=faults, ghosts=ghosts)
        await _looked(world)
        assert set(world.emitted) == ids
        # a claim that was left behind ends as soon as somebody waits for it
        for key in list(world.database.rows("claims")):
            world.queue.append(asked(f"late {key}", key))
        late = {message.message_id for message in world.queue}
        await world.run(0, 0)
        await _looked(world)
        assert late <= set(world.emitted)

    asyncio.run(go())


@pytest.mark.parametrize("wait", [False, True])
def test_an_outcome_that_comes_again_is_given_the_same(*, wait: bool) -> None:
    """Until the outcomes of those that it took come by; then there is nobody left for it."""

    async def go() -> None:
        async def gate() -> None:
            await asyncio.sleep(0)

        claims = MongoClaims(cast("Connection", FakeConnection(FakeDatabase(), gate)), ManualClock())
        for number in range(4):
            await claims.claim(asked(f"m{number}", "k1"))
        outcome = validated("m0", "k1")
        first = await claims.release(outcome, 2)
        assert await claims.release(outcome, 2) == first
        for each in first:
            copied = validated(each.message_id, "k1", source=Source.COALESCED, leader="m0")
            if wait:
                await claims.release(copied, 1)
        again = await claims.release(outcome, 2)
        assert again == ([] if wait else first)

    asyncio.run(go())
