"""What models are called in requests."""

from collections.abc import Iterable
from http import HTTPStatus
from typing import Final

from tamiz.http.problems import Problem

__all__ = ["ALL", "Names", "short"]

ALL: Final = "tamiz"
"""The name of all models together, as the settings have them: in order, with failover and escalation."""


class Names:
    """The models that requests may name.

    `tamiz` is all of them in their order. A model's own name restricts to it: what `--model` says of it, whole or
    behind the scheme or the `#`. A name that several models share is that of all of them where there are no others,
    and otherwise of none.
    """

    def __init__(self, models: Iterable[str]) -> None:
        """Take the models as `--model` and `--escalate` have them."""
        urls = tuple(dict.fromkeys(models))
        shared: dict[str, list[str]] = {}
        for url in urls:
            shared.setdefault(short(url), []).append(url)
        own: dict[str, str | None] = {name: found[0] for name, found in shared.items() if len(found) == 1}
        if len(shared) == 1 and len(urls) > 1:
            own = dict.fromkeys(shared)
        ambiguous = (
            () if None in own.values() else (url for found in shared.values() if len(found) > 1 for url in found)
        )
        self.listed: tuple[str, ...] = (ALL, *(name for name in own if name != ALL), *ambiguous)
        """What a list of models shows."""
        self._only: dict[str, str | None] = {**{url: url for url in urls}, **own, ALL: None}

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


def short(url: str) -> str:
    """Give the name of a model as its server has it: behind the `#`, or behind the scheme."""
    scheme, _, rest = url.partition(":")
    if scheme.startswith("openai+"):
        return rest.partition("#")[2] or url
    return scheme if scheme == "simulated" else rest
