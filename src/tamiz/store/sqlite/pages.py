"""Lists of outcomes, and figures over all of them, as the tables of a state file hold them."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from tamiz.messages import Outcome
from tamiz.scoring import as_given
from tamiz.store.figures import QUANTILES, Group, count, figures
from tamiz.store.lives import LOOKED_BACK, Answered, Wanted
from tamiz.store.texts import reasons_of

__all__ = ["answered", "figures_of", "recent", "selected"]

Rows = Callable[[str, Sequence[Any]], Iterator[tuple[Any, ...]]]
"""Runs a query and gives its rows as they are read."""

_NAMED: Final = {"id": "question_id", "question": "title", "reference": "best_answer"}
_COLUMNS: Final = ", ".join(_NAMED.get(name, name) for name in Answered.__struct_fields__)
_REASONS: Final = Answered.__struct_fields__.index("reasons")

_LAST: Final = "SELECT message_id FROM outcomes INDEXED BY finished ORDER BY finished_at DESC, message_id DESC LIMIT "
_ORDER: Final = "ORDER BY finished_at DESC, message_id DESC LIMIT ?"


def selected(wanted: Wanted, after: str, limit: int) -> tuple[str, list[Any]]:
    """Give what follows the columns in a query for those that are wanted, by `message_id`, and its values."""
    parts = ["message_id > ?"]
    values: list[Any] = [max(after, wanted.prefix)]
    if wanted.outcomes == (Outcome.FAILED,):
        tables = "outcomes INDEXED BY failed JOIN questions"
        parts.append("outcome = 'failed'")
    else:
        # a tenant's are found by the index of the questions, all others by the key of the outcomes
        tables = "outcomes JOIN questions" if wanted.tenant is None else "questions CROSS JOIN outcomes"
        parts.append(f"outcome IN ({', '.join('?' * len(wanted.outcomes))})")
        values += wanted.outcomes
    if wanted.prefix:
        parts.append("message_id < ?")
        values.append(wanted.prefix + "g")
    if wanted.kind is not None:
        parts.append("kind = ?")
        values.append(wanted.kind)
    if wanted.min_score is not None:
        parts.append("score >= ?")
        values.append(wanted.min_score)
    if wanted.tenant is not None:
        parts.append("tenant = ? AND tenant <> ''")  # the latter says that the index of tenants holds it
        values.append(wanted.tenant)
    return (
        f"FROM {tables} USING (message_id) WHERE {' AND '.join(parts)} ORDER BY message_id LIMIT ?",
        [*values, limit],
    )


def answered(rows: Rows, wanted: Wanted, after: str, limit: int) -> Iterator[Answered]:
    """Give up to `limit` of those that are wanted, by `message_id`, as they are read."""
    tail, values = selected(wanted, after, limit)
    return map(_answered, rows(f"SELECT {_COLUMNS} {tail}", values))


def recent(rows: Rows, limit: int, tenant: str | None) -> list[Answered]:
    """Give those that ended last, the last one first; of a tenant, those among the last `LOOKED_BACK` of all."""
    if tenant is None:
        sql = f"SELECT {_COLUMNS} FROM outcomes INDEXED BY finished JOIN questions USING (message_id) {_ORDER}"  # noqa: S608
        return [*map(_answered, rows(sql, (limit,)))]
    sql = (
        f"SELECT {_COLUMNS} FROM ({_LAST} {LOOKED_BACK}) JOIN outcomes USING (message_id) "  # noqa: S608 - our names
        f"JOIN questions USING (message_id) WHERE tenant = ? {_ORDER}"
    )
    return [*map(_answered, rows(sql, (tenant, limit)))]


def figures_of(rows: Rows, now: float, tenant: str | None) -> dict[str, Any]:
    """Give the document `metrics` (see `store/figures.py`). It reads every row."""
    where, values = ("", ()) if tenant is None else ("WHERE tenant = ? AND tenant <> ''", (tenant,))
    asked = "" if tenant is None else "JOIN questions USING (message_id)"
    groups = [
        Group(**dict(zip(Group.__struct_fields__, row, strict=True)))
        for row in rows(
            "SELECT outcome, source, kind, count(*), count(score), total(score), min(score), max(score) "  # noqa: S608
            f"FROM outcomes {asked} {where} GROUP BY 1, 2, 3",
            values,
        )
    ]
    tried: dict[str, int] = dict(rows(f"SELECT result, count(*) FROM attempts {asked} {where} GROUP BY 1", values))  # noqa: S608
    ((questions,),) = rows(f"SELECT count(*) FROM questions {where}", values)  # noqa: S608 - as above
    called = f"{where or 'WHERE true'} AND outcomes.source = 'model' AND latency_ms > 0"
    ((called_count,),) = rows(f"SELECT count(*) FROM outcomes {asked} {called}", values)  # noqa: S608
    latencies = [
        _quantile(rows, f"SELECT latency_ms FROM outcomes {asked} {called}", values, each, called_count)  # noqa: S608
        for each in QUANTILES
    ]
    return figures(count(groups, tried), questions, latencies, now)


def _quantile(rows: Rows, sql: str, values: Sequence[Any], quantile: float, of: int) -> float | None:
    """Give the least value that this share of the values does not exceed, `None` where there are none."""
    place = max(-int(-quantile * of // 1) - 1, 0)
    return next((row[0] for row in rows(f"{sql} ORDER BY 1 LIMIT 1 OFFSET ?", (*values, place))), None)


def _answered(row: tuple[Any, ...]) -> Answered:
    told = dict(zip(Answered.__struct_fields__, row, strict=True))
    return Answered(**{**told, "reference": as_given(told["reference"]), "reasons": reasons_of(row[_REASONS])})
