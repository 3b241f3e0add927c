"""Generate: calls the model; every failure becomes a typed error."""

from collections.abc import Callable
from hashlib import blake2b

from tamiz.clock import Clock
from tamiz.effects import Effects
from tamiz.errors import Failed
from tamiz.messages import Event, LlmError, LlmRequest, LlmResponse, Topic
from tamiz.models.base import Model, Prompt, Reply, Simulator
from tamiz.models.fleet import Fleet
from tamiz.stages.carry import tried_of

__all__ = ["Generate"]


class Generate:
    """Asks the model whose turn it is. The only stage that waits for the outside."""

    reads = (Topic.LLM_REQUESTS,)

    def __init__(self, fleet: Fleet, render: Callable[[str, str], str], clock: Clock, seed: int) -> None:
        self._fleet = fleet
        self._render = render
        self._clock = clock
        self._seed = seed

    async def handle(self, event: Event) -> Effects:
        """Call the model once: an answer or a typed error.

        Raises `ModelRefused` where no call to the model can succeed; nothing is spent on the question then.
        """
        if not isinstance(event, LlmRequest):
            return Effects()
        model = self._fleet.pick(event.attempt, event.retry)
        started = self._clock.monotonic()
        try:
            reply = await self._ask(model, event)
        except Failed as failed:
            error = LlmError(
                **tried_of(event),
                kind=failed.kind,
                reason=failed.reason,
                retry_at=failed.retry_at,
                model=model.name,
                latency_ms=self._since(started),
            )
            return Effects(emit=(error,))
        response = LlmResponse(
            **tried_of(event),
            llm_answer=reply.text,
            model=reply.model,
            latency_ms=self._since(started),
            prompt_tokens=reply.prompt_tokens,
            completion_tokens=reply.completion_tokens,
        )
        return Effects(emit=(response,))

    async def _ask(self, model: Model | Simulator, event: LlmRequest) -> Reply:
        text = self._render(event.title, event.content)
        if isinstance(model, Simulator):
            return await model.simulate(text, event.best_answer, event.attempt, event.retry)
        return await model.ask(Prompt(text=text, attempt=event.attempt, seed=self._seed_of(event)))

    def _since(self, started: float) -> float:
        return round((self._clock.monotonic() - started) * 1000, 3)

    def _seed_of(self, event: LlmRequest) -> int:
        """Give a seed that differs between questions and attempts, in the 31 bits that every server takes."""
        identity = f"{self._seed}/{event.cache_key}/{event.attempt}"
        return int.from_bytes(blake2b(identity.encode(), digest_size=4).digest()) & 0x7FFFFFFF
