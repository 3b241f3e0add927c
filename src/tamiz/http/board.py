"""The board: what the page shows, made once a second for all who look, and not at all while nobody does."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from http import HTTPStatus
from typing import Final, Protocol

import msgspec

from tamiz.clock import Clock
from tamiz.errors import TamizError
from tamiz.hosts.gauges import Gauges, Gauging
from tamiz.hosts.pulse import Beat, Pulse, Pulses, Totals
from tamiz.http.guard import ASGI, Receive, Scope, Send
from tamiz.http.keys import Caller
from tamiz.http.problems import Problem, as_problem
from tamiz.http.runs import Runs, RunTold
from tamiz.http.seen import row_for
from tamiz.messages import Outcome
from tamiz.policy import Policy
from tamiz.store.base import Lists
from tamiz.store.lives import Answered, Status

__all__ = ["Board", "Snapshot"]

_EVERY: Final = 1.0
_LISTENERS: Final = 100
_HEADERS: Final = [
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
]
_RUNS: Final = 5
_BEFORE: Final = 300
"""Outcomes from before that a pulse begins with."""


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """All that the page shows. What concerns the whole service is for operators, and `None` for others."""

    at: float
    since: float
    """Since when events are counted."""
    tenant: str
    keys: bool
    """Whether API keys are asked for."""
    can: list[str]
    """What the caller may change here: `policy`, `cache`, `traffic`, `replay`."""
    policy: Policy
    beat: Beat
    gauges: Gauges | None
    runs: list[RunTold]


class _Reader(Lists, Protocol):
    def status(self) -> Status: ...


class _View:
    """What one kind of caller gets to see; the last of it, for whoever is ready for more."""

    def __init__(self, caller: Caller) -> None:
        self.caller = caller
        self.listeners = 0
        self.number = 0
        self.latest = b""
        self.news: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def show(self, text: bytes) -> None:
        self.number += 1
        self.latest = text
        self.wake()

    def wake(self) -> None:
        self.news.set_result(None)
        self.news = asyncio.get_running_loop().create_future()


class Board:
    """Makes snapshots.

    However many listen, each kind of caller's is made once a second; who reads slowly is sent the latest and never
    what was missed. `close` ends all streams, so that a server can stop.
    """

    def __init__(
        self,
        pulses: Pulses,
        gauges: Gauging,
        reader: Callable[[], AbstractContextManager[_Reader]],
        policy: Callable[[], Policy],
        runs: Runs | None,
        *,
        keys_asked: bool,
        able: Sequence[str],
        clock: Clock,
    ) -> None:
        """`able` is what operators may change here: `policy`, `cache`, `traffic`, `replay`."""
        self._pulses = pulses
        self._gauges = gauges
        self._reader = reader
        self._policy = policy
        self._runs = runs
        self._keys_asked = keys_asked
        self._able = [*able]
        self._clock = clock
        self._views: dict[str | None, _View] = {}
        self._ticking: asyncio.Task[None] | None = None
        self._beginning: asyncio.Task[None] | None = None
        self._closed = False
        self._encode = msgspec.json.Encoder().encode

    @property
    def listeners(self) -> int:
        """How many streams are open."""
        return sum(view.listeners for view in self._views.values())

    @property
    def keys(self) -> list[tuple[float, str]]:
        """When the last accepted answers were given, and their questions' cache keys."""
        return [*self._pulses.all.keys]

    async def snapshot(self, caller: Caller) -> Snapshot:
        """Make one."""
        pulse = await self._pulse(caller)
        gauges = await self._gauges(caller.sees)
        all_of_it = caller.operator
        return Snapshot(
            at=self._clock.time(),
            since=pulse.since,
            tenant=caller.tenant,
            keys=self._keys_asked,
            can=self._able if all_of_it else [],
            policy=self._policy(),
            beat=_beat_for(caller, pulse.beat()),
            gauges=gauges if all_of_it else None,
            runs=self._runs.told()[:_RUNS] if all_of_it and self._runs is not None else [],
        )

    async def begin(self) -> None:
        """Have the pulse begin with what the store has; it returns once that is being read.

        Called before anything happens: what happens later is counted on top.
        """
        loop, reading = asyncio.get_running_loop(), asyncio.Event()

        def read() -> tuple[Status, list[Answered]]:
            with self._reader() as reader:
                loop.call_soon_threadsafe(reading.set)
                return reader.status(), reader.recent(_BEFORE, None)

        async def take_up() -> None:
            try:
                status, answered = await asyncio.to_thread(read)
            except TamizError:
                return  # the gauges tell what is wrong with the store
            finally:
                reading.set()
            self._pulses.all.look(Totals(status.questions, status.outcomes, status.sources))
            self._pulses.all.remember(answered)

        self._beginning = asyncio.create_task(take_up())
        await reading.wait()

    def listen(self, caller: Caller) -> ASGI:
        """Give the answer that streams a snapshot a second, as server-sent events.

        Raises `Problem` 503 where too many listen already.
        """
        if self.listeners >= _LISTENERS or self._closed:
            why = f"{_LISTENERS} pages are open, which is all that this service keeps up to date"
            raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, why, retry_after=10, code="busy")

        async def stream(_: Scope, receive: Receive, send: Send) -> None:
            await self._stream(caller, receive, send)

        return stream

    async def close(self) -> None:
        """End all streams."""
        self._closed = True
        for task in (self._ticking, self._beginning):
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        for view in self._views.values():
            view.wake()

    async def _stream(self, caller: Caller, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": HTTPStatus.OK, "headers": _HEADERS})
        gone = asyncio.create_task(_gone(receive))
        view = self._join(caller)
        try:
            text, seen = b"retry: 1000\n\n", 0
            while True:
                await send({"type": "http.response.body", "body": text, "more_body": True})
                while view.number == seen and not (self._closed or gone.done()):
                    await asyncio.wait([gone, view.news], return_when=asyncio.FIRST_COMPLETED)
                if self._closed or gone.done():
                    break
                text, seen = view.latest, view.number
            await send({"type": "http.response.body", "body": b""})
        finally:
            gone.cancel()
            view.listeners -= 1
            if not view.listeners:
                self._views.pop(caller.sees, None)

    def _join(self, caller: Caller) -> _View:
        view = self._views.setdefault(caller.sees, _View(caller))
        view.listeners += 1
        if self._ticking is None:
            self._ticking = asyncio.create_task(self._tick())
        return view

    async def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        try:
            while self._views:
                for view in [*self._views.values()]:
                    view.show(await self._told(view.caller))
                due = max(due + _EVERY, loop.time())
                await asyncio.sleep(due - loop.time())
        finally:
            self._ticking = None

    async def _told(self, caller: Caller) -> bytes:
        try:
            return b"data: " + self._encode(await self.snapshot(caller)) + b"\n\n"
        except TamizError as error:
            return b"event: trouble\ndata: " + self._encode(as_problem(error, caller).detail) + b"\n\n"

    async def _pulse(self, caller: Caller) -> Pulse:
        if caller.operator:
            return self._pulses.all
        if (pulse := self._pulses.known(caller.tenant)) is None:
            pulse = self._pulses.make(caller.tenant)
            totals, answered = await asyncio.to_thread(self._known, caller.tenant)
            pulse.look(totals)
            pulse.remember(answered)
        return pulse

    def _known(self, tenant: str) -> tuple[Totals, list[Answered]]:
        """Give what the store has of a tenant."""
        with self._reader() as reader:
            figures = reader.metrics(self._clock.time(), tenant)
            outcomes: dict[str, int] = {outcome: figures[outcome] for outcome in Outcome}
            return Totals(figures["questions"], outcomes, figures["sources"]), reader.recent(_BEFORE, tenant)


def _beat_for(caller: Caller, beat: Beat) -> Beat:
    recent, short = ([row_for(caller, row) for row in rows] for rows in (beat.recent, beat.short))
    return msgspec.structs.replace(beat, recent=recent, short=short)


async def _gone(receive: Receive) -> None:
    """Wait until the client hangs up."""
    while (await receive())["type"] != "http.disconnect":
        pass
