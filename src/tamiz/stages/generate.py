"""Generate: calls the model; every failure becomes a typed error."""

import math
from collections.abc import Awaitable, Callable
from hashlib import blake2b
from typing import Final

from tamiz.chat import TEXT_ALONE, only_text
from tamiz.clock import Clock
from tamiz.effects import Deferred, Effects
from tamiz.errors import Failed, Sign
from tamiz.hints import hint
from tamiz.messages import READ_BY, Event, LlmError, LlmRequest, LlmResponse
from tamiz.models.base import Prompt, Reply, Simulator
from tamiz.models.endpoint import Endpoint
from tamiz.models.fleet import Fleet, Ticket
from tamiz.models.names import name_of
from tamiz.stages.carry import tried_of

__all__ = ["Generate"]

_HINT: Final = (
    "\n\n(Attempt {attempt}: an earlier answer was not good enough. Answer again, differently: correct, complete and "
    "to the point.)"
)
_USUAL_DENSITY: Final = 0.25
"""Tokens a character, where a server does not say how many there were."""
_SHORT_WAIT: Final = 0.25
"""Seconds until a call is tried again that nobody had a place for."""


class Generate:
    """Asks the endpoint whose turn it is. The only stage that waits for the outside.

    A host that keeps many calls in flight asks for `room` first and starts each call by `admit`; `handle` is for one
    that does not.
    """

    reads = READ_BY["generate"]

    def __init__(
        self,
        fleet: Fleet,
        render: Callable[[str, str], str],
        clock: Clock,
        seed: int,
        *,
        system: str = "",
        max_tokens: int | None = None,
    ) -> None:
        """`system` and `max_tokens` are what models send along, for `tokens_at_most` to know."""
        self._fleet = fleet
        self._render = render
        self._clock = clock
        self._seed = seed
        self._frame = len(system)
        self._max_tokens = max_tokens
        # of first and of later attempts, which may go to other models: the most tokens a character of a prompt, and the
        # most of an answer
        self._density = [0.0, 0.0]
        self._longest = [0, 0]

    def room(self) -> int:
        """Give how many calls may be worth a try now."""
        return self._fleet.room()

    def tokens_at_most(self, event: LlmRequest) -> int | None:
        """Give the most tokens that a call for this event may use, by what calls used so far; `None` before the first.

        The prompt is taken to have as many tokens a character as the densest so far, and the answer to be as long as
        `max_tokens` allows, or as the longest so far.
        """
        lane = event.attempt > 1
        if not self._density[lane]:
            return None
        prompt = math.ceil(self._density[lane] * (self._frame + len(self._text(event))))
        return prompt + (self._longest[lane] if self._max_tokens is None else self._max_tokens)

    def next_opening(self) -> float | None:
        """Give when there may be room without any call ending, in seconds since the epoch."""
        return self._fleet.next_opening()

    def admit(self, event: Event) -> Callable[[], Awaitable[Effects]] | Effects | None:
        """Take a place in flight and give the call, which has to be made then.

        Where all endpoints of its kind are down or paused: the effects that bring it back when one may be called.
        `None` where it has to wait for a call in flight to end. Raises `GaveUp` where it has waited long enough.
        """
        if not isinstance(event, LlmRequest):
            return Effects()
        only = _only(event)
        ticket = self._fleet.admit(event.attempt, event.retry, event.avoid, only)
        if ticket is not None:
            return lambda: self._call(event, ticket)
        due = self._fleet.opens_at(event.attempt, only)
        return None if due is None else Effects(defer=(Deferred(event, due),))

    async def handle(self, event: Event) -> Effects:
        """Call the model once: an answer or a typed error; or defer the call, where it cannot be made now.

        Raises `ModelRefused` where no call to the model can succeed; nothing is spent on the question then.
        """
        admitted = self.admit(event)
        if isinstance(admitted, Effects):
            return admitted
        if admitted is None and isinstance(event, LlmRequest):
            return Effects(defer=(Deferred(event, self._clock.time() + _SHORT_WAIT),))
        return Effects() if admitted is None else await admitted()

    async def _call(self, event: LlmRequest, ticket: Ticket) -> Effects:
        endpoint, call = ticket
        text = self._text(event)
        before = endpoint.state
        started = self._clock.monotonic()
        try:
            reply = await self._ask(endpoint, event, text)
        except Failed as failed:
            outage = endpoint.failed(call, failed, event.message_id)
            self._learn(event, text, 0, failed.tokens or 0)
            outcome: LlmResponse | LlmError = LlmError(
                **tried_of(event),
                kind=failed.kind,
                reason=failed.reason,
                # of several endpoints the first that opens counts, whatever this one said of itself
                retry_at=self._fleet.opens_at(event.attempt, _only(event)) if outage else failed.retry_at,
                outage=outage,
                model=endpoint.name,
                latency_ms=self._since(started),
                tokens=failed.tokens,
                sent=failed.sign is not Sign.UNREACHABLE,
            )
        except BaseException:
            # cancelled, or refused for good: the place, and the probe, go back in any case
            endpoint.abandoned(call)
            raise
        else:
            endpoint.answered(call, reply)
            self._learn(
                event,
                text,
                reply.prompt_tokens or math.ceil(len(text) * _USUAL_DENSITY),
                reply.completion_tokens or math.ceil(len(reply.text) * _USUAL_DENSITY),
            )
            outcome = LlmResponse(
                **tried_of(event),
                llm_answer=reply.text,
                model=reply.model,
                endpoint=endpoint.name,
                latency_ms=self._since(started),
                prompt_tokens=reply.prompt_tokens,
                completion_tokens=reply.completion_tokens,
                completion=reply.completion,
            )
        changed = () if endpoint.state is before else (endpoint.state,)
        return Effects(emit=(outcome,), endpoints=changed)

    async def _ask(self, endpoint: Endpoint, event: LlmRequest, text: str) -> Reply:
        model = endpoint.model
        chat = None if event.terms is None else event.terms.chat
        if isinstance(model, Simulator):
            if chat is not None:
                only_text(chat, name_of(model.name), TEXT_ALONE["simulated"])
            unhinted = self._render(event.title, event.content)
            return await model.simulate(unhinted, event.best_answer, event.attempt, event.retry)
        seed, hint = self._seed_of(event), _hint(event)
        return await model.ask(Prompt(text=text, attempt=event.attempt, seed=seed, chat=chat, hint=hint))

    def _learn(self, event: LlmRequest, text: str, prompt_tokens: int, completion_tokens: int) -> None:
        lane = event.attempt > 1
        self._density[lane] = max(self._density[lane], prompt_tokens / max(self._frame + len(text), 1))
        self._longest[lane] = max(self._longest[lane], completion_tokens)

    def _text(self, event: LlmRequest) -> str:
        if event.terms is not None and event.terms.chat is not None:
            return event.terms.chat + _hint(event)
        return self._render(event.title, event.content) + _hint(event)

    def _since(self, started: float) -> float:
        return round((self._clock.monotonic() - started) * 1000, 3)

    def _seed_of(self, event: LlmRequest) -> int:
        """Give a seed that differs between questions and attempts, in the 31 bits that every server takes."""
        identity = f"{self._seed}/{event.cache_key}/{event.attempt}"
        return int.from_bytes(blake2b(identity.encode(), digest_size=4).digest()) & 0x7FFFFFFF


def _hint(event: LlmRequest) -> str:
    if event.attempt == 1:
        return ""
    why = hint(event.reasons)
    return _HINT.format(attempt=event.attempt) if why is None else f"\n\n(Attempt {event.attempt}: {why})"


def _only(event: LlmRequest) -> str | None:
    return None if event.terms is None else event.terms.model
