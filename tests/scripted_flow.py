"""The whole flow on the embedded host, with a model that follows a script and a process that can die at any point."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from tamiz.bus.sqlite import SqliteBus
from tamiz.cache import make_cache
from tamiz.clock import Clock
from tamiz.effects import Effects, Stage
from tamiz.errors import Failed, FailureKind
from tamiz.hosts.embedded import EmbeddedHost
from tamiz.hosts.seams import Calling
from tamiz.hosts.spending import Budget, Spending
from tamiz.identity import cache_key
from tamiz.messages import Event, Outcome, QuestionAsked, Terminal
from tamiz.models.base import Model, Reply, Simulator
from tamiz.models.endpoint import Endpoint
from tamiz.models.fleet import Fleet
from tamiz.policy import Policy
from tamiz.prompt import DEFAULT
from tamiz.scorers import make_scorer
from tamiz.stages.generate import Generate
from tamiz.stages.intake import Intake
from tamiz.stages.judge import Judge
from tamiz.stages.persist import Persist
from tamiz.stages.retry import Backoff, Retry
from tamiz.statefile import StateFile
from tamiz.store.sqlite import SqliteAnswers, SqliteClaims, SqliteDeferrals, SqliteEndpoints

__all__ = ["End", "Fate", "Flow", "Killed", "Line", "Script"]

FINAL: Final = (FailureKind.INVALID, FailureKind.FATAL)


class Line(msgspec.Struct, frozen=True):
    """One attempt: the calls that fail, then the answer."""

    failures: tuple[FailureKind, ...] = ()
    good: bool = True


class Script(msgspec.Struct, frozen=True):
    """What a model does with one question; the last line goes for all attempts after it."""

    lines: tuple[Line, ...] = (Line(),)
    latency: float = 0.0

    def line(self, attempt: int) -> Line:
        """Give the line for an attempt, from 1."""
        return self.lines[min(attempt, len(self.lines)) - 1]


class End(msgspec.Struct, frozen=True):
    """How a question has to end, and what that takes."""

    outcome: Outcome
    attempts: int
    retries: int
    refused: int

    @classmethod
    def of(cls, script: Script, attempts: int, retries: int) -> "End":
        """Work it out from the rules alone."""
        failures = 0
        for attempt in range(1, attempts + 1):
            line, counted = script.line(attempt), 0
            for kind in line.failures:
                failures += 1
                counted += kind is not FailureKind.QUOTA
                if kind in FINAL or counted > retries:
                    return cls(Outcome.FAILED, attempt - 1, failures, attempt - 1)
            if line.good:
                return cls(Outcome.ACCEPTED, attempt, failures, attempt - 1)
        return cls(Outcome.EXHAUSTED, attempts, failures, attempts)


class Killed(Exception):
    """The process died."""


class Fate:
    """What happens to a process at its n-th step: it is killed, or asked to stop."""

    def __init__(self, after: int = 10**9, how: str = "kill") -> None:
        self._left = after
        self._how = how
        self.state: StateFile | None = None
        self.host: EmbeddedHost | None = None

    def step(self) -> None:
        """Let a step happen. A dead process does nothing any more: each step after its death fails too."""
        self._left -= 1
        if self._left > 0:
            return
        if self._how == "kill" and self.state is not None:
            self.state.abandon()
            raise Killed
        if self._left == 0 and self.host is not None:
            self.host.stop(grace=self._how == "stop")


class _Scripted(Simulator):
    """Plays the script; two calls for one question at once are an error."""

    def __init__(self, flow: "Flow", clock: Clock, fate: Fate) -> None:
        self.name = "scripted:"
        self._flow = flow
        self._clock = clock
        self._fate = fate
        self._in_flight: set[str] = set()

    async def simulate(self, question: str, best_answer: str | None, attempt: int, retry: int) -> Reply:
        """Take the time of a call, then fail or answer."""
        assert question not in self._in_flight, "a second call for a question in flight"
        self._flow.calls[question] += 1
        script = self._flow.scripts[question]
        self._in_flight.add(question)
        try:
            self._fate.step()
            await self._clock.sleep(script.latency)
            self._fate.step()
        finally:
            self._in_flight.remove(question)
        line = script.line(attempt)
        if retry < len(line.failures):
            kind = line.failures[retry]
            raise Failed(kind, "scripted", retry_at=self._clock.time() + 3600 if kind is FailureKind.QUOTA else None)
        return Reply(text=str(best_answer) if line.good else "nothing alike", model="scripted")

    async def close(self) -> None:
        """Hold nothing."""


class _Watched:
    """A stage; the process may die before and after each event."""

    def __init__(self, stage: Stage, fate: Fate) -> None:
        self.reads = stage.reads
        self._stage = stage
        self._fate = fate

    async def handle(self, event: Event) -> Effects:
        """Hand the event on."""
        self._fate.step()
        effects = await self._stage.handle(event)
        self._fate.step()
        return effects


class _Feed:
    """Gives the questions that the store does not know, each after its pause."""

    def __init__(self, flow: "Flow", answers: SqliteAnswers, clock: Clock, fate: Fate) -> None:
        self._flow = flow
        self._answers = answers
        self._clock = clock
        self._fate = fate
        self._position = 0

    async def next(self, limit: int) -> Effects | None:
        """Give up to `limit` of them; a pause ends a chunk."""
        assert limit > 0
        self._fate.step()
        chunk: list[QuestionAsked] = []
        while self._position < len(self._flow.questions) and len(chunk) < limit:
            question, pause = self._flow.questions[self._position]
            if pause and chunk:
                break
            await self._clock.sleep(pause)
            chunk.append(question)
            self._position += 1
        if not chunk:
            return None
        unknown = await self._answers.unknown([question.message_id for question in chunk])
        new = tuple(question for question in chunk if question.message_id in unknown)
        return Effects(emit=new, record=new)


class Flow:
    """Questions, the script for them, and the record of what happened over any number of processes."""

    def __init__(
        self,
        scripts: dict[str, Script],
        order: Sequence[tuple[str, float]],
        *,
        attempts: int = 3,
        retries: int = 2,
        concurrency: int = 4,
        cache_size: int = 10,
    ) -> None:
        """`order` are titles, in the order they are asked, each with the seconds of the pause before it."""
        self.scripts = scripts
        self.policy = Policy(threshold=0.5, attempts=attempts)
        self.retries = retries
        self.concurrency = concurrency
        self.cache_size = cache_size
        self.questions = [(_question(n, title), pause) for n, (title, pause) in enumerate(order)]
        self.calls: Counter[str] = Counter()
        self.told: Counter[str] = Counter()
        """How often it was said of a submission that its outcome is durable."""
        self.finished_at: dict[str, float] = {}

    def end_of(self, title: str) -> End:
        """Give how every submission of a question has to end."""
        return End.of(self.scripts[title], self.policy.attempts, self.retries)

    async def live(
        self,
        state: StateFile,
        clock: Clock,
        fate: Fate | None = None,
        *,
        model: Model | None = None,
        escalate: Model | None = None,
        max_calls: int | None = None,
        give_up_after: float | None = None,
        calling: Callable[[Generate], Calling] = lambda generate: generate,
    ) -> EmbeddedHost:
        """Run one process until nothing is left, or until its fate. It is `Killed`, or returns."""
        fate = fate or Fate()
        answers, claims, deferrals = SqliteAnswers(state, clock), SqliteClaims(state), SqliteDeferrals(state)
        cache = make_cache("lru", self.cache_size, None, clock)
        endpoints = SqliteEndpoints(state)
        endpoint = Endpoint(model or _Scripted(self, clock, fate), clock, self.concurrency)
        later = [] if escalate is None else [Endpoint(escalate, clock, self.concurrency)]
        fleet = Fleet([endpoint], later, clock=clock, give_up_after=give_up_after)
        fleet.restore(await endpoints.states())
        generate = Generate(fleet, DEFAULT.render, clock, 0)
        plain: dict[str, Stage] = {
            "intake": Intake(cache, answers, claims, self.policy),
            "generate": generate,
            "retry": Retry(retries=self.retries, fleet=fleet, clock=clock, random=lambda: 0.5, backoff=Backoff()),
            "judge": Judge(make_scorer("tfidf"), self.policy),
            "persist": Persist(),
        }
        stages: dict[str, Stage] = {name: _Watched(stage, fate) for name, stage in plain.items()}
        self._clock = clock
        host = EmbeddedHost(
            state=state,
            bus=SqliteBus(state, {name: stage.reads for name, stage in stages.items()}),
            answers=answers,
            deferrals=deferrals,
            endpoints=endpoints,
            stages=stages,
            calling=calling(generate),
            concurrency=self.concurrency,
            spending=Spending(state, Budget(calls=max_calls)),
            clock=clock,
            listener=self,
        )
        fate.state, fate.host = state, host
        state.before_commit(fate.step)  # the last of them: everything is written by then, and not yet committed
        await host.run(_Feed(self, answers, clock, fate))
        return host

    def committed(self, asked: Sequence[str], finished: Sequence[Terminal]) -> None:  # noqa: ARG002
        """Take note, as the host's listener."""
        ids = [outcome.message_id for outcome in finished]
        self.told.update(ids)
        self.finished_at.update(dict.fromkeys(ids, self._clock.monotonic()))


def _question(number: int, title: str) -> QuestionAsked:
    reference = f"the reference of {title}"
    told: dict[str, Any] = {"trace_id": f"t{number}", "question_id": None, "created_at": float(number)}
    key = cache_key(title, "", reference, "scripted")
    return QuestionAsked(message_id=f"m{number:06}", title=title, best_answer=reference, cache_key=key, **told)
