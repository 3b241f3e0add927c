"""Lists of outcomes, as documents of `answers` hold them."""

from typing import Final

from tamiz.scoring import as_given
from tamiz.store.lives import Answered, Wanted
from tamiz.store.mongo.connection import Document
from tamiz.store.texts import reasons_of

__all__ = ["ANSWERED", "answered_of", "where_of"]

_NAMED: Final = {
    "message_id": "_id",
    "id": "question_id",
    "question": "title",
    "reference": "best_answer",
    "answer": "llm_answer",
}
_FIELDS: Final = {name: _NAMED.get(name, name) for name in Answered.__struct_fields__}

ANSWERED: Final = dict.fromkeys(_FIELDS.values(), 1)
"""The fields that `answered_of` takes."""


def answered_of(row: Document) -> Answered:
    """Give a row of a list."""
    told: Document = {name: row.get(field) for name, field in _FIELDS.items()}
    told["reference"] = as_given(told["reference"])
    return Answered(**{**told, "reasons": reasons_of(row.get("reasons")), "tenant": row.get("tenant") or ""})


def where_of(wanted: Wanted, after: str) -> Document:
    """Give the filter for those that are wanted and whose key comes after `after`.

    Each value stands behind an operator of ours, so that it is a value whatever it is.
    """
    where: Document = {"_id": {"$gt": max(after, wanted.prefix)}, "outcome": {"$in": list(wanted.outcomes)}}
    if wanted.prefix:
        where["_id"]["$lt"] = wanted.prefix + "g"
    if wanted.kind is not None:
        where["kind"] = {"$eq": wanted.kind}
    if wanted.min_score is not None:
        where["score"] = {"$gte": wanted.min_score}
    if wanted.tenant is not None:
        where["tenant"] = {"$eq": wanted.tenant}
    return where
