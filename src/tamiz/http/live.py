"""The live page: its files, its snapshots, and what another cache would have done."""

from http import HTTPStatus
from importlib import resources
from typing import Annotated, Any, Final

from litestar import Controller, MediaType, Request, Response, get
from litestar.params import Parameter
from litestar.types import ASGIApp

from tamiz.cache import PolicyName
from tamiz.hosts.cache_trial import CacheTrial, cache_trial
from tamiz.http.board import Board, Snapshot
from tamiz.http.callers import caller_of, operator_of
from tamiz.http.context import Context
from tamiz.http.problems import Problem

__all__ = ["PUBLIC", "Live"]

_TYPES: Final = {
    "html": "text/html",
    "css": "text/css",
    "js": "text/javascript",
    "svg": "image/svg+xml",
}
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
)
_FILES: Final = {
    file.name: file.read_bytes()
    for file in resources.files("tamiz.dashboard").iterdir()
    if file.name.rpartition(".")[2] in _TYPES
}

PUBLIC: Final = frozenset({"/", "/session", "/assets/", "/life/"})
"""What needs no key: it holds nothing but the page itself."""


class Live(Controller):
    """The live page."""

    tags = ("page",)

    @get("/", include_in_schema=False, media_type=MediaType.HTML)
    async def page(self) -> Response[bytes]:
        """Give the page; what it shows it asks for."""
        return _file("page.html")

    @get("/life/{message_id:str}", include_in_schema=False, media_type=MediaType.HTML)
    async def life(self, message_id: str) -> Response[bytes]:  # noqa: ARG002 - the page itself asks for that question
        """Give the page of one question's life."""
        return _file("life.html")

    @get("/assets/{name:str}", include_in_schema=False)
    async def asset(self, name: str) -> Response[bytes]:
        """Give one of the page's files."""
        return _file(name)

    @get("/snapshot", summary="What the page shows")
    async def snapshot(self, request: Request[Any, Any, Any], context: Context) -> Snapshot:
        """Give it once. A tenant gets what is its own."""
        return await _board(context).snapshot(caller_of(request))

    @get("/events", summary="What the page shows, once a second", media_type="text/event-stream")
    async def events(self, request: Request[Any, Any, Any], context: Context) -> ASGIApp:
        """Stream it as server-sent events; a slow reader is sent the latest. 503 where too many listen."""
        return _board(context).listen(caller_of(request))  # type: ignore[return-value] # its own names

    @get("/cache/preview", summary="What another cache would have done")
    async def cache(
        self,
        request: Request[Any, Any, Any],
        context: Context,
        policy: PolicyName,
        size: Annotated[int, Parameter(ge=0, le=100_000_000)],
        ttl: Annotated[float | None, Parameter(ge=0)] = None,
    ) -> CacheTrial:
        """Tell how many of the last accepted answers such a cache would have had. For operators."""
        operator_of(request)
        return cache_trial(_board(context).keys, policy, size, ttl)


def _file(name: str) -> Response[bytes]:
    if name not in _FILES:
        raise Problem(HTTPStatus.NOT_FOUND, f"there is no {name[:80]!r}")
    kind = name.rpartition(".")[2]
    headers = {"cache-control": "no-cache"}
    if kind == "html":
        headers["content-security-policy"] = _POLICY
    return Response(_FILES[name], media_type=_TYPES[kind], headers=headers)


def _board(context: Context) -> Board:
    if context.board is None:
        raise Problem(HTTPStatus.NOT_FOUND, "nothing is counted in this process")
    return context.board
