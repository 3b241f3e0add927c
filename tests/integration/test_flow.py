"""What always holds, over whole runs: scripted faults, duplicates, and a process that dies wherever it can."""

from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from manual_clock import on_virtual_time
from scripted_flow import Fate, Flow, Killed, Line, Script
from tamiz.clock import Clock
from tamiz.errors import FailureKind, ModelRefused
from tamiz.messages import Outcome, Source
from tamiz.models.base import Prompt, Reply
from tamiz.statefile import StateFile

TITLES = [f"question {word}" for word in ("one", "two", "three", "four")]

LINES = st.builds(
    Line,
    failures=st.lists(
        st.sampled_from([FailureKind.OVERLOAD, FailureKind.TIMEOUT, FailureKind.QUOTA] * 2 + [FailureKind.FATAL]),
        max_size=3,
    ).map(tuple),
    good=st.booleans(),
)
SCRIPTS = st.builds(
    Script, lines=st.lists(LINES, min_size=1, max_size=3).map(tuple), latency=st.sampled_from([0.0, 0.001, 1.0, 7.0])
)
FLOWS = st.builds(
    Flow,
    st.fixed_dictionaries(dict.fromkeys(TITLES, SCRIPTS)),
    st.lists(st.tuples(st.sampled_from(TITLES), st.sampled_from([0.0, 0.0, 0.0, 0.002, 3.0])), max_size=25),
    attempts=st.integers(1, 3),
    retries=st.integers(0, 2),
    concurrency=st.integers(1, 6),
    cache_size=st.sampled_from([0, 1, 10]),
)
FATES = st.lists(st.tuples(st.integers(1, 120), st.sampled_from(["kill", "kill", "stop", "drop"])), max_size=5)


def play(flow: Flow, state: StateFile) -> float:
    """Run a flow to its end in one process, and give how long it took."""

    async def main(clock: Clock) -> float:
        await flow.live(state, clock)
        return clock.monotonic()

    return on_virtual_time(main)


def select(state: StateFile, columns: str, rest: str) -> list[tuple[Any, ...]]:
    return state.execute(f"SELECT {columns} FROM {rest}").fetchall()  # noqa: S608 - constants


def check(flow: Flow, state: StateFile) -> Counter[str]:
    """Check what always holds of a flow that has come to its end; give the calls that its outcomes account for."""
    asked = {question.message_id: question for question, _ in flow.questions}
    columns = ("message_id", "outcome", "source", "answer", "score", "attempts", "retries", "leader", "reason")
    found = {row[0]: dict(zip(columns, row, strict=True)) for row in select(state, ", ".join(columns), "outcomes")}
    refused = Counter(row[0] for row in select(state, "message_id", "attempts WHERE result = 'refused'"))
    failed = Counter(row[0] for row in select(state, "message_id", "attempts WHERE result <> 'refused'"))

    # one terminal outcome for each submission, and nobody was told of one twice
    assert found.keys() == asked.keys()
    assert {row[0] for row in select(state, "message_id", "questions")} == asked.keys()
    assert flow.told.keys() <= asked.keys()
    assert set(flow.told.values()) <= {1}

    led: Counter[str] = Counter()
    calls: Counter[str] = Counter()
    for message_id, row in found.items():
        title = asked[message_id].title
        end = flow.end_of(title)
        # the outcome is the one that the rules give, whatever happened on the way
        assert row["outcome"] == end.outcome
        if row["source"] == Source.MODEL:
            assert (row["attempts"], row["retries"], row["leader"]) == (end.attempts, end.retries, message_id)
            assert (refused[message_id], failed[message_id]) == (end.refused, end.retries)
            led[title] += 1
            calls[title] += end.attempts + end.retries
            continue
        # what was reused cost nothing, and is what its leader or an accepted answer says
        assert (row["attempts"], row["retries"], refused[message_id], failed[message_id]) == (0, 0, 0, 0)
        if row["source"] == Source.COALESCED:
            leader = found[row["leader"]]
            assert (leader["source"], asked[leader["message_id"]].title) == (Source.MODEL, title)
            assert [row[name] for name in ("answer", "score", "reason")] == [
                leader[name] for name in ("answer", "score", "reason")
            ]
        else:
            assert row["outcome"] == Outcome.ACCEPTED
            assert row["score"] >= flow.policy.threshold
            assert row["answer"] == asked[message_id].best_answer
    # an accepted answer is asked for once, ever
    assert all(led[title] == 1 for title in led if flow.end_of(title).outcome is Outcome.ACCEPTED)

    for table in ("log", "claims", "parked", "deferrals"):
        assert select(state, "count(*)", table) == [(0,)], f"{table} is not empty"
    return calls


