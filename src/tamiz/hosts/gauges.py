"""What is to be read off a service at a moment: queues, models, dead letters."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Final, Protocol

import msgspec

from tamiz.cache import CacheStats
from tamiz.clock import Clock
from tamiz.effects import EndpointState
from tamiz.errors import TamizError
from tamiz.hosts.service import EmbeddedService
from tamiz.models.endpoint import Endpoint
from tamiz.models.fleet import Fleet
from tamiz.store.lives import Waiting

__all__ = ["EmbeddedGauges", "EndpointGauge", "Gauges", "Gauging", "gauge_of"]

_EVERY: Final = 2.0
"""Seconds between two looks into the store."""


class EndpointGauge(msgspec.Struct, frozen=True, kw_only=True):
    """A model's endpoint; what is `None` is not known here."""

    name: str
    in_flight: int | None = None
    limit: int | None = None
    """Calls that it is thought to take at once."""
    since: float | None = None
    """Since when it cannot be called, and until when; `None` where it can. Seconds since the epoch."""
    opens_at: float | None = None
    kind: str | None = None
    """Why, in a word; `None` for a rate limit that the server states."""
    reason: str | None = None


class Gauges(msgspec.Struct, frozen=True, kw_only=True):
    """What a service shows; what is `None` is not known here."""

    open: int
    """Questions without an outcome."""
    limit: int | None = None
    """The most of them that are taken."""
    refused: int = 0
    """Questions that were turned away, since the start."""
    waiting: dict[str, int] = {}
    """Events that a stage has still to take up, by stage."""
    lag: dict[str, dict[str, int]] | None = None
    """Of a cluster: records that a stage has not finished, by stage and topic."""
    parked: int = 0
    """Questions that wait for the outcome of an identical one."""
    deferred: int = 0
    """Calls that wait for their time, the first of which comes at `next_due`."""
    next_due: float | None = None
    dead_letters: dict[str, int] = {}
    """By kind."""
    endpoints: list[EndpointGauge] = []
    cache: CacheStats | None = None
    trouble: str | None = None
    """Why the store could not be looked at; what comes from it is as it was last."""


class Gauging(Protocol):
    """Reads the gauges, wherever they are."""

    async def __call__(self, tenant: str | None) -> Gauges:
        """Give what they show now; it is asked once a second while somebody looks.

        Whose pulse is looked at, a tenant's or everybody's (`None`), it is up to date then.
        """
        ...


class _Waits(Protocol):
    def waiting(self) -> Waiting: ...


class EmbeddedGauges:
    """The gauges of a service in this process: of the state file as it was a moment ago, all others as they are."""

    def __init__(
        self, service: EmbeddedService, fleet: Fleet, reader: Callable[[], AbstractContextManager[_Waits]], clock: Clock
    ) -> None:
        self._service = service
        self._fleet = fleet
        self._reader = reader
        self._clock = clock
        self._looked_at = -_EVERY
        self._waiting = Waiting()
        self._trouble: str | None = None

    async def __call__(self, tenant: str | None) -> Gauges:  # noqa: ARG002 - pulses are told of all that happens here
        """See `Gauging`."""
        if self._clock.monotonic() - self._looked_at >= _EVERY:
            self._looked_at = self._clock.monotonic()
            try:
                self._waiting, self._trouble = await asyncio.to_thread(self._look), None
            except TamizError as error:
                self._trouble = str(error)
        service, waiting = self._service, self._waiting
        return Gauges(
            open=len(service.queue),
            limit=service.queue.limit,
            refused=service.queue.refused,
            waiting=service.host.waiting(),
            parked=waiting.parked,
            deferred=waiting.deferred,
            next_due=waiting.next_due,
            dead_letters=waiting.dead_letters,
            endpoints=[_gauge(endpoint) for endpoint in self._fleet.endpoints],
            cache=None if service.flow.cache is None else service.flow.cache.stats(),
            trouble=self._trouble,
        )

    def _look(self) -> Waiting:
        with self._reader() as reader:
            return reader.waiting()


def _gauge(endpoint: Endpoint) -> EndpointGauge:
    down = gauge_of(endpoint.name, endpoint.shown)
    return msgspec.structs.replace(down, in_flight=endpoint.in_flight, limit=endpoint.limit)


def gauge_of(name: str, state: EndpointState | None) -> EndpointGauge:
    """Give an endpoint by what is known of its outages: `None`, that there is none."""
    if state is None:
        return EndpointGauge(name=name)
    return EndpointGauge(name=name, since=state.since, opens_at=state.opens_at, kind=state.kind, reason=state.reason)
