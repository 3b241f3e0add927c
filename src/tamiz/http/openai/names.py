"""What models are called in requests."""

from collections.abc import Iterable
from http import HTTPStatus
from typing import Final

from tamiz.chat import TEXT_ALONE
from tamiz.http.problems import Problem
from tamiz.models.names import name_of, names_of

__all__ = ["ALL", "Names"]

ALL: Final = "tamiz"
"""The name of all models together, as the settings have them: in order, with failover and escalation."""


class Names:
    """The models that requests may name.

    `tamiz` is all of them in their order. A model's own name restricts to it: what `--model` says of it, whole or
    as `names_of` has it. A name that all of several models share is that of all of them.
    """

    def __init__(self, models: Iterable[str]) -> None:
        """Take the models as `--model` and `--escalate` have them."""
        names = names_of(models)
        together = {name_of(url) for url in names}
        own: dict[str, str | None] = {name: url for url, name in names.items()}
        if len(together) == 1 and len(names) > 1:
            own = dict.fromkeys(together)
        self.listed: tuple[str, ...] = (ALL, *(name for name in own if name != ALL))
        """What a list of models shows; no address among them."""
        self._names = names
        self._only: dict[str, str | None] = {
            **{url: url for url in names},
            **{name: url for url, name in names.items()},
            **own,
        }
        self._only[ALL] = None

    def only(self, name: str) -> str | None:
        """Give the one model that a name restricts to, as `--model` has it; `None`: the settings say which.

        Raises `Problem` 404, which lists the names, where there is no such model.
        """
        try:
            return self._only[name]
        except KeyError:
            raise Problem(
                HTTPStatus.NOT_FOUND,
                f"there is no model {name[:200]!r} here; there is {', '.join(self.listed)}",
                field="model",
                code="model_not_found",
            ) from None

    def takes(self, only: str | None) -> dict[str, frozenset[str]]:
        """Give, of the models that may be asked, those that answer with text alone, and the parameters that each takes.

        The others are servers that know for themselves.
        """
        asked = self._names if only is None else {only: self._names[only]}
        found = {name: TEXT_ALONE.get(url.partition(":")[0]) for url, name in asked.items()}
        return {name: takes for name, takes in found.items() if takes is not None}

    @property
    def servers(self) -> list[str]:
        """The names of the models that are servers."""
        alone = self.takes(None)
        return [name for name in self._names.values() if name not in alone]
