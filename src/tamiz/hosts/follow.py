"""`tamiz run --bus`: feeds the rows of question files to a cluster and follows them to their outcomes.

The outcomes are read from the store, in the order of the input: what is there is durable, and of two outcomes of a
question the store keeps the first, so a row that was written is never taken back. Nothing is kept here, so the same
command goes on where this one stopped, from anywhere.
"""

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence

import msgspec

from tamiz.bus.kafka import KafkaBus
from tamiz.errors import GaveUp, UsageError
from tamiz.hosts.batch import Batch, Report, Summary, output_of
from tamiz.hosts.counters import Counters
from tamiz.hosts.feed import RowFeed
from tamiz.hosts.results import Totals
from tamiz.hosts.shape import Shape, differing
from tamiz.hosts.signals import signals
from tamiz.hosts.spool import Spool
from tamiz.hosts.staff import SHAPE, cluster_of
from tamiz.output import Output
from tamiz.poison import fitting
from tamiz.settings import Settings
from tamiz.store.mongo import MongoStore

__all__ = ["follow_batch"]

_PATIENCE = 30.0
"""Seconds that a store that does not answer is waited for."""
_CHUNK = 256
"""Questions that are fed together."""
_AT_ONCE = 256
_LOOK_AHEAD = 16
"""Rows that are asked for first: as long as the next one is open, the others would be fetched in vain."""
_SETTINGS = 12
"""Digits of an id that all rows of one run share."""
_LOOK_EVERY = 0.1
_STARTING = 10.0
"""Seconds that a worker which was started at the same moment gets to tell its settings."""
_LATE = 3.0
"""Seconds that the record of a failed call may come later than its question's outcome."""
_PROGRESS_EVERY = 2.0


def follow_batch(
    batch: Batch, watch: Callable[[Report], None] | None, say: Callable[[str], None], *, resubmit: bool = False
) -> Summary:
    """Feed and follow to the end or an interrupt; `watch` is called a few times a second.

    With `resubmit` questions that were fed before and are open are fed again.

    Raises `TamizError` where it cannot go on; what was fed goes on in the cluster all the same.
    """
    import uvloop  # noqa: PLC0415 - not needed by those who only prepare

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_run(batch, watch, say, resubmit=resubmit))


async def _run(
    batch: Batch, watch: Callable[[Report], None] | None, say: Callable[[str], None], *, resubmit: bool
) -> Summary:
    settings, clock = batch.settings, batch.clock
    began = clock.monotonic()
    async with _cluster(settings, batch, say) as (bus, store):
        shape = await _agreed(batch, store, say)
        with signals() as stop, contextlib.closing(Spool(tempfile.gettempdir())) as spool, output_of(batch.out) as out:
            feed = RowFeed(
                batch.rows(),
                settings=shape.digest,
                asked_how=shape.asked_how,
                answers=_Unended(store) if resubmit else store.answers,
                spool=spool,
                clock=clock,
                live=any(dataset.path == "-" for dataset in batch.datasets),
            )
            following = _Following(batch, store=store, spool=spool, output=out, feed=feed, stop=stop, watch=watch)
            feeding = asyncio.create_task(following.feed(bus))
            try:
                await following.follow(feeding)
            finally:
                feeding.cancel()
                await asyncio.gather(feeding, return_exceptions=True)
            totals = following.totals
            while await following.write():
                pass
            written = totals.rows
            await following.count_the_rest()
            calls = totals.attempts + totals.retries
            return Summary(
                totals=totals,
                written=written,
                read=feed.rows,
                all_read=feed.all_read,
                finished=max(totals.rows - feed.known, 0),
                all_calls=calls,
                calls=calls,
                tokens=None,
                known=feed.known,
                seconds=clock.monotonic() - began,
                cost=None,
                stopped="interrupted" if stop.is_set() and not following.done else None,
                finished_late=0,
                abandoned=0,
            )


@contextlib.asynccontextmanager
async def _cluster(
    settings: Settings, batch: Batch, say: Callable[[str], None]
) -> AsyncIterator[tuple[KafkaBus, MongoStore]]:
    address, url = cluster_of(settings)
    store = MongoStore(url, batch.clock, patience=_PATIENCE, say=say)
    bus = KafkaBus(address, {}, settings.kafka, say=say)
    try:
        await store.open()
        await bus.open()
        yield bus, store
    finally:
        await bus.close()
        await store.close()


async def _agreed(batch: Batch, store: MongoStore, say: Callable[[str], None]) -> Shape:
    """Give the settings that shape the outcomes: the cluster's, which the given ones must not contradict."""
    own = batch.shape
    text = await _told(store, 0 if batch.settings.model else _STARTING)
    if text is None:
        if not batch.settings.model:
            raise UsageError(
                "no intake worker has been at this store, so nobody knows which model is asked: start the workers "
                "first (tamiz worker), or say --model as they will have it"
            )
        say("no worker has been at this store yet: the questions wait for `tamiz worker`")
        return own
    theirs = msgspec.json.decode(text, type=Shape)
    usual = Shape.of(Settings(), batch.template).settings
    given = {name: value for name, value in own.settings.items() if value != usual[name] or name == "prompt"}
    if batch.settings.prompt is None:
        given.pop("prompt")
    if changes := differing(theirs.settings, given, "there", "here"):
        raise UsageError(
            f"the workers of this cluster have other settings ({changes}). Leave them out here, or start the workers "
            "with them"
        )
    return theirs


