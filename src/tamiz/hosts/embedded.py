"""The embedded host: every stage in one process, on one state file.

One loop hands events to the stages that do not wait, one after another, without a task or a switch; each model call is
a task. What an event caused (its acknowledgement, what it emits, what it records) joins the open transaction, which
spans many events (see `commits.py`). So a crash repeats exactly what was not committed, and the only thing outside that
can happen twice is a model call whose answer had not been committed. A call keeps its slot until then: those that can
happen twice are never more than `concurrency`.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sized
from typing import Final

from tamiz.bus.base import Delivery
from tamiz.bus.sqlite import SqliteBus
from tamiz.clock import Clock
from tamiz.effects import Effects, Stage
from tamiz.errors import ModelRefused
from tamiz.hosts.commits import Commits, Listener
from tamiz.hosts.counters import Counters
from tamiz.hosts.seams import Calling, Feed
from tamiz.hosts.spending import Spending
from tamiz.messages import DeadLetter, Event, LlmError, LlmRequest, LlmResponse, QuestionAsked, ValidatedResponse
from tamiz.statefile import StateFile
from tamiz.store.base import Answers, Deferrals, Endpoints
from tamiz.telemetry.observer import Observer

__all__ = ["EmbeddedHost"]

_SLICE: Final = 32
"""Deliveries handled before the event loop gets its turn."""
_GRACE: Final = 8.0
"""Seconds that calls in flight get to finish when the host is asked to stop."""

_DOWNSTREAM_FIRST: Final = ("persist", "judge", "retry", "intake")
"""The order in which groups are served: what is nearest to its end goes first, so that little is under way."""


class EmbeddedHost:
    """Runs the flow until nothing is left to do, a budget is spent, or it is asked to stop.

    The feed is read only as fast as the flow takes it up, so memory does not grow with the length of the input.
    """

    def __init__(
        self,
        *,
        state: StateFile,
        bus: SqliteBus,
        answers: Answers,
        deferrals: Deferrals,
        endpoints: Endpoints,
        stages: Mapping[str, Stage],
        calling: Calling,
        concurrency: int,
        spending: Spending,
        clock: Clock,
        listener: Listener,
        observer: Observer | None = None,
    ) -> None:
        self.counters = Counters()
        self.budget_spent = False
        self._state = state
        self._bus = bus
        self._answers = answers
        self._deferrals = deferrals
        self._endpoints = endpoints
        self._stages = stages
        self._calling = calling
        self._concurrency = concurrency
        self._spending = spending
        self._clock = clock
        self._commits = Commits(state, clock, listener)
        self._observer = observer
        self._wake = asyncio.Event()
        self._calls: set[asyncio.Task[None]] = set()
        self._short_of_room = False  # whether that kept calls from being started
        self._held: deque[Delivery] = deque()  # received, and waiting for a place or a part of the budget
        self._failure: BaseException | None = None
        self._refused: ModelRefused | None = None
        self._stopping = False
        self._stop_by: float | None = None
        self._fed = False
        self._room = asyncio.Event()
        self._next_due: float | None = None

    @property
    def fed(self) -> bool:
        """Whether the feed has given its last question."""
        return self._fed

    @property
    def next_due(self) -> float | None:
        """When the next deferred event is due, in seconds since the epoch."""
        return self._next_due

    @property
    def out_of_time(self) -> bool:
        """Whether it was asked to stop, and the time that it got for that is over."""
        return self._stop_by is not None and self._clock.monotonic() >= self._stop_by

    def waiting(self) -> dict[str, int]:
        """Give how many events each stage has still to take up."""
        found = {name: self._bus.waiting(name) for name in self._stages}
        return {**found, "generate": found["generate"] + len(self._held)}

    def stop(self, *, grace: bool) -> None:
        """Ask the host to stop: no new questions and no new calls.

        With `grace` those in flight get a few seconds to finish; without, they are abandoned (and repeated next time).
        """
        self._stopping = True
        self._stop_by = self._clock.monotonic() + (_GRACE if grace else 0)
        self._wake.set()

    async def submit(self, effects: Effects) -> None:
        """Take in questions at once, whatever room there is; the listener hears when they are durable.

        Raises `StateError` where the state file takes nothing more.
        """
        await self._carry_out(effects)
        if self._observer is not None:
            self._observer.hop("desk", None, effects, 0.0)
        self._wake.set()

    async def run(self, feed: Feed) -> None:
        """Take the feed's questions and those left from before to their outcomes.

        Returns when all have one, when a budget is spent (`budget_spent`) or after `stop`; everything is committed
        then. Raises what a stage, the feed, the model or the state file raised; what was handled before is committed.
        """
        self._next_due = await self._deferrals.next_due()
        feeder = asyncio.create_task(self._feed(feed))
        try:
            await self._loop()
        finally:
            self.counters.abandoned = len(self._calls)
            tasks = [feeder, *self._calls]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            if not self._state.broken:
                self._commit()
            await self._commits.close()
        if (failure := self._failure or self._commits.failure or self._refused) is not None:
            raise failure

    async def _loop(self) -> None:
        while not self._done():
            self._wake.clear()
            more = await self._work()
            if self._commits.due_in(idle=not more, starved=self._starved()) == 0:
                self._commit()
            await self._start_calls()
            if more:
                await asyncio.sleep(0)
            elif not self._done():
                await self._wait(self._commits.due_in(idle=True, starved=self._starved()))

    def _done(self) -> bool:
        if self._failure is not None or self._commits.failure is not None:
            return True
        if self._calls:
            return self.out_of_time
        if self._stopping or self.budget_spent:
            return not any(self._bus.waiting(group) for group in _DOWNSTREAM_FIRST)
        return self._fed and not self._bus.open and self._next_due is None

    async def _work(self) -> bool:
        """Take due events and handle a slice of deliveries; tell whether there are more."""
        if self._next_due is not None and self._next_due <= self._clock.time() and (room := self._room_for()) > 0:
            due = await self._deferrals.due(self._clock.time(), room)
            await self._bus.publish([each.event for each in due])
            await self._deferrals.sent(due)
            self._next_due = await self._deferrals.next_due()
            self._commits.dirty = True
        for _ in range(_SLICE):
            delivery = self._receive()
            if delivery is None:
                return False
            began = 0.0 if self._observer is None else self._clock.monotonic()
            try:
                await self._apply(delivery, await self._stages[delivery.group].handle(delivery.event), began)
            except BaseException:
                # the stage may have claimed or released already: only the whole transaction can be taken back
                self._state.abandon()
                raise
        return True

    def _receive(self) -> Delivery | None:
        for group in _DOWNSTREAM_FIRST:
            delivery = self._bus.receive(group)
            if delivery is not None:
                return delivery
        return None

    async def _apply(self, delivery: Delivery, effects: Effects, began: float) -> None:
        self._bus.acknowledge(delivery)
        await self._carry_out(effects)
        if self._observer is not None:
            self._observer.hop(delivery.group, delivery.event, effects, self._clock.monotonic() - began)

    async def _carry_out(self, effects: Effects) -> None:
        try:
            await self._carry_out_all(effects)
        except BaseException:
            # half of the effects may be written: only the whole transaction can be taken back
            self._state.abandon()
            raise

    async def _carry_out_all(self, effects: Effects) -> None:
        self._commits.dirty = True
        for event in effects.record:
            await self._answers.record(event)
            self.counters.count(event)
            if isinstance(event, (ValidatedResponse, DeadLetter)):
                self._commits.finished.append(event)
            elif isinstance(event, QuestionAsked):
                self._commits.asked.append(event.message_id)
        for state in effects.endpoints:
            await self._endpoints.save(state)
        for deferred in effects.defer:
            await self._deferrals.defer(deferred)
            if self._next_due is None or deferred.due < self._next_due:
                self._next_due = deferred.due
        if effects.emit:
            await self._bus.publish(effects.emit)

    async def _start_calls(self) -> None:
        ready: list[tuple[Delivery, Callable[[], Awaitable[Effects]], int | None]] = []
        for delivery in self._candidates(ready):
            tokens = self._tokens_at_most(delivery.event)
            if not self._spending.reserve(tokens):
                self._held.appendleft(delivery)
                self.budget_spent = self._spending.spent(tokens)
                break
            call: Callable[[], Awaitable[Effects]] | Effects | None = None
            try:
                call = self._calling.admit(delivery.event)
            finally:
                if call is None or isinstance(call, Effects):
                    self._spending.release(tokens)
            if call is None:
                self._held.append(delivery)
            elif isinstance(call, Effects):
                await self._apply(delivery, call, self._clock.monotonic())
            else:
                ready.append((delivery, call, tokens))
        if ready and self._spending.limited:
            self._commit()  # what a call may cost is on record before it is made
        for delivery, call, tokens in ready:
            self.counters.calls += 1
            self._calls.add(asyncio.create_task(self._call(delivery, call, tokens)))
        self.counters.in_flight = len(self._calls)
        if self._room_for() > 0:
            self._room.set()

    def _candidates(self, ready: Sized) -> Iterator[Delivery]:
        """Receive calls that may be worth a try, as long as there are slots for more than those that are ready."""
        self._short_of_room = False
        if self._stopping:
            return
        for _ in range(len(self._held)):
            if self._free_slots() <= len(ready):
                return
            yield self._held.popleft()
        while self._free_slots() > len(ready) and len(self._held) < self._concurrency:
            self._short_of_room = self._calling.room() <= 0
            if self._short_of_room:
                return
            delivery = self._bus.receive("generate")
            if delivery is None:
                return
            yield delivery

    def _tokens_at_most(self, event: Event) -> int | None:
        if not self._spending.counts_tokens or not isinstance(event, LlmRequest):
            return 0
        return self._calling.tokens_at_most(event)

    def _free_slots(self) -> int:
        return self._concurrency - len(self._calls) - self._commits.calls

    def _starved(self) -> bool:
        """Tell whether calls could start if only those that are done were committed."""
        more = self._bus.waiting("generate") > 0 or not self._fed or self._next_due is not None
        return more and self._commits.calls > 0 and self._free_slots() <= 0

    async def _call(self, delivery: Delivery, call: Callable[[], Awaitable[Effects]], reserved: int | None) -> None:
        began = self._clock.monotonic()
        try:
            effects = await call()
            for event in effects.emit:
                self._settle(event, reserved)
            self._commits.calls += 1
            await self._apply(delivery, effects, began)
            self.counters.finished_late += self._stopping
        except ModelRefused as refused:
            self._spending.release(reserved)  # whoever is refused is charged nothing
            self._refused = self._refused or refused
            self.stop(grace=True)  # other calls in flight may be answered, by another model
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # noqa: BLE001 - handed to run(), which raises it
            self._failure = self._failure or error
        finally:
            if (task := asyncio.current_task()) is not None:
                self._calls.discard(task)
            self._wake.set()

    def _settle(self, event: Event, reserved: int | None) -> None:
        match event:
            case LlmResponse():
                self._spending.settle(event.endpoint, reserved, event.prompt_tokens, event.completion_tokens)
                self.counters.tokens += (event.prompt_tokens or 0) + (event.completion_tokens or 0)
            case LlmError(sent=False):
                self._spending.release(reserved)
            case LlmError():
                self._spending.settle(event.model, reserved, None, event.tokens)
                self.counters.tokens += event.tokens or 0
            case _:
                pass

    async def _feed(self, feed: Feed) -> None:
        try:
            while not self._stopping:
                while (room := self._room_for()) <= 0:
                    self._room.clear()
                    await self._room.wait()
                effects = await feed.next(room)
                if effects is None:
                    break
                await self._carry_out(effects)
                self._wake.set()
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # noqa: BLE001 - handed to run(), which raises it
            self._failure = self._failure or error
        finally:
            self._fed = True
            self._wake.set()

    def _room_for(self) -> int:
        """Give how many more questions the flow wants: enough for the calls that could start at once, and a few more.

        What is fetched no sooner than it can be worked on is most often through before the next commit, and then never
        touches the log; the few more are there when a slot becomes free.
        """
        free = max(min(self._free_slots(), self._calling.room()), 0)
        under_way = self._bus.waiting("generate") + self._bus.waiting("intake") + len(self._held)
        return free + self._concurrency // 8 + 1 - under_way

    async def _wait(self, at_most: float | None) -> None:
        """Wait for a call, the feed, a due time, an endpoint that opens, the end of the grace, a commit that is due."""
        waits = [] if at_most is None else [at_most]
        if self._next_due is not None and self._room_for() > 0:
            waits.append(self._next_due - self._clock.time())
        if self._held or self._bus.waiting("generate"):
            if (opening := self._calling.next_opening()) is not None:
                waits.append(opening - self._clock.time())
            if self._short_of_room and self._calling.room() > 0:  # it opened since then
                waits.append(0)
        if self._stop_by is not None:
            waits.append(self._stop_by - self._clock.monotonic())
        alarm = asyncio.get_running_loop().call_later(max(min(waits), 0), self._wake.set) if waits else None
        await self._wake.wait()
        if alarm is not None:
            alarm.cancel()

    def _commit(self) -> None:
        self._spending.save()
        self._commits.commit()
