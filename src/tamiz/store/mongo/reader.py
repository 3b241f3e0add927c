"""Reads the store of a cluster from outside, also while workers write to it."""

from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from pymongo import MongoClient
from pymongo.errors import OperationFailure, PyMongoError

from tamiz.effects import EndpointState
from tamiz.errors import NoSuchQuestion, StateError
from tamiz.messages import LlmRequest
from tamiz.scoring import as_given
from tamiz.store.figures import QUANTILES, figures
from tamiz.store.lives import (
    LOOKED_BACK,
    Answered,
    Dead,
    Ended,
    Life,
    Match,
    Page,
    Place,
    ResultRow,
    Status,
    Tried,
    Waiting,
    Wanted,
)
from tamiz.store.mongo.address import MongoAddress
from tamiz.store.mongo.connection import Document, connected, secrets_of
from tamiz.store.mongo.counts import ATTEMPTS, LATENCIES, OUTCOMES, counted, of_tenant
from tamiz.store.mongo.endpoints import endpoint_of
from tamiz.store.mongo.failures import passes, remedy, what
from tamiz.store.mongo.pages import ANSWERED, answered_of, where_of
from tamiz.store.mongo.results import FINISHED, finished_of
from tamiz.store.mongo.rows import deferred_of
from tamiz.store.texts import reasons_of

__all__ = ["MongoReader"]

R = TypeVar("R")

_PAGE: Final = 500
_BATCH: Final = 50
"""Documents that one exchange with the server brings of a page, whose texts may be long."""
_PATIENCE_MS: Final = 5_000

_HEX: Final = frozenset("0123456789abcdef")
_LOOKS_LIKE_AN_ID: Final = 12

_DEAD: Final = dict.fromkeys(
    (
        "kind",
        "reason",
        "question_id",
        "title",
        "content",
        "best_answer",
        "model",
        "attempts",
        "retries",
        "finished_at",
    ),
    1,
)