async def _told(store: MongoStore, within: float) -> str | None:
    """Give the settings that the intake workers have; where none was there yet, one that has just been started may."""
    for _ in range(int(within / _LOOK_EVERY)):
        if (text := await store.results.meta(SHAPE)) is not None:
            return text
        await asyncio.sleep(_LOOK_EVERY)
    return await store.results.meta(SHAPE)


class _Unended:
    """Takes for known what has its outcome."""

    def __init__(self, store: MongoStore) -> None:
        self._store = store

    async def unknown(self, message_ids: Sequence[str]) -> set[str]:
        """Tell which of these submissions, in ascending order, are open."""
        if not message_ids:
            return set()
        return set(message_ids).difference(await self._store.results.finished(message_ids[0], message_ids[-1]))


class _Following:
    """The rows of one run, on their way through a cluster."""

    def __init__(
        self,
        batch: Batch,
        *,
        store: MongoStore,
        spool: Spool,
        output: Output,
        feed: RowFeed,
        stop: asyncio.Event,
        watch: Callable[[Report], None] | None,
    ) -> None:
        self.totals = Totals()
        self.done = False
        self._batch = batch
        self._store = store
        self._spool = spool
        self._output = output
        self._feed = feed
        self._stop = stop
        self._watch = watch
        self._fed = False
        self._counters = Counters()
        self._ahead = _LOOK_AHEAD
        self._ended = 0
        self._counted_at = 0.0
        self._first = self._last = ""  # of the rows that were written

    async def feed(self, bus: KafkaBus) -> None:
        """Publish the questions that the store does not know, a chunk at a time, and have it know them then."""
        while not self._stop.is_set() and (effects := await self._feed.next(_CHUNK)) is not None:
            await bus.publish(effects.emit)
            # after it: a crash in between has them published twice, which does no harm, and never lost
            # and what no topic takes has ended with that
            await asyncio.gather(*(self._store.answers.record(fitting(event)[0]) for event in effects.record))
        self._fed = True

    async def follow(self, feeding: asyncio.Task[None]) -> None:
        """Write the rows until all are written, or it is time to stop. Raises what the feeding raised."""
        clock, give_up_after = self._batch.clock, self._batch.settings.give_up_after
        last = clock.monotonic()
        while not self._stop.is_set():
            if feeding.done():
                feeding.result()
            if await self.write() or (give_up_after is not None and await self._progressed()):
                last = clock.monotonic()
            elif self._fed and not len(self._spool):
                await self._count_failures()
                self.done = True
                return
            elif give_up_after is not None and clock.monotonic() - last > give_up_after:
                raise GaveUp(
                    f"gave up, as --give-up-after says: no outcome for {give_up_after:g} s, and {len(self._spool):,} "
                    "rows are open. They go on in the cluster: see `tamiz status`, and run the same command again"
                )
            else:
                self._report()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_LOOK_EVERY):
                        await self._stop.wait()

    async def count_the_rest(self) -> None:
        """Count the rows that have an outcome behind one that has none; nothing can be written after it."""
        while ids := self._spool.peek(_AT_ONCE):
            ready = await self._store.results.finished(ids[0], ids[-1])
            for message_id in ids:
                if message_id in ready:
                    self.totals.add(ready[message_id])
            self._spool.drop(len(ids))

    async def _progressed(self) -> bool:
        """Tell whether outcomes have come since it was last asked, though the next row may have to wait for its own."""
        now = self._batch.clock.monotonic()
        if now < self._counted_at + _PROGRESS_EVERY or not (ids := self._spool.peek(1)):
            return False
        before, self._counted_at = self._ended, now
        self._ended = await self._store.results.ended(ids[0], ids[0][:_SETTINGS] + "g")
        return self._ended != before

    async def write(self) -> bool:
        """Write the rows that have their outcome, up to the first that has not; tell whether there were any."""
        ids = self._spool.peek(self._ahead)
        if not ids:
            return False
        # ids of one run sort by position
        ready = await self._store.results.finished(ids[0], ids[-1])
        rows = []
        for message_id in ids:
            if message_id not in ready:
                break
            rows.append(ready[message_id])
        # in order of the input few are ready beyond the first that is not, so look a little way, then further
        self._ahead = min(2 * self._ahead, _AT_ONCE) if len(rows) == len(ids) else _LOOK_AHEAD if rows else 1
        if not rows:
            return False
        self._output.write(rows)
        self._output.flush()
        for row in rows:
            self.totals.add(row)
            self._counters.outcomes[row.outcome] = self._counters.outcomes.get(row.outcome, 0) + 1
        self._first = self._first or ids[0]
        self._last = rows[-1].message_id
        self._spool.drop(len(rows))
        self._report()
        return True

    async def _count_failures(self) -> None:
        """Count the attempts; what is recorded of them may come a moment later than the outcomes."""
        until = self._batch.clock.monotonic() + _LATE
        counts: dict[str, int] = {}
        while self._last:
            counts = await self._store.results.tried(self._first, self._last)
            failures = sum(count for result, count in counts.items() if result != "refused")
            if failures >= self.totals.retries or self._batch.clock.monotonic() > until:
                break
            await asyncio.sleep(_LOOK_EVERY)
        self.totals.tried(counts)

    def _report(self) -> None:
        if self._watch is not None:
            self._watch(
                Report(
                    rows_read=self._feed.rows,
                    all_read=self._fed,
                    totals=self.totals,
                    counters=self._counters,
                    next_due=None,
                    endpoints=[],
                )
            )
