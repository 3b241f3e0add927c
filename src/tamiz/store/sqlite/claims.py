"""Coalescing: who leads among identical questions, and who waits."""

from typing import Final

from tamiz.errors import StateError
from tamiz.messages import QuestionAsked, Terminal, decode, encode
from tamiz.statefile import StateFile

__all__ = ["SqliteClaims"]


_REMEMBERED: Final = 100_000
"""Claims kept in memory; those beyond are looked up in the file."""


class SqliteClaims:
    """Claims and parked questions.

    A claim that is made and released between two commits never touches the file. The claims made last are also kept in
    memory, with whether anybody is parked behind them, so that most are released without a look into the file.
    """

    def __init__(self, state: StateFile) -> None:
        self._state = state
        self._known: dict[str, str] = {}  # cache key to leader, for claims made by this process
        self._joined: set[str] = set()  # keys of `_known` behind which somebody is parked
        self._fresh: set[str] = set()  # keys of `_known` that the file does not have yet
        self._ended: set[str] = set()  # claims that the file still has
        self._others: int = state.execute("SELECT count(*) FROM claims").fetchone()[0]  # only the file has them
        state.before_commit(self._flush)

    async def claim(self, asked: QuestionAsked) -> bool:
        """Claim the cache key, or park the question behind whoever holds it."""
        key = asked.cache_key
        leader = self._leader(key)
        if leader is None:
            self._known[key] = asked.message_id
            self._fresh.add(key)
            return True
        if leader == asked.message_id:
            return True
        self._state.execute(
            "INSERT INTO parked (cache_key, message_id, event) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
            (key, asked.message_id, encode(asked)),
        )
        if key in self._known:
            self._joined.add(key)
        return False

    async def release(self, outcome: Terminal, limit: int) -> list[QuestionAsked]:
        """Take up to `limit` of those that wait for the leader; when nobody waits any more the claim ends.

        They are taken in the transaction that acknowledges the outcome, so one that comes again has taken nobody.
        """
        cache_key = outcome.cache_key
        if self._leader(cache_key) != outcome.leader:
            return []
        waiting = []
        if cache_key not in self._known or cache_key in self._joined:
            waiting = self._state.execute(
                "SELECT seq, event FROM parked WHERE cache_key = ? ORDER BY seq LIMIT ?", (cache_key, limit)
            ).fetchall()
        if not waiting:
            self._end(cache_key)
            return []
        self._state.execute_many("DELETE FROM parked WHERE seq = ?", [(seq,) for seq, _ in waiting])
        return [_question(event) for _, event in waiting]

    def _leader(self, key: str) -> str | None:
        known = self._known.get(key)
        if known is not None or not self._others or key in self._ended:
            return known
        row = self._state.execute("SELECT leader FROM claims WHERE cache_key = ?", (key,)).fetchone()
        return None if row is None else row[0]

    def _end(self, key: str) -> None:
        if self._known.pop(key, None) is None:
            self._others -= 1
        self._joined.discard(key)
        if key in self._fresh:
            self._fresh.discard(key)
        else:
            self._ended.add(key)

    def _flush(self) -> None:
        if self._ended:
            self._state.execute_many("DELETE FROM claims WHERE cache_key = ?", [(key,) for key in self._ended])
            self._ended.clear()
        if self._fresh:
            # a key may end and be claimed anew between two commits: the file's row, if there is one, is the old one
            self._state.execute_many(
                "INSERT OR REPLACE INTO claims VALUES (?, ?)", [(key, self._known[key]) for key in self._fresh]
            )
            self._fresh.clear()
        while len(self._known) > _REMEMBERED:
            oldest = next(iter(self._known))
            del self._known[oldest]
            self._joined.discard(oldest)
            self._others += 1


def _question(event: bytes) -> QuestionAsked:
    asked = decode(event)
    if not isinstance(asked, QuestionAsked):
        raise StateError(f"a parked record is a {type(asked).__name__}, not a question: the state file is damaged")
    return asked
