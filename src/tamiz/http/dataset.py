"""Hands the rows of a data set in as questions, as fast as there is room for them."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from itertools import islice
from typing import Any, Final

import msgspec

from tamiz.datasets import BadRow, Row
from tamiz.errors import TamizError
from tamiz.hosts.desk import Busy, Desk
from tamiz.http.context import Context, asked_by
from tamiz.http.keys import Caller
from tamiz.http.problems import as_problem
from tamiz.messages import QuestionAsked, Terms

__all__ = ["Ended", "Taken", "TakingIn", "Unread"]

_CHUNK: Final = 64
_SHARE: Final = 0.5
"""The share of the queue's places that data sets may take; the others are for questions that come alone."""
_LONGEST_TITLE, _LONGEST_CONTENT, _LONGEST_REFERENCE = 200_000, 400_000, 200_000


class Taken(msgspec.Struct, kw_only=True):
    """A row that is a question; it is durable, and ends in one outcome."""

    line: int
    id: str | None
    message_id: str
    known: bool
    """Whether it was taken in before: the same data set was sent already."""


class Unread(msgspec.Struct, kw_only=True):
    """A row that is no question."""

    line: int
    id: str | None
    problem: str


class Ended(msgspec.Struct, kw_only=True):
    """What became of the whole."""

    dataset: str
    rows: int = 0
    questions: int = 0
    """Rows that were taken in now."""
    known: int = 0
    """Rows that had been taken in before."""
    bad: int = 0
    """Rows that are no questions."""
    problem: str | None = None
    """Why it ended before the last row. Sent again, it goes on."""


class TakingIn:
    """Takes the rows of one data set in.

    A row's `message_id` follows from the data set and its place in it, so that what was taken in is known when the same
    data set comes again.
    """

    def __init__(self, context: Context, desk: Desk, dataset: str, caller: Caller) -> None:
        self._context = context
        self._desk = desk
        self._prefix = f"{context.shape().digest}{dataset}"
        self._terms = Terms(tenant=caller.tenant)
        self._caller = caller
        self._ended = Ended(dataset=dataset)

    async def all(self, rows: Iterator[Row | BadRow]) -> AsyncIterator[list[Taken | Unread | Ended]]:
        """Tell of each row once it is durable, or what is wrong with it, and at last what became of the whole."""
        ended = self._ended
        try:
            while chunk := await self._context.looks(lambda: list(islice(rows, _CHUNK))):
                told, stopped = await self._some(chunk)
                ended.rows += len(chunk)
                yield [*told]
                if stopped is not None:
                    raise stopped
        except TamizError as error:
            ended.problem = as_problem(error, self._caller).detail
        yield [ended]

    async def _some(self, chunk: list[Row | BadRow]) -> tuple[list[Taken | Unread], BaseException | None]:
        """Take rows in; give what became of them, and what kept the others from being taken in."""
        ids = [f"{self._prefix}{self._ended.rows + n:08x}" for n in range(len(chunk))]
        known = await self._context.look(lambda reader: reader.asked(ids))
        told: list[Taken | Unread] = []
        new: dict[str, QuestionAsked] = {}
        for message_id, row in zip(ids, chunk, strict=True):
            problem = row.problem if isinstance(row, BadRow) else _too_long(row)
            if isinstance(row, BadRow) or problem is not None:
                told.append(Unread(line=row.line, id=row.id, problem=problem or ""))
                continue
            told.append(Taken(line=row.line, id=row.id, message_id=message_id, known=message_id in known))
            if message_id not in known:
                new[message_id] = asked_by(
                    self._context,
                    message_id=message_id,
                    title=row.title,
                    content=row.content,
                    reference=row.reference,
                    question_id=row.id,
                    terms=self._terms,
                )
        results = await asyncio.gather(*(_submit(self._desk, asked) for asked in new.values()), return_exceptions=True)
        failed = {message_id: error for message_id, error in zip(new, results, strict=True) if error is not None}
        told = [each for each in told if isinstance(each, Unread) or each.message_id not in failed]
        bad = sum(isinstance(each, Unread) for each in told)
        self._ended.bad += bad
        self._ended.questions += len(new) - len(failed)
        self._ended.known += len(told) - bad - (len(new) - len(failed))
        return told, next(iter(failed.values()), None)


async def _submit(desk: Desk, asked: QuestionAsked) -> None:
    while True:
        await desk.queue.room(_SHARE)
        try:
            await desk.submit(asked)
        except Busy:
            continue
        return


def _too_long(row: Row) -> str | None:
    """Say what is too long for a question that is handed in over HTTP."""
    parts: list[tuple[str, Any, int]] = [
        ("question", row.title, _LONGEST_TITLE),
        ("content", row.content, _LONGEST_CONTENT),
        ("reference", row.reference or "", _LONGEST_REFERENCE),
    ]
    return next(
        (f"the {name} has more than {most:,} characters" for name, text, most in parts if len(text) > most), None
    )
