"""The llm service: which models there are, and how their endpoints fare."""

from http import HTTPStatus
from typing import Any

import msgspec
from litestar import Controller, Request, get
from litestar.openapi.datastructures import ResponseSpec

from tamiz.http.callers import caller_of
from tamiz.http.context import Context
from tamiz.http.openai.names import Names
from tamiz.http.problems import Problem
from tamiz.models.endpoint import Endpoint

__all__ = ["EndpointNow", "Models"]


class ModelCard(msgspec.Struct, kw_only=True):
    """A name that requests may give for `model`, as OpenAI's API reference has it."""

    id: str
    object: str = "model"
    created: int
    owned_by: str = "tamiz"


class ModelList(msgspec.Struct, kw_only=True):
    """All of them."""

    object: str = "list"
    data: list[ModelCard]


class Error(msgspec.Struct, kw_only=True):
    """What is wrong, as OpenAI's API reference has it."""

    message: str
    type: str
    param: str | None
    code: str | None


class Errors(msgspec.Struct, kw_only=True):
    """The body of an error."""

    error: Error


class EndpointNow(msgspec.Struct, kw_only=True):
    """How an endpoint fares, as this process sees it; times are seconds since the epoch."""

    name: str
    """What it is called where its address is not told, as in metrics; no two have the same."""
    model: str
    """As `--model` has it; to tenants its name again, without the address of its server."""
    in_flight: int
    limit: int
    """How many calls its server is thought to take at once."""
    down_since: float | None = None
    paused_until: float | None = None
    kind: str | None = None
    """Of the failure that paused it; none where a rate limit is used up."""
    why: str | None = None
    """What the failure said, which may name the server; for operators."""
    answered: int
    """Calls that were answered since this process began."""
    errors: dict[str, int]
    """Calls that failed since then, by kind."""


class EndpointsNow(msgspec.Struct, kw_only=True):
    """All endpoints, in the order in which they are asked."""

    models: list[EndpointNow]


class Models(Controller):
    """Models."""

    tags = ("llm",)

    @get("/v1/models", summary="The names of models that requests may give")
    async def names(self, context: Context) -> ModelList:
        """List them: `tamiz` is all models in their order, with failover and escalation."""
        now = int(context.clock.time())
        return ModelList(data=[ModelCard(id=name, created=now) for name in Names(context.models()).listed])

    @get(
        "/v1/models/{model_id:path}",
        summary="One of them",
        responses={HTTPStatus.NOT_FOUND: ResponseSpec(Errors, description="There is no such model")},
    )
    async def name(self, model_id: str, context: Context) -> ModelCard:
        """Give one of them; 404, which lists them, where there is no such model."""
        found = model_id.removeprefix("/")
        Names(context.models()).only(found)
        return ModelCard(id=found, created=int(context.clock.time()))

    @get("/models", summary="How the endpoints of models fare")
    async def endpoints(self, request: Request[Any, Any, Any], context: Context) -> EndpointsNow:
        """Tell of each endpoint its calls in flight, its limit, until when and why it is paused, and its errors.

        Where its server is, operators alone get to know.
        """
        if context.fleet is None:
            raise Problem(HTTPStatus.NOT_FOUND, "this process calls no models")
        operator = caller_of(request).operator
        names = context.fleet.names
        return EndpointsNow(
            models=[_now(endpoint, names[endpoint.name], whole=operator) for endpoint in context.fleet.endpoints]
        )


def _now(endpoint: Endpoint, name: str, *, whole: bool) -> EndpointNow:
    shown = endpoint.shown
    return EndpointNow(
        name=name,
        model=endpoint.name if whole else name,
        in_flight=endpoint.in_flight,
        limit=endpoint.limit,
        down_since=None if shown is None else shown.since,
        paused_until=None if shown is None else shown.opens_at,
        kind=None if shown is None or shown.kind is None else str(shown.kind),
        why=shown.reason if shown is not None and whole else None,
        answered=endpoint.counts.answered,
        errors={str(kind): count for kind, count in endpoint.counts.failed.items()},
    )
