"""What is measured of a pair, and how each head's finding is put into words."""

from collections.abc import Callable
from typing import Final

from tamiz.gate import conflict, echo, junk, meaning, refusal, topic, truncation, vectors
from tamiz.gate.pair import Pair

__all__ = ["CHECKS", "FOUND", "measure"]


def measure(pair: Pair, *, with_vectors: bool) -> dict[str, float]:
    """Measure all features of a pair, by name: those that need a reference only where there is one."""
    measured = dict(zip(refusal.FEATURES, refusal.features(pair), strict=True))
    measured.update(zip(echo.FEATURES, echo.features(pair), strict=True))
    measured.update(zip(junk.FEATURES, junk.features(pair), strict=True))
    measured.update(zip(truncation.FEATURES, truncation.features(pair), strict=True))
    measured.update(zip(topic.FEATURES, topic.features(pair), strict=True))
    if pair.reference is not None:
        measured.update(zip(meaning.LIKENESS, meaning.likenesses(pair), strict=True))
        measured.update(zip(meaning.KNOWN, meaning.known(pair), strict=True))
        measured.update(zip(conflict.FEATURES, conflict.features(pair), strict=True))
    if with_vectors:
        names = vectors.ALONE if pair.reference is None else vectors.FEATURES
        measured.update(zip(names, vectors.features(pair), strict=True))
    return measured


FOUND: Final[dict[str, Callable[[Pair], str]]] = {
    "refusal": refusal.found,
    "echo": echo.found,
    "junk": junk.found,
    "truncation": truncation.found,
    "topic": topic.found,
    "conflict": conflict.found,
    "meaning": meaning.found,
}
"""How the finding of each head is said."""
CHECKS: Final = tuple(FOUND)
"""The names of all heads; each can be switched off."""
