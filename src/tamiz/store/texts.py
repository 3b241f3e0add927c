"""Parts of messages as texts, for stores that keep them in a column."""

import msgspec

from tamiz.messages import Terms

__all__ = ["reasons_of", "reasons_text", "terms_of", "terms_text"]


def terms_text(terms: Terms | None) -> str | None:
    """Give the terms as JSON, `None` where there are none."""
    return None if terms is None else msgspec.json.encode(terms).decode()


def terms_of(text: str | None) -> Terms | None:
    """Give the terms that `terms_text` wrote."""
    return None if text is None else msgspec.json.decode(text, type=Terms)


def reasons_text(reasons: tuple[str, ...]) -> str | None:
    """Give the reasons as JSON, `None` where there are none."""
    return msgspec.json.encode(reasons).decode() if reasons else None


def reasons_of(text: str | None) -> tuple[str, ...]:
    """Give the reasons that `reasons_text` wrote."""
    return () if text is None else msgspec.json.decode(text, type=tuple[str, ...])
