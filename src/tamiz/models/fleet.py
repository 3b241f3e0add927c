"""Which model a call goes to."""

from collections.abc import Sequence

from tamiz.models.base import Model, Simulator

__all__ = ["Fleet"]


class Fleet:
    """The models in the user's order: `first` answers, `escalate` takes over from the second attempt on.

    A failed call goes to the next model of its list, round and round.
    """

    def __init__(self, first: Sequence[Model | Simulator], escalate: Sequence[Model | Simulator] = ()) -> None:
        self._first = tuple(first)
        self._later = tuple(escalate) or self._first

    def pick(self, attempt: int, retry: int) -> Model | Simulator:
        """Give the model for call `retry` (from 0) of an attempt (from 1)."""
        models = self._models(attempt)
        return models[retry % len(models)]

    def untried(self, attempt: int, retry: int) -> bool:
        """Tell whether call `retry` goes to a model that this round of the list has not asked yet."""
        return retry % len(self._models(attempt)) != 0

    async def close(self) -> None:
        """Close every model once."""
        for model in {id(model): model for model in (*self._first, *self._later)}.values():
            await model.close()

    def _models(self, attempt: int) -> tuple[Model | Simulator, ...]:
        return self._first if attempt == 1 else self._later
