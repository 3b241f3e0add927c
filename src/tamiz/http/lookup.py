"""What is in the cache: the one call of the cache service that is made often, without a framework in the way."""

from http import HTTPStatus
from typing import Annotated
from urllib.parse import parse_qsl

import msgspec

from tamiz.cache import BoundedCache
from tamiz.http.context import Context, key_of
from tamiz.http.fields import UNREADABLE, reading, unknown
from tamiz.http.guard import ASGI, Receive, Scope, Send
from tamiz.http.keys import Caller
from tamiz.http.problems import Problem
from tamiz.http.reference import Reference, text_of
from tamiz.messages import Scored, Terms

__all__ = ["Found", "Lookup", "cache_of", "look_up", "lookup_call", "terms_of"]


class Lookup(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A question, as it would be asked."""

    title: Annotated[str, msgspec.Meta(min_length=1, max_length=200_000)]
    content: Annotated[str, msgspec.Meta(max_length=400_000)] = ""
    reference: Reference = None
    threshold: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None
    """As it would be given with the question; it is part of what makes a question the same."""


class Found(msgspec.Struct, kw_only=True):
    """What the cache has for a question. It is a hit where the question would be answered with it."""

    hit: bool
    key: str
    """The question's key in the cache."""
    answer: str | None = None
    score: float | None = None
    reason: str | None = None
    """Why there is no score."""
    reasons: tuple[str, ...] = ()
    """What speaks against the answer."""
    model: str | None = None


def look_up(context: Context, caller: Caller, asked: Lookup) -> Found:
    """Look for an accepted answer; the cache counts it as it counts every look."""
    cache = cache_of(context)
    terms = terms_of(caller, asked.threshold)
    key = key_of(context.shape(), asked.title, asked.content, text_of(asked.reference), terms)
    known: Scored | None = cache.get(key)
    if known is None or not context.policy().under(terms).passes(known.score):
        return Found(hit=False, key=key)
    return Found(
        hit=True,
        key=key,
        answer=known.llm_answer,
        score=known.score,
        reason=known.reason,
        reasons=known.reasons,
        model=known.model,
    )


def lookup_call(context: Context) -> ASGI:
    """Make the call, as plain ASGI."""
    read = reading(Lookup)
    decode = read.decode
    encode = msgspec.json.Encoder().encode

    async def call(scope: Scope, receive: Receive, send: Send) -> None:
        if (query := scope["query_string"]) and (given := parse_qsl(query.decode("latin-1"), keep_blank_values=True)):
            raise unknown(given[0][0], [])
        body = await _body(receive)
        try:
            asked = decode(body)
        except UNREADABLE as error:
            raise read.problem(body, error) from None
        answer = encode(look_up(context, scope["state"]["caller"], asked))
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(answer))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    return call


def cache_of(context: Context) -> BoundedCache:
    """Give the cache. Raises `Problem` 404 where it is not here."""
    if context.cache is None:
        raise Problem(HTTPStatus.NOT_FOUND, "this service has no cache; the one with the stage intake has")
    return context.cache


def terms_of(caller: Caller, threshold: float | None) -> Terms:
    """Give the terms of a caller's question."""
    return Terms(tenant=caller.tenant, threshold=threshold)


async def _body(receive: Receive) -> bytes:
    message = await receive()
    body: bytes = message.get("body", b"")
    if not message.get("more_body"):
        return body
    parts = [body]
    while message.get("more_body"):
        message = await receive()
        parts.append(message.get("body", b""))
    return b"".join(parts)
