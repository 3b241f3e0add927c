"""Collections in memory that are as atomic as MongoDB's, and no more: one document at a time.

Every call passes through a gate before it, between any two documents that it changes, and after it. Whoever holds the
gates decides what happens in which order.
"""

import copy
from collections.abc import Awaitable, Callable
from typing import Any, Self, TypeVar

from pymongo.errors import BulkWriteError

__all__ = ["FakeConnection", "FakeDatabase"]

T = TypeVar("T")

Document = dict[str, Any]
Gate = Callable[[], Awaitable[None]]


class FakeDatabase:
    """Documents by collection and key; everybody's."""

    def __init__(self) -> None:
        self.documents: dict[str, dict[str, Document]] = {}

    def rows(self, name: str) -> dict[str, Document]:
        """Give a collection's documents."""
        return self.documents.setdefault(name, {})


class FakeConnection:
    """One process's way to the database."""

    def __init__(self, database: FakeDatabase, gate: Gate) -> None:
        self._database = database
        self._gate = gate

    @property
    def database(self) -> Self:
        """Collections are attributes and items, as of pymongo's databases."""
        return self

    def __getattr__(self, name: str) -> "_Collection":
        return self[name]

    def __getitem__(self, name: str) -> "_Collection":
        return _Collection(self._database.rows(name), self._gate)

    async def run(self, work: Callable[[], Awaitable[T]]) -> T:
        """Do the work, which never fails here."""
        return await work()


class _Done:
    def __init__(self, count: int) -> None:
        self.deleted_count = self.modified_count = count


class _Found:
    def __init__(self, collection: "_Collection", where: Document) -> None:
        self._collection = collection
        self._where = where
        self._by: str | None = None
        self._limit = 0

    def sort(self, by: str, _direction: int) -> Self:
        self._by = by
        return self

    def limit(self, limit: int) -> Self:
        self._limit = limit
        return self

    async def to_list(self) -> list[Document]:
        found = await self._collection.read(self._where)
        if self._by is not None:
            by = self._by
            found.sort(key=lambda row: row[by])
        return found[: self._limit] if self._limit else found


class _Collection:
    def __init__(self, rows: dict[str, Document], gate: Gate) -> None:
        self._rows = rows
        self._gate = gate

    async def read(self, where: Document) -> list[Document]:
        await self._gate()
        found = [copy.deepcopy(row) for row in self._rows.values() if _fits(row, where)]
        await self._gate()
        return found

    def find(self, where: Document, _fields: Document | None = None) -> _Found:
        return _Found(self, where)

    async def find_one(self, where: Document, _fields: Document | None = None) -> Document | None:
        found = await self.read(where)
        return found[0] if found else None

    async def distinct(self, field: str, where: Document) -> list[Any]:
        return list({row[field] for row in await self.read(where)})

    async def insert_many(self, documents: list[Document], *, ordered: bool) -> None:
        assert not ordered
        errors = []
        for index, document in enumerate(documents):
            await self._gate()
            if document["_id"] in self._rows:
                errors.append({"index": index, "code": 11000})
            else:
                self._rows[document["_id"]] = copy.deepcopy(document)
        await self._gate()
        if errors:
            raise BulkWriteError({"writeErrors": errors, "writeConcernErrors": []})

    async def replace(self, document: Document) -> None:
        await self._gate()
        self._rows[document["_id"]] = copy.deepcopy(document)

    async def update_many(self, where: Document, change: Any) -> _Done:
        sets = change[0]["$set"] if isinstance(change, list) else change["$set"]

        def update(row: Document) -> None:
            row.update(
                {name: _value(value, row) if isinstance(change, list) else value for name, value in sets.items()}
            )

        return await self._each(where, update)

    async def delete_many(self, where: Document) -> _Done:
        return await self._each(where, lambda row: self._rows.pop(row["_id"]))

    async def delete_one(self, where: Document) -> _Done:
        return await self.delete_many(where)

    async def _each(self, where: Document, do: Callable[[Document], object]) -> _Done:
        """Do it to each document that fits, where it still does when its turn comes."""
        await self._gate()
        count = 0
        for key in [key for key, row in self._rows.items() if _fits(row, where)]:
            row = self._rows.get(key)
            if row is not None and _fits(row, where):
                do(row)
                count += 1
            await self._gate()
        return _Done(count)


def _fits(row: Document, where: Document) -> bool:
    return all(_is(row.get(name), wanted) for name, wanted in where.items())


def _is(value: Any, wanted: Any) -> bool:
    if not isinstance(wanted, dict):
        return bool(value == wanted)
    tests: dict[str, Callable[[Any, Any], bool]] = {
        "$in": lambda value, wanted: value in wanted,
        "$ne": lambda value, wanted: value != wanted,
        "$gt": lambda value, wanted: value is not None and value > wanted,
        "$gte": lambda value, wanted: value is not None and value >= wanted,
        "$lt": lambda value, wanted: value is not None and value < wanted,
        "$lte": lambda value, wanted: value is not None and value <= wanted,
    }
    return all(tests[name](value, operand) for name, operand in wanted.items())


def _value(expression: Any, row: Document) -> Any:
    if isinstance(expression, str) and expression.startswith("$"):
        return row[expression[1:]]
    match expression:
        case {"$literal": value}:
            return value
        case {"$indexOfArray": [values, value]}:
            return _value(values, row).index(_value(value, row))
        case {"$arrayElemAt": [values, index]}:
            return _value(values, row)[_value(index, row)]
        case _:
            return expression
