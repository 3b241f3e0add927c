"""The cache service: what the cache in memory does, and what is in it."""

from http import HTTPStatus
from typing import Annotated, Any, Final

import msgspec
from litestar import Controller, Request, delete, get, post, put

from tamiz.cache import LONGEST_KEPT, CacheStats, PolicyName
from tamiz.http.callers import caller_of, operator_of
from tamiz.http.context import Context, key_of
from tamiz.http.lookup import Found, Lookup, cache_of, look_up, terms_of
from tamiz.http.problems import Problem
from tamiz.http.reference import text_of
from tamiz.http.score import Judged, Pair, judged
from tamiz.messages import Scored

__all__ = ["CacheService"]

BY_HAND: Final = "by hand"
"""The model of an answer that no model gave."""


class Put(Lookup, kw_only=True, forbid_unknown_fields=True):
    """A question with an answer to keep for it."""

    answer: Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST_KEPT)]
    score: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None
    """What the answer was judged at; without it the service judges it by the reference."""


class Kept(msgspec.Struct, kw_only=True):
    """An answer that was put into the cache."""

    key: str
    score: float | None
    reason: str | None
    """Why there is no score."""


class CachePolicy(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """How the cache works."""

    policy: PolicyName
    size: Annotated[int, msgspec.Meta(ge=0, le=100_000_000)]
    """Most answers that it holds; 0: none."""
    ttl: Annotated[float, msgspec.Meta(gt=0, le=1e9)] | None = None
    """Seconds that an answer is good for in this cache; `null`: for ever. What the store has is reused at any age."""


class Stats(msgspec.Struct, kw_only=True):
    """What the cache did since the service started."""

    policy: str
    size: int
    limit: int
    ttl: float | None
    hits: int
    misses: int
    expired: int
    """Misses that were there but too old."""
    ratio: float | None
    """Hits of all look-ups; `null` before the first."""


class Forgotten(msgspec.Struct, kw_only=True):
    """Answers that are no longer in the cache."""

    answers: int


class CacheService(Controller):
    """The cache in memory. What is forgotten here may still be in the store, and is found there."""

    tags = ("cache",)

    @get("/cache/stats", summary="What the cache did")
    async def stats(self, context: Context) -> Stats:
        """Give its policy, its size and its counters, over everybody's questions."""
        return _stats(cache_of(context).stats())

    @post("/cache/lookup", status_code=200, summary="Look for an answer")
    async def lookup(self, data: Lookup, request: Request[Any, Any, Any], context: Context) -> Found:
        """Tell whether the question would be answered from the cache, and with what. It counts as a look-up."""
        return look_up(context, caller_of(request), data)

    @put("/cache", summary="Keep an answer by hand")
    async def keep(self, data: Put, request: Request[Any, Any, Any], context: Context) -> Kept:
        """Put an accepted answer to one's own question into the cache: 422 where it does not reach the quality bar.

        It is kept in memory alone, until it is evicted or the process ends.
        """
        cache = cache_of(context)
        terms = terms_of(caller_of(request), data.threshold)
        found = Judged(score=data.score, scorer="", reason=None, reasons=())
        if data.score is None:
            found = await judged(
                context,
                context.scorer(context.settings.scorer),
                Pair(answer=data.answer, reference=data.reference, question=data.title),
            )
        policy = context.policy().under(terms)
        if not policy.passes(found.score):
            fell = f"scores {found.score or 0:g}, below {policy.threshold:g}"
            why = f"has no score ({found.reason})" if found.score is None else fell
            raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"the answer {why}: it is not kept", field="answer")
        if cache.stats().limit == 0:
            raise Problem(HTTPStatus.CONFLICT, "the cache has size 0 and keeps nothing: see PUT /cache/policy")
        key = key_of(context.shape(), data.title, data.content, text_of(data.reference), terms)
        answer = Scored(
            llm_answer=data.answer,
            score=found.score,
            reason=found.reason,
            reasons=found.reasons,
            attempt=1,
            model=BY_HAND,
        )
        cache.put(key, answer)
        return Kept(key=key, score=found.score, reason=found.reason)

    @put("/cache/policy", summary="Change how the cache works")
    async def switch(self, data: CachePolicy, request: Request[Any, Any, Any], context: Context) -> Stats:
        """Go on with another policy, size and age limit; answers that fit stay. For operators."""
        operator_of(request)
        cache = cache_of(context)
        cache.switch(data.policy, data.size, data.ttl)
        return _stats(cache.stats())

    @delete("/cache/{key:str}", summary="Forget an answer")
    async def forget(self, key: str, request: Request[Any, Any, Any], context: Context) -> None:
        """Forget the answer of that key, if there is one. For operators."""
        operator_of(request)
        cache_of(context).discard(key)

    @delete("/cache", status_code=200, summary="Forget all answers")
    async def clear(self, request: Request[Any, Any, Any], context: Context) -> Forgotten:
        """Empty the cache. For operators."""
        operator_of(request)
        return Forgotten(answers=cache_of(context).clear())


def _stats(stats: CacheStats) -> Stats:
    looks = stats.hits + stats.misses
    return Stats(ratio=stats.hits / looks if looks else None, **msgspec.structs.asdict(stats))
