"""What models are called where it is nobody's business at which address they are."""

from collections import Counter
from collections.abc import Iterable
from pathlib import PurePath
from typing import Final

from tamiz.identity import digest

__all__ = ["name_of", "names_of"]

_BEHIND_THE_SCHEME: Final = frozenset({"openai", "ollama"})
_FILE: Final = ".gguf"


def name_of(url: str) -> str:
    """Give the name of a model as its server has it, of what `--model` says of it.

    It has no address and no path. What is no such URL, like the name by which a server answers, is given as it is.
    """
    scheme, _, rest = url.partition(":")
    if scheme.startswith("openai+"):
        return rest.partition("#")[2] or url
    if scheme == "local":
        return PurePath(rest).name.removesuffix(_FILE)
    if scheme == "simulated":
        return scheme
    return rest if scheme in _BEHIND_THE_SCHEME else url


def names_of(urls: Iterable[str]) -> dict[str, str]:
    """Give each model's name, no two the same: where several share one, each has a digest of its URL behind it."""
    names = {url: name_of(url) for url in urls}
    shared = Counter(names.values())
    return {url: name if shared[name] == 1 else f"{name}@{digest(url, size=3)}" for url, name in names.items()}
