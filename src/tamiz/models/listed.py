"""Reads the list of models that an OpenAI-compatible server gives of itself."""

from typing import Final

import msgspec

__all__ = ["has_model", "model_names", "some_of"]

_SHOWN: Final = 8


class _Model(msgspec.Struct, gc=False):
    id: str


class _List(msgspec.Struct, gc=False):
    data: list[_Model] | None  # null where there is none: so does Ollama


_decoder: Final = msgspec.json.Decoder(_List)


def model_names(body: bytes) -> frozenset[str] | None:
    """Give the names in the body of `GET /models`, or `None` where it is no such list."""
    try:
        return frozenset(model.id for model in _decoder.decode(body).data or ())
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def has_model(names: frozenset[str], model: str) -> bool:
    """Tell whether a server with these models answers for `model`; a tag `:latest` goes without saying."""
    return model in names or f"{model}:latest" in names


def some_of(names: frozenset[str]) -> str:
    """Give the first of these names, for a message."""
    first = sorted(names)[:_SHOWN]
    return ", ".join([*first, *(["…"] if len(first) < len(names) else [])]) or "none"
