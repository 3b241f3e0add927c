"""HEAD: what GET would answer, without its body."""

from typing import Any

from tamiz.http.guard import ASGI, Receive, Scope, Send

__all__ = ["with_head"]


def with_head(app: ASGI) -> ASGI:
    """Have an application answer HEAD wherever it answers GET; to what streams, the client is gone after headers."""

    async def call(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await app(scope, receive, send)
            return

        async def head(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                await send(message)
                await send({"type": "http.response.body", "body": b""})

        as_get = {**scope, "method": "GET"}
        try:
            await app(as_get, receive, head)
        finally:
            scope["path_template"] = as_get.get("path_template", "")

    return call
