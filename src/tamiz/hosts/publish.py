"""Questions of a traffic run to a cluster."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final, Protocol

import msgspec

from tamiz.bus.kafka import KafkaBus
from tamiz.clock import Clock
from tamiz.errors import UsageError
from tamiz.hosts.shape import Shape
from tamiz.hosts.staff import SHAPE, cluster_of
from tamiz.identity import cache_key, digest, message_id
from tamiz.messages import Event, QuestionAsked
from tamiz.poison import fitting
from tamiz.prompt import read_template
from tamiz.settings import Settings
from tamiz.store.mongo import MongoStore
from tamiz.traffic.question import Emission

__all__ = ["BusSender", "to_cluster"]

_PATIENCE: Final = 30.0
"""Seconds that a store that does not answer is waited for."""


class _Publisher(Protocol):
    async def publish(self, events: Sequence[Event]) -> None: ...


class _Recorder(Protocol):
    async def record(self, event: Event) -> None: ...


class BusSender:
    """Publishes each question to a cluster and has its store know it. Outcome: `published`.

    `run` tells the run from all others: the same question asked twice, or in two runs, is two submissions.
    """

    def __init__(self, bus: _Publisher, answers: _Recorder, asked_how: str, run: str, clock: Clock) -> None:
        self._bus = bus
        self._answers = answers
        self._asked_how = asked_how
        self._run = digest(run, clock.time())[:12]
        self._clock = clock

    async def send(self, emission: Emission) -> str:
        """Publish it; raises what bus and store raise."""
        asked = emission.question
        submission = message_id(self._run, emission.n, asked.id, asked.title, asked.content, asked.reference)
        event = QuestionAsked(
            message_id=submission,
            trace_id=submission,
            question_id=asked.id,
            title=asked.title,
            content=asked.content,
            best_answer=asked.reference,
            cache_key=cache_key(asked.title, asked.content, asked.reference, self._asked_how),
            created_at=self._clock.time(),
        )
        await self._bus.publish([event])
        await self._answers.record(fitting(event)[0])  # after it, so that a crash in between loses nothing
        return "published"


@asynccontextmanager
async def to_cluster(
    settings: Settings, run: str, clock: Clock, say: Callable[[str], None]
) -> AsyncIterator[BusSender]:
    """Connect to bus and store. Raises `UsageError` where the cluster's models are known neither there nor here."""
    address, url = cluster_of(settings)
    store = MongoStore(url, clock, patience=_PATIENCE, say=say)
    bus = KafkaBus(address, {}, settings.kafka, say=say)
    try:
        await store.open()
        await bus.open()
        yield BusSender(bus, store.answers, await _asked_how(settings, store, say), run, clock)
    finally:
        await bus.close()
        await store.close()


async def _asked_how(settings: Settings, store: MongoStore, say: Callable[[str], None]) -> str:
    """Give the part of a question's identity that its models are: as the cluster's workers have it."""
    if (text := await store.results.meta(SHAPE)) is not None:
        return msgspec.json.decode(text, type=Shape).asked_how
    if not settings.model:
        raise UsageError(
            "no intake worker has been at this store, so nobody knows which model is asked: start the workers first "
            "(tamiz worker), or set TAMIZ_MODEL as they will have it"
        )
    say("no worker has been at this store yet: the questions wait for `tamiz worker`")
    return Shape.of(settings, read_template(settings.prompt)).asked_how
