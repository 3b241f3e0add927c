"""The quality bar over HTTP: what it is, and another one from now on."""

from http import HTTPStatus
from typing import Annotated, Any, Literal

import msgspec
from litestar import Controller, Request, get, put

from tamiz.http.callers import operator_of
from tamiz.http.context import Context
from tamiz.http.problems import Problem
from tamiz.policy import Policy

__all__ = ["Bar", "NewBar"]


class NewBar(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What is to change; what is left out stays."""

    threshold: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None
    attempts: Annotated[int, msgspec.Meta(ge=1, le=1000)] | None = None
    unscored: Literal["accept", "retry"] | None = None


class Bar(Controller):
    """The quality bar."""

    path = "/policy"
    tags = ("policy",)

    @get(summary="What an answer must reach")
    async def told(self, context: Context) -> Policy:
        """Tell it."""
        return context.policy()

    @put(summary="Change what an answer must reach")
    async def change(self, data: NewBar, request: Request[Any, Any, Any], context: Context) -> Policy:
        """Change it for answers from now on, until the service starts anew. For operators."""
        operator_of(request)
        if context.set_policy is None:
            raise Problem(HTTPStatus.NOT_FOUND, "the quality bar is set where answers are judged, which is not here")
        changed = {name: value for name, value in msgspec.structs.asdict(data).items() if value is not None}
        context.set_policy(msgspec.structs.replace(context.policy(), **changed))
        return context.policy()
