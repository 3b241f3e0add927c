"""`tamiz worker`: puts a worker together, from the settings, and runs it."""

import asyncio
import gc
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Protocol

import msgspec

from tamiz.bus.address import KafkaAddress
from tamiz.bus.kafka import KafkaBus
from tamiz.bus.topics import Topics
from tamiz.cache import make_cache
from tamiz.clock import Clock, SystemClock
from tamiz.errors import BusError, UsageError
from tamiz.hosts.flow import Flow, make_flow
from tamiz.hosts.shape import Shape, differing
from tamiz.hosts.signals import signals
from tamiz.hosts.worker import Worker
from tamiz.messages import READ_BY
from tamiz.models.factory import make_fleet
from tamiz.models.fleet import Fleet
from tamiz.prompt import PromptTemplate, read_template
from tamiz.scorers import make_scorer
from tamiz.scoring import Scorer
from tamiz.settings import Settings, without_password
from tamiz.store.mongo import MongoStore
from tamiz.telemetry.observer import Observer
from tamiz.telemetry.telling import Telling
from tamiz.units import plural

__all__ = ["SERVING_ALONE", "SHAPE", "Beside", "Parts", "Staff", "cluster_of", "run_staff"]

SHAPE: Final = "shape"
"""The store's memory of the settings under which its intake workers let questions in."""
SERVING_ALONE: Final = ("traffic", "score")
"""Names of workers that read no topic: all they do comes by HTTP."""
_SHAPED_BY: Final = {
    "generate": ("model", "escalate", "prompt", "system", "max_answer_tokens", "seed"),
    "judge": ("threshold", "attempts", "scorer", "unscored"),
}
"""Settings that a stage besides intake has to share with it."""
_BETWEEN_COLLECTIONS: Final = 50_000
_TRIM_EVERY: Final = 600.0
_KEEP: Final = 7 * 24 * 3600.0
_AHEAD: Final = 4
"""Calls that wait in this process for each that may be in flight."""


class Staff(msgspec.Struct, kw_only=True):
    """Everything checked and ready before anything is connected to."""

    settings: Settings
    address: KafkaAddress
    store: str
    stages: tuple[str, ...]
    fleet: Fleet | None
    template: PromptTemplate
    scorer: Scorer
    clock: Clock

    @classmethod
    def prepare(cls, settings: Settings, stages: Sequence[str]) -> "Staff":
        """Check all that can be checked. Raises `UsageError` for a wrong setting or a model that cannot be made."""
        clock = SystemClock()
        address, store = cluster_of(settings)
        named = tuple(dict.fromkeys(stages))
        # retry makes use of the models, to know whether another one can be asked at once; it does without
        needs_models = "generate" in named or ("retry" in named and settings.model)
        if "intake" in named and not settings.model:
            raise UsageError(
                "intake needs --model (or TAMIZ_MODEL), the same as the generate workers have: questions are the same "
                "only where the same models are asked"
            )
        make_cache(settings.cache_policy, settings.cache_size, settings.cache_ttl, clock)
        return cls(
            settings=settings,
            address=address,
            store=store,
            stages=named,
            fleet=make_fleet(settings, clock) if needs_models else None,
            template=read_template(settings.prompt),
            scorer=make_scorer(settings.scorer, settings.check),
            clock=clock,
        )


class Parts(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker is made of."""

    staff: Staff
    flow: Flow
    bus: KafkaBus


class Beside(Protocol):
    """What a process does beside its stages' work."""

    @property
    def observer(self) -> Observer | None:
        """Who wants to know of hops, whoever else does included."""
        ...

    async def start(self) -> None:
        """Begin, before anything is connected to."""
        ...

    def stop(self) -> None:
        """Take nothing new up."""
        ...

    async def close(self) -> None:
        """End, while bus and store can still be used."""
        ...


def cluster_of(settings: Settings) -> tuple[KafkaAddress, str]:
    """Give the addresses of bus and store. Raises `UsageError` where one is missing or wrong, or does not go along."""
    if settings.bus is None:
        raise UsageError("no bus given: name the Kafka cluster with --bus kafka:HOST:PORT (or KAFKA_BOOTSTRAP_SERVERS)")
    address = KafkaAddress.parse(settings.bus)
    if settings.store is None:
        raise UsageError("no store given: name the database with --store mongodb://HOST/DATABASE (or MONGO_URI)")
    if settings.max_calls is not None or settings.max_tokens is not None:
        raise UsageError(
            "--max-calls and --max-tokens are one process's account; a cluster has none. Set a limit at the provider"
        )
    return address, settings.store


def run_staff(
    staff: Staff,
    told: Telling,
    beside: Callable[[Parts, Telling], Beside] | None = None,
) -> int:
    """Work until SIGTERM or Ctrl-C; give the number of model calls that were made.

    Raises `TamizError` where the worker cannot go on; nothing is lost by it.
    """
    import uvloop  # noqa: PLC0415 - not needed by those who only prepare

    # what goes by the thousand, messages and deliveries, has no cycles; looking for some among them is in vain
    gc.freeze()
    gc.set_threshold(_BETWEEN_COLLECTIONS)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_run(staff, told, beside))


