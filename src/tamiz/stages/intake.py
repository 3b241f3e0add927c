"""Intake: the cache, then the store, then an identical question already in flight, and only then the model."""

from typing import Final

from tamiz.cache import Cache
from tamiz.effects import Effects
from tamiz.messages import (
    READ_BY,
    DeadLetter,
    Event,
    LlmRequest,
    QuestionAsked,
    RegenerationRequest,
    Scored,
    Source,
    Terminal,
    ValidatedResponse,
)
from tamiz.policy import Policy
from tamiz.stages.carry import question_of
from tamiz.store.base import Answers, Claims

__all__ = ["RELEASED_AT_ONCE", "Intake"]

RELEASED_AT_ONCE: Final = 256
"""How many waiting questions a leader's outcome releases; each of them releases one more when it passes here.

So any number of copies is released with never more than this many messages under way.
"""


class Intake:
    """Answers what is known, lets one of several identical questions through and parks the rest."""

    reads = READ_BY["intake"]

    def __init__(self, cache: Cache, answers: Answers, claims: Claims, policy: Policy) -> None:
        self.policy = policy
        """It may be replaced while questions come in."""
        self._cache = cache
        self._answers = answers
        self._claims = claims

    async def handle(self, event: Event) -> Effects:
        """Let a question in, pass a regeneration on, or release those that waited for an outcome."""
        match event:
            case QuestionAsked():
                return await self._let_in(event)
            case RegenerationRequest():
                request = LlmRequest(
                    **question_of(event),
                    attempt=event.attempt,
                    retries=event.retries,
                    best=event.best,
                    reasons=event.refused.reasons,
                    used=event.used,
                )
                return Effects(emit=(request,))
            case ValidatedResponse() | DeadLetter():
                return await self._release(event)
            case _:
                return Effects()

    async def known(self, asked: QuestionAsked) -> ValidatedResponse | None:
        """Give the outcome of a question whose answer is known, from the cache or the store."""
        policy = self.policy.under(asked.terms)
        known = self._cache.get(asked.cache_key)
        if known is not None and policy.passes(known.score):
            return _reuse(asked, known, Source.CACHE)
        known = await self._answers.reusable(asked.cache_key)
        if known is not None and policy.passes(known.score):
            self._cache.put(asked.cache_key, known)
            return _reuse(asked, known, Source.STORE)
        return None

    async def _let_in(self, asked: QuestionAsked) -> Effects:
        if (known := await self.known(asked)) is not None:
            return Effects(emit=(known,))
        if not await self._claims.claim(asked):
            return Effects()
        # between the look for an answer and the claim an identical question may have ended, and its claim with it
        answer = self._cache.peek(asked.cache_key)
        if answer is None or not self.policy.under(asked.terms).passes(answer.score):
            return Effects(emit=(LlmRequest(**question_of(asked)),))
        outcome = _reuse(asked, answer, Source.CACHE)
        waiting = await self._claims.release(outcome, RELEASED_AT_ONCE)
        return Effects(emit=(outcome, *(_share(outcome, each) for each in waiting)))

    async def _release(self, event: Terminal) -> Effects:
        if event.source is Source.MODEL:
            if isinstance(event, ValidatedResponse) and event.accepted:
                self._cache.put(event.cache_key, event.answer)
            limit = RELEASED_AT_ONCE
        elif event.source is Source.COALESCED:
            limit = 1
        else:
            return Effects()
        waiting = await self._claims.release(event, limit)
        return Effects(emit=tuple(_share(event, asked) for asked in waiting))


def _reuse(asked: QuestionAsked, known: Scored, source: Source) -> ValidatedResponse:
    return ValidatedResponse(
        **question_of(asked), accepted=True, answer=known, source=source, attempts=0, leader=asked.message_id
    )


def _share(outcome: Terminal, asked: QuestionAsked) -> Terminal:
    """Give a waiting question the outcome of the one that led."""
    if isinstance(outcome, DeadLetter):
        return DeadLetter(
            **question_of(asked),
            kind=outcome.kind,
            reason=outcome.reason,
            source=Source.COALESCED,
            model=outcome.model,
            best=outcome.best,
            leader=outcome.leader,
        )
    return ValidatedResponse(
        **question_of(asked),
        accepted=outcome.accepted,
        answer=outcome.answer,
        source=Source.COALESCED,
        attempts=0,
        leader=outcome.leader,
    )
