"""The embedded service: the flow in this process, on a state file, taking questions in for as long as it runs."""

import asyncio
import random
from collections.abc import Sequence
from typing import Final, Self

import msgspec

from tamiz.bus.sqlite import SqliteBus
from tamiz.clock import Clock
from tamiz.effects import Deferred, Effects
from tamiz.errors import BudgetSpent, UsageError
from tamiz.hosts.batch import agree_on_settings
from tamiz.hosts.desk import Queue, Stopping
from tamiz.hosts.embedded import EmbeddedHost
from tamiz.hosts.flow import STAGES, Flow, make_flow
from tamiz.hosts.shape import Shape
from tamiz.hosts.spending import Budget, Spending
from tamiz.messages import QuestionAsked, Terminal, ValidatedResponse
from tamiz.models.factory import make_fleet
from tamiz.models.fleet import Fleet
from tamiz.policy import Policy
from tamiz.prompt import PromptTemplate, read_template
from tamiz.scorers import make_scorer
from tamiz.scoring import Scorer
from tamiz.settings import Settings
from tamiz.statefile import StateFile
from tamiz.store.lives import Replayed
from tamiz.store.sqlite import SqliteAnswers, SqliteClaims, SqliteDeferrals, SqliteEndpoints
from tamiz.store.sqlite.replay import put_back
from tamiz.telemetry.observer import Observer

__all__ = ["EmbeddedService", "Service"]

_AT_ONCE: Final = 500


class Service(msgspec.Struct, kw_only=True):
    """Everything checked and ready before the state file is touched."""

    settings: Settings
    fleet: Fleet
    template: PromptTemplate
    scorer: Scorer
    clock: Clock

    @classmethod
    def prepare(cls, settings: Settings, clock: Clock) -> Self:
        """Check all that can be checked. Raises `UsageError` for a wrong setting or a model that cannot be made."""
        return cls(
            settings=settings,
            fleet=make_fleet(settings, clock),
            template=read_template(settings.prompt),
            scorer=make_scorer(settings.scorer, settings.check),
            clock=clock,
        )

    @property
    def shape(self) -> Shape:
        """The settings that shape outcomes."""
        return Shape.of(self.settings, self.template)


class EmbeddedService:
    """A desk whose stages run in this process.

    Raises `UsageError` where the state file has open questions that were asked under other settings.
    """

    def __init__(self, service: Service, state: StateFile, observer: Observer | None = None) -> None:
        settings, clock = service.settings, service.clock
        shape = service.shape
        agree_on_settings(state, shape.settings)
        state.set_meta(settings=shape.digest)
        budget = Budget(calls=settings.max_calls, tokens=settings.max_tokens)
        self.queue = Queue(settings.queue, clock)
        self._state = state
        self._fleet = service.fleet
        self._clock = clock
        self._shape = shape
        self._answers = SqliteAnswers(state, clock)
        self._endpoints = SqliteEndpoints(state)
        self._deferrals = SqliteDeferrals(state)
        self.flow: Flow = make_flow(
            settings,
            names=STAGES,
            fleet=service.fleet,
            template=service.template,
            scorer=service.scorer,
            clock=clock,
            answers=self._answers,
            claims=SqliteClaims(state),
            jitter=random.Random(settings.seed).random,  # noqa: S311 - jitter
        )
        if self.flow.generate is None or self.flow.intake is None:
            raise UsageError("no model given")
        self._intake = self.flow.intake
        self.host = EmbeddedHost(
            state=state,
            bus=SqliteBus(state, {name: stage.reads for name, stage in self.flow.stages.items()}),
            answers=self._answers,
            deferrals=self._deferrals,
            endpoints=self._endpoints,
            stages=self.flow.stages,
            calling=self.flow.generate,
            concurrency=settings.concurrency,
            spending=Spending(state, budget),
            clock=clock,
            listener=self,
            observer=observer,
        )
        self._budget = budget
        self._durable: dict[str, asyncio.Future[None]] = {}

    async def run(self) -> None:
        """Serve until `stop`. Raises what made the flow stop; what was taken in goes on with the next process.

        Raises `BudgetSpent` where no call may be made any more.
        """
        for gone in self._fleet.restore(await self._endpoints.states()):
            await self._endpoints.save(gone)
        try:
            await self.host.run(_Nothing())
            if self.host.budget_spent and self.queue.stopping is None:
                spent = f"the budget is spent ({self._budget})"
                self.queue.stop(f"{spent} and the service stops")
                raise BudgetSpent(f"{spent}: what is open is kept, and goes on with a larger one")
        finally:
            why = self.queue.stop()
            for waiting in self._durable.values():
                if not waiting.done():
                    waiting.set_exception(Stopping(why))
            self._durable.clear()
            self.queue.give_up()
            await self._fleet.close()

    def stop(self, *, grace: bool) -> None:
        """Take nothing more in; see `EmbeddedHost.stop`."""
        self.queue.stop()
        self.host.stop(grace=grace)

    async def waiting(self) -> dict[str, int]:
        """Give how many questions wait in the state file, by what they wait for."""
        counted = {"deferred": "deferrals", "parked": "parked"}
        found = {what: self._state.execute(f"SELECT count(*) FROM {table}") for what, table in counted.items()}  # noqa: S608 - constants
        return {what: rows.fetchone()[0] for what, rows in found.items()}

    @property
    def broken(self) -> bool:
        """Whether the state file takes nothing more."""
        return self._state.broken

    @property
    def policy(self) -> Policy:
        """What an answer must reach; it may be replaced while the service runs."""
        return self._intake.policy

    @policy.setter
    def policy(self, policy: Policy) -> None:
        self._intake.policy = policy
        if self.flow.judge is not None:
            self.flow.judge.policy = policy

    async def known(self, asked: QuestionAsked) -> ValidatedResponse | None:
        """See `Desk.known`."""
        return await self._intake.known(asked)

    async def submit(self, asked: QuestionAsked) -> None:
        """See `Desk.submit`."""
        self.queue.enter(asked.message_id)
        durable = asyncio.get_running_loop().create_future()
        self._durable[asked.message_id] = durable
        try:
            await self.host.submit(Effects(emit=(asked,), record=(asked,)))
        except BaseException:
            self._durable.pop(asked.message_id, None)
            self.queue.leave(asked.message_id)
            raise
        await asyncio.shield(durable)

    async def record(self, asked: QuestionAsked, outcome: ValidatedResponse) -> None:
        """See `Desk.record`."""
        if self.queue.stopping is None:
            await self.host.submit(Effects(record=(asked, outcome)))

    async def replay(self, message_ids: Sequence[str]) -> Replayed:
        """Put dead letters back, within the flow's own transaction."""
        replayed, now = Replayed(), self._clock.time()
        for start in range(0, len(message_ids), _AT_ONCE):
            chunk = message_ids[start : start + _AT_ONCE]
            back = put_back(self._state, chunk, self._shape.digest, replayed)
            await self.host.submit(Effects(defer=tuple(Deferred(question, now) for question in back)))
        return replayed

    def committed(self, asked: Sequence[str], finished: Sequence[Terminal]) -> None:
        """Have those who wait for something know that it is durable; the host calls it."""
        for message_id in asked:
            if (durable := self._durable.pop(message_id, None)) is not None and not durable.done():
                durable.set_result(None)
        self.queue.ended(finished)


class _Nothing:
    """A feed that never has a question, and never ends: they come by `submit`."""

    async def next(self, limit: int) -> Effects | None:  # noqa: ARG002 - the protocol's
        """Wait for ever."""
        await asyncio.Event().wait()
        return None
