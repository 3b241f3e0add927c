"""Writes the result rows, in the order of the input, as soon as their outcomes are durable."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from tamiz.hosts.spool import Spool
from tamiz.messages import Outcome, Source, Terminal
from tamiz.output import Output
from tamiz.statefile import StateFile
from tamiz.store.lives import ResultRow

__all__ = ["Results", "Totals"]

_AT_ONCE: Final = 512

_SELECT: Final = (
    "SELECT question_id, title, answer, outcome, score, source, attempts, retries, reason, model, latency_ms, "
    "message_id FROM outcomes JOIN questions USING (message_id) WHERE message_id BETWEEN ? AND ?"
)
_ATTEMPTS: Final = (
    "SELECT message_id, result, count(*) FROM attempts WHERE message_id BETWEEN ? AND ? GROUP BY message_id, result"
)


class Totals(msgspec.Struct):
    """What rows with an outcome add up to, in this process and in those before it."""

    rows: int = 0
    accepted: int = 0
    exhausted: int = 0
    failed: int = 0
    unscored: int = 0
    """Accepted without a score."""
    sources: dict[str, int] = {}
    attempts: int = 0
    """Answers that models gave."""
    retries: int = 0
    """Model calls that failed."""
    refused: int = 0
    """Answers that fell short."""
    failures: dict[str, int] = {}
    """Model calls that failed, by kind."""
    scored: int = 0
    score_sum: float = 0.0

    @property
    def saved(self) -> int:
        """Questions that needed no call of their own."""
        return sum(self.sources.get(source, 0) for source in (Source.CACHE, Source.STORE, Source.COALESCED))

    def tried(self, counts: Mapping[str, int]) -> None:
        """Count refused answers, and failed calls by kind."""
        for result, count in counts.items():
            if result == "refused":
                self.refused += count
            else:
                self.failures[result] = self.failures.get(result, 0) + count

    def add(self, row: ResultRow) -> None:
        """Count a row."""
        self.rows += 1
        match row.outcome:
            case Outcome.ACCEPTED:
                self.accepted += 1
                self.unscored += row.score is None
            case Outcome.EXHAUSTED:
                self.exhausted += 1
            case _:
                self.failed += 1
        if row.source is not None:
            self.sources[row.source] = self.sources.get(row.source, 0) + 1
        self.attempts += row.attempts
        self.retries += row.retries
        if row.score is not None:
            self.scored += 1
            self.score_sum += row.score


class Results:
    """Follows the ids of the spool and writes each row once all before it are written.

    Memory holds none of the rows that wait: they are in the state file.
    """

    def __init__(self, state: StateFile, spool: Spool, output: Output) -> None:
        self.totals = Totals()
        self.written = 0
        self._state = state
        self._spool = spool
        self._output = output
        self._head: str | None = None

    def committed(self, asked: Sequence[str], finished: Sequence[Terminal]) -> None:  # noqa: ARG002 - the protocol's
        """Take note of outcomes that have become durable and write what can be written."""
        if self._head is None or any(outcome.message_id == self._head for outcome in finished):
            self.write()

    @property
    def open(self) -> int:
        """How many rows have been read and not been written."""
        return len(self._spool)

    def write(self) -> None:
        """Write the rows that have their outcome, up to the first that has not."""
        count = (
            16  # in order of the input few are ready beyond the first that is not, so look a little way, then further
        )
        wrote = False
        while ids := self._spool.peek(count):
            ready = self._ready(ids)
            rows = [ready[message_id] for message_id in itertools.takewhile(ready.__contains__, ids)]
            if rows:
                self._output.write(rows)
                wrote = True
                self.written += len(rows)
                self._count(rows)
                self._spool.drop(len(rows))
            if len(rows) < len(ids):
                break
            count = min(2 * count, _AT_ONCE)
        if wrote:
            self._output.flush()
        self._head = next(iter(self._spool.peek(1)), None)

    def count_the_rest(self) -> None:
        """Count the rows that have an outcome behind one that has none; nothing can be written after it."""
        while ids := self._spool.peek(_AT_ONCE):
            ready = self._ready(ids)
            self._count([ready[message_id] for message_id in ids if message_id in ready])
            self._spool.drop(len(ids))

    def _ready(self, ids: Sequence[str]) -> dict[str, ResultRow]:
        # ids of one run sort by position, so this is a short scan
        return {row[-1]: ResultRow(*row) for row in self._state.execute(_SELECT, (ids[0], ids[-1]))}

    def _count(self, rows: Sequence[ResultRow]) -> None:
        if not rows:
            return
        for row in rows:
            self.totals.add(row)
        ours = {row.message_id for row in rows}
        for message_id, result, count in self._state.execute(_ATTEMPTS, (rows[0].message_id, rows[-1].message_id)):
            if message_id in ours:
                self.totals.tried({result: count})
