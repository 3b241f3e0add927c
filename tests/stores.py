"""The stores that the contract tests run on, each with what can happen to it from outside."""

import asyncio
import threading
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, TypeVar

import pytest

from manual_clock import ManualClock, StillClock, at_once
from tamiz.statefile import StateFile
from tamiz.store.base import Answers, Claims, Deferrals, Endpoints
from tamiz.store.mongo import MongoStore
from tamiz.store.sqlite import SqliteAnswers, SqliteClaims, SqliteDeferrals, SqliteEndpoints

__all__ = [
    "Harness",
    "Maker",
    "Mongo",
    "SqliteForgetful",
    "SqliteInMemory",
    "SqliteIndexing",
    "SqliteOnFile",
    "maker",
]

T = TypeVar("T")

Rows = dict[str, list[tuple[Any, ...]]]

_OUTCOME: Final = (
    "_id",
    "cache_key",
    "outcome",
    "source",
    "llm_answer",
    "score",
    "reason",
    "kind",
    "attempt",
    "attempts",
    "retries",
    "model",
    "latency_ms",
    "leader",
    "finished_at",
    "reasons",
    "completion",
)
_QUESTION: Final = (
    "_id",
    "trace_id",
    "question_id",
    "title",
    "content",
    "best_answer",
    "cache_key",
    "created_at",
    "tenant",
    "terms",
)
_ATTEMPT: Final = (
    "message_id",
    "attempt",
    "retry",
    "result",
    "answer",
    "score",
    "reason",
    "model",
    "latency_ms",
    "at",
    "reasons",
)


class Harness(ABC):
    """A store, and what happens to it from outside."""

    answers: Answers
    claims: Claims
    deferrals: Deferrals
    endpoints: Endpoints

    durable = True
    """Whether it outlives its process, so that it can `crash`."""
    transactional = True
    """Whether a crash takes back what was not committed; otherwise every call is durable when it returns."""
    events_bring_questions = False
    """Whether an outcome makes its question known."""
    many = 5001

    @abstractmethod
    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a call of the store to its end."""

    def each(self, works: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
        """Run many calls, at the same time where that can be."""
        return [self.run(work) for work in works]

    def commit(self) -> None:  # noqa: B027 - what is durable at once needs none
        """Make everything up to here durable."""

    @abstractmethod
    def crash(self) -> None:
        """Lose everything since the last commit, and what the process had in memory."""

    @abstractmethod
    def count(self, what: str) -> int:
        """Tell how many claims, parked questions or deferrals take up space."""

    @abstractmethod
    def rows(self) -> Rows:
        """Give the questions, outcomes and attempts, in the order of their keys."""

    @abstractmethod
    def close(self) -> None:
        """Free everything."""


class SqliteInMemory(Harness):
    """The embedded store, in memory."""

    durable = False

    def __init__(self) -> None:
        self._take(StateFile(":memory:"))

    def _take(self, state: StateFile) -> None:
        self.state = state
        self.answers = SqliteAnswers(state, ManualClock())
        self.claims = SqliteClaims(state)
        self.deferrals = SqliteDeferrals(state)
        self.endpoints = SqliteEndpoints(state)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run what has nothing to wait for."""
        return at_once(work)

    def commit(self) -> None:
        """Commit."""
        self.state.commit()

    def crash(self) -> None:
        """Nothing is left of it."""
        raise NotImplementedError

    def count(self, what: str) -> int:
        """Count the rows of a table."""
        found: int = self.state.execute(f"SELECT count(*) FROM {what}").fetchone()[0]  # noqa: S608 - a constant
        return found

    def rows(self) -> Rows:
        """Give the rows of the tables."""
        order = {"questions": "1", "outcomes": "1", "attempts": "1, 2, 3, 4"}
        return {
            table: self.state.execute(f"SELECT * FROM {table} ORDER BY {columns}").fetchall()  # noqa: S608 - constants
            for table, columns in order.items()
        }

    def close(self) -> None:
        """Close the file."""
        self.state.close()


