"""What a model is to the flow: a prompt in, a reply out, every failure a `Failed`."""

from abc import ABC, abstractmethod
from typing import Protocol

import msgspec

__all__ = ["Model", "Prompt", "RateLimit", "Reply", "Simulator"]


class Prompt(msgspec.Struct, frozen=True, kw_only=True):
    """All that a real model ever learns of a question. There is no field for the reference answer, on purpose."""

    text: str
    """What to ask: the question as the prompt template renders it, and from the second attempt on a hint."""
    attempt: int
    """Which answer to this question is wanted, from 1; a model may vary its sampling with it."""
    seed: int
    """Differs between attempts, equal in a repeated run; for servers that take one."""
    chat: str | None = None
    """A chat completion request, as JSON, that is asked in place of `text`; that is what its user said last."""
    hint: str = ""
    """What to add to the chat, from the second attempt on; `text` has it already."""


class RateLimit(msgspec.Struct, frozen=True, gc=False):
    """What a server says of one of its limits."""

    what: str
    """What it counts: `requests`, `tokens`, `input-tokens`, …"""
    remaining: float
    resets_at: float
    """When nothing of it will be used any more, in seconds since the epoch."""


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """A model's answer. `text` is never an error message and never blank."""

    text: str
    model: str
    """The model that answered, as its server names it."""
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    completion: str | None = None
    """Of a chat: the `choices` as the server gave them, as JSON."""
    limits: tuple[RateLimit, ...] = ()


class Model(Protocol):
    """An LLM. One object serves any number of concurrent calls."""

    name: str
    """What `--model` said, without secrets."""
    account: str
    """A digest of the server's address and the key, where there are any."""

    async def ask(self, prompt: Prompt) -> Reply:
        """Answer the prompt.

        Raises `Failed` with its kind where this call gave no answer, `ModelRefused` where no call ever will
        (a refused key, an unknown model), and nothing else. Cancelling it abandons the call.
        """
        ...

    async def close(self) -> None:
        """Free what the model holds; `ask` is never called after it."""
        ...


class Simulator(ABC):
    """A stand-in for an LLM that may see the reference, since it only plays one.

    A base class, not a protocol: what is handed the reference is this by name, and never by a likeness of methods.
    """

    name: str
    account: str = ""

    @abstractmethod
    async def simulate(self, question: str, best_answer: str | None, attempt: int, retry: int) -> Reply:
        """Answer, or raise `Failed`; the same arguments always give the same result."""

    @abstractmethod
    async def close(self) -> None:
        """Free what it holds; `simulate` is never called after it."""