class MongoReader:
    """The store of a cluster, opened for reading. It blocks.

    Raises `UsageError` where the URL is none, and `StateError` where the database does not answer for five seconds.
    """

    def __init__(self, url: str) -> None:
        self._address = MongoAddress.parse(url)
        self._secrets = secrets_of(url)
        self._client: MongoClient[Document] = connected(
            MongoClient, self._address, serverSelectionTimeoutMS=_PATIENCE_MS, connectTimeoutMS=_PATIENCE_MS
        )
        self._database = self._client[self._address.database]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def find(self, text: str, limit: int) -> list[Match]:
        """Give up to `limit` questions that a user may mean by `text`, of the first kind that has any.

        The kinds: a `message_id`, the dataset's id, the beginning of a `message_id`; of a text that looks like a
        long beginning, the last two change places.
        """
        exact = self._matches({"_id": text}, limit)
        if exact:
            return exact
        ways: list[Document] = [{"question_id": text}]
        if text and _HEX.issuperset(text):
            ways.insert(0 if len(text) >= _LOOKS_LIKE_AN_ID else 1, {"_id": {"$gte": text, "$lt": text + "g"}})
        return next((found for where in ways if (found := self._matches(where, limit))), [])

    def life(self, message_id: str) -> Life:
        """Give all that is known of a submission. Raises `NoSuchQuestion` where there is none of that id."""
        ended = self._get("answers", message_id)
        asked = self._get("questions", message_id) or ended
        if asked is None:
            raise NoSuchQuestion(f"no question {message_id} is in {self._address.shown}")
        outcome = None if ended is None else _ended(ended)
        return Life(
            message_id=message_id,
            id=asked["question_id"],
            question=asked["title"],
            content=asked["content"],
            reference=as_given(asked["best_answer"]),
            cache_key=asked["cache_key"],
            created_at=asked["created_at"],
            tenant=asked.get("tenant", ""),
            tried=self._tried(message_id),
            place=None if outcome else self._place(message_id),
            outcome=outcome,
        )

    def status(self) -> Status:
        """Count everything. What changes meanwhile may be in one count and not yet in another."""
        counts = counted(self._aggregate("answers", OUTCOMES), self._aggregate("attempts", ATTEMPTS))
        # outcomes before questions: so none is counted whose question is not
        questions = self._count("questions")
        return Status(
            questions=questions,
            open=max(questions - sum(counts.outcomes.values()), 0),
            outcomes=counts.outcomes,
            sources=counts.sources,
            dead_letters=counts.dead_letters,
            log={},
            parked=self._count("parked"),
            deferred=self._count("deferrals"),
            next_due=self._next_due(),
            claims=self._count("claims"),
            model_calls=counts.model_calls,
            tokens=None,
            endpoints=self._endpoints(),
        )

    def waiting(self) -> Waiting:
        """Count what waits and what failed, and about how many questions there are."""
        return Waiting(
            questions=self._ask(self._database["questions"].estimated_document_count),
            parked=self._count("parked"),
            deferred=self._count("deferrals"),
            next_due=self._next_due(),
            dead_letters=self.dead_kinds(),
            endpoints=self._endpoints(),
        )

    def dead_kinds(self, tenant: str | None = None) -> dict[str, int]:
        """Count dead letters by kind, those of one tenant or all."""
        pipeline: list[dict[str, Any]] = [
            {"$match": {"outcome": "failed"}},
            {"$group": {"_id": "$kind", "count": {"$sum": 1}}},
        ]
        found = self._aggregate("answers", of_tenant(pipeline, tenant))
        return dict(sorted((row["_id"], row["count"]) for row in found))

    def dead(self, kind: str | None, limit: int | None = None, tenant: str | None = None) -> Iterator[list[Dead]]:
        """Give dead letters of one kind or all, page by page, by kind and then in the order of their submission."""
        where: Document = {"outcome": "failed"}
        if kind is not None:
            where["kind"] = {"$eq": kind}
        if tenant is not None:
            where["tenant"] = {"$eq": tenant}
        after: Document = {}
        while limit is None or limit > 0:
            size = _PAGE if limit is None else min(limit, _PAGE)
            rows = self._rows("answers", {**where, **after}, _DEAD, sort=[("kind", 1), ("_id", 1)], limit=size)
            if not rows:
                return
            yield [_dead(row) for row in rows]
            last = rows[-1]
            after = {"$or": [{"kind": {"$gt": last["kind"]}}, {"kind": last["kind"], "_id": {"$gt": last["_id"]}}]}
            limit = None if limit is None else limit - len(rows)

    def finished(self, wanted: Wanted) -> Iterator[list[ResultRow]]:
        """Give those that are wanted, page by page, ordered by `message_id`."""
        last = ""
        while rows := self._rows("answers", where_of(wanted, last), FINISHED, sort=[("_id", 1)], limit=_PAGE):
            yield [finished_of(row) for row in rows]
            last = rows[-1]["_id"]

    def page(self, wanted: Wanted, after: str, limit: int) -> Page:
        """Give the first of those that are wanted whose `message_id` comes after `after`, at most `limit` of them."""
        where = where_of(wanted, after)

        def read() -> Page:
            with self._database["answers"].find(
                where, ANSWERED, sort=[("_id", 1)], limit=limit + 1, batch_size=_BATCH
            ) as rows:
                return Page.of(map(answered_of, rows), limit)

        return self._ask(read)

    def asked(self, message_ids: Sequence[str]) -> set[str]:
        """Tell which of these submissions are known, with an outcome or without."""
        return {row["_id"] for row in self._rows("questions", {"_id": {"$in": [*message_ids]}}, {"_id": 1})}

    def recent(self, limit: int, tenant: str | None = None) -> list[Answered]:
        """Give those that ended last, the last one first; of one tenant, those among the last `LOOKED_BACK` of all."""
        order = [("finished_at", -1), ("_id", -1)]
        if tenant is None:
            return [answered_of(row) for row in self._rows("answers", {}, ANSWERED, sort=order, limit=limit)]
        last = self._rows("answers", {}, {"tenant": 1, "finished_at": 1}, sort=order, limit=LOOKED_BACK)
        ids = [row["_id"] for row in last if row.get("tenant") == tenant][:limit]
        found = self._rows("answers", {"_id": {"$in": ids}}, ANSWERED) if ids else []
        return [answered_of(row) for row in sorted(found, key=lambda row: ids.index(row["_id"]))]

    def metrics(self, now: float, tenant: str | None = None) -> dict[str, Any]:
        """Count everything, or what is a tenant's."""
        counts = counted(
            self._aggregate("answers", of_tenant(OUTCOMES, tenant)),
            self._aggregate("attempts", of_tenant(ATTEMPTS, tenant)),
        )
        where = {} if tenant is None else {"tenant": {"$eq": tenant}}
        questions = self._ask(lambda: self._database["questions"].count_documents(where))
        return figures(counts, questions, self._latencies(tenant), now)

    def _latencies(self, tenant: str | None) -> list[float | None]:
        pipeline = of_tenant(LATENCIES, tenant)
        nothing: list[float | None] = [None for _ in QUANTILES]

        def read() -> list[float | None]:
            try:
                rows = self._database["answers"].aggregate(pipeline).to_list()
            except OperationFailure as error:
                if passes(error):
                    raise
                return nothing  # MongoDB before 7 has no percentiles
            return rows[0]["of"] if rows else nothing

        return self._ask(read)

    def _tried(self, message_id: str) -> list[Tried]:
        order = [("at", 1), ("attempt", 1), ("retry", 1), ("result", 1)]
        rows = self._rows("attempts", {"message_id": message_id}, None, sort=order)
        told: list[Document] = [{name: row.get(name) for name in Tried.__struct_fields__} for row in rows]
        return [Tried(**{**each, "reasons": reasons_of(each["reasons"])}) for each in told]

    def _place(self, message_id: str) -> Place:
        # "/" ends the submission's id in the key, and "0" comes after it
        near = {"_id": {"$gte": f"{message_id}/", "$lt": f"{message_id}0"}}
        for row in self._rows("deferrals", near, {"due": 1, "event": 1}, sort=[("due", -1)]):
            event = deferred_of(row["event"])
            if event.message_id == message_id:
                attempt, retry = (event.attempt, event.retry) if isinstance(event, LlmRequest) else (None, None)
                return Place(kind="deferred", due=row["due"], attempt=attempt, retry=retry)
        parked = self._get("parked", message_id)
        if parked is not None and parked["by"] is None:
            return Place(kind="parked", leader=parked["leader"])
        return Place(kind="log")

    def _matches(self, where: Document, limit: int) -> list[Match]:
        rows = self._rows("questions", where, {"question_id": 1, "title": 1}, sort=[("_id", 1)], limit=limit)
        ids = {"_id": {"$in": [row["_id"] for row in rows]}}
        outcomes = {row["_id"]: row["outcome"] for row in self._rows("answers", ids, {"outcome": 1})} if rows else {}
        return [
            Match(message_id=row["_id"], id=row["question_id"], question=row["title"], outcome=outcomes.get(row["_id"]))
            for row in rows
        ]

    def _get(self, name: str, key: str) -> Document | None:
        return self._ask(lambda: self._database[name].find_one({"_id": {"$eq": key}}))

    def _next_due(self) -> float | None:
        due = self._rows("deferrals", {}, {"due": 1}, sort=[("at", 1)], limit=1)
        return due[0]["due"] if due else None

    def _endpoints(self) -> list[EndpointState]:
        return [endpoint_of(row) for row in self._rows("endpoints", {}, None, sort=[("_id", 1)])]

    def _count(self, name: str) -> int:
        return self._ask(lambda: self._database[name].count_documents({}))

    def _aggregate(self, name: str, pipeline: list[dict[str, Any]]) -> list[Document]:
        return self._ask(lambda: self._database[name].aggregate(pipeline).to_list())

    def _rows(
        self,
        name: str,
        where: Document,
        fields: dict[str, int] | None,
        *,
        sort: list[tuple[str, int]] | None = None,
        limit: int = 0,
    ) -> list[Document]:
        return self._ask(lambda: self._database[name].find(where, fields, sort=sort, limit=limit).to_list())

    def _ask(self, work: Callable[[], R]) -> R:
        try:
            return work()
        except PyMongoError as error:
            text = what(error, self._secrets)
            if passes(error):
                raise StateError(
                    f"the store {self._address.shown} does not answer ({text}): "
                    "start it, or say where it is with --store or MONGO_URI"
                ) from None
            raise StateError(f"the store {self._address.shown} cannot be read ({text}): {remedy(error)}") from None


def _ended(row: Document) -> Ended:
    named = {**row, "answer": row["llm_answer"], "reasons": reasons_of(row.get("reasons"))}
    return Ended(**{name: named[name] for name in Ended.__struct_fields__})


def _dead(row: Document) -> Dead:
    named = {
        **row,
        "id": row["question_id"],
        "question": row["title"],
        "reference": row["best_answer"],
        "message_id": row["_id"],
    }
    return Dead(**{name: named[name] for name in Dead.__struct_fields__})
