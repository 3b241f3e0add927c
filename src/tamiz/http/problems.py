"""Errors as RFC 9457 has them: `application/problem+json`, each naming what is wrong and what would do."""

from http import HTTPStatus
from typing import Any, Final

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException

from tamiz.errors import StateError, TamizError, UsageError
from tamiz.hosts.desk import Busy, Stopping

__all__ = ["HANDLERS", "PROBLEM", "Problem", "as_problem", "body_of"]

PROBLEM: Final = "application/problem+json"

_encode: Final = msgspec.json.Encoder().encode


class Problem(TamizError):
    """A request cannot be answered."""

    def __init__(
        self, status: int, detail: str, *, retry_after: float | None = None, field: str | None = None, code: str = ""
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.retry_after = retry_after
        self.field = field
        """The part of the request that is wrong."""
        self.code = code
        """A word that programs can tell it by."""

    @property
    def headers(self) -> dict[str, str]:
        """What goes along with it."""
        return {} if self.retry_after is None else {"retry-after": str(max(round(self.retry_after), 1))}


def body_of(problem: Problem) -> bytes:
    """Give the problem as JSON."""
    told: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(problem.status).phrase,
        "status": problem.status,
        "detail": problem.detail,
    }
    if problem.field is not None:
        told["field"] = problem.field
    if problem.code:
        told["code"] = problem.code
    return _encode(told)


def as_problem(error: Exception) -> Problem:  # noqa: PLR0911 - a kind of error, a problem
    """Give the problem that an error is to the client; what it cannot help is told without a detail."""
    match error:
        case Problem():
            return error
        case Busy():
            return Problem(HTTPStatus.TOO_MANY_REQUESTS, str(error), retry_after=error.retry_after, code="busy")
        case Stopping():
            return Problem(HTTPStatus.SERVICE_UNAVAILABLE, str(error), retry_after=error.retry_after, code="stopping")
        case UsageError():
            return Problem(HTTPStatus.BAD_REQUEST, str(error))
        case StateError():
            return Problem(HTTPStatus.SERVICE_UNAVAILABLE, str(error), retry_after=5)
        case RecursionError():
            return Problem(HTTPStatus.BAD_REQUEST, "the body is nested too deep")
        case UnicodeError():
            return Problem(HTTPStatus.BAD_REQUEST, f"the request holds text that is not UTF-8: {error}")
        case ValidationException():
            field, detail = _wrong(error)
            return Problem(HTTPStatus.BAD_REQUEST, detail, field=field)
        case HTTPException():
            return Problem(error.status_code, error.detail)
        case _:
            return Problem(HTTPStatus.INTERNAL_SERVER_ERROR, "something went wrong here; the log says what")


def _wrong(error: ValidationException) -> tuple[str | None, str]:
    """Give the first field that is wrong, and what is wrong with it."""
    extra = error.extra if isinstance(error.extra, list) else []
    told = next((each for each in extra if isinstance(each, dict)), {})
    field = told.get("key")
    message = str(told.get("message") or error.detail)
    return (str(field) if field else None), f"{field}: {message}" if field else message


def _answer(_: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    problem = as_problem(error)
    return Response(body_of(problem), status_code=problem.status, media_type=PROBLEM, headers=problem.headers)


HANDLERS: Final[dict[int | type[Exception], Any]] = {Exception: _answer, HTTPException: _answer, TamizError: _answer}
"""What Litestar does with errors."""
