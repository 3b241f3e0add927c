"""What is asked."""

from typing import Protocol

import msgspec

__all__ = ["Emission", "Question", "Questions"]


class Question(msgspec.Struct, frozen=True, gc=False):
    """A question of a dataset."""

    id: str | None
    title: str
    content: str = ""
    reference: str | None = None


class Questions(Protocol):
    """Questions by rank."""

    def __len__(self) -> int:
        """Give how many there are."""
        ...

    def __getitem__(self, rank: int, /) -> Question:
        """Give one of them."""
        ...


class Emission(msgspec.Struct, frozen=True, gc=False):
    """A question that is being asked: number `n` of its run, due `at_s` seconds from the start (`None`: at once)."""

    n: int
    at_s: float | None
    rank: int
    question: Question
