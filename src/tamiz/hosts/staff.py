"""`tamiz worker`: puts a worker together, from the settings, and runs it."""

import asyncio
import contextlib
import gc
import random
import signal
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Final

import msgspec

from tamiz.bus.address import KafkaAddress
from tamiz.bus.kafka import KafkaBus
from tamiz.bus.topics import Topics
from tamiz.cache import make_cache
from tamiz.clock import Clock, SystemClock
from tamiz.effects import Stage
from tamiz.errors import BusError, UsageError
from tamiz.hosts.shape import Shape, differing
from tamiz.hosts.worker import Worker
from tamiz.messages import READ_BY
from tamiz.models.factory import make_fleet
from tamiz.models.fleet import Fleet
from tamiz.policy import Policy
from tamiz.prompt import PromptTemplate, read_template
from tamiz.scorers import make_scorer
from tamiz.scoring import Scorer
from tamiz.settings import Settings, without_password
from tamiz.stages.generate import Generate
from tamiz.stages.intake import Intake
from tamiz.stages.judge import Judge
from tamiz.stages.persist import Persist
from tamiz.stages.retry import Backoff, Retry
from tamiz.store.mongo import MongoStore

__all__ = ["SHAPE", "STAGES", "Staff", "cluster_of", "run_staff", "signals"]

STAGES: Final = ("intake", "generate", "retry", "judge", "persist")
SHAPE: Final = "shape"
"""The store's memory of the settings under which its intake workers let questions in."""
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


def run_staff(staff: Staff, say: Callable[[str], None]) -> int:
    """Work until SIGTERM or Ctrl-C; give the number of model calls that were made.

    Raises `TamizError` where the worker cannot go on; nothing is lost by it.
    """
    import uvloop  # noqa: PLC0415 - not needed by those who only prepare

    # what goes by the thousand, messages and deliveries, has no cycles; looking for some among them is in vain
    gc.freeze()
    gc.set_threshold(_BETWEEN_COLLECTIONS)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_run(staff, say))


async def _run(staff: Staff, say: Callable[[str], None]) -> int:
    settings = staff.settings
    with signals() as stop:
        store = MongoStore(staff.store, staff.clock, patience=None, say=say)
        stages, calling = _stages(staff, store)
        bus = KafkaBus(
            staff.address,
            {name: stage.reads for name, stage in stages.items()},
            settings.kafka,
            say=say,
            windows={"generate": _AHEAD * settings.concurrency},
        )
        worker = Worker(
            bus=bus,
            store=store,
            stages=stages,
            calling=calling,
            fleet=staff.fleet,
            concurrency=settings.concurrency,
            clock=staff.clock,
        )
        try:
            if not await _unless(stop, _connect(staff, store, bus, say)):
                return 0
            say(f"{', '.join(stages)}: at work on {staff.address.url} and {without_password(staff.store)}")
            helpers = [asyncio.create_task(_stop(stop, worker))]
            if "persist" in stages:
                helpers.append(asyncio.create_task(_trim(staff, say)))
            try:
                await worker.run()
            finally:
                for helper in helpers:
                    helper.cancel()
                say(f"stops; {worker.calls:,} model calls were made")
        finally:
            await bus.close()
            if staff.fleet is not None:
                await staff.fleet.close()
            await store.close()
    return worker.calls


def _stages(staff: Staff, store: MongoStore) -> tuple[dict[str, Stage], Generate | None]:
    settings, clock = staff.settings, staff.clock
    policy = Policy(threshold=settings.threshold, attempts=settings.attempts, unscored=settings.unscored)
    generate: Generate | None = None
    stages: dict[str, Stage] = {}
    for name in staff.stages:
        match name:
            case "intake":
                cache = make_cache(settings.cache_policy, settings.cache_size, settings.cache_ttl, clock)
                stages[name] = Intake(cache, store.answers, store.claims, policy)
            case "generate" if staff.fleet is not None:
                system, longest = settings.system or "", settings.max_answer_tokens
                render = staff.template.render
                generate = Generate(staff.fleet, render, clock, settings.seed, system=system, max_tokens=longest)
                stages[name] = generate
            case "retry":
                jitter = random.Random().random  # noqa: S311 - of each worker its own, or they would come together
                stages[name] = Retry(
                    retries=settings.retries, fleet=staff.fleet, clock=clock, random=jitter, backoff=Backoff()
                )
            case "judge":
                stages[name] = Judge(staff.scorer, policy)
            case _:
                stages[name] = Persist()
    return stages, generate


@contextlib.contextmanager
def signals() -> Iterator[asyncio.Event]:
    """Give an event that SIGTERM and Ctrl-C set."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    try:
        yield stop
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


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


async def _stop(stop: asyncio.Event, worker: Worker) -> None:
    while True:
        await stop.wait()
        stop.clear()
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
