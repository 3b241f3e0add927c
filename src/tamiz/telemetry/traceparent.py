"""W3C Trace Context: which trace something belongs to, as a header and as a field of every message."""

import re
from typing import Final

import msgspec

__all__ = ["Traceparent", "parse"]

_FORM: Final = re.compile(r"(?!ff)([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?")
_SAMPLED: Final = 1


class Traceparent(msgspec.Struct, frozen=True):
    """A span that others belong below."""

    trace_id: str
    """32 hexadecimal digits."""
    span_id: str
    """16 of them."""
    sampled: bool
    """Whether somebody keeps the trace."""

    def __str__(self) -> str:
        return f"00-{self.trace_id}-{self.span_id}-{self.sampled:02x}"


def parse(text: str | None) -> Traceparent | None:
    """Read a `traceparent`; `None` where it is missing or none, as the standard wants it."""
    found = _FORM.fullmatch(text) if text else None
    if found is None:
        return None
    version, trace_id, span_id, flags = found.groups()
    if (version == "00" and len(text or "") > len("00") + 1 + 32 + 1 + 16 + 3) or not int(trace_id, 16) * int(
        span_id, 16
    ):
        return None
    return Traceparent(trace_id, span_id, bool(int(flags, 16) & _SAMPLED))
