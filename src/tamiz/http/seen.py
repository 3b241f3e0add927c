"""What is told of a failed call: operators what was said and where, tenants the kind and the model's name."""

from collections.abc import Mapping
from typing import Final, TypeVar

import msgspec

from tamiz.errors import FailureKind
from tamiz.http.keys import Caller
from tamiz.models.names import name_of
from tamiz.store.lives import Answered, Ended, Life, Tried

__all__ = ["life_for", "model_for", "reason_for", "row_for"]

_SAYS: Final[Mapping[str, str]] = {
    FailureKind.OVERLOAD: "{model} is busy or does not answer",
    FailureKind.QUOTA: "the quota of {model} is used up",
    FailureKind.TIMEOUT: "{model} did not answer in time",
    FailureKind.FATAL: "{model} takes no such call",
}
"""In place of what a server, or the way to it, said; what is wrong with a question (`invalid`) stays as it is."""

_Row = TypeVar("_Row", Answered, Ended)


def reason_for(caller: Caller, kind: str | None, reason: str | None, model: str | None) -> str | None:
    """Give why a call of that kind failed, or the reason as it is where it is none of these."""
    if caller.operator or kind is None or kind not in _SAYS:
        return reason
    return f"{kind}: {_SAYS[kind].format(model=model_for(caller, model) or 'the model')}"


def model_for(caller: Caller, model: str | None) -> str | None:
    """Give the model that was asked, or that answered."""
    return model if caller.operator or model is None else name_of(model)


def row_for(caller: Caller, row: _Row) -> _Row:
    """Give what is told of an outcome."""
    if caller.operator:
        return row
    reason, model = reason_for(caller, row.kind, row.reason, row.model), model_for(caller, row.model)
    return msgspec.structs.replace(row, reason=reason, model=model)


def life_for(caller: Caller, life: Life) -> Life:
    """Give what is told of a whole life."""
    if caller.operator:
        return life
    ended = None if life.outcome is None else row_for(caller, life.outcome)
    return msgspec.structs.replace(life, tried=[_tried_for(caller, each) for each in life.tried], outcome=ended)


def _tried_for(caller: Caller, tried: Tried) -> Tried:
    reason, model = reason_for(caller, tried.result, tried.reason, tried.model), model_for(caller, tried.model)
    return msgspec.structs.replace(tried, reason=reason, model=model)
