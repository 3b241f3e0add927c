"""Who is who: the identity of a question, of a submission and of the settings that shape an answer."""

from hashlib import blake2b
from typing import Final

import msgspec

__all__ = ["cache_key", "digest", "message_id", "trace_of"]

_DIGITS: Final = 32


def digest(*parts: str | float | None, size: int = 16) -> str:
    """Give a hexadecimal BLAKE2b digest (RFC 7693) of `size` bytes that tells all the parts apart, in their order."""
    return blake2b(msgspec.json.encode(parts), digest_size=size).hexdigest()


def cache_key(
    title: str, content: str, best_answer: str | None, asked_how: str, terms: tuple[str | float | None, ...] = ()
) -> str:
    """Give the key that identical questions share, 32 hexadecimal digits.

    Identical is: the same text, the same reference (an answer is accepted against its reference, so another one cannot
    reuse it), `asked_how`, the same models and prompt, and the same `terms` of its own.
    """
    return digest(title, content, best_answer, asked_how, *terms)


def message_id(settings: str, position: int, *content: str | None) -> str:
    """Give the submission's id, 32 hexadecimal digits that sort by position within the same settings.

    The same row at the same place (from 0) under the same settings always gets the same id, which is how a run that
    starts again recognises its questions. `settings` is a digest of 12 digits.
    """
    return f"{settings:.12}{position:010x}{digest(*content, size=5)}"


def trace_of(message_id: str) -> str:
    """Give the id of a submission's trace, 32 hexadecimal digits: those of its id, in another order.

    Its lower half begins with digits that are as good as random, since those are what samplers of traces go by. A row
    of a data set that came over HTTP has a longer id: it gets the digest of that.
    """
    if len(message_id) != _DIGITS:
        return digest(message_id)
    return message_id[:16] + message_id[22:] + message_id[16:22]