async def _run(staff: Staff, told: Telling, beside: Callable[[Parts, Telling], Beside] | None) -> int:
    settings, say = staff.settings, told.say
    with signals() as stop:
        store = MongoStore(staff.store, staff.clock, patience=None, say=say)
        flow = make_flow(
            settings,
            names=staff.stages,
            fleet=staff.fleet,
            template=staff.template,
            scorer=staff.scorer,
            clock=staff.clock,
            answers=store.answers,
            claims=store.claims,
        )
        stages = flow.stages
        bus = KafkaBus(
            staff.address,
            {name: stage.reads for name, stage in stages.items()},
            settings.kafka,
            say=say,
            windows={"generate": _AHEAD * settings.concurrency},
        )
        also = None if beside is None else beside(Parts(staff=staff, flow=flow, bus=bus), told)
        worker = Worker(
            bus=bus,
            store=store,
            stages=stages,
            calling=flow.generate,
            fleet=staff.fleet,
            concurrency=settings.concurrency,
            clock=staff.clock,
            observer=told.observer if also is None else also.observer,
        )
        try:
            if also is not None:
                await also.start()
            if not await _unless(stop, _connect(staff, store, bus, say)):
                return 0
            say(f"{', '.join(staff.stages)}: at work on {staff.address.url} and {without_password(staff.store)}")
            helpers = [asyncio.create_task(_stop(stop, worker, also))]
            if "persist" in stages:
                helpers.append(asyncio.create_task(_trim(staff, say)))
            try:
                await worker.run()
            finally:
                for helper in helpers:
                    helper.cancel()
                say(f"stops; {plural(worker.calls, 'model call was', 'model calls were')} made")
        finally:
            if also is not None:
                also.stop()
                await also.close()
            await bus.close()
            if staff.fleet is not None:
                await staff.fleet.close()
            await store.close()
    return worker.calls


async def _connect(staff: Staff, store: MongoStore, bus: KafkaBus, say: Callable[[str], None]) -> None:
    await store.open()
    if staff.fleet is not None:
        staff.fleet.restore(await store.endpoints.states())
    shape = Shape.of(staff.settings, staff.template)
    if "intake" in staff.stages:
        await store.results.set_meta(SHAPE, msgspec.json.encode(shape).decode())
    elif (text := await store.results.meta(SHAPE)) is not None:
        theirs = msgspec.json.decode(text, type=Shape).settings
        mine = {name: shape.settings[name] for stage in staff.stages for name in _SHAPED_BY.get(stage, ())}
        if changes := differing(theirs, mine, "there", "here"):
            say(f"the intake workers of this cluster have other settings ({changes}); give all workers the same")
    await bus.open()


async def _trim(staff: Staff, say: Callable[[str], None]) -> None:
    """Have the topics drop what all stages have finished, a week after it came."""
    topics = Topics(staff.address, staff.settings.kafka)
    while True:
        await asyncio.sleep(_TRIM_EVERY)
        try:
            await asyncio.get_running_loop().run_in_executor(None, topics.trim, READ_BY, _KEEP)
        except BusError as error:
            say(f"what is finished stays in the topics: {error}")


async def _stop(stop: asyncio.Event, worker: Worker, also: Beside | None) -> None:
    while True:
        await stop.wait()
        stop.clear()
        if also is not None:
            also.stop()
        worker.stop()


async def _unless(stop: asyncio.Event, work: Awaitable[None]) -> bool:
    """Do the work, or give it up when it is time to stop; tell whether it was done."""
    tasks = [asyncio.ensure_future(work), asyncio.ensure_future(stop.wait())]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    done = tasks[0].done()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks[1:], return_exceptions=True)
    if done:
        await tasks[0]
    return done
