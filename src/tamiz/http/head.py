"""HEAD, which is what GET would answer without its body, and OPTIONS, which tells the methods that there are."""

from http import HTTPStatus
from typing import Any

from tamiz.http.guard import ASGI, Receive, Scope, Send

__all__ = ["allowed", "options", "with_head"]


def with_head(app: ASGI) -> ASGI:
    """Have an application answer HEAD wherever it answers GET; to what streams, the client is gone after headers.

    OPTIONS is answered with what the application says that it takes, where it refuses a method.
    """

    async def call(scope: Scope, receive: Receive, send: Send) -> None:
        match scope.get("method"):
            case "HEAD":
                await _head(app, scope, receive, send)
            case "OPTIONS":
                # the framework's own answer leaves methods out that another handler of the path takes
                await app({**scope, "method": "NONE"}, receive, _telling(send))
            case _:
                await app(scope, receive, send)

    return call


def allowed(methods: str) -> str:
    """Give the value of an `Allow` header, with HEAD wherever it has GET."""
    names = {*methods.split(", ")}
    return ", ".join(sorted(names | {"HEAD"} if "GET" in names else names))


async def options(send: Send, methods: str) -> None:
    """Tell which methods there are."""
    headers = [(b"allow", methods.encode())]
    await send({"type": "http.response.start", "status": HTTPStatus.NO_CONTENT, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


async def _head(app: ASGI, scope: Scope, receive: Receive, send: Send) -> None:
    async def head(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            await send(message)
            await send({"type": "http.response.body", "body": b""})

    as_get = {**scope, "method": "GET"}
    try:
        await app(as_get, receive, head)
    finally:
        scope["path_template"] = as_get.get("path_template", "")


def _telling(send: Send) -> Send:
    told = False

    async def tell(message: dict[str, Any]) -> None:
        nonlocal told
        if message["type"] == "http.response.start" and message["status"] == HTTPStatus.METHOD_NOT_ALLOWED:
            told = True
            await options(send, dict(message["headers"])[b"allow"].decode())
        elif not told:
            await send(message)

    return tell
