"""The human answer, as it is handed in."""

from typing import Annotated

import msgspec

from tamiz.http.texts import clean
from tamiz.scoring import joined

__all__ = ["AskedReference", "Reference", "text_of"]

_Form = Annotated[str, msgspec.Meta(max_length=200_000)]
_Asked = Annotated[str, clean(200_000)]

Reference = _Form | Annotated[list[_Form], msgspec.Meta(max_length=1_000)] | None
"""A text, or the forms of it that are accepted: the one counts that says the best of the answer."""

AskedReference = _Asked | Annotated[list[_Asked], msgspec.Meta(max_length=1_000)] | None
"""The same, of a question that is to be kept."""


def text_of(reference: str | list[str] | tuple[str, ...] | None) -> str | None:
    """Give a reference as the one text that messages carry (see `tamiz.scoring.forms`)."""
    return joined(reference) if isinstance(reference, list | tuple) else reference
