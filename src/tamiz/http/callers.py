"""Whose a request is."""

from http import HTTPStatus
from typing import Any

from litestar import Request

from tamiz.http.keys import OPERATOR, Caller
from tamiz.http.problems import Problem

__all__ = ["caller_of", "operator_of"]


def caller_of(request: Request[Any, Any, Any]) -> Caller:
    """Give who sent the request."""
    caller: Caller = request.scope["state"]["caller"]
    return caller


def operator_of(request: Request[Any, Any, Any]) -> Caller:
    """Give who sent the request. Raises `Problem` 403 where that is no operator."""
    caller = caller_of(request)
    if not caller.operator:
        raise Problem(HTTPStatus.FORBIDDEN, f"this takes a key of the tenant {OPERATOR!r}", code="not_operator")
    return caller
