"""Sessions of the page: an API key is given once, and a cookie stands for it after that."""

import hashlib
import secrets
from collections.abc import Callable
from typing import Final

from tamiz.clock import Clock
from tamiz.http.keys import Caller

__all__ = ["LASTS", "Sessions"]

LASTS: Final = 12 * 3600
"""Seconds."""
_AT_ONCE: Final = 100
"""Sessions of a tenant."""


class Sessions:
    """Who is signed in: at most 100 sessions of a tenant, each for 12 hours, in this process alone.

    Who signs in more often ends one of their own, and nobody else's. Tokens are kept as digests.
    """

    def __init__(self, caller: Callable[[str], Caller | None], clock: Clock) -> None:
        """`caller` gives whose a key is."""
        self._caller = caller
        self._clock = clock
        self._open: dict[bytes, tuple[Caller, float]] = {}

    def __call__(self, token: str) -> Caller | None:
        """Give whose session this is, `None` where it is none, or over."""
        caller, until = self._open.get(_digest(token), (None, 0.0))
        return caller if until > self._clock.monotonic() else None

    def begin(self, key: str) -> tuple[str, Caller] | None:
        """Begin a session for an API key and give its token; `None` where the key is nobody's."""
        caller = self._caller(key)
        if caller is None:
            return None
        own = [token for token, (whose, _) in self._open.items() if whose == caller]
        for oldest in own[: max(len(own) - _AT_ONCE + 1, 0)]:
            del self._open[oldest]
        token = secrets.token_urlsafe(32)
        self._open[_digest(token)] = caller, self._clock.monotonic() + LASTS
        return token, caller

    def end(self, token: str) -> None:
        """Sign out."""
        self._open.pop(_digest(token), None)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