@given(FLOWS)
def test_a_run_in_memory(flow: Flow) -> None:
    """Whatever the questions, faults and answers are: each call is accounted for by one outcome, and each outcome told.

    (The model itself refuses a second call for a question in flight.)
    """
    with StateFile(":memory:") as state:
        play(flow, state)
        assert check(flow, state) == flow.calls
        assert flow.told == Counter(question.message_id for question, _ in flow.questions)
        assert select(state, "coalesce(sum(calls), 0)", "usage") == [(flow.calls.total(),)]


def live_and_die(flow: Flow, fates: list[tuple[int, str]]) -> Counter[str]:
    """Run a flow in one process for each fate and a last one that has none; give the calls that were repeated."""

    async def main(clock: Clock) -> None:
        for after, how in [*fates, (10**9, "kill")]:
            with StateFile(path) as state:
                try:
                    await flow.live(state, clock, Fate(after, how))
                except Killed:
                    assert how == "kill"

    with TemporaryDirectory() as folder:
        path = Path(folder, "tamiz.db")
        on_virtual_time(main)
        with StateFile(path) as state:
            needed = check(flow, state)
    assert needed <= flow.calls
    return flow.calls - needed


@settings(max_examples=60)
@given(FLOWS, FATES)
def test_a_run_over_many_lives(flow: Flow, fates: list[tuple[int, str]]) -> None:
    """Killed or stopped at any step, any number of times: the next process ends what the last one left.

    No question is lost, none ends twice or otherwise than without the crashes, and the only thing that happens again is
    a call that had not been committed: at most as many as may be in flight, for each life.
    """
    assert live_and_die(flow, fates).total() <= len(fates) * flow.concurrency


def test_killed_at_any_step() -> None:
    """Every step of a small run, one after another: never more calls are repeated than may be in flight at once.

    The answers come at once here, so that without a limit all of them would be under way before the first commit.
    """
    titles = [f"question {n}" for n in range(8)]
    order = [(title, 0.0) for title in [*titles, *titles[:2]]]
    for step in range(1, 90):
        flow = Flow(dict.fromkeys(titles, Script()), order, concurrency=2)
        repeated = live_and_die(flow, [(step, "kill")])
        assert repeated.total() <= 2
        assert max(repeated.values(), default=1) == 1


def test_a_thousand_copies_are_one_call() -> None:
    """The first asks the model, all others wait for it: in memory and messages as little as one."""
    flow = Flow({"q": Script(latency=1.0)}, [("q", 0.0)] * 1000, concurrency=64)
    with StateFile(":memory:") as state:
        took = play(flow, state)
        check(flow, state)
        assert flow.calls == {"q": 1}
        sources = Counter(row[0] for row in select(state, "source", "outcomes"))
        assert sources == {Source.MODEL: 1, Source.COALESCED: 999}
        assert took < 2


@pytest.mark.parametrize("line", [Line(good=False), Line((FailureKind.FATAL,))])
def test_copies_of_a_question_that_fails_share_its_end(line: Line) -> None:
    """They do not become a thousand failures of their own."""
    flow = Flow({"q": Script((line,), latency=1.0)}, [("q", 0.0)] * 1000, attempts=2)
    with StateFile(":memory:") as state:
        play(flow, state)
        check(flow, state)
        assert flow.calls.total() == (1 if line.failures else 2)


