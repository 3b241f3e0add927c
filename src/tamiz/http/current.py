"""The request that is being answered, for those deep inside that need to know."""

from contextvars import ContextVar
from typing import Any, Final

__all__ = ["REQUEST"]

REQUEST: Final[ContextVar[dict[str, Any] | None]] = ContextVar("request", default=None)
"""Its ASGI scope; each request is answered in a context of its own."""
