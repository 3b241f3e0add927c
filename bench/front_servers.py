"""Servers to hold tamiz's beside: `front_servers.py bare|litestar|fastapi|proxy [UPSTREAM_PORT]` prints its port.

All but the last answer a chat completion with a fixed one of the same size as tamiz's; `proxy` passes requests on to an
upstream, as little more than a proxy can be. Each is served by uvicorn on httptools and uvloop, as tamiz is.
"""

import asyncio
import json
import sys
from collections.abc import Callable
from typing import Any

import aiohttp
import uvloop

from tamiz.http.guard import ASGI, Receive, Scope, Send
from tamiz.http.server import Server

ANSWER = {
    "id": "chatcmpl-0123456789abcdef0123456789abcdef",
    "object": "chat.completion",
    "created": 1_700_000_000,
    "model": "bench",
    "choices": [
        {"index": 0, "message": {"role": "assistant", "content": "The answer: it is so."}, "finish_reason": "stop"}
    ],
    "usage": {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0},
    "system_fingerprint": None,
}


async def body_of(receive: Receive) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body


async def answer(send: Send, body: bytes) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def bare() -> ASGI:
    """Plain ASGI."""
    fixed = json.dumps(ANSWER).encode()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await body_of(receive)
            await answer(send, fixed)

    return app


def litestar() -> ASGI:
    """Use the framework that tamiz's other calls are served with."""
    import msgspec  # noqa: PLC0415 - each server loads what it needs
    from litestar import Litestar, post  # noqa: PLC0415

    class Asked(msgspec.Struct):
        model: str
        messages: list[dict[str, Any]]

    @post("/v1/chat/completions", status_code=200, signature_types=[Asked])
    async def ask(data: Asked) -> dict[str, Any]:
        del data
        return ANSWER

    return Litestar([ask], logging_config=None, openapi_config=None)  # type: ignore[return-value] # Litestar's own types


def fastapi() -> ASGI:
    """Use the framework that most would take."""
    from fastapi import FastAPI  # noqa: PLC0415
    from pydantic import BaseModel  # noqa: PLC0415

    class Asked(BaseModel):
        model: str
        messages: list[dict[str, Any]]

    app = FastAPI()

    @app.post("/v1/chat/completions")
    async def ask(data: Asked) -> dict[str, Any]:
        del data
        return ANSWER

    return app  # type: ignore[return-value] # Starlette's own types


def proxy() -> ASGI:
    """Pass requests on, whole, on kept connections."""
    url = f"http://127.0.0.1:{sys.argv[2]}/v1/chat/completions"
    session: list[aiohttp.ClientSession] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        if not session:
            session.append(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)))
        sent = await body_of(receive)
        async with session[0].post(url, data=sent, headers={"content-type": "application/json"}) as response:
            await answer(send, await response.read())

    return app


SERVERS: dict[str, Callable[[], ASGI]] = {"bare": bare, "litestar": litestar, "fastapi": fastapi, "proxy": proxy}


async def main() -> None:
    server = Server(with_lifespan(SERVERS[sys.argv[1]]()), "127.0.0.1", 0)
    await server.start()
    print(server.port, flush=True)
    await asyncio.Event().wait()


def with_lifespan(app: ASGI) -> ASGI:
    """Have the server's start and end be answered for applications that know of none."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            await app(scope, receive, send)
            return
        while True:
            message = await receive()
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.shutdown":
                return

    return serve


if __name__ == "__main__":
    uvloop.run(main())