def test_a_failed_answer_is_not_reused() -> None:
    """Who asks after a question failed or was exhausted asks the model again."""
    scripts = {"fails": Script((Line((FailureKind.FATAL,)),)), "poor": Script((Line(good=False),))}
    order = [("fails", 0.0), ("poor", 0.0)] + [("fails", 100.0), ("poor", 0.0)] * 2
    flow = Flow(scripts, order, attempts=1)
    with StateFile(":memory:") as state:
        play(flow, state)
        check(flow, state)
        assert flow.calls == {"fails": 3, "poor": 3}


def test_five_thousand_deferred_retries_block_nobody() -> None:
    """While they wait for an hour others are answered at once; when it is over all are, and no sooner."""
    slow = {f"slow {n}": Script((Line((FailureKind.QUOTA,)),), latency=0.01) for n in range(5000)}
    fast = {f"fast {n}": Script(latency=0.01) for n in range(200)}
    order = [(title, 0.0) for title in slow] + [(title, 0.0) for title in fast]
    flow = Flow(slow | fast, order, concurrency=64)
    with StateFile(":memory:") as state:
        took = play(flow, state)
        check(flow, state)
    ids = {question.title: question.message_id for question, _ in flow.questions}
    assert max(flow.finished_at[ids[title]] for title in fast) < 60
    assert min(flow.finished_at[ids[title]] for title in slow) >= 3600
    assert took < 3660
    assert flow.calls.total() == 10_200


def test_waiting_takes_no_calls() -> None:
    """A quota that is back in an hour is asked for once in between, not polled."""
    flow = Flow({"q": Script((Line((FailureKind.QUOTA,) * 3),))}, [("q", 0.0)], retries=0)
    with StateFile(":memory:") as state:
        assert 3 * 3600 <= play(flow, state) < 3 * 3600 + 60
        check(flow, state)
        assert flow.calls == {"q": 4}


class _Refusing:
    """A server that takes no key."""

    name = "refusing:"
    account = ""

    async def ask(self, prompt: Prompt) -> Reply:
        raise ModelRefused(f"no key, {prompt.attempt}")

    async def close(self) -> None:
        pass


def test_a_refused_model_costs_no_question_anything(tmp_path: Path) -> None:
    """The run stops with the reason; the next one, with the right key, goes on as if nothing had happened."""
    flow = Flow({title: Script() for title in TITLES}, [(title, 0.0) for title in TITLES * 5])

    async def main(clock: Clock) -> None:
        with StateFile(tmp_path / "tamiz.db") as state:
            with pytest.raises(ModelRefused):
                await flow.live(state, clock, model=_Refusing())
            assert select(state, "count(*)", "outcomes") == [(0,)]
            assert select(state, "count(*)", "attempts") == [(0,)]
        with StateFile(tmp_path / "tamiz.db") as state:
            await flow.live(state, clock)
            check(flow, state)

    on_virtual_time(main)
    assert flow.calls == dict.fromkeys(TITLES, 1)


@settings(max_examples=30)
@given(FLOWS, st.lists(st.integers(0, 6), max_size=4))
def test_a_budget_of_calls_is_kept_over_all_lives(flow: Flow, budgets: list[int]) -> None:
    """Never a call more than allowed, also over restarts; what is left then is done when there is more."""

    async def main(clock: Clock) -> None:
        allowed = 0
        for more in budgets:
            allowed += more
            with StateFile(path) as state:
                host = await flow.live(state, clock, max_calls=allowed)
                assert flow.calls.total() <= allowed
                if host.budget_spent:
                    assert flow.calls.total() == allowed
        with StateFile(path) as state:
            await flow.live(state, clock)
            assert check(flow, state) == flow.calls

    with TemporaryDirectory() as folder:
        path = Path(folder, "tamiz.db")
        on_virtual_time(main)
