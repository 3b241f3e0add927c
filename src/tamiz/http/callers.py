"""Whose a request is."""

from http import HTTPStatus
from typing import Any

from litestar import Request

from tamiz.http.keys import OPERATOR, Caller
from tamiz.http.problems import Problem

__all__ = ["caller_of", "is_operator", "operator_of"]


def caller_of(request: Request[Any, Any, Any]) -> Caller:
    """Give who sent the request."""
    caller: Caller = request.scope["state"]["caller"]
    return caller


def is_operator(request: Request[Any, Any, Any]) -> bool:
    """Tell whether an operator sent the request; what asks for no key may have come from anybody."""
    caller: Caller | None = request.scope["state"].get("caller")
    return caller is not None and caller.operator


def operator_of(request: Request[Any, Any, Any]) -> Caller:
    """Give who sent the request. Raises `Problem` 403 where that is no operator."""
    caller = caller_of(request)
    if not caller.operator:
        raise Problem(HTTPStatus.FORBIDDEN, f"this takes a key of the tenant {OPERATOR!r}", code="not_operator")
    return caller
