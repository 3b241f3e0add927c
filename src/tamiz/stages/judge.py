"""Judge: scores an answer and decides whether it is good enough, worth another attempt, or the end."""

import asyncio

import msgspec

from tamiz.effects import Effects
from tamiz.messages import READ_BY, Event, LlmResponse, RegenerationRequest, Scored, Source, Usage, ValidatedResponse
from tamiz.policy import Policy
from tamiz.scoring import Scorer, is_quick
from tamiz.stages.carry import question_of

__all__ = ["Accept", "Exhaust", "Judge", "Regenerate", "Verdict", "judge"]


class Accept(msgspec.Struct, frozen=True):
    """The answer passes."""

    answer: Scored


class Regenerate(msgspec.Struct, frozen=True):
    """The answer falls short and another attempt is allowed; `best` is the best so far."""

    best: Scored


class Exhaust(msgspec.Struct, frozen=True):
    """No attempt passed and none is left; `best` is the one to keep."""

    best: Scored


Verdict = Accept | Regenerate | Exhaust


def judge(scored: Scored, best: Scored | None, policy: Policy) -> Verdict:
    """Decide on an answer, given the best of the attempts before it.

    The one decision of the flow, the same in every host. `scored.attempt` counts from 1; the decision is `Regenerate`
    for fewer than `policy.attempts` of them, so the loop is bounded whatever the answers are.
    """
    if policy.passes(scored.score):
        return Accept(scored)
    best = scored if best is None or _better(scored, best) else best
    return Regenerate(best) if scored.attempt < policy.attempts else Exhaust(best)


def _better(one: Scored, other: Scored) -> bool:
    """Tell whether `one` beats `other`: a score beats none, a higher one a lower; of equals the earlier stays."""
    if one.score is None:
        return False
    return other.score is None or one.score > other.score


class Judge:
    """Applies the scorer and the decision to each answer."""

    reads = READ_BY["judge"]

    def __init__(self, scorer: Scorer, policy: Policy) -> None:
        self.policy = policy
        """It may be replaced while answers come in."""
        self._scorer = scorer

    async def handle(self, event: Event) -> Effects:
        """Score the answer, in a thread where that takes long, and emit what the decision says."""
        if not isinstance(event, LlmResponse):
            return Effects()
        quick = is_quick(event.llm_answer, event.best_answer, _question(event))
        return Effects(emit=(self.decide(event) if quick else await asyncio.to_thread(self.decide, event),))

    def decide(self, event: LlmResponse) -> ValidatedResponse | RegenerationRequest:
        """Score the answer and give what the decision says: an outcome, or the request for another attempt."""
        score = self._scorer.score(event.llm_answer, event.best_answer, _question(event))
        scored = Scored(
            llm_answer=event.llm_answer,
            score=score.value,
            reason=score.reason,
            reasons=score.reasons,
            attempt=event.attempt,
            model=event.model,
            latency_ms=event.latency_ms,
            completion=event.completion,
        )
        match judge(scored, event.best, self.policy.under(event.terms)):
            case Accept(answer):
                return _end(event, answer, accepted=True)
            case Exhaust(best):
                return _end(event, best, accepted=False, refused=scored)
            case Regenerate(best):
                return RegenerationRequest(
                    **question_of(event),
                    attempt=event.attempt + 1,
                    retries=event.retries,
                    best=best,
                    refused=scored,
                    used=_used(event),
                )


def _end(event: LlmResponse, answer: Scored, *, accepted: bool, refused: Scored | None = None) -> ValidatedResponse:
    return ValidatedResponse(
        **question_of(event),
        accepted=accepted,
        answer=answer,
        source=Source.MODEL,
        attempts=event.attempt,
        retries=event.retries,
        leader=event.message_id,
        refused=refused,
        used=_used(event),
    )


def _question(event: LlmResponse) -> str:
    return f"{event.title}\n{event.content}" if event.content else event.title


def _used(event: LlmResponse) -> Usage | None:
    """Give what all attempts so far used, where that is wanted, and known of each of them."""
    if event.terms is None or event.terms.chat is None or event.prompt_tokens is None:
        return None
    before = Usage() if event.attempt == 1 else event.used
    if before is None:
        return None
    return Usage(before.prompt_tokens + event.prompt_tokens, before.completion_tokens + (event.completion_tokens or 0))
