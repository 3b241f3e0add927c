"""`tamiz run`: the rows of question files to their outcomes, in this process."""

import asyncio
import contextlib
import json
import random
import signal
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice

import msgspec

from tamiz.bus.sqlite import SqliteBus
from tamiz.cache import make_cache
from tamiz.clock import Clock, SystemClock
from tamiz.datasets import BadRow, Dataset, Row, open_dataset, parse_columns
from tamiz.effects import EndpointState
from tamiz.errors import GaveUp, ModelRefused, StateError, TamizError, UsageError
from tamiz.hosts.counters import Counters
from tamiz.hosts.embedded import EmbeddedHost
from tamiz.hosts.feed import RowFeed
from tamiz.hosts.flow import STAGES, make_flow
from tamiz.hosts.prices import Cost, cost_of
from tamiz.hosts.results import Results, Totals
from tamiz.hosts.shape import Shape, differing
from tamiz.hosts.spending import Budget, Spending
from tamiz.hosts.spool import Spool
from tamiz.models.factory import make_fleet
from tamiz.models.fleet import Fleet
from tamiz.output import Output, check_output, open_output
from tamiz.prompt import PromptTemplate, read_template
from tamiz.scorers import make_scorer
from tamiz.scoring import Scorer
from tamiz.settings import Settings
from tamiz.statefile import StateFile
from tamiz.store.sqlite import SqliteAnswers, SqliteClaims, SqliteDeferrals, SqliteEndpoints
from tamiz.telemetry.observer import Observer
from tamiz.units import plural

__all__ = ["Batch", "Report", "Summary", "agree_on_settings", "output_of", "run_batch"]


class Summary(msgspec.Struct, kw_only=True):
    """What a run came to. `totals` is over all rows with an outcome, also those that an earlier process finished."""

    totals: Totals
    written: int
    """Rows written: all those before the first that is open."""
    read: int
    """Rows of the input that were looked at."""
    all_read: bool
    """Whether the input has no others."""
    finished: int
    """Outcomes of this process."""
    all_calls: int
    """Model calls over all processes."""
    calls: int
    """Model calls of this process."""
    tokens: int | None
    """Tokens of this process, as the models counted them; `None` where nobody counted."""
    known: int
    """Rows that the state file already knew when the run began."""
    seconds: float
    cost: Cost | None
    """What the models' tokens cost, over all processes; `None` where no price is known."""
    stopped: str | None
    """`budget` or `interrupted` where rows were left, else `None`."""
    finished_late: int
    """Calls that were in flight at the interrupt and ended in time."""
    abandoned: int
    """Calls that were given up; they are made again."""

    @property
    def first_open(self) -> int | None:
        """Which row, from 1, is the first that is open; `None` where none of those that were looked at is."""
        return self.written + 1 if self.written < self.read else None


class Report(msgspec.Struct, kw_only=True):
    """Where a run is, for a progress line."""

    rows_read: int
    all_read: bool
    totals: Totals
    counters: Counters
    next_due: float | None
    endpoints: list[EndpointState]
    """Those that are down or paused."""


class Batch(msgspec.Struct, kw_only=True):
    """Everything checked and ready before the state file is touched: what is wrong with a command shows here."""

    settings: Settings
    datasets: list[Dataset]
    out: str | None
    fleet: Fleet | None
    """`None` where a cluster's workers have the models."""
    template: PromptTemplate
    scorer: Scorer
    clock: Clock

    @classmethod
    def prepare(cls, settings: Settings, files: Sequence[str], out: str | None, *, clustered: bool = False) -> "Batch":
        """Check all that can be checked before anything runs; `clustered` is for a run on a cluster.

        Raises `UsageError` for a wrong setting, an unusable input or output, a model that cannot be made.
        """
        clock = SystemClock()
        fleet = None if clustered else make_fleet(settings, clock)
        scorer = make_scorer(settings.scorer, settings.check)
        template = read_template(settings.prompt)
        make_cache(settings.cache_policy, settings.cache_size, settings.cache_ttl, clock)
        if len([file for file in files if file == "-"]) > 1:
            raise UsageError("stdin (-) can be read once only: it is named more than once")
        columns = parse_columns(settings.columns) if settings.columns else None
        datasets = [open_dataset(file, columns) for file in files]
        check_output(out, not_these=[*files, settings.state])
        return cls(
            settings=settings,
            datasets=datasets,
            out=out,
            fleet=fleet,
            template=template,
            scorer=scorer,
            clock=clock,
        )

    @property
    def shape(self) -> Shape:
        """The settings that shape outcomes."""
        return Shape.of(self.settings, self.template)

    def rows(self) -> Iterable[Row | BadRow]:
        """Give the rows of all files, one after another, up to the limit."""
        return islice(chain.from_iterable(self.datasets), self.settings.limit)


def run_batch(
    batch: Batch,
    state: StateFile,
    watch: Callable[[Report], None] | None = None,
    observer: Observer | None = None,
) -> Summary:
    """Run to the end, a budget or an interrupt; `watch` is called a few times a second.

    Raises `TamizError` where the run cannot go on; what was done is kept and the same call goes on from there.
    """
    import uvloop  # noqa: PLC0415 - not needed by those who only prepare

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_run(batch, state, watch, observer))


