"""Feeds the rows of question files into the flow, each with an identity that a repeated run recognises."""

import asyncio
import contextlib
import itertools
import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, Protocol

from tamiz.clock import Clock
from tamiz.datasets import BadRow, Row
from tamiz.effects import Effects
from tamiz.hosts.spool import Spool
from tamiz.identity import cache_key, message_id, trace_of
from tamiz.messages import DeadLetter, Event, QuestionAsked

__all__ = ["BAD_ROW", "RowFeed"]

BAD_ROW: Final = "bad_row"
"""The kind of a dead letter for an input row that is not a question."""

_CHUNK: Final = 64
_AHEAD: Final = 4
"""Chunks that the reader may be ahead of the flow."""

_Submission = tuple[str, Row | BadRow]


class _Memory(Protocol):
    """Who knows which submissions need not be fed."""

    async def unknown(self, message_ids: Sequence[str]) -> set[str]:
        """Tell which of these are to be fed."""
        ...


class RowFeed:
    """Reads rows in a thread of its own, so that a slow disk or pipe never stops the flow.

    Rows whose submission the store knows already are not fed again; all of them are noted in the spool, in their order.
    `settings` and `asked_how` are the digests that identify a submission and a question (see `identity`). `live` takes
    each row as it comes, where it may be long before the next one (a pipe). `rows` and `known` count those that it has
    noted, and those of them that were known; `all_read` tells whether there are no others.
    """

    def __init__(
        self,
        rows: Iterable[Row | BadRow],
        *,
        settings: str,
        asked_how: str,
        answers: _Memory,
        spool: Spool,
        clock: Clock,
        live: bool,
    ) -> None:
        self.rows = 0
        self.known = 0
        self.all_read = False
        self.live = live
        self._ended = False
        self._settings = settings
        self._asked_how = asked_how
        self._answers = answers
        self._spool = spool
        self._clock = clock
        self._chunks: asyncio.Queue[list[Row | BadRow] | BaseException | None] = asyncio.Queue()
        self._read_rows: list[Row | BadRow] = []
        self._ahead = threading.Semaphore(_AHEAD)
        self._reader = threading.Thread(
            target=self._read,
            args=(iter(rows), 1 if live else _CHUNK, asyncio.get_running_loop()),
            name="tamiz-reader",
            daemon=True,  # it may wait on a pipe for ever
        )
        self._reader.start()

    async def next(self, limit: int) -> Effects | None:
        """Give up to `limit` rows as questions, or `None` after the last. Raises what the reading raised."""
        if not await self._fill():
            return None
        submissions, new = await self._look(limit)
        self._take(submissions, len(submissions) - len(new))
        return self._submit([(submission, row) for submission, row in submissions if submission in new])

    async def pass_known(self) -> bool:
        """Note rows that are known from before, up to the first that is not; `False` where the next one is not."""
        if not await self._fill():
            return False
        submissions, new = await self._look(_CHUNK)
        known = list(itertools.takewhile(lambda each: each[0] not in new, submissions))
        self._take(known, len(known))
        return len(known) > 0

    def end(self) -> None:
        """Wait for no more rows: those that are read already are the last."""
        self._chunks.put_nowait([])

    async def _fill(self) -> bool:
        """Have rows to look at; `False` after the last. Raises what the reading raised."""
        if not self._read_rows and not self._ended:
            chunk = await self._chunks.get()
            self._ahead.release()
            if isinstance(chunk, BaseException):
                raise chunk
            self._ended, self.all_read = not chunk, chunk is None
            self._read_rows = chunk or []
        return len(self._read_rows) > 0

    async def _look(self, limit: int) -> tuple[list[_Submission], set[str]]:
        """Give the next rows with their ids, and which of those are new."""
        submissions = [
            (message_id(self._settings, self.rows + n, *_content(row)), row)
            for n, row in enumerate(self._read_rows[:limit])
        ]
        return submissions, await self._answers.unknown([submission for submission, _ in submissions])

    def _take(self, submissions: Sequence[_Submission], known: int) -> None:
        del self._read_rows[: len(submissions)]
        self.rows += len(submissions)
        self.known += known
        self._spool.append([submission for submission, _ in submissions])

    def _submit(self, submissions: Sequence[_Submission]) -> Effects:
        emit: list[Event] = []
        record: list[Event] = []
        for submission, row in submissions:
            if isinstance(row, Row):
                asked = self._ask(submission, row)
                emit.append(asked)
            else:
                asked = self._ask(submission, Row(row.file, row.line, row.id, row.title))
                emit.append(_dead(asked, row))
            record.append(asked)
        return Effects(emit=tuple(emit), record=tuple(record))

    def _ask(self, submission: str, row: Row) -> QuestionAsked:
        return QuestionAsked(
            message_id=submission,
            trace_id=trace_of(submission),
            question_id=row.id,
            title=row.title,
            content=row.content,
            best_answer=row.reference,
            cache_key=cache_key(row.title, row.content, row.reference, self._asked_how),
            created_at=self._clock.time(),
        )

    def _read(self, rows: Iterator[Row | BadRow], size: int, loop: asyncio.AbstractEventLoop) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits for rows any more
            try:
                while chunk := list(itertools.islice(rows, size)):
                    self._ahead.acquire()
                    loop.call_soon_threadsafe(self._chunks.put_nowait, chunk)
            except Exception as error:  # noqa: BLE001 - raised again by next()
                loop.call_soon_threadsafe(self._chunks.put_nowait, error)
            else:
                loop.call_soon_threadsafe(self._chunks.put_nowait, None)


def _content(row: Row | BadRow) -> tuple[str | None, ...]:
    if isinstance(row, Row):
        return (row.id, row.title, row.content, row.reference)
    return (row.id, row.title, row.problem)


def _dead(asked: QuestionAsked, row: BadRow) -> DeadLetter:
    return DeadLetter(
        message_id=asked.message_id,
        trace_id=asked.trace_id,
        question_id=asked.question_id,
        title=asked.title,
        cache_key=asked.cache_key,
        created_at=asked.created_at,
        kind=BAD_ROW,
        reason=f"{row.file} line {row.line}: {row.problem}",
        source=None,
        leader=asked.message_id,
    )
