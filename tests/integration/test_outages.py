"""Outages of endpoints through the whole flow: what they cost in calls, and that they cost no question anything."""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manual_clock import EPOCH, on_virtual_time
from scripted_flow import Fate, Flow, Killed, Script
from tamiz.clock import Clock
from tamiz.errors import Failed, FailureKind, GaveUp, Sign
from tamiz.hosts.embedded import EmbeddedHost
from tamiz.models.base import Prompt, Reply
from tamiz.stages.generate import Generate
from tamiz.statefile import StateFile

COUNT = 200
IN_FLIGHT = 8


class _Server:
    """Answers in a second, but for the time that it is out; then each call fails at once, or after `takes` seconds."""

    name = "server:"
    account = ""

    def __init__(self, clock: Clock, fails: Callable[[float], Failed | None], takes: float = 0.0) -> None:
        self.calls: list[float] = []
        self._clock = clock
        self._fails = fails
        self._takes = takes

    async def ask(self, prompt: Prompt) -> Reply:
        now = self._clock.time() - EPOCH
        self.calls.append(now)
        failed = self._fails(now)
        await self._clock.sleep(1.0 if failed is None else self._takes)
        if failed is not None:
            raise failed
        return Reply(text=f"the reference of {prompt.text}", model="served")

    async def close(self) -> None:
        pass


def out(begin: float, end: float, sign: Sign, *, stated: bool = False) -> Callable[[float], Failed | None]:
    kind = FailureKind.QUOTA if sign is Sign.SPENT else FailureKind.OVERLOAD

    def fails(now: float) -> Failed | None:
        if not begin <= now < end:
            return None
        return Failed(kind, "out", sign=sign, retry_at=EPOCH + end if stated else None)

    return fails


def flow_of(count: int = COUNT, **options: int) -> Flow:
    titles = [f"question {n}" for n in range(count)]
    return Flow(dict.fromkeys(titles, Script()), [(title, 0.0) for title in titles], concurrency=IN_FLIGHT, **options)


def outcomes(state: StateFile) -> dict[str, int]:
    return dict(state.execute("SELECT outcome, count(*) FROM outcomes GROUP BY outcome").fetchall())


@pytest.mark.parametrize("sign", [Sign.LOST, Sign.UNREACHABLE, Sign.ERROR, Sign.SPENT])
def test_an_hour_without_the_provider_costs_probes(sign: Sign) -> None:
    """No question fails, nothing is called but by probes, and soon after the end all are answered."""
    flow = flow_of()

    async def main(clock: Clock) -> tuple[_Server, dict[str, int], float]:
        server = _Server(clock, out(5, 3605, sign))
        with StateFile(":memory:") as state:
            await flow.live(state, clock, model=server)
            return server, outcomes(state), clock.time() - EPOCH

    server, ended, took = on_virtual_time(main)
    assert ended == {"accepted": COUNT}
    assert sum(5 <= call < 3605 for call in server.calls) <= IN_FLIGHT + 105
    assert took <= 3605 + 3600 / 10 + COUNT / IN_FLIGHT + 5


def test_a_stated_time_is_waited_for_without_a_call() -> None:
    flow = flow_of()

    async def main(clock: Clock) -> tuple[_Server, dict[str, int], float]:
        server = _Server(clock, out(5, 3605, Sign.SPENT, stated=True))
        with StateFile(":memory:") as state:
            await flow.live(state, clock, model=server)
            return server, outcomes(state), clock.time() - EPOCH

    server, ended, took = on_virtual_time(main)
    assert ended == {"accepted": COUNT}
    assert sum(5 <= call < 3605 for call in server.calls) <= IN_FLIGHT
    assert took <= 3605 + COUNT / IN_FLIGHT + 5


@given(st.integers(1, 60), st.integers(0, 40))
def test_a_pause_survives_the_process(killed_after: int, again: int) -> None:
    """Killed while it waits, or at any step before: the next process waits on, and neither asks in between."""
    flow = flow_of(20)

    async def main(clock: Clock, path: Path) -> _Server:
        server = _Server(clock, out(1, 3601, Sign.SPENT, stated=True))
        for fate in (Fate(killed_after), Fate(again or 10**9), Fate()):
            with StateFile(path) as state:
                try:
                    await flow.live(state, clock, fate, model=server)
                except Killed:
                    continue
                assert outcomes(state) == {"accepted": 20}
        return server

    with TemporaryDirectory() as folder:
        server = on_virtual_time(lambda clock: main(clock, Path(folder, "tamiz.db")))
    assert sum(1 <= call < 3601 for call in server.calls) <= 3 * IN_FLIGHT