async def _run(
    batch: Batch, state: StateFile, watch: Callable[[Report], None] | None, observer: Observer | None
) -> Summary:
    settings, clock, fleet = batch.settings, batch.clock, batch.fleet
    if fleet is None:
        raise UsageError("this run was prepared for a cluster")
    shape = batch.shape
    agree_on_settings(state, shape.settings)
    state.set_meta(settings=shape.digest)
    began = clock.monotonic()
    answers, deferrals, endpoints = SqliteAnswers(state, clock), SqliteDeferrals(state), SqliteEndpoints(state)
    for gone in fleet.restore(await endpoints.states()):
        await endpoints.save(gone)
    spending = Spending(state, Budget(calls=settings.max_calls, tokens=settings.max_tokens))
    calls_before = spending.calls
    flow = make_flow(
        settings,
        names=STAGES,
        fleet=fleet,
        template=batch.template,
        scorer=batch.scorer,
        clock=clock,
        answers=answers,
        claims=SqliteClaims(state),
        jitter=random.Random(settings.seed).random,  # noqa: S311 - jitter
    )
    if flow.generate is None:
        raise UsageError("no model given")
    bus = SqliteBus(state, {name: stage.reads for name, stage in flow.stages.items()})
    with contextlib.closing(Spool(state.folder)) as spool, output_of(batch.out) as output:
        results = Results(state, spool, output)
        host = EmbeddedHost(
            state=state,
            bus=bus,
            answers=answers,
            deferrals=deferrals,
            endpoints=endpoints,
            stages=flow.stages,
            calling=flow.generate,
            concurrency=settings.concurrency,
            spending=spending,
            clock=clock,
            listener=results,
            observer=observer,
        )
        feed = RowFeed(
            batch.rows(),
            settings=shape.digest,
            asked_how=shape.asked_how,
            answers=answers,
            spool=spool,
            clock=clock,
            live=any(dataset.path == "-" for dataset in batch.datasets),
        )
        with _stop_on_signals(host, feed) as interrupted:
            watcher = asyncio.create_task(_watch(watch, host, feed, results, fleet)) if watch else None
            try:
                await host.run(feed)
            except (ModelRefused, GaveUp):
                await _write_known(host, feed, results)
                raise
            else:
                await _write_known(host, feed, results)
            finally:
                if watcher is not None:
                    watcher.cancel()
                await fleet.close()
        stopped = "interrupted" if interrupted() else "budget" if host.budget_spent else None
        if stopped is None and results.open:
            raise StateError(
                f"{plural(results.open, 'question has', 'questions have')} no outcome and nothing is left to do for "
                f"them in {settings.state}: the file was changed by something else. Start anew with --fresh"
            )
        results.count_the_rest()
        return Summary(
            totals=results.totals,
            written=results.written,
            read=feed.rows,
            all_read=feed.all_read,
            finished=sum(host.counters.outcomes.values()),
            all_calls=spending.calls,
            calls=spending.calls - calls_before,
            tokens=host.counters.tokens,
            known=feed.known,
            seconds=clock.monotonic() - began,
            cost=cost_of(spending.usage, settings.prices, results.totals),
            stopped=stopped,
            finished_late=host.counters.finished_late,
            abandoned=host.counters.abandoned,
        )


async def _write_known(host: EmbeddedHost, feed: RowFeed, results: Results) -> None:
    """Write the rows that were finished before, also where the host ended before it had come by them.

    The output was emptied, and is never left with less than what the state file knows. A live input is waited for only
    as long as its next row could be written.
    """
    while not host.out_of_time and not (feed.live and results.open) and await feed.pass_known():
        results.write()


@contextlib.contextmanager
def output_of(path: str | None) -> Iterator[Output]:
    """Open the output, and empty it: only now that the state file is known to be this run's."""
    try:
        with open_output(path) as output:
            yield output
    except BrokenPipeError:
        raise
    except OSError as error:
        raise TamizError(
            f"the rows cannot be written to {path or 'standard output'}: {error.strerror or error}. "
            "Free some space or give another --out, and run the same command again; no answer is lost"
        ) from error


def agree_on_settings(state: StateFile, shape: Mapping[str, object]) -> None:
    """Refuse to go on with questions that were begun under other settings."""
    before = json.loads(state.meta("shape") or "{}")
    changes = differing(before, shape, "then", "now")
    if changes and _open_questions(state):
        raise UsageError(
            f"{state.path} holds an unfinished run with other settings ({changes}). Finish it with the same command "
            "as then, keep both with --state FILE, or start anew with --fresh"
        )
    state.set_meta(shape=json.dumps(shape))


def _open_questions(state: StateFile) -> bool:
    found = state.execute(
        "SELECT EXISTS (SELECT 1 FROM log) OR EXISTS (SELECT 1 FROM parked) OR EXISTS (SELECT 1 FROM deferrals)"
    ).fetchone()
    return bool(found[0])


async def _watch(
    watch: Callable[[Report], None], host: EmbeddedHost, feed: RowFeed, results: Results, fleet: Fleet
) -> None:
    while True:
        await asyncio.sleep(0.2)
        watch(
            Report(
                rows_read=feed.rows,
                all_read=host.fed,
                totals=results.totals,
                counters=host.counters,
                next_due=host.next_due,
                endpoints=[state for endpoint in fleet.endpoints if (state := endpoint.shown) is not None],
            )
        )


@contextlib.contextmanager
def _stop_on_signals(host: EmbeddedHost, feed: RowFeed) -> Iterator[Callable[[], bool]]:
    """Have Ctrl-C and SIGTERM stop the host: the first lets calls in flight finish, the second abandons them."""
    loop = asyncio.get_running_loop()
    received = 0

    def stop() -> None:
        nonlocal received
        received += 1
        host.stop(grace=received == 1)
        if feed.live:
            feed.end()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    try:
        yield lambda: received > 0
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