class SqliteOnFile(SqliteInMemory):
    """The embedded store."""

    durable = True

    def __init__(self) -> None:
        self._folder = TemporaryDirectory()
        self._path = Path(self._folder.name, "tamiz.db")
        self._take(StateFile(self._path))

    def crash(self) -> None:
        """Open the file anew."""
        self.state.close()
        self._take(StateFile(self._path))

    def close(self) -> None:
        """Remove the file."""
        super().close()
        self._folder.cleanup()


class SqliteForgetful(SqliteOnFile):
    """Keeps so few claims in memory that most are looked up in the file."""

    def __init__(self) -> None:
        self._patch = pytest.MonkeyPatch()
        self._patch.setattr("tamiz.store.sqlite.claims._REMEMBERED", 1)
        super().__init__()

    def close(self) -> None:
        """Be as before."""
        super().close()
        self._patch.undo()


class SqliteIndexing(SqliteOnFile):
    """Indexes accepted answers three at a time, so that some are in the index and some are not."""

    def __init__(self) -> None:
        self._patch = pytest.MonkeyPatch()
        self._patch.setattr("tamiz.store.sqlite.answers._INDEXED_AT_ONCE", 3)
        super().__init__()

    def close(self) -> None:
        """Be as before."""
        super().close()
        self._patch.undo()


class Mongo(Harness):
    """The store of a cluster, in a database of its own on a real server."""

    transactional = False
    events_bring_questions = True
    many = 501

    def __init__(self, url: str) -> None:
        self._url = f"{url}/contract-{uuid.uuid4().hex[:12]}"
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)  # also where it cannot be closed
        self._thread.start()
        self._take()

    def _take(self) -> None:
        self.store = self.run(self._opened())
        self.answers, self.claims = self.store.answers, self.store.claims
        self.deferrals, self.endpoints = self.store.deferrals, self.store.endpoints

    async def _opened(self) -> MongoStore:
        store = MongoStore(self._url, StillClock(), patience=None, say=print)
        await store.open()
        return store

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run it on the loop that the connections belong to."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(120)

    def each(self, works: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
        """Run them all at the same time."""

        async def all_of_them() -> list[T]:
            return await asyncio.gather(*works)

        return self.run(all_of_them())

    def crash(self) -> None:
        """Be another process."""
        self.run(self.store.close())
        self._take()

    def count(self, what: str) -> int:
        """Count the documents of a collection."""
        return self.run(self.store.connection.database[what].count_documents({}))

    def rows(self) -> Rows:
        """Give the documents as the rows that the embedded store would have."""
        return {
            "questions": self._documents("questions", _QUESTION, 1),
            "outcomes": self._documents("answers", _OUTCOME, 1),
            "attempts": self._documents("attempts", _ATTEMPT, 4),
        }

    def _documents(self, collection: str, names: tuple[str, ...], ordered_by: int) -> list[tuple[Any, ...]]:
        found = self.run(self.store.connection.database[collection].find().to_list())
        return sorted((tuple(row[name] for name in names) for row in found), key=lambda row: row[:ordered_by])

    def close(self) -> None:
        """Drop the database and stop the loop."""
        database = self.store.connection.database
        self.run(database.client.drop_database(database))
        self.run(self.store.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class Maker:
    """Makes new, empty stores of one kind."""

    def __init__(self, make: Callable[[], Harness], examples: int) -> None:
        self._make = make
        self.examples = examples
        """How many examples of a long test are worth their time."""

    def __call__(self) -> Harness:
        """Make one."""
        return self._make()


def maker(request: pytest.FixtureRequest) -> Maker:
    """Give the maker of the stores that a test is parametrised with."""
    kind: type[SqliteInMemory | Mongo] = request.param
    if issubclass(kind, Mongo):
        url: str = request.getfixturevalue("mongo").url
        return Maker(lambda: kind(url), examples=8)
    return Maker(kind, examples=30)
