"""Signing in to the page with an API key."""

from http import HTTPStatus
from typing import Annotated, Any

import msgspec
from litestar import Controller, Request, Response, delete, post
from litestar.datastructures import Cookie

from tamiz.http.context import Context
from tamiz.http.guard import COOKIE
from tamiz.http.problems import Problem
from tamiz.http.sessions import LASTS

__all__ = ["SignIn"]


class Key(msgspec.Struct, forbid_unknown_fields=True):
    """What is signed in with."""

    key: Annotated[str, msgspec.Meta(min_length=1, max_length=1_000)]


class SignedIn(msgspec.Struct):
    """Who that is."""

    tenant: str
    operator: bool


class SignIn(Controller):
    """Signing in and out of the page."""

    path = "/session"
    tags = ("page",)

    @post(status_code=200, summary="Sign in to the page")
    async def begin(self, data: Key, request: Request[Any, Any, Any], context: Context) -> Response[SignedIn]:
        """Take an API key and set a cookie that stands for it, for 12 hours."""
        begun = None if context.sessions is None else context.sessions.begin(data.key)
        if begun is None:
            raise Problem(HTTPStatus.UNAUTHORIZED, "this API key is not known", field="key", code="invalid_api_key")
        token, caller = begun
        return Response(SignedIn(caller.tenant, caller.operator), cookies=[_cookie(request, token, LASTS)])

    @delete(status_code=204, summary="Sign out")
    async def end(self, request: Request[Any, Any, Any], context: Context) -> Response[None]:
        """Forget the session, and have the browser forget its cookie."""
        if context.sessions is not None:
            context.sessions.end(request.cookies.get(COOKIE, ""))
        return Response(None, cookies=[_cookie(request, "", 0)])


def _cookie(request: Request[Any, Any, Any], value: str, seconds: int) -> Cookie:
    secure = request.url.scheme == "https"
    return Cookie(COOKIE, value=value, max_age=seconds, httponly=True, samesite="strict", secure=secure)
