"""How Litestar's handlers get their parameters and bodies, and what is answered where these are wrong."""

import logging
from collections.abc import Mapping
from functools import lru_cache
from http import HTTPStatus
from typing import Any, Final

from litestar import Request, Response
from litestar.exceptions import HTTPException, MethodNotAllowedException, ValidationException
from litestar.handlers import HTTPRouteHandler

from tamiz.errors import TamizError
from tamiz.http.fields import missing, of_query, reading, unknown
from tamiz.http.guard import WATCHED
from tamiz.http.head import allowed
from tamiz.http.problems import OPENAI, Problem, as_problem, body_of, type_of

__all__ = ["HANDLERS", "Call", "check_query"]

_log: Final = logging.getLogger("tamiz.http")
_NO_QUERY: Final = frozenset({"self", "request", "context", "data"})


class Call(Request[Any, Any, Any]):
    """A request whose body is read as what its handler takes, strictly."""

    async def body(self) -> bytes:
        """Give the body; in place of none a blank, so that it is read and refused like any other that is no JSON."""
        return await super().body() or b" "

    async def json(self) -> Any:  # noqa: ANN401 - what the handler's `data` is
        """Give the body as what the handler takes. Raises `Problem` where it is something else."""
        field = self.route_handler.parsed_data_field
        return reading(Any if field is None else field.annotation)(await self.body())


async def check_query(request: Request[Any, Any, Any]) -> None:
    """Raise `Problem` where the query has a parameter that the call does not know, or lacks one that it needs.

    Clients of OpenAI's API, browsers and monitors may add their own: what is for them takes any.
    """
    handler: HTTPRouteHandler = request.route_handler
    path = request.scope["path"]
    if path.startswith(OPENAI) or path in WATCHED or not handler.resolve_include_in_schema():
        return
    takes = {name: kind for name, kind in _parameters(handler).items() if name not in request.path_params}
    for name in request.query_params:
        if name not in takes:
            raise unknown(name, [*takes])
    for name, kind in takes.items():
        if not handler.parsed_fn_signature.parameters[name].has_default and name not in request.query_params:
            raise missing(name, kind)


@lru_cache
def _parameters(handler: HTTPRouteHandler) -> Mapping[str, Any]:
    """Give the parameters of path and query with their types; none has an alias."""
    kinds = handler.signature_model.__annotations__
    return {name: kinds[name] for name in handler.parsed_fn_signature.parameters if name not in _NO_QUERY}


def _answer(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    problem, path = _problem(request, error), request.scope["path"]
    if problem.status == HTTPStatus.INTERNAL_SERVER_ERROR:
        _log.error("a request failed", exc_info=error)
    return Response(
        body_of(problem, path), status_code=problem.status, media_type=type_of(path), headers=problem.headers
    )


def _problem(request: Request[Any, Any, Any], error: Exception) -> Problem:
    match error:
        case ValidationException(extra=[{"key": str(key)}, *_]) if key in (known := _parameters(request.route_handler)):
            values = request.query_params.getall(key, [str(request.path_params.get(key))])
            return of_query(key, values, known[key])
        case MethodNotAllowedException():
            methods = allowed((error.headers or {}).get("allow", ""))
            return Problem(error.status_code, f"this takes {methods}", headers={"allow": methods})
        case HTTPException():
            return Problem(error.status_code, error.detail, headers=error.headers)
        case _:
            return as_problem(error, request.scope["state"].get("caller"))


HANDLERS: Final[dict[int | type[Exception], Any]] = {Exception: _answer, HTTPException: _answer, TamizError: _answer}
"""What Litestar does with errors."""
