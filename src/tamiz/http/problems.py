"""Errors as RFC 9457 has them: `application/problem+json`, each naming what is wrong and what would do.

Under `/v1/` they have the shape of OpenAI's, which is what clients there understand.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

import msgspec

from tamiz.errors import BusError, StateError, TamizError, UsageError
from tamiz.hosts.desk import Busy, Stopping
from tamiz.http.keys import Caller

__all__ = ["GONE", "OPENAI", "PROBLEM", "Problem", "as_problem", "body_of", "type_of"]

PROBLEM: Final = "application/problem+json"
OPENAI: Final = "/v1/"
"""Where the paths of OpenAI's API begin."""
GONE: Final = 499
"""The status of a request whose client hung up before it had sent all of it; logs and metrics alone get to see it."""

_TITLES: Final = {**{status.value: status.phrase for status in HTTPStatus}, GONE: "Client Closed Request"}
_TYPES: Final[dict[int, str]] = {
    HTTPStatus.UNAUTHORIZED: "authentication_error",
    HTTPStatus.FORBIDDEN: "permission_error",
    HTTPStatus.TOO_MANY_REQUESTS: "rate_limit_error",
}

_encode: Final = msgspec.json.Encoder().encode


class Problem(TamizError):
    """A request cannot be answered."""

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        retry_after: float | None = None,
        field: str | None = None,
        code: str = "",
        more: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.retry_after = retry_after
        self.field = field
        """The part of the request that is wrong."""
        self.code = code
        """A word that programs can tell it by."""
        self.more = more or {}
        """Further members of the body."""
        self._headers = headers or {}

    @property
    def headers(self) -> dict[str, str]:
        """What goes along with it."""
        if self.retry_after is None:
            return {**self._headers}
        return {**self._headers, "retry-after": str(max(round(self.retry_after), 1))}


def type_of(path: str) -> str:
    """Give the media type of problems with calls of a path."""
    return "application/json" if path.startswith(OPENAI) else PROBLEM


def body_of(problem: Problem, path: str = "") -> bytes:
    """Give the problem with a call of a path as JSON."""
    if path.startswith(OPENAI):
        return _encode({"error": _as_openai(problem)})
    told: dict[str, Any] = {
        "type": "about:blank",
        "title": _TITLES[problem.status],
        "status": problem.status,
        "detail": problem.detail,
    }
    if problem.field is not None:
        told["field"] = problem.field
    if problem.code:
        told["code"] = problem.code
    return _encode({**problem.more, **told})


def _as_openai(problem: Problem) -> dict[str, Any]:
    server = problem.status >= HTTPStatus.INTERNAL_SERVER_ERROR
    kind = "server_error" if server else _TYPES.get(problem.status, "invalid_request_error")
    return {
        **problem.more,
        "message": problem.detail,
        "type": kind,
        "param": problem.field,
        "code": problem.code or None,
    }


def as_problem(error: Exception, caller: Caller | None) -> Problem:  # noqa: PLR0911 - a kind of error, a problem
    """Give the problem that an error is to the client; what it cannot help is told without a detail.

    What is wrong with store or brokers, which says where they are, is told to operators alone.
    """
    match error:
        case Problem():
            return error
        case Busy():
            return Problem(HTTPStatus.TOO_MANY_REQUESTS, str(error), retry_after=error.retry_after, code="busy")
        case Stopping():
            return Problem(HTTPStatus.SERVICE_UNAVAILABLE, str(error), retry_after=error.retry_after, code="stopping")
        case UsageError():
            return Problem(HTTPStatus.BAD_REQUEST, str(error))
        case StateError() | BusError():
            what = "the store" if isinstance(error, StateError) else "Kafka"
            why = str(error) if caller is not None and caller.operator else f"{what} is not ready: try again"
            return Problem(HTTPStatus.SERVICE_UNAVAILABLE, why, retry_after=5)
        case RecursionError():
            return Problem(HTTPStatus.BAD_REQUEST, "the body is nested too deep")
        case UnicodeError():
            return Problem(HTTPStatus.BAD_REQUEST, f"the request holds text that is not UTF-8: {error}")
        case _:
            return Problem(HTTPStatus.INTERNAL_SERVER_ERROR, "something went wrong here; the log says what")