def test_it_gives_up_when_told_and_goes_on_later() -> None:
    """All that is open stays so, and another run ends it."""
    flow = flow_of()

    async def main(clock: Clock, state: StateFile) -> EmbeddedHost:
        with pytest.raises(GaveUp, match="out"):
            await flow.live(state, clock, model=_Server(clock, out(5, 10**9, Sign.LOST)), give_up_after=600)
        assert 605 <= clock.time() - EPOCH <= 620
        before = outcomes(state)["accepted"]
        assert 0 < before < COUNT
        return await flow.live(state, clock, model=_Server(clock, lambda _: None))

    with StateFile(":memory:") as state:
        on_virtual_time(lambda clock: main(clock, state))
        assert outcomes(state) == {"accepted": COUNT}


def test_a_question_that_breaks_the_server_does_not_keep_the_run() -> None:
    """One that is answered with a 500 each time, and one that takes too long each time, fail after their retries."""
    flow = flow_of(3, retries=2)

    class _Picky(_Server):
        async def ask(self, prompt: Prompt) -> Reply:
            if prompt.text == "question 0":
                raise Failed(FailureKind.OVERLOAD, "500", sign=Sign.ERROR)
            if prompt.text == "question 1":
                raise Failed(FailureKind.TIMEOUT, "too slow", sign=Sign.LOST)
            return await super().ask(prompt)

    async def main(clock: Clock) -> dict[str, int]:
        with StateFile(":memory:") as state:
            await flow.live(state, clock, model=_Picky(clock, lambda _: None))
            return outcomes(state)

    assert on_virtual_time(main) == {"accepted": 1, "failed": 2}


def test_memory_does_not_grow_while_it_waits() -> None:
    """Of an input without end only as much is read as can be worked on."""
    flow = flow_of(5000)

    async def main(clock: Clock) -> int:
        with StateFile(":memory:") as state:
            with pytest.raises(GaveUp):
                await flow.live(state, clock, model=_Server(clock, out(0, 10**9, Sign.UNREACHABLE)), give_up_after=3600)
            return int(state.execute("SELECT count(*) FROM questions").fetchone()[0])

    assert on_virtual_time(main) <= 4 * IN_FLIGHT


def test_an_escalation_that_is_down_keeps_nobody_else() -> None:
    """While it waits, first attempts go on; what it is wanted for is deferred, not held in memory."""
    titles = [f"question {n}" for n in range(300)]
    flow = Flow(dict.fromkeys(titles, Script()), [(title, 0.0) for title in titles], concurrency=IN_FLIGHT)

    class _Poor(_Server):
        async def ask(self, prompt: Prompt) -> Reply:
            reply = await super().ask(prompt)
            poor = int(prompt.text.split()[1]) % 2
            return Reply(text="nothing alike", model="poor") if poor else reply

    class _Strong(_Server):
        async def ask(self, prompt: Prompt) -> Reply:
            text = prompt.text.partition("\n")[0]
            return await super().ask(Prompt(text=text, attempt=prompt.attempt, seed=prompt.seed))

    async def main(clock: Clock) -> tuple[_Server, _Server]:
        cheap, strong = _Poor(clock, lambda _: None), _Strong(clock, out(0, 3600, Sign.UNREACHABLE))
        cheap.name, strong.name = "cheap:", "strong:"
        with StateFile(":memory:") as state:
            await flow.live(state, clock, model=cheap, escalate=strong)
            assert outcomes(state) == {"accepted": 300}
        return cheap, strong

    cheap, strong = on_virtual_time(main)
    assert len(cheap.calls) == 300
    assert max(cheap.calls) <= 2 * 300 / IN_FLIGHT
    assert sum(call < 3600 for call in strong.calls) <= IN_FLIGHT + 105
    assert sum(call >= 3600 for call in strong.calls) == 150


class _Opening(Generate):
    """Has no room for so many looks; until then it says that there will be some in a second."""

    def __init__(self, generate: Generate, looks: int) -> None:
        vars(self).update(vars(generate))
        self._looks = looks

    def room(self) -> int:
        self._looks -= 1
        return 0 if self._looks >= 0 else super().room()

    def next_opening(self) -> float | None:
        return self._clock.time() + 1 if self._looks > 0 else None


@pytest.mark.parametrize("looks", range(20))
def test_an_endpoint_that_opens_between_two_looks_is_not_missed(looks: int) -> None:
    """Also just after the host found no room, and before it asks how long to wait."""
    flow = flow_of(1)

    async def main(clock: Clock) -> dict[str, int]:
        with StateFile(":memory:") as state:
            await flow.live(state, clock, calling=lambda generate: _Opening(generate, looks))
            return outcomes(state)

    assert on_virtual_time(main) == {"accepted": 1}
